"""``dockerfw remove``: takes all of dockerfw out, once what opens was shown and agreed to."""

from __future__ import annotations

import click

from dockerfw.cli.options import docker_host_option
from dockerfw.cli.terminal import agree, somebody_is_there
from dockerfw.errors import Stopped, UsageError
from dockerfw.exit_status import ExitStatus


@click.command(
    "remove",
    epilog="""\b
dockerfw remove                 shows what opens, and asks
dockerfw remove --yes           for scripts: asks nothing
Status: 0 removed, 1 failed, or the daemon runs, 2 no terminal and no --yes""",
)
@docker_host_option
@click.option("--yes", is_flag=True, help="Do not ask.")
def command(docker_host: str | None, yes: bool) -> int:
    """Take out all of dockerfw and nothing else."""
    from dockerfw.cli.session import open_session
    from dockerfw.operations.remove import refuse_while_daemon_runs, remove, what_opens

    session = open_session(docker_host)
    refuse_while_daemon_runs(session)
    if not yes and not somebody_is_there():
        raise UsageError("remove opens ports: at no terminal it needs --yes")
    lines = what_opens(session)
    if lines:
        click.echo("These ports open to whoever can reach this host:")
        for line in lines:
            click.echo(f"  {line}")
    if not yes and not agree("Remove dockerfw?"):
        raise Stopped("stopped: nothing was changed")
    remove(session)
    click.echo("Removed.")
    return ExitStatus.OK
