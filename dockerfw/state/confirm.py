"""An apply that waits for `dockerfw confirm`, and the policy to go back to if none comes.

Takes the time from the caller; reads and writes below ``/var/lib/dockerfw`` only::

    previous/       what was in force before the apply, lockdown included; empty for nothing
    pending.json    `Pending`, while the apply waits
    confirmed.json  how the last one ended: its token, and whether it was kept
"""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict, dataclass

from dockerfw.errors import Failed
from dockerfw.state.folder import Folder
from dockerfw.state.stored_policy import StoredPolicy

_PENDING = "pending.json"
_CONFIRMED = "confirmed.json"


@dataclass(frozen=True, slots=True)
class Pending:
    """An apply that waits for `confirm`: until when (Unix time), under which token."""

    token: str
    deadline: float

    def overdue(self, now: float) -> bool:
        """Return True if its time is over at that Unix time: only a roll-back may end it."""
        return now >= self.deadline


class Confirm:
    """At most one apply that is not confirmed yet."""

    def __init__(self, folder: Folder, policy: StoredPolicy) -> None:
        self._folder = folder
        self._policy = policy
        self._previous = folder.file("previous")

    def begin(self, deadline: float) -> Pending:
        """Keep what is in force as what to go back to, before it is replaced.

        Where another apply waits, that is what stood before that one: nobody has confirmed what
        stands now. ``deadline`` is in Unix time. Raises `Failed`.
        """
        if self.pending() is None:
            self._folder.make()
            shutil.rmtree(self._previous, ignore_errors=True)
            self._previous.mkdir(mode=0o700)
            self._policy.copy_to(self._previous)
        pending = Pending(os.urandom(8).hex(), deadline)
        self._folder.write_json(_PENDING, asdict(pending))
        return pending

    def pending(self) -> Pending | None:
        found = self._folder.read_json(_PENDING)
        match found:
            case {"token": str() as token, "deadline": int() | float() as deadline}:
                return Pending(token, deadline)
        return None

    def overdue(self, now: float) -> bool:
        """Return True if an apply waits whose time is over at that Unix time."""
        pending = self.pending()
        return pending is not None and pending.overdue(now)

    def keep(self) -> None:
        """End the wait, if there is one, and keep what was applied. Raises `Failed`."""
        self.end(kept=True)

    def was_kept(self, token: str) -> bool:
        """Return True if the apply with this token was confirmed.

        Ask once `pending` does not return it any more.
        """
        return self._folder.read_json(_CONFIRMED) == {"token": token, "kept": True}

    def was_replaced(self, token: str) -> bool:
        """Return True if another apply has taken the place of the one with this token.

        Ask once `pending` does not return it any more.
        """
        if self.pending() is not None:
            return True
        ended = self._folder.read_json(_CONFIRMED)
        return bool(ended) and ended.get("token") != token

    def has_previous(self) -> bool:
        """Return True if there is anything to go back to."""
        return self._previous.exists() and any(self._previous.iterdir())

    def restore_previous(self) -> str | None:
        """Put what stood before back in force; `end` comes when the kernel has it.

        Return None, or why everything is closed instead. Raises `Failed` if it cannot be written.
        """
        try:
            self._policy.restore_from(self._previous)
        except Failed as error:
            self._policy.set_lockdown(True)
            return f"the policy to go back to is lost, LOCKED DOWN until the next apply: {error}"
        return None

    def end(self, *, kept: bool) -> None:
        """End the wait, if there is one: what is in force is kept, or was rolled back."""
        pending = self.pending()
        # How it ended is written first: who waits asks for that once nothing is pending.
        if pending is not None:
            self._folder.write_json(_CONFIRMED, {"token": pending.token, "kept": kept})
        self._folder.file(_PENDING).unlink(missing_ok=True)
        shutil.rmtree(self._previous, ignore_errors=True)
