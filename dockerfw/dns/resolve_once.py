"""All names of a policy at once, for commands that plan.

Takes names and the addresses that each had last, gives the addresses that count now and remarks
for people. Raises nothing, and takes no longer than it is given, whatever DNS does.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from dockerfw.clock import Clock
from dockerfw.dns.answer import Answer
from dockerfw.dns.lookup import System
from dockerfw.model.net import Address
from dockerfw.model.policy import HostAddresses, Origin
from dockerfw.model.remark import coded

TIMEOUT = 5.0
"""Seconds for all names together."""
_THREADS = 16


@dataclass(frozen=True, slots=True)
class Resolved:
    """``names``: the addresses that count. ``remarks``: by name, what people should know of it."""

    names: HostAddresses = field(default_factory=dict)
    remarks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @coded("host-name")
    def warnings(self, origins: Mapping[str, Origin | None]) -> tuple[str, ...]:
        """Return the remarks, with the line of the rule that has the name."""
        return tuple(
            f"{f'{origin}: ' if (origin := origins.get(name)) else ''}host:{name} {remark}"
            for name, remarks in self.remarks.items()
            for remark in remarks
        )


def resolve(
    names: Iterable[str],
    last_good: HostAddresses,
    clock: Clock,
    *,
    timeout: float = TIMEOUT,
    system: System | None = None,
) -> Resolved:
    """Return what the names stand for; one without an answer in time has failed.

    A name that failed keeps the addresses that it has in ``last_good``. ``timeout`` is in seconds,
    for all names together.
    """
    wanted = sorted(set(names))
    answers = _look_up_all(wanted, system or System(), clock, clock.monotonic() + timeout)
    counts: dict[str, tuple[Address, ...]] = {}
    remarks: dict[str, tuple[str, ...]] = {}
    for name in wanted:
        found = answers.get(name) or Answer(problem="it does not answer in time")
        counts[name] = found.effective(last_good.get(name, ()))
        remarks[name] = tuple(found.remarks(counts[name]))
    return Resolved(counts, remarks)


def _look_up_all(
    names: list[str], system: System, clock: Clock, deadline: float
) -> dict[str, Answer]:
    """Return the answers that come before the deadline, in the clock's monotonic time."""
    todo: queue.SimpleQueue[str] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[str, Answer]] = queue.SimpleQueue()
    for name in names:
        todo.put(name)

    def work() -> None:
        while not todo.empty():
            try:
                name = todo.get_nowait()
            except queue.Empty:
                return
            done.put((name, system.look_up(name)))

    for _ in names[:_THREADS]:
        # Nobody waits for a thread that hangs, not even at the end of the process.
        threading.Thread(target=work, name="names", daemon=True).start()
    answers: dict[str, Answer] = {}
    while len(answers) < len(names):
        try:
            name, found = done.get(timeout=max(0.0, deadline - clock.monotonic()))
        except queue.Empty:
            break
        answers[name] = found
    return answers
