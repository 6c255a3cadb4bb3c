"""Snapshots of the kernel: read in a thread beside the main loop, one at a time.

Takes a `Kernel` and what is to be read; gives `Snapshot`s in the main loop, in order. A snapshot
takes 10 to 200 ms, while events go on being written; so each has the `Epoch` in which it began,
and whoever compares it with what should stand compares the epochs first.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import NamedTuple

from dockerfw.clock import Clock
from dockerfw.daemon.edges import Background
from dockerfw.errors import DockerfwError
from dockerfw.kernel.interface import Kernel
from dockerfw.model.host import HostFacts
from dockerfw.plan.state import KernelState, SealState
from dockerfw.rules.ruleset import IPSet

_IPTABLES = re.compile(r"(ip6?tables|xtables)[a-z-]*\Z")
_SOMEBODY = frozenset({"somebody"})


class Epoch(NamedTuple):
    """How often was written so far: chains and seal, and anything at all."""

    rules: int
    all: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What stood in the kernel; ``epoch`` is the enforcer's when reading began.

    One that is not ``whole`` has what the kernel announces changes of: chains, jumps and seal, and
    no sets.
    """

    epoch: Epoch
    facts: HostFacts
    live: KernelState
    whole: bool


def written_by_iptables(writers: Collection[str]) -> bool:
    """Return True if these are programs of iptables alone; False where nobody is named."""
    return bool(writers) and all(_IPTABLES.match(name) for name in writers)


class Snapshots:
    """``busy``: one is being taken. ``finished_at`` (monotonic): when the last one was."""

    def __init__(
        self,
        kernel: Kernel,
        worker: Background,
        clock: Clock,
        failed: Callable[[DockerfwError], object],
    ) -> None:
        self._kernel = kernel
        self._worker = worker
        self._clock = clock
        self._failed = failed
        self._taken: deque[Snapshot] = deque()
        self._writers: frozenset[str] = frozenset()
        self.busy = False
        self.finished_at = 0.0

    def record_writers(self, writers: Collection[str]) -> None:
        """Record who has changed rules since the last snapshot of rules began."""
        # Notices that were lost have no names: then it may have been anybody.
        self._writers |= frozenset(writers) or _SOMEBODY

    def take_rules(self, epoch: Epoch, facts: HostFacts, seal: SealState | None) -> None:
        """Begin one of chains, jumps and seal; ``seal`` is the one that was written last."""
        writers, self._writers = self._writers, frozenset()
        # The programs of iptables touch their own tables alone, and most notices are of Docker's:
        # then the seal stands as it was written, and `nft`, the slowest to ask, is not asked.
        known = seal if written_by_iptables(writers) else None

        def read() -> Snapshot:
            return Snapshot(epoch, facts, self._kernel.read_rules(facts, known), whole=False)

        self._begin(read)

    def take_all(self, epoch: Epoch, lists: Collection[IPSet]) -> None:
        """Begin one of everything, the host's facts included."""

        def read() -> Snapshot:
            # The host first, and Docker only after the snapshot: a bridge that is in the facts and
            # not in that younger answer is somebody else's. The other way round every new network
            # would be.
            facts = self._kernel.facts()
            return Snapshot(epoch, facts, self._kernel.read(facts, lists), whole=True)

        self._begin(read)

    def next(self) -> Snapshot | None:
        """Return the next one that is finished; None: there is none."""
        return self._taken.popleft() if self._taken else None

    @property
    def waiting(self) -> bool:
        """Return True if `next` has something to give."""
        return bool(self._taken)

    def _begin(self, read: Callable[[], Snapshot]) -> None:
        self.busy = True
        self._worker.submit(read, self._finished)

    def _finished(self, result: Snapshot | Exception) -> None:
        self.busy = False
        self.finished_at = self._clock.monotonic()
        if isinstance(result, Snapshot):
            self._taken.append(result)
        elif isinstance(result, DockerfwError):
            self._failed(result)
        else:
            raise result
