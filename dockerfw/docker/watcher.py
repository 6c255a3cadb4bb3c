"""Follows Docker and hands what runs to the daemon's main loop, which never waits for Docker.

Takes a way to connect and a clock; gives `Report`s through `Watcher.take`, with inventories that
equal a fresh reading as soon as Docker itself has settled. It writes nothing anywhere.

Two threads: one reads the event stream, since Docker drops events for a reader that is slow; the
other reads what they touch (`tracker`) and connects anew when the connection is lost. The stream is
opened before everything is read, so that nothing happens unseen in between.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from dockerfw.clock import Clock
from dockerfw.docker.client import Docker
from dockerfw.docker.engine import Refused
from dockerfw.docker.event_stream import EventStream
from dockerfw.docker.events import Misread
from dockerfw.docker.outbox import Outbox
from dockerfw.docker.reports import Lost, Refusal, Report
from dockerfw.docker.tracker import Todo, Tracker
from dockerfw.errors import Failed
from dockerfw.model.policy import Needs

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
"""Seconds between two attempts to connect: it doubles from the one, since a restart of Docker is
over soon, to the other, since nobody wants to wait longer once Docker is back. `connect_now` ends
it."""

_MOST_EVENTS = 10_000
"""Events that may wait to be read: above this everything is read instead of each part."""
_STOP_PATIENCE = 2.0
"""Seconds that `Watcher.stop` waits for a thread that waits for Docker."""


@dataclass(slots=True)
class _Inbox(Todo):
    """What the thread was woken for; ``ended`` is why there will be no event any more."""

    ended: str | None = None
    bug: Exception | None = None


class Watcher:
    """Watch `fileno` and call `take` when it is readable.

    ``connect`` gives a new connection or raises `Failed` (`Refused`, where trying again is of no
    use); its answers must have a time limit.
    """

    def __init__(self, connect: Callable[[], Docker], needs: Needs, clock: Clock) -> None:
        self._connect = connect
        self._needs = needs
        self._clock = clock
        self._outbox = Outbox()
        self._condition = threading.Condition()
        self._inbox = _Inbox()
        self._stopping = False
        self._hurry = False
        """The socket may be there: connect before the pause is over."""
        self._lost = False
        self._thread = threading.Thread(target=self._run, name="docker", daemon=True)

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
        """Return the reports that wait, oldest first; changes that wait together are one report.

        Raises the exception that ended the threads, if a bug did.
        """
        return self._outbox.take()

    def resync(self) -> None:
        """Ask for a whole reading.

        A `Changed` with ``whole`` answers; `Connected` (and `Lost` before it) where there is no
        connection, or it turns out to be dead.
        """
        with self._condition:
            self._inbox.resync = True
            self._condition.notify()

    def connect_now(self) -> None:
        """Try at once to connect, where there is no connection: Docker's socket has come."""
        with self._condition:
            self._hurry = True
            self._condition.notify()

    def need(self, needs: Needs) -> None:
        """Set what the policy asks for.

        Where that was not read so far a `Changed` follows, with ``knows`` as asked for.
        """
        with self._condition:
            self._needs = needs
            self._condition.notify()

    # --- the thread that asks Docker -------------------------------------------------------------

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
            began = self._clock.monotonic()
            self._hurry = False
            try:
                with closing(self._connect()) as docker:
                    self._follow(docker)
            except Refused:
                raise
            except Failed as error:
                self._lose(str(error))
            now = self._clock.monotonic()
            if now - began > LONGEST_PAUSE:  # the connection stood: no reason to hold back
                pause = FIRST_PAUSE
            self._wait_until(now + pause)
            # A socket that has just come may take a moment longer to be listened at.
            pause = FIRST_PAUSE if self._hurry else min(2 * pause, LONGEST_PAUSE)

    def _wait_until(self, end: float) -> None:
        def over() -> bool:
            return self._stopping or self._hurry or self._clock.monotonic() >= end

        with self._condition:
            self._condition.wait_for(over, end - self._clock.monotonic())

    def _lose(self, reason: str) -> None:
        if not self._lost:
            self._lost = True
            self._outbox.put(Lost(reason))

    def _follow(self, docker: Docker) -> None:
        """Report what happens, until the connection is lost or the watcher is stopped."""
        stream = docker.events(self._clock.time())
        pump = threading.Thread(
            target=self._pump, args=(stream,), name="docker events", daemon=True
        )
        try:
            pump.start()
            self._serve(docker)
        finally:
            stream.close()
            if pump.ident is not None:
                pump.join()
            with self._condition:
                self._inbox = _Inbox()

    def _serve(self, docker: Docker) -> None:
        needs = self._needs
        tracker = Tracker(docker, needs, self._clock)
        self._lost = False
        self._outbox.put(tracker.connected())
        while True:
            inbox, needs = self._wait(tracker)
            if inbox is None:
                return
            if inbox.bug is not None:
                raise inbox.bug
            for report in tracker.work(inbox, needs):
                self._outbox.put(report)
            if tracker.missed:
                missed = ", ".join(tracker.missed[:3])
                raise Failed(f"Docker's event stream is silent: it told nothing of {missed}")
            if inbox.ended is not None:
                raise Failed(inbox.ended)

    def _wait(self, tracker: Tracker) -> tuple[_Inbox | None, Needs]:
        """Return what is to be done, as soon as there is something; None at the end."""

        def something() -> bool:
            inbox = self._inbox
            wakes = inbox.events or inbox.ended is not None or inbox.resync
            asked_for_more = not tracker.needs.covers(self._needs)
            return bool(
                self._stopping or wakes or asked_for_more or tracker.seconds_to_work() == 0.0
            )

        with self._condition:
            self._condition.wait_for(something, tracker.seconds_to_work())
            if self._stopping:
                return None, self._needs
            inbox, self._inbox = self._inbox, _Inbox()
            return inbox, self._needs

    # --- the thread that reads events ------------------------------------------------------------

    def _pump(self, stream: EventStream) -> None:
        reason = "Docker's event stream ended"
        bug = None
        try:
            for event in stream:
                with self._condition:
                    if len(self._inbox.events) < _MOST_EVENTS:
                        self._inbox.events.append(event)
                    elif len(self._inbox.events) == _MOST_EVENTS:
                        self._inbox.events.append(Misread("too many events at once"))
                    self._condition.notify()
        except Failed as error:
            reason = str(error)
        except Exception as error:  # noqa: BLE001 - it is raised again in the main loop
            bug = error
        with self._condition:
            self._inbox.ended, self._inbox.bug = reason, bug
            self._condition.notify()
