"""What a policy comes to, by examples: whether one packet gets where it is sent."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from dockerfw.rules.compiler import compile_ruleset
from dockerfw.rules.walk import Packet, walk
from tests.build import container, deny, facts, inventory, network, policy

HOST = ip_address("192.0.2.10")
DB = ip_address("172.19.0.2")
SHOP = inventory(
    network("back", "172.19.0.0/16"),
    network("front", "172.18.0.0/16"),
    container("db", "back 172.19.0.2", published="5432:5432"),
    container("web", "front 172.18.0.2"),
)
BRIDGE = next(n.bridge for n in SHOP.networks if n.name == "front")


@pytest.mark.parametrize("denied", [f"iface:{BRIDGE}", "container:web", "bridge"])
def test_a_deny_of_a_host_port_keeps_containers_out_by_whatever_they_are_named(denied: str) -> None:
    """Docker's NAT leads them to the container, which the baseline would let them reach."""
    assert BRIDGE is not None
    packet = Packet(
        interface=BRIDGE,
        source=ip_address("172.18.0.2"),
        destination=DB,
        protocol="tcp",
        port=5432,
        host_port=(HOST, 5432),
        dnat=True,
    )
    host = facts(str(HOST))
    free, closed = (
        compile_ruleset(p, SHOP, host) for p in (policy(), policy(deny(denied, published=5432)))
    )
    assert walk(free, "forward", packet, host.addresses).passed
    assert not walk(closed, "forward", packet, host.addresses).passed
    assert (free.seal.inside, closed.seal.inside) == (True, False)
