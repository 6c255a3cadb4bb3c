"""The manual pages in the programs that show them: no warning, nothing wider than a terminal."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from script.manual import PAGES

PLAIN = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANWIDTH": "80", "MAN_KEEP_FORMATTING": ""}


@pytest.fixture(params=PAGES)
def page(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    name = str(request.param)
    path = tmp_path / name
    path.write_text(PAGES[name](), encoding="utf-8")
    return path


def test_man_shows_it_at_80_columns_without_a_warning(page: Path) -> None:
    argv = ["man", "--warnings=w", "--local-file", str(page)]
    done = subprocess.run(
        argv, capture_output=True, check=True, text=True, env=PLAIN, stdin=subprocess.DEVNULL
    )

    assert done.stderr == ""
    assert len(done.stdout.splitlines()) > 100
    assert [line for line in done.stdout.splitlines() if len(line) > 80] == []


def test_mandoc_finds_nothing_wrong(page: Path) -> None:
    argv = ["mandoc", "-Tlint", "-Wwarning", str(page)]
    done = subprocess.run(argv, capture_output=True, check=False, text=True, env=PLAIN)

    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
