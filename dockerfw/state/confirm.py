"""An apply that waits for `dockerfw confirm`, and the policy to go back to if none comes.

Takes the time from the caller; reads and writes below ``/var/lib/dockerfw`` only::

    previous/       the policy in force before the apply; empty where there was none
    pending.json    `Pending`, while the apply waits
    confirmed.json  how the last one ended: its token, and whether it was kept
"""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict, dataclass

from dockerfw.state.folder import Folder
from dockerfw.state.stored_policy import StoredPolicy

_PENDING = "pending.json"
_CONFIRMED = "confirmed.json"


@dataclass(frozen=True, slots=True)
class Pending:
    """An apply that waits for `confirm`: until when (Unix time), under which token."""

    token: str
    deadline: float


class Confirm:
    """At most one apply that is not confirmed yet."""

    def __init__(self, folder: Folder, policy: StoredPolicy) -> None:
        self._folder = folder
        self._policy = policy
        self._previous = folder.file("previous")

    def begin(self, deadline: float) -> Pending:
        """Keep the policy in force as the one to go back to, before it is replaced.

        ``deadline`` is in Unix time. Raises `Failed`.
        """
        self._folder.make()
        shutil.rmtree(self._previous, ignore_errors=True)
        self._previous.mkdir(mode=0o700)
        self._policy.copy_to(self._previous)
        pending = Pending(os.urandom(8).hex(), deadline)
        self._folder.write_json(_PENDING, asdict(pending))
        return pending

    def pending(self) -> Pending | None:
        found = self._folder.read_json(_PENDING)
        try:
            return Pending(**found) if found else None
        except TypeError:
            return None

    def keep(self) -> None:
        """End the wait, if there is one, and keep what was applied. Raises `Failed`."""
        self._end(kept=True)

    def was_kept(self, token: str) -> bool:
        """Return True if the apply with this token was confirmed.

        Ask once `pending` does not return it any more.
        """
        return self._folder.read_json(_CONFIRMED) == {"token": token, "kept": True}

    def restore_previous(self) -> bool:
        """Put the previous policy back in force and end the wait; return False if there was none.

        Raises `Failed` when its copy is broken.
        """
        had_one = self._policy.restore_from(self._previous)
        self._end(kept=False)
        return had_one

    def _end(self, *, kept: bool) -> None:
        pending = self.pending()
        # How it ended is written first: who waits asks for that once nothing is pending.
        if pending is not None:
            self._folder.write_json(_CONFIRMED, {"token": pending.token, "kept": kept})
        self._folder.file(_PENDING).unlink(missing_ok=True)
        shutil.rmtree(self._previous, ignore_errors=True)
