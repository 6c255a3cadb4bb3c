"""Chains without any set, for the moment in which a set is replaced that cannot stay.

Pure. A set that a rule uses cannot be destroyed. Where there is a seal it closes all that the
chains do not let pass; on a kernel without nf_tables they are all there is, so what the sets guard
is written out as rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dockerfw.model.net import Family, Port
from dockerfw.plan import jumps
from dockerfw.plan.state import ChainState, Identity, TablesState
from dockerfw.plan.steps import ReplaceChain, RuleWrite
from dockerfw.rules.names import INPUT, MAIN, PRE, is_our_chain, topology_set
from dockerfw.rules.rule import (
    TABLES,
    ConnState,
    DestNetwork,
    DestPorts,
    Drop,
    IcmpTypes,
    InInterface,
    Match,
    Reply,
    Return,
    Rule,
    Table,
)
from dockerfw.rules.ruleset import IPSet, Ruleset

_PLACES: tuple[tuple[Table, str], ...] = (("mangle", PRE), ("filter", MAIN), ("filter", INPUT))
_WHY = "closed for a moment"
_BY_HOST_PORT = Rule((ConnState("DNAT"),), Drop(), _WHY)
"""A rule that no other state of our chains has."""


def close(state: TablesState, wanted: Ruleset) -> list[ReplaceChain]:
    """Return the writes that leave our chains of one family without any set.

    Nobody reaches a container or one of its host ports, what belongs to connections that a
    container began excepted; services of this host itself are left alone. Where the policy only
    observes, everything passes.
    """
    sets = {s.name: s for s in wanted.sets}
    family = state.family
    rules: Mapping[str, tuple[Rule, ...]] = {}
    if not wanted.seal.observe:
        rules = {MAIN: tuple(_forward(sets, family)), INPUT: tuple(_input(sets, family))}
    return [
        ReplaceChain(table, name, rules.get(name, ()))
        for table in TABLES
        for name in state.tables.get(table, {})
        if is_our_chain(name)
    ]


def close_anew(state: TablesState, wanted: Ruleset, *, docker_user: bool) -> tuple[RuleWrite, ...]:
    """Return the writes that close one family by its chains alone, whether any of ours stand or
    not.

    As `close`, with the jumps; ``docker_user`` as in `HostFacts`.
    """
    tables = dict(state.tables)
    for table, name in _PLACES:
        tables[table] = {name: ChainState("-"), **tables.get(table, {})}
    whole = TablesState(state.family, tables)
    return (*close(whole, wanted), *jumps.fixes(whole, docker_user=docker_user))


def is_closed(state: TablesState, identity: Identity) -> bool:
    """Return True if `close` was the last that was written to this family."""
    mine = identity.rule(_BY_HOST_PORT, state.family)
    return any(rule.identity == mine for rule in state.rules("filter", MAIN))


def _forward(sets: Mapping[str, IPSet], family: Family) -> Iterator[Rule]:
    yield _rule(Return(), Reply())
    if family == 6:  # bridged neighbour discovery meets FORWARD where br_netfilter is on
        yield from (_rule(Return(), IcmpTypes(t)) for t in range(133, 138))
    yield _BY_HOST_PORT
    for network in _matches(sets[topology_set("guarded", family)]):
        yield _rule(Drop(), *network)


def _input(sets: Mapping[str, IPSet], family: Family) -> Iterator[Rule]:
    yield _rule(Return(), InInterface("lo"))
    # docker-proxy asks nothing from the port that it listens on, a host-network container may.
    for port in _matches(sets[topology_set("hostnet", family)]):
        yield _rule(Return(), *port, Reply())
    for port in _matches(sets[topology_set("pub", family)]):
        yield _rule(Drop(), *port)


def _matches(ipset: IPSet) -> Iterator[tuple[Match, ...]]:
    """Yield for each element, in order, what a rule matches in place of the set."""
    for element in sorted(ipset.elements, key=str):
        matches: list[Match] = []
        for part in element:
            if isinstance(part, Port):
                matches.append(DestPorts(part.protocol, part.number, part.number))
            elif not isinstance(part, str):
                matches.append(DestNetwork(part))
        yield tuple(matches)


def _rule(target: Return | Drop, *matches: Match) -> Rule:
    return Rule(matches, target, _WHY)
