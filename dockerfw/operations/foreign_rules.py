"""Rules of others that weaken dockerfw: those that accept before it, those that write its marks.

Takes what was observed and reads the counters of iptables; gives sentences for people. It changes
no rule.
"""

from __future__ import annotations

from collections.abc import Iterator

from dockerfw.kernel.interface import Kernel
from dockerfw.model.host import HostFacts
from dockerfw.model.remark import coded
from dockerfw.operations.reconcile import Observation
from dockerfw.plan import jumps
from dockerfw.rules.names import MAIN
from dockerfw.text import counted


def foreign_rule_warnings(kernel: Kernel, seen: Observation) -> tuple[str, ...]:
    """Return a sentence for each foreign rule that weakens dockerfw on this host."""
    warnings = (*_accepting_rules(kernel, seen), *_mark_writers(seen))
    return (*warnings, *_stale_chains(seen.facts))


@coded("foreign-accept")
def _accepting_rules(kernel: Kernel, seen: Observation) -> Iterator[str]:
    """Rules above our jumps that accept, and how many packets they have let through."""
    for family, tables in seen.live.tables.items():
        if tables.chain("filter", MAIN) is None:
            continue
        faults = [f for f in jumps.check(tables, docker_user=seen.facts.docker_user) if f.rules]
        if not faults:
            continue
        counters = kernel.rule_counters(seen.facts, family)
        for fault in faults:
            chain = tables.chain(fault.table, fault.chain)
            counts = counters.get((fault.table, fault.chain), ())
            for rule in fault.rules:
                # Counters are read after the rules: where both differ they cannot be paired.
                if chain is None or rule not in chain.rules or len(counts) != len(chain.rules):
                    continue
                packets, _ = counts[chain.rules.index(rule)]
                yield (
                    f"IPv{family}: `{rule.text}` in {fault.table} {fault.chain} stands above "
                    f"dockerfw and has let {counted(packets, 'packet')} through"
                )


@coded("foreign-mark")
def _mark_writers(seen: Observation) -> Iterator[str]:
    """Other users of our bits of the packet mark, behind the place where we set them."""
    mask = seen.ruleset.mark_host | seen.ruleset.mark_ok
    for family, tables in seen.live.tables.items():
        for writer in jumps.mark_writers(tables, mask):
            if writer.chain != "PREROUTING":
                yield (
                    f"IPv{family}: `{writer.rule.text}` in mangle {writer.chain} writes bits of "
                    f"the packet mark that dockerfw uses ({mask:#x}): give that rule a mask that "
                    "leaves them out, or dockerfw two other bits with mark in [firewall]"
                )


@coded("stale-chains")
def _stale_chains(facts: HostFacts) -> Iterator[str]:
    """Docker's chains in the flavour of iptables that it used before."""
    if facts.stale_flavour:
        yield (
            f"old Docker chains stand in iptables-{facts.stale_flavour} too; Docker now uses "
            f"iptables-{facts.flavour}: flush the others when nothing else needs them"
        )
