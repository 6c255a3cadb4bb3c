"""``dockerfw denied``: who was turned away lately, and what would let them in."""

from __future__ import annotations

from collections.abc import Mapping

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
A denial is kept for a day, an IPv6 source as its /64. A source is what a
packet claims: see "What denied knows" in docs/commands.md
Status: 0""",
)
@click.option("--since", metavar="TIME", help="No longer ago than this: 10m, 1h or 1d.")
@click.option(
    "--sort",
    type=click.Choice(("newest", "noisiest")),
    help="What comes first: the newest, if you do not say.",
)
@click.option("-f", "--follow", is_flag=True, help="What is denied from now on, as it comes.")
@click.option("-v", "--verbose", is_flag=True, help="All rows, not the first ten alone.")
@docker_host_option
@json_option
def command(
    since: str | None,
    sort: str | None,
    follow: bool,
    verbose: bool,
    docker_host: str | None,
    as_json: bool,
) -> int:
    """Who was turned away lately, and what would let them in."""
    from dockerfw.cli.session import open_session
    from dockerfw.operations.denied import Question, read_denied

    if follow:
        _refuse({"--since": since, "--sort": sort, "--verbose": verbose})
        return _follow(docker_host, as_json=as_json)
    asked = Question(
        _seconds(since), "noisiest" if sort == "noisiest" else "newest", all=verbose or as_json
    )
    found = read_denied(open_session(docker_host), asked)
    if as_json:
        print_json(found.to_json())
    else:
        print_lines(found.lines(width()))
    return ExitStatus.OK


def _seconds(since: str | None) -> int:
    """Return how far to look back. Raises `UsageError` for longer than denials are kept."""
    from dockerfw.errors import UsageError
    from dockerfw.rules.ruleset import RECORDED_FOR

    if since is None:
        return RECORDED_FOR
    seconds = seconds_of("--since", since)
    if seconds > RECORDED_FOR:
        raise UsageError(f'--since "{since}": a denial is kept for a day: write 1d or less')
    return seconds


def _refuse(options: Mapping[str, str | bool | None]) -> None:
    """Raise `UsageError` if one of these, which mean nothing with ``--follow``, is given."""
    from dockerfw.errors import UsageError

    given = [name for name, value in options.items() if value]
    if given:
        raise UsageError(
            f"--follow shows what is denied from now on, as it comes: leave {' and '.join(given)} "
            "out"
        )


def _follow(docker_host: str | None, *, as_json: bool) -> int:
    from dockerfw.cli.session import open_session
    from dockerfw.operations import denied
    from dockerfw.report.denied_text import follow_head, follow_json, row_lines
    from dockerfw.text import iso_moment

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
