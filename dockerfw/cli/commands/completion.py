"""``dockerfw completion``: the script that completes commands, options and names in a shell."""

from __future__ import annotations

import click

from dockerfw.exit_status import ExitStatus

SHELLS = ("bash", "zsh", "fish")


@click.command(
    "completion",
    epilog="""\b
dockerfw completion bash >/usr/share/bash-completion/completions/dockerfw
dockerfw completion zsh >/usr/local/share/zsh/site-functions/_dockerfw
dockerfw completion fish >/etc/fish/completions/dockerfw.fish
TAB has names of containers and sources for root alone
Status: 0""",
)
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> int:
    """Print what completes commands and names in a shell."""
    from dockerfw.cli.app import cli
    from dockerfw.cli.completion import script

    click.echo(script(shell, cli), nl=False)
    return ExitStatus.OK
