"""What the documents say about commands and exit statuses is true of the program."""

from __future__ import annotations

import inspect
import re

import pytest

from dockerfw.cli.app import cli
from dockerfw.exit_status import ExitStatus
from dockerfw.report.explain import Explanation
from dockerfw.report.status import Status
from tests.paths import DOCS

TEXT = (DOCS / "commands.md").read_text(encoding="utf-8")
# | `name ARGUMENTS` | what it does | its exit statuses |
COMMANDS = {
    name: (does, statuses)
    for name, does, statuses in re.findall(
        r"^\| `(\w[\w-]*)[^`]*` \| (.*) \| ([^|]*) \|$", TEXT, flags=re.MULTILINE
    )
}
# | `-o`, `--option` | commands | what it means |
SHARED = [
    (set(options.split("`")[1::2]), set(commands.split("`")[1::2]))
    for options, commands in re.findall(
        r"^\| (`-[^|]*) \| ([^|]*) \| .* \|$", TEXT, flags=re.MULTILINE
    )
]
# Of all commands, as the sentence below the table has it.
OF_ALL = {ExitStatus.FAILED, ExitStatus.REFUSED}


def options(name: str) -> set[str]:
    return {word for parameter in cli.commands[name].params for word in parameter.opts}


def statuses(function: object) -> set[ExitStatus]:
    """The statuses that stand in the source of a function."""
    assert inspect.isfunction(function)
    return {
        ExitStatus[name]
        for name in re.findall(r"\bExitStatus\.([A-Z_]+)", inspect.getsource(function))
    }


# Commands that leave with the status of what they found, or of what they ran.
BY_ANSWER = {
    "daemon": {ExitStatus.OK},
    "explain": statuses(vars(Explanation)["exit_status"].fget),
    "status": statuses(vars(Status)["exit_status"].fget),
}


def test_every_command_stands_in_the_table() -> None:
    assert sorted(COMMANDS) == sorted(cli.commands)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_option_in_the_row_of_a_command_is_its_own(name: str) -> None:
    does, _ = COMMANDS[name]

    assert set(re.findall(r"`(--?[a-z][\w-]*)", does)) <= options(name)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_option_of_a_command_is_documented(name: str) -> None:
    does, _ = COMMANDS[name]
    shared = set[str]().union(*(words for words, commands in SHARED if name in commands))

    undocumented = options(name) - shared - set(re.findall(r"`(--?[a-z][\w-]*)", does))
    assert {word for word in undocumented if word.startswith("-")} == set()


@pytest.mark.parametrize("words, commands", SHARED, ids=min)
def test_every_command_beside_a_shared_option_takes_it(words: set[str], commands: set[str]) -> None:
    assert commands == {name for name in cli.commands if words <= options(name)}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_exit_statuses_of_a_command_are_those_of_its_code(name: str) -> None:
    _, documented = COMMANDS[name]
    numbers = {ExitStatus(int(number)) for number in re.findall(r"(?:^|, )(\d+)", documented)}
    command = cli.commands[name].callback

    assert numbers - OF_ALL == (BY_ANSWER.get(name) or statuses(command)) - OF_ALL


def test_every_exit_status_is_explained() -> None:
    assert set(ExitStatus) <= set(map(int, re.findall(r"\b\d+\b", TEXT)))
