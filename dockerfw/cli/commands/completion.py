"""``dockerfw completion``: the script that completes commands, options and names in a shell."""

from __future__ import annotations

import click

from dockerfw.exit_status import ExitStatus

SHELLS = ("bash", "zsh", "fish")


@click.command(
    "completion",
    epilog="""\b
bash    dockerfw completion bash > /usr/share/bash-completion/completions/dockerfw
zsh     dockerfw completion zsh > /usr/local/share/zsh/site-functions/_dockerfw
fish    dockerfw completion fish > /etc/fish/completions/dockerfw.fish
For root it has names of containers and sources, too: as dockerfw last saw them
Status: 0""",
)
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> int:
    """Print the completion script of a shell; the package has them."""
    from dockerfw.cli.app import cli
    from dockerfw.cli.completion import script

    click.echo(script(shell, cli), nl=False)
    return ExitStatus.OK
