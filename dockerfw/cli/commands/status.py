"""``dockerfw status``: what holds now, and what passed and was denied so far."""

from __future__ import annotations

import click

from dockerfw.cli.options import docker_host_option, json_option
from dockerfw.cli.output import print_json, print_lines
from dockerfw.cli.screen import width


@click.command("status")
@docker_host_option
@json_option
def command(docker_host: str | None, as_json: bool) -> int:
    """Is it enforced and in sync, what passed, what was denied."""
    from dockerfw.cli.session import open_session
    from dockerfw.operations.status import read_status

    found = read_status(open_session(docker_host))
    if as_json:
        print_json(found.to_json())
    else:
        print_lines(found.lines(width()))
    return found.exit_status
