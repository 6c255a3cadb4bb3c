"""``dockerfw probe``: packets from a host outside, held against the policy in force."""

from __future__ import annotations

import click

from dockerfw.cli.options import docker_host_option, json_option
from dockerfw.cli.output import print_json, print_lines
from dockerfw.cli.screen import width
from dockerfw.exit_status import ExitStatus


@click.command(
    "probe",
    epilog="""\b
TARGET  web (all its ports), web:80, web:53/udp, :8080 (a port of this host)
SOURCE  any, a list of [sources], or an IP address that has no connection here
dockerfw probe web:80 --from office    one port, as one source
Status  0 all is as the policy says, 3 something is not""",
)
@click.argument("target", required=False)
@click.option(
    "--from",
    "sources",
    multiple=True,
    metavar="SOURCE",
    help="Play this source; as often as you like. Else: anyone, and each that the policy names.",
)
@docker_host_option
@json_option
def command(
    target: str | None, sources: tuple[str, ...], docker_host: str | None, as_json: bool
) -> int:
    """Send packets from outside and see whether the policy holds."""
    from dockerfw.cli.session import open_outside, open_session
    from dockerfw.operations.probe import probe
    from dockerfw.report.probe import document, lines

    found = probe(open_session(docker_host, quiet=as_json), open_outside(), target, sources)
    if as_json:
        print_json(document(found))
    else:
        print_lines(lines(found, width()))
    return ExitStatus.OK if found.agrees else ExitStatus.NO
