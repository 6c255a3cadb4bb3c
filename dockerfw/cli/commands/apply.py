"""``dockerfw apply``: puts the policy in force; may ask at the terminal whether to keep it."""

from __future__ import annotations

import select
import sys
from functools import partial
from pathlib import Path

import click

from dockerfw.cli.options import config_option, docker_host_option, json_option, quiet_option
from dockerfw.cli.output import print_json
from dockerfw.clock import Clock
from dockerfw.errors import Failed
from dockerfw.exit_status import ExitStatus

FIRST_APPLY_SECONDS = 60


@click.command("apply")
@config_option
@docker_host_option
@click.option(
    "--confirm",
    "confirm_seconds",
    type=click.IntRange(1, 3600),
    metavar="SECONDS",
    help="Roll back unless confirmed within so many seconds.",
)
@click.option("--yes", is_flag=True, help="Do not ask, not even the first time.")
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
    from dockerfw.operations.apply import Terms, apply
    from dockerfw.operations.confirm import await_confirm

    session = open_session(docker_host)
    at_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    terms = Terms(
        strict=strict,
        allow_unenforced=allow_unenforced,
        confirm_seconds=confirm_seconds,
        first_confirm_seconds=FIRST_APPLY_SECONDS if at_terminal and not yes else None,
    )
    done = apply(session, config, terms, partial(rollback.start, docker_host=docker_host))
    if not as_json and not quiet:
        print_plan(done.planned, in_sync=not done.steps)
        if done.steps:
            click.echo("Applied.")
    kept = True
    if done.pending:
        question = Question(session.clock)
        kept = await_confirm(session, done.pending, question.poll)
        question.end()
    if as_json:
        document = plan_document(done.planned)
        print_json({**document, "applied": kept, "wrote": done.steps > 0})
    if not kept:
        raise Failed("not confirmed: rolled back to what stood before")
    return ExitStatus.OK


class Question:
    """Whether to keep the new rules: asked once at the terminal, never elsewhere."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._asked = False
        self._open_line = False

    def poll(self, remaining: float) -> bool | None:
        """Wait a little and return the answer, None as long as there is none.

        ``remaining`` is in seconds, until the answer comes too late.
        """
        if not sys.stdin.isatty():
            self._clock.sleep(0.1)
            return None
        if not self._asked:
            self._asked = self._open_line = True
            click.echo(
                "Can you still get in from elsewhere?\n"
                f"Keep these rules? [y/N] (rolls back in {max(remaining, 0):.0f} s) ",
                nl=False,
            )
        ready, _, _ = select.select([sys.stdin], [], [], 0.2)
        if not ready:
            return None
        answer = sys.stdin.readline()
        self._open_line = not answer.endswith("\n")
        return answer.strip().lower() in ("y", "yes")

    def end(self) -> None:
        """End the line of a question that nobody has answered here."""
        if self._open_line:
            click.echo()
            self._open_line = False
