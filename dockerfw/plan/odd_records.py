"""Record sets that stand as dockerfw would not make them, and the way to put them right.

Pure. Nothing is judged by a record, so no chain is closed meanwhile and nothing opens: a set of the
same type is swapped while rules use it, one of another type is destroyed once `DENY` ends packets
without counting or recording them.
"""

from __future__ import annotations

from dockerfw.plan.state import Identity, LiveRule, SetState
from dockerfw.plan.steps import AddElements, CreateSet, DestroySet, SetWrite, SwapSets
from dockerfw.rules.names import swap_set
from dockerfw.rules.rule import AddToSet, Chain, InSet, Rule
from dockerfw.rules.ruleset import IPSet


def is_odd(live: SetState, wanted: SetState) -> bool:
    """Return True if a record has another form or other bounds; its elements do not matter.

    That a full one makes room for new elements ipset does not tell (tried with 7.17).
    """
    form = (live.type, live.family, live.maxelem, live.lasts)
    wanted_form = (wanted.type, wanted.family, wanted.maxelem, wanted.lasts)
    return form != wanted_form or not live.counters


def can_swap(live: SetState, wanted: SetState) -> bool:
    """Return True if the kernel swaps the two while rules use one of them."""
    return (live.type, live.family) == (wanted.type, wanted.family)


def swapped(wanted: SetState, record: IPSet) -> tuple[SetWrite, ...]:
    """Return the writes that put the set as it should be in the place of the one that stands."""
    fresh = swap_set(wanted.name)
    begin = (AddElements(fresh, frozenset(record.elements)),) if record.elements else ()
    return (
        DestroySet(fresh),  # left over by who was killed in the middle of this
        CreateSet(fresh, wanted.type, wanted.family, wanted.maxelem, wanted.count, wanted.timeout),
        *begin,
        SwapSets(fresh, wanted.name),
        DestroySet(fresh),
    )


def without_sets(chain: Chain) -> tuple[Rule, ...]:
    """Return the rules of `DENY` that need no set: all packets end as they did."""
    return tuple(
        rule
        for rule in chain.rules
        if not isinstance(rule.target, AddToSet)
        and not any(isinstance(match, InSet) for match in rule.matches)
    )


def as_live(rules: tuple[Rule, ...], chain: Chain, identity: Identity) -> tuple[LiveRule, ...]:
    """Return these rules as they will be read back."""
    return tuple(LiveRule("", identity=identity.rule(rule, chain.family)) for rule in rules)
