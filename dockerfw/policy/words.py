"""What all words of a policy have in common: how they are shown, refused and taken apart.

Takes a single string as it stands in the policy; raises `WordError` with what is wrong and what to
write instead. Pure; knows neither files nor lines, and the meaning of no word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

_SHOWN_LENGTH = 80

_PREFIX = re.compile(r"([A-Za-z][A-Za-z_-]*):(.*)", re.DOTALL)


class WordError(ValueError):
    """What is wrong with a word, and what to write instead."""


def shown(value: object) -> str:
    """Return a value from outside for a message: in backquotes, on one line, not too long."""
    plain = value if isinstance(value, str) else _as_toml(value)
    if len(plain) > _SHOWN_LENGTH:
        plain = plain[: _SHOWN_LENGTH - 3] + "..."
    safe = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in plain)
    return f"`{safe}`"


def _as_toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and abs(value) > 2**64:
        return hex(value)  # str() refuses integers of some thousand digits
    if isinstance(value, list):
        return "[...]"
    if isinstance(value, dict):
        return "{...}"
    return str(value)


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """Return ``: did you mean `x`?``, or nothing where no word is similar, in whatever case."""
    by_lower_case = {known.lower(): known for known in words}
    close = get_close_matches(word.lower(), by_lower_case, n=1)
    return f": did you mean {shown(by_lower_case[close[0]])}?" if close else ""


def check_text(word: str) -> None:
    """Refuse what no name may be or hold: nothing, control characters, space at the ends."""
    if not word.strip():
        raise WordError("an empty name: write a name here, or take the entry out")
    if not word.isprintable():
        raise WordError(f"{shown(word)} holds a control character: write plain text")
    if word != word.strip():
        raise WordError(f"{shown(word)} has a space at its end: write {shown(word.strip())}")


def check_named(kind: str, name: str) -> None:
    """Refuse ``kind:`` with nothing behind it."""
    if not name.strip():
        raise WordError(f"{shown(kind + ':')} has no name: write one behind the colon")


def split_prefix(word: str) -> tuple[str, str] | None:
    """Return ``("label", "tier=db")`` for ``label:tier=db``; None without a ``word:`` in front."""
    match = _PREFIX.fullmatch(word)
    return (match[1], match[2]) if match else None
