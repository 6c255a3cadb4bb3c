"""Closes every container port by whatever is there, where a tool of netfilter is missing or fails.

The seal alone closes both families, the chains of one family close that one without any set. Takes
what runs and what is known of the host; gives which of them closed, and what could not be closed.
It never opens anything, and one part that fails keeps no other one from closing.
"""

from __future__ import annotations

from dataclasses import dataclass

from dockerfw.errors import DockerfwError, Failed
from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Inventory
from dockerfw.model.net import Family
from dockerfw.model.policy import Policy
from dockerfw.operations.reconcile import (
    Observation,
    Reconciler,
    fitted,
    with_foreign_ports,
)
from dockerfw.plan.closed import close_anew, is_closed
from dockerfw.plan.planner import makes
from dockerfw.plan.state import KernelState
from dockerfw.plan.steps import Plan, ReplaceSeal, WriteRules, WriteSeal
from dockerfw.rules.compiler import compile_ruleset
from dockerfw.rules.ruleset import Ruleset

_WHY = "closed by what is there"


@dataclass(frozen=True, slots=True)
class Parts:
    """What closes now, and why the rest does not, a sentence each."""

    closed_by: tuple[str, ...]
    failed: tuple[str, ...]


def close_by_parts(
    reconciler: Reconciler, policy: Policy, inventory: Inventory, facts: HostFacts
) -> Parts:
    """Write each part of a ``policy`` that lets nobody in by itself.

    Raises `Failed` when none of them could be written.
    """
    facts = fitted(facts, inventory)
    ruleset = compile_ruleset(policy, with_foreign_ports(inventory, facts), facts)
    unsealed = _write_seal(reconciler, ruleset, facts)
    unwritten = {f: _close_family(reconciler, ruleset, facts, f) for f in facts.families}
    closed_by = [] if unsealed else ["the seal"]
    closed_by += [f"the chains of IPv{f}" for f, error in unwritten.items() if error is None]
    errors = {f: error for f, error in unwritten.items() if error is not None}
    if not closed_by:
        reasons = "; ".join(dict.fromkeys(map(_first_line, (unsealed, *errors.values()))))
        raise Failed(
            f"NOTHING COULD BE CLOSED, all that was open still is: {reasons}. Until that is mended "
            "stop the containers, or Docker (systemctl stop docker.socket docker)"
        )
    failed = [
        f"the chains of IPv{family} could not be written, the seal closes it: {_first_line(error)}"
        if unsealed is None
        else f"IPv{family} is NOT CLOSED, what was open there still is: {_first_line(error)}"
        for family, error in errors.items()
    ]
    if unsealed is not None:
        failed.append(
            "there is no seal, so what Docker makes from now on is open until the next lockdown: "
            f"{_first_line(unsealed)}"
        )
    return Parts(tuple(closed_by), tuple(failed))


def _write_seal(reconciler: Reconciler, ruleset: Ruleset, facts: HostFacts) -> DockerfwError | None:
    """Return why it does not stand; None: it does, and lets nothing pass whatever chains do."""
    if not facts.nf_tables:
        return Failed("there is no nft, or no nf_tables, here: apt install nftables")
    try:
        step = WriteSeal(_WHY, ReplaceSeal(ruleset.seal))
        reconciler.kernel.commit([step], facts, "iptables-restore")
    except DockerfwError as error:
        return error
    return None


def _close_family(
    reconciler: Reconciler, ruleset: Ruleset, facts: HostFacts, family: Family
) -> DockerfwError | None:
    """Return why this family's chains do not close it; None: they do."""
    kernel = reconciler.kernel
    failed: DockerfwError | None = None
    try:
        state = kernel.read_family(facts, family)
        writes = close_anew(state, ruleset, docker_user=facts.docker_user)
        plan = Plan((WriteRules(_WHY, family, writes),), (), tuple(makes(state, family, facts)))
        live = KernelState({family: state}, {}, None)
        reconciler.execute(Observation(facts, ruleset, live, plan), "iptables-restore")
    except DockerfwError as error:
        failed = error
    try:  # it may have been written, and only the record of it not
        closed = is_closed(kernel.read_family(facts, family), kernel.identity)
    except DockerfwError as error:
        return failed or error
    return None if closed else failed or Failed("another tool took it out again")


def _first_line(error: DockerfwError | None) -> str:
    """Without the lines that the tool complains about."""
    return str(error).partition("\n")[0]
