"""Named ports of host-network containers that others publish as well."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Container, Endpoint, Inventory, Network, PublishedPort
from dockerfw.model.policy import Allow, AnySource, Origin, Policy, PortRange, Selector
from dockerfw.rules.compiler import compile_ruleset


def test_a_host_network_port_that_others_publish_at_one_address_and_at_all_compiles() -> None:
    """The pieces of a range of addresses may lie within what is taken out next."""
    named = Container("c0", "web", host_network=True)
    at_one = PublishedPort(IPv4Address("192.0.2.10"), 80, 80, "tcp")
    at_all = PublishedPort(IPv4Address("0.0.0.0"), 80, 80, "tcp")
    network = Network("n1", "front", "bridge", "br-a", (IPv4Network("172.18.0.0/16"),))
    here = (Endpoint("front", "n1", IPv4Address("172.18.0.2")),)
    others = (
        Container("c1", "a", endpoints=here, ports=(at_one,)),
        Container("c2", "b", endpoints=here, ports=(at_all,)),
    )
    allow = Allow(
        Origin("config.toml", 1),
        (AnySource(),),
        to=(Selector("container", "web"),),
        ports=(PortRange("tcp", 80, 80),),
    )
    ruleset = compile_ruleset(
        Policy(allows=(allow,)), Inventory((named, *others), (network,)), HostFacts(ipv6=False)
    )
    hostnet = ruleset.set("dockerfw-hostnet4")
    assert hostnet is not None
    assert not hostnet.elements, "the others publish it on every address"
