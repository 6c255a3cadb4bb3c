"""An apply that waits for its confirmation, as the daemon sees it: until when, and the way back.

The process that the apply has started rolls back at the deadline. The daemon does so a little
later, should that have been killed. The kernel is not written here, unless nothing stood before.
"""

from __future__ import annotations

from dockerfw.clock import Clock
from dockerfw.daemon.reporter import Reporter
from dockerfw.operations.confirm import GRACE
from dockerfw.operations.reconcile import Reconciler
from dockerfw.operations.rollback import restore
from dockerfw.state.store import Store


class UnconfirmedApply:
    """Every method is called under the lock of the host."""

    def __init__(
        self, store: Store, reconciler: Reconciler, clock: Clock, reporter: Reporter
    ) -> None:
        self._store = store
        self._reconciler = reconciler
        self._clock = clock
        self._reporter = reporter

    def seconds_left(self) -> float | None:
        """Return the seconds until the daemon has to roll back; None: nothing waits."""
        pending = self._store.confirm.pending()
        if pending is None:
            return None
        return max(0.0, pending.deadline + GRACE - self._clock.time())

    def restore(self) -> None:
        """Put what stood before back in force, for the caller to write and to `end`."""
        self._reporter.warning("nobody confirmed the last apply in time: rolling it back")
        restore(self._store, self._reconciler, self._reporter.warning)

    def end(self) -> None:
        """Nothing waits any more: the kernel has it, or will be compared with it."""
        self._store.confirm.end(kept=False)
