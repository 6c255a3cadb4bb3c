"""NAT of others, of iptables and of nft together: what is known, and what is there unread."""

from __future__ import annotations

import json
from ipaddress import ip_address, ip_network

import pytest

from dockerfw.kernel import port_forwards
from dockerfw.kernel.port_forwards import NatOfOthers
from dockerfw.kernel.runner import Completed
from dockerfw.model.host import PortForward
from dockerfw.model.net import Family
from tests.unit.kernel.fake_runner import FakeRunner, broken

WEB = ip_address("172.18.0.2")


def read(family: str, answer: str | Completed) -> NatOfOthers:
    chains = f"table {family} mine {{\n\tchain in {{\n\t\ttype nat hook prerouting priority 0\n"
    runner = FakeRunner({f"nft --json list table {family} mine": answer})
    bridged = (ip_network("172.18.0.0/16"),)
    return port_forwards.read(runner, {}, chains, frozenset(), bridged, ipv6=True)


def unread(family: Family) -> PortForward:
    return PortForward(family, None, None, 0, 0, None, conditional=True)


@pytest.mark.parametrize("answer", [broken("JSON support not compiled-in"), "no JSON"])
def test_a_table_that_cannot_be_read_may_lead_every_port_on(answer: str | Completed) -> None:
    assert read("ip", answer) == NatOfOthers((), (unread(4),))
    assert read("ip6", answer) == NatOfOthers((), (unread(6),))
    assert read("inet", answer) == NatOfOthers((), (unread(4), unread(6)))


def test_a_table_that_can_be_read_leads_on_what_it_says() -> None:
    where = {"family": "ip", "table": "mine"}
    dport = {"payload": {"protocol": "tcp", "field": "dport"}}
    items = [
        {"chain": {**where, "name": "in", "type": "nat", "hook": "prerouting"}},
        {"rule": {**where, "chain": "in", "expr": [
            {"match": {"op": "==", "left": dport, "right": 9}},
            {"dnat": {"addr": "172.18.0.2", "port": 80}},
        ]}},
    ]  # fmt: skip
    found = read("ip", json.dumps({"nftables": items}))
    assert found == NatOfOthers((PortForward(4, None, "tcp", 9, 9, WEB, 80),), ())
