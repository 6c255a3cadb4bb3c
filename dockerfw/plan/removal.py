"""The steps that take out every object of ours, and nothing else. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from dockerfw.errors import Failed
from dockerfw.model.docker_names import DOCKER_USER, is_docker_chain
from dockerfw.plan.jumps import has_forward_jump
from dockerfw.plan.state import KernelState, LiveRule, TablesState
from dockerfw.plan.steps import (
    Created,
    DeleteChain,
    DeleteJump,
    DeleteRule,
    DestroySet,
    RemoveSeal,
    ReplaceChain,
    RuleWrite,
    Step,
    WriteRules,
    WriteSeal,
    WriteSets,
)
from dockerfw.rules.names import MAIN, is_our_chain, is_plain
from dockerfw.rules.rule import TABLES, Table
from dockerfw.text import printable


def removal(live: KernelState, created: Collection[Created]) -> tuple[Step, ...]:
    """Return the steps: the seal first, then jumps and chains, then the sets that they used.

    ``created``: what plans have made that is not ours by name. Raises `Failed` where a rule of
    others that leads to our chains cannot be taken out.
    """
    steps: list[Step] = []
    if live.seal is not None:
        steps.append(WriteSeal("remove the seal", RemoveSeal(live.seal.tables)))
    for family, tables in live.tables.items():
        writes = _rule_writes(tables, {c.what for c in created if c.family == family})
        if writes:
            steps.append(WriteRules("remove our rules", family, writes))
    if live.sets:
        steps.append(
            WriteSets("remove our sets", tuple(map(DestroySet, sorted(live.sets, reverse=True))))
        )
    return tuple(steps)


def _rule_writes(state: TablesState, created: set[str]) -> tuple[RuleWrite, ...]:
    """Empty our chains, take out every rule that leads there, then the chains themselves."""
    writes: list[RuleWrite] = []
    for table in TABLES:
        ours = sorted(n for n in state.tables.get(table, {}) if is_our_chain(n))
        writes += [ReplaceChain(table, name) for name in ours]
        for name, chain in state.tables.get(table, {}).items():
            # Of whatever chain: one that is left would keep ours from being deleted.
            leading = [rule for rule in chain.rules if is_our_chain(rule.target or "")]
            if leading and not is_our_chain(name):
                _refuse_unwritable(table, name, leading)
                writes += [DeleteRule(table, name, rule) for rule in leading]
        if table == "filter":
            writes += _created_writes(state, created)
        writes += [DeleteChain(table, name) for name in ours]
    return tuple(writes)


def _refuse_unwritable(table: Table, chain: str, rules: Iterable[LiveRule]) -> None:
    if not is_plain(chain):
        raise Failed(
            f"chain {printable(chain)!r} of table {table} leads to {next(iter(rules)).target}, and "
            "its name cannot be written: delete that rule with iptables, then do this again; "
            "nothing was changed"
        )


def _created_writes(state: TablesState, created: set[str]) -> list[RuleWrite]:
    """A DOCKER-USER chain and its jump that dockerfw made, unless somebody else uses them now."""
    user = state.chain("filter", DOCKER_USER)
    if user is None or not created:
        return []
    used = [r for r in user.rules if r.target != MAIN and not r.is_jump("RETURN")]
    if used or any(map(is_docker_chain, state.tables.get("filter", {}))):
        return []
    writes: list[RuleWrite] = []
    if "FORWARD jump" in created and has_forward_jump(state):
        writes.append(DeleteJump("filter", "FORWARD", DOCKER_USER))
    if "DOCKER-USER" in created:
        writes.append(DeleteChain("filter", DOCKER_USER))
    return writes
