"""``dockerfw audit``: every way in to every container, and who gets in by it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dockerfw.cli.options import docker_host_option, json_option
from dockerfw.cli.output import print_json, print_lines, print_remark
from dockerfw.cli.screen import width
from dockerfw.errors import Failed, UsageError
from dockerfw.exit_status import ExitStatus

if TYPE_CHECKING:
    from dockerfw.report.audit import Audit


@click.command(
    "audit",
    epilog="""\b
dockerfw audit                    who reaches what on this host
dockerfw audit --fail-on open     in a script, or CI
dockerfw audit --html audit.html  to show it to somebody
Status: 0; with --fail-on open 3 if something is, or may be, open to anyone""",
)
@docker_host_option
@json_option
@click.option(
    "--fail-on",
    type=click.Choice(["open"]),
    help="Exit with 3 if something is, or may be, open to anyone.",
)
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write it as one page for a browser, too; replaces FILE.",
)
def command(docker_host: str | None, as_json: bool, fail_on: str | None, html: Path | None) -> int:
    """Show every way in to every container, and who gets in."""
    from dockerfw.cli.session import open_session
    from dockerfw.operations.audit import audit
    from dockerfw.report.audit import document, lines

    if html is not None:
        _refuse_what_is_no_file(html)
    session = open_session(docker_host, quiet=as_json)
    found = audit(session)
    if html is not None:
        _write_page(html, found, session.clock.time())
    if as_json:
        print_json(document(found))
    else:
        print_lines(lines(found, width()))
    if html is not None:
        print_remark(f"Wrote {html}")
    return ExitStatus.NO if fail_on and found.may_be_open else ExitStatus.OK


def _refuse_what_is_no_file(path: Path) -> None:
    """Raise `UsageError` for what must not be replaced, such as a device."""
    if str(path) == "-":
        raise UsageError("--html takes the name of a file: `-` is none")
    if path.exists() and not path.is_file():
        raise UsageError(f"cannot write {path}: it is there, and no file")


def _write_page(path: Path, found: Audit, now: float) -> None:
    """Write the page for root alone: it shows a host's open doors."""
    from dockerfw.report.audit import page
    from dockerfw.state.durable import replace_file
    from dockerfw.text import moment

    text = page(found, os.uname().nodename, moment(now))
    try:
        replace_file(path, text.encode())
    except OSError as error:
        raise Failed(f"cannot write {path}: {error.strerror}") from error
