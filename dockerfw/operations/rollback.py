"""What a roll-back puts in force, for whoever does it: a command, boot or the daemon.

Everything here can be done twice, for whoever does it may be killed on the way: the apply waits
until `Confirm.end`, and the next one begins anew.
"""

from __future__ import annotations

from collections.abc import Callable

from dockerfw.operations.reconcile import Reconciler
from dockerfw.state.store import Store


def restore(store: Store, reconciler: Reconciler, notify: Callable[[str], None]) -> bool:
    """Put what stood before the pending apply back in force, for the caller to write and to end.

    Return False where nothing stood before: all of dockerfw is taken out and forgotten, and there
    is nothing left to do. The caller holds the lock. Raises `Failed`.
    """
    if store.confirm.has_previous() or store.policy.locked_down():
        problem = store.confirm.restore_previous()
        if problem:
            notify(problem)
        return True
    reconciler.remove()
    store.confirm.restore_previous()
    store.forget()
    return False
