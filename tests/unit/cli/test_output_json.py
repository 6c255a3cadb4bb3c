"""What commands print with --json is as docs/json.schema.json has it, and docs/json.md tells."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from dockerfw.cli.app import cli
from tests.json_documents import SCHEMA, holds, kinds
from tests.paths import EXAMPLE, PACKAGE, REPOSITORY
from tests.unit.cli.terminal import Terminal


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(json.loads(SCHEMA.read_text(encoding="utf-8")))


def test_each_command_with_json_has_a_shape_and_is_told_of() -> None:
    known = {
        name
        for name, command in cli.commands.items()
        if any("--json" in option.opts for option in command.params)
    }
    assert set(kinds()) == known | {"errors", "since", "temporary"}
    told = (REPOSITORY / "docs/json.md").read_text(encoding="utf-8")
    assert [name for name in known if f"`{name}" not in told] == []


def test_every_code_of_a_warning_is_told_of() -> None:
    given = re.compile(r'(?:coded\(|Remark\(.*, )"([a-z-]+)"\)')
    sources = (path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    codes = {code for source in sources for code in given.findall(source)}
    table = (REPOSITORY / "docs/json.md").read_text(encoding="utf-8").partition("code of a warning")
    rows = [line.split("|")[1] for line in table[2].splitlines() if line.startswith("| `")]
    assert {code for row in rows for code in re.findall("`([a-z-]+)`", row)} == codes


def test_another_shape_is_seen() -> None:
    with pytest.raises(AssertionError, match="valid"):
        holds("check", {"schema": 1, "valid": False, "warnings": []})


@pytest.mark.parametrize("command", ["check", "plan"])
def test_a_recorded_host(terminal: Terminal, policy: Path, shop: str, command: str) -> None:
    done = terminal.run(command, "--json", "-c", str(policy), "--inventory", shop)
    holds(command, json.loads(done.out))


def test_explain_by_the_example(terminal: Terminal, shop: str) -> None:
    for target in ("web:80", "web"):
        asked = ("explain", "203.0.113.7", target, "--json")
        done = terminal.run(*asked, "-c", str(EXAMPLE), "--inventory", shop)
        holds("explain", json.loads(done.out))
