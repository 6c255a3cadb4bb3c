"""From Docker's own time of an event to the end of the commit: how long, and where it goes.

Prints figures and asserts nothing. Run as root from the root of the repository::

    python -m benchmarks.event_latency [--starts N] [--running N] [--inventory N] [--played]

Three cases: an engine that is played (`tests.fakeengine`) with 1,000 and with 50 running
containers and as many rules, and engine 28.5 with 50 and one rule. In each, containers start one
after the other, N times; a start is measured from ``timeNano`` of Docker's ``start`` event to the
return of the ``ipset restore`` that the daemon wrote for it.

The daemon is the real one, in a throwaway host; its process is this file as well (`inside`),
which puts a time stamp at each stage. The load of the machine is printed, since most of p99 is
waiting for a core; so is the daemon's own processor time (with that of ``ipset``, ``nft`` and
``iptables-save``) for one start and stop, which hangs less on what else runs.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, ParamSpec, TextIO, TypeVar
from unittest.mock import patch

from benchmarks.figures import quantile
from dockerfw.daemon import main as daemons
from dockerfw.docker.client import Docker
from dockerfw.docker.event_stream import EventStream
from dockerfw.docker.events import Event, Misread
from dockerfw.docker.watcher import Watcher
from dockerfw.kernel.ipset import driver as ipset
from dockerfw.rules.ledger import Ledger
from tests.fakeengine import FakeEngine
from tests.lab.daemon import Daemon
from tests.lab.engine import Engine
from tests.lab.guard import LabError
from tests.lab.host import Host
from tests.lab.wait import until

POLICY = '[[allow]]\nto = "web*"\nports = [80]\nfrom = ["198.51.100.0/24", "2001:db8:10::/48"]\n'
_ONE_OF_MANY = """
[[allow]]
to = "old{number}"
ports = [80]
from = ["11.{high}.{low}.0/28", "11.{high}.{low}.64/28", "11.{high}.{low}.128/28"]
"""
STAGES = ("heard", "read", "taken", "compiled", "committed")
"""Each ends a stage: the daemon has the event, Docker's answer for it, the main loop has both,
the ledger has the difference, ``ipset restore`` is over."""
OUTPUT = "/run/lab/latency.jsonl"
PATIENCE = 60.0

_P = ParamSpec("_P")
_R = TypeVar("_R")

_STARTER = """
import sys
from benchmarks.event_latency import inside
sys.exit(inside(sys.argv[1]))
"""


class Start(NamedTuple):
    """Milliseconds from one stage to the next, in the order of `STAGES`."""

    stages: tuple[float, ...]

    @property
    def total(self) -> float:
        return sum(self.stages)


# --- in the daemon's process ---------------------------------------------------------------------


class Stamps:
    """Times of the stages of the last start; ``at`` is Docker's own time of it."""

    def __init__(self, output: TextIO) -> None:
        self._output = output
        self._at: float | None = None
        self._times: dict[str, float] = {}

    def heard(self, event: Event | Misread) -> None:
        start = isinstance(event, Event) and (event.kind, event.action) == ("container", "start")
        self._at = event.at if start and isinstance(event, Event) else None
        self._times = {"heard": time.time()}

    def after(self, stage: str, work: Callable[_P, _R]) -> Callable[_P, _R]:
        """``work`` that leaves the time at which it was over."""

        def wrapper(*arguments: _P.args, **named: _P.kwargs) -> _R:
            result = work(*arguments, **named)
            self._times[stage] = time.time()
            if stage == STAGES[-1]:
                self._write()
            return result

        return wrapper

    def _write(self) -> None:
        if self._at is not None and len(self._times) == len(STAGES):
            times = [self._at, *(self._times[stage] for stage in STAGES)]
            self._output.write(json.dumps(times) + "\n")
        self._at = None


def inside(url: str) -> int:
    """The daemon, with a line in `OUTPUT` for each start that it wrote to the kernel."""
    with (
        Path(OUTPUT).open("a", buffering=1, encoding="ascii") as output,
        stamped(Stamps(output)),
    ):
        return daemons.run(url, "text")


@contextmanager
def stamped(stamps: Stamps) -> Iterator[None]:
    """The stages leave their stamps."""
    read_next = EventStream.__next__

    def hear(stream: EventStream) -> Event | Misread:
        event = read_next(stream)
        stamps.heard(event)
        return event

    with (
        patch.object(EventStream, "__next__", hear),
        patch.object(Docker, "read_parts", stamps.after("read", Docker.read_parts)),
        patch.object(Watcher, "take", stamps.after("taken", Watcher.take)),
        patch.object(Ledger, "update", stamps.after("compiled", Ledger.update)),
        patch.object(ipset, "commit", stamps.after("committed", ipset.commit)),
    ):
        yield


class Result(NamedTuple):
    """``each``: the daemon's processor time for a start and a stop, in milliseconds."""

    starts: list[Start]
    each: float


class Measured(Daemon):
    """The lab's daemon, but with our stamps in it."""

    def __init__(self, host: Host, url: str) -> None:
        super().__init__(host, "-c", _STARTER, url)

    def argv(self) -> list[str]:
        return [sys.executable, *self.options]

    def starts(self) -> list[Start]:
        """All that were committed so far."""
        path = self.host.path(OUTPUT)
        lines = path.read_text().splitlines() if path.exists() else []
        found = []
        for line in lines:
            times = json.loads(line)
            stages = (1000 * (then - before) for before, then in pairwise(times))
            found.append(Start(tuple(stages)))
        return found

    def until_committed(self, count: int) -> None:
        """Looked at rarely: this process must not take the core that the daemon needs."""
        deadline = time.monotonic() + PATIENCE
        while len(self.starts()) < count:
            if time.monotonic() > deadline:
                raise LabError(f"start {count} was not committed\n{self.log()}")
            time.sleep(0.05)

    def result(self, before: float) -> Result:
        """``before`` is the processor time when the first start began."""
        starts = self.starts()
        return Result(starts, (self.processor_time() - before) / len(starts))

    def processor_time(self) -> float:
        """Milliseconds so far, with those of the programs that it ran."""
        fields = self.host.path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return 1000 * sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def policy(rules: int) -> str:
    """The rule for those that start, and the others, each for one container that does not."""
    numbers = range(rules - 1)
    others = (_ONE_OF_MANY.format(number=n, high=n // 256, low=n % 256) for n in numbers)
    return POLICY + "".join(others)


def checked(host: Host, url: str) -> bool:
    told = host.dockerfw("status", "--json", "-H", url, check=False).stdout
    return json.loads(told)["daemon_reconciled_at"] is not None


# --- the cases -----------------------------------------------------------------------------------


@contextmanager
def measured(host: Host, url: str, rules: int = 1) -> Iterator[Measured]:
    host.write("/etc/dockerfw/config.toml", policy(rules), 0o600)
    host.dockerfw("apply", "--yes", "-H", url)
    with Measured(host, url) as daemon:
        # The first check of everything is a part of the start, and no event's.
        until(lambda: checked(host, url), "the first check of everything", PATIENCE)
        yield daemon
        daemon.stop()


def on_a_real_engine(starts: int, running: int) -> Result:
    with Host() as host, Engine(host, "28.5") as engine:
        for number in range(running):
            engine.container(f"old{number}", "-p", f"{8000 + number}:80")
        engine.container("web", "-p", "9000:80")
        with measured(host, "unix:///run/docker.sock") as daemon:
            before = daemon.processor_time()
            for number in range(starts):
                engine.docker("kill", "web")
                engine.docker("start", "web")
                daemon.until_committed(number + 1)
            return daemon.result(before)


def on_a_played_engine(starts: int, inventory: int) -> Result:
    with (
        tempfile.TemporaryDirectory() as folder,
        FakeEngine(Path(folder) / "s") as engine,
        Host() as host,
    ):
        host.bridge("docker0", "172.17.0.1/16")
        for number in range(inventory):
            address = f"172.17.{1 + number // 200}.{1 + number % 200}"
            engine.run(f"old{number}", "bridge", address, ports={8000 + number: 80}, quiet=True)
        with measured(host, engine.url, inventory) as daemon:
            before = daemon.processor_time()
            for number in range(starts):
                name = f"web{number}"
                engine.run(name, "bridge", "172.17.200.2", ports={40000: 80})
                daemon.until_committed(number + 1)
                engine.die(name)
                daemon.until_said(f"{name} gone")
            return daemon.result(before)


# --- the table -----------------------------------------------------------------------------------


def table(title: str, result: Result) -> None:
    starts = result.starts
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"\n{title}: {len(starts)} starts; load {load} on {os.cpu_count()} cores")
    print(f"  {'ms':<12}{'median':>8}{'p90':>8}{'p99':>8}{'most':>8}")
    rows = [(name, [s.stages[n] for s in starts]) for n, name in enumerate(STAGES)]
    for name, values in [*rows, ("total", [s.total for s in starts])]:
        shown = "".join(f"{quantile(values, share):8.1f}" for share in (0.5, 0.9, 0.99, 1))
        print(f"  {name:<12}{shown}")
    print(f"  processor time of a start and a stop: {result.each:.1f}")


def total(result: Result, share: float) -> float:
    return quantile((start.total for start in result.starts), share)


def main() -> None:
    parser = argparse.ArgumentParser(description="From Docker's event to the end of the commit.")
    parser.add_argument("--starts", type=int, default=100)
    parser.add_argument("--running", type=int, default=50, help="containers of the real engine")
    parser.add_argument("--inventory", type=int, default=1000, help="containers of the played one")
    parser.add_argument("--played", action="store_true", help="without the real engine")
    asked = parser.parse_args()
    many = on_a_played_engine(asked.starts, asked.inventory)
    table(f"played engine, {asked.inventory} containers", many)
    few = on_a_played_engine(asked.starts, asked.running)
    table(f"played engine, {asked.running} containers", few)
    if not asked.played:
        real = on_a_real_engine(asked.starts, asked.running)
        table(f"engine 28.5, {asked.running} containers", real)
    median, worst = (total(many, share) / total(few, share) for share in (0.5, 0.99))
    growth = f"median {median:.2f}, p99 {worst:.2f}, processor time {many.each / few.each:.2f}"
    print(f"\n{asked.inventory} containers and rules / {asked.running}, both played: {growth}")


if __name__ == "__main__":
    main()
