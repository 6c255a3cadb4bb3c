"""Writes ``docs/performance.md``: what is said by hand, with the tables of one run in between."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks.figures import Figure, Run

TEMPLATE = Path("benchmarks/performance.template.md")
DOCUMENT = Path("docs/performance.md")
_PLACE = re.compile(r"<!-- (table|run)(?:: ([a-z ]+))? -->")


def document(template: str, run: Run) -> str:
    """The template with each ``<!-- table: SECTION -->`` and ``<!-- run -->`` filled in.

    Raises `KeyError` for a section of which the run has no figure.
    """

    def fill(place: re.Match[str]) -> str:
        if place[1] == "run":
            return about(run)
        figures = [figure for figure in run.figures if figure.section == place[2]]
        if not figures:
            raise KeyError(place[2])
        return "\n".join(table(figures))

    return _PLACE.sub(fill, template)


def about(run: Run) -> str:
    machine = "; ".join(f"{name} {value}" for name, value in run.machine.items())
    return f"{run.when}, commit {run.commit}: {machine}"


def table(figures: Iterable[Figure]) -> Iterator[str]:
    """The lines of a table in Markdown: rows and columns in the order of the figures."""
    cells = {(figure.row, figure.column): figure.text for figure in figures}
    rows = dict.fromkeys(row for row, _ in cells)
    columns = dict.fromkeys(column for _, column in cells)
    yield _line(["", *columns])
    yield _line("---" for _ in ("", *columns))
    for row in rows:
        yield _line([row, *(cells.get((row, column), "") for column in columns)])


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
