"""What dockerfw keeps on disk, by subject.

Two folders: ``/var/lib/dockerfw`` (systemd's ``STATE_DIRECTORY`` where it sets one) survives a
boot, ``/run/dockerfw`` (``RUNTIME_DIRECTORY``) does not. Nothing here touches the kernel or Docker,
and no clock is read.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from dockerfw.clock import Clock
from dockerfw.state.completion_names import CompletionNames
from dockerfw.state.confirm import Confirm
from dockerfw.state.counting import Counting
from dockerfw.state.daemon_record import DaemonRecord
from dockerfw.state.folder import Folder
from dockerfw.state.history import History
from dockerfw.state.kernel_record import KernelRecord
from dockerfw.state.last_seen import LastSeen
from dockerfw.state.locks import try_lock, wait_a_while, wait_for_lock
from dockerfw.state.stored_policy import StoredPolicy

KEPT = "/var/lib/dockerfw"
RUN = "/run/dockerfw"
HISTORY = "history"
_LOCK = "lock"
_PROBE_LOCK = "probe.lock"


class Store:
    """The two folders, and what is in them. Every write replaces a file whole."""

    def __init__(self, folder: Path | None = None, run: Path | None = None) -> None:
        self.folder = folder or Path(os.environ.get("STATE_DIRECTORY", KEPT))
        self.run = run or Path(os.environ.get("RUNTIME_DIRECTORY", RUN))
        kept = Folder(self.folder)
        self.policy = StoredPolicy(kept)
        self.confirm = Confirm(kept, self.policy)
        self.history = History(Folder(kept.file(HISTORY)), kept.file("policy"))
        self.last_seen = LastSeen(kept)
        self.kernel = KernelRecord(kept)
        self.daemon = DaemonRecord(Folder(self.run))
        self.counting = Counting(Folder(self.run))
        self.completion = CompletionNames(Folder(self.run))

    def lock(self, say: Callable[[str], None]) -> AbstractContextManager[None]:
        """Be the one process that writes; another one waits and reports that with ``say``."""
        return wait_for_lock(Folder(self.run), _LOCK, say)

    def lock_within(
        self, seconds: float, clock: Clock, say: Callable[[str], None]
    ) -> AbstractContextManager[bool]:
        """As `lock`, but give False where another process goes on writing for longer than that."""
        return wait_a_while(Folder(self.run), _LOCK, say, clock, seconds)

    def try_lock(self) -> AbstractContextManager[bool]:
        """As `lock`, but give False at once where another process is writing."""
        return try_lock(Folder(self.run), _LOCK)

    def one_probe(self, say: Callable[[str], None]) -> AbstractContextManager[None]:
        """Be the one process that sends packets from outside; another one waits, as with `lock`."""
        return wait_for_lock(Folder(self.run), _PROBE_LOCK, say)

    def forget(self) -> None:
        """Remove everything that is kept for the next boot, and names; locks stay."""
        self.completion.forget()
        for child in self.folder.glob("*"):
            if child.is_dir():
                shutil.rmtree(child, ignore_errors=True)
            else:
                child.unlink(missing_ok=True)
