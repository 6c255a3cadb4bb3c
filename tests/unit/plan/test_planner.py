"""What a plan does about sets and chains that somebody else has touched, write by write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from dockerfw.model.net import Family
from dockerfw.model.policy import Policy
from dockerfw.plan import planner
from dockerfw.plan.closed import close
from dockerfw.plan.state import ChainState, KernelState, LiveRule, SetState, TablesState
from dockerfw.plan.steps import (
    AddElements,
    CreateSet,
    DestroySet,
    Plan,
    SetWrite,
    SwapSets,
    WriteRules,
    WriteSets,
)
from dockerfw.rules.compiler import compile_ruleset
from dockerfw.rules.names import DENY, PRE_INSIDE, bridge_sets, swap_set, topology_set
from dockerfw.rules.rule import Rule
from dockerfw.rules.ruleset import Ruleset
from tests import build
from tests.build import allow, deny, inventory, network
from tests.replay import IDENTITY, Replay
from tests.situations import Situation, commit, docker_tables

FACTS = build.facts()
SHOP = inventory(
    network("front", "172.18.0.0/16"),
    build.container("web", "front 172.18.0.2", published="8080:80"),
)
PEOPLE = tuple(f"203.0.113.{n}" for n in range(1, 9))


def compiled(policy: Policy) -> Ruleset:
    return compile_ruleset(policy, SHOP, FACTS)


def standing(ruleset: Ruleset, policy: Policy) -> KernelState:
    """What is read once all of a ruleset was written to a host with an engine."""
    kernel = Replay({4: docker_tables(), 6: docker_tables()}, [ruleset], frozenset())
    commit(kernel, Situation(policy, SHOP, FACTS), ruleset)
    return kernel.state()


def planned(live: KernelState, wanted: Ruleset) -> Plan:
    return planner.plan(live, wanted, FACTS, IDENTITY)


def with_set(live: KernelState, changed: SetState) -> KernelState:
    return replace(live, sets={**live.sets, changed.name: changed})


def with_chain(live: KernelState, table: str, name: str, chain: ChainState) -> KernelState:
    """The same with another chain in IPv4."""
    tables = {t: dict(chains) for t, chains in live.tables[4].tables.items()}
    tables[table][name] = chain
    return replace(live, tables={**live.tables, 4: TablesState(4, tables)})


def writes_about(plan: Plan, name: str) -> list[SetWrite]:
    return [w for w in plan.set_writes() if w.name in (name, swap_set(name))]


# --- a set that is full --------------------------------------------------------------------------


def full(verdict: str) -> tuple[KernelState, Ruleset, SetState]:
    """A set that holds as many elements as it can; the wanted ruleset has others, and more."""
    make = deny if verdict == "deny" else allow
    old, new = (
        build.policy(make(*people, to="web", ports=80)) for people in (PEOPLE[:2], PEOPLE[1:])
    )
    before, after = compiled(old), compiled(new)
    live = standing(before, old)
    name = next(
        s.name for s in before.sets if s.family == 4 and s.phase == verdict and len(s.elements) == 2
    )
    crowded = replace(live.sets[name], maxelem=2)
    return with_set(live, crowded), after, crowded


@pytest.mark.parametrize("verdict", ["deny", "allow"])
def test_a_larger_set_holds_what_is_only_taken_out_later(verdict: str) -> None:
    """Else a deny would be gone before the allow that it beats."""
    live, wanted, crowded = full(verdict)
    plan = planned(live, wanted)
    added = next(w for w in writes_about(plan, crowded.name) if isinstance(w, AddElements))
    assert added.name == swap_set(crowded.name)
    assert crowded.elements is not None
    assert added.elements > crowded.elements


def test_what_a_guard_lets_go_of_is_not_in_the_larger_set() -> None:
    """Guards shrink before they grow: the larger set comes when the others have gone."""
    old, new = Policy(), Policy()
    before = compile_ruleset(old, inventory(network("a", "172.18.0.0/16")), FACTS)
    others = (network(f"b{n}", f"172.{20 + n}.0.0/16") for n in range(3))
    wanted = compile_ruleset(new, inventory(*others), FACTS)
    live = standing(before, old)
    name = "dockerfw-guarded4"
    crowded = replace(live.sets[name], maxelem=1)
    writes = writes_about(planned(with_set(live, crowded), wanted), name)
    added = next(w for w in writes if isinstance(w, AddElements))
    assert crowded.elements is not None
    assert not added.elements & crowded.elements


def test_a_larger_set_that_was_left_over_is_taken_out_first() -> None:
    live, wanted, crowded = full("deny")
    larger = swap_set(crowded.name)
    kinds = [type(w) for w in writes_about(planned(live, wanted), crowded.name)]
    assert kinds[:5] == [DestroySet, CreateSet, AddElements, SwapSets, DestroySet]
    assert writes_about(planned(live, wanted), crowded.name)[0] == DestroySet(larger)


# --- a set that somebody else has made -----------------------------------------------------------


@pytest.mark.parametrize("what", ["counters", "timeout", "type"])
def test_a_set_that_differs_for_good_is_made_anew(what: str) -> None:
    ruleset = compiled(Policy())
    live = standing(ruleset, Policy())
    assert planned(live, ruleset).steps == ()
    mine = live.sets["dockerfw-pub4"]
    changes: Mapping[str, SetState] = {
        "counters": replace(mine, counters=False),
        "timeout": replace(mine, timeout=True),
        "type": replace(mine, type="hash:ip", elements=frozenset()),
    }
    plan = planned(with_set(live, changes[what]), ruleset)
    assert [type(w) for w in writes_about(plan, mine.name)][:2] == [DestroySet, CreateSet]
    assert [note.about for note in plan.notes][:1] == ["set"]


def test_chains_that_are_closed_still_open_once_all_is_guarded_again() -> None:
    """Somebody was killed while they were closed: a set that was of the wrong type is not there."""
    facts = build.facts(ipv6=False)
    ruleset = compile_ruleset(Policy(), SHOP, facts)
    live = standing(compiled(Policy()), Policy())
    live = KernelState({4: live.tables[4]}, {s.name: live.sets[s.name] for s in ruleset.sets}, None)
    missing = topology_set("guarded", 4)
    live = replace(live, sets={n: s for n, s in live.sets.items() if n != missing})
    for write in close(live.tables[4], ruleset):
        rules = tuple(
            LiveRule(rule.comment, identity=IDENTITY.rule(rule, 4))
            for rule in write.rules
            if isinstance(rule, Rule)
        )
        live = with_chain(live, write.table, write.name, ChainState("-", rules))

    steps = planner.plan(live, ruleset, facts, IDENTITY).steps

    opened = next(i for i, step in enumerate(steps) if isinstance(step, WriteRules))
    guarded = next(
        i
        for i, step in enumerate(steps)
        if isinstance(step, WriteSets)
        and any(isinstance(w, AddElements) and w.name == missing for w in step.writes)
    )
    assert guarded < opened


def test_a_list_of_sets_is_destroyed_before_its_members() -> None:
    """The kernel keeps a set that a list holds."""
    live = standing(compiled(Policy()), Policy())
    facts = build.facts(ipv6=False)
    wanted = compile_ruleset(Policy(), SHOP, facts)

    plan = planner.plan(live, wanted, facts, IDENTITY)

    destroyed = [w.name for w in plan.set_writes() if isinstance(w, DestroySet)]
    assert set(bridge_sets(6)) <= set(destroyed)
    first = min(map(destroyed.index, bridge_sets(6)))
    assert destroyed.index(topology_set("bridges", 6)) < first


# --- chains --------------------------------------------------------------------------------------


def test_a_host_without_docker_user_has_no_jump_to_it_made() -> None:
    """What `remove` takes out again is what was made, and nothing of somebody else's."""
    family: Family = 4
    empty: Mapping[str, ChainState] = {
        name: ChainState("ACCEPT") for name in ("INPUT", "FORWARD", "OUTPUT")
    }
    tables = {"filter": empty, "mangle": {"PREROUTING": ChainState("ACCEPT")}}
    live = KernelState({family: TablesState(family, tables)}, {}, None)
    for docker_user, made in ((False, set[str]()), (True, {"DOCKER-USER", "FORWARD jump"})):
        facts = build.facts(docker_user=docker_user, ipv6=False)
        wanted = compile_ruleset(Policy(), SHOP, facts)
        plan = planner.plan(live, wanted, facts, IDENTITY)
        assert {created.what for created in plan.creates} == made


def test_a_chain_that_may_be_empty_is_not_called_emptied() -> None:
    """`PRE_INSIDE` holds nothing where the baseline needs nothing of it."""
    restricted = Policy(baseline=())
    wanted = compiled(build.policy(deny("container:web", published=8080), baseline=()))
    live = standing(compiled(restricted), restricted)
    live = with_chain(live, "mangle", PRE_INSIDE, ChainState("-"))
    assert planned(live, wanted).notes == ()
    emptied = with_chain(live, "filter", DENY, ChainState("-"))
    assert [str(n) for n in planned(emptied, wanted).notes] == [f"IPv4: {DENY} was empty"]
