"""``dockerfw status``: what holds now, and what passed and was denied so far."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dockerfw.cli.options import DEFAULT_CONFIG, docker_host_option, json_option, verbose_option
from dockerfw.cli.output import print_json, print_lines
from dockerfw.cli.screen import width
from dockerfw.errors import UsageError

if TYPE_CHECKING:
    from dockerfw.operations.session import Session

PAUSE = 2.0
"""Seconds between two looks of ``--watch``."""


@click.command(
    "status",
    epilog="""\b
dockerfw status                 a verdict, and every port
dockerfw status --watch         again and again
Status: 0 enforcing all of the policy and in sync, 3 otherwise""",
)
@docker_host_option
@json_option
@verbose_option
@click.option("--watch", is_flag=True, help="Look again every two seconds, until Ctrl-C.")
def command(docker_host: str | None, as_json: bool, verbose: bool, watch: bool) -> int:
    """Is it enforced, in sync; who may reach each port, who did."""
    from dockerfw.cli.session import open_session
    from dockerfw.operations.status import read_status

    if watch and as_json:
        raise UsageError("--watch is for people: for programs run `dockerfw status --json` again")
    session = open_session(docker_host, quiet=as_json or watch)
    if watch:
        return _watch(session, verbose=verbose)
    found = read_status(session, Path(DEFAULT_CONFIG))
    if as_json:
        print_json(found.to_json())
    else:
        print_lines(found.lines(width(), verbose=verbose))
    return found.exit_status


def _watch(session: Session, *, verbose: bool) -> int:
    """Return the exit status of the last look."""
    from dockerfw.operations.status import read_status

    while True:
        found = read_status(session, Path(DEFAULT_CONFIG))
        lines = found.lines(width(), verbose=verbose)
        if sys.stdout.isatty():
            click.clear()
        print_lines(lines)
        try:
            session.clock.sleep(PAUSE)
        except KeyboardInterrupt:
            return found.exit_status
