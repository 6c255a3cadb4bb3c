"""How wide the terminal is that something is printed to."""

from __future__ import annotations

import os
import sys
from typing import IO

NARROWEST, WIDEST = 60, 200
ELSEWHERE = 80
"""So wide is what goes to a file or to another program, and to a terminal that does not know."""


def width(stream: IO[str] | None = None) -> int:
    """Return the columns to print to a stream (stdout), from 60 to 200."""
    stream = stream or sys.stdout
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):  # no terminal, or no file at all
        return ELSEWHERE
    return min(max(columns, NARROWEST), WIDEST) if columns else ELSEWHERE
