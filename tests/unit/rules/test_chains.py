"""What the fixed chains do with one packet, by examples."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from dockerfw.model.net import Address
from dockerfw.rules.compiler import compile_ruleset
from dockerfw.rules.walk import Hook, Packet, walk
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
