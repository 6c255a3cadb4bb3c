"""In which cgroup dockerd and its proxies live, and whether they live there alone.

Takes a `Runner` and a way to ask for a folder's inode; gives a `Cgroup`, or None where the seal
must not go by one. Only reads files. Two kinds of cgroups count:

* **a slice of its own**, which the drop-in gives it: it is there before Docker, outlives it, and
  nobody else's process is in it;
* **the unit that starts it** (``system.slice/docker.service``), as long as no process lives there
  but dockerd, those that it started, and what containerd leaves behind. It is another cgroup at
  each start of Docker, so whoever goes by it has to hear of that. What is *below* a unit is not
  counted to it: containers can be put there.

A session's scope, the root, and whatever else dockerd may have been started in by hand hold the
admin's shell and sshd as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from dockerfw.errors import Failed
from dockerfw.kernel.runner import Runner
from dockerfw.model.host import Cgroup

SLICE = "dockerd.slice"
"""The name that the drop-in gives it; nobody else's process is in there."""

_CGROUPS = "/sys/fs/cgroup"
_UNIFIED = "unified/"
# As distributions name it, and as snap does. Before the slice: that one may stand empty.
_UNITS = ("system.slice/docker.service", "system.slice/snap.docker.dockerd.service")

# What outlives the dockerd that started it, by the 15 bytes that the kernel keeps of a name.
_LEFT_BEHIND = frozenset({"docker-proxy", "containerd", "containerd-shim"})
_GENERATIONS = 20

_Inode = Callable[[str], "int | None"]


def text(runner: Runner, path: str) -> str | None:
    """Return a file's text; None as well for what may not be read: then it is not known."""
    try:
        return runner.read_file(path)
    except Failed:
        return None


def mount(runner: Runner) -> str | None:
    """Return where the tree of version 2 is below /sys/fs/cgroup; None: there is none.

    That is ``""``, or ``unified/`` beside version 1.
    """
    for place in ("", _UNIFIED):
        if text(runner, f"{_CGROUPS}/{place}cgroup.controllers") is not None:
            return place
    return None


def usual(mounted: str) -> tuple[str, ...]:
    """Return where a dockerd that does not run yet may be expected."""
    return tuple(mounted + name for name in (*_UNITS, SLICE))


def folder(path: str) -> str:
    """Return the folder of a cgroup."""
    return f"{_CGROUPS}/{path}"


def first(inode: _Inode, paths: Iterable[str]) -> Cgroup | None:
    """Return the first of these that is there."""
    for path in paths:
        number = inode(folder(path))
        if number is not None:
            names = path.removeprefix(_UNIFIED).split("/")
            return Cgroup(path, len(names), number, unit=names[-1] != SLICE)
    return None


def of_running(runner: Runner, inode: _Inode, mounted: str, pid: str, cgroup: str) -> Cgroup | None:
    """Return the slice that a running dockerd is in, or its unit if nobody else lives there.

    ``cgroup`` is the one of that process, as ``/proc/PID/cgroup`` has it.
    """
    names = cgroup.strip("/").split("/")
    if SLICE in names:
        return first(inode, [mounted + "/".join(names[: names.index(SLICE) + 1])])
    path = mounted + "/".join(names)
    if not _is_unit(names) or not _is_alone(runner, path, pid):
        return None
    return first(inode, [path])


def _is_unit(names: list[str]) -> bool:
    """Return True for the cgroup of a service, or one below that, of systemd or OpenRC."""
    own = any(name.endswith(".service") or name.startswith("openrc.") for name in names[-2:])
    return own and ".." not in names


def _is_alone(runner: Runner, path: str, dockerd: str) -> bool:
    processes = text(runner, f"{folder(path)}/cgroup.procs")
    if processes is None:
        return False
    return all(_is_dockers(runner, pid, dockerd) for pid in set(processes.split()))


def _is_dockers(runner: Runner, pid: str, dockerd: str) -> bool:
    """Return True for dockerd, what it started, what is left of that, and who is gone by now."""
    for generation in range(_GENERATIONS):
        if pid == dockerd:
            return True
        if pid in ("0", "1"):  # of another process namespace, or somebody else's child
            return False
        status = text(runner, f"/proc/{pid}/stat")
        if status is None:
            return True
        head, _, rest = status.rpartition(") ")
        if generation == 0 and head.partition("(")[2] in _LEFT_BEHIND:
            return True
        pid = rest.split()[1]
    return False
