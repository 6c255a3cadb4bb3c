"""Which rules of others may drop what dockerfw lets pass."""

from __future__ import annotations

import json
from ipaddress import ip_address
from typing import Any

import pytest

from dockerfw.kernel.iptables.foreign import TABLES, foreign_tables
from dockerfw.kernel.iptables.parse import parse
from dockerfw.kernel.nft.foreign import foreign_table
from dockerfw.plan.state import TablesState
from dockerfw.report.foreign_walk import Traveller, ends
from dockerfw.report.obstacles import published_obstacles
from tests.build import container, inventory, network

BRIDGE = "br-0123456789ab"
PACKET = Traveller(
    "forward",
    None,
    BRIDGE,
    ip_address("203.0.113.7"),
    ip_address("172.18.0.2"),
    "tcp",
    80,
)
MIXED = f"""*raw
:PREROUTING ACCEPT [0:0]
-A PREROUTING -d 172.18.0.2/32 ! -i {BRIDGE} -j DROP
COMMIT
*filter
:FORWARD POLICY [0:0]
:DOCKER - [0:0]
:DOCKERFW - [0:0]
RULES
COMMIT
"""
STANDS = "filter FORWARD of iptables-nft"


def forward(*rules: str, policy: str = "ACCEPT", packet: Traveller = PACKET) -> tuple[str, ...]:
    text = MIXED.replace("POLICY", policy).replace("RULES", "\n".join(rules))
    return ends(foreign_tables(TablesState(4, parse(text, TABLES)), "nft"), packet).drops


@pytest.mark.parametrize(
    ("rules", "policy", "found"),
    [
        ((), "ACCEPT", ()),
        ((), "DROP", (f"the policy (drop) of {STANDS}",)),
        (("-A FORWARD -p tcp --dport 80 -j DROP",), "ACCEPT",
         (f"`-p tcp --dport 80 -j DROP` in {STANDS}",)),
        (("-A FORWARD -p tcp --dport 81 -j DROP",), "ACCEPT", ()),
        (("-A FORWARD -s 10.0.0.0/8 -j DROP", "-A FORWARD ! -s 203.0.113.0/24 -j REJECT"),
         "ACCEPT", ()),
        # Who accepts for certain ends the walk of the chain; who may, does not.
        ((f"-A FORWARD -o {BRIDGE} -j DOCKER", "-A DOCKER -d 172.18.0.2/32 -j ACCEPT"), "DROP", ()),
        (("-A FORWARD -m mark --mark 0x1 -j ACCEPT",), "DROP", (f"the policy (drop) of {STANDS}",)),
        (("-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",), "DROP",
         (f"the policy (drop) of {STANDS}",)),
        (("-A FORWARD -j DOCKER", "-A DOCKER -j RETURN", "-A DOCKER -j DROP"), "ACCEPT", ()),
        (("-A FORWARD -i eth7 -j DROP",), "ACCEPT", (f"`-i eth7 -j DROP` in {STANDS}",)),
        ((f"-A FORWARD -i {BRIDGE} -j DROP",), "ACCEPT", ()),
        (("-A FORWARD -j DOCKERFW", "-A DOCKERFW -j DROP"), "ACCEPT", ()),
    ],
)  # fmt: skip
def test_rules_of_iptables_are_named_that_the_packet_may_meet(
    rules: tuple[str, ...], policy: str, found: tuple[str, ...]
) -> None:
    assert forward(*rules, policy=policy) == found


def test_rules_of_another_hook_are_not_named_for_this_one() -> None:
    assert forward(packet=Traveller("input", None, None, *PACKET_TO_HOST)) == ()


def test_direct_access_is_dropped_in_the_raw_table_and_published_ports_are_not() -> None:
    raw = f"`-d 172.18.0.2/32 ! -i {BRIDGE} -j DROP` in raw PREROUTING of iptables-nft"
    direct = Traveller("prerouting", None, None, *PACKET_TO_HOST[:1], PACKET.destination, "tcp", 80)
    published = Traveller("prerouting", None, None, *PACKET_TO_HOST)
    assert forward(packet=direct) == (raw,)
    assert forward(packet=published) == ()


PACKET_TO_HOST = (ip_address("203.0.113.7"), ip_address("203.0.113.1"), "tcp", 8080)


def nft(*rules: list[Any], policy: str = "accept") -> tuple[str, ...]:
    where = {"family": "inet", "table": "mine", "chain": "fwd"}
    items = [
        {"table": {"family": "inet", "name": "mine"}},
        {"chain": {"family": "inet", "name": "fwd", "type": "filter", "hook": "forward",
                   "policy": policy}},
        *({"rule": {**where, "handle": n, "expr": rule}} for n, rule in enumerate(rules, 7)),
    ]  # fmt: skip
    table = foreign_table(json.dumps({"nftables": items}), "  tcp dport 80 drop # handle 7\n")
    assert table is not None
    return ends([table], PACKET).drops


PORT_80 = {
    "match": {
        "op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 80,
    }
}  # fmt: skip
ESTABLISHED = {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": "established"}}
PLACE = "chain fwd of nft's table inet mine"


def test_rules_of_nft_are_named_that_the_packet_may_meet() -> None:
    assert nft() == ()
    assert nft(policy="drop") == (f"the policy (drop) of {PLACE}",)
    assert nft([PORT_80, {"drop": None}]) == (f"`tcp dport 80 drop` in {PLACE}",)
    assert nft([ESTABLISHED, {"accept": None}], policy="drop") == (f"the policy (drop) of {PLACE}",)
    assert nft([PORT_80, {"accept": None}], policy="drop") == ()
    fib = {"match": {"op": "==", "left": {"fib": {"result": "type"}}, "right": "local"}}
    assert nft([fib, {"accept": None}], policy="drop") == (f"the policy (drop) of {PLACE}",)


def test_one_sentence_names_a_rule_with_the_published_ports_that_it_may_drop() -> None:
    running = inventory(
        container("web", "shop 172.18.0.2", published="8080:80"),
        container("db", "shop 172.18.0.3", published=("5432:5432", "127.0.0.1:9090:90")),
        network("shop", "172.18.0.0/16"),
    )
    text = MIXED.replace("POLICY", "DROP").replace("RULES", "")
    assert "DOCKER" in text, "by NAT, that is"
    tables = tuple(foreign_tables(TablesState(4, parse(text, TABLES)), "nft"))
    assert published_obstacles(tables, running) == (
        f"the policy (drop) of {STANDS} may drop what dockerfw lets pass to web:80, db:5432",
    )
