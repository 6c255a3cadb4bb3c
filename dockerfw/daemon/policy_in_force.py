"""The policy in force as the daemon follows it: replaced on disk, its sources moved, rules ended.

Takes the copy that `Store` keeps, notices of files and answers of DNS; gives the `Policy` that
holds at this moment. Writes what list files and names hold into that copy, never the kernel.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dockerfw.clock import Clock
from dockerfw.daemon.edges import NameNotices
from dockerfw.dns.resolver import Moved
from dockerfw.errors import Failed
from dockerfw.kernel.inotify import FileNotices
from dockerfw.model.policy import LanNetworks, Policy
from dockerfw.operations.policy_in_force import read_policy_in_force
from dockerfw.policy import files as policyfiles
from dockerfw.policy.files import PolicyText
from dockerfw.state.store import Store
from dockerfw.text import listed


class PolicyInForce:
    """``whole`` is the policy as written, ``policy`` that of it which has not ended.

    Both are None as long as no policy was ever applied. ``problem`` is why it is not the one that
    was applied (locked down, a broken copy), None where it is.
    """

    def __init__(self, store: Store, clock: Clock, files: FileNotices, names: NameNotices) -> None:
        self._store = store
        self._clock = clock
        self._files = files
        self._names = names
        self.text: PolicyText | None = None
        self.whole: Policy | None = None
        self.policy: Policy | None = None
        self.problem: str | None = None
        self.unwatched: frozenset[Path] = frozenset()
        """Files whose changes the kernel does not announce: they have to be read now and then."""
        self.wrong_names: tuple[str, ...] = ()
        """What is wrong with names, as they were last looked up."""
        self.interfaces: tuple[str, ...] = ()
        """Those of its ``lan:`` sources."""
        self._lans: LanNetworks | None = None
        self._stamp: tuple[object, ...] | None = None
        self._moved: Moved | None = None

    def replaced(self) -> bool:
        """Return True if another policy was put in force, or all was locked down."""
        return self._store.policy.stamp() != self._stamp

    def read(self) -> None:
        """Take what is on the disk now. What cannot be read opens nothing, and is no error."""
        self._stamp = self._store.policy.stamp()
        if not self._store.policy.exists() and not self._store.policy.locked_down():
            self.whole = self.text = self.problem = None
        else:
            self.whole, self.text, self.problem = read_policy_in_force(self._store)
        self.drop_expired()
        self._follow()

    def _follow(self) -> None:
        text, whole = self.text, self.whole
        lists = [Path(name) for name in text.files] if text else []
        self._moved = None
        self.unwatched = self._files.watch([*self._store.policy.files(), *lists])
        self.interfaces = tuple(whole.interfaces()) if whole else ()
        self._lans = None
        names = whole.host_names() if whole else {}
        self._names.follow(names, text.names if text else {})
        followed = {f"host:{name}" for name in names}
        self.wrong_names = tuple(w for w in self.wrong_names if w.split(" ")[0] in followed)

    # what ends

    def drop_expired(self) -> bool:
        """Leave out the rules that have ended. Return True if any had not been left out before."""
        before = self.policy
        self.policy = self.whole.without_ended(self._clock.time()) if self.whole else None
        return self.policy != before

    def seconds_to_end(self) -> float | None:
        """Return the seconds until the next rule ends; None: none does."""
        now = self._clock.time()
        end = self.whole.next_end(now) if self.whole else None
        return None if end is None else max(0.0, end.timestamp() - now)

    # what moves

    def list_files_changed(self) -> bool:
        """Take the notices of files. Return True if one is about a list; the rest is `replaced`."""
        return not self._files.read() <= set(self._store.policy.files())

    def read_lists(self) -> tuple[str | None, tuple[str, ...]]:
        """Return what has changed in list files, for people (None: nothing), and what was wrong."""
        if self.text is None:
            return None, ()
        text, wrong = policyfiles.reread(self.text)
        if text == self.text:
            return None, wrong
        names = [name for name, held in text.files.items() if held != self.text.files[name]]
        try:
            self._store.policy.remember_lists(text)
        except Failed as error:  # it counts all the same
            wrong += (str(error),)
        self._stamp = self._store.policy.stamp()
        self._take(text)
        return f"{listed(names)} changed", wrong

    def take_names(self) -> bool:
        """Take what the resolver has found. Return True if `read_names` has something to do.

        This makes the resolver's descriptor unreadable, so it must not wait for the lock.
        """
        news = self._names.take()
        if news is not None:
            said = self._moved.said if self._moved else ()
            self._moved = replace(news, said=said + news.said)
        return self._moved is not None

    def read_names(self) -> tuple[bool, tuple[str, ...]]:
        """Return whether names stand for other addresses now, and remarks about them."""
        moved, self._moved = self._moved, None
        if moved is None:
            return False, ()
        self.wrong_names = moved.wrong
        if self.text is None or moved.names == self.text.names:
            return False, moved.said
        said = moved.said
        try:
            self._store.policy.remember_names(moved.names)
        except Failed as error:  # they count all the same
            said += (str(error),)
        self._take(replace(self.text, names=moved.names))
        return True, said

    def lans_found(self, found: LanNetworks) -> bool:
        """Take the networks of interfaces. Return True if `read_lans` has something to do."""
        self._lans = found if found.keys() == set(self.interfaces) else None
        return self._lans is not None and self.text is not None and self._lans != self.text.lans

    def read_lans(self) -> tuple[str, ...]:
        """Return what has changed of the networks of interfaces, for people."""
        found, self._lans = self._lans, None
        if found is None or self.text is None or found == self.text.lans:
            return ()
        before = self.text.lans
        said = [
            f"lan:{name} is {listed([str(n) for n in networks]) or 'without a network'}"
            for name, networks in found.items()
            if networks != before.get(name, ())
        ]
        try:
            self._store.policy.remember_lans(found)
        except Failed as error:  # they count all the same
            said.append(str(error))
        self._take(replace(self.text, lans=found))
        return tuple(said)

    def _take(self, text: PolicyText) -> None:
        self.text, self.whole = text, text.parse()
        self.drop_expired()
