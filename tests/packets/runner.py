"""Runs the tools of dockerfw in a test host, or its own code; what iptables calls flavours."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from dockerfw.kernel.runner import Completed, SystemRunner, not_installed
from dockerfw.model.host import Flavour
from dockerfw.model.net import Family
from tests.lab.guard import elsewhere
from tests.lab.host import Host
from tests.lab.place import Place

FLAVOURS: tuple[Flavour, Flavour] = ("nft", "legacy")
_CLONE_NEWNET = 0x40000000
_Given = TypeVar("_Given")


def in_network(place: Place, function: Callable[[], _Given]) -> _Given:
    """Call a function in the network of ``place``, in a thread that ends there."""

    def call() -> _Given:
        with Path(elsewhere(place.namespaces.network)).open("rb") as namespace:
            libc = ctypes.CDLL(None, use_errno=True)
            assert libc.setns(namespace.fileno(), _CLONE_NEWNET) == 0, os.strerror(
                ctypes.get_errno()
            )
        return function()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(call).result()


class HostRunner:
    """`SystemRunner`, as if it stood in a test host."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def run(self, argv: Sequence[str], stdin: str | None = None, timeout: float = 60) -> Completed:
        done = SystemRunner().run(self._host.namespaces.enter(argv), stdin, timeout)
        if done.status == 127 and "failed to execute" in done.stderr:
            raise not_installed(argv[0])
        return done

    def read_file(self, path: str) -> str | None:
        done = self.run(["cat", path])
        return done.stdout if done.status == 0 else None


def program(flavour: Flavour, family: Family) -> str:
    return f"{'iptables' if family == 4 else 'ip6tables'}-{flavour}"
