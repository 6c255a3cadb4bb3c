"""``dockerfw inventory``: records what runs; the one command that may read a remote engine."""

from __future__ import annotations

import click

from dockerfw.cli.options import docker_host_option
from dockerfw.cli.output import print_warnings
from dockerfw.exit_status import ExitStatus


@click.command("inventory")
@docker_host_option
def command(docker_host: str | None) -> int:
    """Record what runs, for --inventory; may read a remote engine."""
    from dockerfw.docker.client import Docker
    from dockerfw.model.policy import Needs
    from dockerfw.state import inventory_file

    docker = Docker.connect(docker_host, remote_ok=True)
    found = docker.read_inventory({}, Needs(images=True, labels=True))
    docker.close()
    print_warnings(docker.warnings)
    click.echo(inventory_file.dump(found), nl=False)
    return ExitStatus.OK
