"""``dockerfw status``: what holds now, and what passed and was denied so far."""

from __future__ import annotations

from pathlib import Path

import click

from dockerfw.cli.options import DEFAULT_CONFIG, docker_host_option, json_option, verbose_option
from dockerfw.cli.output import print_json, print_lines
from dockerfw.cli.screen import width


@click.command(
    "status",
    epilog="""\b
Status: 0 enforcing all of the policy and in sync, 3 otherwise""",
)
@docker_host_option
@json_option
@verbose_option
def command(docker_host: str | None, as_json: bool, verbose: bool) -> int:
    """Is it enforced and in sync; every port, open to whom, and how much passed."""
    from dockerfw.cli.session import open_session
    from dockerfw.operations.status import read_status

    found = read_status(open_session(docker_host), Path(DEFAULT_CONFIG))
    if as_json:
        print_json(found.to_json())
    else:
        print_lines(found.lines(width(), verbose=verbose))
    return found.exit_status
