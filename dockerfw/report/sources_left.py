"""Who of an allow is left when denies have taken theirs, in the words of the policy's author.

Pure. Goes by the terms into which ``rules/sources.py`` makes sources, for one source of a statement
at a time. Containers as sources stand for themselves, whoever they name now, so that an answer
holds as long as the policy does: it is found once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address
from typing import TypeAlias, get_args

from dockerfw.model.intervals import WHOLE, Interval, Intervals, interval_of
from dockerfw.model.net import FAMILIES, Address, Family
from dockerfw.model.policy import Allow, Deny, Selector
from dockerfw.rules.names import Class
from dockerfw.rules.sources import (
    Everyone,
    FromInterface,
    Keyed,
    Listed,
    SourceTerms,
    Term,
)


@dataclass(frozen=True, slots=True)
class Left:
    """Sources of an allow: whoever ``words`` name and ``excepting`` do not.

    Both are words of ``from``, as written. ``families`` are those in which anybody is left,
    ``until`` is when the allow ends.
    """

    words: tuple[str, ...]
    excepting: tuple[str, ...]
    families: frozenset[Family]
    until: datetime | None = None


class SourcesLeft:
    """Answers for the statements of one policy, by their indexes."""

    def __init__(self, statements: Sequence[Allow | Deny]) -> None:
        self._statements = statements
        self._terms = SourceTerms(self._placeholder)
        self._selectors: dict[Selector, tuple[Address, Address]] = {}
        self._sources: dict[int, tuple[_Source, ...]] = {}
        self._together: dict[frozenset[int], _Source] = {}
        self._found: dict[tuple[int, frozenset[int]], Left | None] = {}

    def left(self, allow: int, denies: frozenset[int]) -> Left | None:
        """Return who of an allow no deny of these turns away; None: nobody is left."""
        key = (allow, denies)
        if key not in self._found:
            self._found[key] = self._left(allow, self._meeting(allow, denies))
        return self._found[key]

    def _meeting(self, allow: int, denies: frozenset[int]) -> list[int]:
        """Return these denies in their order, none where not one of them is about the same sources:
        one look at all together tells, mostly.
        """
        if denies not in self._together:
            self._together[denies] = _together([s for deny in denies for s in self._of(deny)])
        all_denied = self._together[denies]
        met = any(source.meets(all_denied) for source in self._of(allow))
        return sorted(denies) if met else []

    def _left(self, allow: int, denies: Iterable[int]) -> Left | None:
        denied = [source for deny in denies for source in self._of(deny)]
        words: dict[str, None] = {}
        kept: list[_Source] = []
        families: set[Family] = set()
        for word, sources in self._by_word(allow).items():
            open_in = {f for source in sources for f in source.families_left(denied)}
            if open_in:
                words[word] = None
                kept += sources
                families |= open_in
        if not words:
            return None
        excepting = {
            word: None
            for deny in denies
            for word, sources in self._by_word(deny).items()
            if any(one.meets(other) for one in sources for other in kept)
        }
        statement = self._statements[allow]
        until = statement.until if isinstance(statement, Allow) else None
        return Left(tuple(words), tuple(excepting), frozenset(families), until)

    def _by_word(self, index: int) -> dict[str, list[_Source]]:
        """Return the sources that each word of ``from`` may stand for: a name of a list for all
        that no other word is.
        """
        statement = self._statements[index]
        own: dict[str, list[_Source]] = {}
        for value, source in zip(statement.sources, self._of(index), strict=True):
            own.setdefault(str(value), []).append(source)
        written = dict.fromkeys(statement.written_from or own)
        others = [s for word, sources in own.items() if word not in written for s in sources]
        return {word: own.get(word, others) for word in written}

    def _of(self, index: int) -> tuple[_Source, ...]:
        if index not in self._sources:
            statement = self._statements[index]
            alone = (replace(statement, sources=(source,)) for source in statement.sources)
            self._sources[index] = tuple(map(self._source, alone))
        return self._sources[index]

    def _source(self, statement: Allow | Deny) -> _Source:
        parts: dict[tuple[Family, Class], _Part] = {}
        for family in FAMILIES:
            terms = self._terms.terms(0, statement, family)
            parts |= {(family, cls): _part(terms[cls], family) for cls in get_args(Class)}
        self._terms.forget(0)
        return _Source(parts)

    def _placeholder(self, selector: Selector) -> tuple[Address, Address]:
        """Return addresses of both families that no container has: one pair for each selector."""
        number = len(self._selectors) + 1
        return self._selectors.setdefault(selector, (IPv4Address(number), IPv6Address(number)))


# --- the arithmetic ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Part:
    """Sources of one family and class. ``size`` is the number of the addresses."""

    everyone: bool
    interfaces: tuple[str, ...]
    addresses: Intervals
    size: int

    @property
    def empty(self) -> bool:
        return not (self.everyone or self.interfaces or self.addresses.all)

    def covered_by(self, others: Sequence[_Part]) -> bool:
        """Return True if every packet from here is from one of the others."""
        if any(other.everyone for other in others):
            return True
        patterns = [pattern for other in others for pattern in other.interfaces]
        if self.everyone or not all(
            any(_holds(pattern, name) for pattern in patterns) for name in self.interfaces
        ):
            return False
        # Long lists are seldom denied as a whole: mostly the number of addresses tells.
        if sum(other.size for other in others) < self.size:
            return False
        rest = self.addresses
        for other in others:
            rest = rest.without(other.addresses)
        return not rest.all

    def meets(self, other: _Part, cls: Class) -> bool:
        """Return True if a packet may be from both.

        Any two kinds of containers may be the same ones.
        """
        if self.empty or other.empty:
            return False
        if self.everyone or other.everyone:
            return True
        if any(
            _holds(one, two) or _holds(two, one)
            for one in self.interfaces
            for two in other.interfaces
        ):
            return True
        if (self.interfaces and other.addresses.all) or (other.interfaces and self.addresses.all):
            return True
        if cls == "inside":
            return bool(self.addresses.all and other.addresses.all)
        few, many = sorted((self.addresses, other.addresses), key=lambda i: len(i.all))
        return any(many.meets(interval) for interval in few.all)


_Parts: TypeAlias = Mapping[tuple[Family, Class], _Part]


@dataclass(frozen=True, slots=True)
class _Source:
    """One word of ``from`` that is no name of a list."""

    parts: _Parts = field(repr=False)

    def families_left(self, denied: Sequence[_Source]) -> Iterator[Family]:
        for (family, cls), part in self.parts.items():
            others = [d.parts[family, cls] for d in denied if part.meets(d.parts[family, cls], cls)]
            if not part.empty and not part.covered_by(others):
                yield family

    def meets(self, other: _Source) -> bool:
        return any(
            part.meets(other.parts[key], key[1])
            for key, part in self.parts.items()
            if key in other.parts
        )


def _together(sources: Sequence[_Source]) -> _Source:
    """Return all of these as one."""
    keys = {key for source in sources for key in source.parts}
    return _Source({key: _whole([s.parts[key] for s in sources]) for key in keys})


def _whole(parts: Sequence[_Part]) -> _Part:
    addresses = Intervals(interval for part in parts for interval in part.addresses.all)
    return _Part(
        any(part.everyone for part in parts),
        tuple(dict.fromkeys(name for part in parts for name in part.interfaces)),
        addresses,
        _size(addresses),
    )


def _size(addresses: Intervals) -> int:
    return sum(last - first + 1 for first, last in addresses.all)


def _part(terms: Iterable[Term], family: Family) -> _Part:
    everyone = False
    interfaces: list[str] = []
    addresses: list[Interval] = []
    for term in terms:
        match term:
            case Everyone():
                everyone = True
            case FromInterface(name=name):
                interfaces.append(name)
            case Keyed(networks=networks) | Listed(networks=networks):
                addresses += map(interval_of, networks)
    intervals = Intervals(addresses)
    everyone = everyone or intervals.holds(WHOLE[family])
    return _Part(everyone, tuple(interfaces), intervals, _size(intervals))


def _holds(pattern: str, interface: str) -> bool:
    """Return True if the pattern holds every interface that the other one does."""
    if pattern.endswith("*"):
        return interface.startswith(pattern[:-1])
    return interface == pattern
