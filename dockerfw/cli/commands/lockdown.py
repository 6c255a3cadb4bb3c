"""``dockerfw lockdown``: the panic button."""

from __future__ import annotations

import click

from dockerfw.cli.options import docker_host_option
from dockerfw.cli.output import print_lines
from dockerfw.exit_status import ExitStatus
from dockerfw.text import paragraph


@click.command("lockdown")
@docker_host_option
def command(docker_host: str | None) -> int:
    """Close every container port at once, until the next apply."""
    from dockerfw.cli.session import open_session
    from dockerfw.operations.lockdown import lock_down

    open_paths = lock_down(open_session(docker_host))
    if open_paths:
        click.echo("LOCKED DOWN until the next apply, but NOT ON EVERY PATH:")
        for reason in open_paths:
            print_lines(paragraph(f"! {reason}", rest="  "))
    else:
        click.echo("LOCKED DOWN: only this host reaches its containers, until the next apply.")
    return ExitStatus.OK
