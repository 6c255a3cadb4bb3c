"""What the compiler gives is read back as it was, from the very text that is written of it.

The rules and elements are those of all golden hosts, and of random policies and inventories.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given

from dockerfw.kernel.ipset.parse import parse_element, parse_entry
from dockerfw.kernel.ipset.render import element_text
from dockerfw.kernel.iptables.parse import parse, parse_rule
from dockerfw.kernel.iptables.render import rule_identity, rule_text
from dockerfw.kernel.netfilter import Digests
from dockerfw.model.inventory import Inventory
from dockerfw.model.net import Family
from dockerfw.model.policy import Policy
from dockerfw.plan.skeletons import Skeletons
from dockerfw.plan.state import LiveElement, OddElement, TablesState
from dockerfw.rules.compiler import compile_ruleset
from dockerfw.rules.rule import (
    AddToSet,
    Drop,
    Goto,
    Log,
    Match,
    NoTarget,
    Reject,
    Return,
    Rule,
    SetMark,
)
from dockerfw.rules.ruleset import IPSet, Ruleset
from tests.golden_text import RECORDED, case_ruleset, cases
from tests.questions import facts_for
from tests.strategies import fitting, profile

golden = pytest.mark.parametrize("folder", cases(), ids=lambda folder: folder.name)


# --- rules ---------------------------------------------------------------------------------------


def all_of(rule: Rule) -> list[Match]:
    """A rule's matches; their order means nothing."""
    return sorted(rule.matches, key=repr)


def target_name(rule: Rule) -> str | None:
    match rule.target:
        case Goto(chain=chain):
            return chain
        case Return():
            return "RETURN"
        case Drop():
            return "DROP"
        case Reject():
            return "REJECT"
        case SetMark():
            return "MARK"
        case AddToSet():
            return "SET"
        case Log():
            return "LOG"
        case NoTarget():
            return None


def assert_rule_is_read_back(rule: Rule, family: Family) -> None:
    text = rule_text(rule, family)
    live = parse_rule(text, ours=True)
    assert live.text == text
    assert live.identity == rule_identity(rule, family)
    assert (live.target, live.goto) == (target_name(rule), isinstance(rule.target, Goto))
    assert not live.bare, "there is a comment, at least"
    mask = rule.target.mask if isinstance(rule.target, SetMark) else 0
    assert live.mark_bits == mask
    meaning = live.meaning
    assert meaning is not None, text
    assert all_of(meaning) == all_of(rule)
    assert (meaning.target, meaning.comment) == (rule.target, rule.comment)
    assert rule_identity(Rule(rule.matches, meaning.target), family) == live.identity


def assert_rules_are_read_back(ruleset: Ruleset) -> None:
    for chain in ruleset.chains:
        for rule in chain.rules:
            assert_rule_is_read_back(rule, chain.family)
        # Rules that differ are told apart by what is read of them.
        texts = {(rule_text(r, chain.family), rule_identity(r, chain.family)) for r in chain.rules}
        assert len({identity for _, identity in texts}) == len(texts)


@golden
def test_the_rules_of_golden_hosts_are_read_back(folder: Path) -> None:
    ruleset, _ = case_ruleset(folder)
    assert ruleset.chains
    assert_rules_are_read_back(ruleset)


@profile()
@given(fitting())
def test_any_rule_of_the_compiler_is_read_back(pair: tuple[Policy, Inventory]) -> None:
    policy, inventory = pair
    assert_rules_are_read_back(compile_ruleset(policy, inventory, facts_for(inventory)))


@golden
def test_the_recorded_text_of_a_golden_host_is_read_as_its_chains(folder: Path) -> None:
    ruleset, host = case_ruleset(folder)
    recorded = (folder / RECORDED).read_text()
    for family in host.families:
        parts = recorded.split(f"# IPv{family}\n")[1:]
        saved = "".join(part.partition("COMMIT\n")[0] for part in parts)
        state = TablesState(family, parse(saved))
        skeletons = Skeletons(ruleset, family, Digests())
        assert skeletons.all_stand(state)
        for chain in skeletons.chains():
            assert skeletons.same(state.rules(chain.table, chain.name), chain)
        united = skeletons.union(state)
        assert skeletons.changed(state, united) == []
        assert skeletons.with_baseline(united) == []


# --- elements ------------------------------------------------------------------------------------


def assert_elements_are_read_back(ipset: IPSet) -> None:
    for element in ipset.elements:
        for by_number in (False, True):
            text = element_text(element, by_number=by_number)
            assert parse_element(text, ipset.type) == element, text
            line = f"add {ipset.name} {text} timeout 17 packets 5 bytes 300"
            assert parse_entry(line, ipset.type) == element
    texts = {element_text(element) for element in ipset.elements}
    assert len(texts) == len(ipset.elements)


@golden
def test_the_elements_of_golden_hosts_are_read_back(folder: Path) -> None:
    ruleset, _ = case_ruleset(folder)
    assert any(ipset.elements for ipset in ruleset.sets)
    for ipset in ruleset.sets:
        assert_elements_are_read_back(ipset)


@profile()
@given(fitting())
def test_any_element_of_the_compiler_is_read_back(pair: tuple[Policy, Inventory]) -> None:
    policy, inventory = pair
    for ipset in compile_ruleset(policy, inventory, facts_for(inventory)).sets:
        assert_elements_are_read_back(ipset)


def plain(element: LiveElement) -> LiveElement:
    """What a record begins with stands in it for ever, and nothing else does."""
    return element.plain or element if isinstance(element, OddElement) else element


@golden
def test_the_recorded_text_of_a_golden_host_is_read_as_its_sets(folder: Path) -> None:
    ruleset, _ = case_ruleset(folder)
    kinds = {ipset.name: ipset.type for ipset in ruleset.sets}
    found: dict[str, set[LiveElement]] = {name: set() for name in kinds}
    for line in (folder / RECORDED).read_text().splitlines():
        if line.startswith("add ") and not line.startswith("add table "):
            name = line.split()[1]
            found[name].add(plain(parse_entry(line, kinds[name])))
    assert found == {ipset.name: ipset.elements for ipset in ruleset.sets}
