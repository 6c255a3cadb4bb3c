"""Rows of cells -> lines of a table for a terminal.

Takes strings and a width, gives lines. Prints nothing, and asks the terminal nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import zip_longest
from textwrap import wrap

from dockerfw.text import paragraph

LEAST_LAST_COLUMN = 24
"""A last column narrower than this is no column: its text goes to lines of its own."""
LEAST_COLUMN = 10
"""A column of a `grid` narrower than this, or than its head, is no column."""
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
    head = before = indent
    for column, size in enumerate(widths):
        before = head
        cell = row[column].rjust(size) if column in right else row[column].ljust(size)
        head += cell + " " * _gap(size)
    start = len(indent) + sum(size + _gap(size) for size in widths)
    if len(head) > start:
        deeper = indent + " " * _DEEPER
        cell = row[len(widths) - 1]
        return [
            *paragraph(cell, width=width, first=before, rest=indent + " " * (_DEEPER - 2)),
            *paragraph(row[-1], width=width, first=deeper, rest=deeper),
        ]
    return paragraph(row[-1], width=width, first=head, rest=" " * start)


def grid(
    rows: Sequence[Sequence[str]],
    *,
    width: int = 80,
    indent: str = "  ",
    right: Collection[int] = (),
    whole: bool = False,
) -> list[str]:
    """Return rows of equally many cells, each in its own column, the first row being the head;
    nothing where the terminal is too narrow for so many columns.

    A cell that is too long for its column goes on in a second line and is cut there, unless
    ``whole``; the columns are as wide as makes that happen to the fewest, so that one long cell
    breaks no other row. Those of ``right`` are numbers, aligned right and never broken.

    >>> grid([["name", "to"], ["shop-web-1", "office, vpn, backup"], ["db", "any"]], width=28)
    ['  name        to', '  shop-web-1  office, vpn,', '              backup', '  db          any']
    """
    if not rows:
        return []
    columns = range(len(rows[0]))
    cells = [Counter((len(row[c]), " " not in row[c]) for row in rows) for c in columns]
    widths = [max(length for length, _ in column) for column in cells]
    least = [
        size if c in right else min(size, max(LEAST_COLUMN, len(rows[0][c])))
        for c, size in enumerate(widths)
    ]
    room = width - len(indent) - 2 * (len(widths) - 1)
    if sum(least) > room:
        return []
    while sum(widths) > room:
        shrinks = (c for c in columns if widths[c] > least[c])
        at = min(shrinks, key=lambda c: (_worse(cells[c], widths[c]), -widths[c]))
        widths[at] -= 1
    return [line for row in rows for line in _cells(row, widths, indent, right, whole=whole)]


def _worse(cells: Mapping[tuple[int, bool], int], width: int) -> int:
    """Return how much worse a column reads that is narrower by one. ``cells`` has how many there
    are of a length, and of one word or of several.
    """
    return sum(
        count * (_badness(*cell, width - 1) - _badness(*cell, width))
        for cell, count in cells.items()
    )


def _badness(length: int, one_word: bool, width: int) -> int:
    """A second line is bad, a word that is broken is worse, and so is a cell that is cut."""
    if length <= width:
        return 0
    return (1 if length <= 2 * width else 3) + one_word


def _cells(
    row: Sequence[str],
    widths: Sequence[int],
    indent: str,
    right: Collection[int],
    *,
    whole: bool,
) -> Iterator[str]:
    columns = [
        _wrapped(cell, max(size, 1)) if whole else two_lines(cell, max(size, 1))
        for cell, size in zip(row, widths, strict=True)
    ]
    for texts in zip_longest(*columns, fillvalue=""):
        cells = [
            text.rjust(size) if column in right else text.ljust(size)
            for column, (text, size) in enumerate(zip(texts, widths, strict=True))
        ]
        yield (indent + "  ".join(cells)).rstrip()


def two_lines(cell: str, width: int) -> list[str]:
    """Return a cell as two lines at most: of a single word its end is kept, which tells most.

    >>> two_lines("office, vpn, backup, staff", 12)
    ['office, vpn,', 'backup…']
    >>> two_lines("a-very-long-project-service-12", 10)
    ['a-very-lon', '…ervice-12']
    """
    lines = _wrapped(cell, width)
    if len(lines) <= 2:
        return lines
    if " " not in cell:
        return [cell[:width], f"…{cell[1 - width :]}"]
    return [lines[0], cut(f"{lines[1]} {lines[2]}", width)]


def _wrapped(cell: str, width: int) -> list[str]:
    """Return a cell as lines; a word is broken where it is longer than a whole one."""
    lines = wrap(cell, width, break_long_words=False)
    return [piece for line in lines for piece in _pieces(line, width)]


def _pieces(line: str, width: int) -> Iterator[str]:
    """Yield what fits: a port that begins another line is one, half of a port is another port."""
    while len(line) > width:
        before_port = line.rfind(":", 0, width) + 1
        at = before_port if before_port and len(line) - before_port <= width else width
        yield line[:at]
        line = line[at:]
    yield line


def cut(text: str, width: int) -> str:
    """Return text of at most ``width``: whole words of it where it is longer, and a ``…``.

    >>> cut("office, vpn, backup", 12), cut("198.51.100.0/24", 12)
    ('office, vpn…', '198.51.100.…')
    """
    if len(text) <= width:
        return text
    kept = text[: width - 1]
    words = kept if text[width - 1] in " ,;" else kept.rpartition(" ")[0]
    return f"{(words if 2 * len(words) > width else kept).rstrip(' ,;')}…"
