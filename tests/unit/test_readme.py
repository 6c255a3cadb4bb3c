"""What README.md says about dockerfw is true of dockerfw."""

from __future__ import annotations

import re

import pytest

from dockerfw.cli.app import cli
from dockerfw.policy.parser import Document, parse
from tests.paths import REPOSITORY

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
COMMANDS = sorted(set(re.findall(r"`dockerfw (\w+)", README)))
POLICIES = re.findall(r"^ *```toml\n(.*?)^ *```", README, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_that_the_readme_names_exists(command: str) -> None:
    assert command in cli.commands


@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_in_the_readme_is_valid(policy: str) -> None:
    def no_files(_document: str, path: str) -> bytes:
        raise FileNotFoundError(path)

    assert parse([Document("README.md", policy.encode())], no_files).allows


def test_the_readme_shows_the_first_steps() -> None:
    assert {"check", "plan", "apply", "status", "explain"} <= set(COMMANDS)
    assert POLICIES
