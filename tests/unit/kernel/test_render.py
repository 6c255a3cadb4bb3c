"""Whatever a container is called or labelled, no word of it reaches kernel text."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest

from dockerfw.kernel.nft import driver as seal
from dockerfw.kernel.render import rule_text
from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Container, Endpoint, Inventory, Network, PublishedPort
from dockerfw.model.policy import (
    Allow,
    AnySource,
    InterfaceSource,
    Origin,
    Policy,
    PortRange,
    Selector,
    SelectorSource,
)
from dockerfw.plan.planner import plan
from dockerfw.plan.state import KernelState, TablesState
from dockerfw.rules.compiler import compile_ruleset
from dockerfw.rules.ruleset import Goto, InInterface, InSet, Rule

EVIL = [
    'db" -j ACCEPT --comment "',
    "db\nadd dockerfw-allow4 172.18.0.2,tcp:22,0.0.0.0/1",
    "db\n-A DOCKERFW -j ACCEPT",
    "-j ACCEPT",
    "x" * 65536,
    "'; } table inet x {",
]


@pytest.mark.parametrize("evil", EVIL, ids=range(len(EVIL)))
def test_a_hostile_name_or_label_is_nowhere_in_the_steps(evil: str) -> None:
    where = Endpoint(evil, "n1", IPv4Address("172.18.0.2"))
    container = Container("c1", evil, image=evil, labels=((evil, evil),), endpoints=(where,))
    network = Network("n1", evil, "bridge", "br-a", (IPv4Network("172.18.0.0/16"),))
    allow = Allow(
        Origin("config.toml", 1),
        (AnySource(), SelectorSource(Selector("label", evil, evil)), InterfaceSource("wg0")),
        to=(Selector("network", evil),),
        ports=(PortRange("tcp", 22, 22),),
    )
    facts = HostFacts()
    ruleset = compile_ruleset(Policy(allows=(allow,)), Inventory((container,), (network,)), facts)
    nothing = KernelState({4: TablesState(4), 6: TablesState(6)}, {}, None)

    steps = plan(nothing, ruleset, facts, seal.updates(None, ruleset.seal)).steps

    text = "\n".join(step.text for step in steps)
    assert "172.18.0.2,tcp:22" in text, "the rule itself is there"
    assert evil not in text
    assert "ACCEPT" not in text


@pytest.mark.parametrize("word", ["a b", 'a"', "a\nb", "a;b", "a'b", ""])
def test_the_renderer_refuses_what_is_not_one_plain_word(word: str) -> None:
    for match in (InInterface(word), InSet(word, ("src",))):
        with pytest.raises(ValueError, match="not fit"):
            rule_text(Rule((match,), Goto("DOCKERFW-OK")), 4)


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
