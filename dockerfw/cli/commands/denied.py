"""``dockerfw denied``: who was turned away lately, and what would let them in."""

from __future__ import annotations

import click

from dockerfw.cli.options import docker_host_option, json_option, seconds_of
from dockerfw.cli.output import print_json, print_json_line, print_lines
from dockerfw.cli.screen import width
from dockerfw.exit_status import ExitStatus


@click.command(
    "denied",
    epilog="""\b
dockerfw denied                           the newest of the last day
dockerfw denied --since 1h --sort noisiest
dockerfw denied --follow                  what is denied from now on
An IPv6 source is shown as its /64. Any source may be forged; most of those
are dropped before they are recorded
Status: 0""",
)
@click.option("--since", metavar="TIME", help="No longer ago than this: 10m, 1h or 1d.")
@click.option(
    "--sort",
    type=click.Choice(("newest", "noisiest")),
    default="newest",
    show_default=True,
    help="What comes first.",
)
@click.option("-f", "--follow", is_flag=True, help="What is denied from now on, as it comes.")
@click.option("-v", "--verbose", is_flag=True, help="All rows, not the first ten alone.")
@docker_host_option
@json_option
def command(
    since: str | None,
    sort: str,
    follow: bool,
    verbose: bool,
    docker_host: str | None,
    as_json: bool,
) -> int:
    """Who was turned away lately, and what would let them in."""
    from dockerfw.cli.session import open_session
    from dockerfw.operations.denied import Question, read_denied
    from dockerfw.rules.ruleset import RECORDED_FOR

    if follow:
        return _follow(docker_host, since, as_json=as_json)
    seconds = RECORDED_FOR if since is None else min(seconds_of("--since", since), RECORDED_FOR)
    asked = Question(
        seconds, "noisiest" if sort == "noisiest" else "newest", all=verbose or as_json
    )
    found = read_denied(open_session(docker_host), asked)
    if as_json:
        print_json(found.to_json())
    else:
        print_lines(found.lines(width()))
    return ExitStatus.OK


def _follow(docker_host: str | None, since: str | None, *, as_json: bool) -> int:
    from dockerfw.cli.session import open_session
    from dockerfw.errors import UsageError
    from dockerfw.operations import denied
    from dockerfw.report.denied_text import follow_head, follow_json, row_lines
    from dockerfw.text import iso_moment

    if since is not None:
        raise UsageError("--follow shows what is denied from now on: leave --since out")
    session = open_session(docker_host)
    rows = denied.follow(session)
    observing = denied.observing(session)
    if not as_json:
        print_lines(follow_head(observing=observing, width=width()))
    try:
        for row in rows:
            if as_json:
                print_json_line(follow_json(row, observing=observing))
            else:
                print_lines(row_lines(row, iso_moment(row.denial.last)[11:], width()))
    except KeyboardInterrupt:  # the one way to end it is no error
        pass
    return ExitStatus.OK
