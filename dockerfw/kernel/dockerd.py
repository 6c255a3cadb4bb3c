"""What dockerd was told, and in which cgroup its sockets live.

Takes a `Runner` and a way to ask for a folder's inode; gives a `Dockerd`. Only reads files, and
only those that a process without root's powers over others may read: not which sockets dockerd
holds (``/proc/PID/fd`` takes CAP_SYS_PTRACE), but what it was told to listen on. That is the
better answer, too: engines from 28 on hold a container's port themselves for a moment, and with
``userland-proxy`` off for good.

**Only a slice of its own counts.** ``docker.service`` is a new cgroup at each start of Docker,
while the kernel's rule goes on to mean the old one: every restart would open docker-proxy until
the next look, under a status that promised otherwise. And ``system.slice`` holds sshd.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from dockerfw.errors import Failed
from dockerfw.kernel.runner import Runner
from dockerfw.model.host import Cgroup, FirstPacket, Proxy
from dockerfw.model.net import Port

SLICE = "dockerd.slice"
"""The name that the drop-in gives it; nobody else's process is in there."""

_CGROUPS = "/sys/fs/cgroup"
_CONFIG = "/etc/docker/daemon.json"
_DATA = "/var/lib/docker"
_PID = "/run/docker.pid"

# An API without a port in its URL is at the one or the other, by whether TLS is on.
_API_PORTS = (2375, 2376)
_GOSSIP = frozenset({Port("tcp", 7946), Port("udp", 7946)})
_VXLAN = 4789


@dataclass(frozen=True, slots=True)
class Dockerd:
    """``proxy`` as in `HostFacts`; ``iptables`` False: Docker was told to write no rules."""

    proxy: Proxy
    iptables: bool


@dataclass(frozen=True, slots=True)
class _Process:
    argv: tuple[str, ...]
    cgroup: str


def read(
    runner: Runner, inode: Callable[[str], int | None], listener: int | None = None
) -> Dockerd:
    """What is known of dockerd, running or not. ``inode`` gives None for what is not there.

    ``listener`` is the process that listens at Docker's socket, where that is known.
    """
    process = _process(runner, listener)
    told = _Told(runner, process.argv if process else ())
    mount = _mount(runner)
    cgroup = _cgroup(mount, process, inode) if mount is not None else None
    proxy = Proxy(cgroup, frozenset(told.ports()), _first_packet(told, mount, process, cgroup))
    return Dockerd(proxy, iptables=told.is_on("iptables"))


def _first_packet(
    told: _Told, mount: str | None, process: _Process | None, cgroup: Cgroup | None
) -> FirstPacket:
    if process is None:  # a slice that waits proves nothing: it may run elsewhere
        return "unseen"
    if not told.is_on("userland-proxy"):
        return "no proxy"
    if mount is None:
        return "no cgroup2"
    return "closed" if cgroup is not None and _in_slice(process.cgroup) else "elsewhere"


# --- where it is ---------------------------------------------------------------------------------


def _process(runner: Runner, listener: int | None) -> _Process | None:
    """The running dockerd; None when there is none, or none that can be seen.

    The one at the socket is the one that dockerfw follows, whatever its pidfile (snap has another
    one); where systemd made the socket, and listens there itself, only the pidfile is left.
    """
    for pid in (str(listener), (_text(runner, _PID) or "").strip()):
        if pid.isdecimal() and (_text(runner, f"/proc/{pid}/comm") or "").strip() == "dockerd":
            return _read_process(runner, pid)
    return None


def _read_process(runner: Runner, pid: str) -> _Process:
    argv = (_text(runner, f"/proc/{pid}/cmdline") or "").rstrip("\0").split("\0")
    lines = (_text(runner, f"/proc/{pid}/cgroup") or "").splitlines()
    unified = next((line[3:] for line in lines if line.startswith("0::")), "/")
    return _Process(tuple(argv), unified)


def _mount(runner: Runner) -> str | None:
    """Where the tree of version 2 is below /sys/fs/cgroup: ``""``, or ``unified/`` beside v1."""
    for mount in ("", "unified/"):
        if _text(runner, f"{_CGROUPS}/{mount}cgroup.controllers") is not None:
            return mount
    return None


def _in_slice(cgroup: str) -> bool:
    return SLICE in cgroup.split("/")


def _cgroup(
    mount: str, process: _Process | None, inode: Callable[[str], int | None]
) -> Cgroup | None:
    """The slice that dockerd is in; else the one that waits for it at the top of the tree."""
    names = [SLICE]
    if process is not None and _in_slice(process.cgroup):
        parts = process.cgroup.strip("/").split("/")
        names = parts[: parts.index(SLICE) + 1]
    path = mount + "/".join(names)
    number = inode(f"{_CGROUPS}/{path}")
    return Cgroup(path, len(names), number) if number is not None else None


# --- what it was told ----------------------------------------------------------------------------


class _Told:
    """dockerd's settings: its arguments and ``daemon.json``; it refuses one that is in both."""

    def __init__(self, runner: Runner, argv: Sequence[str]) -> None:
        self._runner = runner
        self._argv = argv
        self._config = _object(_text(runner, self._flag("config-file") or _CONFIG))

    def _flags(self, *names: str) -> Iterator[str]:
        """Every value of an option: ``--name=value``, ``--name value``, ``-Hvalue``."""
        for at, word in enumerate(self._argv):
            for name in names:
                dashed = f"--{name}" if len(name) > 1 else f"-{name}"
                if word == dashed and at + 1 < len(self._argv):
                    yield self._argv[at + 1]
                elif word.startswith(f"{dashed}=") or (len(name) == 1 and word.startswith(dashed)):
                    yield word.removeprefix(dashed).removeprefix("=")

    def _flag(self, name: str) -> str | None:
        return next(self._flags(name), None)

    def value(self, name: str) -> str | None:
        found = self._flag(name) or self._config.get(name)
        return found if isinstance(found, str) else None

    def is_on(self, name: str) -> bool:
        """A switch that is on unless it was turned off."""
        off = {f"--{name}={word}" for word in ("false", "False", "FALSE", "f", "F", "0")}
        return self._config.get(name) is not False and off.isdisjoint(self._argv)

    def ports(self) -> Iterator[Port]:
        """What dockerd listens on for others than this host."""
        hosts = self._config.get("hosts")
        for host in (*self._flags("host", "H"), *(hosts if isinstance(hosts, list) else ())):
            if isinstance(host, str) and host.startswith("tcp://"):
                yield from _tcp(host, _API_PORTS)
        metrics = self.value("metrics-addr")
        if metrics is not None:
            yield from _tcp(f"tcp://{metrics}", ())
        yield from self._swarm()

    def _swarm(self) -> Iterator[Port]:
        """A node's: for managers, for gossip, and the kernel's VXLAN socket, made by dockerd."""
        data = self.value("data-root") or self._flag("g") or _DATA
        swarm = _object(_text(self._runner, f"{data}/swarm/docker-state.json"))
        listen = swarm.get("ListenAddr")
        if not isinstance(listen, str):
            return
        yield from _tcp(f"tcp://{listen}", ())
        yield from _GOSSIP
        port = swarm.get("DataPathPort")
        yield Port("udp", port if isinstance(port, int) and 0 < port < 65536 else _VXLAN)


def _tcp(url: str, default: tuple[int, ...]) -> Iterator[Port]:
    """The ports of a ``tcp://`` URL; none where only this host itself can ask."""
    try:
        parts = urlsplit(url)
        ports = (parts.port,) if parts.port else default
    except ValueError:
        return
    if not _is_loopback(parts.hostname or ""):
        yield from (Port("tcp", port) for port in ports)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _text(runner: Runner, path: str) -> str | None:
    """None as well for what may not be read: then it is not known."""
    try:
        return runner.read_file(path)
    except Failed:
        return None


def _object(text: str | None) -> Mapping[str, Any]:
    try:
        # A byte that is no ASCII is read as \xNN, which JSON does not know.
        found = json.loads((text or "{}").replace("\\x", "_"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
