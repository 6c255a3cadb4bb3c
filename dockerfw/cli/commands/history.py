"""``dockerfw history``: the last policies in force."""

from __future__ import annotations

import click

from dockerfw.cli.options import json_option
from dockerfw.cli.output import print_json, print_lines
from dockerfw.cli.screen import width
from dockerfw.exit_status import ExitStatus


@click.command(
    "history",
    epilog="""\b
dockerfw history                the newest comes first
dockerfw plan --since 3         what is another thing than under policy 3
Status: 0""",
)
@json_option
def command(as_json: bool) -> int:
    """The last policies in force: since when, by whom, and why."""
    from dockerfw.cli.session import open_session
    from dockerfw.operations.go_back import read_history
    from dockerfw.report import history

    session = open_session()
    kept = read_history(session)
    if session.store.policy.locked_down():
        session.notify("warning: locked down until the next apply: none of these is in force")
    if as_json:
        print_json({"policies": history.to_json(kept.entries, kept.in_force)})
    else:
        print_lines(history.lines(kept.entries, kept.in_force, width()))
    return ExitStatus.OK
