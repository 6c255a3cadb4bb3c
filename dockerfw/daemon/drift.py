"""Drift in words: what others have changed in the kernel, as far as it can be seen.

Pure. Takes an `Observation` (what should stand, what was read, the plan between them); gives
phrases for the log and a label for the metrics. It decides nothing about repairs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from dockerfw.operations.reconcile import Observation
from dockerfw.plan.state import Identity
from dockerfw.plan.steps import AddElements, DeleteElements, WriteRules, WriteSeal, WriteSets
from dockerfw.rules.names import MAIN
from dockerfw.text import counted


def describe_plan(seen: Observation) -> str:
    """Return what a plan puts right, or why it writes, for people."""
    return "; ".join(map(str, seen.plan.notes)) or ", ".join(
        dict.fromkeys(step.why for step in seen.plan.steps)
    )


def describe_drift(seen: Observation, identity: Identity) -> list[str]:
    """Return what others have changed, a phrase each; the plan's own words where none fits."""
    notes, plan = seen.plan.notes, seen.plan
    found = [note.text for note in notes]
    for family, tables in seen.live.tables.items():
        if tables.chain("filter", MAIN) is None:
            found.append(f"IPv{family}: the chains of dockerfw were gone")
    found += _lost_rules(seen, identity)
    if plan.writes(WriteSeal) and all(note.about != "seal" for note in notes):
        found.append("the seal was gone" if seen.live.seal is None else "the seal was changed")
    if plan.writes(WriteSets):
        writes = [*plan.set_writes()]
        missing = sum(len(w.elements) for w in writes if isinstance(w, AddElements))
        extra = sum(len(w.elements) for w in writes if isinstance(w, DeleteElements))
        found.append(f"{counted(missing, 'set entry', 'set entries')} missing, {extra} too many")
    return found or [describe_plan(seen)]


def _lost_rules(seen: Observation, identity: Identity) -> Iterator[str]:
    """Give the chains of ours that lost some rules; those that lost all are in the plan's notes."""
    for chain in seen.ruleset.chains:
        live = seen.live.tables[chain.family].chain(chain.table, chain.name)
        if live is None or not live.rules:
            continue
        wanted = Counter(identity.rule(rule, chain.family) for rule in chain.rules)
        lost = wanted - Counter(rule.identity or "" for rule in live.rules)
        if lost:
            rules = counted(lost.total(), "rule")
            yield f"IPv{chain.family}: {rules} of {chain.name} missing"


def kind_of_drift(seen: Observation) -> str:
    """Return what was put right, as the label of a metric: ``rules``, ``sets`` or ``seal``."""
    if seen.plan.writes(WriteRules):
        return "rules"
    return "sets" if seen.plan.writes(WriteSets) else "seal"
