"""Prints a manual page: ``PYTHONPATH=. python script/manual.py NAME``.

NAME is one of `PAGES`. dockerfw(1) is what ``--help`` and docs/commands.md say, dockerfw.toml(5) is
docs/policy.md: no word of them stands here.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path

import click

from dockerfw import __version__
from dockerfw.cli.app import cli
from script.roff import escaped, from_markdown, item, literal, section, tidied

_TOP = Path(__file__).resolve().parents[1]
DOCS = _TOP / "docs"
_CHANGELOGS = (_TOP / "packaging" / "deb" / "changelog", _TOP / "debian" / "changelog")
_FILES = {
    "/etc/dockerfw/config.toml": "The policy: see dockerfw.toml(5).",
    "/etc/dockerfw/conf.d/*.toml": "More of it.",
    "/var/lib/dockerfw": "The policy in force, as the last apply left it.",
}
_MORE = "/usr/share/doc/dockerfw"


def program_page() -> str:
    """Return dockerfw(1)."""
    context = click.Context(cli, info_name="dockerfw")
    before, after = _commands_document()
    lines = [
        _head("DOCKERFW", 1, "User Commands"),
        *section("NAME", r"dockerfw - firewall for the ports of Docker containers"),
        *section("SYNOPSIS", " ".join(["dockerfw", *cli.collect_usage_pieces(context)])),
        *section("DESCRIPTION", inspect.cleandoc(cli.help or "")),
        *_options(cli, context),
        ".SH COMMANDS",
    ]
    for name in sorted(cli.commands):
        lines += _command(cli.commands[name], click.Context(cli.commands[name], info_name=name))
    lines += [".SH EXIT STATUS", from_markdown(before), from_markdown(after), ".SH FILES"]
    for path, words in _FILES.items():
        lines += item(path, words)
    lines += section("SEE ALSO", f"dockerfw.toml(5), docker(1), nft(8), {_MORE}/docs/operations.md")
    return tidied("\n".join(lines) + "\n")


def policy_page() -> str:
    """Return dockerfw.toml(5)."""
    text = (DOCS / "policy.md").read_text(encoding="utf-8")
    body = text.partition("\n")[2].strip()
    lines = [
        _head("DOCKERFW.TOML", 5, "File Formats"),
        *section("NAME", "dockerfw.toml - the policy of dockerfw: who may reach which port"),
        ".SH DESCRIPTION",
        from_markdown(body),
        *section("SEE ALSO", f"dockerfw(1), {_MORE}/examples"),
    ]
    return tidied("\n".join(lines) + "\n")


PAGES = {"dockerfw.1": program_page, "dockerfw.toml.5": policy_page}


def _head(name: str, number: int, manual: str) -> str:
    return f'.TH {name} {number} "{_date()}" "dockerfw {__version__}" "{manual}"'


def _date() -> str:
    """Return when this version was written down, as the package has it."""
    # Where a package is built, its folder is called debian.
    text = next(path.read_text(encoding="utf-8") for path in _CHANGELOGS if path.exists())
    newest = re.findall(r"^ -- .*>  (.+)$", text, flags=re.MULTILINE)[0]
    return f"{parsedate_to_datetime(newest):%Y-%m-%d}"


def _commands_document() -> tuple[str, str]:
    """Return what docs/commands.md says of all exit statuses, and its sections."""
    text = (DOCS / "commands.md").read_text(encoding="utf-8")
    whole, _, sections = text.partition("\n## ")
    return "Of all" + whole.partition("\nOf all")[2], f"## {sections}"


def _rows() -> dict[str, tuple[str, str]]:
    """Return what docs/commands.md says in its table of each command, and its statuses."""
    text = (DOCS / "commands.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w-]+)[^`]*` \| (.*) \| ([^|]*) \|$", text, flags=re.MULTILINE)
    return {name: (does, statuses) for name, does, statuses in rows}


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    name = context.info_name or ""
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    does, statuses = _rows()[name]
    yield f".SS {escaped(usage)}"
    yield escaped(inspect.cleandoc(command.help or ""))
    yield from_markdown(f"{does[:1].upper()}{does[1:]}.")
    yield from _options(command, context)
    if command.epilog:
        yield from literal(inspect.cleandoc(command.epilog.replace("\b", "")).splitlines())
    if "\nStatus" not in (command.epilog or ""):
        yield from_markdown(f"Status: {statuses}")


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and record[1] and "--help" not in parameter.opts:
            yield from item(*record)


if __name__ == "__main__":
    sys.stdout.write(PAGES[sys.argv[1]]())
