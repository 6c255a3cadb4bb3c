"""The policy in force as the daemon follows it: replaced on disk, its sources moved, rules ended.

Takes the copy that `Store` keeps, notices of files and answers of DNS; gives the `Policy` that
holds at this moment. Writes what list files and names hold into that copy, never the kernel.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from dockerfw.dns.resolver import Moved, Resolver
from dockerfw.errors import Failed
from dockerfw.kernel.notices import FileNotices
from dockerfw.model.policy import Policy
from dockerfw.operations.policy_in_force import read_policy_in_force
from dockerfw.operations.session import Session
from dockerfw.policy import files as policyfiles
from dockerfw.policy.files import PolicyText
from dockerfw.text import listed


class PolicyInForce:
    """``whole`` is the policy as written, ``policy`` that of it which has not ended.

    Both are None as long as no policy was ever applied. ``problem`` is why it is not the one that
    was applied (locked down, a broken copy), None where it is.
    """

    def __init__(self, session: Session) -> None:
        self.store = session.store
        self.session = session
        self.files = FileNotices()
        self.resolver = Resolver(session.clock)
        self.text: PolicyText | None = None
        self.whole: Policy | None = None
        self.policy: Policy | None = None
        self.problem: str | None = None
        self.unwatched: frozenset[Path] = frozenset()
        """Files that the kernel tells nothing of: they have to be looked at now and then."""
        self._stamp: tuple[object, ...] | None = None
        self._moved: Moved | None = None

    def close(self) -> None:
        self.files.close()
        self.resolver.stop()

    def replaced(self) -> bool:
        """Whether somebody has put another one in force."""
        return self.store.policy.stamp() != self._stamp

    def read(self) -> None:
        """Take what is on the disk now."""
        self._stamp = self.store.policy.stamp()
        if not self.store.policy.exists() and not self.store.policy.locked_down():
            self.whole = self.text = self.problem = None
        else:
            self.whole, self.text, self.problem = read_policy_in_force(self.store)
        self.cut()
        self._follow()

    def _follow(self) -> None:
        text, whole = self.text, self.whole
        lists = [Path(name) for name in text.files] if text else []
        self._moved = None
        self.unwatched = self.files.watch([*self.store.policy.files(), *lists])
        self.resolver.follow(whole.host_names() if whole else (), text.names if text else {})

    # what ends

    def cut(self) -> bool:
        """Leave out what has ended; whether that made a difference."""
        before = self.policy
        self.policy = self.whole.without_ended(time.time()) if self.whole else None
        return self.policy != before

    def seconds_to_end(self) -> float | None:
        """Until the next rule ends."""
        now = time.time()
        end = self.whole.next_end(now) if self.whole else None
        return None if end is None else max(0.0, end.timestamp() - now)

    # what moves

    def concerns_lists(self) -> bool:
        """Whether what the files' notices tell is about lists; the rest shows by `replaced`."""
        return not self.files.read() <= set(self.store.policy.files())

    def read_lists(self) -> tuple[str | None, tuple[str, ...]]:
        """What has changed in list files, for people, None for nothing; and what was wrong."""
        if self.text is None:
            return None, ()
        text, wrong = policyfiles.reread(self.text)
        if text == self.text:
            return None, wrong
        names = [name for name, held in text.files.items() if held != self.text.files[name]]
        try:
            self.store.policy.remember_lists(text)
        except Failed as error:  # it counts all the same
            wrong += (str(error),)
        self._stamp = self.store.policy.stamp()
        self._take(text)
        return f"{listed(names)} changed", wrong

    def hear_names(self) -> bool:
        """Take what the resolver has to tell; whether `read_names` has something to do."""
        news = self.resolver.take()
        if news is not None:
            said = self._moved.said if self._moved else ()
            self._moved = Moved(news.names, said + news.said)
        return self._moved is not None

    def read_names(self) -> tuple[bool, tuple[str, ...]]:
        """Whether names stand for other addresses now, and what there is to say of them."""
        moved, self._moved = self._moved, None
        if moved is None:
            return False, ()
        if self.text is None or moved.names == self.text.names:
            return False, moved.said
        said = moved.said
        try:
            self.store.policy.remember_names(moved.names)
        except Failed as error:  # they count all the same
            said += (str(error),)
        self._take(replace(self.text, names=moved.names))
        return True, said

    def _take(self, text: PolicyText) -> None:
        self.text, self.whole = text, text.parse()
        self.cut()
