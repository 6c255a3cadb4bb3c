"""A rule of others that may be about a packet is found, and in its place."""

from __future__ import annotations

from ipaddress import ip_address
from itertools import product

from dockerfw.kernel.iptables.foreign import TABLES, foreign_tables
from dockerfw.kernel.iptables.parse import parse
from dockerfw.model.foreign import ForeignRule
from dockerfw.plan.state import TablesState
from dockerfw.report.foreign_index import RuleIndex

WEB, DB = ip_address("172.18.0.2"), ip_address("172.18.0.3")
BRIDGE = "br-0123456789ab"


def index(*rules: str) -> tuple[RuleIndex, tuple[ForeignRule, ...]]:
    lines = "\n".join(["*filter", ":FORWARD ACCEPT [0:0]", *rules, "COMMIT", ""])
    (table,) = (t for t in foreign_tables(TablesState(4, parse(lines, TABLES)), "nft") if t.chains)
    found = table.chains["FORWARD"].rules
    return RuleIndex(found), found


def test_rules_for_other_containers_are_not_gone_through() -> None:
    rules, all_rules = index(
        "-A FORWARD -d 172.18.0.3/32 -j DROP",
        "-A FORWARD -p tcp -j ACCEPT",
        "-A FORWARD -d 172.18.0.2/32 -j DROP",
    )
    assert list(rules.about(WEB, "eth0", BRIDGE)) == list(all_rules[1:])


def test_what_is_no_single_address_may_be_about_any() -> None:
    rules, all_rules = index(
        "-A FORWARD ! -d 172.18.0.3/32 -j DROP", "-A FORWARD -d 172.18.0.0/16 -j DROP"
    )
    assert list(rules.about(WEB, None, None)) == list(all_rules)


def test_rules_stay_in_order_whatever_they_ask_for() -> None:
    asked = (f"-o {BRIDGE}", "-d 172.18.0.2/32", "-i eth0", "-i eth+", "! -o lo", "")
    rules, all_rules = index(*(f"-A FORWARD {one} -j DROP" for one in asked))
    assert list(rules.about(WEB, "eth0", BRIDGE)) == list(all_rules)


def test_an_interface_that_is_not_known_may_be_any_but_lo_and_a_bridge_of_docker() -> None:
    names = ("eth0", "lo", "docker0", BRIDGE)
    rules, all_rules = index(
        *(f"-A FORWARD {way} {name} -j DROP" for way, name in product(("-i", "-o"), names))
    )
    assert list(rules.about(WEB, None, None)) == [all_rules[0], all_rules[4]]


def test_interfaces_of_others_are_not_gone_through() -> None:
    rules, all_rules = index("-A FORWARD -i eth1 -j DROP", "-A FORWARD -i eth0 -j DROP")
    assert list(rules.about(DB, "eth0", None)) == [all_rules[1]]
