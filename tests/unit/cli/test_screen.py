"""Text is as wide as the terminal, and 80 columns wide where there is none."""

from __future__ import annotations

import fcntl
import io
import os
import struct
import termios
from pathlib import Path

import pytest

from dockerfw.cli.screen import width


@pytest.mark.parametrize(
    "columns, wide", [(0, 80), (30, 60), (60, 60), (100, 100), (200, 200), (400, 200)]
)
def test_lines_are_as_wide_as_the_terminal_within_reason(columns: int, wide: int) -> None:
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w") as screen:
        fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        assert width(screen) == wide
    os.close(ours)


def test_where_there_is_no_terminal_lines_are_of_80_columns(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as file:
        assert width(file) == 80
    assert width(io.StringIO()) == 80
