"""What the fixed chains do with one packet, and how much of that is dear, by examples."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from dockerfw.model.net import Address
from dockerfw.rules.compiler import compile_ruleset
from dockerfw.rules.names import MAIN, PRE
from dockerfw.rules.rule import AddressType, InSet, Match, WayBack
from dockerfw.rules.walk import Hook, Packet, _Walk, walk
from tests.build import allow, container, facts, inventory, network, policy

HOST, DB, VM = map(ip_address, ("192.0.2.10", "172.18.0.3", "172.18.0.77"))
MIXED = inventory(
    network("front", "172.18.0.0/16", foreign_ports=("tap0",)),
    container("db", "front 172.18.0.3", published="5432:5432"),
)


@pytest.mark.parametrize(("interface", "passes"), [("br-front", True), ("eth0", False)])
@pytest.mark.parametrize(("hook", "to"), [("forward", DB), ("input", HOST)], ids=["nat", "proxy"])
def test_where_the_way_back_cannot_be_had_a_vm_is_true_on_its_own_bridge_alone(
    interface: str, passes: bool, hook: Hook, to: Address
) -> None:
    host = replace(facts(str(HOST)), way_back=False)
    ruleset = compile_ruleset(policy(allow("any", published=5432)), MIXED, host)
    packet = Packet(
        interface=interface,
        source=VM,
        destination=to,
        protocol="tcp",
        port=5432,
        host_port=(HOST, 5432),
        dnat=hook == "forward",
        leaves_by="br-front",
    )
    assert walk(ruleset, hook, packet, host.addresses).passed == passes


@pytest.mark.parametrize(("interface", "passes"), [("br-front", True), ("wg0", False)])
def test_what_this_host_sends_to_many_comes_back_to_it_by_its_own_bridge_alone(
    interface: str, passes: bool
) -> None:
    gateway, everybody = ip_address("172.18.0.1"), ip_address("255.255.255.255")
    shop = inventory(
        network("front", "172.18.0.0/16", foreign_ports=("tap0",)),
        container("dns", "front 172.18.0.3", published="53:53/udp"),
    )
    host = facts(str(HOST), str(gateway))
    ruleset = compile_ruleset(policy(allow("any", published="53/udp")), shop, host)
    packet = Packet(interface, gateway, everybody, "udp", 53, host_port=(everybody, 53))
    assert walk(ruleset, "input", packet, host.addresses).passed == passes


# --- what a packet costs -------------------------------------------------------------------------

SHOP = inventory(
    network("front", "172.18.0.0/16"), container("web", "front 172.18.0.2", published="8080:80")
)
WEB, CLIENT, GUEST = map(ip_address, ("172.18.0.2", "198.51.100.7", "10.77.0.2"))
REQUEST = Packet(
    interface="eth0",
    source=CLIENT,
    destination=WEB,
    protocol="tcp",
    port=80,
    host_port=(HOST, 8080),
    dnat=True,
    begins=False,
    leaves_by="br-front",
)
ANSWER = Packet("br-front", WEB, CLIENT, "tcp", 40000, dnat=True, reply=True, begins=False)
TO_A_GUEST = Packet("eth0", CLIENT, GUEST, "tcp", 22, begins=False, leaves_by="virbr0")


class _Counting(_Walk):
    """Counts what is dear: looks into sets and into routes."""

    dear = 0

    def _holds(self, match: Match) -> bool:
        if isinstance(match, InSet | AddressType | WayBack):
            self.dear += 1
        return super()._holds(match)


@pytest.mark.parametrize(
    ("packet", "before_nat", "dear", "met"),
    [
        # For this host? Inside? Allowed? A way back?
        pytest.param(
            REQUEST,
            replace(REQUEST, destination=HOST, port=8080, dnat=False),
            4,
            ["allow", "by host port", "for the seal"],
            id="a request",
        ),
        # For this host?
        pytest.param(
            ANSWER, ANSWER, 1, ["not for this host", "answers", "answers"], id="its answer"
        ),
        # For this host? From or to a network of Docker's, now and once more? Of this host? Inside?
        pytest.param(
            TO_A_GUEST,
            TO_A_GUEST,
            7,
            ["not for this host", "not about containers"],
            id="somebody else's",
        ),
    ],
)
def test_what_most_packets_are_is_known_early(
    packet: Packet, before_nat: Packet, dear: int, met: list[str]
) -> None:
    """A rule that a packet meets (``met``) costs more than one that it does not: its comment is a
    match of the kernel's, too.
    """
    rules = policy(allow("198.51.100.0/24", to="web", ports=80))
    host = facts(str(HOST), bridges=("br-front",))
    walked = _Counting(compile_ruleset(rules, SHOP, host), before_nat, host.addresses)
    walked.run(PRE)
    walked.packet = packet
    assert walked.run(MAIN)
    assert walked.dear == dear
    assert [rule.comment for rule in walked.path] == met
