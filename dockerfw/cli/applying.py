"""What commands that put a policy in force do at the terminal: plan, question, and what was done.

Takes a `Session` and the `Outcome` of what was done with it.
"""

from __future__ import annotations

import select
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dockerfw.cli.output import print_json, print_lines, print_remark
from dockerfw.cli.screen import width
from dockerfw.cli.terminal import agree, is_yes, say, somebody_is_there
from dockerfw.clock import Clock
from dockerfw.errors import Failed, Stopped
from dockerfw.text import moment

if TYPE_CHECKING:
    from dockerfw.operations.apply import Outcome
    from dockerfw.operations.plan import PolicyPlan
    from dockerfw.operations.session import Session
    from dockerfw.report.probe import Probed
    from dockerfw.state.confirm import Pending

CONFIRM_SECONDS = 60
"""For a first apply, and for one from afar, at a terminal."""
_STOPPED_ON_THE_WAY = (
    "stopped on the way: `dockerfw plan` shows what is left to do, and `dockerfw apply` carries on"
)


class Applying:
    """One such command; ``asks`` is whether somebody is there to be asked, and wants to be."""

    def __init__(self, session: Session, *, yes: bool, as_json: bool, quiet: bool) -> None:
        self.asks = somebody_is_there() and not yes
        self.silent = as_json or quiet
        self._session = session
        self._as_json = as_json
        self._agreement = _Agreement(quiet=quiet)

    @property
    def agree(self) -> Callable[[PolicyPlan], None] | None:
        """Shows the plan and asks; None where nobody is asked, or a program reads it."""
        return self._agreement.ask if self.asks and not self._as_json else None

    @contextmanager
    def stoppable(self) -> Iterator[None]:
        """Who stops what is done meanwhile is told how to go on. Raises `Stopped`."""
        try:
            yield
        except KeyboardInterrupt:
            raise Stopped(_STOPPED_ON_THE_WAY) from None

    def end(self, done: Outcome, probe: Callable[[], Probed] | None = None) -> bool:
        """Show what was done, and wait for its confirmation. Raises `Failed` if none comes.

        Return False where a ``probe`` of what stands then disagrees, and show what it found.
        """
        from dockerfw.cli.plan_output import plan_document, print_plan

        if not self.silent:
            if not self._agreement.shown:
                print_plan(done.planned, in_sync=not done.steps)
            print_lines(["Applied."] if done.steps else [])
        kept = done.pending is None or self._is_kept(done.pending)
        if not kept:
            raise Failed("not confirmed: rolled back to what stood before")
        found = None if probe is None else probe()
        if self._as_json:
            document = {**plan_document(done.planned), "changed": done.steps > 0}
            print_json(document if found is None else {**document, "probe": _as_document(found)})
        elif found is not None and not (self.silent and found.agrees):
            _print_probed(found)
        return found is None or found.agrees

    def _is_kept(self, pending: Pending) -> bool:
        """Wait for the confirmation. Raises `Stopped`, with what becomes of the rules then."""
        from dockerfw.operations.confirm import await_confirm

        question = Question(self._session.clock, asks=self.asks)
        if not (question.at_terminal or self.silent):
            print_remark(
                "waiting for `dockerfw confirm`, by a new connection: rolled back at "
                f"{moment(pending.deadline)} without it"
            )
        try:
            kept = await_confirm(self._session, pending, question.poll)
        except KeyboardInterrupt:
            raise Stopped(_left_alone(pending)) from None
        question.end()
        return kept


def _as_document(found: Probed) -> dict[str, object]:
    from dockerfw.report.probe import document

    return document(found)


def _print_probed(found: Probed) -> None:
    from dockerfw.report.probe import lines

    print_lines(lines(found, width()))


class _Agreement:
    """Whether to write what the plan shows: asked at the terminal before anything is written."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self.shown = False

    def ask(self, planned: PolicyPlan) -> None:
        """Show the plan and ask. Raises `Failed` or `Stopped` where it is not agreed to."""
        from dockerfw.cli.plan_output import print_plan

        question = "Apply this?"
        if self._quiet:
            question = f"{planned.changes.summary()}. {question}"
        else:
            print_plan(planned, in_sync=False)
        self.shown = True
        try:
            agreed = agree(question)
        except KeyboardInterrupt:
            raise Stopped("stopped: nothing was changed") from None
        if not agreed:
            raise Failed("not agreed: nothing was changed")


def _left_alone(pending: Pending) -> str:
    return (
        f"stopped: the new rules stand, and are rolled back at {moment(pending.deadline)}; "
        "`dockerfw confirm` keeps them"
    )


class Question:
    """Whether to keep the new rules: asked once at the terminal, never elsewhere."""

    def __init__(self, clock: Clock, *, asks: bool = True) -> None:
        self._clock = clock
        self._asks = asks
        self._asked = False
        self._open_line = False

    @property
    def at_terminal(self) -> bool:
        """True where there is somebody to ask."""
        return self._asks and sys.stdin.isatty()

    def poll(self, remaining: float) -> bool | None:
        """Wait a little and return the answer, None as long as there is none.

        ``remaining`` is in seconds, until the answer comes too late.
        """
        if not self.at_terminal:
            self._clock.sleep(0.1)
            return None
        if not self._asked:
            self._asked = self._open_line = True
            say(
                "Can you still get in from elsewhere?\n"
                f"Keep these rules? [y/N] (rolls back in {max(remaining, 0):.0f} s) ",
                newline=False,
            )
        ready, _, _ = select.select([sys.stdin], [], [], 0.2)
        if not ready:
            return None
        answer = sys.stdin.readline()
        self._open_line = not answer.endswith("\n")
        return is_yes(answer)

    def end(self) -> None:
        """End the line of a question that nobody has answered here."""
        if self._open_line:
            say("")
            self._open_line = False
