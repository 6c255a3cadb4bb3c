"""Where ``dockerfw audit --html`` writes, and where it does not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.unit.cli.terminal import Terminal


def test_what_is_no_file_is_not_replaced(terminal: Terminal, tmp_path: Path) -> None:
    """As root it would put a file in the place of /dev/null."""
    pipe, pointing = tmp_path / "pipe", tmp_path / "stdout"
    os.mkfifo(pipe)
    pointing.symlink_to(pipe)
    for there in (pipe, pointing):
        done = terminal.run("audit", "--html", str(there))
        assert (done.status, done.out) == (2, "")
        assert done.err == f"dockerfw: cannot write {there}: it is there, and no file\n"
    assert pipe.is_fifo()
    assert pointing.is_symlink()


def test_a_dash_is_no_name_of_a_file(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = terminal.run("audit", "--html", "-")
    assert (done.status, done.err) == (
        2,
        "dockerfw: --html takes the name of a file: `-` is none\n",
    )
    assert list(tmp_path.iterdir()) == []
