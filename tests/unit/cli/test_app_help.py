"""``--help``: every command has examples that can be typed, and exit statuses, at 80 columns."""

from __future__ import annotations

import re
import shlex

import click
import pytest

from dockerfw.cli.app import cli
from tests.paths import DOCS
from tests.unit.cli.terminal import Terminal

TABLE = (DOCS / "commands.md").read_text(encoding="utf-8")
COMMANDS = sorted(cli.commands)
ALL = {0, 1, 2}


def example(line: str) -> list[str]:
    """The words of a command line, without what is said of it and where its output goes."""
    return shlex.split(re.split(r"  +| >", line.strip())[0])


def examples(name: str) -> list[str]:
    lines = (cli.commands[name].epilog or "").splitlines()
    return [line for line in lines if line.startswith("dockerfw ")]


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_fits_80_columns(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = terminal.run(*name.split(), "--help")

    assert [line for line in done.out.splitlines() if len(line) > 80] == []
    assert "..." not in done.out.partition("Commands:")[2], "no summary is cut"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example_that_can_be_typed(name: str) -> None:
    assert examples(name), "there is none"
    for line in examples(name):
        _, command, *arguments = example(line)
        # Reads the arguments as a run does, and runs nothing.
        with cli.commands[command].make_context(command, arguments):
            pass


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_tells_its_exit_statuses(name: str) -> None:
    row = re.search(rf"^\| `{name}\b[^`]*` \| .* \| ([^|]*) \|$", TABLE, flags=re.MULTILINE)
    told = (cli.commands[name].epilog or "").partition("Status")[2]
    assert row is not None
    documented = {int(number) for number in re.findall(r"(?:^|, )(\d+)", row[1])}

    found = {int(number) for number in re.findall(r"(?:^:? +|,\s+|open )(\d)\b", told)}
    assert documented <= found <= documented | ALL


def test_what_cannot_be_typed_is_found() -> None:
    with pytest.raises(click.UsageError):
        cli.commands["plan"].make_context("plan", example("dockerfw plan --nonsense  says"))
