"""Back to the policy that was in force before, as `History` has it.

Gives the `Outcome` of an apply. The files that the user edits stay as they are: they differ from
what is in force then, which ``status`` says, and the next apply of them puts them in force again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from dockerfw.errors import Failed
from dockerfw.model.history import Entry
from dockerfw.operations.apply import Act, Outcome, Terms, put_in_force
from dockerfw.operations.confirm import refuse_while_unconfirmed, under_lock
from dockerfw.operations.plan import PolicyPlan, begin_plan
from dockerfw.operations.policy_in_force import NOTHING_APPLIED
from dockerfw.operations.session import Session
from dockerfw.policy.files import PolicyText, reread
from dockerfw.state.confirm import Pending


class Kept(NamedTuple):
    """The policies that are kept, the oldest first, and the number of the one in force."""

    entries: tuple[Entry, ...]
    in_force: int


def read_history(session: Session) -> Kept:
    """Return the last policies in force."""
    session.require_root()
    applied = session.store.policy.applied()
    return Kept(session.store.history.entries(), applied.number if applied else 0)


def the_one_before(session: Session) -> Entry:
    """Return the policy that `go_back` puts in force.

    Raises `Failed` where there is none, or an apply waits for its confirmation.
    """
    session.require_root()
    with under_lock(session):
        refuse_while_unconfirmed(session)
    if session.store.policy.applied() is None:
        raise Failed(f"{NOTHING_APPLIED}, so there is none to go back to")
    entries, in_force = read_history(session)
    by_number = {entry.number: entry for entry in entries}
    now = by_number.get(in_force)
    before = by_number.get(now.before) if now is not None else None
    if before is None:
        raise Failed("no policy is kept from before the one in force: see dockerfw history")
    return before


def go_back(
    session: Session,
    to: Entry,
    terms: Terms,
    start_rollback: Callable[[Pending], None],
    user: str,
    agree: Callable[[PolicyPlan], None] | None = None,
    ask: Callable[[Session, PolicyText], Callable[[], PolicyPlan]] = begin_plan,
) -> Outcome:
    """Put this policy in force, with its lists as they are now, and make the kernel match it.

    Raises as `put_in_force` does.
    """
    expected = read_history(session).in_force
    text, kept = reread(session.store.history.load(to.number))
    for line in kept:
        session.notify(f"warning: {line}")

    def refuse_another() -> None:
        if read_history(session).in_force != expected:
            raise Failed("another policy was put in force meanwhile: nothing was changed")

    act = Act(user, f"rollback to {to.number}", to.reason, to.before, refuse_another)
    config = Path(to.config)
    return put_in_force(session, text, config, terms, start_rollback, ask, agree, act)
