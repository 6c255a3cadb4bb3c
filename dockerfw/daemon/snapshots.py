"""Snapshots of the kernel: read in a thread beside the main loop, one at a time.

Takes a `Kernel`, what is to be read, and that the kernel has announced changes; gives `Snapshot`s
in the main loop, in order. A snapshot takes 3 to 200 ms, while events go on being written; so each
has the `Epoch` in which it began, and whoever compares it with what should stand compares the
epochs first.
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

READ_ANEW = 600.0
"""Seconds after which everything is read, elements of sets and what tools can do, though the kernel
has announced no change and the headers of sets are the same: what that overlooks is rare."""

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
        self._anew_at = 0.0
        """When everything is read again, whatever was announced (monotonic)."""
        self._noticed = 0

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

    def record_host(self) -> None:
        """Record that an interface or an address has changed."""
        self._noticed += 1

    def read_anew(self) -> None:
        """Have the next one of everything read all, whatever the kernel has announced."""
        self._anew_at = self._clock.monotonic()

    def take_all(self, epoch: Epoch, wanted: Collection[IPSet]) -> None:
        """Begin one of everything, the host's facts included; ``wanted`` as in `Kernel.read`."""
        now = self._clock.monotonic()
        anew = now >= self._anew_at
        if anew:
            self._anew_at = now + READ_ANEW
            self.record_host()
        noticed = self._noticed

        def read() -> Snapshot:
            # The host first, and Docker only after the snapshot: a bridge that is in the facts and
            # not in that younger answer is somebody else's. The other way round every new network
            # would be.
            facts = self._kernel.facts(noticed=noticed)
            live = self._kernel.read(facts, wanted, headers_suffice=not anew)
            return Snapshot(epoch, facts, live, whole=True)

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
            # It may have been the one that was to read all.
            self.read_anew()
            self._failed(result)
        else:
            raise result
