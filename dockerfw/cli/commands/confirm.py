"""``dockerfw confirm``: keeps an apply that would be rolled back; for another terminal."""

from __future__ import annotations

import click

from dockerfw.cli.options import quiet_option
from dockerfw.cli.output import print_lines
from dockerfw.exit_status import ExitStatus


@click.command(
    "confirm",
    epilog="""\b
dockerfw apply --confirm 60     goes back after a minute, unless
dockerfw confirm                is what somebody says who is still let in
Status: 0 kept, 1 nothing waits, or it is too late""",
)
@quiet_option
def command(quiet: bool) -> int:
    """Keep what `apply --confirm` did."""
    from dockerfw.cli.session import open_session
    from dockerfw.operations.confirm import confirm

    confirm(open_session())
    if not quiet:
        print_lines(["Kept."])
    return ExitStatus.OK
