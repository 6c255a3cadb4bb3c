"""Which rules of others take packets past what dockerfw goes by: NOTRACK and flowtables."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dockerfw.kernel.iptables.foreign import TABLES, foreign_tables
from dockerfw.kernel.iptables.parse import parse
from dockerfw.kernel.nft.foreign import foreign_table
from dockerfw.plan.state import TablesState
from dockerfw.report.bypasses import bypasses
from dockerfw.report.explain import explain
from tests.build import policy
from tests.unit.report.explain.scene import BRIDGED, SHOP

PLACE = "raw PREROUTING of iptables-nft"
NO_CONNECTION = "what it takes belongs to no connection"
PAST_RULES = "takes standing connections past all rules"


def raw(*rules: str) -> tuple[str, ...]:
    text = "\n".join(["*raw", ":PREROUTING ACCEPT [0:0]", ":MINE - [0:0]", *rules, "COMMIT\n"])
    return bypasses(foreign_tables(TablesState(4, parse(text, TABLES)), "nft"))


@pytest.mark.parametrize(
    ("rules", "named"),
    [
        (("-A PREROUTING -j NOTRACK",), f"`-j NOTRACK` in {PLACE}: {NO_CONNECTION}"),
        (("-A PREROUTING -p udp --dport 53 -j CT --notrack",),
         f"`-p udp --dport 53 -j CT --notrack` in {PLACE}: {NO_CONNECTION}"),
        (("-A PREROUTING -j MINE", "-A MINE -j CT --notrack"),
         f"`-j CT --notrack` in raw MINE of iptables-nft: {NO_CONNECTION}"),
    ],
)  # fmt: skip
def test_notrack_of_iptables_is_named_with_what_it_means(
    rules: tuple[str, ...], named: str
) -> None:
    [text] = raw(*rules)
    assert text.startswith(named)


@pytest.mark.parametrize(
    "rule",
    [
        "-A PREROUTING -i lo -j NOTRACK",
        "-A PREROUTING -p tcp --dport 21 -j CT --helper ftp",
        "-A MINE -j NOTRACK",
    ],
)
def test_what_meets_no_packet_of_a_container_is_not_named(rule: str) -> None:
    assert raw(rule) == ()


def nft(hook: str, *rules: list[dict[str, Any]]) -> tuple[str, ...]:
    where = {"family": "inet", "table": "mine", "chain": "it"}
    items = [
        {"table": {"family": "inet", "name": "mine"}},
        {"chain": {"family": "inet", "name": "it", "type": "filter", "hook": hook}},
        *({"rule": {**where, "handle": n, "expr": rule}} for n, rule in enumerate(rules, 7)),
    ]
    listing = "  the words of it # handle 7\n"
    table = foreign_table(json.dumps({"nftables": items}), listing)
    assert table is not None
    return bypasses([table])


TCP = {
    "match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": {"set": ["tcp", "udp"]}}
}


def test_notrack_and_flowtables_of_nft_are_named_with_what_they_mean() -> None:
    flow = {"flow": {"op": "add", "flowtable": "@fast"}}
    place = "`the words of it` in chain it of nft's table inet mine"
    [notrack] = nft("prerouting", [TCP, {"counter": None}, {"notrack": None}, {"accept": None}])
    assert notrack.startswith(f"{place}: {NO_CONNECTION}")
    [flowtable] = nft("forward", [TCP, flow])
    assert flowtable.startswith(f"{place}: it {PAST_RULES}")
    assert nft("forward", [TCP, {"accept": None}]) == ()


def test_explain_names_them_for_the_protocol_that_is_asked_for() -> None:
    text = "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p udp --dport 53 -j NOTRACK\nCOMMIT\n"
    tables = tuple(foreign_tables(TablesState(4, parse(text, TABLES)), "nft"))
    for target, named in ((":53/udp", 1), ("web:80", 0)):
        found = explain(policy(), SHOP, BRIDGED, "203.0.113.7", target, foreign=tables)
        assert len([note for note in found.warnings if NO_CONNECTION in note]) == named
