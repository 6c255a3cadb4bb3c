"""An apply that waits for its confirmation ends once, by whoever comes first."""

from __future__ import annotations

import pytest

from dockerfw.errors import Failed
from dockerfw.operations.confirm import (
    GRACE,
    RETRY_SECONDS,
    await_confirm,
    confirm,
    roll_back_when_due,
    under_lock,
)
from dockerfw.operations.session import Session
from dockerfw.state.confirm import Pending
from tests.clock import FakeClock
from tests.unit.operations.conftest import PlayedSession


@pytest.fixture
def pending(session: Session, clock: FakeClock) -> Pending:
    return session.store.confirm.begin(clock.now + 60)


@pytest.fixture
def session(played: PlayedSession) -> PlayedSession:
    return played


@pytest.fixture
def rolled_back(session: PlayedSession) -> list[float]:
    """When it was rolled back: nothing stood before the apply, so that is to take all of it out."""
    return session.reconciler.moments


def nobody(_remaining: float) -> None:
    return None


def test_there_has_to_be_something_to_confirm(session: Session) -> None:
    with pytest.raises(Failed, match="nothing waits for a confirmation"):
        confirm(session)


# --- the process that outlives the terminal ------------------------------------------------------


def test_it_rolls_back_at_the_deadline_and_not_before(
    session: Session, clock: FakeClock, pending: Pending, rolled_back: list[float]
) -> None:
    roll_back_when_due(session, pending.token)
    assert len(rolled_back) == 1
    assert pending.deadline <= rolled_back[0] < pending.deadline + 0.2
    assert max(clock.slept) <= 0.2, "a confirmation ends the wait soon"
    assert session.store.confirm.pending() is None


def test_a_clock_that_is_set_back_puts_nothing_off(
    session: Session, clock: FakeClock, pending: Pending, rolled_back: list[float]
) -> None:
    def set_back() -> None:
        clock.set_by = -3600.0

    clock.at(clock.now + 5, set_back)
    roll_back_when_due(session, pending.token)
    assert rolled_back == [pytest.approx(pending.deadline - 3600, abs=1)]


@pytest.mark.usefixtures("pending")
def test_another_apply_is_not_its_business(session: Session, rolled_back: list[float]) -> None:
    roll_back_when_due(session, "another")
    assert rolled_back == []
    assert session.store.confirm.pending() is not None


def test_what_was_confirmed_in_time_is_kept(
    session: Session,
    clock: FakeClock,
    pending: Pending,
    rolled_back: list[float],
) -> None:
    clock.at(pending.deadline - 30, lambda: confirm(session))
    roll_back_when_due(session, pending.token)
    assert rolled_back == []
    assert session.store.confirm.was_kept(pending.token)


# --- the apply, at its terminal ------------------------------------------------------------------


def test_yes_keeps_it(session: Session, pending: Pending, rolled_back: list[float]) -> None:
    assert await_confirm(session, pending, lambda _: True)
    assert rolled_back == []
    assert session.store.confirm.was_kept(pending.token)


def test_no_rolls_it_back(session: Session, pending: Pending, rolled_back: list[float]) -> None:
    assert not await_confirm(session, pending, lambda _: False)
    assert len(rolled_back) == 1
    assert not session.store.confirm.was_kept(pending.token)


def test_who_is_asked_learns_how_much_time_is_left(
    session: Session, clock: FakeClock, pending: Pending
) -> None:
    remaining: list[float] = []

    def ask(seconds: float) -> bool | None:
        remaining.append(seconds)
        clock.sleep(0.5)
        return True if len(remaining) == 3 else None

    assert await_confirm(session, pending, ask)
    assert remaining == [60, 59.5, 59]


@pytest.mark.parametrize("kept", [True, False])
def test_it_may_end_elsewhere(
    session: Session, pending: Pending, rolled_back: list[float], kept: bool
) -> None:
    def elsewhere(_remaining: float) -> None:
        if kept:
            confirm(session)
        else:
            session.store.confirm.restore_previous()
            session.store.confirm.end(kept=False)

    assert await_confirm(session, pending, elsewhere) is kept
    assert rolled_back == [], "whoever ended it has done so"


def test_an_apply_that_came_after_it_has_ended_it(session: Session, pending: Pending) -> None:
    session.store.confirm.keep()
    later = session.store.confirm.begin(pending.deadline + 60)
    assert later.token != pending.token
    assert await_confirm(session, pending, nobody)


# --- when the process that rolls back was killed, or fails ---------------------------------------


def test_who_takes_the_lock_rolls_back_what_is_overdue(
    session: Session, clock: FakeClock, pending: Pending, rolled_back: list[float]
) -> None:
    clock.now = pending.deadline - 1
    with under_lock(session):
        assert rolled_back == []
    clock.now = pending.deadline
    with under_lock(session):
        assert rolled_back == [pending.deadline]


def test_a_confirmation_that_comes_too_late_is_none(
    session: Session, clock: FakeClock, pending: Pending, rolled_back: list[float]
) -> None:
    clock.now = pending.deadline
    with pytest.raises(Failed, match="nothing waits for a confirmation"):
        confirm(session)
    assert rolled_back == [pending.deadline]
    assert not session.store.confirm.was_kept(pending.token)


def test_a_yes_that_comes_too_late_is_none(
    session: Session, clock: FakeClock, pending: Pending, rolled_back: list[float]
) -> None:
    def late(_remaining: float) -> bool:
        clock.now = pending.deadline
        return True

    assert not await_confirm(session, pending, late)
    assert len(rolled_back) == 1


def test_the_apply_at_its_terminal_rolls_back_if_nobody_else_does(
    session: Session, clock: FakeClock, pending: Pending, rolled_back: list[float]
) -> None:
    assert not await_confirm(session, pending, lambda _: clock.sleep(0.5))
    [moment] = rolled_back
    assert 0 <= moment - (pending.deadline + GRACE) <= 0.5


def test_a_roll_back_that_fails_is_tried_again(
    session: PlayedSession, pending: Pending, rolled_back: list[float], notices: list[str]
) -> None:
    session.reconciler.broken = 1
    roll_back_when_due(session, pending.token)
    assert notices == ["the roll-back failed, and is tried again: the disk is full"]
    assert rolled_back == [pending.deadline + RETRY_SECONDS]
    assert session.store.confirm.pending() is None


def test_who_was_replaced_by_another_apply_is_told_so(session: Session, pending: Pending) -> None:
    session.store.confirm.begin(pending.deadline - 30)
    with pytest.raises(Failed, match="another apply has taken its place"):
        await_confirm(session, pending, nobody)
