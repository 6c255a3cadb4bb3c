"""The differences between two states, against the oracle's answers about both."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from random import Random

from hypothesis import given, strategies as st

from dockerfw.model.inventory import Inventory
from dockerfw.model.net import Address
from dockerfw.model.policy import InterfaceSource, Policy
from dockerfw.report.diff import compare
from dockerfw.report.reach import Difference, Side, Sources
from dockerfw.rules.compiler import compile_ruleset
from dockerfw.rules.meaning import Inside, Interface
from dockerfw.rules.names import topology_set
from tests.oracle import Question, allowed_sources, inside_sources
from tests.questions import as_address, facts_for, questions
from tests.standing import sets_of, tables_of
from tests.strategies import inventories, policies, profile


@profile()
@given(policies, policies, inventories(), st.randoms(use_true_random=False))
def test_no_opening_and_no_closing_is_passed_over_in_silence(
    old: Policy, new: Policy, running: Inventory, random: Random
) -> None:
    facts = facts_for(running)
    live, wanted = (compile_ruleset(policy, running, facts) for policy in (old, new))
    before, after, found = compare(sets_of(live), wanted, tables_of(live))
    for question in (
        q for policy in (old, new) for q in questions(policy, running, facts, random, 20)
    ):
        could, can = (allowed_sources(p, running, facts, question) for p in (old, new))
        if before.baseline != after.baseline or _guard_differs(before, after, question):
            continue
        for first, _ in (can - could).intervals:
            source = as_address(first, question.family)
            told = [d for d in found if d.kind in ("open", "lift") and _is_about(d, question)]
            assert any(_hold(d.sources, source, question) for d in told), (question, source)
        for first, _ in (could - can).intervals:
            source = as_address(first, question.family)
            told = [d for d in found if d.kind in ("close", "deny") and _is_about(d, question)]
            naming = [d for d in told if _hold(d.sources, source, question)]
            assert naming, (question, source)
            # Exceptions are networks of the outside.
            inside = source in inside_sources(running, question.interface, question.family)
            assert inside or not all(_hold(d.excepting, source, question) for d in naming)


def _guard_differs(before: Side, after: Side, question: Question) -> bool:
    """Return True if docker-proxy's ports or those of host-network containers are others now."""
    names = [topology_set(topic, question.family) for topic in ("pub", "hostnet")]
    return any(before.elements(name) != after.elements(name) for name in names)


def _is_about(difference: Difference, question: Question) -> bool:
    to = difference.destination
    place = "host" if question.path == "host" else "container"
    if (to.place, to.family) != (place, question.family):
        return False
    if to.where is not None and question.address not in to.where:
        return False
    if to.protocol is None:
        return True
    return to.protocol == question.protocol and to.first <= question.port <= to.last


def _hold(sources: Sources, address: Address, question: Question) -> bool:
    """Return True if a packet from this address comes from one of the sources."""
    for one in sources:
        match one:
            case IPv4Network() | IPv6Network():
                if address in one:
                    return True
            case Inside(network=network):
                if network is None or address in network:
                    return True
            case Interface(name=name):
                if InterfaceSource(name).matches(question.interface):
                    return True
    return False
