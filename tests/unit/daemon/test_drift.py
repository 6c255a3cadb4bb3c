"""What others have changed is told by values: no text of a rule of theirs hides anything."""

from __future__ import annotations

from dataclasses import replace

from dockerfw.daemon.drift import describe_drift, kind_of_drift
from dockerfw.kernel.iptables.parse import parse_rule
from dockerfw.model.net import Family
from dockerfw.model.policy import Policy
from dockerfw.operations.reconcile import Observation
from dockerfw.plan import planner
from dockerfw.plan.state import ChainState, KernelState, TablesState
from dockerfw.rules.compiler import compile_ruleset
from dockerfw.rules.names import MAIN
from tests.build import facts, inventory
from tests.replay import IDENTITY, Replay
from tests.situations import Situation, commit, docker_tables

FACTS = facts()
RULESET = compile_ruleset(Policy(), inventory(), FACTS)
HOST = Situation(Policy(), inventory(), FACTS)


def standing() -> KernelState:
    """What is read once all of the ruleset was written."""
    kernel = Replay({4: docker_tables(), 6: docker_tables()}, [RULESET], frozenset())
    commit(kernel, HOST, RULESET)
    return kernel.state()


STANDING = standing()


def observed(live: KernelState) -> Observation:
    return Observation(FACTS, RULESET, live, planner.plan(live, RULESET, FACTS, IDENTITY))


def with_rule(text: str) -> dict[Family, TablesState]:
    """All that stands, and a rule of somebody else in our first chain."""
    tables = dict(STANDING.tables)
    held = {name: dict(chains) for name, chains in tables[4].tables.items()}
    rules = held["filter"][MAIN].rules
    held["filter"][MAIN] = ChainState("-", (parse_rule(text, ours=True), *rules))
    return {**tables, 4: TablesState(4, held)}


def test_a_rule_of_others_about_a_seal_does_not_hide_that_the_seal_was_changed() -> None:
    assert STANDING.seal is not None
    changed = replace(STANDING.seal, frame=(*STANDING.seal.frame, "one rule more"))
    tables = with_rule("-i seal0 -j ACCEPT")

    found = describe_drift(observed(replace(STANDING, tables=tables, seal=changed)), IDENTITY)

    assert any("seal0" in phrase for phrase in found)
    assert "the seal was changed" in found


def test_each_table_of_a_seal_that_is_gone_is_told_once() -> None:
    found = describe_drift(observed(replace(STANDING, seal=None)), IDENTITY)

    assert [phrase for phrase in found if "seal" in phrase] == [
        "the seal (nft table inet dockerfw) was missing",
        "the seal (nft table bridge dockerfw) was missing",
    ]


def test_the_kind_is_that_of_what_is_written() -> None:
    lost = next(iter(STANDING.sets))
    sets = {name: state for name, state in STANDING.sets.items() if name != lost}

    assert kind_of_drift(observed(replace(STANDING, seal=None))) == "seal"
    assert kind_of_drift(observed(replace(STANDING, sets=sets))) == "sets"
    assert kind_of_drift(observed(replace(STANDING, tables=with_rule("-j LOG")))) == "rules"
