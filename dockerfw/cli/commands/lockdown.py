"""``dockerfw lockdown``: the panic button."""

from __future__ import annotations

import click

from dockerfw.cli.options import docker_host_option
from dockerfw.cli.output import print_lines
from dockerfw.cli.screen import width
from dockerfw.exit_status import ExitStatus
from dockerfw.text import listed, paragraph, printable


@click.command(
    "lockdown",
    epilog="""\b
dockerfw lockdown               closes, and asks nothing
dockerfw apply                  opens again what the policy allows
Status: 0 all is closed, 1 not whole: it says what is left""",
)
@docker_host_option
def command(docker_host: str | None) -> int:
    """Close every container port at once, until the next apply."""
    from dockerfw.cli.session import open_session
    from dockerfw.operations.lockdown import TOOL_PATIENCE, lock_down

    done = lock_down(open_session(docker_host, tool_patience=TOOL_PATIENCE))
    if done.failed:
        by = f" by {listed(done.closed_by)} alone" if done.closed_by else ""
        print_lines([f"LOCKED DOWN{by}, until the next apply, but NOT WHOLE:"])
    elif done.open_paths:
        print_lines(["LOCKED DOWN until the next apply, but NOT ON EVERY PATH:"])
    else:
        print_lines(["LOCKED DOWN: only this host reaches its containers, until the next apply."])
    for reason in (*done.failed, *done.open_paths):
        print_lines(paragraph(f"! {printable(reason.splitlines()[0])}", width=width(), rest="  "))
    if done.failed:
        click.echo("When that is mended: dockerfw lockdown, once more.")
    return ExitStatus.FAILED if done.failed else ExitStatus.OK
