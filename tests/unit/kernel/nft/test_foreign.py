"""Rules of others, as nft 1.0.6 prints them in JSON, asked for one packet each."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from dockerfw.kernel.nft.foreign import foreign_table, small_sets
from dockerfw.report.foreign_walk import Ends, Traveller, ends

PACKET = Traveller(
    "input",
    "eth0",
    None,
    ip_address("203.0.113.7"),
    ip_address("203.0.113.1"),
    "tcp",
    80,
    local=True,
)
WHERE = {"family": "inet", "table": "mine"}
DROP: Any = {"drop": None}
DPORT = {"payload": {"protocol": "tcp", "field": "dport"}}


def match(left: Any, right: Any, op: str = "==") -> dict[str, Any]:
    return {"match": {"op": op, "left": left, "right": right}}


def walked(*rule: dict[str, Any], sets: tuple[str, ...] = (), packet: Traveller = PACKET) -> Ends:
    """How the packet ends in a chain of one rule that accepts all others."""
    items = [
        {"table": {"family": "inet", "name": "mine"}},
        {"set": {**WHERE, "name": "ports", "type": "inet_service"}},
        {"map": {**WHERE, "name": "verdicts", "type": "inet_service", "map": "verdict"}},
        {"set": {**WHERE, "name": "banned", "type": "ipv4_addr", "flags": ["interval"]}},
        {"chain": {**WHERE, "name": "c", "type": "filter", "hook": "input", "policy": "accept"}},
        {"rule": {**WHERE, "chain": "c", "handle": 7, "expr": rule}},
    ]
    table = foreign_table(json.dumps({"nftables": items}), "", *sets)
    assert table is not None
    return ends([table], packet)


def fate(found: Ends) -> str:
    if found.closing:
        return "dropped"
    return "perhaps" if found.drops else "passes"


@pytest.mark.parametrize(
    "asked, expected",
    [
        (match({"meta": {"key": "l4proto"}}, {"set": ["tcp", "udp"]}), "dropped"),
        (match({"meta": {"key": "l4proto"}}, {"set": ["udp", "sctp"]}), "passes"),
        (match({"fib": {"result": "type", "flags": ["daddr"]}}, "local"), "dropped"),
        (match({"fib": {"result": "type", "flags": ["daddr"]}}, "local", "!="), "passes"),
        # The filter of the way back is for who claims a false source.
        (match({"fib": {"result": "oif", "flags": ["saddr", "iif"]}}, False), "passes"),
        (match({"payload": {"protocol": "icmpv6", "field": "type"}}, "nd-redirect"), "passes"),
        (match({"ct": {"key": "status"}}, "dnat", "in"), "passes"),
        (match({"ct": {"key": "proto-dst", "dir": "original"}}, 80), "dropped"),
        (match({"ct": {"key": "proto-dst", "dir": "original"}}, 8080), "passes"),
        (match({"meta": {"key": "mark"}}, 7), "perhaps"),
    ],
)  # fmt: skip
def test_a_rule_drops_what_it_asks_for(asked: dict[str, Any], expected: str) -> None:
    assert fate(walked(asked, DROP)) == expected


SADDR: Any = {"payload": {"protocol": "ip", "field": "saddr"}}
NETS = [{"prefix": {"addr": net, "len": 24}} for net in ("203.0.113.0", "198.51.100.0")]


@pytest.mark.parametrize(
    "asked, expected",
    [
        ([match(SADDR, NETS[0], "!="), match(SADDR, NETS[1], "!=")], "passes"),
        ([match(SADDR, NETS[1], "!="), match(SADDR, NETS[0], "!=")], "perhaps"),
        (
            [
                match({"fib": {"result": "oif", "flags": ["saddr", "iif"]}}, False),
                match({"ct": {"key": "state"}}, "new"),
            ],
            "passes",
        ),
        ([match(DPORT, 22), match(DPORT, {"set": [80, 443]})], "passes"),
        ([match({"meta": {"key": "l4proto"}}, "tcp"), match(DPORT, 80)], "dropped"),
    ],
)
def test_of_two_conditions_on_one_thing_none_is_forgotten(
    asked: list[dict[str, Any]], expected: str
) -> None:
    assert fate(walked(*asked, DROP)) == expected


@pytest.mark.parametrize("over", [{"rate": 10, "per": "second", "inv": True}, "lasting"])
def test_what_drops_above_a_rate_may_let_a_packet_pass(over: Any) -> None:
    assert fate(walked({"limit": over}, DROP)) == "perhaps"


def test_a_rule_for_what_docker_led_on_is_for_that_alone() -> None:
    led_on = replace(PACKET, dnat=True)
    assert fate(walked(match({"ct": {"key": "status"}}, "dnat"), DROP, packet=led_on)) == "dropped"


def test_what_a_set_holds_counts_where_it_was_listed() -> None:
    rule = (match(DPORT, "@ports"), DROP)
    for ports, expected in (([22, 80], "dropped"), ([22], "passes")):
        held = {"set": {**WHERE, "name": "ports", "type": "inet_service", "elem": ports}}
        assert fate(walked(*rule, sets=(json.dumps({"nftables": [held]}),))) == expected
    assert fate(walked(*rule)) == "perhaps"


def test_a_map_that_was_not_listed_may_do_anything() -> None:
    rule = {"vmap": {"key": DPORT, "data": "@verdicts"}}
    assert fate(walked(rule)) == "perhaps"
    held = {"map": {**WHERE, "name": "verdicts", "map": "verdict", "elem": [[80, DROP]]}}
    assert fate(walked(rule, sets=(json.dumps({"nftables": [held]}),))) == "dropped"


def test_a_program_that_is_asked_may_drop_it() -> None:
    assert fate(walked({"queue": {"num": 1}})) == "perhaps"


def test_sets_of_ports_and_interfaces_and_maps_of_verdicts_are_small() -> None:
    items = [
        {"set": {**WHERE, "name": "ports", "type": "inet_service"}},
        {"set": {**WHERE, "name": "banned", "type": "ipv4_addr"}},
        {"map": {**WHERE, "name": "jumps", "type": "ifname", "map": "verdict"}},
        {"map": {**WHERE, "name": "to", "type": "inet_service", "map": "ipv4_addr"}},
    ]
    assert small_sets(json.dumps({"nftables": items})) == [
        ("set", "ports"),
        ("map", "jumps"),
        ("map", "to"),
    ]
    assert small_sets("nft: no such table") == []
