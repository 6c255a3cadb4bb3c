"""Drift in words: what others have changed in the kernel, as far as it can be seen.

Pure. Takes an `Observation` (what should stand, what was read, the plan between them); gives
phrases for the log and a label for the metrics. It decides nothing about repairs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from dockerfw.kernel.render import chain_texts, digest_of
from dockerfw.operations.reconcile import Observation
from dockerfw.rules.ruleset import MAIN
from dockerfw.text import counted


def describe_plan(seen: Observation) -> str:
    """Return what a plan puts right, or why it writes, for people."""
    return "; ".join(seen.plan.notes) or ", ".join(
        dict.fromkeys(step.why for step in seen.plan.steps)
    )


def describe_drift(seen: Observation) -> list[str]:
    """Return what others have changed, a phrase each; the plan's own words where none fits."""
    found = list(seen.plan.notes)
    for family, tables in seen.live.tables.items():
        if tables.chain("filter", MAIN) is None:
            found.append(f"IPv{family}: the chains of dockerfw were gone")
    found += _lost_rules(seen)
    tools = {step.tool for step in seen.plan.steps}
    if "nft" in tools and not any("seal" in note for note in found):
        found.append("the seal was gone" if seen.live.seal is None else "the seal was changed")
    if "ipset" in tools:
        lines = [line for s in seen.plan.steps if s.tool == "ipset" for line in s.text.splitlines()]
        missing = sum(line.startswith("add ") for line in lines)
        extra = sum(line.startswith("del ") for line in lines)
        found.append(f"{counted(missing, 'set entry', 'set entries')} missing, {extra} too many")
    return found or [describe_plan(seen)]


def _lost_rules(seen: Observation) -> Iterator[str]:
    """Give the chains of ours that lost some rules; those that lost all are in the plan's notes."""
    for chain in seen.ruleset.chains:
        live = seen.live.tables[chain.family].chain(chain.table, chain.name)
        if live is None or not live.rules:
            continue
        lost = Counter(map(digest_of, chain_texts(chain))) - Counter(map(digest_of, live.rules))
        if lost:
            rules = counted(lost.total(), "rule")
            yield f"IPv{chain.family}: {rules} of {chain.name} missing"


def kind_of_drift(seen: Observation) -> str:
    """Return what was put right, as the label of a metric: ``rules``, ``sets`` or ``seal``."""
    tools = {step.tool for step in seen.plan.steps}
    return "rules" if "iptables" in tools else "sets" if "ipset" in tools else "seal"
