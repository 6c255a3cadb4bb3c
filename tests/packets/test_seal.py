"""The seal on a real kernel: what is written is what is read, and what it does to packets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from ipaddress import ip_address

import pytest

from dockerfw.kernel.nft import driver as nft
from dockerfw.kernel.nft.render import expected
from dockerfw.model.host import Flavour
from dockerfw.model.net import FAMILIES, Port
from dockerfw.plan.seal import WHY, SealUpdate, update_seal
from dockerfw.plan.steps import RemoveSeal, ReplaceSeal, WriteSeal
from dockerfw.rules.names import SealFamily
from dockerfw.rules.ruleset import Frames, Seal, ServedPorts
from tests.build import port as port_range
from tests.lab.host import Host
from tests.lab.packet import Packet
from tests.lab.place import Place
from tests.lab.wait import until
from tests.packets.runner import FLAVOURS, HostRunner, program

OK_BIT = 0x20000000
SEAL = Seal(
    mark=OK_BIT,
    observe=False,
    inside=True,
    foreign_bridges=frozenset({"virbr0", "br-lan"}),
    mixed_bridges=frozenset({"br-mixed"}),
    guarded=frozenset(
        {
            (None, 4, Port("tcp", 8080)),
            (None, 6, Port("tcp", 8080)),
            (ip_address("203.0.113.1"), 4, Port("udp", 53)),
            (ip_address("2001:db8:1::1"), 6, Port("sctp", 9)),
            (ip_address("::ffff:1.2.3.4"), 6, Port("tcp", 9)),
        }
    ),
)


def served(*ports: str) -> frozenset[ServedPorts]:
    addresses = (ip_address("172.18.0.2"), ip_address("fd00:18::2"))
    specs = (None if text == "all" else port_range(text) for text in ports)
    return frozenset((address, spec) for spec in specs for address in addresses)


ONE_OF_EACH = [
    SEAL,
    replace(SEAL, observe=True),
    replace(SEAL, inside=False),
    replace(SEAL, mark=0x8),
    replace(
        SEAL,
        bridges=frozenset({"br-0123456789ab", "shop"}),
        dockerd_ports=frozenset({Port("tcp", 2375), Port("udp", 7946)}),
    ),
    Seal(mark=OK_BIT, observe=False, inside=True),
    replace(SEAL, labels=False),
    replace(SEAL, host_network=True, served=served("53/udp", "8000-8100/tcp")),
    replace(SEAL, host_network=True, served=served("50-60/udp", "8000-8050/tcp", "8052/tcp")),
    replace(SEAL, host_network=True, served=served("53/udp", "53/udp", "9/sctp", "all")),
    replace(SEAL, frames=Frames()),
    replace(SEAL, inside=False, frames=Frames(frozenset({"veth0a1b2c3d", "vethA.b+c"}))),
]


BOTH: frozenset[SealFamily] = frozenset({"inet", "bridge"})


def install_seal(runner: HostRunner, wanted: Seal) -> None:
    found = update_seal(nft.read(runner, frames=True), expected(wanted), wanted)
    assert found.rest is not None
    for step in (found.release, found.rest):
        if step is not None:
            nft.commit(runner, step)


def test_a_seal_reads_as_it_was_written_and_a_second_look_writes_nothing(
    host: Host, runner: HostRunner
) -> None:
    assert nft.read(runner, frames=True) is None
    for wanted in ONE_OF_EACH:
        install_seal(runner, wanted)
        live = nft.read(runner, frames=True)
        assert live == expected(wanted)
        assert update_seal(live, expected(wanted), wanted) == SealUpdate()
    for _ in range(2):
        nft.commit(runner, WriteSeal("remove the seal", RemoveSeal(BOTH)))
        assert nft.read(runner, frames=True) is None
    assert host.run(["nft", "list", "ruleset"]).stdout == ""


def last_rule(host: Host, chain: str) -> str:
    """The kernel's number for it."""
    listing = host.run(["nft", "-a", "list", "chain", "inet", "dockerfw", chain]).stdout
    rules = [line for line in listing.splitlines() if " comment " in line]
    return rules[-1].rpartition("# handle ")[2]


# LAST is the number of the last rule of the chain that is named before it.
HAND_EDITS = {
    "the table flushed": "flush table inet dockerfw",
    "the table deleted": "delete table inet dockerfw",
    "the table asleep": "add table inet dockerfw { flags dormant; }",
    "a chain flushed": "flush chain inet dockerfw forward",
    "a chain added": "add chain inet dockerfw more",
    "the last rule deleted": "delete rule inet dockerfw forward handle LAST",
    "a rule replaced": "replace rule inet dockerfw input handle LAST counter accept",
    "a rule put on top": "insert rule inet dockerfw input counter accept",
    "a rule put on top with a comment": 'insert rule inet dockerfw forward accept comment "mine"',
    "an element deleted": "delete element inet dockerfw port4 { tcp . 8080 }",
    "an element added": 'add element inet dockerfw foreign { "br-shop" }',
    "a set flushed": "flush set inet dockerfw addr6",
}


@pytest.fixture(scope="module")
def shared() -> Iterator[Host]:
    with Host() as host:
        yield host


@pytest.mark.parametrize("edit", HAND_EDITS.values(), ids=HAND_EDITS.keys())
def test_a_hand_in_the_seal_is_seen_and_undone(shared: Host, edit: str) -> None:
    runner = HostRunner(shared)
    nft.commit(runner, WriteSeal(WHY, ReplaceSeal(SEAL)))
    if edit.startswith(("delete rule", "replace rule")):
        edit = edit.replace("LAST", last_rule(shared, edit.split()[4]))
    shared.run(["nft", "-f", "-"], stdin=f"{edit}\n")
    install_seal(runner, SEAL)
    assert nft.read(runner, frames=True) == expected(SEAL)


def test_another_element_leaves_the_counters_of_the_rules(host: Host, runner: HostRunner) -> None:
    install_seal(runner, SEAL)
    assert not host.outside.tcp("203.0.113.1", 8080, patience=0.3).reached
    listing = host.run(["nft", "list", "chain", "inet", "dockerfw", "guarded"]).stdout
    assert "counter packets 0" in listing
    dropped = [line for line in listing.splitlines() if "@port4" in line]
    install_seal(runner, replace(SEAL, guarded=SEAL.guarded | {(None, 4, Port("tcp", 9))}))
    after = host.run(["nft", "list", "chain", "inet", "dockerfw", "guarded"]).stdout
    assert "counter packets 0" not in dropped[0]
    assert dropped[0] in after


# --- what the seal does to packets ---------------------------------------------------------------


@pytest.fixture
def shop(host: Host) -> Place:
    """Two containers on one bridge, the first one serving."""
    host.bridge("br-shop", "172.18.0.1/16", "fd00:18::1/64")
    web = host.container("web", {"br-shop": ("172.18.0.2/16", "fd00:18::2/64")})
    web.listen("80/tcp", "53/udp")
    return host.container("neighbour", {"br-shop": ("172.18.0.3/16", "fd00:18::3/64")})


NONE: frozenset[str] = frozenset()
WEB = ("172.18.0.2", "fd00:18::2")
HOST = ("203.0.113.1", "2001:db8:1::1")


def reached(place: Place, addresses: Sequence[str], port: int = 80) -> list[bool]:
    return [place.tcp(address, port, patience=0.5).reached for address in addresses]


@pytest.mark.usefixtures("shop")
def test_the_seal_closes_a_bridge_that_nobody_told_it_of(host: Host, runner: HostRunner) -> None:
    assert reached(host.outside, WEB) == [True, True]
    install_seal(runner, SEAL)
    assert reached(host.outside, WEB) == [False, False]
    assert reached(host, WEB) == [True, True]
    install_seal(runner, replace(SEAL, observe=True))
    assert reached(host.outside, WEB) == [True, True]


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.usefixtures("shop")
def test_the_seal_lets_pass_what_iptables_let_pass(
    host: Host, runner: HostRunner, flavour: Flavour
) -> None:
    install_seal(runner, SEAL)
    for family in FAMILIES:
        source = "198.51.100.7" if family == 4 else "2001:db8:10::7"
        mark = f"-j MARK --set-xmark {OK_BIT:#x}/{OK_BIT:#x}"
        host.run([program(flavour, family), *f"-A FORWARD -s {source} {mark}".split()])
    pairs = zip(WEB, ("198.51.100.7", "2001:db8:10::7"), strict=True)
    for address, source in pairs:
        assert host.outside.tcp(address, 80, source=source, patience=0.5).reached
    assert reached(host.outside, WEB) == [False, False]


@pytest.mark.usefixtures("shop")
def test_a_mark_that_came_with_the_packet_does_not_count(host: Host, runner: HostRunner) -> None:
    install_seal(runner, SEAL)
    for family in FAMILIES:
        rule = f"-t mangle -A PREROUTING -j MARK --set-xmark {OK_BIT:#x}/{OK_BIT:#x}"
        host.run([program("nft", family), *rule.split()])
    assert reached(host.outside, WEB) == [False, False]


def test_what_no_container_can_have_sent_is_closed_whatever_its_mark(
    host: Host, runner: HostRunner
) -> None:
    host.bridge("br-shop", "172.18.0.1/16")
    web = host.container("web", {"br-shop": ("172.18.0.2/16",)})
    web.listen("53/udp")
    host.bridge("br-0123456789ab", "10.5.0.1/24")
    evil = host.container("evil", {"br-0123456789ab": ("10.5.0.2/24",)})
    way = host.mac("br-0123456789ab")

    def arrived(*sources: str) -> list[str]:
        """Of these sources, in order; the last one is true, and arrives after the others."""
        for source in sources:
            evil.forge(Packet("udp", source, WEB[0], 7777, 53), mac=way)
        heard: list[str] = []

        def last() -> bool:
            heard.extend(one.source for one in web.received())
            return sources[-1] in heard

        until(last, "the true source to arrive")
        return heard

    sources = ("198.51.100.7", "10.5.0.2")
    assert arrived(*sources) == [*sources]
    mark = f"-A FORWARD -j MARK --set-xmark {OK_BIT:#x}/{OK_BIT:#x}"
    host.run([program("nft", 4), *mark.split()])
    install_seal(runner, SEAL)
    assert arrived("198.51.100.8", "10.5.0.2") == ["10.5.0.2"]
    install_seal(runner, replace(SEAL, foreign_bridges=frozenset({"br-shop"})))
    assert arrived("198.51.100.9", "10.5.0.2") == ["198.51.100.9", "10.5.0.2"]


def test_a_container_gets_its_answers_from_outside(
    host: Host, runner: HostRunner, shop: Place
) -> None:
    host.outside.listen("80/tcp")
    install_seal(runner, SEAL)
    assert reached(shop, ("203.0.113.2", "2001:db8:1::2")) == [True, True]


@pytest.mark.parametrize(
    "inside, mixed, open_", [(True, False, True), (True, True, False), (False, False, False)]
)
def test_a_bridges_own_subnet_passes_unless_restricted_or_mixed(
    inside: bool, mixed: bool, open_: bool
) -> None:
    with Host(bridge_calls=True) as host:
        runner = HostRunner(host)
        host.bridge("br-shop", "172.18.0.1/16", "fd00:18::1/64")
        web = host.container("web", {"br-shop": ("172.18.0.2/16", "fd00:18::2/64")})
        web.listen("80/tcp")
        other = host.container("other", {"br-shop": ("172.18.0.3/16", "fd00:18::3/64")})
        ours = frozenset({"br-shop"})
        seal = Seal(OK_BIT, False, inside, bridges=ours, mixed_bridges=ours if mixed else NONE)
        install_seal(runner, seal)
        assert reached(other, WEB) == [open_, open_]


@pytest.mark.usefixtures("shop")
def test_a_bridge_that_nobody_knows_is_not_inside(host: Host, runner: HostRunner) -> None:
    """A VM's, made after the apply; Docker's own are known by their names, late ones too."""
    for index, name in enumerate(("virbr0", "br-0123456789ab", "backoffice")):
        host.bridge(name, f"10.5.{index}.1/24", f"fd00:5:{index}::1/64")
        here = (f"10.5.{index}.2/24", f"fd00:5:{index}::2/64")
        place = host.container(f"on-{name}", {name: here})
        nft.commit(runner, WriteSeal(WHY, ReplaceSeal(Seal(OK_BIT, observe=False, inside=True))))
        open_ = name == "br-0123456789ab"
        assert reached(place, WEB) == [open_, open_], name
        known = frozenset({"backoffice"})
        install_seal(runner, Seal(OK_BIT, observe=False, inside=True, bridges=known))
        open_ = name != "virbr0"
        assert reached(place, WEB) == [open_, open_], name


@pytest.mark.usefixtures("shop")
def test_a_bridge_that_is_not_dockers_is_left_alone(host: Host, runner: HostRunner) -> None:
    install_seal(runner, replace(SEAL, foreign_bridges=frozenset({"br-shop"})))
    assert reached(host.outside, WEB) == [True, True]


def test_a_guarded_port_is_closed_from_outside_and_open_from_the_host(
    host: Host, runner: HostRunner
) -> None:
    host.listen("8080/tcp", "8081/tcp")
    install_seal(runner, SEAL)
    assert reached(host.outside, HOST, 8080) == [False, False]
    assert reached(host.outside, HOST, 8081) == [True, True]
    assert reached(host, (*HOST, "127.0.0.1", "::1"), 8080) == [True] * 4


def test_a_port_guarded_at_one_address_is_open_at_another(host: Host, runner: HostRunner) -> None:
    host.ip("addr add 203.0.113.5/24 dev eth0")
    host.listen("53/udp", "8080/tcp")
    address = ip_address("203.0.113.1")
    ports = (Port("tcp", 8080), Port("udp", 53))
    install_seal(runner, replace(SEAL, guarded=frozenset((address, 4, port) for port in ports)))
    assert reached(host.outside, ("203.0.113.1", "203.0.113.5"), 8080) == [False, True]
    answers = [host.outside.udp(a, 53, patience=0.5) for a in ("203.0.113.1", "203.0.113.5")]
    assert [answer.reached for answer in answers] == [False, True]
