"""dockerd in a cgroup of its own, as systemd has it, and where cgroups are."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab.engine import Engine, Version, remove_cgroups
from tests.lab.guard import LabError
from tests.lab.host import Host
from tests.lab.wait import until


def cgroup2() -> Path:
    """The machine's tree of version 2."""
    for tree in (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified")):
        if (tree / "cgroup.controllers").exists():
            return tree
    msg = "this machine has no tree of cgroup version 2"
    raise LabError(msg)


@contextmanager
def at_home_in(cgroup: Path) -> Iterator[None]:
    """What this process starts in here is born in that cgroup; so are its sockets."""
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    own = next(line[3:] for line in lines if line.startswith("0::"))
    (cgroup / "cgroup.procs").write_text("0")
    try:
        yield
    finally:
        (cgroup2() / own.strip("/") / "cgroup.procs").write_text("0")


class Tree:
    """A part of the cgroup tree that ends with its host."""

    def __init__(self, host: Host) -> None:
        self.top = cgroup2() / f"dockerfw-lab-{uuid.uuid4().hex[:12]}"
        self.slice = self.top / "dockerd.slice"
        self.service = self.slice / "docker.service"
        self.service.mkdir(parents=True)
        host.at_end.append(lambda: remove_cgroups(self.top.name))

    def anew(self, *, slice_too: bool) -> None:
        """As systemd does at each start of the service, or when the slice was stopped as well."""
        until(lambda: not (self.service / "cgroup.procs").read_text(), "docker.service to be empty")
        self.service.rmdir()
        if slice_too:
            self.slice.rmdir()
        self.service.mkdir(parents=True)


class SlicedEngine(Engine):
    """dockerd in docker.service in dockerd.slice."""

    def __init__(self, host: Host, version: Version, *options: str) -> None:
        self.tree = Tree(host)
        super().__init__(host, version, *options)

    def start(self) -> None:
        with at_home_in(self.tree.service):
            super().start()


class UnitEngine(Engine):
    """dockerd alone in docker.service, which is a new cgroup at each start, as systemd has it."""

    def __init__(self, host: Host, version: Version, *options: str) -> None:
        self.service = Tree(host).top / "docker.service"
        self.prelude = f"echo 0 >{self.service}/cgroup.procs; "
        super().__init__(host, version, *options)

    def start(self) -> None:
        if self.service.exists():
            procs = self.service / "cgroup.procs"
            until(lambda: not procs.read_text(), "docker.service to be empty")
            self.service.rmdir()
        self.service.mkdir()
        super().start()
