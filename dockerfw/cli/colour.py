"""Colour for people at a terminal, beside the words: whatever it tells the words tell, too.

Takes a line that is ready to print, gives it with the words coloured that carry its meaning: at its
beginning or its end, for names from outside stand elsewhere.
"""

from __future__ import annotations

import os
import re
import sys
from typing import IO

_GREEN, _YELLOW, _RED, _CYAN = "32", "33", "31", "36"
_MARKS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), colour)
    for pattern, colour in (
        (r"^(PROTECTED(?=:)|In sync(?=:)|Applied\.|Kept\.)", _GREEN),
        (r"^(?:OBSERVING.*; )?(agrees): ", _GREEN),
        (r"^(?:OBSERVING.*; )?(DISAGREES): ", _RED),
        (r"^(NOT PROTECTED|NOT IN SYNC|NOT CHECKED|LOCKDOWN|LOCKED DOWN)\b", _RED),
        (r"(?:^PROTECTED|^OBSERVING|^LOCK).*?\b(NOT [A-Z]+(?: [A-Z]+)*)", _RED),
        (r"^(OBSERVING)\b", _YELLOW),
        (r"^  (\+) ", _GREEN),
        (r"^  (-) ", _RED),
        (r"^  (~) ", _YELLOW),
        (r"^  IPv[46] (?:would be )?(allowed) ", _GREEN),
        (r"^  IPv[46] (?:would be )?(denied) ", _RED),
        (r" → \S+: (?:would be )?(allowed on all paths)$", _GREEN),
        (r" → \S+: (?:would be )?(denied on all paths)$", _RED),
        (r" → \S+: (?:would be )?(allowed on some paths, denied on others)$", _YELLOW),
        (r" → \S+: (OPEN on all paths)$", _RED),
        (r" → \S+: .*\b(refused by other rules)\b", _YELLOW),
        (r"^(warning): ", _YELLOW),
        (r"^  (warning|note)  ", _YELLOW),
        (r"^(!) ", _YELLOW),
        (r"^(hint|Next|note|Plan): ", _CYAN),
        (r"^(dockerfw): ", _RED),
        (r"  (anyone)$", _RED),
    )
)


def wanted(stream: IO[str] | None = None) -> bool:
    """Return True for a terminal that shows colours, unless ``NO_COLOR`` is set."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return not plain and (stream or sys.stdout).isatty()


def painted(line: str) -> str:
    """Return the line with its marks coloured."""
    found = (
        (match.span(1), colour) for pattern, colour in _MARKS if (match := pattern.search(line))
    )
    for (begin, end), colour in sorted(found, reverse=True):
        line = f"{line[:begin]}\x1b[{colour}m{line[begin:end]}\x1b[0m{line[end:]}"
    return line
