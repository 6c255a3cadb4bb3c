"""docker-proxy is closed from its first packet, on a port that dockerfw has never heard of.

No daemon runs. dockerd lives in ``dockerd.slice``, as the drop-in has it; a port published over
IPv6 of an IPv4-only network is docker-proxy's alone. Each test first shows the leak.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from itertools import count
from typing import Any, NamedTuple

import pytest

from tests.engine.scene import CONFIG, STRANGER, allow, apply
from tests.lab.cgroups import SlicedEngine, Tree, at_home_in
from tests.lab.engine import Engine, EngineContainer
from tests.lab.host import HOST_V4, HOST_V6, Host
from tests.lab.packet import Packet
from tests.lab.place import Blows, Probe, probe
from tests.lab.wait import until

API, SWARM, GOSSIP, VXLAN = 2375, 2377, 7946, 4789
BROADCAST = "203.0.113.255"
BEHIND_V6 = "2001:db8:10::7"
PROXIES = ("inet", "dockerfw", "proxies")
POLICY = allow('to = "web"\nports = [80]', "any")


class Scene(NamedTuple):
    host: Host
    engine: SlicedEngine

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(
            self.host.dockerfw("status", "--json", check=False).stdout
        )
        return answer

    def publish(self, name: str, tcp: int, udp: int) -> EngineContainer:
        """A container that dockerfw knows nothing of."""
        new = self.engine.container(name, "-p", f"{tcp}:80", "-p", f"{udp}:53/udp")
        new.listen("53/udp")
        return new

    def packets_dropped(self) -> int:
        """By the rule on the cgroup."""
        listed = self.host.run(["nft", "list", "chain", *PROXIES]).stdout
        found = re.search(r"socket cgroupv2 .* counter packets (\d+)", listed)
        assert found, f"the seal has no rule on a cgroup:\n{listed}"
        return int(found[1])

    def without(self, words: str = "socket cgroupv2", chain: str = "proxies") -> None:
        """Take one rule out of the seal; the next apply puts it back."""
        where = ["inet", "dockerfw", chain]
        listed = self.host.run(["nft", "--handle", "list", "chain", *where]).stdout
        found = re.search(rf"{words} .* # handle (\d+)", listed)
        assert found, f"the seal has no rule with {words}:\n{listed}"
        self.host.run(["nft", "delete", "rule", *where, "handle", found[1]])

    def hammered(self, name: str, tcp: int, udp: int) -> tuple[Blows, EngineContainer]:
        """Start a container under a hammer that aims at its port before there is one."""
        with self.host.outside.hammer((HOST_V6, tcp), (HOST_V4, tcp)) as hammer:
            until(lambda: hammer.count().tries > 0, "the hammer to begin")
            new = self.publish(name, tcp, udp)
            # docker-proxy may be too busy with those that get in to answer its own host.
            until(
                lambda: hammer.count().total > 0 or self.host.tcp("::1", tcp).text == name,
                f"{name} to answer",
            )
            begun = hammer.count().tries
            until(lambda: hammer.count().tries > begun + 1000, "the hammer to go on", seconds=30)
            return hammer.stop(), new

    def forget(self, *names: str) -> None:
        self.engine.docker("rm", "-f", *names)


ALSO_ON_28 = pytest.mark.parametrize(
    "stage", ["20.10", pytest.param("28.5", marks=pytest.mark.slow)], indirect=True
)
"""What does not depend on the engine's way to start docker-proxy: 20.10 stands for both."""


@pytest.fixture(scope="module", params=["20.10", "28.5"])
def stage(request: pytest.FixtureRequest) -> Iterator[Scene]:
    options = ("-H", "unix:///run/docker.sock", "-H", f"tcp://0.0.0.0:{API}", "--tls=false")
    with Host() as host, SlicedEngine(host, request.param, *options) as engine:
        engine.container("web", "-p", "8080:80")
        yield Scene(host, engine)


@pytest.fixture
def scene(stage: Scene) -> Scene:
    """The stage with the policy in force."""
    apply(stage.host, POLICY)
    return stage


def assert_closed_from_the_first_packet(scene: Scene, name: str, tcp: int, udp: int) -> None:
    blows, new = scene.hammered(name, tcp, udp)
    assert blows.total == 0, blows
    assert blows.tries > 1000, blows
    new.received()
    assert not scene.host.outside.udp(HOST_V6, udp, patience=0.5).reached
    scene.host.outside.udp(BROADCAST, udp, broadcast=True, patience=0.5)
    assert not new.received(), "no datagram got as far as the container"


def test_a_new_port_of_docker_proxy_is_closed_from_its_first_packet(scene: Scene) -> None:
    scene.without()
    blows, leaky = scene.hammered("leaky", 8090, 5390)
    assert blows.accepted.get(f"{HOST_V6} 8090"), f"without the rule nothing leaked: {blows}"
    assert scene.host.outside.udp(HOST_V6, 5390, patience=3).text == "leaky"
    leaky.received()
    scene.host.outside.udp(BROADCAST, 5390, broadcast=True, patience=0.5)
    assert leaky.received(), "without the rule a broadcast gets through as well"
    scene.forget(leaky.name)
    apply(scene.host, POLICY)

    assert_closed_from_the_first_packet(scene, "late", 8091, 5391)

    for own in ("::1", HOST_V6, "127.0.0.1", HOST_V4):
        assert scene.host.tcp(own, 8091).text == "late", f"this host itself, by {own}"
        assert scene.host.udp(own, 5391).text == "late", f"this host itself, by {own}"
    assert scene.status()["docker_proxy_first_packet"] == "closed"
    scene.forget("late")


def test_what_the_policy_allows_goes_on_through_docker_proxy(scene: Scene) -> None:
    for source in STRANGER:
        address = HOST_V6 if ":" in source else HOST_V4
        answer = scene.host.outside.tcp(address, 8080, source=source, patience=3)
        assert answer.text == "web", f"from {source}"


def test_the_api_of_dockerd_itself_stays_within_reach(scene: Scene) -> None:
    assert scene.host.outside.tcp(HOST_V4, API, patience=3).reached
    scene.host.run(["nft", "flush", "set", "inet", "dockerfw", "dockerd"])
    assert not scene.host.outside.tcp(HOST_V4, API, patience=0.5).reached, (
        "it is spared, not missed"
    )
    apply(scene.host, POLICY)
    assert scene.host.outside.tcp(HOST_V4, API, patience=3).reached


def test_containers_reach_host_ports_as_before(scene: Scene) -> None:
    """Those of a network that came after the last apply, too."""
    scene.engine.docker("network", "create", "late")
    late = scene.engine.container("neighbour", "--network", "late")
    web = scene.engine.refresh("web")
    scene.publish("target", 8092, 5392)
    with_rule = [place.tcp(HOST_V4, 8092, patience=3).text for place in (web, late)]
    scene.without()
    without = [place.tcp(HOST_V4, 8092, patience=3).text for place in (web, late)]
    scene.forget("target", "neighbour")
    scene.engine.docker("network", "rm", "late")
    assert with_rule == without == ["target", "target"]


@ALSO_ON_28
def test_it_outlives_a_restart_of_docker(scene: Scene) -> None:
    before = scene.engine.tree.service.stat().st_ino
    scene.engine.stop()
    scene.engine.tree.anew(slice_too=False)
    scene.engine.start()
    assert scene.engine.tree.service.stat().st_ino != before

    assert_closed_from_the_first_packet(scene, "restarted", 8093, 5393)

    scene.forget("restarted")
    scene.engine.docker("start", "web")


@ALSO_ON_28
def test_a_slice_that_was_made_anew_is_drift_and_mended(scene: Scene) -> None:
    scene.engine.stop()
    scene.engine.tree.anew(slice_too=True)
    scene.engine.start()
    scene.engine.docker("start", "web")
    blows, _ = scene.hammered("stale", 8094, 5394)
    assert blows.accepted.get(f"{HOST_V6} 8094"), f"the old rule means nobody: {blows}"
    scene.forget("stale")
    status = scene.status()
    assert status["in_sync"] is False
    assert status["seal"] == "differs"
    assert status["docker_proxy_first_packet"] == "open"

    apply(scene.host, POLICY)

    assert scene.status()["seal"] == "stands"
    assert_closed_from_the_first_packet(scene, "mended", 8095, 5395)
    scene.forget("mended")
    assert "In sync" in scene.host.dockerfw("apply", "--yes").stdout


@ALSO_ON_28
def test_in_observe_mode_the_rule_counts_and_drops_nothing(scene: Scene) -> None:
    apply(scene.host, '[firewall]\nmode = "observe"', POLICY)
    scene.publish("watched", 8096, 5396)
    assert scene.host.outside.tcp(HOST_V6, 8096, patience=3).text == "watched"
    assert scene.packets_dropped() > 0, "of those that would be"
    assert scene.status()["docker_proxy_first_packet"] == "observed"
    scene.forget("watched")


@ALSO_ON_28
def test_a_packet_forged_in_this_hosts_name_makes_nobody_an_answerer(scene: Scene) -> None:
    """Without the chains it is forwarded, and what its target sends then travels as a reply."""
    for program in ("iptables", "ip6tables"):
        scene.host.run([program, "-F"])
    everywhere = scene.publish("everywhere", 8097, 5397)
    at_one = scene.engine.container("at-one", "-p", f"[{HOST_V6}]:5398:53/udp")
    at_one.listen("53/udp")
    own_ports = count(45000)

    def answers(port: int) -> bool:
        """Whether the receiver of a spoofed packet reaches the port that it came from."""
        own = next(own_ports)
        scene.host.outside.forge(Packet("udp", HOST_V6, BEHIND_V6, port, own))
        return probe([Probe(scene.host.outside, "udp", HOST_V6, port, BEHIND_V6, own)])[0].reached

    assert [answers(5397), answers(5398)] == [False, False]
    scene.without("fib saddr type local", chain="forwarded")
    assert [answers(5397), answers(5398)] == [False, True], "one at every address is known by that"
    scene.without("socket wildcard")
    scene.host.run(["nft", "insert", "rule", *PROXIES, "ct", "direction", "reply", "accept"])
    assert [answers(5397), answers(5398)] == [True, True]
    scene.forget(everywhere.name, at_one.name)
    scene.engine.restart()
    scene.engine.docker("start", "web")


@pytest.mark.slow  # tests/engine/test_daemon_drift.py has this with the daemon
def test_dockers_own_rules_that_are_gone_are_told_with_what_brings_them_back(scene: Scene) -> None:
    def told() -> bool:
        return any("restart Docker" in warning["text"] for warning in scene.status()["warnings"])

    assert not told()
    for program in ("iptables", "ip6tables"):
        for flush in (["-F"], ["-X"], ["-t", "nat", "-F"], ["-t", "nat", "-X"]):
            scene.host.run([program, *flush])
    assert told()
    apply(scene.host, POLICY)
    assert told(), "dockerfw cannot bring them back"
    scene.engine.restart()
    scene.engine.docker("start", "web")
    assert not told()


@ALSO_ON_28
def test_a_swarm_goes_on_by_dockerds_ports_and_by_the_kernels_vxlan_socket(scene: Scene) -> None:
    """The kernel's socket for VXLAN is dockerd's by its cgroup, and in no list of its files."""
    scene.engine.docker("swarm", "init", "--advertise-addr", HOST_V4)
    scene.engine.docker("network", "create", "-d", "overlay", "--attachable", "wide")
    scene.engine.container("attached", "--network", "wide")

    def dropped() -> int:
        """VXLAN packets that the rule on the cgroup takes, of one that is sent."""
        before = scene.packets_dropped()
        scene.host.outside.udp(HOST_V4, VXLAN, patience=0.2)
        return scene.packets_dropped() - before

    apply(scene.host, POLICY)
    for port in (SWARM, GOSSIP):
        assert scene.host.outside.tcp(HOST_V4, port, patience=3).reached, port
    assert dropped() == 0
    scene.host.run(["nft", "flush", "set", "inet", "dockerfw", "dockerd"])
    assert not scene.host.outside.tcp(HOST_V4, SWARM, patience=0.5).reached, "it is spared"
    assert dropped() == 1, "it is spared, not missed"
    scene.forget("attached")
    scene.engine.docker("swarm", "leave", "--force")


# --- a dockerd that keeps its pidfile elsewhere, as snap has it ----------------------------------

SNAP_PID = "/run/snap.docker.pid"


@pytest.mark.parametrize("home", ["elsewhere", "slice"])
def test_a_dockerd_with_another_pidfile_is_found_and_not_guessed_at(home: str) -> None:
    """A slice stands in both, and one of them is empty: only one may be called closed."""
    in_namespace = 'mount -t cgroup2 none /sys/fs/cgroup && exec "$@"'
    options = ("--pidfile", SNAP_PID, "-H", "unix:///run/docker.sock", "-H", f"tcp://0.0.0.0:{API}")
    with Host() as host:
        tree = Tree(host)
        with at_home_in(tree.service if home == "slice" else tree.top):
            engine = Engine(host, "20.10", *options, "--tls=false")

        def dockerfw(*arguments: str) -> str:
            enter = ["unshare", "--cgroup", "--mount", "sh", "-c", in_namespace, "sh"]
            with at_home_in(tree.top):
                argv = [*enter, sys.executable, "-m", "dockerfw", *arguments]
                return host.run(argv, check=False).stdout

        with engine:
            engine.container("web", "-p", "8080:80")
            host.write(CONFIG, POLICY, 0o600)
            dockerfw("apply", "--yes")
            status = json.loads(dockerfw("status", "--json"))
            assert host.outside.tcp(HOST_V4, API, patience=3).reached, "its API is its own"
            with host.outside.hammer((HOST_V6, 8090)) as hammer:
                engine.container("late", "-p", "8090:80")
                begun = hammer.count().tries
                until(lambda: hammer.count().tries > begun + 1000, "the hammer to go on", 30)
                leaks = hammer.stop().total
            expected = ("closed", 0) if home == "slice" else ("open", leaks or 1)
            assert (status["docker_proxy_first_packet"], leaks) == expected


# --- the seal of dockerfw boot alone, and sockets of our own in the slice ------------------------


@pytest.fixture
def booted() -> Iterator[tuple[Host, Tree]]:
    """In a cgroup namespace of its own, as a container or a booted system in one has."""
    script = 'mount -t cgroup2 none /sys/fs/cgroup && exec "$@"'
    with Host() as host:
        tree = Tree(host)
        host.write("/var/lib/dockerfw/lockdown", "closed until the next apply\n")
        boot = ["unshare", "--cgroup", "--mount", "sh", "-c", script, "sh", sys.executable]
        with at_home_in(tree.top):
            host.run([*boot, "-m", "dockerfw", "boot"])
        yield host, tree


LISTEN = """
import signal, socket, sys
s = socket.create_server(("::", int(sys.argv[1])), family=socket.AF_INET6)
s.listen()
signal.pause()
"""


def test_boot_closes_what_will_live_in_the_slice_before_docker_does(
    booted: tuple[Host, Tree],
) -> None:
    host, tree = booted
    for port, home in ((8080, tree.service), (9090, tree.top)):
        with at_home_in(home):
            host.start([sys.executable, "-c", LISTEN, str(port)])
    until(
        lambda: host.tcp("::1", 8080).reached and host.tcp("::1", 9090).reached,
        "both to listen",
    )
    assert not host.outside.tcp(HOST_V6, 8080, patience=0.5).reached
    assert host.outside.tcp(HOST_V6, 9090, patience=3).reached, "nobody else is closed"
    host.run(["nft", "delete", "table", "inet", "dockerfw"])
    assert host.outside.tcp(HOST_V6, 8080, patience=3).reached, "it was the seal"


FLOOD = """
import socket, sys
udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
while True:
    udp.sendto(b"x", (sys.argv[1], 5353))
    with socket.socket(socket.AF_INET6) as tcp:
        tcp.setblocking(False)
        tcp.connect_ex((sys.argv[1], 8080))
"""
BIRTHS = """
import select, socket, sys
reached = {"tcp": 0, "udp": 0}
for _ in range(int(sys.argv[1])):
    with (
        socket.create_server(("::", 8080), family=socket.AF_INET6) as tcp,
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as udp,
    ):
        udp.bind(("::", 5353))
        ready = select.select([tcp, udp], [], [], 0.001)[0]
        reached["tcp"] += tcp in ready
        reached["udp"] += udp in ready
    if all(reached.values()):
        break
print(*(name for name, times in reached.items() if times))
"""


def test_nothing_reaches_a_socket_that_is_born_while_a_packet_is_on_its_way_to_it(
    booted: tuple[Host, Tree],
) -> None:
    """A packet that met no socket when the seal asked would be handed to it all the same."""
    host, tree = booted

    def reached(births: int) -> set[str]:
        with at_home_in(tree.service):
            return set(host.run([sys.executable, "-c", BIRTHS, str(births)]).stdout.split())

    for address in (HOST_V4, HOST_V6):
        answers = probe([Probe(host.outside, name, address, 9999) for name in ("tcp", "udp")], 3)
        assert {answer.outcome for answer in answers} == {"refused"}, "where nobody listens"
    host.outside.start([sys.executable, "-c", FLOOD, HOST_V6])
    assert reached(3000) == set()
    host.run(["nft", "flush", "chain", "inet", "dockerfw", "unheard"])
    assert reached(20_000) == {"tcp", "udp"}, "with the rule on the cgroup alone"
