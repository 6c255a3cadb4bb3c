"""Who reaches what, as pictures: sources left, containers right, a line a way in; SVG. Pure.

Open and closed differ by the end of a line (an arrow, a question mark, a bar), not by its colour
alone. Colours are classes, which the page gives.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from dockerfw.report.audit.lines import names, ports_text, where
from dockerfw.report.audit.row import REACHES, Audit, Reach, Row
from dockerfw.report.audit.strangers import ANYONE
from dockerfw.text import printable

WIDTH = 1120
_SLOT = 20
_GAP = 14
_TOP = 16
_SOURCE = 230
"""Where the column of sources ends."""
_END = 560
"""Where lines end, and their labels begin."""
_MOST_LINES = 40
"""Lines in one picture, unless one container alone has more."""
_MOST_WORDS = 28
_MOST_LABEL = 52
_MOST_NAME = 24
"""Characters that fit beside the lines in a wide font."""
CLASSES: Mapping[Reach, str] = {
    "anyone": "open",
    "unknown": "unknown",
    "some": "some",
    "neighbours": "near",
    "nobody": "closed",
}
"""What a reach is called in the style of the page."""


@dataclass(frozen=True, slots=True)
class _Line:
    """One way in at its height; closed ones come from anyone, and do not arrive."""

    row: Row
    source: str
    y: int


@dataclass(frozen=True, slots=True)
class Picture:
    """``svg`` is the element, of so many ``containers``."""

    svg: str
    containers: int


def pictures(audit: Audit) -> Iterator[Picture]:
    """Yield pictures, each of as many containers as stay near to their sources."""
    groups: dict[str, list[Row]] = {}
    for row in audit.rows:
        groups.setdefault(names(row), []).append(row)
    held: dict[str, list[Row]] = {}
    for name, rows in groups.items():
        if held and sum(map(len, held.values())) + len(rows) > _MOST_LINES:
            yield _picture(held)
            held = {}
        held[name] = rows
    if held:
        yield _picture(held)


def _picture(groups: Mapping[str, Sequence[Row]]) -> Picture:
    lines, boxes, bottom = _laid_out(groups)
    sources = _sources(lines, bottom)
    bottom = max(bottom, max(sources.values()) + _SLOT)
    label = f"Who reaches {', '.join(groups)}: the table below has the same in words"
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {bottom}" role="img" aria-label="{_text(label)}">',
        *(_drawn(line, sources[line.source]) for line in lines),
        *(_source(words, y) for words, y in sources.items()),
        *(_box(name, first, last) for name, first, last in boxes),
        "</svg>",
    ]
    return Picture("\n".join(parts), len(groups))


def _laid_out(
    groups: Mapping[str, Sequence[Row]],
) -> tuple[list[_Line], list[tuple[str, int, int]], int]:
    """Return the lines, each container with its first and last height, and the height of all."""
    lines: list[_Line] = []
    boxes: list[tuple[str, int, int]] = []
    y = _TOP
    for name, rows in groups.items():
        first = y
        for row in sorted(rows, key=lambda r: REACHES.index(r.reach)):
            source = ANYONE if row.reach == "nobody" else row.who.removeprefix("perhaps ")
            lines.append(_Line(row, source, y))
            y += _SLOT
        boxes.append((name, first, y - _SLOT))
        y += _GAP
    return lines, boxes, y


def _sources(lines: Iterable[_Line], bottom: int) -> dict[str, int]:
    """Return each source with its height: in the middle of its lines, and none upon another."""
    heights: dict[str, list[int]] = {}
    for line in lines:
        heights.setdefault(line.source, []).append(line.y)
    middles = sorted((sum(ys) // len(ys), words) for words, ys in heights.items())
    found: dict[str, int] = {}
    least = _TOP
    for number, (middle, words) in enumerate(middles):
        most = bottom - _SLOT * (len(middles) - number) * 2
        least = max(least, min(middle, most))
        found[words] = least
        least += _SLOT * 2
    return found


def _drawn(line: _Line, start: int) -> str:
    kind = CLASSES[line.row.reach]
    end = _END - 26 if kind == "closed" else _END - 14
    bend = (_SOURCE + end) // 2
    path = f"M{_SOURCE} {start} C{bend} {start} {bend} {line.y} {end} {line.y}"
    label = f"{ports_text(line.row)}  {where(line.row)}"
    return (
        f'<g class="{kind}"><title>{_text(line.row.reason)}</title>'
        f'<path class="way" d="{path}"/>{_mark(kind, line.y)}'
        f'<text x="{_END}" y="{line.y + 4}">{_text(label, _MOST_LABEL)}</text></g>'
    )


def _mark(kind: str, y: int) -> str:
    """Return the end of a line: an arrow that arrives, filled if for anyone; a bar that stops."""
    if kind == "closed":
        return f'<path class="end" d="M{_END - 26} {y - 7}v14"/>'
    if kind == "unknown":
        return f'<text class="mark" x="{_END - 12}" y="{y + 5}">?</text>'
    head = f"M{_END - 14} {y - 6}l10 6l-10 6z"
    return f'<path class="{"arrow" if kind == "open" else "hollow"}" d="{head}"/>'


def _source(words: str, y: int) -> str:
    return (
        f'<g class="source"><title>{_text(words)}</title>'
        f'<text x="{_SOURCE - 8}" y="{y + 4}">{_text(words, _MOST_WORDS)}</text></g>'
    )


def _box(name: str, first: int, last: int) -> str:
    return (
        f'<path class="box" d="M{WIDTH - 202} {first - 8}v{last - first + 16}"/>'
        f'<text class="name" x="{WIDTH - 192}" y="{(first + last) // 2 + 4}">'
        f"<title>{_text(name)}</title>{_text(name, _MOST_NAME)}</text>"
    )


def _text(text: str, most: int | None = None) -> str:
    """Return text from anywhere as text of the page, cut to a length."""
    plain = printable(text)
    if most is not None and len(plain) > most:
        plain = f"{plain[: most - 1]}…"
    return escape(plain)


def legend(audit: Audit) -> Iterator[str]:
    """Yield what the ends of lines mean, each as a small picture with its words, and how many there
    are.
    """
    words: Mapping[Reach, str] = {
        "anyone": "open to anyone",
        "some": "open to some",
        "neighbours": "open to neighbours",
        "unknown": "not known",
        "nobody": "closed",
    }
    for reach, text in words.items():
        kind = CLASSES[reach]
        mark = _mark(kind, 10).replace(f"M{_END - 14}", "M46").replace(f"M{_END - 26}", "M46")
        mark = mark.replace(f'x="{_END - 12}"', 'x="47"')
        yield (
            f'<span><svg class="key" viewBox="0 0 60 20" aria-hidden="true"><g class="{kind}">'
            f'<path class="way" d="M2 10H46"/>{mark}</g></svg>{text}: {audit.count(reach):,}</span>'
        )
