"""The program: the group of commands, and what becomes of errors.

Every file of ``cli/commands`` is a command. Each error that dockerfw raises on purpose becomes a
sentence on stderr and an exit status; everything else is a bug, and is reported as one.
"""

from __future__ import annotations

import gc
import os
import pkgutil
import sys
from importlib import import_module
from typing import NoReturn

import click

from dockerfw import __version__
from dockerfw.cli import commands, mistakes
from dockerfw.cli.failure import failure, print_failure
from dockerfw.errors import DockerfwError, UsageError
from dockerfw.exit_status import ExitStatus


class Program(click.Group):
    """The commands, with a status of its own for output that nobody reads any more."""

    def invoke(self, context: click.Context) -> object:
        """Run the command; return its exit status, or None."""
        try:
            return super().invoke(context)
        except BrokenPipeError:
            # Caught here, since click would make it 1, which says that something does not work.
            # Python flushes stdout at its end, which would fail once more.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return ExitStatus.BROKEN_PIPE

    def resolve_command(
        self, context: click.Context, typed: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command with its arguments. Raises `UsageError` with what was meant."""
        if typed[0] not in self.commands:
            raise UsageError(mistakes.unknown_command(typed, self.commands))
        mistake = mistakes.without_value(self.commands[typed[0]], typed[1:])
        if mistake is not None:
            raise UsageError(mistake)
        return super().resolve_command(context, typed)


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="dockerfw")
def cli() -> None:
    """Who may reach which container port: one TOML file, enforced behind Docker's back."""


for _file in pkgutil.iter_modules(commands.__path__):
    cli.add_command(import_module(f"{commands.__name__}.{_file.name}").command)


def main() -> NoReturn:
    """The entry point: runs a command and ends the process with its exit status.

    Nobody looks for garbage meanwhile: a command makes next to none in cycles and ends soon, while
    looking through what 1,000 containers and rules are cost a fifth of its time. The daemon, which
    goes on, switches it on again.
    """
    gc.disable()
    sys.exit(_run())


def _run() -> int:
    try:
        status = cli.main(prog_name="dockerfw", standalone_mode=False)
    except Exception as error:
        if isinstance(error, click.UsageError) and len(sys.argv) == 1:
            error.show()  # the help
            return ExitStatus.REFUSED
        meant = isinstance(error, DockerfwError | click.ClickException | click.exceptions.Abort)
        if not meant and os.environ.get("DOCKERFW_DEBUG"):
            raise
        return print_failure(failure(error, sys.argv[1:]))
    # click's own --help and --version give no status.
    return status if isinstance(status, int) else ExitStatus.OK
