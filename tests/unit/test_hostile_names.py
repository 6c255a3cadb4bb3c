"""Whatever a container is called or labelled, no word of it reaches kernel text."""

from __future__ import annotations

import time
from dataclasses import fields, is_dataclass
from ipaddress import IPv4Address, IPv4Network, ip_network

import pytest

from dockerfw.kernel.netfilter import Netfilter
from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Container, Endpoint, Inventory, Network
from dockerfw.model.net import Port
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
from dockerfw.plan.steps import AddElements
from dockerfw.rules.compiler import compile_ruleset
from tests.unit.kernel.fake_runner import FakeRunner

EVIL = [
    'db" -j ACCEPT --comment "',
    "db\nadd dockerfw-allow4 172.18.0.2,tcp:22,0.0.0.0/1",
    "db\n-A DOCKERFW -j ACCEPT",
    "-j ACCEPT",
    "x" * 65536,
    "'; } table inet x {",
]


def strings(value: object) -> set[str]:
    """Every string that a value holds, at whatever depth."""
    if isinstance(value, str):
        return {value}
    if isinstance(value, tuple | frozenset):
        return {text for part in value for text in strings(part)}
    if is_dataclass(value):
        return {
            text for field in fields(value) for text in strings(getattr(value, field.name, None))
        }
    return set()


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
    kernel = Netfilter(FakeRunner(), time.time)

    found = plan(nothing, ruleset, facts, kernel.identity)

    text = "\n".join(map(kernel.render, found.steps))
    assert "172.18.0.2,tcp:22" in text, "the rule itself is there"
    assert evil not in text
    assert "ACCEPT" not in text
    added = {e for w in found.set_writes() if isinstance(w, AddElements) for e in w.elements}
    assert (ip_network("172.18.0.2"), Port("tcp", 22), ip_network("0.0.0.0/1")) in added
    values = {text for step in found.steps for text in strings(step)}
    assert "wg0" in values
    assert not any(evil in text for text in values)
