"""Runs the tools of dockerfw in a test host; what iptables calls flavours and families."""

from __future__ import annotations

from collections.abc import Sequence

from dockerfw.kernel.runner import Completed, SystemRunner, not_installed
from dockerfw.model.host import Flavour
from dockerfw.model.net import Family
from tests.lab.host import Host

FLAVOURS: tuple[Flavour, Flavour] = ("nft", "legacy")


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
