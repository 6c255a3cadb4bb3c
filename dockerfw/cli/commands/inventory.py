"""``dockerfw inventory``: records what runs; the one command that may read a remote engine."""

from __future__ import annotations

import click

from dockerfw.cli.options import docker_host_option, record_inventory
from dockerfw.exit_status import ExitStatus


@click.command(
    "inventory",
    epilog="""\b
dockerfw inventory > host.json
dockerfw plan -c new.toml --inventory host.json
Status: 0""",
)
@docker_host_option
def command(docker_host: str | None) -> int:
    """Record what runs, for --inventory; a remote engine, too."""
    from dockerfw.state import inventory_file

    click.echo(inventory_file.dump(record_inventory(docker_host, remote_ok=True)), nl=False)
    return ExitStatus.OK
