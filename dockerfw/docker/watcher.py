"""Follows Docker and hands what runs to the daemon's main loop, which never waits for Docker.

Takes a way to connect; gives `Report`s through `Watcher.take`, with inventories that equal a
fresh reading as soon as Docker itself has settled. It writes nothing anywhere.

The event stream is opened, then everything is read once; from then on an event re-reads only
what it touched. Three things about Docker's events shape this (tried on 20.10, 26.1 and 28.5):

* **An event may be ahead of the lists.** ``die`` (20.10), ``network disconnect`` and ``network
  connect`` are sent before the lists show what they tell, by 0.5 to 100 ms. So what has gone is
  taken out by the event's own word, no list may bring it back for a while, and Docker is asked
  again until its lists agree (`_Doubt`).
* **A container that is about to start says nothing new.** Its ``network connect`` comes before
  ``start``; only the latter is acted on.
* **A stream can be silently dead.** A whole reading that differs from what the events told owes
  an event for each difference; where none comes within seconds the connection is made anew.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TypeAlias, TypeVar

from dockerfw.docker.client import Docker, EngineInfo, EventStream, Refused
from dockerfw.docker.decode import Parts, one_line
from dockerfw.docker.events import Event, Misread
from dockerfw.errors import Failed
from dockerfw.model.inventory import Container, Inventory, Network
from dockerfw.model.policy import NOTHING, Needs

__all__ = ["Changed", "Connected", "Event", "Lost", "Refusal", "Report", "Watcher"]

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
"""Seconds between two attempts to connect: it doubles from the one to the other."""

EVENT_PATIENCE = 2.0
"""Seconds within which an event has to come that explains what a whole reading found."""

_DEATH_PATIENCE = 10.0
_NETWORK_PATIENCE = 5.0
"""Seconds after which the lists are believed, whatever events told before."""
_DEATH_PAUSE = 1.0
_NETWORK_PAUSE = 0.002
"""Seconds until the lists are looked at again: the event's own word stands meanwhile."""
_LONGEST_LOOK_PAUSE = 1.0
_WHOLE_PAUSE = 1.0
"""Seconds between two whole readings that events ask for."""
_MOST_EVENTS = 10_000
_MOST_WARNINGS = 10
_STOP_PATIENCE = 2.0


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection stands, and this is all that runs. Also the first report of all."""

    inventory: Inventory
    engine: EngineInfo
    warnings: tuple[str, ...] = ()
    knows: Needs = NOTHING


@dataclass(frozen=True, slots=True)
class Changed:
    """What runs now; what did not change is the same object as before.

    ``events`` are those that led here: none where a second look, a whole reading or `need` did.
    ``whole``: everything was read after `Watcher.resync`, and events had told the truth but for
    ``missed``, names of what no event told. ``knows``: what the inventory tells of containers.
    Reports that wait together are one.
    """

    inventory: Inventory
    events: tuple[Event, ...] = ()
    warnings: tuple[str, ...] = ()
    whole: bool = False
    missed: tuple[str, ...] = ()
    knows: Needs = NOTHING


@dataclass(frozen=True, slots=True)
class Lost:
    """Docker does not answer, or its events ended; `Connected` follows some time. Told once."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """An engine whose packets this kernel does not filter answers; the watch is over."""

    reason: str


_Item = TypeVar("_Item", Container, Network)

Report: TypeAlias = Connected | Changed | Lost | Refusal


class _Outbox:
    """Reports on their way to the main loop, and a socket that is readable while some wait."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reports: list[Report] = []
        self._bug: Exception | None = None
        self._reader, self._writer = socket.socketpair()
        self._closed = False

    def fileno(self) -> int:
        return self._reader.fileno()

    def put(self, report: Report) -> None:
        with self._lock:
            last = self._reports[-1] if self._reports else None
            if isinstance(last, Changed) and isinstance(report, Changed):
                self._reports[-1] = _joined(last, report)
                return
            self._reports.append(report)
            self._wake()

    def fail(self, bug: Exception) -> None:
        with self._lock:
            self._bug = bug
            self._wake()

    def _wake(self) -> None:
        if not self._closed and len(self._reports) <= 1:
            self._writer.send(b"!")

    def take(self) -> list[Report]:
        with self._lock:
            if self._closed:
                return []
            if self._reports or self._bug is not None:
                self._reader.recv(16)
            reports, self._reports = self._reports, []
            bug, self._bug = self._bug, None
        if bug is not None:
            raise bug
        return reports

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._reader.close()
            self._writer.close()


def _joined(first: Changed, then: Changed) -> Changed:
    return replace(
        then,
        events=first.events + then.events,
        warnings=_few((*first.warnings, *then.warnings)),
        whole=first.whole or then.whole,
        missed=first.missed + then.missed,
    )


def _few(warnings: Iterable[str]) -> tuple[str, ...]:
    """Each once, and no more than anybody reads."""
    different = tuple(dict.fromkeys(warnings))
    if len(different) <= _MOST_WARNINGS:
        return different
    more = len(different) - _MOST_WARNINGS + 1
    return (*different[: _MOST_WARNINGS - 1], f"and {more} more warnings of this kind")


@dataclass(slots=True)
class _Todo:
    """What the thread was woken for."""

    events: list[Event | Misread] = field(default_factory=list)
    ended: str | None = None
    resync: bool = False
    bug: Exception | None = None


class Watcher:
    """Watch `fileno` and call `take` when it is readable.

    ``connect`` gives a new connection or raises `Failed` (`Refused`, where trying again is of no
    use); its answers must have a time limit.
    """

    def __init__(self, connect: Callable[[], Docker], needs: Needs) -> None:
        self._connect = connect
        self._needs = needs
        self._outbox = _Outbox()
        self._condition = threading.Condition()
        self._todo = _Todo()
        self._stopping = False
        self._lost = False
        self._thread = threading.Thread(target=self._run, name="dockerfw-docker", daemon=True)

    # --- for the main loop -----------------------------------------------------------------------

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the threads. One that waits for Docker ends with that answer, seconds later."""
        with self._condition:
            self._stopping = True
            self._condition.notify()
        if self._thread.ident is not None:
            self._thread.join(_STOP_PATIENCE)
        self._outbox.close()

    def fileno(self) -> int:
        return self._outbox.fileno()

    def take(self) -> list[Report]:
        """The reports that wait, oldest first. Raises what ended the threads, if something did."""
        return self._outbox.take()

    def resync(self) -> None:
        """Ask for a whole reading. A `Changed` with ``whole`` answers; `Connected` (and `Lost`
        before it) where there is no connection, or it turns out to be dead.
        """
        with self._condition:
            self._todo.resync = True
            self._condition.notify()

    def need(self, needs: Needs) -> None:
        """A policy asks for other things now. Where they were not read so far a `Changed`
        follows, with ``knows`` as asked for.
        """
        with self._condition:
            self._needs = needs
            self._condition.notify()

    # --- the thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._keep_connected()
        except Refused as error:
            self._outbox.put(Refusal(str(error)))
        except Exception as bug:  # noqa: BLE001 - it is raised again in the main loop
            self._outbox.fail(bug)

    def _keep_connected(self) -> None:
        pause = FIRST_PAUSE
        while not self._stopping:
            began = time.monotonic()
            try:
                with closing(self._connect()) as docker:
                    self._follow(docker)
            except Refused:
                raise
            except Failed as error:
                self._lose(str(error))
            if time.monotonic() - began > LONGEST_PAUSE:  # it stood: no reason to hold back
                pause = FIRST_PAUSE
            with self._condition:
                self._condition.wait_for(lambda: self._stopping, pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _lose(self, reason: str) -> None:
        if not self._lost:
            self._lost = True
            self._outbox.put(Lost(reason))

    def _follow(self, docker: Docker) -> None:
        """Until the connection is lost, or the end."""
        stream = docker.events()
        pump = threading.Thread(
            target=self._pump, args=(stream,), name="dockerfw-events", daemon=True
        )
        try:
            pump.start()
            self._serve(docker)
        finally:
            stream.close()
            if pump.ident is not None:
                pump.join()
            with self._condition:
                self._todo = _Todo()

    def _pump(self, stream: EventStream) -> None:
        """Docker drops events for who does not read them at once."""
        reason = "Docker's event stream ended"
        bug = None
        try:
            for event in stream:
                with self._condition:
                    if len(self._todo.events) < _MOST_EVENTS:
                        self._todo.events.append(event)
                    elif len(self._todo.events) == _MOST_EVENTS:
                        self._todo.events.append(Misread("too many events at once"))
                    self._condition.notify()
        except Failed as error:
            reason = str(error)
        except Exception as error:  # noqa: BLE001 - it is raised again in the main loop
            bug = error
        with self._condition:
            self._todo.ended, self._todo.bug = reason, bug
            self._condition.notify()

    def _serve(self, docker: Docker) -> None:
        needs = self._needs
        view = _View(docker, needs)
        self._lost = False
        self._outbox.put(view.connected())
        while True:
            todo, needs = self._wait(view)
            if todo is None:
                return
            if todo.bug is not None:
                raise todo.bug
            for report in view.work(todo, needs):
                self._outbox.put(report)
            if view.silent:
                missed = ", ".join(view.silent[:3])
                raise Failed(f"Docker's event stream is silent: it told nothing of {missed}")
            if todo.ended is not None:
                raise Failed(todo.ended)

    def _wait(self, view: _View) -> tuple[_Todo | None, Needs]:
        """What is to be done, as soon as there is something; None at the end."""

        def something() -> bool:
            todo = self._todo
            wakes = todo.events or todo.ended is not None or todo.resync
            return bool(self._stopping or wakes or not view.needs.covers(self._needs))

        with self._condition:
            self._condition.wait_for(something, view.patience())
            if self._stopping:
                return None, self._needs
            todo, self._todo = self._todo, _Todo()
            return todo, self._needs


@dataclass(slots=True)
class _Doubt:
    """What events told of a container that Docker's lists may not show yet.

    ``left`` and ``joined`` are ids of networks; ``deadline`` and ``look`` are monotonic times.
    """

    deadline: float
    look: float
    pause: float
    died: bool = False
    left: set[str] = field(default_factory=set)
    joined: set[str] = field(default_factory=set)


class _View:
    """What one connection has told so far."""

    def __init__(self, docker: Docker, needs: Needs) -> None:
        self._docker = docker
        self._doubts: dict[str, _Doubt] = {}
        self._owed: dict[str, str] = {}
        self._owed_until = 0.0
        self._whole_at: float | None = None
        self._answer = False
        self.silent: tuple[str, ...] = ()
        """What no event ever told, once that is certain: the stream is dead."""
        self.needs = needs
        self._inventory = self._read_all()
        self._said = set(docker.warnings)

    def connected(self) -> Connected:
        docker, needs = self._docker, self.needs
        return Connected(self._inventory, docker.engine, docker.warnings, needs)

    def patience(self) -> float | None:
        """Seconds until there is something to do without being told."""
        times = [doubt.look for doubt in self._doubts.values()]
        if self._whole_at is not None:
            times.append(self._whole_at)
        if self._owed:
            times.append(self._owed_until)
        return max(0.0, min(times) - time.monotonic()) if times else None

    def work(self, todo: _Todo, needs: Needs) -> Iterable[Report]:
        """Each report as soon as it is known."""
        if todo.events:
            yield from self._happened(todo.events)
        yield from self._look_again()
        self._answer |= todo.resync
        asked_for_more = not self.needs.covers(needs)
        due = self._whole_at is not None and self._whole_at <= time.monotonic()
        if todo.resync or due or asked_for_more:
            yield from self._look_at_all(needs, trust=due or asked_for_more)
        yield from self._judge_stream()

    # --- events ----------------------------------------------------------------------------------

    def _happened(self, told: list[Event | Misread]) -> Iterable[Report]:
        events = tuple(e for e in told if isinstance(e, Event))
        parts = self._touched(events)
        warnings = [e.sentence for e in told if isinstance(e, Misread)]
        if warnings or any(e.kind == "daemon" for e in events):
            self._whole_at = max(self._read_at + _WHOLE_PAUSE, time.monotonic())
        if parts.containers or parts.networks or parts.gone:
            yield from self._read(parts, events, warnings)
        elif warnings:
            yield self._changed(events, _few(warnings))

    def _touched(self, events: Iterable[Event]) -> Parts:
        containers: set[str] = set()
        networks: set[str] = set()
        gone: set[str] = set()
        for event in events:
            self._owed.pop(event.id, None)
            self._owed.pop(event.container, None)
            match event.kind, event.action:
                case "container", "die" | "destroy":
                    containers.discard(event.id)
                    gone.add(event.id)
                    self._doubt_death(event.id)
                case "container", "start":
                    gone.discard(event.id)
                    containers.add(event.id)
                    self._doubts.pop(event.id, None)
                case "container", _:
                    if event.id not in gone and self._docker.container(event.id):
                        containers.add(event.id)
                case "network", "connect" | "disconnect":
                    known = self._docker.container(event.container) is not None
                    if event.container in containers or (known and event.container not in gone):
                        containers.add(event.container)
                        self._doubt_place(event)
                case "network", _:
                    networks.add(event.id)
        return self._parts(containers, networks, gone)

    def _doubt_death(self, container_id: str) -> None:
        now = time.monotonic()
        doubt = _Doubt(now + _DEATH_PATIENCE, now + _DEATH_PAUSE, _DEATH_PAUSE, died=True)
        self._doubts[container_id] = doubt

    def _doubt_place(self, event: Event) -> None:
        now = time.monotonic()
        new = _Doubt(now + _NETWORK_PATIENCE, now + _NETWORK_PAUSE, _NETWORK_PAUSE)
        doubt = self._doubts.setdefault(event.container, new)
        came, went = (doubt.joined, doubt.left)
        if event.action == "disconnect":
            came, went = went, came
        came.add(event.id)
        went.discard(event.id)

    def _parts(
        self, containers: Iterable[str], networks: Iterable[str] = (), gone: Iterable[str] = ()
    ) -> Parts:
        left = {i: None if d.died else frozenset(d.left) for i, d in self._doubts.items()}
        return Parts(frozenset(containers), frozenset(networks), frozenset(gone), left)

    # --- readings --------------------------------------------------------------------------------

    def _read(
        self, parts: Parts, events: tuple[Event, ...] = (), warnings: Iterable[str] = ()
    ) -> Iterable[Report]:
        before = self._inventory
        self._inventory = self._docker.read_parts(parts)
        self._settle(parts.containers)
        unsaid = self._unsaid(*warnings)
        if self._inventory is not before or unsaid:
            yield self._changed(events, unsaid)

    def _changed(self, events: tuple[Event, ...] = (), warnings: tuple[str, ...] = ()) -> Changed:
        return Changed(
            self._inventory,
            events,
            warnings,
            knows=self.needs,
        )

    def _look_again(self) -> Iterable[Report]:
        now = time.monotonic()
        due = [i for i, doubt in self._doubts.items() if doubt.look <= now]
        if not due:
            return
        for container_id in due:
            if self._doubts[container_id].deadline <= now:
                del self._doubts[container_id]
        yield from self._read(self._parts(due))

    def _settle(self, read: Iterable[str]) -> None:
        """Doubts end where the lists agree by now."""
        now = time.monotonic()
        for container_id in read:
            doubt = self._doubts.get(container_id)
            if doubt is None:
                continue
            if self._agreed(container_id, doubt):
                del self._doubts[container_id]
            else:
                doubt.look = min(now + doubt.pause, doubt.deadline)
                doubt.pause = min(2 * doubt.pause, _LONGEST_LOOK_PAUSE)

    def _agreed(self, container_id: str, doubt: _Doubt) -> bool:
        if container_id in self._docker.stale:
            return False
        container = self._docker.container(container_id)
        places = {e.network_id for e in container.endpoints} if container else doubt.joined
        return doubt.joined <= places

    def _read_all(self) -> Inventory:
        inventory = self._docker.read_inventory(
            {},
            self.needs,
            left=self._parts(()).left,
        )
        self._read_at, self._whole_at = time.monotonic(), None
        return inventory

    def _look_at_all(self, needs: Needs, *, trust: bool) -> Iterable[Report]:
        """``trust``: differences say nothing about the events."""
        before, left_out = self._inventory, self._docker.left_out
        had, in_doubt = self.needs, set(self._doubts)
        self.needs = needs
        self._inventory = self._read_all()
        self._settle(in_doubt)
        if not trust:
            self._hold_against_events(before, in_doubt | left_out | self._docker.left_out)
        warnings = self._unsaid()
        self._said = set(self._docker.warnings)
        if self._inventory is not before or warnings or had != needs:
            yield self._changed((), warnings)

    def _hold_against_events(self, before: Inventory, excused: set[str]) -> None:
        swarm = self._docker.engine.swarm is not None
        found = _differences(before, self._inventory, swarm=swarm)
        owed = {i: name for i, name in found.items() if i not in excused}
        if owed:
            self._owed |= owed
            self._owed_until = time.monotonic() + EVENT_PATIENCE

    def _unsaid(self, *more: str) -> tuple[str, ...]:
        """What every reading says anew is told once, until a whole reading does without it."""
        unsaid = [w for w in self._docker.warnings if w not in self._said]
        self._said.update(unsaid)
        return _few((*more, *unsaid))

    def _judge_stream(self) -> Iterable[Report]:
        if self._owed and time.monotonic() >= self._owed_until:
            self.silent = tuple(self._owed.values())
        if self._answer and (self.silent or not self._owed):
            self._answer = False
            yield replace(self._changed(), whole=True, missed=self.silent)


def _differences(told: Inventory, found: Inventory, *, swarm: bool) -> dict[str, str]:
    """What some event should have told: names by id.

    A swarm moves endpoints and ports without a word, and its networks come from elsewhere.
    """
    if swarm:
        return _unlike(told.containers, found.containers, lambda c: c.name)
    return _unlike(told.containers, found.containers, _told_by_events) | _unlike(
        told.networks, found.networks, lambda n: n
    )


def _told_by_events(container: Container) -> Container:
    """Without what depends on its image: no event tells when a tag moves or an image goes."""
    return replace(container, image="", labels=())


def _unlike(
    told: Iterable[_Item], found: Iterable[_Item], essence: Callable[[_Item], object]
) -> dict[str, str]:
    before, after = {i.id: i for i in told}, {i.id: i for i in found}
    unlike = {}
    for item_id in before.keys() | after.keys():
        old, new = before.get(item_id), after.get(item_id)
        either = new or old
        if either is None or old is new:
            continue
        if old is None or new is None or essence(old) != essence(new):
            unlike[item_id] = one_line(either.name)
    return unlike
