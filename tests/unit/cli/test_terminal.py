"""Who is asked, where, and whether they sit far away."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dockerfw.cli.terminal import comes_from_afar, is_yes
from tests.paths import REPOSITORY


def processes(tmp_path: Path, *chain: str) -> int:
    """Play processes, each the parent of the one before it; return the number of the first."""
    for number, name in enumerate(chain, 100):
        parent = 1 if number == 99 + len(chain) else number + 1
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "stat").write_text(f"{number} ({name}) S {parent} 1 1 0\n")
    return 100


@pytest.mark.parametrize(
    "chain, afar",
    [
        (("sudo", "bash", "sshd", "sshd"), True),
        (("bash", "sshd-session", "sshd"), True),
        (("sudo", "bash", "login"), False),
        (("bash", "(a) b)", "tmux: server"), False),
        (("bash", "(odd) name)", "sshd"), True),
        ((), False),
    ],
)
def test_a_session_of_ssh_is_known_by_its_processes(
    tmp_path: Path, chain: tuple[str, ...], afar: bool
) -> None:
    first = processes(tmp_path, *chain)
    assert comes_from_afar({}, tmp_path, first) is afar


def test_a_session_of_ssh_is_known_by_its_environment(tmp_path: Path) -> None:
    there = {"SSH_CONNECTION": "203.0.113.7 50000 203.0.113.1 22"}
    assert comes_from_afar(there, tmp_path, 100)


@pytest.mark.parametrize(
    "answer, yes", [("y\n", True), ("YES\n", True), ("n\n", False), ("\n", False), ("", False)]
)
def test_anything_but_yes_is_no(answer: str, yes: bool) -> None:
    assert is_yes(answer) is yes


def at_a_terminal(script: str, keys: bytes, stdout: Path, stderr: Path | None = None) -> str:
    """Run Python with a terminal for stdin; return all that was written to that."""
    ours, theirs = os.openpty()
    os.write(ours, keys)
    with stdout.open("w") as out, (stderr or Path(os.devnull)).open("w") as err:
        subprocess.run(
            [sys.executable, "-c", script],
            stdin=theirs,
            stdout=out,
            stderr=err if stderr else theirs,
            check=True,
            cwd=REPOSITORY,
            timeout=60,
        )
    os.close(theirs)
    written = b""
    with contextlib.suppress(OSError):  # the end, once nobody has the other side
        while chunk := os.read(ours, 1000):
            written += chunk
    os.close(ours)
    return written.decode()


@pytest.mark.parametrize("piped", [False, True], ids=["stderr is the terminal", "stderr is a file"])
def test_a_question_goes_to_the_terminal_and_never_to_stdout(tmp_path: Path, piped: bool) -> None:
    script = "from dockerfw.cli.terminal import agree; print(agree('Apply this?'))"
    out, err = tmp_path / "out", tmp_path / "err"
    seen = at_a_terminal(script, b"y\n", out, err if piped else None)
    assert "Apply this? [y/N] " in seen
    assert out.read_text() == "True\n"
    assert not piped or err.read_text() == ""
