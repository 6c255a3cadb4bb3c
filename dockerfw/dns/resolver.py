"""Names that the daemon follows: each is looked up again when its TTL is over.

Takes the names and the addresses that each had last; gives what all of them stand for now whenever
that changes, and lines for the log. Looks names up in a thread of its own, so nobody waits for DNS.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass

from dockerfw.clock import Clock
from dockerfw.dns.answer import Answer
from dockerfw.dns.lookup import System
from dockerfw.model.net import Address
from dockerfw.model.policy import HostAddresses
from dockerfw.text import listed
from dockerfw.wakeup import Wakeup


@dataclass(frozen=True, slots=True)
class Moved:
    """``names``: the addresses of all names now. ``said``: lines for the log.

    ``wrong`` is what is wrong with names now, said before or not.
    """

    names: HostAddresses
    said: tuple[str, ...]
    wrong: tuple[str, ...] = ()


class Resolver:
    """Follows names in a thread of its own. Wait for `fileno`; `take` when it is readable."""

    def __init__(self, clock: Clock, system: System | None = None) -> None:
        self._clock = clock
        self._system = system or System()
        # Held for everything below; notified when the thread has to reckon anew what is due.
        self._changed = threading.Condition()
        self._names: dict[str, tuple[Address, ...]] = {}
        self._due: dict[str, float] = {}
        self._remarks: dict[str, tuple[str, ...]] = {}
        self._said: list[str] = []
        self._moved = False
        self._stopped = False
        self._wakeup = Wakeup()
        self._thread = threading.Thread(target=self._work, name="names", daemon=True)
        self._thread.start()

    def fileno(self) -> int:
        return self._wakeup.fileno()

    def follow(self, names: Iterable[str], last_good: HostAddresses) -> None:
        """Follow these names from now on, and no others; all are looked up at once.

        ``last_good`` has the addresses that count until there is an answer.
        """
        now = self._clock.monotonic()
        with self._changed:
            self._names = {name: tuple(last_good.get(name, ())) for name in names}
            self._due = dict.fromkeys(self._names, now)
            self._remarks = {n: r for n, r in self._remarks.items() if n in self._names}
            self._said, self._moved = [], False
            self._changed.notify()

    def take(self) -> Moved | None:
        """Return what has changed since the last call; None: nothing has."""
        self._wakeup.clear()
        with self._changed:
            if not self._said and not self._moved:
                return None
            wrong = (f"host:{n} {r}" for n in self._names for r in self._remarks.get(n, ()))
            moved = Moved(dict(self._names), tuple(self._said), tuple(wrong))
            self._said, self._moved = [], False
        return moved

    def stop(self) -> None:
        """Stop at once; a question that is under way ends by itself, without effect."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
            self._wakeup.close()

    def _work(self) -> None:
        while (name := self._next()) is not None:
            found = self._system.look_up(name)
            with self._changed:
                if not self._stopped and name in self._names:
                    self._record(name, found)

    def _next(self) -> str | None:
        """Wait until a name is due, and return it; None: it was stopped."""
        with self._changed:
            while not self._stopped:
                name = min(self._due, key=lambda n: self._due[n], default=None)
                wait = None if name is None else self._due[name] - self._clock.monotonic()
                if name is not None and wait is not None and wait <= 0:
                    return name
                self._changed.wait(wait)
        return None

    def _record(self, name: str, found: Answer) -> None:
        self._due[name] = self._clock.monotonic() + found.ttl
        before, counts = self._names[name], found.effective(self._names[name])
        self._names[name] = counts
        if counts != before:
            self._moved = True
            was = f", was {listed([str(a) for a in before])}" if before else ""
            self._said.append(f"host:{name} is {listed([str(a) for a in counts])}{was}")
        remarks = tuple(found.remarks(counts))
        if remarks != self._remarks.get(name, ()):
            self._said += [f"host:{name} {remark}" for remark in remarks]
            if not remarks:
                self._said.append(f"host:{name} can be looked up again")
            self._remarks[name] = remarks
        if self._said or self._moved:
            self._wakeup.wake()
