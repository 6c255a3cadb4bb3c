"""``dockerfw apply``: puts the policy in force; may ask at the terminal whether to keep it."""

from __future__ import annotations

import os
import select
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dockerfw.cli.options import (
    DEFAULT_CONFIG,
    config_option,
    docker_host_option,
    json_option,
    quiet_option,
)
from dockerfw.cli.output import print_json, print_lines, print_remark
from dockerfw.cli.screen import width
from dockerfw.cli.terminal import agree, comes_from_afar, is_yes, say, somebody_is_there
from dockerfw.clock import Clock
from dockerfw.errors import Failed, Stopped
from dockerfw.exit_status import ExitStatus
from dockerfw.text import moment, paragraph, printable

if TYPE_CHECKING:
    from dockerfw.operations.apply import Outcome
    from dockerfw.operations.plan import PolicyPlan
    from dockerfw.operations.session import Session
    from dockerfw.state.confirm import Pending

CONFIRM_SECONDS = 60
"""For a first apply, and for one from afar, at a terminal."""


STOPPED_ON_THE_WAY = (
    "stopped on the way: `dockerfw plan` shows what is left to do, and `dockerfw apply` carries on"
)


@click.command(
    "apply",
    epilog="""\b
dockerfw apply                  at a terminal: plan, question, write
dockerfw apply --yes            for scripts: asks nothing
dockerfw apply --confirm 60     goes back unless confirmed within 60 seconds
Status: 0 done, 1 failed or gone back, 2 policy refused or expectation broken""",
)
@config_option
@docker_host_option
@click.option(
    "--confirm",
    "confirm_seconds",
    type=click.IntRange(1, 3600),
    metavar="SECONDS",
    help="Roll back unless confirmed within so many seconds.",
)
@click.option("--yes", is_flag=True, help="Ask nothing.")
@click.option("--strict", is_flag=True, help="Take warnings as errors.")
@click.option("--allow-unenforced", is_flag=True, help="Apply what cannot hold on every path.")
@json_option
@quiet_option
def command(
    config: Path,
    docker_host: str | None,
    confirm_seconds: int | None,
    yes: bool,
    strict: bool,
    allow_unenforced: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Put the policy in force and make the kernel match it."""
    from dockerfw.cli import rollback
    from dockerfw.cli.plan_output import plan_document, print_plan
    from dockerfw.cli.session import open_session
    from dockerfw.operations.apply import Act, Terms, apply
    from dockerfw.policy.trust import user_name

    session = open_session(docker_host)
    asks = somebody_is_there() and not yes
    afar = asks and comes_from_afar()
    terms = Terms(
        strict=strict,
        allow_unenforced=allow_unenforced,
        confirm_seconds=confirm_seconds,
        first_confirm_seconds=CONFIRM_SECONDS if asks else None,
        afar_confirm_seconds=CONFIRM_SECONDS if afar else None,
    )
    agreement = Agreement(quiet=quiet)
    start_rollback = partial(rollback.start, docker_host=docker_host)
    agreed_to = agreement.ask if asks and not as_json else None
    act = Act(user_name())
    try:
        done = apply(session, config, terms, start_rollback, agree=agreed_to, act=act)
    except KeyboardInterrupt:
        raise Stopped(STOPPED_ON_THE_WAY) from None
    silent = as_json or quiet
    if not silent:
        if not agreement.shown:
            print_plan(done.planned, in_sync=not done.steps)
        print_lines(["Applied."] if done.steps else [])
    kept = done.pending is None or is_kept(session, done.pending, asks=asks)
    if as_json:
        document = plan_document(done.planned)
        print_json({**document, "applied": kept, "wrote": done.steps > 0})
    if not kept:
        raise Failed("not confirmed: rolled back to what stood before")
    if not silent and done.steps:
        print_lines(_next_step(done, daemon_alive=session.store.daemon.alive()))
        _remark_on_reload(config)
    return ExitStatus.OK


class Agreement:
    """Whether to write what the plan shows: asked at the terminal before anything is written."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self.shown = False

    def ask(self, planned: PolicyPlan) -> None:
        """Show the plan and ask. Raises `Failed` or `Stopped` where it is not agreed to."""
        from dockerfw.cli.plan_output import print_plan

        question = "Apply this?"
        if self._quiet:
            question = f"{planned.changes().summary()}. {question}"
        else:
            print_plan(planned, in_sync=False)
        self.shown = True
        try:
            agreed = agree(question)
        except KeyboardInterrupt:
            raise Stopped("stopped: nothing was changed") from None
        if not agreed:
            raise Failed("not agreed: nothing was changed")


def is_kept(session: Session, pending: Pending, *, asks: bool) -> bool:
    """Wait for the confirmation. Raises `Stopped`, with what becomes of the rules then."""
    from dockerfw.operations.confirm import await_confirm

    question = Question(session.clock, asks=asks)
    try:
        kept = await_confirm(session, pending, question.poll)
    except KeyboardInterrupt:
        raise Stopped(_left_alone(pending)) from None
    question.end()
    return kept


def _left_alone(pending: Pending) -> str:
    return (
        f"stopped: the new rules stand, and are rolled back at {moment(pending.deadline)}; "
        "`dockerfw confirm` keeps them"
    )


def _remark_on_reload(config: Path) -> None:
    """Two files are in use where the unit applies another one than was applied here."""
    usual = os.environ.get("DOCKERFW_CONFIG") or DEFAULT_CONFIG
    if config.absolute() != Path(usual).absolute():
        print_remark(
            f"note: `systemctl reload dockerfw` puts {DEFAULT_CONFIG} in force, and not "
            f"{printable(str(config))}: keep one of the two"
        )


def _next_step(done: Outcome, *, daemon_alive: bool) -> list[str]:
    """Return the one thing to do next, as lines."""
    if not daemon_alive:
        step = (
            "enable the units (docs/operations.md): until then it does not hold after a reboot, "
            "and a container that comes needs another apply"
        )
    elif done.planned.observing:
        step = 'dockerfw status counts what would have been denied; then set mode = "enforce"'
    else:
        step = "dockerfw status shows every port, what passes and what is denied"
    return paragraph(f"Next: {step}", width=width(), rest="  ")


class Question:
    """Whether to keep the new rules: asked once at the terminal, never elsewhere."""

    def __init__(self, clock: Clock, *, asks: bool = True) -> None:
        self._clock = clock
        self._asks = asks
        self._asked = False
        self._open_line = False

    def poll(self, remaining: float) -> bool | None:
        """Wait a little and return the answer, None as long as there is none.

        ``remaining`` is in seconds, until the answer comes too late.
        """
        if not (self._asks and sys.stdin.isatty()):
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
