"""What a policy opens and closes beside one that was in force before, for what runs now."""

from __future__ import annotations

from dataclasses import replace

from dockerfw.model.history import Entry
from dockerfw.operations.bridge_owners import ask_docker
from dockerfw.operations.check import check
from dockerfw.operations.host_names import with_names
from dockerfw.operations.lan_networks import with_networks
from dockerfw.operations.plan import PolicyPlan
from dockerfw.operations.reconcile import Observation, fitted
from dockerfw.operations.session import Session
from dockerfw.plan.state import ChainState, KernelState, LiveRule, TablesState, wanted_set
from dockerfw.plan.steps import Plan
from dockerfw.policy.files import PolicyText
from dockerfw.rules.compiler import compile_ruleset
from dockerfw.rules.rule import TABLES, Chain
from dockerfw.rules.ruleset import Ruleset


def plan_since(session: Session, text: PolicyText, number: int) -> tuple[Entry | None, PolicyPlan]:
    """Plan as if policy ``number`` of the history stood, with its lists and names as they were.

    Returns also what is kept of that policy, where it can be read. The plan has no steps: nothing
    is to be written by it. Raises `PolicyError` for a policy that is refused, and `Failed` without
    root, Docker or a policy of that number.
    """
    session.require_root()
    past = session.store.history.load(number).parse()
    entry = next((e for e in session.store.history.entries() if e.number == number), None)
    text = with_networks(session.kernel, with_names(session.store, text, session.clock))
    policy = text.parse()
    # Of what runs, what either of them asks for.
    both = replace(
        policy,
        allows=(*policy.allows, *past.allows),
        denies=(*policy.denies, *past.denies),
        baseline=(*policy.baseline, *past.baseline),
    )
    facts, inventory = ask_docker(session, both, session.kernel.facts())
    now = session.clock.time()
    checked = check(text, inventory, facts, now)
    facts = fitted(facts, inventory)
    before, after = (
        compile_ruleset(one.without_ended(now), checked.inventory, facts)
        for one in (past, checked.policy)
    )
    return entry, PolicyPlan(checked, Observation(facts, after, _standing(before), Plan()))


def _standing(ruleset: Ruleset) -> KernelState:
    """Return the kernel as it would be, for questions about what rules mean."""
    return KernelState(
        {
            family: TablesState(
                family,
                {
                    table: {
                        chain.name: _chain(chain)
                        for chain in ruleset.chains
                        if (chain.family, chain.table) == (family, table)
                    }
                    for table in TABLES
                },
            )
            for family in sorted({chain.family for chain in ruleset.chains})
        },
        {one.name: wanted_set(one) for one in ruleset.sets},
        None,
    )


def _chain(chain: Chain) -> ChainState:
    return ChainState("-", tuple(LiveRule("", meaning=rule) for rule in chain.rules))
