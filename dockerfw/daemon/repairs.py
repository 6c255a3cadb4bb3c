"""Drift: what is repaired, when, and when not, because another tool undoes our repairs again.

Takes what a check has found; decides whether it is repaired now, and which programs are named.
Writes nothing: the enforcer calls `Repairs.begin` first, writes, and reports that with
`Repairs.done`.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection

from dockerfw.clock import Clock
from dockerfw.daemon.reporter import Reporter
from dockerfw.daemon.schedule import Schedule
from dockerfw.daemon.transitions import Event
from dockerfw.operations.reconcile import Observation
from dockerfw.plan.steps import ReplaceChain, WriteRules, WriteSeal

OWN_ECHO = 0.5
"""Seconds after a write of ours within which notices of it may come in."""
_OUR_PROGRAMS = re.compile(r"nft\Z|ip6?tables-(nft-)?r")
MANY_REPAIRS = 20
"""More repairs than this within a minute: another tool undoes them again, as we undo its writes."""


class Repairs:
    """Which drift is repaired, and who has written since.

    ``half_way``: jumps alone were found wrong, and are given the time to be put back.
    ``paused_until`` (monotonic): rules are not compared before, since another tool undoes repairs.
    """

    def __init__(self, clock: Clock, schedule: Schedule, reporter: Reporter) -> None:
        self._clock = clock
        self._schedule = schedule
        self._reporter = reporter
        self._writers: set[str] = set()
        self._wrote_at = 0.0
        self._done: deque[float] = deque()
        self.half_way = False
        self.paused_until = 0.0

    @property
    def paused(self) -> bool:
        """Return True while rules are not to be compared."""
        return self._clock.monotonic() < self.paused_until

    def record_write(self) -> None:
        """Record that we write, or have just written: notices of that follow."""
        self._wrote_at = self._clock.monotonic()

    def record_writers(self, writers: Collection[str]) -> None:
        """Record the processes that the kernel named as writers, our own programs left out."""
        ours = self._clock.monotonic() < self._wrote_at + OWN_ECHO
        self._writers |= {w for w in writers if not (ours and _OUR_PROGRAMS.match(w))}

    def begin(self, seen: Observation) -> frozenset[str] | None:
        """Return the programs that changed rules, if that is repaired now; None: it is not."""
        if seen.plan.in_sync:
            self.half_way = False
            self._writers.clear()
            if self._clock.monotonic() > self.paused_until:
                self._reporter.note("fight", None)
            return None
        if seen.facts.nf_tables and not self.half_way and _moves_jumps_only(seen):
            # Docker puts its rules above its jump to DOCKER-USER and then moves that to the top.
            # To write in between would mean to write twice, and to race with it. Nothing gets past
            # the seal meanwhile; if it stays so, it is repaired.
            self.half_way = True
            self._schedule.happened(Event.HALF_WAY)
            return None
        self.half_way = False
        # Taken before anything is written: those who write from here on undo this repair.
        writers, self._writers = frozenset(self._writers), set()
        return writers

    def done(self, seen: Observation, writers: frozenset[str], resync: int) -> None:
        """Report a repair, and schedule checks of whether it lasts.

        ``resync`` is the pause, in seconds, where another tool undoes our repairs again.
        """
        self._reporter.repaired(seen, writers)
        if self.paused:  # by a check of everything: not repaired again before the pause is over
            return
        self._schedule.happened(Event.REPAIRED)
        # Two tools that undo each other's writes would write for ever. The seal never waits: a host
        # without it is open while chains are flushed, and no other tool has a reason to touch it.
        if not seen.plan.writes(WriteSeal):
            self._count(seen, writers, resync)

    def _count(self, seen: Observation, writers: frozenset[str], resync: int) -> None:
        now = self._clock.monotonic()
        self._done.append(now)
        while self._done[0] < now - 60:
            self._done.popleft()
        if len(self._done) <= MANY_REPAIRS:
            return
        self.paused_until = now + resync
        self._schedule.happened(Event.REPAIRS_PAUSED, self.paused_until)
        self._done.clear()
        who = " and ".join(sorted(writers)) or "another tool"
        held = "; the seal holds meanwhile" if seen.facts.nf_tables else ""
        self._reporter.note(
            "fight",
            f"what dockerfw writes is undone by {who}, more than {MANY_REPAIRS} times a minute: "
            f"the next repair is in {resync} s{held}",
        )


def _moves_jumps_only(seen: Observation) -> bool:
    """Return True if our chains, sets and seal are right, and only our jumps are not in place."""
    return all(
        isinstance(step, WriteRules) and not any(isinstance(w, ReplaceChain) for w in step.writes)
        for step in seen.plan.steps
    )
