"""The policy in force, on disk: its text, which apply put it there, and whether all is locked down.

Takes and gives `PolicyText` and `Applied`; reads and writes below ``/var/lib/dockerfw`` only::

    policy/       the copy of the documents and list files (see policy_copy.py)
    applied.json  `Applied`
    lockdown      exists while everything is closed until the next apply
    needs-br_netfilter
                  exists while `Applied.br_netfilter`: the boot unit loads it then
"""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from dockerfw.errors import Failed
from dockerfw.model.host import Flavour
from dockerfw.model.policy import HostAddresses, LanNetworks
from dockerfw.policy.files import PolicyText
from dockerfw.state import policy_copy
from dockerfw.state.folder import Folder

_APPLIED = "applied.json"
_NEEDED = "needs-br_netfilter"


@dataclass(frozen=True, slots=True)
class Applied:
    """Of the last apply: which file it was, when (Unix time), under which iptables flavour.

    ``br_netfilter``: the policy does not hold without it, and it was on. ``given``: what else the
    host gave, see ``report/lost.py``. ``number``: under which it is kept in `History`; 0: it is
    not.
    """

    config: str
    at: float
    flavour: Flavour
    br_netfilter: bool = False
    given: tuple[str, ...] = ()
    number: int = 0


class StoredPolicy:
    """The policy in force, as the last apply left it."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._copy = folder.file("policy")
        self._lockdown = folder.file("lockdown")

    def load(self) -> PolicyText | None:
        """Return the policy in force, None before the first apply. Raises `Failed` if broken."""
        return policy_copy.load(self._copy) if self._copy.exists() else None

    def replace(self, text: PolicyText, applied: Applied) -> None:
        """Make this the policy in force. Raises `Failed`."""
        self._folder.make()
        policy_copy.save(text, self._copy)
        self._folder.write_json(_APPLIED, asdict(applied))
        self._keep_need()

    def remember_names(self, names: HostAddresses) -> None:
        """Keep the addresses of the policy's host names; it stays the same policy.

        Raises `Failed`.
        """
        try:
            policy_copy.save_names(self._copy, names)
        except OSError as error:
            raise Failed(f"cannot write {self._copy}: {error.strerror}") from error

    def remember_lans(self, lans: LanNetworks) -> None:
        """Keep the networks of the policy's interfaces, as `remember_names`. Raises `Failed`."""
        try:
            policy_copy.save_lans(self._copy, lans)
        except OSError as error:
            raise Failed(f"cannot write {self._copy}: {error.strerror}") from error

    def remember_lists(self, text: PolicyText) -> None:
        """Keep the policy in force with other contents of its list files. Raises `Failed`."""
        policy_copy.save(text, self._copy)

    def applied(self) -> Applied | None:
        """Return what is known of the last apply, None where nothing readable is."""
        found = self._folder.read_json(_APPLIED)
        try:
            given = tuple(map(str, found.pop("given", ())))
            return Applied(**found, given=given) if found else None
        except TypeError:
            return None

    def exists(self) -> bool:
        """Return True if a policy was ever put in force, even if its files are broken now."""
        return self._copy.exists() or self._folder.file(_APPLIED).exists()

    # other processes watch for a new policy

    def files(self) -> tuple[Path, ...]:
        """Return the files that are replaced whenever another policy is put in force."""
        return (self._copy / "manifest.json", self._folder.file(_APPLIED), self._lockdown)

    def stamp(self) -> tuple[object, ...]:
        """Return a value that differs after another policy, or a lockdown, was put in force."""
        return tuple(_identity(path) for path in self.files())

    # lockdown

    def locked_down(self) -> bool:
        return self._lockdown.exists()

    def lockdown_stamp(self) -> object:
        """Return a value that differs after every lockdown, one upon another included."""
        return _identity(self._lockdown)

    def set_lockdown(self, on: bool) -> None:
        """Begin or end the lockdown. Raises `Failed`."""
        if on:
            self._folder.make()
            self._folder.write(self._lockdown.name, "closed until the next apply\n")
        else:
            self._lockdown.unlink(missing_ok=True)

    # the copy to go back to

    def copy_to(self, previous: Path) -> None:
        """Copy what is in force, policy and lockdown, to an empty folder."""
        if self.locked_down():
            shutil.copy2(self._lockdown, previous / self._lockdown.name)
        if self._copy.exists():
            shutil.copytree(self._copy, previous / "policy")
            _copy_record(self._folder.path, previous)

    def restore_from(self, previous: Path) -> None:
        """Put in force again what `copy_to` has found; where that was nothing, keep no policy.

        A lockdown that has come since stays. Raises `Failed` when the copy is broken.
        """
        if (previous / self._lockdown.name).exists():
            self.set_lockdown(True)
        if (previous / "policy").exists():
            policy_copy.save(policy_copy.load(previous / "policy"), self._copy)
            _copy_record(previous, self._folder.path)
            self._keep_need()
            return
        self._folder.file(_APPLIED).unlink(missing_ok=True)
        self._keep_need()
        shutil.rmtree(self._copy, ignore_errors=True)

    def _keep_need(self) -> None:
        """A file of its own: the unit that goes by it reads no JSON, and no name of a module."""
        applied = self.applied()
        if applied is not None and applied.br_netfilter:
            self._folder.write(_NEEDED, "the policy in force does not hold without br_netfilter\n")
        else:
            self._folder.file(_NEEDED).unlink(missing_ok=True)


def _copy_record(source: Path, target: Path) -> None:
    """Copy ``applied.json``; a process killed in the middle of the first apply has left none."""
    if (source / _APPLIED).exists():
        shutil.copy2(source / _APPLIED, target / _APPLIED)


def _identity(path: Path) -> tuple[int, int] | None:
    """Return inode and time of change: every write replaces the file, so they always differ."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_ino, found.st_mtime_ns)
