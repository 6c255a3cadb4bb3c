"""How a packet may end among the rules of others."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from dockerfw.kernel.iptables.foreign import TABLES, foreign_tables
from dockerfw.kernel.iptables.parse import parse
from dockerfw.plan.state import TablesState
from dockerfw.report.foreign_walk import Ends, Traveller, ends

BRIDGE = "br-0123456789ab"
STRANGER = ip_address("203.0.113.7")
WEB = ip_address("172.18.0.2")
HERE = ip_address("203.0.113.1")
PACKET = Traveller(
    "forward", "eth0", BRIDGE, STRANGER, WEB, "tcp", 80, dnat=True, sent_to=(HERE, 8080)
)
DIRECT = replace(PACKET, dnat=False, sent_to=None)
TO_HOST = Traveller("input", "eth0", None, STRANGER, HERE, "tcp", 8080, local=True)
STANDS = "filter FORWARD of iptables-nft"


def walked(
    *rules: str, policy: str = "ACCEPT", chain: str = "FORWARD", packet: Traveller = PACKET
) -> Ends:
    others = [f":{name} - [0:0]" for name in ("ONE", "TWO")]
    lines = ["*filter", f":{chain} {policy} [0:0]", *others, *rules, "COMMIT", ""]
    return ends(foreign_tables(TablesState(4, parse("\n".join(lines), TABLES)), "nft"), packet)


def test_where_no_rule_is_about_it_a_packet_passes() -> None:
    assert walked() == Ends()
    assert walked("-A FORWARD -i eth1 -j DROP") == Ends()


def test_a_rule_that_drops_it_for_certain_is_named_and_it_does_not_pass() -> None:
    found = walked("-A FORWARD -p tcp --dport 80 -j DROP")
    rule = f"`-p tcp --dport 80 -j DROP` in {STANDS}"
    assert found == Ends((rule,), closing=rule)
    assert walked(policy="DROP").closing == f"the policy (drop) of {STANDS}"


def test_a_rule_that_accepts_it_is_named() -> None:
    found = walked(f"-A FORWARD -o {BRIDGE} -j ACCEPT", "-A FORWARD -j DROP")
    assert found == Ends((), (f"`-o {BRIDGE} -j ACCEPT` in {STANDS}",))


def test_a_condition_that_is_not_known_leaves_both_ends() -> None:
    found = walked("-A FORWARD -m mark --mark 0x1 -j DROP")
    assert found == Ends((f"`-m mark --mark 0x1 -j DROP` in {STANDS}",))
    found = walked("-A FORWARD -m mark --mark 0x1 -j ACCEPT", policy="DROP")
    assert not found.closing
    assert found.drops == (f"the policy (drop) of {STANDS}",)


def test_a_chain_that_may_return_goes_on_behind_its_jump() -> None:
    jump = ("-A FORWARD -j ONE", "-A ONE -m mark --mark 0x1 -j RETURN", "-A ONE -j DROP")
    found = walked(*jump, "-A FORWARD -j ACCEPT")
    assert not found.closing
    assert found.drops == ("`-j DROP` in filter ONE of iptables-nft",)
    assert walked(*jump, "-A FORWARD -j DROP").closing == f"`-j DROP` in {STANDS}"


def test_a_goto_does_not_come_back() -> None:
    rules = ("-A FORWARD -g ONE", "-A FORWARD -j ACCEPT")
    assert walked(*rules, policy="DROP").closing


@pytest.mark.parametrize(
    "rule, packet, passes",
    [
        # ufw-docker asks what begins a connection by its flags ...
        ("-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN", PACKET, False),
        # ... and others what never begins one.
        ("-p tcp -m tcp --tcp-flags FIN,SYN FIN,SYN", PACKET, True),
        ("-p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN", PACKET, True),
        ("-p tcp -m conntrack --ctorigdstport 8080 --ctdir ORIGINAL", PACKET, False),
        ("-p tcp -m conntrack --ctorigdstport 80 --ctdir ORIGINAL", PACKET, True),
        ("-p tcp -m conntrack --ctorigdstport 80 --ctdir ORIGINAL", DIRECT, False),
        ("-m conntrack --ctdir REPLY", PACKET, True),
        # ufw, of packets with a routing header
        ("-m rt --rt-type 0", PACKET, True),
        ("-m addrtype --dst-type LOCAL", PACKET, True),
        ("-m addrtype ! --dst-type LOCAL", PACKET, False),
        ("-m addrtype --dst-type BROADCAST", PACKET, True),
        ("-m conntrack --ctstate DNAT", PACKET, False),
        ("-m conntrack --ctstate DNAT", DIRECT, True),
    ],
)
def test_what_recipes_ask_is_known(rule: str, packet: Traveller, passes: bool) -> None:
    found = walked(f"-A FORWARD {rule} -j DROP", packet=packet)
    assert (not found.closing, bool(found.drops)) == (passes, not passes)


@pytest.mark.parametrize(
    "rule, passes, drops",
    [
        # Scripts end with it what is new and begins nothing: no ordinary packet.
        ("-p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -m conntrack --ctstate NEW", True, False),
        ("-p tcp -m conntrack --ctstate NEW -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN", True, False),
        ("-m conntrack --ctstate NEW -m conntrack --ctdir REPLY", True, False),
        ("-m conntrack --ctstate NEW -m conntrack --ctstate NEW,ESTABLISHED", True, True),
        ("-m addrtype ! --dst-type LOCAL -m addrtype ! --dst-type UNICAST", True, True),
        ("-p tcp -m tcp --dport 22 -m multiport --dports 80,443", True, False),
        ("-p tcp -m multiport --dports 80,443 -m tcp --dport 22", True, True),
    ],
)
def test_of_two_conditions_on_one_thing_none_is_forgotten(
    rule: str, passes: bool, drops: bool
) -> None:
    found = walked(f"-A FORWARD {rule} -j DROP")
    assert (not found.closing, bool(found.drops)) == (passes, drops)


@pytest.mark.parametrize("match", ["frag", "hbh", "rt", "eui64", "socket", "ipv6header --soft"])
def test_a_match_that_asks_by_its_name_alone_is_a_condition(match: str) -> None:
    found = walked(f"-A FORWARD -m {match} -j DROP")
    assert not found.closing
    assert found.drops


def test_a_program_that_is_asked_may_drop_it() -> None:
    found = walked("-A FORWARD -j NFQUEUE --queue-num 1")
    assert not found.closing
    assert found.drops


@pytest.mark.parametrize(
    "ports, passes, drops",
    [("80", True, False), ("0:65535", False, True), ("5432", True, True), ("80:90", True, True)],
)
def test_of_any_other_port_a_rule_for_some_may_hold(ports: str, passes: bool, drops: bool) -> None:
    other = replace(DIRECT, port=None, but=frozenset({80}))
    found = walked(f"-A FORWARD -p tcp --dport {ports} -j DROP", packet=other)
    assert (not found.closing, bool(found.drops)) == (passes, drops)


def test_ufw_closes_what_it_is_not_told_of() -> None:
    rules = (
        "-A INPUT -j ONE",
        "-A ONE -m addrtype --dst-type LOCAL -j RETURN",
        "-A ONE -m limit --limit 3/min -j LOG",
        "-A ONE -j DROP",
        "-A INPUT -p tcp --dport 22 -j ACCEPT",
    )
    found = walked(*rules, policy="DROP", chain="INPUT", packet=TO_HOST)
    assert found.closing == "the policy (drop) of filter INPUT of iptables-nft"
    ssh = replace(TO_HOST, port=22)
    assert walked(*rules, policy="DROP", chain="INPUT", packet=ssh).closing == ""
