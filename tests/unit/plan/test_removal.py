"""What takes dockerfw out again takes out our objects, all of them, and nothing else."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal, TypeAlias

import pytest
from hypothesis import given, strategies as st

from dockerfw.kernel.iptables.parse import parse_rule
from dockerfw.kernel.iptables.render import render
from dockerfw.model.net import FAMILIES, Family
from dockerfw.plan.removal import removal
from dockerfw.plan.state import ChainState, KernelState, LiveRule, SealState, SetState, TablesState
from dockerfw.plan.steps import (
    Created,
    DeleteChain,
    DeleteJump,
    DeleteRule,
    DestroySet,
    RemoveSeal,
    ReplaceChain,
    RuleWrite,
    WriteRules,
    WriteSeal,
    WriteSets,
)
from dockerfw.rules.names import is_our_chain
from dockerfw.rules.rule import TABLES, Table
from tests.strategies import profile

Chains: TypeAlias = Mapping[str, Collection[str]]
What: TypeAlias = Literal["DOCKER-USER", "FORWARD jump"]

SEAL = SealState(("table inet dockerfw",), frozenset())
BASE = ("PREROUTING", "INPUT", "FORWARD")
OURS = {
    "mangle": {"PREROUTING": ["-j DOCKERFW-PRE"], "DOCKERFW-PRE": ["-j RETURN"]},
    "filter": {
        "FORWARD": ["-j DOCKER-USER"],
        "INPUT": ["-j DOCKERFW-INPUT"],
        "DOCKER-USER": ["-j DOCKERFW"],
        "DOCKERFW": ["-g DOCKERFW-OK"],
        "DOCKERFW-INPUT": [],
        "DOCKERFW-OK": ["-j RETURN"],
    },
}


def read(name: str, rules: Collection[str]) -> tuple[LiveRule, ...]:
    return tuple(parse_rule(rule, ours=is_our_chain(name)) for rule in rules)


def tables(chains: Mapping[str, Chains], family: Family = 4) -> TablesState:
    return TablesState(
        family,
        {
            table: {
                name: ChainState("ACCEPT" if name in BASE else "-", read(name, rules))
                for name, rules in held.items()
            }
            for table, held in chains.items()
        },
    )


def kernel(
    *states: TablesState, sets: Collection[str] = (), seal: SealState | None = None
) -> KernelState:
    return KernelState(
        {state.family: state for state in states},
        {name: SetState(name, "hash:net", 4, 65536, 0, None) for name in sets},
        seal,
    )


def writes(
    chains: Mapping[str, Chains], created: Collection[What] = (), family: Family = 4
) -> tuple[RuleWrite, ...]:
    """What is written to the tables of one family, of a host that has no sets and no seal."""
    steps = removal(kernel(tables(chains, family)), [Created(family, what) for what in created])
    return tuple(write for step in steps if isinstance(step, WriteRules) for write in step.writes)


# --- our objects ---------------------------------------------------------------------------------


def test_the_seal_goes_first_and_the_sets_that_rules_use_last() -> None:
    live = kernel(
        *(tables(OURS, family) for family in FAMILIES),
        sets=("dockerfw-own6", "dockerfw-allow4"),
        seal=SEAL,
    )
    in_one_family = (
        ReplaceChain("mangle", "DOCKERFW-PRE"),
        DeleteRule("mangle", "PREROUTING", read("PREROUTING", ["-j DOCKERFW-PRE"])[0]),
        DeleteChain("mangle", "DOCKERFW-PRE"),
        ReplaceChain("filter", "DOCKERFW"),
        ReplaceChain("filter", "DOCKERFW-INPUT"),
        ReplaceChain("filter", "DOCKERFW-OK"),
        DeleteRule("filter", "INPUT", read("INPUT", ["-j DOCKERFW-INPUT"])[0]),
        DeleteRule("filter", "DOCKER-USER", read("DOCKER-USER", ["-j DOCKERFW"])[0]),
        DeleteChain("filter", "DOCKERFW"),
        DeleteChain("filter", "DOCKERFW-INPUT"),
        DeleteChain("filter", "DOCKERFW-OK"),
    )
    assert removal(live, ()) == (
        WriteSeal("remove the seal", RemoveSeal()),
        WriteRules("remove our rules", 4, in_one_family),
        WriteRules("remove our rules", 6, in_one_family),
        WriteSets("remove our sets", (DestroySet("dockerfw-own6"), DestroySet("dockerfw-allow4"))),
    )


def test_in_the_text_every_chain_is_empty_before_any_goes() -> None:
    (step,) = removal(kernel(tables(OURS)), ())
    assert isinstance(step, WriteRules)
    lines = render(step).splitlines()
    assert lines[:5] == [
        "*mangle",
        ":DOCKERFW-PRE - [0:0]",
        "-D PREROUTING -j DOCKERFW-PRE",
        "-F DOCKERFW-PRE",
        "-X DOCKERFW-PRE",
    ]
    declared = [line for line in lines if line.startswith(":")]
    deleted = [line for line in lines if line.startswith("-X ")]
    assert len(declared) == len(deleted) == 4
    of_filter = lines[lines.index("*filter") :]
    places = {line[:2]: of_filter.index(line) for line in reversed(of_filter)}
    assert places[":D"] < places["-D"] < places["-X"]


def test_where_nothing_is_ours_nothing_is_done() -> None:
    theirs = {"filter": {"FORWARD": ["-j DOCKER-USER"], "DOCKER-USER": ["-j RETURN"]}}
    assert removal(kernel(), ()) == ()
    assert removal(kernel(tables({}), tables(theirs, 6)), ()) == ()


def test_every_way_into_our_chains_goes_whatever_its_condition() -> None:
    ways = ["-j DOCKERFW", "-i wg0 -j DOCKERFW", '-m comment --comment "x" -g DOCKERFW']
    found = writes({"filter": {"FORWARD": [*ways, "-j ACCEPT"], "DOCKERFW": []}})
    assert found == (
        ReplaceChain("filter", "DOCKERFW"),
        *(DeleteRule("filter", "FORWARD", rule) for rule in read("FORWARD", ways)),
        DeleteChain("filter", "DOCKERFW"),
    )


def test_chains_of_another_version_go_as_well() -> None:
    assert writes({"filter": {"DOCKERFW-OF-OLD": ["-j DROP"]}}) == (
        ReplaceChain("filter", "DOCKERFW-OF-OLD"),
        DeleteChain("filter", "DOCKERFW-OF-OLD"),
    )


# --- what others have ----------------------------------------------------------------------------

MENTIONS = (
    '-m comment --comment "above -j DOCKERFW" -j ACCEPT',
    "-j LOG --log-prefix DOCKERFW",
    '-j LOG --log-prefix "-j DOCKERFW"',
    "-m set --match-set dockerfw-own4 src -j DROP",
    "-j MY-DOCKERFW",
    "-j dockerfw",
    "-i DOCKERFW -j ACCEPT",
    "-j DOCKER",
)


@pytest.mark.parametrize("rule", MENTIONS)
def test_a_rule_that_mentions_our_names_stays(rule: str) -> None:
    foreign = {"MY-DOCKERFW": [rule], "dockerfw": [rule], "FORWARD": [rule], "INPUT": [rule]}
    assert writes({"filter": foreign}) == ()
    found = writes({"filter": {**foreign, "DOCKERFW": []}})
    assert found == (ReplaceChain("filter", "DOCKERFW"), DeleteChain("filter", "DOCKERFW"))


USER = "DOCKER-USER"
MADE: tuple[What, ...] = ("DOCKER-USER", "FORWARD jump")
TAKEN_OUT = (DeleteJump("filter", "FORWARD", USER), DeleteChain("filter", USER))


@pytest.mark.parametrize(
    "created, gone",
    [
        (MADE, TAKEN_OUT),
        (MADE[:1], TAKEN_OUT[1:]),
        (MADE[1:], TAKEN_OUT[:1]),
        ((), ()),
    ],
)
def test_docker_user_goes_as_far_as_dockerfw_made_it(
    created: tuple[What, ...], gone: tuple[RuleWrite, ...]
) -> None:
    chains = {"filter": {"FORWARD": ["-j DOCKER-USER"], USER: ["-j DOCKERFW", "-j RETURN"]}}
    (jump,) = read(USER, ["-j DOCKERFW"])
    assert writes(chains, created) == (DeleteRule("filter", USER, jump), *gone)


@pytest.mark.parametrize(
    "more",
    [
        {USER: ["-j DOCKERFW", "-s 192.0.2.0/24 -j DROP"]},
        {USER: ["-i eth0 -j RETURN"]},
        {USER: ["-g RETURN"]},
        {"DOCKER": []},
        {"DOCKER-FORWARD": ["-j ACCEPT"]},
    ],
)
def test_docker_user_stays_where_somebody_else_uses_it_by_now(more: Chains) -> None:
    chains = {"filter": {"FORWARD": ["-j DOCKER-USER"], USER: ["-j RETURN"], **more}}
    found = writes(chains, MADE)
    assert not set(found) & set(TAKEN_OUT)
    assert all(isinstance(write, DeleteRule) for write in found)


def test_a_jump_that_dockerfw_made_and_that_has_gone_is_not_taken_out_again() -> None:
    """The whole transaction would fail, and our rules would stay."""
    chains: Mapping[str, Chains] = {"filter": {"FORWARD": [], USER: []}}
    assert writes(chains, MADE) == TAKEN_OUT[1:]


def test_what_was_made_in_one_family_is_not_taken_out_of_the_other() -> None:
    chains = {"filter": {"FORWARD": ["-j DOCKER-USER"], USER: []}}
    live = kernel(tables(chains, 4), tables(chains, 6))
    assert removal(live, [Created(6, what) for what in MADE]) == (
        WriteRules("remove our rules", 6, TAKEN_OUT),
    )


# --- whatever there is ---------------------------------------------------------------------------

_FOREIGN_RULES = (*MENTIONS, "-j DOCKER-USER", "-j RETURN", "-s 192.0.2.0/24 -j DROP")
_CHAINS: dict[Table, tuple[str, ...]] = {
    "mangle": ("PREROUTING", "DOCKERFW-PRE", "MY-DOCKERFW"),
    "filter": ("FORWARD", "INPUT", USER, "DOCKER", "MY-DOCKERFW", "DOCKERFW", "DOCKERFW-INPUT"),
}


@st.composite
def hosts(draw: st.DrawFn, family: Family = 4) -> TablesState:
    """Chains of ours and of others; into ours lead rules of any chain, as an admin may write."""
    held: dict[str, dict[str, list[str]]] = {}
    for table in draw(st.lists(st.sampled_from(TABLES), unique=True)):
        names = draw(st.lists(st.sampled_from(_CHAINS[table]), unique=True))
        held[table] = {name: _rules(draw, name, names) for name in names}
    return tables(held, family)


def _rules(draw: st.DrawFn, name: str, names: list[str]) -> list[str]:
    if is_our_chain(name):
        return draw(st.lists(st.sampled_from(("-j RETURN", "-j DROP")), max_size=2))
    pool = [*_FOREIGN_RULES]
    for target in filter(is_our_chain, names):
        pool += [f"-j {target}", f"-i wg0 -j {target}", f"-g {target}"]
    return draw(st.lists(st.sampled_from(pool), max_size=4))


def carried_out(state: TablesState, step: WriteRules) -> dict[str, dict[str, list[LiveRule]]]:
    """What stands after the step; strict as the kernel is: a chain goes when no rule leads there.

    A write to what is not ours fails.
    """
    held = {
        table: {name: list(chain.rules) for name, chain in chains.items()}
        for table, chains in state.tables.items()
    }
    for write in step.writes:
        chains = held[write.table]
        match write:
            case ReplaceChain(name=name, rules=()) if is_our_chain(name):
                chains[name] = []
            case DeleteRule(chain=chain, rule=rule) if is_our_chain(rule.target or ""):
                chains[chain].remove(rule)
            case DeleteChain(name=name) if is_our_chain(name):
                assert not any(r.target == name for rules in chains.values() for r in rules)
                del chains[name]
            case _:
                pytest.fail(f"not ours: {write}")
    return held


@profile(20)
@given(
    st.tuples(hosts(4), hosts(6)),
    st.sets(st.sampled_from(("dockerfw-own4", "dockerfw-allow6", "dockerfw-of-old"))),
    st.booleans(),
)
def test_all_that_is_ours_goes_and_nothing_else(
    states: tuple[TablesState, TablesState], sets: set[str], sealed: bool
) -> None:
    live = kernel(*states, sets=sets, seal=SEAL if sealed else None)
    steps = removal(live, ())
    seals = [step for step in steps if isinstance(step, WriteSeal)]
    of_sets = [step for step in steps if isinstance(step, WriteSets)]
    of_rules = {step.family: step for step in steps if isinstance(step, WriteRules)}

    assert seals == ([WriteSeal("remove the seal", RemoveSeal())] if sealed else [])
    assert {w for step in of_sets for w in step.writes} == set(map(DestroySet, sets))
    assert [type(step) for step in steps] == sorted(
        map(type, steps), key=[WriteSeal, WriteRules, WriteSets].index
    )
    for state in states:
        step = of_rules.get(state.family, WriteRules("nothing", state.family, ()))
        assert carried_out(state, step) == {
            table: {
                name: [rule for rule in chain.rules if not is_our_chain(rule.target or "")]
                for name, chain in chains.items()
                if not is_our_chain(name)
            }
            for table, chains in state.tables.items()
        }
