"""What a run of `script/bench` found, and what got slower since the run before.

A figure has its place in a table: section, row and column. A run is one line of the history file;
only figures that compare two things of the same run are compared with those of another run, since
machines differ.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

HISTORY = Path("benchmarks/history.jsonl")
NOISE = 0.1
"""What two runs on one machine differ by, as a share, where a figure has no interval."""
_SHARE, _TIMES = "share", "times"
"""A share of what the same takes without dockerfw, more is better; and so many times something."""


class Figure(NamedTuple):
    """``low`` and ``high``: where the true one lies with 95 % certainty, where that is known."""

    section: str
    row: str
    column: str
    value: float
    unit: str
    low: float | None = None
    high: float | None = None

    @property
    def place(self) -> tuple[str, str, str]:
        return self.section, self.row, self.column

    @property
    def text(self) -> str:
        if self.unit == _SHARE:
            shown = f"{self.value:.3f}"
        elif self.unit == _TIMES:
            shown = f"{self.value:.2g} ×" if self.value < 10 else f"{self.value:.0f} ×"
        else:
            shown = f"{_three_digits(self.value)} {self.unit}"
        if self.low is None or self.high is None:
            return shown
        return f"{shown} ({self.low:.3f} to {self.high:.3f})"


class Run(NamedTuple):
    """``machine``: what of it the figures hang on, a name and a value each."""

    when: str
    commit: str
    machine: dict[str, str]
    figures: tuple[Figure, ...]

    def line(self) -> str:
        """The run as a line of the history file."""
        rounded = [
            [round(part, 5) if isinstance(part, float) else part for part in one]
            for one in self.figures
        ]
        return json.dumps(self._replace(figures=())._asdict() | {"figures": rounded})


def share(section: str, row: str, column: str, ratios: list[float]) -> Figure:
    """The median of ``ratios``, and between which two the median of all lies."""
    ranked, half = sorted(ratios), 0.98 * len(ratios) ** 0.5
    middle = len(ranked) / 2
    low = ranked[max(0, int(middle - half))]
    high = ranked[min(len(ranked) - 1, int(middle + half))]
    return Figure(section, row, column, median(ratios), _SHARE, low, high)


def times(section: str, row: str, column: str, value: float) -> Figure:
    return Figure(section, row, column, value, _TIMES)


def median(values: Iterable[float]) -> float:
    return quantile(values, 0.5)


def quantile(values: Iterable[float], part: float) -> float:
    """The value below which ``part`` of all lie, 0 to 1."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(part * len(ranked)))]


def read_history(path: Path = HISTORY) -> list[Run]:
    """All runs that were kept, the oldest first."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [_run(json.loads(line)) for line in lines]


def _run(kept: dict[str, object]) -> Run:
    figures = kept["figures"]
    if not isinstance(figures, list):
        raise TypeError("a run of the history without figures")
    return Run(
        str(kept["when"]),
        str(kept["commit"]),
        dict(kept["machine"]),  # type: ignore[call-overload] # as `Run.line` wrote it
        tuple(Figure(*one) for one in figures),
    )


def slower(before: Run, now: Run) -> Iterator[str]:
    """What got slower than noise can tell, a sentence each."""
    old = {figure.place: figure for figure in before.figures}
    for figure in now.figures:
        then = old.get(figure.place)
        if then is not None and _is_slower(then, figure):
            what = f"{figure.section}: {figure.row}: {figure.column}"
            yield f"{what}: {then.text}, now {figure.text}"


def _is_slower(then: Figure, now: Figure) -> bool:
    if now.unit == _TIMES:
        return now.value > then.value * (1 + NOISE)
    if now.unit != _SHARE:
        return False
    if then.low is None or now.high is None:
        return now.value < then.value * (1 - NOISE)
    return now.high < then.low


def _three_digits(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
