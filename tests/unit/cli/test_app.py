"""What the terminal shows: one sentence and the right exit status, whatever goes wrong."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from dockerfw.cli.app import main

POLICY = '[[allow]]\nto = "web"\nports = [80]\nfrom = ["any"]\n'


class Done(NamedTuple):
    status: int
    out: str
    err: str


class Terminal:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def run(self, *arguments: str) -> Done:
        self._monkeypatch.setattr(sys, "argv", ["dockerfw", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        captured = self._capsys.readouterr()
        status = left.value.code
        return Done(status if isinstance(status, int) else 0, captured.out, captured.err)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(monkeypatch, capsys)


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(POLICY)
    path.chmod(0o600)
    return path


@pytest.mark.parametrize(
    "command",
    [("plan",), ("apply",), ("status",), ("boot",), ("lockdown",), ("remove",), ("confirm",)],
)
def test_who_is_not_root_is_told_so(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, policy: Path, command: tuple[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    extra = ("-c", str(policy)) if command[0] in ("plan", "apply") else ()
    done = terminal.run(*command, *extra)
    assert done.status == 1
    assert "sudo" in done.err
    assert done.err.count("\n") == 1


def test_check_is_for_everybody(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, policy: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert terminal.run("check", "-c", str(policy)).status == 0
    monkeypatch.setenv("DOCKERFW_CONFIG", str(policy))
    told = json.loads(terminal.run("check", "--json").out)
    assert told == {"schema": 1, "valid": True, "warnings": []}


def test_findings_begin_with_file_and_line(terminal: Terminal, policy: Path) -> None:
    policy.write_text(POLICY.replace("80", "0").replace("any", "nay"))
    done = terminal.run("check", "-c", str(policy))
    assert done.status == 2
    assert [line.split(": ")[0] for line in done.err.splitlines()] == [f"{policy}:3", f"{policy}:4"]


@pytest.mark.parametrize(
    "arguments",
    [("nonsense",), ("check", "--nonsense"), ("explain", "one"), ("check", "-c", "/no")],
)
def test_bad_usage_is_2(terminal: Terminal, arguments: tuple[str, ...]) -> None:
    done = terminal.run(*arguments)
    assert done.status == 2
    assert done.err


def test_a_bug_is_one_sentence_and_no_traceback(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> str:
        raise RuntimeError("a bug")

    monkeypatch.setattr("dockerfw.operations.boot.boot", broken)
    done = terminal.run("boot")
    assert done.status == 1
    assert done.err.startswith("dockerfw: internal error: RuntimeError: a bug")
    assert "Traceback" not in done.err


def test_a_plan_for_a_recorded_inventory_needs_neither_docker_nor_root(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, policy: Path, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    recorded = tmp_path / "inventory.json"
    recorded.write_text('{"schema": 1, "engine": "", "containers": [], "networks": []}')
    done = terminal.run("plan", "-c", str(policy), "--inventory", str(recorded))
    assert done.status == 3
    assert "matches no container" in done.err or "web" in done.err
    recorded.write_text("{")
    assert terminal.run("plan", "-c", str(policy), "--inventory", str(recorded)).status == 2
