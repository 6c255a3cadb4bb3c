"""What is open for a while, and until when: lines for a terminal, and JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dockerfw.model.policy import Allow
from dockerfw.report.tables import table
from dockerfw.text import iso_moment, moment, paragraph, printable


@dataclass(frozen=True, slots=True)
class Opening:
    """A rule that ends by itself: its number for ``--end``; None: it stands in another file.

    ``note`` is who wrote it, when and why. ``in_force`` False: it stands in the file alone.
    """

    allow: Allow
    number: int | None
    note: str
    in_force: bool

    @property
    def until(self) -> int:
        """In Unix time; 0 for a rule without an end."""
        return self.allow.end or 0


def lines(openings: Sequence[Opening], width: int) -> list[str]:
    """Return a line or two for each, and how to end one."""
    if not openings:
        return paragraph(
            "Nothing is open for a while. To open: dockerfw allow SOURCE TARGET --for 2h",
            width=width,
            rest="  ",
        )
    found = ["Open for a while:"]
    found += table(
        [
            [
                str(one.number or "-"),
                printable(_what(one.allow)),
                printable("; ".join(_remarks(one))),
            ]
            for one in openings
        ],
        width=width,
    )
    if any(one.number for one in openings):
        found.append("To end one: dockerfw allow --end NUMBER")
    return found


def to_json(openings: Sequence[Opening]) -> list[dict[str, object]]:
    """``number`` is null for a rule that stands in another file."""
    return [
        {
            "number": one.number,
            "from": list(one.allow.written_from),
            "to": list(map(str, one.allow.to)),
            "ports": list(map(str, one.allow.ports)),
            "published": list(map(str, one.allow.published)),
            "until": iso_moment(one.until),
            "note": one.note,
            "origin": str(one.allow.origin),
            "in_force": one.in_force,
        }
        for one in openings
    ]


def _what(allow: Allow) -> str:
    names = ", ".join(map(str, allow.to))
    if allow.ports:
        target = f"{names} {', '.join(map(str, allow.ports))}"
    else:
        of = f" of {names}" if names else ""
        target = f"host port {', '.join(map(str, allow.published))}{of}"
    return f"{', '.join(allow.written_from)} → {target}"


def _remarks(one: Opening) -> Iterator[str]:
    yield f"until {moment(one.until)}"
    if one.number is None:
        yield str(one.allow.origin)
    if one.note:
        yield one.note
    if not one.in_force:
        yield "NOT IN FORCE: see dockerfw plan"
