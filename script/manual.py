"""Prints the manual page, dockerfw(8): what ``--help`` says of the program and of each command."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator

import click

from dockerfw import __version__
from dockerfw.cli.app import cli
from dockerfw.exit_status import ExitStatus

_FILES = {
    "/etc/dockerfw/config.toml": "The policy: /usr/share/doc/dockerfw/policy.md has its grammar.",
    "/etc/dockerfw/conf.d/*.toml": "More of it.",
    "/var/lib/dockerfw": "The policy in force, as the last apply left it.",
}
_PAGES = (
    "/usr/share/doc/dockerfw/operations.md, /usr/share/doc/dockerfw/commands.md, docker(1), nft(8)"
)


def page() -> str:
    """Return the manual page, in the words of man(7)."""
    context = click.Context(cli, info_name="dockerfw")
    lines = [
        f'.TH DOCKERFW 8 "" "dockerfw {__version__}" "System administration"',
        *_section("NAME", "dockerfw - firewall for the ports of Docker containers"),
        *_section("SYNOPSIS", " ".join(["dockerfw", *cli.collect_usage_pieces(context)])),
        *_section("DESCRIPTION", inspect.cleandoc(cli.help or "")),
        *_options(cli, context),
        ".SH COMMANDS",
    ]
    for name in sorted(cli.commands):
        lines += _command(cli.commands[name], click.Context(cli.commands[name], info_name=name))
    lines.append(".SH FILES")
    for path, words in _FILES.items():
        lines += _item(path, words)
    statuses = ", ".join(f"{status.value} {status.name.lower()}" for status in ExitStatus)
    lines += _section("EXIT STATUS", statuses.replace("_", " "))
    lines += _section("SEE ALSO", _PAGES)
    return "\n".join(lines)


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    usage = " ".join([context.info_name or "", *command.collect_usage_pieces(context)])
    yield f".SS {_escaped(usage)}"
    yield _escaped(inspect.cleandoc(command.help or ""))
    yield from _options(command, context)


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and record[1] and "--help" not in parameter.opts:
            yield from _item(*record)


def _section(title: str, text: str) -> list[str]:
    return [f".SH {title}", _escaped(text)]


def _item(tag: str, text: str) -> list[str]:
    return [".TP", rf"\fB{_escaped(tag)}\fR", _escaped(text)]


def _escaped(text: str) -> str:
    """``text`` as roff shows it: no line of it is taken for a request."""
    lines = text.replace("\\", r"\e").replace("-", r"\-").splitlines()
    return "\n".join(rf"\&{line}" if line[:1] in (".", "'") else line for line in lines if line)


if __name__ == "__main__":
    sys.stdout.write(page() + "\n")
