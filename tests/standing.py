"""What is read from a kernel in which all of a ruleset stands, and elements in ipset's words."""

from __future__ import annotations

from collections.abc import Mapping

from dockerfw.kernel.ipset.parse import parse_entry
from dockerfw.kernel.iptables.parse import parse_rule
from dockerfw.kernel.iptables.render import rule_text
from dockerfw.model.net import Family
from dockerfw.plan.state import ChainState, LiveElement, SetState, TablesState, wanted_set
from dockerfw.rules.rule import TABLES, Chain
from dockerfw.rules.ruleset import Ruleset, SetType


def sets_of(ruleset: Ruleset) -> dict[str, SetState]:
    return {s.name: wanted_set(s) for s in ruleset.sets}


def tables_of(ruleset: Ruleset) -> Mapping[Family, TablesState]:
    """The chains as they are read back: every rule has been text."""
    found: dict[Family, TablesState] = {}
    for family in sorted({c.family for c in ruleset.chains}):
        chains = [c for c in ruleset.chains if c.family == family]
        found[family] = TablesState(
            family,
            {table: {c.name: read_back(c) for c in chains if c.table == table} for table in TABLES},
        )
    return found


def chain_texts(chain: Chain) -> tuple[str, ...]:
    """Return all rules of a chain, in order, as they are written."""
    return tuple(rule_text(rule, chain.family) for rule in chain.rules)


def read_back(chain: Chain) -> ChainState:
    """Return the chain as it is read once it stands."""
    return ChainState("-", tuple(parse_rule(text, ours=True) for text in chain_texts(chain)))


def element(text: str, set_type: SetType) -> LiveElement:
    """Return the element that ``ipset save`` prints as this text, options included."""
    return parse_entry(f"add any-set {text}", set_type)
