"""The pictures of ``docs/performance.md``, drawn from the figures of one run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture

from benchmarks.figures import Figure, Run

FOLDER = Path("docs/performance")
_INK, _BARS = "#222222", ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377")
_MARKS = "osD^vPX"


def draw(run: Run, folder: Path = FOLDER) -> list[Path]:
    """Draw each picture; return where they are."""
    mpl.rcParams["svg.hashsalt"] = "dockerfw"  # the same figures give the same file
    folder.mkdir(parents=True, exist_ok=True)
    return [
        _save(_packets(_of(run, "packets")), folder / "packets.svg"),
        _save(_growth(_of(run, "commands")), folder / "growth.svg"),
        _save(_phases(_of(run, "phases")), folder / "phases.svg"),
    ]


def _of(run: Run, section: str) -> list[Figure]:
    return [figure for figure in run.figures if figure.section == section]


def _canvas(height: float) -> tuple[Picture, Axes]:
    picture = Picture(figsize=(8, height), layout="constrained", facecolor="white")
    axes = picture.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return picture, axes


def _legend(picture: Picture, columns: int) -> None:
    picture.legend(frameon=False, loc="outside lower center", ncols=columns)


def _save(picture: Picture, path: Path) -> Path:
    picture.savefig(path, metadata={"Date": None})
    return path


def _packets(figures: Sequence[Figure]) -> Picture:
    """A bar a host and load, with the interval of each; 1 is the host without dockerfw."""
    shares = [figure for figure in figures if figure.low is not None]
    loads = list(dict.fromkeys(figure.row for figure in shares))
    hosts = list(dict.fromkeys(figure.column for figure in shares))
    picture, axes = _canvas(0.9 + 0.8 * len(loads))
    width = 0.8 / len(hosts)
    for number, host in enumerate(hosts):
        mine = [figure for figure in shares if figure.column == host]
        places = [loads.index(figure.row) + number * width for figure in mine]
        values = [figure.value for figure in mine]
        below = [figure.value - (figure.low or 0) for figure in mine]
        above = [(figure.high or 0) - figure.value for figure in mine]
        axes.barh(places, values, width * 0.9, xerr=(below, above), label=host, color=_BARS[number])
    axes.axvline(1, color=_INK, linewidth=1)
    places = [n + 0.4 - width / 2 for n in range(len(loads))]
    axes.set_yticks(places, [load.replace(", ", "\n") for load in loads])
    axes.invert_yaxis()
    axes.set_xlabel("packets in the same processor time, 1 with Docker's rules alone")
    _legend(picture, len(hosts))
    return picture


def _growth(figures: Sequence[Figure]) -> Picture:
    """A line a command: seconds by the number of containers and rules, both logarithmic."""
    picture, axes = _canvas(4.5)
    for number, row in enumerate(dict.fromkeys(figure.row for figure in figures)):
        mine = [figure for figure in figures if figure.row == row]
        sizes = [int(figure.column.replace(",", "")) for figure in mine]
        by_ipset = row.startswith("ipset")
        axes.loglog(
            sizes,
            [figure.value for figure in mine],
            marker=_MARKS[number],
            linestyle="--" if by_ipset else "-",
            color="#888888" if by_ipset else _BARS[number],
            label=row,
        )
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:,g}")
    axes.set_xlabel("containers, and as many rules")
    axes.set_ylabel("seconds of processor time")
    axes.legend(frameon=False)
    return picture


def _phases(figures: Sequence[Figure]) -> Picture:
    """A bar an apply, its phases one after the other."""
    applies = list(dict.fromkeys(figure.column for figure in figures))
    phases = list(dict.fromkeys(figure.row for figure in figures))
    picture, axes = _canvas(1.2 + 0.6 * len(applies))
    begun = dict.fromkeys(applies, 0.0)
    shades = mpl.colormaps["tab20"]
    for number, phase in enumerate(phases):
        spent = {figure.column: figure.value for figure in figures if figure.row == phase}
        lengths = [spent[one] for one in applies]
        axes.barh(
            applies,
            lengths,
            0.7,
            left=[begun[one] for one in applies],
            label=phase,
            color=shades(number),
            edgecolor="white",
        )
        for one in applies:
            begun[one] += spent[one]
    axes.invert_yaxis()
    axes.set_xlabel("seconds of processor time")
    _legend(picture, 4)
    return picture
