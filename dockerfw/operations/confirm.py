"""An apply that waits for its confirmation: keep it, or go back to what stood before.

Two processes wait for the same `Pending`: the apply itself, which asks at the terminal, and one
that outlives it and rolls back at the deadline. Under the lock whichever comes first ends it.
Should both have died, everybody who takes the lock rolls back what is overdue before anything else:
see `under_lock`, ``boot.py`` and the daemon.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dockerfw.errors import DockerfwError, Failed
from dockerfw.operations.boot import install_closed
from dockerfw.operations.bridge_owners import await_claims
from dockerfw.operations.policy_in_force import read_policy_in_force
from dockerfw.operations.rollback import restore
from dockerfw.operations.session import Session
from dockerfw.state.confirm import Pending
from dockerfw.text import moment

POLL_SECONDS = 0.2
"""How often the process that rolls back reads whether it still has to."""
GRACE = 1.0
"""Seconds that others leave to the process that rolls back, before they do."""
RETRY_SECONDS = 5.0
"""Until a roll-back that failed is tried again."""
_DOCKER_PATIENCE = 10.0
"""Seconds that a roll-back waits for each answer of Docker."""


@contextmanager
def under_lock(session: Session) -> Iterator[None]:
    """Hold the lock, with what is overdue rolled back; where that fails, ``notify`` gets it."""
    with session.store.lock(session.notify):
        if session.store.confirm.overdue(session.clock.time()):
            try:
                roll_back(session)
                session.notify("nobody confirmed the last apply in time: rolled back")
            except DockerfwError as error:
                session.notify(f"warning: the last apply could not be rolled back: {error}")
        yield


def confirm(session: Session) -> None:
    """Keep what the pending apply did. Raises `Failed` when none is pending, or not any more."""
    session.require_root()
    with under_lock(session):
        pending = session.store.confirm.pending()
        if pending is None or pending.overdue(session.clock.time()):
            raise Failed("nothing waits for a confirmation")
        session.store.confirm.keep()


def refuse_while_unconfirmed(session: Session) -> None:
    """Raise `Failed` while an apply waits: to put something else in force would confirm it.

    The caller holds the lock.
    """
    pending = session.store.confirm.pending()
    if pending is not None:
        raise Failed(
            "an apply waits for its confirmation: `dockerfw confirm` keeps it, and without that "
            f"it goes back by itself at {moment(pending.deadline)}"
        )


def await_confirm(session: Session, pending: Pending, ask: Callable[[float], bool | None]) -> bool:
    """Wait for the end of a pending apply and return True if it is kept.

    ``ask`` gets the seconds that are left, waits a little and returns the answer at the terminal,
    None as long as there is none. Raises `Failed` when another apply takes its place.
    """
    confirm = session.store.confirm
    while _waits(session, pending):
        remaining = pending.deadline - session.clock.time()
        answer = ask(remaining)
        if answer is None and remaining > -GRACE:
            continue
        with under_lock(session):
            if answer is not None and _waits(session, pending):
                if answer:
                    confirm.keep()
                else:
                    roll_back(session)
                return answer
        session.clock.sleep(RETRY_SECONDS if answer is None else 0)
    with session.store.lock(lambda _: None):  # until a roll-back is through
        if confirm.was_kept(pending.token):
            return True
        if confirm.was_replaced(pending.token):
            raise Failed("another apply has taken its place: its policy is in force no more")
        return False


def _waits(session: Session, pending: Pending) -> bool:
    now = session.store.confirm.pending()
    return now is not None and now.token == pending.token


def roll_back_when_due(session: Session, token: str) -> None:
    """Wait until the deadline of this confirm and roll back, unless it has ended before.

    Whichever clock reaches it first: a clock that is set back must not lock anybody out for longer.
    """
    began = session.clock.monotonic()
    seconds: float | None = None
    while True:
        pending = session.store.confirm.pending()
        if pending is None or pending.token != token:
            return
        remaining = pending.deadline - session.clock.time()
        seconds = remaining if seconds is None else seconds
        remaining = min(remaining, began + seconds - session.clock.monotonic())
        if remaining > 0:
            session.clock.sleep(min(remaining, POLL_SECONDS))
            continue
        try:
            with session.store.lock(session.notify):
                if session.store.confirm.pending() == pending:
                    roll_back(session)
        except DockerfwError as error:
            # Whoever applied it may be locked out: there is nobody else to try again.
            session.notify(f"the roll-back failed, and is tried again: {error}")
            session.clock.sleep(RETRY_SECONDS)


def roll_back(session: Session) -> None:
    """Go back to what stood before the pending apply; to nothing of dockerfw, if there was none.

    With Docker silent, to that for what was last seen of it, less what need not be true any more.
    The caller holds the lock. Raises `Failed`; the apply waits on then.
    """
    if not restore(session.store, session.reconciler, session.notify):
        return
    policy = read_policy_in_force(session.store).policy
    facts = session.kernel.facts()
    try:
        inventory = session.inventory(policy, _DOCKER_PATIENCE)
        asked, inventory = await_claims(session, policy, facts, inventory)
    except DockerfwError as error:
        session.notify(f"Docker does not answer, going by what was last seen ({error})")
        install_closed(session, policy, facts)
    else:
        session.reconciler.commit(policy, inventory, asked)
    session.store.confirm.end(kept=False)
