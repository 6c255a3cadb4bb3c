"""What the terminal shows: one sentence and the right exit status, whatever goes wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import click
import pytest

from dockerfw.cli import commands
from dockerfw.cli.app import cli
from dockerfw.errors import Failed, PolicyError, UsageError
from tests.paths import EXAMPLE, REPOSITORY
from tests.unit.cli.terminal import Terminal

HEAVY = ("docker", "dns", "requests", "dockerfw.operations", "dockerfw.kernel", "dockerfw.rules")


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let ``dockerfw boot`` end in this error."""

    def fail(_: object) -> NoReturn:
        raise error

    monkeypatch.setattr("dockerfw.operations.boot.boot", fail)


def test_every_file_of_commands_is_a_command_of_that_name() -> None:
    files = {path.stem for path in Path(*commands.__path__).glob("*.py")} - {"__init__"}
    names = {file.replace("_", "-") for file in files}
    assert names == set(cli.commands)
    assert {command.name for command in cli.commands.values()} == names


@pytest.mark.parametrize("arguments", [["--help"], ["check", "-c", str(EXAMPLE)]])
def test_what_needs_no_host_does_not_wait_for_what_it_never_uses(arguments: list[str]) -> None:
    script = (
        "import sys\n"
        "from dockerfw.cli.app import cli\n"
        f"cli.main({arguments!r}, standalone_mode=False)\n"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    modules = done.stdout.splitlines()[-1].split()
    assert "dockerfw.cli.commands.apply" in modules
    assert [name for name in modules if name in HEAVY] == []


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


@pytest.mark.parametrize(
    "arguments",
    [("nonsense",), ("check", "--nonsense"), ("explain", "one"), ("check", "-c", "/no")],
)
def test_bad_usage_is_2(terminal: Terminal, arguments: tuple[str, ...]) -> None:
    done = terminal.run(*arguments)
    assert done.status == 2
    assert done.err


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_are_no_failure(terminal: Terminal, option: str) -> None:
    done = terminal.run(option)
    assert (done.status, done.err) == (0, "")
    assert "dockerfw" in done.out


@pytest.mark.parametrize(
    "error, status, err",
    [
        (Failed("no ipset\nhere"), 1, "dockerfw: no ipset\ndockerfw: here\n"),
        (UsageError("no such thing"), 2, "dockerfw: no such thing\n"),
        (PolicyError(["a.toml:1: bad", "a.toml:2: worse"]), 2, "a.toml:1: bad\na.toml:2: worse\n"),
        (click.exceptions.Abort(), 130, "dockerfw: stopped\n"),
        (KeyboardInterrupt(), 130, "\ndockerfw: stopped\n"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_every_error_has_its_words_and_its_exit_status(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int, err: str
) -> None:
    failing(monkeypatch, error)
    done = terminal.run("boot")
    assert (done.status, done.out, done.err) == (status, "", err)


def test_a_reader_that_has_gone_is_no_traceback() -> None:
    done = subprocess.run(
        ["bash", "-c", '"$0" -m dockerfw schema | :', sys.executable],
        capture_output=True,
        text=True,
        check=True,
        cwd=REPOSITORY,
    )
    assert (done.stdout, done.stderr) == ("", "")


def test_a_bug_is_one_sentence_and_no_traceback(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, RuntimeError("a bug"))
    done = terminal.run("boot")
    assert done.status == 1
    assert done.err.startswith("dockerfw: internal error: RuntimeError: a bug")
    assert "Traceback" not in done.err


def test_who_debugs_gets_the_traceback(monkeypatch: pytest.MonkeyPatch, terminal: Terminal) -> None:
    failing(monkeypatch, RuntimeError("a bug"))
    monkeypatch.setenv("DOCKERFW_DEBUG", "1")
    with pytest.raises(RuntimeError, match="a bug"):
        terminal.run("boot")


def test_a_reader_that_has_gone_is_no_fault_of_this_host() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "dockerfw", "schema"],
            stdout=writing,
            stderr=subprocess.PIPE,
            check=False,
            text=True,
            cwd=REPOSITORY,
        )
    finally:
        os.close(writing)

    assert (done.returncode, done.stderr) == (141, "")
