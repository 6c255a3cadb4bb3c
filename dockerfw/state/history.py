"""The last policies that were in force, with who put each there, when, and why.

Takes and gives `Entry` and `PolicyText`; reads and writes below ``/var/lib/dockerfw/history`` only,
a folder for each, named by its number::

    policy/     a copy (see policy_copy.py), which shares its files with the others
    entry.json  `Entry`
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path

from dockerfw.errors import Failed
from dockerfw.model.history import Entry
from dockerfw.policy.files import PolicyText
from dockerfw.state import policy_copy
from dockerfw.state.folder import Folder

MOST = 20
"""So many are kept."""
_ENTRY = "entry.json"
_COPY = "policy"


class History:
    """The last policies; ``in_force`` is the folder of the copy of the one that is."""

    def __init__(self, folder: Folder, in_force: Path) -> None:
        self._folder = folder
        self._in_force = in_force

    def entries(self) -> tuple[Entry, ...]:
        """Return all that are kept and can be read, the oldest first."""
        found = (self._read(number) for number in self._numbers())
        return tuple(entry for entry in found if entry is not None)

    def number_for(self, text: PolicyText, current: int) -> int:
        """Return the number for a policy that takes the place of the one with number ``current``:
        that one if they are the same, but for what their lists hold, else the next one.
        """
        try:
            same = self.load(current).documents == text.documents
        except Failed:
            same = False
        return current if same else max([current, *self._numbers()]) + 1

    def load(self, number: int) -> PolicyText:
        """Return a policy. Raises `Failed` if it is not kept, or broken."""
        folder = self._folder.file(str(number)) / _COPY
        if not folder.exists():
            raise Failed(f"policy {number} is not kept any more: see dockerfw history")
        return policy_copy.load(folder)

    def keep(self, entry: Entry) -> None:
        """Keep the policy in force under a new number; of the oldest there are too many then.

        Nothing is done where that number is kept already. Raises `Failed`.
        """
        self._folder.make()
        target = self._folder.file(str(entry.number))
        if target.exists():
            return
        try:
            # The folder appears with all that belongs in it.
            with tempfile.TemporaryDirectory(dir=self._folder.path, prefix=".") as temporary:
                new = Folder(Path(temporary) / target.name)
                new.make()
                policy_copy.link(self._in_force, new.file(_COPY))
                new.write_json(_ENTRY, asdict(entry))
                new.path.rename(target)
        except OSError as error:
            raise Failed(f"cannot write {target}: {error.strerror}") from error
        for number in self._numbers()[:-MOST]:
            shutil.rmtree(self._folder.file(str(number)), ignore_errors=True)

    def _numbers(self) -> list[int]:
        names = (path.name for path in self._folder.path.glob("*"))
        return sorted(int(name) for name in names if name.isascii() and name.isdigit())

    def _read(self, number: int) -> Entry | None:
        found = Folder(self._folder.file(str(number))).read_json(_ENTRY)
        try:
            return Entry(**found)
        except TypeError:
            return None
