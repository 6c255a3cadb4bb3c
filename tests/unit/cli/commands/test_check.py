"""``dockerfw check``: for everybody, and every finding at once."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from dockerfw.state import inventory_file
from tests import build
from tests.unit.cli.terminal import Terminal


def test_check_is_for_everybody(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, policy: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert terminal.run("check", "-c", str(policy)).status == 0
    monkeypatch.setenv("DOCKERFW_CONFIG", str(policy))
    told = json.loads(terminal.run("check", "--json").out)
    assert told == {"schema": 1, "valid": True, "warnings": []}


def test_findings_begin_with_file_and_line(terminal: Terminal, policy: Path) -> None:
    policy.write_text(policy.read_text().replace("80", "0").replace("any", "nay"))
    done = terminal.run("check", "-c", str(policy))
    assert done.status == 2
    assert [line.split(": ")[0] for line in done.err.splitlines()] == [f"{policy}:3", f"{policy}:4"]


def test_a_valid_policy_is_counted(terminal: Terminal, policy: Path) -> None:
    done = terminal.run("check", "-c", str(policy))
    assert done.out == f"{policy}: valid (1 allow, 0 denies, 0 expectations)\n"
    assert terminal.run("check", "-q", "-c", str(policy)).out == ""


def test_escape_sequences_in_the_name_of_the_file_do_not_reach_the_terminal(
    terminal: Terminal, policy: Path
) -> None:
    odd = policy.rename(policy.with_name("a\x1b[31m.toml"))
    assert "a\\x1b[31m.toml: valid" in terminal.run("check", "-c", str(odd)).out


def test_expectations_are_tried_with_an_inventory_alone(
    terminal: Terminal, policy: Path, tmp_path: Path
) -> None:
    expect = '\n[[expect]]\nfrom = "192.0.2.7"\nto = "web:80"\nis = "allowed"\n'
    policy.write_text(policy.read_text() + expect)
    done = terminal.run("check", "-c", str(policy))
    words = "1 allow, 0 denies, 1 expectation"
    assert done.out == f"{policy}: valid ({words}, not tried without --inventory)\n"
    recorded = tmp_path / "inventory.json"
    shop = build.inventory(
        build.network("front", "172.18.0.0/16"),
        build.container("web", "front 172.18.0.2", published="8080:80"),
    )
    recorded.write_text(inventory_file.dump(shop))
    done = terminal.run("check", "-c", str(policy), "--inventory", str(recorded))
    assert done.out == f"{policy}: valid ({words} tried)\n"


def test_without_the_file_of_an_inventory_the_next_step_is_named(
    terminal: Terminal, policy: Path, tmp_path: Path
) -> None:
    missing = tmp_path / "inventory.json"
    done = terminal.run("check", "-c", str(policy), "--inventory", str(missing))
    assert done.status == 2
    why = "No such file or directory; `dockerfw inventory > FILE` writes one"
    assert done.err == f"dockerfw: cannot read the inventory {missing}: {why}\n"


def test_a_recorded_inventory_brings_its_warnings(
    terminal: Terminal, policy: Path, tmp_path: Path
) -> None:
    recorded = tmp_path / "inventory.json"
    recorded.write_text('{"schema": 1, "engine": "", "containers": [], "networks": []}')
    done = terminal.run("check", "-c", str(policy), "--inventory", str(recorded))
    assert done.status == 0
    assert done.err.startswith(f"warning: {policy}:")
    recorded.write_text("{")
    done = terminal.run("check", "-c", str(policy), "--inventory", str(recorded))
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("dockerfw: the inventory is not JSON")
