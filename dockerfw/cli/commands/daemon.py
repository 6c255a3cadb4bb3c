"""``dockerfw daemon``: follows Docker and the kernel; for ``dockerfw.service``."""

from __future__ import annotations

from typing import Literal

import click

from dockerfw.cli.options import docker_host_option


@click.command(
    "daemon",
    epilog="""\b
dockerfw daemon                 what dockerfw.service does
Status: 0 ended by SIGTERM, 1 failed, or one runs already""",
)
@docker_host_option
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="One line a change, for people or for programs.",
)
def command(docker_host: str | None, log_format: Literal["text", "json"]) -> int:
    """Keep the policy in force true as containers come and go."""
    from dockerfw.daemon.main import run

    return run(docker_host, log_format)
