"""The completion scripts know what click knows; tests/shells has them in real shells."""

from __future__ import annotations

import re

import click
import pytest

from dockerfw.cli.app import cli
from dockerfw.cli.commands.completion import SHELLS
from dockerfw.cli.completion import TAKEN, script, taken

VALUES = [
    (name, parameter)
    for name, command in cli.commands.items()
    for parameter in command.params
    if isinstance(parameter, click.Argument) or not getattr(parameter, "is_flag", False)
]
KINDS = {"@file", "@source", "@container", "@target", "@history", "@temporary"}


def test_of_every_value_it_is_known_what_stands_there() -> None:
    for name, parameter in VALUES:
        words = taken(name, parameter)
        assert all(re.fullmatch(r"[\w.-]+", word) for word in set(words) - KINDS), words


def test_nothing_is_said_of_what_is_not_there() -> None:
    assert set(TAKEN) <= {(name, parameter.name) for name, parameter in VALUES}


@pytest.mark.parametrize("shell", SHELLS)
def test_every_command_and_every_option_is_in_each_script(shell: str) -> None:
    text = script(shell, cli)

    assert not re.search(r"@[A-Z_]+@", text)
    for name, command in cli.commands.items():
        assert re.search(rf"\b{name}\b", text)
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert all(option in text for option in parameter.opts)
