"""Makes the real `Session` of this host, for a command or a process that runs one use case."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from dockerfw.cli import progress
from dockerfw.cli.output import print_remark
from dockerfw.clock import SystemClock
from dockerfw.docker.connection import listener_pids
from dockerfw.kernel.ipset.ask import ask
from dockerfw.kernel.netfilter import Netfilter
from dockerfw.kernel.runner import ImpatientRunner, Runner, SystemRunner
from dockerfw.operations.session import Phase, Session, at_once
from dockerfw.state.store import Store

if TYPE_CHECKING:
    from dockerfw.kernel.outside import Outside


def open_session(
    docker_host: str | None = None,
    notify: Callable[[str], None] = print_remark,
    *,
    asks_docker: bool = True,
    tool_patience: float | None = None,
    quiet: bool = False,
) -> Session:
    """Return the edges of this host; nothing is opened or read yet.

    ``tool_patience`` is how many seconds a program may take; None: as long as such things take.

    ``quiet``: nobody is shown what takes long.

    Without ``asks_docker`` the kernel's facts do not touch Docker's socket: where systemd listens
    there, that would start Docker.
    """
    clock = SystemClock()
    runner: Runner = SystemRunner()
    if tool_patience is not None:
        runner = ImpatientRunner(runner, tool_patience)
    listeners = partial(listener_pids, docker_host) if asks_docker else tuple
    kernel = Netfilter(runner, clock.time, listeners, ask)
    phase: Phase = at_once
    if not quiet:
        phase, notify = progress.shown(clock.monotonic, notify)
    return Session(kernel, Store(), clock, docker_host, notify, phase)


def open_outside() -> Outside:
    """Return the hosts outside that this one may be asked from; nothing is done yet."""
    from dockerfw.kernel.outside import Outside

    return Outside(SystemRunner(), SystemClock().monotonic)
