"""An apply that waits for its confirmation: keep it, or go back to what stood before.

Two processes wait for the same `Pending`: the apply itself, which asks at the terminal, and one
that outlives it and rolls back at the deadline. Under the lock whichever comes first ends it.
"""

from __future__ import annotations

from collections.abc import Callable

from dockerfw.errors import Failed
from dockerfw.operations.bridge_owners import ask_docker
from dockerfw.operations.policy_in_force import read_policy_in_force
from dockerfw.operations.session import Session
from dockerfw.state.confirm import Pending

POLL_SECONDS = 0.2
"""How often the process that rolls back reads whether it still has to."""


def confirm(session: Session) -> None:
    """Keep what the pending apply did. Raises `Failed` when none is pending."""
    session.require_root()
    with session.store.lock(session.notify):
        if session.store.confirm.pending() is None:
            raise Failed("nothing waits for a confirmation")
        session.store.confirm.keep()


def await_confirm(session: Session, pending: Pending, ask: Callable[[float], bool | None]) -> bool:
    """Wait for the end of a pending apply and return True if it is kept.

    ``ask`` gets the seconds that are left, waits a little and returns the answer at the terminal,
    None as long as there is none.
    """
    while True:
        now = session.store.confirm.pending()
        if now is None or now.token != pending.token:
            with session.store.lock(lambda _: None):  # until a roll-back is through
                return session.store.confirm.was_kept(pending.token)
        answer = ask(pending.deadline - session.clock.time())
        if answer is True:
            session.store.confirm.keep()
            return True
        if answer is False:
            with session.store.lock(session.notify):
                if session.store.confirm.pending() == now:
                    roll_back(session)
            return False


def roll_back_when_due(session: Session, token: str) -> None:
    """Wait until the deadline of this confirm and roll back, unless it has ended before."""
    while True:
        pending = session.store.confirm.pending()
        if pending is None or pending.token != token:
            return
        remaining = pending.deadline - session.clock.time()
        if remaining <= 0:
            break
        session.clock.sleep(min(remaining, POLL_SECONDS))
    with session.store.lock(session.notify):
        if session.store.confirm.pending() == pending:
            roll_back(session)


def roll_back(session: Session) -> None:
    """Go back to the policy before the pending one; to nothing of dockerfw, if there was none.

    The caller holds the lock.
    """
    if not session.store.confirm.restore_previous():
        session.reconciler.remove()
        session.store.forget()
        return
    policy = read_policy_in_force(session.store).policy
    facts, inventory = ask_docker(session, policy, session.kernel.facts())
    session.reconciler.commit(policy, inventory, facts)
