"""What one connection has reported so far, and what to read after an event.

Takes events and a `Docker` to ask; gives reports. Knows no thread. The first reading is a whole
one; from then on an event re-reads only what it touched. Two things about Docker's events shape
this:

* **An event may be ahead of the lists**: see `doubts`.
* **A container that is about to start is nothing new.** Its ``network connect`` comes before
  ``start``; only the latter is acted on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from dockerfw.clock import Clock
from dockerfw.docker.client import Docker
from dockerfw.docker.doubts import Doubts
from dockerfw.docker.events import Event, Misread
from dockerfw.docker.reading import Parts
from dockerfw.docker.reports import Changed, Connected, Report, limited
from dockerfw.docker.silence import MissingEvents
from dockerfw.model.inventory import Inventory
from dockerfw.model.policy import Needs

_WHOLE_PAUSE = 1.0
"""Seconds between two whole readings that events ask for: a burst of events that make no sense
must not keep a busy engine from its work."""


@dataclass(slots=True)
class Todo:
    """What there is to do: events that came, and whether a whole reading was asked for."""

    events: list[Event | Misread] = field(default_factory=list)
    resync: bool = False


class Tracker:
    """One connection's inventory, kept equal to a fresh reading."""

    def __init__(self, docker: Docker, needs: Needs, clock: Clock) -> None:
        self._docker = docker
        self._clock = clock
        self._doubts = Doubts()
        self._missing = MissingEvents()
        self._whole_at: float | None = None
        self._resync_unanswered = False
        self.missed: tuple[str, ...] = ()
        """Names of what no event ever reported, once that is certain: the stream is dead."""
        self.needs = needs
        self._inventory = self._read_all()
        self._warned = set(docker.warnings)

    def connected(self) -> Connected:
        docker, needs = self._docker, self.needs
        return Connected(self._inventory, docker.engine, docker.warnings, needs)

    def seconds_to_work(self) -> float | None:
        """Return the seconds until there is work to do without an event, None if there is none."""
        times = (self._doubts.next_read(), self._whole_at, self._missing.deadline())
        known = [time for time in times if time is not None]
        return max(0.0, min(known) - self._clock.monotonic()) if known else None

    def work(self, todo: Todo, needs: Needs) -> Iterable[Report]:
        """Yield each report as soon as it is known. Raises `Failed`."""
        if todo.events:
            yield from self._take_events(todo.events)
        yield from self._read_doubts()
        self._resync_unanswered |= todo.resync
        asked_for_more = not self.needs.covers(needs)
        due = self._whole_at is not None and self._whole_at <= self._clock.monotonic()
        if todo.resync or due or asked_for_more:
            # Nothing counts as missed where lines of the stream could not be read, or where more is
            # asked for than before: the lists differ from what is known for that reason.
            compare = self._whole_at is None and not asked_for_more
            yield from self._read_whole(needs, compare=compare)
        yield from self._answer_resync()

    # --- events ----------------------------------------------------------------------------------

    def _take_events(self, came: list[Event | Misread]) -> Iterable[Report]:
        events = tuple(e for e in came if isinstance(e, Event))
        parts = self._touched(events)
        warnings = [e.sentence for e in came if isinstance(e, Misread)]
        if warnings or any(e.kind == "daemon" for e in events):
            # Whatever it was about: everything is read.
            self._whole_at = max(self._read_at + _WHOLE_PAUSE, self._clock.monotonic())
        if warnings:
            self._missing.came_unread()
        if parts.containers or parts.networks or parts.gone:
            yield from self._read(parts, events, warnings)
        elif warnings:
            yield self._changed(events, limited(warnings))

    def _touched(self, events: Iterable[Event]) -> Parts:
        containers: set[str] = set()
        networks: set[str] = set()
        gone: set[str] = set()
        now = self._clock.monotonic()
        for event in events:
            self._missing.came(event.id)
            self._missing.came(event.container)
            match event.kind, event.action:
                case "container", "die" | "destroy":
                    containers.discard(event.id)
                    gone.add(event.id)
                    self._doubts.died(event.id, now)
                case "container", "start":
                    gone.discard(event.id)
                    containers.add(event.id)
                    self._doubts.started(event.id)
                case "container", _:
                    if event.id not in gone and self._docker.container(event.id):
                        containers.add(event.id)
                case "network", "connect" | "disconnect":
                    known = self._docker.container(event.container) is not None
                    if event.container in containers or (known and event.container not in gone):
                        containers.add(event.container)
                        self._doubts.moved(event, now)
                case "network", _:
                    networks.add(event.id)
        return self._parts(containers, networks, gone)

    def _parts(
        self, containers: Iterable[str], networks: Iterable[str] = (), gone: Iterable[str] = ()
    ) -> Parts:
        departed = self._doubts.departed()
        return Parts(frozenset(containers), frozenset(networks), frozenset(gone), departed)

    # --- readings --------------------------------------------------------------------------------

    def _read(
        self, parts: Parts, events: tuple[Event, ...] = (), warnings: Iterable[str] = ()
    ) -> Iterable[Report]:
        before = self._inventory
        self._inventory = self._docker.read_parts(parts)
        self._settle(parts.containers)
        new_warnings = self._new_warnings(*warnings)
        if self._inventory is not before or new_warnings:
            yield self._changed(events, new_warnings)

    def _read_doubts(self) -> Iterable[Report]:
        due = self._doubts.due(self._clock.monotonic())
        if due:
            yield from self._read(self._parts(due))

    def _settle(self, read: Iterable[str]) -> None:
        now = self._clock.monotonic()
        for container_id in read:
            found = self._docker.container(container_id)
            stale = container_id in self._docker.stale
            self._doubts.settle(container_id, found, now, stale=stale)

    def _read_all(self) -> Inventory:
        departed = self._doubts.departed()
        inventory = self._docker.read_inventory({}, self.needs, departed=departed)
        self._read_at, self._whole_at = self._clock.monotonic(), None
        return inventory

    def _read_whole(self, needs: Needs, *, compare: bool) -> Iterable[Report]:
        """Read everything; with ``compare``, differences are held against the event stream."""
        before, left_out = self._inventory, self._docker.left_out
        had, in_doubt = self.needs, self._doubts.containers()
        self.needs = needs
        self._inventory = self._read_all()
        self._settle(in_doubt)
        if compare and self._inventory is not before:
            self._missing.compare(
                before,
                self._inventory,
                self._clock.monotonic(),
                excused=in_doubt | left_out | self._docker.left_out,
                swarm=self._docker.engine.swarm is not None,
            )
        warnings = self._new_warnings()
        self._warned = set(self._docker.warnings)
        if self._inventory is not before or warnings or had != needs:
            yield self._changed((), warnings)

    # --- reports ---------------------------------------------------------------------------------

    def _changed(self, events: tuple[Event, ...] = (), warnings: tuple[str, ...] = ()) -> Changed:
        return Changed(self._inventory, events, warnings, knows=self.needs)

    def _new_warnings(self, *more: str) -> tuple[str, ...]:
        """Every reading warns anew: that is reported once, until a whole reading does not warn."""
        new = [w for w in self._docker.warnings if w not in self._warned]
        self._warned.update(new)
        return limited((*more, *new))

    def _answer_resync(self) -> Iterable[Report]:
        """Report that the stream is alive, or what it missed, once that is certain."""
        self.missed = self.missed or self._missing.overdue(self._clock.monotonic())
        if self._resync_unanswered and (self.missed or not self._missing):
            self._resync_unanswered = False
            yield replace(self._changed(), whole=True, missed=self.missed)
