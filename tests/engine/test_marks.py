"""Packet marks have other users: multi-WAN routers, VPNs, proxies, all in mangle PREROUTING.

Their rules write marks without a mask, save them with the connection and bring them back in a
later packet. Two bits are dockerfw's: nobody may be let in, kept in or cut off by what those
rules do to them, and no packet of others may carry them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import pytest

from tests.engine.scene import OFFICE, STRANGER, allow, apply
from tests.lab.engine import Engine, EngineContainer
from tests.lab.host import HOST_V4, HOST_V6, Host
from tests.lab.place import Flow, Place, Probe, disagreements

PROGRAMS = ("iptables", "ip6tables")
OUR_BITS = "0x30000000"
LEAVER = ("192.0.2.7", "2001:db8:20::7")
"""May reach the shop in the beginning; the policy then withdraws it."""

PORTS = 'to = "web"\nports = [6000, "6001/udp"]'
WITH_LEAVER = allow(PORTS, "office", "192.0.2.0/24", "2001:db8:20::/48")
WITHOUT_LEAVER = allow(PORTS, "office")

RESTORE = "-j CONNMARK --restore-mark"
SAVE = "-j CONNMARK --save-mark"
SET = "-j MARK --set-mark 0x1"


class Foreign(NamedTuple):
    """Rules of another tool: those at the top of PREROUTING, and those at its end."""

    name: str
    top: tuple[str, ...] = ()
    end: tuple[str, ...] = ()


AT_THE_END = Foreign("set at the end", (), (SET,))
MULTI_WAN = Foreign("multi-WAN", (RESTORE, f"-m mark --mark 0x0 {SET}", SAVE), (SAVE, RESTORE))
"""It restores, sets and saves, above our jump and below it."""
ALL_BITS = Foreign("all bits", ("-j MARK --set-mark 0xffffffff", SAVE), (RESTORE,))
MORE = [
    Foreign("restore, save", (RESTORE,), (SAVE,)),
    Foreign("save, restore", (SAVE,), (RESTORE,)),
    Foreign("restore and save at the end", (), (SAVE, RESTORE)),
    Foreign("set at the top", (SET,)),
]
BEFORE, AFTER = "before the apply", "after the apply"
QUICK = {(AT_THE_END, BEFORE), (MULTI_WAN, AFTER), (ALL_BITS, AFTER)}
"""Each kind of rules once, and each order."""


class Scene(NamedTuple):
    host: Host
    engine: Engine
    web: EngineContainer
    lan: Place

    def mangle(self, *words: str) -> None:
        for program in PROGRAMS:
            self.host.run([program, "-w", "10", "-t", "mangle", *words])

    def write(self, foreign: Foreign) -> None:
        for rule in reversed(foreign.top):
            self.mangle("-I", "PREROUTING", *rule.split())
        for rule in foreign.end:
            self.mangle("-A", "PREROUTING", *rule.split())

    def erase(self, foreign: Foreign) -> None:
        for rule in (*foreign.top, *foreign.end):
            self.mangle("-D", "PREROUTING", *rule.split())

    def foreign_rules(self) -> list[str]:
        """Everything in PREROUTING that is not dockerfw's, in its order."""
        return [
            line
            for program in PROGRAMS
            for line in self.host.run(
                [program, "-t", "mangle", "-S", "PREROUTING"]
            ).stdout.splitlines()
            if "DOCKERFW" not in line
        ]

    def paths(self) -> list[tuple[Literal["tcp", "udp"], str, int]]:
        """P1, P3 in IPv6, and P2 in both families: (protocol, address, port)."""
        addresses = (HOST_V4, HOST_V6, self.web.ipv4[0], self.web.ipv6[0])
        tcp: list[tuple[Literal["tcp", "udp"], str, int]] = [("tcp", a, 6000) for a in addresses]
        return [*tcp, *(("udp", a, 6001) for a in addresses)]


@pytest.fixture(scope="module")
def docker_host() -> Iterator[Scene]:
    """20.10 without IPv6 rules of its own: IPv6 to host ports is docker-proxy's."""
    with Host() as host, Engine(host, "20.10") as engine:
        engine.docker("network", "create", "--ipv6", "--subnet", "fd00:6::/64", "dual")
        publish = ("-p", "6000:6000", "-p", "6001:6001/udp")
        web = engine.container("web", "--network", "dual", *publish)
        web.listen("6000/tcp", "6001/udp")
        host.bridge("lan0", "10.50.0.1/24", "fd00:50::1/64")
        lan = host.container("lan", {"lan0": ("10.50.0.2/24", "fd00:50::2/64")}, by_docker=False)
        lan.listen("6000/tcp", "6001/udp")
        host.outside.listen("6000/tcp")
        yield Scene(host, engine, web, lan)


@pytest.fixture
def scene(docker_host: Scene) -> Iterator[Scene]:
    """A host with nothing of dockerfw and nothing in mangle."""
    yield docker_host
    docker_host.host.dockerfw("remove", "--yes")
    docker_host.mangle("-F")


def flows(scene: Scene, sources: tuple[str, str]) -> dict[str, Flow]:
    """One on each path, with a name that says which."""
    opened = {}
    for protocol, address, port in scene.paths():
        source = sources[":" in address]
        flow = scene.host.outside.flow(protocol, address, port, source=source)
        opened[f"{protocol} from {source} to {address}"] = flow
    return opened


def silent(flows: dict[str, Flow], patience: float) -> list[str]:
    """Those that get no answer."""
    return [name for name, flow in flows.items() if not flow.ask(patience)]


def new_ones(scene: Scene, sources: tuple[str, str], *, open_: bool) -> list[tuple[Probe, bool]]:
    return [
        (Probe(scene.host.outside, protocol, address, port, sources[":" in address]), open_)
        for protocol, address, port in scene.paths()
    ]


@pytest.mark.quick_where(holds=lambda foreign, when: (foreign, when) in QUICK)
@pytest.mark.parametrize("when", [BEFORE, AFTER])
@pytest.mark.parametrize(
    "foreign", [AT_THE_END, MULTI_WAN, ALL_BITS, *MORE], ids=lambda one: one.name
)
def test_allowed_flows_live_and_withdrawn_ones_are_cut(
    scene: Scene, foreign: Foreign, when: str
) -> None:
    if when == BEFORE:
        scene.write(foreign)
    apply(scene.host, WITH_LEAVER)
    if when == AFTER:
        scene.write(foreign)
        scene.host.dockerfw("apply")
    theirs = scene.foreign_rules()
    staying, leaving = flows(scene, OFFICE), flows(scene, LEAVER)
    try:
        assert silent(staying | leaving, 3) == []
        assert disagreements(new_ones(scene, STRANGER, open_=False)) == []

        apply(scene.host, WITHOUT_LEAVER)

        assert silent(staying, 3) == []
        assert silent(leaving, 0.1) == list(leaving)
        table = new_ones(scene, OFFICE, open_=True) + new_ones(scene, LEAVER, open_=False)
        assert disagreements(table) == []
        assert scene.foreign_rules() == theirs, "foreign rules stay as they are"
    finally:
        for flow in (*staying.values(), *leaving.values()):
            flow.close()


@pytest.mark.parametrize(
    "foreign",
    [AT_THE_END, *(pytest.param(one, marks=pytest.mark.slow) for one in (MULTI_WAN, *MORE))],
    ids=lambda one: one.name,
)
def test_rules_written_after_the_apply_open_nothing_until_the_next_one(
    scene: Scene, foreign: Foreign
) -> None:
    """With no apply in between: what stands below our jump may take our bit away."""
    apply(scene.host, WITHOUT_LEAVER)
    scene.write(foreign)
    assert disagreements(new_ones(scene, STRANGER, open_=False)) == []


def test_plan_names_the_foreign_rules_that_write_our_bits(scene: Scene) -> None:
    apply(scene.host, WITHOUT_LEAVER)
    scene.mangle("-A", "PREROUTING", "-j", "MARK", "--set-mark", "0xffffffff")
    scene.mangle("-A", "FORWARD", *RESTORE.split())
    scene.mangle("-A", "POSTROUTING", "-j", "MARK", "--set-xmark", "0x7/0xff")

    done = scene.host.dockerfw("plan", check=False)

    said = done.stdout + done.stderr
    assert done.returncode == 3, "our jump is not the last any more"
    assert "set-xmark 0xffffffff/0xffffffff" in said
    assert "restore-mark" in said
    assert "0x7/0xff" not in said, "bits that are not ours are nobody's business"


def test_forwarded_packets_of_others_carry_none_of_our_bits(scene: Scene) -> None:
    """They go by the port that the shop publishes, to and from a bridge that is not Docker's."""
    apply(scene.host, allow(PORTS, "any"))
    scene.mangle("-I", "PREROUTING", "-j", "MARK", "--set-mark", "0x7")
    scene.host.dockerfw("apply")
    # First those that ``ip rule fwmark 7`` sees, without a mask; then those that carry our bits.
    for match in (("--mark", "0x7"), ("!", "--mark", f"0x0/{OUR_BITS}")):
        scene.mangle("-A", "FORWARD", "-i", "lan0", "-m", "mark", *match)
        scene.mangle("-A", "POSTROUTING", "-o", "lan0", "-m", "mark", *match)

    outside, lan = scene.host.outside, scene.lan
    table = [
        (Probe(outside, "tcp", "10.50.0.2", 6000, STRANGER[0]), True),
        (Probe(outside, "tcp", "fd00:50::2", 6000, STRANGER[1]), True),
        (Probe(outside, "udp", "10.50.0.2", 6001, STRANGER[0]), True),
        (Probe(outside, "udp", "fd00:50::2", 6001, STRANGER[1]), True),
        (Probe(lan, "tcp", "203.0.113.2", 6000), True),
        (Probe(lan, "tcp", "2001:db8:1::2", 6000), True),
        *new_ones(scene, OFFICE, open_=True),
    ]
    assert disagreements(table) == []

    for program in PROGRAMS:
        for chain in ("FORWARD", "POSTROUTING"):
            listed = scene.host.run([program, "-t", "mangle", "-nvxL", chain]).stdout
            as_set, ours = (int(line.split()[0]) for line in listed.splitlines()[2:])
            assert as_set > 0, listed
            assert ours == 0, listed
