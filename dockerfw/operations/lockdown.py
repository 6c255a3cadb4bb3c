"""The panic button: close every container port, whatever the policy."""

from __future__ import annotations

from dockerfw.errors import DockerfwError
from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Inventory
from dockerfw.operations.bridge_owners import await_claims, by_record
from dockerfw.operations.policy_in_force import CLOSED
from dockerfw.operations.session import Session
from dockerfw.report import host_warnings

PATIENCE = 2.0
"""Seconds that a lockdown waits for another process that writes, and then for an answer of Docker:
everything is open meanwhile."""


def lock_down(session: Session) -> tuple[str, ...]:
    """Close every container port at once, until the next apply; with or without Docker.

    Return what this kernel cannot close, a reason each.
    """
    session.require_root()
    # Whoever is at work goes by it from here on: an apply that waits for Docker writes nothing.
    session.store.policy.set_lockdown(True)
    with session.store.lock_within(PATIENCE, session.clock, session.notify) as ours:
        if not ours:
            session.notify("it does not come to an end: closing everything all the same")
        session.store.policy.set_lockdown(True)
        overdue = ours and session.store.confirm.overdue(session.clock.time())
        if overdue:  # the policy alone: what is written now closes whatever it opened
            session.store.confirm.restore_previous()
        last_seen = session.store.last_seen
        facts = by_record(session.kernel.facts(), last_seen)
        try:
            inventory = session.inventory(CLOSED, PATIENCE)
        except DockerfwError as error:
            session.notify(f"Docker does not answer, going by what was last seen ({error})")
            inventory, answered = last_seen.inventory(), False
        else:
            answered = True
        session.reconciler.commit(CLOSED, inventory, facts)
        if overdue:
            session.store.confirm.end(kept=False)
        if answered:
            _let_go_of_others(session, facts, inventory)
    return host_warnings.unenforced(CLOSED, inventory, facts)


def _let_go_of_others(session: Session, facts: HostFacts, inventory: Inventory) -> None:
    """Leave bridges alone that are somebody else's, now that everything is closed."""
    try:
        now, inventory = await_claims(session, CLOSED, facts, inventory)
    except DockerfwError as error:
        session.notify(f"Docker does not answer any more ({error})")
        return
    if now.foreign_bridges != facts.foreign_bridges:
        session.reconciler.commit(CLOSED, inventory, now)
        session.store.last_seen.remember_host(now)
