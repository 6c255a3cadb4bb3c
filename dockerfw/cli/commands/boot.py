"""``dockerfw boot``: closes everything before Docker starts; for ``dockerfw-boot.service``."""

from __future__ import annotations

import click

from dockerfw.exit_status import ExitStatus


@click.command(
    "boot",
    epilog="""\b
dockerfw boot                   what its unit does, before Docker starts
Status: 0 closed as the policy in force says, 1 failed""",
)
def command() -> int:
    """Close everything before Docker starts; for its unit."""
    from dockerfw.cli.session import open_session
    from dockerfw.operations.boot import boot

    click.echo(boot(open_session(asks_docker=False)))
    return ExitStatus.OK
