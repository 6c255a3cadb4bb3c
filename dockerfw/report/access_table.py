"""Rows of `Access` as lines for a terminal: a table or, where that is too narrow, two lines each.

Pure. Takes rows and the width; gives lines. No row is longer than two lines, unless all is wanted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from textwrap import wrap

from dockerfw.report.access import Access
from dockerfw.report.tables import cut, grid, two_lines
from dockerfw.text import ago

_DEEPER = " " * 8
_SOURCE = 12
"""Of the sources so much is to be seen before anything of the last denial."""


@dataclass(frozen=True, slots=True)
class View:
    """How rows are shown.

    ``observing``: nothing is dropped, so they say what would be. ``counted``: packets, too;
    ``now`` is Unix time. ``whole``: nothing is cut, however many lines that takes.
    """

    width: int = 80
    observing: bool = False
    counted: bool = True
    now: float = 0.0
    whole: bool = False

    @property
    def words(self) -> tuple[str, str, str]:
        """What the sources, what passed and what was denied are called."""
        if self.observing:
            return "would let in", "allowed", "would deny"
        return "open to", "passed", "denied"


def access_lines(rows: Sequence[Access], view: View) -> list[str]:
    """Return the rows as lines of at most ``view.width``."""
    if not rows:
        return ["no container runs that dockerfw could filter"]
    columns = 4
    if view.counted:
        columns = 7 if any(row.denied_last is not None for row in rows) else 6
    head = ("container", "port", "host port", *view.words, "last")
    table = [head[:columns], *(_cells(row, view)[:columns] for row in rows)]
    right = (4, 5) if view.counted else ()
    found = grid(table, width=view.width, right=right, whole=view.whole)
    return found or [line for row in rows for line in _two_lines(row, view)]


def _cells(row: Access, view: View) -> tuple[str, ...]:
    passed = f"{row.passed:,}" if row.passed else ""
    denied = f"{row.denied:,}" if row.denied else ""
    return row.container, row.port, row.host_port, row.open_to, passed, denied, _last(row, view)


def _last(row: Access, view: View) -> str:
    return "" if row.denied_last is None else ago(view.now - row.denied_last)


def _two_lines(row: Access, view: View) -> list[str]:
    """Return what it is in one line, and what is so of it in a second."""
    by = f" by host port {row.host_port}" if row.host_port else ""
    what = f"  {row.container} {row.port}{by}".rstrip()
    who = f"{view.words[0]} {row.open_to}" if row.open_to else ""
    last = _last(row, view)
    counts = _counted(row, last, view)
    if view.whole:
        return [*wrap(what, view.width, subsequent_indent="  "), *_deeper([who, counts], view)]
    if len(what) > view.width:
        name = two_lines(row.container, max(1, len(row.container) - len(what) + view.width) // 2)
        what = f"  {''.join(name)} {row.port}{by}".rstrip()
    if who and _room(counts, view) < min(len(who), len(view.words[0]) + _SOURCE):
        counts = _counted(row, "", view)
    return [cut(what, view.width), *_deeper([cut(who, _room(counts, view)), counts], view)]


def _room(counts: str, view: View) -> int:
    """Return the columns for the sources before that."""
    return view.width - len(_DEEPER) - (len(counts) + 2 if counts else 0)


def _deeper(parts: Iterable[str], view: View) -> list[str]:
    text = "; ".join(part for part in parts if part)
    return wrap(text, view.width, initial_indent=_DEEPER, subsequent_indent=_DEEPER)


def _counted(row: Access, last: str, view: View) -> str:
    """Return the packets in words, and when the ``last`` was denied, where that is to be told."""
    passed, denied = f"{row.passed:,} passed", f"{row.denied:,} denied"
    if view.observing:
        # The word "would" stands before them, but where nobody would be let in.
        would = "" if row.open_to else "would "
        passed, denied = f"{would}pass {row.passed:,}", f"{would}deny {row.denied:,}"
    parts = [passed] if row.passed and view.counted else []
    if row.denied and view.counted:
        parts.append(f"{denied}, last {last}" if last else denied)
    elif last:
        parts.append(f"would deny, last {last}" if view.observing else f"last denied {last}")
    return "; ".join(parts)
