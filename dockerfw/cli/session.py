"""Makes the real `Session` of this host, for a command or a process that runs one use case."""

from __future__ import annotations

from collections.abc import Callable

import click

from dockerfw.clock import SystemClock
from dockerfw.kernel.netfilter import Netfilter
from dockerfw.kernel.runner import SystemRunner
from dockerfw.operations.session import Session
from dockerfw.state.store import Store


def _print(text: str) -> None:
    click.echo(text, err=True)


def open_session(docker_host: str | None = None, notify: Callable[[str], None] = _print) -> Session:
    """Return the edges of this host; nothing is opened or read yet."""
    clock = SystemClock()
    kernel = Netfilter(SystemRunner(), clock.time)
    return Session(kernel, Store(), clock, docker_host, notify)
