"""How many need an item, and for how long one stays that none needs any more. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

_K = TypeVar("_K", bound=Hashable)


class Tally(Generic[_K]):
    """How many need each item."""

    def __init__(self) -> None:
        self.counts: dict[_K, int] = {}
        self._before: dict[_K, bool] = {}

    def add(self, items: Iterable[_K]) -> None:
        for item in items:
            count = self.counts.get(item, 0)
            self._before.setdefault(item, count > 0)
            self.counts[item] = count + 1

    def take(self, items: Iterable[_K]) -> None:
        for item in items:
            count = self.counts.pop(item)
            self._before.setdefault(item, True)
            if count > 1:
                self.counts[item] = count - 1

    def turned(self) -> tuple[set[_K], set[_K]]:
        """Return what is needed now and was not at the last call, and the reverse."""
        before, self._before = self._before, {}
        gained = {item for item, was in before.items() if not was and item in self.counts}
        lost = {item for item, was in before.items() if was and item not in self.counts}
        return gained, lost


class Linger(Generic[_K]):
    """What is not needed any more, and until when it stays all the same."""

    def __init__(self) -> None:
        self.until: dict[_K, float] = {}

    def begin(self, items: Iterable[_K], until: float) -> None:
        self.until |= dict.fromkeys(items, until)

    def back(self, items: set[_K]) -> set[_K]:
        """Return those of the items that are needed again and were there all the time."""
        there = items & self.until.keys()
        for item in there:
            del self.until[item]
        return there

    def end(self, now: float) -> set[_K]:
        """Return what has stayed long enough, and remove it."""
        over = {item for item, end in self.until.items() if end <= now}
        for item in over:
            del self.until[item]
        return over
