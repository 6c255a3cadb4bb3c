"""Would a source reach a target: asked of the policy in force or of a file, live or recorded."""

from __future__ import annotations

from pathlib import Path

from dockerfw.errors import UsageError
from dockerfw.model.inventory import Inventory
from dockerfw.model.policy import Policy
from dockerfw.operations.check import RECORDED
from dockerfw.operations.host_names import with_names
from dockerfw.operations.lan_networks import with_networks
from dockerfw.operations.policy_in_force import NOTHING_APPLIED, read_policy_in_force
from dockerfw.operations.reconcile import fitted, with_foreign_ports
from dockerfw.operations.session import Session
from dockerfw.operations.standing import refuse_chains_of_nobody
from dockerfw.policy.files import collect
from dockerfw.report import explain as report


def explain(
    session: Session, source: str, target: str, config: Path | None, inventory: Inventory | None
) -> report.Explanation | report.PortList:
    """Return every path from source to target, with the verdict of each.

    ``config`` None: by the policy in force. ``inventory`` None: for what runs on this host, which
    needs root. Where no policy was ever applied nothing is filtered on this host, and the answer
    says so; for a recorded one there is no answer then, and `UsageError` is raised.
    """
    if inventory is None:
        session.require_root()
        facts = session.kernel.facts()
        foreign = session.kernel.foreign_tables(facts)
    else:
        facts, foreign = RECORDED, ()
    policy = _policy(session, config, on_this_host=inventory is None)
    if policy is None:
        refuse_chains_of_nobody(session.kernel, facts)
        running = session.inventory(Policy())
        facts = fitted(facts, running)
        running = with_foreign_ports(running, facts)
        return report.open_to_all(running, facts, source, target, foreign)
    if inventory is None:
        inventory = session.inventory(policy)
    facts = fitted(facts, inventory)
    inventory = with_foreign_ports(inventory, facts)
    policy = policy.without_ended(session.clock.time())
    return report.answer(policy, inventory, facts, source, target, foreign)


def _policy(session: Session, config: Path | None, *, on_this_host: bool) -> Policy | None:
    """Return the policy to go by; None where none is in force on this host."""
    if config is not None:
        text = with_names(session.store, collect(config, for_kernel=False), session.clock)
        return (with_networks(session.kernel, text) if on_this_host else text).parse()
    policy, _, problem = read_policy_in_force(session.store)
    if problem == NOTHING_APPLIED:
        if on_this_host:
            return None
        raise UsageError(f"{problem}, so nothing is filtered: name a policy with --config")
    if problem:
        session.notify(f"warning: {problem}")
    return policy
