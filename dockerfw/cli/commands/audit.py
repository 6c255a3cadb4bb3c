"""``dockerfw audit``: every way in to every container, and who gets in by it."""

from __future__ import annotations

import click

from dockerfw.cli.options import docker_host_option, json_option
from dockerfw.cli.output import print_json, print_lines
from dockerfw.exit_status import ExitStatus


@click.command("audit")
@docker_host_option
@json_option
@click.option(
    "--fail-on",
    type=click.Choice(["open"]),
    help="Exit with 3 if something is, or may be, open to anyone.",
)
def command(docker_host: str | None, as_json: bool, fail_on: str | None) -> int:
    """Show every way in to every container, and to whom it is open; needs no policy."""
    from dockerfw.cli.session import open_session
    from dockerfw.operations.audit import audit
    from dockerfw.report.audit import document, lines

    found = audit(open_session(docker_host))
    if as_json:
        print_json(document(found))
    else:
        print_lines(lines(found))
    return ExitStatus.NO if fail_on and found.may_be_open else ExitStatus.OK
