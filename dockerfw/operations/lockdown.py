"""The panic button: close every container port, whatever the policy, by whatever is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dockerfw.errors import DockerfwError
from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Inventory
from dockerfw.model.policy import Policy
from dockerfw.operations.boot import last_flavour
from dockerfw.operations.bridge_owners import await_claims, by_record
from dockerfw.operations.closing import close_by_parts
from dockerfw.operations.policy_in_force import locked_down
from dockerfw.operations.session import Session
from dockerfw.report import host_warnings

PATIENCE = 2.0
"""Seconds that a lockdown waits for another process that writes, and then for an answer of Docker:
everything is open meanwhile."""
TOOL_PATIENCE = 5.0
"""Seconds that it waits for a tool of netfilter, before it does without."""


@dataclass(frozen=True, slots=True)
class LockedDown:
    """What a lockdown came to.

    open_paths  what this kernel cannot close, a reason each
    closed_by   the parts that close, where not all of it could be written
    failed      what could not be written, and what that leaves open; empty: it is whole
    """

    open_paths: tuple[str, ...]
    closed_by: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


def lock_down(session: Session) -> LockedDown:
    """Close every container port at once, until the next apply; with or without Docker.

    Raises `Failed` when nothing at all could be closed.
    """
    session.require_root()
    policy, confirm, last_seen = (
        session.store.policy,
        session.store.confirm,
        session.store.last_seen,
    )
    # Whoever is at work goes by it from here on: an apply that waits for Docker writes nothing.
    _try(lambda: policy.set_lockdown(True))
    with session.store.lock_within(PATIENCE, session.clock, session.notify) as ours:
        if not ours:
            session.notify("it does not come to an end: closing everything all the same")
        failed = _try(lambda: policy.set_lockdown(True), _NOT_RECORDED)
        overdue = ours and confirm.overdue(session.clock.time())
        if overdue:  # the policy alone: what is written now closes whatever it opened
            failed += _try(confirm.restore_previous)
        closed = locked_down(session.store)
        facts, unknown = _facts(session)
        failed += unknown
        try:
            inventory = session.inventory(closed, PATIENCE)
        except DockerfwError as error:
            session.notify(f"Docker does not answer, going by what was last seen ({error})")
            inventory, answered = last_seen.inventory(), False
        else:
            answered = True
        closed_by, unwritten = _close(session, closed, facts, inventory)
        failed += unwritten
        if overdue and not failed:
            confirm.end(kept=False)
        if answered and not failed:
            _let_go_of_others(session, closed, facts, inventory)
    return LockedDown(host_warnings.unenforced(closed, inventory, facts), closed_by, failed)


_NOT_RECORDED = "it cannot be recorded, so the daemon and the next boot go by the policy: "


def _try(act: Callable[[], object], words: str = "") -> tuple[str, ...]:
    """Return why it failed, in these words; nothing if it did not. Nothing may stay open for it."""
    try:
        act()
    except DockerfwError as error:
        return (f"{words}{error}",)
    return ()


def _facts(session: Session) -> tuple[HostFacts, tuple[str, ...]]:
    """Return the host, and what could not be read of it."""
    try:
        facts, failed = session.kernel.facts(), tuple[str, ...]()
    except DockerfwError as error:
        facts, failed = session.kernel.facts_at_hand(last_flavour(session)), (str(error),)
    return by_record(facts, session.store.last_seen), failed


def _close(
    session: Session, closed: Policy, facts: HostFacts, inventory: Inventory
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return which parts close, where it is not the whole, and what could not be written."""
    try:
        session.reconciler.commit(closed, inventory, facts)
    except DockerfwError as error:
        parts = close_by_parts(session.reconciler, closed, inventory, facts)
        return parts.closed_by, (str(error), *parts.failed)
    return (), ()


def _let_go_of_others(
    session: Session, closed: Policy, facts: HostFacts, inventory: Inventory
) -> None:
    """Leave bridges alone that are somebody else's, now that everything is closed."""
    try:
        now, inventory = await_claims(session, closed, facts, inventory)
    except DockerfwError as error:
        session.notify(f"Docker does not answer any more ({error})")
        return
    if now.foreign_bridges != facts.foreign_bridges:
        session.reconciler.commit(closed, inventory, now)
        session.store.last_seen.remember_host(now)
