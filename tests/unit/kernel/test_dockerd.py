"""What dockerd was told and where it lives, from files alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from dockerfw.errors import Failed
from dockerfw.kernel import dockerd
from dockerfw.kernel.runner import Completed
from dockerfw.model.host import Cgroup, FirstPacket, Proxy
from dockerfw.model.net import Port

CONFIG = "/etc/docker/daemon.json"
SWARM = "/var/lib/docker/swarm/docker-state.json"
SLICE = "/sys/fs/cgroup/dockerd.slice"
HERE = Cgroup("dockerd.slice", 1, 4711)


@dataclass
class Files:
    """A host of files; those in ``locked`` may not be read."""

    files: Mapping[str, str] = field(default_factory=dict)
    locked: frozenset[str] = frozenset()

    def run(self, argv: Sequence[str], stdin: str | None = None, timeout: float = 60) -> Completed:
        raise AssertionError(f"{argv} was started with {stdin!r}, {timeout} s")

    def read_file(self, path: str) -> str | None:
        if path in self.locked:
            raise Failed(f"{path} cannot be read: run dockerfw as root")
        return self.files.get(path)


def running(*argv: str, cgroup: str = "/dockerd.slice/docker.service") -> dict[str, str]:
    return {
        "/run/docker.pid": "17",
        "/proc/17/comm": "dockerd\n",
        "/proc/17/cmdline": "".join(f"{word}\0" for word in ("/usr/sbin/dockerd", *argv)),
        "/proc/17/cgroup": f"4:memory:/system.slice\n0::{cgroup}\n",
    }


def host(*more: Mapping[str, str], mount: str = "") -> Files:
    files = {f"/sys/fs/cgroup/{mount}cgroup.controllers": "cpu\n"}
    for one in more:
        files |= one
    return Files(files)


def inodes(**found: int) -> dict[str, int]:
    return {f"/sys/fs/cgroup/{path}": number for path, number in found.items()}


def nothing(_path: str) -> int | None:
    return None


def told(*argv: str, files: Mapping[str, str] | None = None) -> frozenset[Port]:
    return dockerd.read(host(running(*argv), files or {}), nothing).proxy.dockerd_ports


def configured(text: str) -> frozenset[Port]:
    return told(files={CONFIG: text})


TCP = Port("tcp", 2375)
PORTS: list[tuple[str, frozenset[Port], set[Port]]] = [
    ("no argument", told(), set()),
    ("a socket", told("-H", "fd://", "-H", "unix:///run/docker.sock"), set()),
    ("-H VALUE", told("-H", "tcp://0.0.0.0:2375"), {TCP}),
    ("-HVALUE", told("-Htcp://0.0.0.0:2375"), {TCP}),
    ("-H=VALUE", told("-H=tcp://0.0.0.0:2375"), {TCP}),
    ("--host VALUE", told("--host", "tcp://[::]:2375"), {TCP}),
    ("--host=VALUE", told("--host=tcp://docker.example:2375"), {TCP}),
    ("several", told("-H", "tcp://:1", "-H", "tcp://:2"), {Port("tcp", 1), Port("tcp", 2)}),
    ("no port", told("-H", "tcp://0.0.0.0"), {TCP, Port("tcp", 2376)}),
    ("loopback", told("-H", "tcp://127.0.0.1:2375", "--host=tcp://localhost:2376"), set()),
    ("nonsense", told("-H", "tcp://0.0.0.0:99999", "-H", "tcp://[:1", "-H"), set()),
    ("hosts", configured('{"hosts": ["fd://", "tcp://0.0.0.0:2375", 7]}'), {TCP}),
    ("hosts, no list", configured('{"hosts": "tcp://0.0.0.0:2375"}'), set()),
    ("metrics", told("--metrics-addr=0.0.0.0:9323"), {Port("tcp", 9323)}),
    ("metrics in the file", configured('{"metrics-addr": "192.0.2.1:9323"}'), {Port("tcp", 9323)}),
    ("metrics, loopback", configured('{"metrics-addr": "127.0.0.1:9323"}'), set()),
    ("broken file", configured('{"hosts": ['), set()),
    ("no object", configured("[]"), set()),
    ("bytes", configured('{"x": "\\xff", "hosts": ["tcp://:2375"]}'), {TCP}),
    (
        "another file",
        told("--config-file", "/etc/d.json", files={"/etc/d.json": '{"hosts": ["tcp://:2375"]}'}),
        {TCP},
    ),
    (
        "swarm",
        told(files={SWARM: '{"ListenAddr": "0.0.0.0:2377", "DataPathPort": 0}'}),
        {Port("tcp", 2377), Port("tcp", 7946), Port("udp", 7946), Port("udp", 4789)},
    ),
    (
        "swarm elsewhere",
        told(
            "--data-root=/data",
            files={
                "/data/swarm/docker-state.json": '{"ListenAddr": "[::]:1", "DataPathPort": 7777}'
            },
        ),
        {Port("tcp", 1), Port("tcp", 7946), Port("udp", 7946), Port("udp", 7777)},
    ),
]


@pytest.mark.parametrize("ports, expected", [c[1:] for c in PORTS], ids=[c[0] for c in PORTS])
def test_what_dockerd_was_told_to_listen_on_is_spared(
    ports: frozenset[Port], expected: set[Port]
) -> None:
    assert ports == expected


ALL = inodes(**{"dockerd.slice": 4711, "unified/dockerd.slice": 4712, "lab/dockerd.slice": 4713})
HOSTS: list[tuple[str, Files, Mapping[str, int], Cgroup | None, FirstPacket]] = [
    ("in its slice", host(running()), ALL, HERE, "closed"),
    (
        "version 2 beside version 1",
        host(running(), mount="unified/"),
        ALL,
        Cgroup("unified/dockerd.slice", 1, 4712),
        "closed",
    ),
    (
        "further down",
        host(running(cgroup="/lab/dockerd.slice/docker.service/child")),
        ALL,
        Cgroup("lab/dockerd.slice", 2, 4713),
        "closed",
    ),
    ("before Docker starts", host(), ALL, HERE, "unseen"),
    ("no slice, no Docker", host(), {}, None, "unseen"),
    (
        "told to run no proxy, and not seen: another one may run",
        host({CONFIG: '{"userland-proxy": false}'}),
        ALL,
        HERE,
        "unseen",
    ),
    ("Docker not in it yet", host(running(cgroup="/system.slice/x")), ALL, HERE, "elsewhere"),
    (
        "docker.service is no slice",
        host(running(cgroup="/system.slice/docker.service")),
        inodes(**{"system.slice": 1, "system.slice/docker.service": 2}),
        None,
        "elsewhere",
    ),
    ("outside of this namespace", host(running(cgroup="/../x")), {}, None, "elsewhere"),
    ("its slice is gone", host(running()), {}, None, "elsewhere"),
    ("a left-over process id", host(running(), {"/proc/17/comm": "sh\n"}), ALL, HERE, "unseen"),
    ("no version 2", Files(running()), ALL, None, "no cgroup2"),
    ("no proxy", host(running("--userland-proxy=false")), ALL, HERE, "no proxy"),
    (
        "no proxy, by the file",
        host(running(cgroup="/x"), {CONFIG: '{"userland-proxy": false}'}),
        {},
        None,
        "no proxy",
    ),
    (
        "the file says yes",
        host(running(), {CONFIG: '{"userland-proxy": true}'}),
        ALL,
        HERE,
        "closed",
    ),
]


@pytest.mark.parametrize(
    "there, found, cgroup, first", [c[1:] for c in HOSTS], ids=[c[0] for c in HOSTS]
)
def test_only_a_slice_of_dockerds_own_counts(
    there: Files, found: Mapping[str, int], cgroup: Cgroup | None, first: FirstPacket
) -> None:
    proxy = dockerd.read(there, found.get).proxy
    assert (proxy.cgroup, proxy.first_packet) == (cgroup, first)


def test_what_may_not_be_read_is_not_known() -> None:
    there = host(running("-H", "tcp://0.0.0.0:2375"))
    there.locked = frozenset(path for path in there.files if path.startswith("/proc/"))
    assert dockerd.read(there, ALL.get).proxy == Proxy(HERE, frozenset(), "unseen")


def listening(pid: int, comm: str = "dockerd", cgroup: str = "/dockerd.slice/x") -> dict[str, str]:
    """Who listens at Docker's socket, and keeps its pidfile elsewhere."""
    return {
        f"/proc/{pid}/comm": f"{comm}\n",
        f"/proc/{pid}/cmdline": f"{comm}\0-H\0tcp://0.0.0.0:2375\0",
        f"/proc/{pid}/cgroup": f"0::{cgroup}\n",
    }


SNAP = "/system.slice/snap.docker.dockerd.service"
PEERS: list[tuple[str, Files, int | None, FirstPacket, set[Port]]] = [
    ("nobody", host(listening(21)), None, "unseen", set()),
    ("another pidfile", host(listening(21)), 21, "closed", {TCP}),
    ("elsewhere", host(listening(21, cgroup=SNAP)), 21, "elsewhere", {TCP}),
    (
        "two of them",
        host(running(), listening(21, cgroup=SNAP)),
        21,
        "elsewhere",
        {TCP},
    ),
    ("systemd", host(running(), listening(1, "systemd", "/init.scope")), 1, "closed", set()),
    ("systemd alone", host(listening(1, "systemd", "/init.scope")), 1, "unseen", set()),
    ("hidden", host(), 21, "unseen", set()),
]


@pytest.mark.parametrize(
    "there, pid, first, ports", [c[1:] for c in PEERS], ids=[c[0] for c in PEERS]
)
def test_dockerd_is_who_listens_at_its_socket_else_the_one_of_the_pidfile(
    there: Files, pid: int | None, first: FirstPacket, ports: set[Port]
) -> None:
    proxy = dockerd.read(there, ALL.get, pid).proxy
    assert proxy.first_packet == first
    assert proxy.dockerd_ports == ports


@pytest.mark.parametrize(
    "argv, config, iptables",
    [
        ((), "{}", True),
        (("--iptables=false",), "{}", False),
        ((), '{"iptables": false}', False),
        ((), '{"iptables": true}', True),
    ],
)
def test_docker_may_have_been_told_to_write_no_rules(
    argv: tuple[str, ...], config: str, iptables: bool
) -> None:
    found = dockerd.read(host(running(*argv), {CONFIG: config}), nothing)
    assert found.iptables is iptables
