"""What the sets hold that say what is where, by examples."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from dockerfw.model.host import PortForward
from dockerfw.model.inventory import Container, Inventory
from dockerfw.model.net import Address, Port
from dockerfw.rules.names import Topic, topology_set
from dockerfw.rules.ruleset import Element
from dockerfw.rules.sources import halves
from dockerfw.rules.topology import NamedHostPorts, guarded_ports, topology
from tests.build import container, inventory, network

FRONT = network("front", "172.18.0.0/16")
LAN = network("lan", "192.0.2.0/24", driver="macvlan")
WEB = container("web", "front 172.18.0.2")
SHOP = inventory(WEB, FRONT)
TO_WEB = PortForward(4, None, "tcp", 8000, 8000, ip_address("172.18.0.2"))


def held(
    topic: Topic,
    running: Inventory = SHOP,
    *forwards: PortForward,
    named: NamedHostPorts | None = None,
) -> frozenset[Element]:
    """Return the elements of the set of this topic, IPv4."""
    named = named or {}
    found = topology(running, named, forwards, 4, guarded_ports(running, named))
    return {one.name: one.elements for one in found}[topology_set(topic, 4)]


def test_a_range_of_1024_ports_is_expanded_and_a_wider_one_left_out() -> None:
    ports = {(half, Port("tcp", number)) for half in halves(4) for number in range(8000, 9024)}
    assert held("nat", SHOP, replace(TO_WEB, last=9023)) == ports
    assert held("nat", SHOP, replace(TO_WEB, last=9024)) == frozenset()


@pytest.mark.parametrize("to", [ip_address("10.0.0.9"), ip_address("192.0.2.9"), None])
def test_nat_that_leads_to_no_bridge_of_docker_is_left_out(to: Address | None) -> None:
    """To a VM, to a macvlan network, or to this host itself."""
    running = inventory(WEB, FRONT, LAN)
    port = replace(TO_WEB, to=to)
    whole = replace(port, address=ip_address("192.0.2.10"), protocol=None)
    assert held("nat", running, port, TO_WEB) == held("nat", running, TO_WEB)
    assert held("natnet", running, whole) == frozenset()


@pytest.mark.parametrize(
    ("other", "taken"),
    [
        (container("db", "front 172.18.0.3", published="9100:80"), True),
        (container("camera", "lan 192.0.2.3", published="9100:80"), False),
        (container("agent", host_network=True, published="9100:80"), False),
    ],
    ids=lambda value: value.name if isinstance(value, Container) else "",
)
def test_only_containers_on_bridges_take_a_port_from_the_network_of_the_host(
    other: Container, taken: bool
) -> None:
    port = Port("tcp", 9100)
    running = inventory(other, container("exporter", host_network=True), FRONT, LAN)
    found = held("hostnet", running, named={"id-exporter": frozenset({port})})
    assert found == (frozenset() if taken else {(half, port) for half in halves(4)})
