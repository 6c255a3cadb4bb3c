"""What README.md says about dockerfw is true of dockerfw."""

from __future__ import annotations

import re

import pytest

from dockerfw.cli.app import cli
from dockerfw.policy.document import Document
from dockerfw.policy.parser import parse
from script.demo import SCREEN, SERVICES, shows, table, ways
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
    assert {"audit", "init", "check", "plan", "apply", "denied", "probe"} <= set(COMMANDS)
    assert {"status", "explain"} <= set(COMMANDS)
    assert POLICIES


def test_the_demo_table_is_what_the_demo_prints_when_all_is_as_expected() -> None:
    found = re.search(r"<!-- demo -->\n```\n(.*?)\n```\n<!-- /demo -->", README, flags=re.DOTALL)
    assert found
    shown = found[1]
    addresses = dict(zip(SERVICES, re.findall(r"([\d.]+):\d+, directly", shown), strict=True))
    all_ways = ways(addresses)
    # Without dockerfw all of it is open, to everybody.
    before = [(True, True)] * len(all_ways)

    assert shown == "\n".join(table(all_ways, before, [way.expected for way in all_ways]))


def test_the_readme_fits_three_screens() -> None:
    lines = README.splitlines()

    assert len(lines) <= 150
    assert max(map(len, lines)) <= 100


def test_the_readme_says_that_ports_of_the_host_are_not_touched() -> None:
    assert "**The host's own ports are never touched**" in README


def test_screens_of_the_readme_are_those_that_the_demo_compares() -> None:
    """`script/demo` holds them against what the commands print, in CI."""
    shown = [command for command, _ in SCREEN.findall(README)]

    assert shown == ["audit", "plan", "denied"]


@pytest.mark.parametrize(
    "screen, printed, expected",
    [
        ("a\nb\n", "x\na\nb\nc\n", True),
        ("a\n…\nc\n", "a\nb\nc\n", True),
        ("a\nc\n", "a\nb\nc\n", False),
        ("c\n…\na\n", "a\nb\nc\n", False),
        ("3 s ago     web, 2 packets", "12 s ago    web, 1 packet", False),
        ("3 s ago     web, 2 packets", "12 s ago    web, 4 packets", True),
    ],
)
def test_a_screen_is_shown_when_its_lines_stand_there_in_order(
    screen: str, printed: str, expected: bool
) -> None:
    assert shows(screen, printed) is expected
