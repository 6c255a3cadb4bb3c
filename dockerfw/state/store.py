"""What dockerfw remembers on disk: the policy in force, what was last seen, locks.

Takes and gives values; reads and writes only below the two folders of `Store`
(``/var/lib/dockerfw`` and ``/run/dockerfw``; systemd's ``STATE_DIRECTORY`` and
``RUNTIME_DIRECTORY`` where it sets them). Never touches the kernel or Docker.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from dockerfw.errors import DockerfwError, Failed
from dockerfw.model.host import Flavour
from dockerfw.model.inventory import Inventory
from dockerfw.model.policy import HostAddresses
from dockerfw.plan.planner import Created
from dockerfw.policy import files as policyfiles
from dockerfw.policy.files import PolicyText
from dockerfw.state import inventory_file as inventoryfile


@dataclass(frozen=True, slots=True)
class Applied:
    """Of the last apply: which file it was, when (Unix time), under which iptables flavour."""

    config: str
    at: float
    flavour: Flavour


@dataclass(frozen=True, slots=True)
class Pending:
    """An apply that waits for `confirm`: until when (Unix time), under which token."""

    token: str
    deadline: float


@dataclass(frozen=True, slots=True)
class DaemonState:
    """What the daemon says of itself.

    ``docker`` is why Docker does not answer, None while it does; ``reconciled_at`` (Unix time) is
    when kernel, policy and Docker were last seen to agree; ``healed`` counts repairs; ``notes`` is
    what somebody should look at.
    """

    docker: str | None = None
    reconciled_at: float | None = None
    healed: int = 0
    notes: tuple[str, ...] = ()


class Store:
    """The two folders. Every write replaces a file whole."""

    def __init__(self, folder: Path | None = None, run: Path | None = None) -> None:
        self.folder = folder or Path(os.environ.get("STATE_DIRECTORY", "/var/lib/dockerfw"))
        self.run = run or Path(os.environ.get("RUNTIME_DIRECTORY", "/run/dockerfw"))

    # the policy in force

    @property
    def _policy(self) -> Path:
        return self.folder / "policy"

    @property
    def _previous(self) -> Path:
        return self.folder / "previous"

    def policy_in_force(self) -> PolicyText | None:
        """None: nothing was applied yet. A copy that is broken raises `Failed`."""
        return policyfiles.load(self._policy) if self._policy.exists() else None

    def replace_policy(self, text: PolicyText, applied: Applied) -> None:
        """Make this the policy in force."""
        self._make()
        text.save(self._policy)
        self._write_json(self.folder / "applied.json", asdict(applied))

    def remember_names(self, names: HostAddresses) -> None:
        """What the names of the policy in force stand for now; it stays the same policy."""
        try:
            policyfiles.save_names(self._policy, names)
        except OSError as error:
            raise Failed(f"cannot write {self._policy}: {error.strerror}") from error

    def remember_lists(self, text: PolicyText) -> None:
        """The policy in force, with other contents of its list files."""
        text.save(self._policy)

    def applied(self) -> Applied | None:
        found = self._read_json(self.folder / "applied.json")
        try:
            return Applied(**found) if found else None
        except TypeError:
            return None

    def governs(self) -> bool:
        """Whether a policy was ever put in force, though what tells of it may be broken now."""
        return self._policy.exists() or (self.folder / "applied.json").exists()

    # what was last seen

    def remember(self, inventory: Inventory) -> None:
        """Subnets and published ports, for the next boot."""
        self._make()
        text = inventoryfile.dump(inventory)
        path = self.folder / "inventory.json"
        if not path.exists() or path.read_text() != text:
            self._write(path, text)

    def last_seen(self) -> Inventory:
        """Empty when nothing usable was kept."""
        try:
            return inventoryfile.load((self.folder / "inventory.json").read_text())
        except (OSError, UnicodeDecodeError, DockerfwError):
            return Inventory()

    def keep_seal(self, document: str) -> None:
        """The seal as a document for nft, for whoever flushes the ruleset to include."""
        path = self.folder / "seal.nft"
        if not path.exists() or path.read_text() != document:
            self._make()
            self._write(path, document)

    # what was made that is not ours by name

    def created(self) -> frozenset[Created]:
        found = self._read_json(self.folder / "created.json")
        try:
            return frozenset(Created(**one) for one in found.get("created", ()))
        except (TypeError, AttributeError):
            return frozenset()

    def remember_created(self, created: tuple[Created, ...]) -> None:
        """Written before the kernel is: a crash in between must not hide who made it."""
        everything = self.created() | set(created)
        if everything != self.created():
            self._make()
            self._write_json(
                self.folder / "created.json",
                {"created": sorted((asdict(c) for c in everything), key=str)},
            )

    # the daemon

    def write_daemon(self, state: DaemonState) -> None:
        """For ``status``; gone when the daemon is."""
        self._make_run()
        self._write_json(self.run / "daemon.json", asdict(state))

    def read_daemon(self) -> DaemonState | None:
        """None: it has not said anything yet, or none runs."""
        found = self._read_json(self.run / "daemon.json")
        try:
            return DaemonState(**{**found, "notes": tuple(found["notes"])}) if found else None
        except (TypeError, KeyError):
            return None

    def policy_files(self) -> tuple[Path, ...]:
        """The files that are replaced whenever another policy is put in force."""
        return (self._policy / "manifest.json", self.folder / "applied.json", self._lockdown)

    def stamp(self) -> tuple[object, ...]:
        """What changes whenever another policy is put in force, or all is locked down."""
        return tuple(_identity(path) for path in self.policy_files())

    # lockdown

    @property
    def _lockdown(self) -> Path:
        return self.folder / "lockdown"

    def locked_down(self) -> bool:
        return self._lockdown.exists()

    def set_lockdown(self, on: bool) -> None:
        if on:
            self._make()
            self._write(self._lockdown, "closed until the next apply\n")
        else:
            self._lockdown.unlink(missing_ok=True)

    # confirm and rollback

    def begin_confirm(self, seconds: float) -> Pending:
        """Keep the policy in force as the one to go back to, before it is replaced."""
        self._make()
        shutil.rmtree(self._previous, ignore_errors=True)
        self._previous.mkdir(mode=0o700)
        if self._policy.exists():
            shutil.copytree(self._policy, self._previous / "policy")
            self._copy_record(self.folder, self._previous)
        pending = Pending(os.urandom(8).hex(), time.time() + seconds)
        self._write_json(self.folder / "pending.json", asdict(pending))
        return pending

    def pending(self) -> Pending | None:
        found = self._read_json(self.folder / "pending.json")
        try:
            return Pending(**found) if found else None
        except TypeError:
            return None

    def keep(self) -> None:
        """The pending apply, if any, is kept."""
        self._end_confirm(kept=True)

    def was_kept(self, token: str) -> bool:
        """How the confirm with this token ended, once `pending` no longer shows it."""
        found = self._read_json(self.folder / "confirmed.json")
        return found == {"token": token, "kept": True}

    def restore_previous(self) -> bool:
        """Put the previous policy back in force; False: there was none. Ends the confirm."""
        had_one = (self._previous / "policy").exists()
        if had_one:
            policyfiles.load(self._previous / "policy").save(self._policy)
            self._copy_record(self._previous, self.folder)
        else:
            (self.folder / "applied.json").unlink(missing_ok=True)
            shutil.rmtree(self._policy, ignore_errors=True)
        self._end_confirm(kept=False)
        return had_one

    @staticmethod
    def _copy_record(source: Path, target: Path) -> None:
        """Who was killed in the middle of the first apply has left none."""
        if (source / "applied.json").exists():
            shutil.copy2(source / "applied.json", target / "applied.json")

    def _end_confirm(self, *, kept: bool) -> None:
        pending = self.pending()
        if pending is not None:
            self._write_json(self.folder / "confirmed.json", {"token": pending.token, "kept": kept})
        (self.folder / "pending.json").unlink(missing_ok=True)
        shutil.rmtree(self._previous, ignore_errors=True)

    def forget(self) -> None:
        """Everything but the locks."""
        for child in self.folder.glob("*"):
            if child.is_dir():
                shutil.rmtree(child, ignore_errors=True)
            else:
                child.unlink(missing_ok=True)

    # locks

    @contextmanager
    def lock(self, say: Callable[[str], None]) -> Iterator[None]:
        """One writer at a time; a second one waits and says so once."""
        with self._lock_file("lock") as file:
            if not _locked(file):
                say("another dockerfw is at work: waiting for it")
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @contextmanager
    def try_lock(self) -> Iterator[bool]:
        """As `lock`, but gives False at once when somebody else is at work."""
        with self._lock_file("lock") as file:
            yield _locked(file)

    @contextmanager
    def claim_daemon(self) -> Iterator[None]:
        """Be the one daemon of this host. Raises `Failed` when there is one."""
        with self._lock_file("daemon.lock") as file:
            if not _locked(file):
                raise Failed("a dockerfw daemon is running already: see dockerfw status")
            try:
                yield
            finally:
                (self.run / "daemon.json").unlink(missing_ok=True)

    def _lock_file(self, name: str) -> TextIO:
        """A lock ends when its file is closed."""
        self._make_run()
        try:
            return (self.run / name).open("a")
        except OSError as error:
            raise Failed(f"cannot write {self.run / name}: {error.strerror}") from error

    def daemon_alive(self) -> bool:
        """Whether a daemon holds its lock."""
        try:
            with (self.run / "daemon.lock").open("r") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    # files

    def _make(self) -> None:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise Failed(f"cannot write {self.folder}: {error.strerror}") from error

    def _make_run(self) -> None:
        try:
            self.run.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise Failed(f"cannot write {self.run}: {error.strerror}") from error

    def _read_json(self, path: Path) -> dict[str, Any]:
        try:
            found = json.loads(path.read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _write_json(self, path: Path, value: object) -> None:
        self._write(path, json.dumps(value, indent=1) + "\n")

    def _write(self, path: Path, text: str) -> None:
        try:
            policyfiles.replace_file(path, text.encode())
        except OSError as error:
            raise Failed(f"cannot write {path}: {error.strerror}") from error


def _locked(file: TextIO) -> bool:
    """Whether the lock is ours now; False: somebody else has it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _identity(path: Path) -> tuple[int, int] | None:
    """Every write replaces the file, so that it is another one each time."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_ino, found.st_mtime_ns)
