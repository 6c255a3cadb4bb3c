"""What Docker writes its rules with: iptables-legacy, both flavours one after the other, nftables.

And what dockerfw writes its own with: iptables-restore or python-iptables. Engine 29, which no
Debian has, is played by its recorded rules and answers (``tests/fixtures``).
"""

from __future__ import annotations

import importlib.util
import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

import pytest

from dockerfw.kernel.netfilter import Netfilter
from dockerfw.kernel.runner import Completed, NotInstalled
from dockerfw.operations.reconcile import Reconciler
from dockerfw.policy.document import Document
from dockerfw.policy.parser import parse
from tests.edges.docker.answers import play
from tests.engine.scene import CONFIG, OFFICE, SOURCES, STRANGER, allow, apply, source_for
from tests.fakeengine import FakeEngine
from tests.lab.daemon import Daemon
from tests.lab.engine import Engine, EngineContainer
from tests.lab.host import HOST_V4, HOST_V6, Host
from tests.lab.place import Place, Probe, disagreements
from tests.packets.runner import HostRunner
from tests.packets.scene import Scene as KernelScene
from tests.paths import FIXTURES

RECORDED = "engine-29-nftables"
FIXTURE = FIXTURES / RECORDED
# The nft of Debian 12 knows this priority by its number alone.
RULESET = (
    (FIXTURE / "ruleset.nft").read_text().replace("output priority dstnat", "output priority -100")
)
POLICY = allow('to = "web"\nports = [80]', "office")


class Row(NamedTuple):
    """A packet, asked by the office and by a stranger."""

    protocol: Literal["tcp", "udp"]
    address: str
    port: int


def table(host: Host, rows: Sequence[Row], *, guarded: bool) -> list[tuple[Probe, bool]]:
    """All may without dockerfw, the office alone with it."""
    return [
        (
            Probe(host.outside, protocol, address, port, source_for(caller, address)),
            caller == OFFICE or not guarded,
        )
        for protocol, address, port in rows
        for caller in (OFFICE, STRANGER)
    ]


def saved(host: Host, flavour: str) -> str:
    """Both families of one flavour, without counters and comments."""
    text = "".join(
        host.run([f"{program}-{flavour}-save"]).stdout for program in ("iptables", "ip6tables")
    )
    return re.sub(r"\[\d+:\d+\]|^#.*\n", "", text, flags=re.MULTILINE)


# --- iptables-legacy -----------------------------------------------------------------------------


class Legacy(NamedTuple):
    host: Host
    engine: Engine
    web: EngineContainer

    @property
    def rows(self) -> list[Row]:
        """P1, P2, P3."""
        return [
            Row("tcp", HOST_V4, 8080),
            Row("tcp", self.web.address, 80),
            Row("tcp", HOST_V6, 8080),
        ]


@pytest.fixture(scope="module")
def legacy_host() -> Iterator[Legacy]:
    with Host(flavour="legacy") as host, Engine(host, "20.10") as engine:
        yield Legacy(host, engine, engine.container("web", "-p", "8080:80"))


@pytest.fixture
def legacy(legacy_host: Legacy) -> Iterator[Legacy]:
    yield legacy_host
    legacy_host.host.dockerfw("remove", "--yes")


def test_with_iptables_legacy_the_paths_are_closed_and_open_as_with_nft(legacy: Legacy) -> None:
    host = legacy.host
    before = saved(host, "legacy")
    assert "-A DOCKER " in before, "Docker itself is on iptables-legacy here"
    assert disagreements(table(host, legacy.rows, guarded=False)) == []

    apply(host, POLICY)

    assert disagreements(table(host, legacy.rows, guarded=True)) == []
    assert host.tcp(HOST_V4, 8080, patience=3).text == "web"
    assert legacy.web.tcp("203.0.113.2", 80, patience=3).outcome == "refused", "it gets out"
    assert "DOCKERFW" in saved(host, "legacy")
    assert "DOCKERFW" not in saved(host, "nft")
    assert host.dockerfw("status", check=False).returncode == 0
    assert json.loads(host.dockerfw("apply", "--json").stdout)["changed"] is False

    host.dockerfw("remove", "--yes")

    assert "DOCKERFW" not in saved(host, "legacy")
    assert disagreements(table(host, legacy.rows, guarded=False)) == []


@pytest.mark.skipif(
    importlib.util.find_spec("iptc") is None, reason="needs the python-iptables package"
)
def test_python_iptables_writes_the_same_rules_as_iptables_restore(legacy: Legacy) -> None:
    host = legacy.host
    several = POLICY + allow("published = [8080]", "iface:wg0") + "[[deny]]\nfrom = ['192.0.2.7']\n"
    apply(host, several)
    by_restore = saved(host, "legacy")
    host.dockerfw("remove", "--yes")

    apply(host, '[firewall]\ncommitter = "python-iptables"\n', several)

    assert saved(host, "legacy") == by_restore
    assert disagreements(table(host, legacy.rows, guarded=True)) == []
    assert json.loads(host.dockerfw("apply", "--json").stdout)["changed"] is False
    apply(host, '[firewall]\ncommitter = "python-iptables"\n', POLICY)
    by_python = saved(host, "legacy")
    apply(host, POLICY)
    assert saved(host, "legacy") == by_python


def test_of_two_flavours_the_live_one_is_used_and_the_stale_one_is_told() -> None:
    with Host() as host, Engine(host, "20.10") as engine:
        engine.container("web", "-p", "8080:80")
        engine.stop()
        assert ":DOCKER " in saved(host, "nft")
        host.use_legacy()
        engine.start()
        engine.docker("start", "web")
        scene = Legacy(host, engine, engine.refresh("web"))
        assert ":DOCKER " in saved(host, "nft"), "the old chains still stand"
        stale = saved(host, "nft")
        assert disagreements(table(host, scene.rows, guarded=False)) == []
        host.write(CONFIG, SOURCES + POLICY, 0o600)

        done = host.dockerfw("apply", "--yes")

        said = " ".join((done.stdout + done.stderr).split())
        assert "old Docker chains stand in iptables-nft" in said
        assert disagreements(table(host, scene.rows, guarded=True)) == []
        assert "DOCKERFW" in saved(host, "legacy")
        assert saved(host, "nft") == stale
        assert host.dockerfw("plan", check=False).returncode == 0


# --- Docker on nftables --------------------------------------------------------------------------


class Played(NamedTuple):
    """A host with the bridges, containers and rules of the recorded engine."""

    host: Host
    places: dict[str, Place]
    engine: FakeEngine

    @property
    def rows(self) -> list[Row]:
        """P1, P2, P3 and P8; the second UDP port is docker-proxy's, played by the host."""
        return [
            Row("tcp", HOST_V4, 8080),
            Row("tcp", HOST_V6, 8080),
            Row("udp", HOST_V4, 10000),
            Row("udp", HOST_V6, 10000),
            Row("tcp", "172.30.0.2", 80),
            Row("tcp", "fd00:30::2", 80),
            Row("tcp", HOST_V4, 9100),
            Row("tcp", HOST_V6, 9100),
        ]

    def open_ways(self) -> list[tuple[Probe, bool]]:
        """P4 to P7, and a service of the host's own."""
        web, media = self.places["shop-web-1"], self.places["media"]
        return [
            (Probe(media, "tcp", "172.17.0.3", 80), True),
            (Probe(media, "tcp", HOST_V4, 8080), True),
            (Probe(self.host, "tcp", HOST_V4, 8080), True),
            (Probe(self.host, "tcp", "172.30.0.2", 80), True),
            (Probe(web, "tcp", "203.0.113.2", 80), True),
            (Probe(web, "tcp", "2001:db8:1::2", 80), True),
            (Probe(self.host.outside, "tcp", HOST_V4, 22, STRANGER[0]), True),
        ]

    def nft_tables(self) -> set[str]:
        return set(self.host.run(["nft", "list", "tables"]).stdout.splitlines())

    def nft_table(self, *name: str) -> str:
        return self.host.run(["nft", "--stateless", "list", "table", *name]).stdout


PLAYED_POLICY = (
    allow('to = "shop-web-1"\nports = [80]', "office")
    + allow('published = ["10000-10001/udp"]', "office")
    + allow('to = "hostnet"\nports = [9100]', "office")
)


def name_as_docker_does(host: Host) -> None:
    """``veth`` and seven hex digits: dockerfw tells Docker's own interfaces by that."""
    links = json.loads(host.run(["ip", "-json", "link", "show", "type", "veth"]).stdout)
    bridged = [link["ifname"] for link in links if "master" in link]
    for number, name in enumerate(bridged):
        host.ip(f"link set {name} down", f"link set {name} name veth{number:07x} up")


def write_docker_rules(host: Host) -> None:
    """As dockerd does at its start."""
    host.run(["nft", "-f", "-"], stdin=RULESET)
    for family in ("ip", "ip6"):
        # As where the operator trusts an interface (option trusted_host_interfaces).
        host.run(["nft", "flush", "chain", family, "docker-bridges", "raw-PREROUTING"])


@pytest.fixture(scope="module")
def played() -> Iterator[Played]:
    front = "br-c48d0d732142"
    with Host() as host:
        host.bridge(front, "172.30.0.1/24", "fd00:30::1/64")
        host.bridge("shopback", "172.18.0.1/16")
        host.bridge("docker0", "172.17.0.1/16")
        homes: dict[str, dict[str, tuple[str, ...]]] = {
            "shop-web-1": {
                front: ("172.30.0.2/24", "fd00:30::2/64"),
                "shopback": ("172.18.0.2/16",),
            },
            "shop-db-1": {"shopback": ("172.18.0.3/16",)},
            "media": {"docker0": ("172.17.0.2/16",)},
            "plain": {"docker0": ("172.17.0.3/16",)},
        }
        places = {name: host.container(name, addresses) for name, addresses in homes.items()}
        name_as_docker_does(host)
        for place in places.values():
            place.listen("80/tcp", "10000/udp")
        host.listen("22/tcp", "9100/tcp", "10000/udp")
        host.outside.listen("80/tcp")
        write_docker_rules(host)
        engine = FakeEngine(host.path("/run/docker.sock"))
        play(engine, RECORDED)
        yield Played(host, places, engine)
        engine.close()


def test_with_docker_on_nftables_forward_itself_leads_to_our_chain(played: Played) -> None:
    host = played.host
    tables = played.nft_tables()
    dockers = [played.nft_table(family, "docker-bridges") for family in ("ip", "ip6")]
    assert disagreements(table(host, played.rows, guarded=False) + played.open_ways()) == []

    apply(host, PLAYED_POLICY)

    assert disagreements(table(host, played.rows, guarded=True) + played.open_ways()) == []
    rules = saved(host, "nft")
    assert rules.count("-A FORWARD -j DOCKERFW\n") == 2, "one a family"
    assert "DOCKER-USER" not in rules
    assert host.dockerfw("plan", check=False).returncode == 0
    assert host.dockerfw("status", check=False).returncode == 0
    assert [played.nft_table(family, "docker-bridges") for family in ("ip", "ip6")] == dockers

    host.dockerfw("remove", "--yes")

    assert disagreements(table(host, played.rows, guarded=False) + played.open_ways()) == []
    assert played.nft_tables() == tables


def test_an_accept_on_top_of_forward_is_put_below_us_where_docker_is_on_nftables(
    played: Played,
) -> None:
    host = played.host
    apply(host, PLAYED_POLICY)
    for program in ("iptables", "ip6tables"):
        host.run([program, "-I", "FORWARD", "-j", "ACCEPT"])
    closed = [
        (probe, open_) for probe, open_ in table(host, played.rows, guarded=True) if not open_
    ]
    assert disagreements(closed) == [], "the seal holds meanwhile"
    assert host.dockerfw("plan", check=False).returncode == 3

    host.dockerfw("apply")

    lines = host.run(["iptables", "-S", "FORWARD"]).stdout.splitlines()
    assert lines[1:] == ["-A FORWARD -j DOCKERFW", "-A FORWARD -j ACCEPT"]
    assert disagreements(table(host, played.rows, guarded=True) + played.open_ways()) == []


def ways_to_our_chain(host: Host) -> list[str]:
    """What stands of FORWARD and DOCKER-USER, both families."""
    rule = r"^-A (?:FORWARD|DOCKER-USER) -j DOCKER.*|^:DOCKER-USER"
    return re.findall(rule, saved(host, "nft"), re.MULTILINE)


def flush(played: Played) -> None:
    """Docker's rules and ours are gone, as after ``systemctl reload nftables``."""
    played.host.run(["nft", "flush", "ruleset"])


def under_the_daemon(played: Played) -> None:
    with Daemon(played.host) as daemon:
        flush(played)
        daemon.until_said("put right")


def by_apply(played: Played) -> None:
    flush(played)
    played.host.dockerfw("apply")


def by_apply_of_another_host(played: Played) -> None:
    """Nothing is known from before: Docker reports it."""
    played.host.dockerfw("remove", "--yes")
    flush(played)
    played.host.dockerfw("apply", "--yes")


def at_boot(played: Played) -> None:
    """Docker does not run yet."""
    played.engine.kill()
    flush(played)
    played.host.run(["ipset", "flush"])  # a set that another one lists cannot be destroyed
    played.host.run(["ipset", "destroy"])
    played.host.dockerfw("boot")
    said = played.host.dockerfw("status", check=False).stdout
    assert "Docker's own rules are gone" not in " ".join(said.split())
    assert "on nftables" in said
    played.engine.revive()


@pytest.mark.parametrize(
    "put_back",
    [
        under_the_daemon,
        pytest.param(by_apply, marks=pytest.mark.slow),
        by_apply_of_another_host,
        at_boot,
    ],
)
def test_that_docker_is_on_nftables_is_known_without_its_rules(
    played: Played, put_back: Callable[[Played], None]
) -> None:
    host = played.host
    apply(host, PLAYED_POLICY)
    assert ways_to_our_chain(host) == ["-A FORWARD -j DOCKERFW"] * 2

    put_back(played)

    assert ways_to_our_chain(host) == ["-A FORWARD -j DOCKERFW"] * 2
    write_docker_rules(host)
    host.dockerfw("apply")
    assert disagreements(table(host, played.rows, guarded=True) + played.open_ways()) == []
    done = host.dockerfw("status", check=False)
    assert done.returncode == 0, done.stdout
    assert "on nftables" in done.stdout


# --- a kernel without IPv6 -----------------------------------------------------------------------


class WithoutIPv6(HostRunner):
    """A host whose kernel has no IPv6: no list of addresses, and no ip6tables that works."""

    def run(self, argv: Sequence[str], stdin: str | None = None, timeout: float = 60) -> Completed:
        if argv[0].startswith("ip6tables"):
            raise NotInstalled(f"{argv[0]} was started on a host without IPv6")
        return super().run(argv, stdin, timeout)

    def read_file(self, path: str) -> str | None:
        return None if path.endswith("/if_inet6") else super().read_file(path)


def test_without_ipv6_in_the_kernel_half_the_rules_are_all_of_them() -> None:
    with KernelScene() as scene:
        six = scene.saved(6)
        kernel = Netfilter(WithoutIPv6(scene.host), time.time)
        reconciler = Reconciler(kernel, scene.store, time.time)
        policy = parse(
            [Document(CONFIG, (SOURCES + POLICY).encode())], lambda _document, _path: b""
        )

        result = reconciler.commit(policy, scene.inventory)

        assert result.last.plan.in_sync
        assert not result.last.facts.ipv6
        assert scene.saved(6) == six
        sets = scene.host.run(["ipset", "list", "-name"]).stdout.split()
        assert "dockerfw-guarded4" in sets
        ours = scene.host.run(["ipset", "list", "-terse"]).stdout
        assert "family inet hashsize" in ours
        assert "family inet6" not in ours
        assert reconciler.commit(policy, scene.inventory).steps == 0
        web = scene.host.outside
        assert web.tcp(HOST_V4, 8080, source=OFFICE[0], patience=3).text == "web"
        assert not web.tcp(HOST_V4, 8080, source=STRANGER[0], patience=0.3).reached
