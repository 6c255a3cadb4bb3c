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
UNIT = "system.slice/docker.service"
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
    files = {f"/sys/fs/cgroup/{mount}cgroup.controllers": "cpu\n", "/proc/1/comm": "systemd\n"}
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


def living(*pids: int, cgroup: str = UNIT) -> dict[str, str]:
    """Processes of a cgroup; those from 30 on are somebody else's, each the child of the next."""
    files = {f"/sys/fs/cgroup/{cgroup}/cgroup.procs": "".join(f"{pid}\n" for pid in pids)}
    parents = {
        17: (1, "dockerd"),
        18: (17, "docker-proxy"),
        19: (18, "a) (b"),
        20: (1, "containerd-shim"),
    }
    parents |= {pid: (pid + 1, "x") for pid in range(30, 35)} | {35: (1, "sshd")}
    for pid, (parent, name) in parents.items():
        files[f"/proc/{pid}/stat"] = f"{pid} ({name}) S {parent} 1 1 0 -1 4194560"
    return files


STOCK = running(cgroup=f"/{UNIT}")
STOCK_HOME = Cgroup(UNIT, 2, 4721, unit=True)
ALL = inodes(**{"dockerd.slice": 4711, "unified/dockerd.slice": 4712, "lab/dockerd.slice": 4713})
ALL |= inodes(**{f"{UNIT}/sub": 4720, UNIT: 4721, f"unified/{UNIT}": 4722, "a.service": 4723})
ONLY_THE_SLICE = inodes(**{"dockerd.slice": 4711})
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
    ("before Docker starts", host(), ONLY_THE_SLICE, HERE, "unseen"),
    ("its unit is there, and it starts just now", host(), ALL, STOCK_HOME, "unseen"),
    ("in its unit", host(STOCK, living(17)), ALL, STOCK_HOME, "closed"),
    ("and all that it started", host(STOCK, living(17, 18, 19, 20)), ALL, STOCK_HOME, "closed"),
    ("and one that has gone meanwhile", host(STOCK, living(17, 99)), ALL, STOCK_HOME, "closed"),
    ("with sshd", host(STOCK, living(17, 35)), ALL, None, "elsewhere"),
    ("with a child of sshd", host(STOCK, living(17, 31)), ALL, None, "elsewhere"),
    ("with one of another namespace", host(STOCK, living(0, 17)), ALL, None, "elsewhere"),
    ("its unit is not to be read", host(STOCK), ALL, None, "elsewhere"),
    (
        "its unit, beside version 1",
        host(STOCK, living(17, cgroup=f"unified/{UNIT}"), mount="unified/"),
        ALL,
        Cgroup(f"unified/{UNIT}", 2, 4722, unit=True),
        "closed",
    ),
    (
        "below its unit",
        host(running(cgroup=f"/{UNIT}/sub"), living(17, cgroup=f"{UNIT}/sub")),
        ALL,
        Cgroup(f"{UNIT}/sub", 3, 4720, unit=True),
        "closed",
    ),
    (
        "in a unit of another name",
        host(running(cgroup="/a.service"), living(17, cgroup="a.service")),
        ALL,
        Cgroup("a.service", 1, 4723, unit=True),
        "closed",
    ),
    (
        "alone in a session",
        host(
            running(cgroup="/user.slice/session-3.scope"),
            living(17, cgroup="user.slice/session-3.scope"),
        ),
        inodes(**{"user.slice/session-3.scope": 1}),
        None,
        "elsewhere",
    ),
    (
        "at the root",
        host(running(cgroup="/"), living(17, cgroup="")),
        inodes(**{"": 1}),
        None,
        "elsewhere",
    ),
    ("no slice, no Docker", host(), {}, None, "unseen"),
    (
        "told to run no proxy, and not seen: another one may run",
        host({CONFIG: '{"userland-proxy": false}'}),
        ONLY_THE_SLICE,
        HERE,
        "unseen",
    ),
    ("Docker not in it yet", host(running(cgroup="/system.slice/x")), ALL, None, "elsewhere"),
    (
        "outside of this namespace",
        host(running(cgroup="/../a.service"), living(17, cgroup="../a.service")),
        inodes(**{"../a.service": 1}),
        None,
        "elsewhere",
    ),
    ("its slice is gone", host(running()), {}, None, "elsewhere"),
    (
        "a left-over process id",
        host(running(), {"/proc/17/comm": "sh\n"}),
        ONLY_THE_SLICE,
        HERE,
        "unseen",
    ),
    ("no version 2", Files(running() | {"/proc/1/comm": "systemd\n"}), ALL, None, "no cgroup2"),
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
def test_only_a_cgroup_of_dockerds_own_counts(
    there: Files, found: Mapping[str, int], cgroup: Cgroup | None, first: FirstPacket
) -> None:
    proxy = dockerd.read(there, found.get).proxy
    assert (proxy.cgroup, proxy.first_packet) == (cgroup, first)


@pytest.mark.parametrize("shown", ["refused", "missing"])
def test_a_dockerd_that_proc_hides_has_no_cgroup_that_could_close_its_own_ports(shown: str) -> None:
    there = host(running("-H", "tcp://0.0.0.0:2375"))
    hidden = frozenset(path for path in there.files if path.startswith("/proc/"))
    if shown == "refused":
        there.locked = hidden
    else:
        there.files = {path: text for path, text in there.files.items() if path not in hidden}
    for listeners in ([], [1], [17], [1, 17]):
        assert dockerd.read(there, ALL.get, listeners).proxy == Proxy(None, frozenset(), "unseen")


def test_whoever_else_answers_at_dockers_socket_may_be_its_host() -> None:
    """A proxy before Docker's socket, for instance: which ports are dockerd's own nobody knows."""
    there = host({"/proc/21/comm": "socket-proxy\n"})
    assert dockerd.read(there, ALL.get, [21]).proxy.cgroup is None
    assert dockerd.read(there, ALL.get, [1]).proxy.cgroup == STOCK_HOME, "systemd listens for it"


def test_a_new_cgroup_is_known_before_dockerd_runs_in_it() -> None:
    seen = dockerd.read(host(STOCK, living(17), {CONFIG: '{"hosts": ["tcp://:1"]}'}), ALL.get).proxy
    made = dockerd.renewed(host({CONFIG: '{"hosts": ["tcp://:2"]}'}), inodes(**{UNIT: 5}).get, seen)
    assert made.cgroup == Cgroup(UNIT, 2, 5, unit=True)
    assert made.dockerd_ports == {Port("tcp", 1), Port("tcp", 2)}, "what it may be told again"
    gone = dockerd.renewed(host(), nothing, made)
    assert gone.cgroup is None
    assert dockerd.renewed(host(), inodes(**{UNIT: 6}).get, gone).cgroup == Cgroup(
        UNIT, 2, 6, unit=True
    )


def test_a_cgroup_that_dockerd_shared_is_not_gone_by_when_it_is_made_anew() -> None:
    shared = dockerd.read(host(STOCK, living(17, 35)), ALL.get).proxy
    assert dockerd.renewed(host(), ALL.get, shared).cgroup is None


@pytest.mark.parametrize("argv", [(), ("--data-root", "/data"), ("-g", "/data"), ("-g=/data",)])
def test_what_a_swarm_listens_on_stands_where_dockerd_keeps_its_data(argv: tuple[str, ...]) -> None:
    folder = "/data" if argv else "/var/lib/docker"
    told_in = dockerd.read(host(running(*argv)), nothing).proxy.told_in
    assert told_in == f"{folder}/swarm/docker-state.json"


def listening(pid: int, comm: str = "dockerd", cgroup: str = "/dockerd.slice/x") -> dict[str, str]:
    """Who listens at Docker's socket, and keeps its pidfile elsewhere."""
    return {
        f"/proc/{pid}/comm": f"{comm}\n",
        f"/proc/{pid}/cmdline": f"{comm}\0-H\0tcp://0.0.0.0:2375\0",
        f"/proc/{pid}/cgroup": f"0::{cgroup}\n",
    }


SNAP = "/system.slice/snap.docker.dockerd.service"
PEERS: list[tuple[str, Files, list[int], FirstPacket, set[Port]]] = [
    ("nobody", host(listening(21)), [], "unseen", set()),
    ("another pidfile", host(listening(21)), [21], "closed", {TCP}),
    ("elsewhere", host(listening(21, cgroup=SNAP)), [21], "elsewhere", {TCP}),
    (
        "two of them",
        host(running(), listening(21, cgroup=SNAP)),
        [21],
        "elsewhere",
        {TCP},
    ),
    ("systemd", host(running(), listening(1, "systemd", "/init.scope")), [1], "closed", set()),
    ("systemd alone", host(listening(1, "systemd", "/init.scope")), [1], "unseen", set()),
    ("hidden", host(), [21], "unseen", set()),
    (
        "systemd listens, and dockerd answers",
        host(running(), listening(1, "systemd", "/init.scope"), listening(21)),
        [1, 21],
        "closed",
        {TCP},
    ),
]


@pytest.mark.parametrize(
    "there, pids, first, ports", [c[1:] for c in PEERS], ids=[c[0] for c in PEERS]
)
def test_dockerd_is_who_listens_at_its_socket_else_the_one_of_the_pidfile(
    there: Files, pids: list[int], first: FirstPacket, ports: set[Port]
) -> None:
    proxy = dockerd.read(there, ALL.get, iter(pids)).proxy
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
