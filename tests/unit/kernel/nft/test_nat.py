"""NAT of others as nft 1.0.6 prints it in JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from dockerfw.kernel.nat import forwards, unread
from dockerfw.kernel.nft.nat import nat_table
from dockerfw.model.host import PortForward

HOST, WEB = ip_address("203.0.113.1"), ip_address("172.18.0.2")
BRIDGED = (ip_network("172.18.0.0/16"), ip_network("fd00:18::/64"))
TO_WEB = {"dnat": {"addr": "172.18.0.2", "port": 80}}
FIB = {"fib": {"result": "type", "flags": ["daddr"]}}
DPORT = {"payload": {"protocol": "tcp", "field": "dport"}}


def match(left: dict[str, Any], right: object) -> dict[str, Any]:
    return {"match": {"op": "==", "left": left, "right": right}}


def table(*rules: list[dict[str, Any]], family: str = "ip", more: tuple[Any, ...] = ()) -> str:
    where = {"family": family, "table": "mine"}
    items: list[dict[str, Any]] = [
        {"chain": {**where, "name": "in", "type": "nat", "hook": "prerouting"}},
        {"chain": {**where, "name": "side"}},
        *more,
        *({"rule": {**where, "chain": "in", "expr": rule}} for rule in rules),
        {
            "rule": {
                **where,
                "chain": "side",
                "expr": [TO_WEB],
            }
        },
    ]
    return json.dumps({"nftables": [{"metainfo": {}}, *items]})


def led(first: int, last: int | None = None, to_port: int | None = 80) -> PortForward:
    return PortForward(4, None, "tcp", first, last or first, WEB, to_port)


def both(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"concat": [*parts]}


def pair(port: object) -> dict[str, Any]:
    return {"concat": ["203.0.113.1", port]}


def at_host(first: int, last: int | None = None) -> PortForward:
    return replace(led(first, last), address=HOST)


L4 = {"meta": {"key": "l4proto"}}
TH = {"payload": {"protocol": "th", "field": "dport"}}
HERE = both({"payload": {"protocol": "ip", "field": "daddr"}}, DPORT)
JUMP = {"jump": {"target": "side"}}
NAMED = {
    "map": {
        "family": "ip", "table": "mine", "name": "m",
        "elem": [[90, {"concat": ["172.18.0.2", 80]}]],
    }
}  # fmt: skip
PAIRS = {
    "set": {
        "family": "ip", "table": "mine", "name": "s",
        "elem": [{"elem": {"val": {"concat": ["203.0.113.1", 9001]}, "comment": "web"}}],
    }
}  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        ([{"counter": None}, match(FIB, "local"), match(DPORT, 9999), TO_WEB], (led(9999),)),
        (
            [match({"meta": {"key": "iifname"}}, "eth0"), match(DPORT, 9999), TO_WEB],
            (replace(led(9999), conditional=True),),
        ),
        (
            [match(DPORT, 9999), {"limit": {"rate": 1, "per": "second"}}, TO_WEB],
            (replace(led(9999), conditional=True),),
        ),
        (
            [match(DPORT, {"set": [81, {"range": [90, 95]}]}), {"dnat": {"addr": "172.18.0.2"}}],
            (led(81, to_port=None), led(90, 95, None)),
        ),
        (
            [match({"payload": {"protocol": "ip", "field": "daddr"}}, "203.0.113.1"), TO_WEB],
            (PortForward(4, HOST, None, 0, 0, WEB, 80),),
        ),
        (
            [match({"meta": {"key": "l4proto"}}, "tcp"),
             match({"payload": {"protocol": "th", "field": "dport"}}, 77), JUMP],
            (led(77),),
        ),
        ([{"vmap": {"key": DPORT, "data": {"set": [[5, JUMP]]}}}], (led(5),)),
        (
            [{"dnat": {"addr": {"map": {"key": DPORT, "data": {"set": [[8001, "172.18.0.2"]]}}}}}],
            (led(8001, to_port=None),),
        ),
        ([{"dnat": {"addr": {"map": {"key": DPORT, "data": "@m"}}}}], (led(90),)),
        ([match(DPORT, 9), {"redirect": {"port": 80}}], (replace(led(9), to=None),)),
        ([match(DPORT, 9), {"dnat": {"addr": {"numgen": {}}}}], ()),
        ([match(HERE, {"set": [pair(9000), pair({"range": [90, 95]})]}), TO_WEB],
         (at_host(9000), at_host(90, 95))),
        ([match(HERE, "@s"), TO_WEB], (at_host(9001),)),
        (
            [match(both({"meta": {"key": "iifname"}}, DPORT),
                   {"set": [{"concat": ["eth0", 9]}, {"concat": ["eth1", 9]}]}), TO_WEB],
            (replace(led(9), conditional=True),),
        ),
        (
            [match(both(L4, TH), {"set": [{"concat": ["tcp", 9]}]}), TO_WEB],
            (led(9),),
        ),
        (
            [match(L4, {"set": ["tcp", "udp"]}), match(TH, 9), TO_WEB],
            (led(9), replace(led(9), protocol="udp")),
        ),
        (
            [{"dnat": {"addr": {"map": {"key": HERE, "data": {"set": [
                [pair(9000), {"concat": ["172.18.0.2", 80]}]]}}}}}],
            (at_host(9000),),
        ),
        ([{"vmap": {"key": HERE, "data": {"set": [[pair(9000), JUMP]]}}}], (at_host(9000),)),
        (
            [match(DPORT, {"set": [{"elem": {"val": 9, "timeout": 60}}]}), TO_WEB],
            (led(9),),
        ),
        (
            [{"dnat": {"addr": "172.18.0.2", "port": {"map": {"key": DPORT, "data": {
                "set": [[9, 80]]}}}}}],
            (led(9),),
        ),
    ],
)  # fmt: skip
def test_a_rule_is_read_as_the_host_ports_that_it_leads_on(
    rule: list[dict[str, Any]], found: tuple[PortForward, ...]
) -> None:
    read = nat_table(table(rule, more=(NAMED, PAIRS)))
    assert forwards(4, read.chains, read.starts, frozenset({HOST}), BRIDGED) == found


ALL = PortForward(4, None, None, 0, 0, None, conditional=True)
NINE = PortForward(4, None, "tcp", 9, 9, None, conditional=True)


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        ([match(DPORT, 9), {"dnat": {"addr": {"numgen": {}}}}], (NINE,)),
        ([match(DPORT, 9), {"dnat": {"addr": {"range": ["172.18.0.2", "172.18.0.9"]}}}], (NINE,)),
        ([match(DPORT, 9), {"redirect": {"port": {"range": [80, 90]}}}], (NINE,)),
        ([match({"payload": {"base": "th", "offset": 16, "len": 16}}, 9), TO_WEB], (ALL,)),
        ([{"match": {"op": ">", "left": DPORT, "right": 9}}, TO_WEB], (ALL,)),
        ([match(DPORT, "@unknown"), TO_WEB], (ALL,)),
        ([match({"payload": {"protocol": "ip", "field": "daddr"}},
                {"range": ["203.0.113.1", "203.0.113.9"]}), match(DPORT, 9), TO_WEB], (NINE,)),
        ([match(DPORT, 9), {"dnat": {"addr": {"map": {"key": DPORT, "data": "@unknown"}}}}],
         (NINE,)),
        (
            [match(DPORT, 9), {"dnat": {
                "addr": {"map": {"key": DPORT, "data": {"set": [[9, "172.18.0.2"]]}}},
                "port": {"map": {"key": DPORT, "data": {"set": [[9, 80]]}}},
            }}],
            (NINE,),
        ),
        ([match(HERE, {"set": [pair(port) for port in range(5000)]}), TO_WEB], (ALL,)),
        ([match(DPORT, 9), {"dnat": {"addr": "10.0.0.1"}}], ()),
        ([{"match": {"op": ">", "left": DPORT, "right": 9}}, {"dnat": {"addr": "10.0.0.1"}}], ()),
        ([match(DPORT, 9), TO_WEB], ()),
    ],
)  # fmt: skip
def test_nat_whose_ports_or_destination_are_not_known_may_lead_on(
    rule: list[dict[str, Any]], found: tuple[PortForward, ...]
) -> None:
    read = nat_table(table(rule))
    assert unread(4, read.chains, read.starts, frozenset({HOST}), BRIDGED) == found
    if found:
        assert forwards(4, read.chains, read.starts, frozenset({HOST}), BRIDGED) == ()


def test_a_rule_that_ends_some_packets_makes_what_stands_behind_it_conditional() -> None:
    office = match({"payload": {"protocol": "ip", "field": "saddr"}}, "203.0.113.9")
    read = nat_table(table([office, {"return": None}], [match(DPORT, 9), TO_WEB]))
    assert forwards(4, read.chains, read.starts, frozenset({HOST}), BRIDGED) == (
        replace(led(9), conditional=True),
    )


def test_a_table_of_both_families_is_read_for_each() -> None:
    dnat = {"dnat": {"family": "ip6", "addr": "fd00:18::2"}}
    read = nat_table(table([match(DPORT, 9), dnat], family="inet"))
    web6 = ip_address("fd00:18::2")
    assert forwards(6, read.chains, read.starts, frozenset({HOST}), BRIDGED) == (
        PortForward(6, None, "tcp", 9, 9, web6),
    )
    assert forwards(4, read.chains, read.starts, frozenset({HOST}), BRIDGED) == ()


@pytest.mark.parametrize("text", ["", "no JSON", "{}", '{"nftables": [{"rule": {}}]}', "[]"])
def test_what_is_not_nfts_text_has_no_nat(text: str) -> None:
    assert nat_table(text).starts == []
