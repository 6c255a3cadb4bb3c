"""What `script/bench` measures, a section after the other: figures of `benchmarks`' modules.

``quick`` takes fewer rounds and smaller hosts. Each section prints as it is done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from benchmarks import apply, event_latency, packets, phases, rest, start
from benchmarks.apply import CHANGED, NEW, NOTHING, RESTORE, SAVE
from benchmarks.figures import Figure, quantile, times

MANY = 1000
SIZES = (10, 100, MANY, 10_000)
_FEW = 50


def on_start(*, quick: bool) -> list[Figure]:
    return start.measure(5 if quick else 15)


def on_packets(*, quick: bool) -> list[Figure]:
    return packets.measure(6 if quick else 40)


def on_commands(*, quick: bool) -> Iterator[Figure]:
    """Each command at each size: seconds, MiB, and its time beside what it cannot avoid."""
    for size in SIZES[:2] if quick else SIZES:
        costs = apply.measure(size, size)
        column = f"{size:,}"
        for row, cost in costs.items():
            yield Figure("commands", row, column, cost.seconds, "s")
        for row, cost in costs.items():
            yield Figure("memory", row, column, cost.memory, "MiB")
        for row, beside in ((NEW, RESTORE), (NOTHING, SAVE), (CHANGED, SAVE)):
            value = costs[row].seconds / costs[beside].seconds
            yield times("beside ipset", f"{row}, beside {beside.split(' of ')[0]}", column, value)


def on_phases(*, quick: bool) -> list[Figure]:
    size = SIZES[1] if quick else MANY
    return phases.measure(size, size)


def on_rest(*, quick: bool) -> Iterator[Figure]:
    for size in (_FEW,) if quick else (_FEW, MANY):
        found = rest.measure(size, 1 if quick else 4)
        row = f"{size:,} containers, {size:,} rules"
        yield Figure("rest", row, "ready after", found.ready, "s")
        yield Figure("rest", row, "memory", found.resident, "MiB")
        yield Figure("rest", row, "memory at the most", found.most, "MiB")
        yield Figure("rest", row, "of a core", found.core, "%")
        yield Figure("rest", row, "of it tools", found.tools, "%")


def on_events(*, quick: bool) -> Iterator[Figure]:
    """From Docker's time of a start to the end of the commit."""
    starts = 20 if quick else 200
    few = event_latency.on_a_played_engine(starts, _FEW)
    many = event_latency.on_a_played_engine(starts, MANY)
    cases = {f"played engine, {_FEW} containers": few, f"played engine, {MANY:,}": many}
    if not quick:
        cases["engine 28.5, 50 containers"] = event_latency.on_a_real_engine(starts // 2, _FEW)
    for row, result in cases.items():
        taken = [one.total for one in result.starts]
        for column, part in (("median", 0.5), ("p90", 0.9), ("p99", 0.99)):
            yield Figure("events", row, column, quantile(taken, part), "ms")
        yield Figure("events", row, "processor time of start and stop", result.each, "ms")
    growth = "growth of an event", f"{MANY:,} containers beside {_FEW}"
    for column, part in (("median", 0.5), ("p99", 0.99)):
        of_many, of_few = (quantile((s.total for s in case.starts), part) for case in (many, few))
        yield times(*growth, column, of_many / of_few)
    yield times(*growth, "processor time", many.each / few.each)


SECTIONS: dict[str, Callable[..., list[Figure] | Iterator[Figure]]] = {
    "start": on_start,
    "packets": on_packets,
    "commands": on_commands,
    "phases": on_phases,
    "rest": on_rest,
    "events": on_events,
}
