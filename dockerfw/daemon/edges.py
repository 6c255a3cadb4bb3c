"""Everything outside of the daemon that it works with, as one value.

``main.py`` makes the real ones; a test makes those that it plays. The protocols here are what the
main loop asks of threads and sockets: each has a descriptor to wait for, and a method that never
blocks, to be called when there is something to read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from dockerfw.clock import Clock
from dockerfw.daemon.log import Log
from dockerfw.daemon.systemd import Systemd
from dockerfw.dns.resolver import Moved
from dockerfw.docker.reports import Report
from dockerfw.kernel.inotify import FileNotices
from dockerfw.kernel.interface import Kernel
from dockerfw.kernel.netlink import Noticed
from dockerfw.model.policy import HostAddresses, Needs
from dockerfw.operations.reconcile import Reconciler
from dockerfw.state.store import Store


class DockerReports(Protocol):
    """What runs, as Docker reports it: a `Watcher`."""

    def fileno(self) -> int: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...

    def need(self, needs: Needs) -> None:
        """Ask for what a policy needs to know of containers from now on."""
        ...

    def resync(self) -> None:
        """Ask for a reading of everything: a `Changed` that is ``whole`` answers it."""
        ...

    def connect_now(self) -> None:
        """Try at once to connect, where Docker is away."""
        ...

    def take(self) -> list[Report]: ...


class RuleNotices(Protocol):
    """The kernel's notices of rules and links: `KernelNotices`."""

    def filenos(self) -> tuple[int, ...]: ...
    def read(self) -> Noticed: ...


class NetworkNotices(Protocol):
    """The kernel's notices of addresses: `AddressNotices`."""

    def fileno(self) -> int: ...
    def read(self) -> bool: ...


class NameNotices(Protocol):
    """What host names stand for: a `Resolver`."""

    def fileno(self) -> int: ...
    def follow(self, names: Iterable[str], last_good: HostAddresses) -> None: ...
    def take(self) -> Moved | None: ...
    def stop(self) -> None: ...


class Background(Protocol):
    """Where work is done beside the main loop: a `Worker`."""

    def fileno(self) -> int: ...

    def submit(
        self, work: Callable[[], Any], then: Callable[[Any], None] = lambda _result: None
    ) -> None: ...

    def finish(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Edges:
    store: Store
    reconciler: Reconciler
    kernel: Kernel
    clock: Clock
    log: Log
    systemd: Systemd
    worker: Background
    docker: DockerReports
    notices: RuleNotices
    addresses: NetworkNotices
    files: FileNotices
    docker_socket: FileNotices
    dockerd: FileNotices
    names: NameNotices
