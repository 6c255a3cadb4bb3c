"""Rows of cells -> lines of a table for a terminal.

Takes strings and a width, gives lines. Prints nothing, and asks the terminal nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import zip_longest
from textwrap import wrap

from dockerfw.text import paragraph

LEAST_LAST_COLUMN = 24
"""A last column narrower than this is no column: its text goes to lines of its own."""
_DEEPER = 6
"""So far such lines are set in."""


def table(
    rows: Sequence[Sequence[str]],
    *,
    width: int = 80,
    indent: str = "  ",
    right: Collection[int] = (),
) -> list[str]:
    """Return rows of equally many cells as lines of at most ``width``, where the words allow it.

    The last column is wrapped. The one before it is as wide as makes the fewest lines: a row with a
    longer cell there has its last one below, and breaks no other row. ``right`` are the indexes of
    the columns that are aligned right.

    >>> table([["+", "web 80/tcp", "opens to any"], ["-", "db", "closes"]])
    ['  + web 80/tcp  opens to any', '  - db          closes']
    """
    if not rows:
        return []
    widths = [max(len(row[c]) for row in rows) for c in range(len(rows[0]) - 1)]
    begin = len(indent) + sum(size + _gap(size) for size in widths[:-1])
    if widths:
        widths[-1] = _best([(len(row[-2]), len(row[-1])) for row in rows], begin, width, indent)
    return [line for row in rows for line in _row(row, widths, width, indent, right)]


def _gap(size: int) -> int:
    """Return the spaces behind a column: a sign stands close to what it is about."""
    return 1 if size == 1 else 2


def _best(rows: Sequence[tuple[int, int]], begin: int, width: int, indent: str) -> int:
    """Return the width of a column that begins there and stands before the last one.

    ``rows`` has the lengths of both cells of each row.
    """
    most = width - begin - 2 - LEAST_LAST_COLUMN
    sizes = sorted({cell for cell, _ in rows if cell <= most})
    below = width - len(indent) - _DEEPER

    def lines(size: int) -> int:
        room = width - begin - size - _gap(size)
        return sum(_lines(text, room) if cell <= size else 1 + _lines(text, below)
                   for cell, text in rows)  # fmt: skip

    return min(sizes, key=lines, default=0)


def _lines(length: int, room: int) -> int:
    return max(1, -(-length // room))


def _row(
    row: Sequence[str], widths: Sequence[int], width: int, indent: str, right: Collection[int]
) -> list[str]:
    head = indent
    for column, size in enumerate(widths):
        cell = row[column].rjust(size) if column in right else row[column].ljust(size)
        head += cell + " " * _gap(size)
    start = len(indent) + sum(size + _gap(size) for size in widths)
    if len(head) > start:
        deeper = indent + " " * _DEEPER
        return [head.rstrip(), *paragraph(row[-1], width=width, first=deeper, rest=deeper)]
    return paragraph(row[-1], width=width, first=head, rest=" " * start)


def grid(
    rows: Sequence[Sequence[str]],
    *,
    width: int = 80,
    indent: str = "  ",
    right: Collection[int] = (),
) -> list[str]:
    """Return rows of equally many cells, each wrapped in its own column; nothing where the words
    do not allow that.

    Those of ``right`` are numbers, aligned right and never wrapped.

    >>> grid([["shop-web-1", "office, vpn"], ["db", "any"]], width=18, indent="")
    ['shop-     office,', 'web-1     vpn', 'db        any']
    >>> grid([["shop-web-1", "198.51.100.0/24"]], width=18)
    []
    """
    if not rows:
        return []
    columns = range(len(rows[0]))
    widths = [max(len(row[c]) for row in rows) for c in columns]
    least = [
        size if c in right else max((_longest(row[c]) for row in rows), default=0)
        for c, size in enumerate(widths)
    ]
    room = width - len(indent) - 2 * (len(widths) - 1)
    if sum(least) > room:
        return []
    while sum(widths) > room:
        widest = max((c for c in columns if widths[c] > least[c]), key=lambda c: widths[c])
        widths[widest] -= 1
    return [line for row in rows for line in _cells(row, widths, indent, right)]


def _longest(cell: str) -> int:
    """Return the length of the longest part of a cell that is not broken."""
    return max(map(len, wrap(cell, 1, break_long_words=False)), default=0)


def _cells(
    row: Sequence[str], widths: Sequence[int], indent: str, right: Collection[int]
) -> Iterator[str]:
    columns = [
        wrap(cell, max(size, 1), break_long_words=False)
        for cell, size in zip(row, widths, strict=True)
    ]
    for texts in zip_longest(*columns, fillvalue=""):
        cells = [
            text.rjust(size) if column in right else text.ljust(size)
            for column, (text, size) in enumerate(zip(texts, widths, strict=True))
        ]
        yield (indent + "  ".join(cells)).rstrip()
