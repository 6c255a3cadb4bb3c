"""What commands that put a policy in force do at the terminal: plan, question, and what was done.

Takes a `Session` and the `Outcome` of what was done with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dockerfw.cli.commands.apply import STOPPED_ON_THE_WAY, Agreement, is_kept
from dockerfw.cli.output import print_json, print_lines
from dockerfw.cli.terminal import somebody_is_there
from dockerfw.errors import Failed, Stopped

if TYPE_CHECKING:
    from dockerfw.operations.apply import Outcome
    from dockerfw.operations.plan import PolicyPlan
    from dockerfw.operations.session import Session


class Applying:
    """One such command; ``asks`` is whether somebody is there to be asked, and wants to be."""

    def __init__(self, session: Session, *, yes: bool, as_json: bool, quiet: bool) -> None:
        self.asks = somebody_is_there() and not yes and not as_json
        self.silent = as_json or quiet
        self._session = session
        self._as_json = as_json
        self._agreement = Agreement(quiet=quiet)

    @property
    def agree(self) -> Callable[[PolicyPlan], None] | None:
        """Shows the plan and asks; None where nobody is asked."""
        return self._agreement.ask if self.asks else None

    @contextmanager
    def stoppable(self) -> Iterator[None]:
        """Who stops what is done meanwhile is told how to go on. Raises `Stopped`."""
        try:
            yield
        except KeyboardInterrupt:
            raise Stopped(STOPPED_ON_THE_WAY) from None

    def end(self, done: Outcome) -> None:
        """Show what was done, and wait for its confirmation. Raises `Failed` if none comes."""
        from dockerfw.cli.plan_output import plan_document, print_plan

        if not self.silent:
            if not self._agreement.shown:
                print_plan(done.planned, in_sync=not done.steps)
            print_lines(["Applied."] if done.steps else [])
        kept = done.pending is None or is_kept(self._session, done.pending, asks=self.asks)
        if self._as_json:
            document = plan_document(done.planned)
            print_json({**document, "applied": kept, "wrote": done.steps > 0})
        if not kept:
            raise Failed("not confirmed: rolled back to what stood before")
