"""The panic button: close every container port, whatever the policy."""

from __future__ import annotations

from dockerfw.errors import DockerfwError
from dockerfw.operations.policy_in_force import CLOSED
from dockerfw.operations.session import Session
from dockerfw.report import host_warnings

PATIENCE = 2.0
"""Seconds that a lockdown waits for an answer of Docker: everything is open meanwhile."""


def lock_down(session: Session) -> tuple[str, ...]:
    """Close every container port at once, until the next apply; with or without Docker.

    Return what this kernel cannot close, a reason each.
    """
    session.require_root()
    with session.store.lock(session.notify):
        session.store.policy.set_lockdown(True)
        facts = session.kernel.facts()
        try:
            inventory = session.inventory(CLOSED, PATIENCE)
        except DockerfwError as error:
            session.notify(f"Docker does not answer, going by what was last seen ({error})")
            inventory = session.store.last_seen.inventory()
        session.reconciler.commit(CLOSED, inventory, facts)
    return host_warnings.unenforced(CLOSED, inventory, facts)
