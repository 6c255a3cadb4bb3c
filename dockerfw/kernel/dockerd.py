"""Which process is dockerd, and what it was told.

Takes a `Runner` and a way to ask for a folder's inode; gives a `Dockerd`. Only reads files, and
only those that a process without root's powers over others may read: not which sockets dockerd
holds (``/proc/PID/fd`` takes CAP_SYS_PTRACE), but what it was told to listen on. That is the
better answer, too: engines from 28 on hold a container's port themselves for a moment, and with
``userland-proxy`` off for good.

What is not known is not closed: of a dockerd that runs and is not seen (``/proc`` mounted with
``hidepid``) nobody knows which ports are its own, so no cgroup is given for its proxies.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from dockerfw.kernel import dockerd_cgroup
from dockerfw.kernel.dockerd_cgroup import text
from dockerfw.kernel.runner import Runner
from dockerfw.model.host import Cgroup, FirstPacket, Proxy
from dockerfw.model.net import Port

_CONFIG = "/etc/docker/daemon.json"
_DATA = "/var/lib/docker"
_PID = "/run/docker.pid"
_SYSTEMD = 1

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
    pid: str
    argv: tuple[str, ...]
    cgroup: str


def read(
    runner: Runner, inode: Callable[[str], int | None], listeners: Iterable[int] = ()
) -> Dockerd:
    """What is known of dockerd, running or not. ``inode`` gives None for what is not there.

    ``listeners`` are the processes at Docker's socket, as far as they are known: the one that
    listens, then the one that answers. The second one is asked for only where the first one is
    not dockerd.
    """
    process, hidden = _find(runner, listeners)
    told = _Told(runner, process.argv if process else ())
    mount = dockerd_cgroup.mount(runner)
    cgroup: Cgroup | None = None
    homes: tuple[str, ...] = ()
    if mount is not None and process is not None:
        cgroup = dockerd_cgroup.of_running(runner, inode, mount, process.pid, process.cgroup)
        homes = (cgroup.path,) if cgroup is not None else ()
    elif mount is not None and not hidden:
        homes = dockerd_cgroup.usual(mount)
        cgroup = dockerd_cgroup.first(inode, homes)
    proxy = Proxy(
        cgroup,
        frozenset(told.ports()),
        _first_packet(told, mount, process, cgroup),
        homes,
        told.swarm_file,
    )
    return Dockerd(proxy, iptables=told.is_on("iptables"))


def renewed(runner: Runner, inode: Callable[[str], int | None], known: Proxy) -> Proxy:
    """Return what is known with the cgroup of now, which a dockerd that starts just now is in.

    Quick: asks nobody. Who lives in that cgroup is looked at by `read`, once Docker answers; it
    was dockerd's alone, or its name is that of Docker's unit. Ports are added, and none is taken
    out: of a dockerd that has just been started it is not known yet what it was told.
    """
    process, _ = _find(runner, ())
    told = _Told(runner, process.argv if process else ())
    cgroup = dockerd_cgroup.first(inode, known.homes) if known.homes else known.cgroup
    ports = known.dockerd_ports | frozenset(told.ports())
    return replace(known, cgroup=cgroup, dockerd_ports=ports)


def _first_packet(
    told: _Told, mount: str | None, process: _Process | None, cgroup: Cgroup | None
) -> FirstPacket:
    if process is None:  # a cgroup that waits proves nothing: it may run elsewhere
        return "unseen"
    if not told.is_on("userland-proxy"):
        return "no proxy"
    if mount is None:
        return "no cgroup2"
    return "closed" if cgroup is not None else "elsewhere"


# --- the process ---------------------------------------------------------------------------------


def _find(runner: Runner, listeners: Iterable[int]) -> tuple[_Process | None, bool]:
    """Return the running dockerd, None where none is seen; and whether one runs unseen.

    The one at the socket is the one that dockerfw follows, whatever its pidfile (snap has another
    one). Where systemd made the socket it listens there itself, and dockerd only answers.
    """
    if text(runner, f"/proc/{_SYSTEMD}/comm") is None:
        return None, True  # no other process can be seen
    others = False
    for pid in listeners:
        if _is_dockerd(runner, str(pid)):
            return _read_process(runner, str(pid)), False
        others |= pid != _SYSTEMD
    pid_file = (text(runner, _PID) or "").strip()
    if pid_file.isdecimal() and _is_dockerd(runner, pid_file):
        return _read_process(runner, pid_file), False
    return None, others


def _is_dockerd(runner: Runner, pid: str) -> bool:
    return (text(runner, f"/proc/{pid}/comm") or "").strip() == "dockerd"


def _read_process(runner: Runner, pid: str) -> _Process:
    argv = (text(runner, f"/proc/{pid}/cmdline") or "").rstrip("\0").split("\0")
    lines = (text(runner, f"/proc/{pid}/cgroup") or "").splitlines()
    unified = next((line[3:] for line in lines if line.startswith("0::")), "/")
    return _Process(pid, tuple(argv), unified)


# --- what it was told ----------------------------------------------------------------------------


class _Told:
    """dockerd's settings: its arguments and ``daemon.json``; it refuses one that is in both."""

    def __init__(self, runner: Runner, argv: Sequence[str]) -> None:
        self._runner = runner
        self._argv = argv
        self._config = _object(text(runner, self._flag("config-file") or _CONFIG))

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

    @property
    def swarm_file(self) -> str:
        """Where a node of a swarm keeps what it listens on."""
        data = self.value("data-root") or self._flag("g") or _DATA
        return f"{data}/swarm/docker-state.json"

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
        swarm = _object(text(self._runner, self.swarm_file))
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


def _object(json_text: str | None) -> Mapping[str, Any]:
    try:
        # A byte that is no ASCII is read as \xNN, which JSON does not know.
        found = json.loads((json_text or "{}").replace("\\x", "_"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
