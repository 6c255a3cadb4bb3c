"""A watcher that follows a fake engine, and what it reported."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from dockerfw.clock import SystemClock
from dockerfw.docker.client import Docker
from dockerfw.docker.reports import Changed, Connected, Report
from dockerfw.docker.watcher import Watcher
from dockerfw.model.inventory import Container, Inventory
from dockerfw.model.policy import Needs
from tests.clock import FakeClock
from tests.fakeengine import FakeEngine

PATIENCE = 10.0


class Following:
    """A watcher, and what it reported so far.

    With ``step`` its clock stands still while there is something to take, and goes so many
    seconds on when there is not: what comes after seconds comes at once, and always in order.
    """

    def __init__(
        self,
        engine: FakeEngine,
        *,
        timeout: float = 10,
        labels: bool = False,
        step: float | None = None,
    ) -> None:
        self.engine = engine
        self.timeout = timeout
        self.needs = Needs(labels=labels)
        self.step = step
        self.clock = FakeClock()
        clock = SystemClock() if step is None else self.clock
        self.watcher = Watcher(self.connect, self.needs, clock)
        self.reports: list[Report] = []
        self.inventory = Inventory()

    def connect(self) -> Docker:
        return Docker.connect(self.engine.url, timeout=self.timeout)

    def take(self, seconds: float) -> bool:
        """Whether there was something to take within so many seconds."""
        readable, _, _ = select.select([self.watcher.fileno()], [], [], seconds)
        for report in self.watcher.take() if readable else []:
            self.reports.append(report)
            if isinstance(report, (Connected, Changed)):
                self.inventory = report.inventory
        return bool(readable)

    def go_on(self) -> None:
        """Wait for a moment; where nothing comes, let time pass."""
        if self.step is None:
            self.take(0.05)
        elif not self.take(0.01):
            self.clock.now += self.step
            self.watcher.need(self.needs)  # wakes the watcher, which reads its clock anew

    def until(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"in vain: {what}; {self.reports}"
            self.go_on()

    def report(self, kind: type[Report]) -> Any:
        """The next report of that kind; those before it are passed over."""
        self.until(lambda: any(isinstance(r, kind) for r in self.reports), f"a {kind.__name__}")
        while not isinstance(report := self.reports.pop(0), kind):
            pass
        return report

    def answer(self) -> Changed:
        """To a resync."""
        while not (report := self.report(Changed)).whole:
            pass
        assert isinstance(report, Changed)
        return report

    def shows(self, **addresses: str) -> None:
        """Wait until exactly these run, at these addresses."""
        self.until(lambda: addresses_of(self.inventory) == addresses, f"{addresses}")

    def one(self, name: str) -> Container:
        return next(c for c in self.inventory.containers if c.name == name)


def addresses_of(inventory: Inventory) -> dict[str, str]:
    return {
        c.name: " ".join(str(e.ipv4) for e in c.endpoints if e.ipv4) for c in inventory.containers
    }


@contextmanager
def followed(engine: FakeEngine, **options: Any) -> Iterator[Following]:
    following = Following(engine, **options)
    following.watcher.start()
    try:
        following.report(Connected)
        engine.calls.clear()
        yield following
    finally:
        following.watcher.stop()


def fresh(engine: FakeEngine, *, labels: bool = False) -> Inventory:
    with closing(Docker.connect(engine.url, timeout=10)) as docker:
        return docker.read_inventory({}, Needs(labels=labels))
