"""What one state of our sets allows or denies that another does not, destination by destination.

Pure. Takes the sets and the rules of both states, gives `Difference` values. What was allowed
already, by a wider source or a wider range of ports, does not open; what is still allowed, or was
denied anyway, does not close.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from math import inf
from typing import Literal, TypeAlias, cast

from dockerfw.model.intervals import WHOLE, Interval, Intervals, interval_of, shortest
from dockerfw.model.net import FAMILIES, Family, Port
from dockerfw.plan.state import LiveElement, OddElement
from dockerfw.rules.meaning import (
    BucketMeaning,
    Destination,
    Inside,
    Interface,
    NetworkList,
    SourceMatch,
    read_bucket,
    read_guarded,
)
from dockerfw.rules.names import Verdict, topology_set
from dockerfw.rules.rule import Rule
from dockerfw.rules.ruleset import Element

DifferenceKind: TypeAlias = Literal["open", "close", "deny", "lift", "end"]
Sources: TypeAlias = frozenset[SourceMatch]
_NOBODY: Sources = frozenset()
IntervalsOfList: TypeAlias = Callable[[str], tuple[Interval, ...] | None]
"""Gives what the list set of this name holds, None where that is not known."""
NEVER = inf
"""The end of what does not end by itself."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A change of who may reach a destination.

    kind       ``open``: allowed from now on, ``close``: no longer; ``deny``: denied from now on,
               ``lift``: no longer; ``end``: stays allowed, but until another time
    sources    whom it is about
    excepting  those within ``sources`` for whom nothing changes
    until      when it ends by itself (Unix time; None: never), of ``open`` and ``end``
    """

    kind: DifferenceKind
    destination: Destination
    sources: Sources
    excepting: Sources
    until: int | None = None


# --- one side of the comparison ------------------------------------------------------------------


class Side:
    """The live or the wanted state: all destinations, with those who may or may not reach them.

    ``sets``: name -> elements, None where they are not known. ``rules``: set name -> the rule that
    uses it. ``baseline``: the Docker bridges pass. Destinations are there once `fill` has read
    their elements.
    """

    def __init__(
        self,
        sets: Mapping[str, frozenset[LiveElement] | frozenset[Element] | None],
        rules: Mapping[str, Rule],
        *,
        baseline: bool,
    ) -> None:
        self.baseline = baseline
        self.buckets: dict[str, BucketMeaning] = {
            name: bucket
            for name in sets
            if (bucket := read_bucket(name, rules.get(name))) is not None
        }
        self._sets = sets
        self.some_end = any(bucket.name.until is not None for bucket in self.buckets.values())
        """Whether anything ends by itself."""
        self._meanings: dict[str, list[tuple[Destination, SourceMatch]]] = {}
        self._destinations: dict[Verdict, dict[Destination, Sources]] = {"allow": {}, "deny": {}}
        self._ends: dict[tuple[Destination, SourceMatch], float] = {}
        self._spans: dict[Verdict, dict[object, list[Destination]]] = {"allow": {}, "deny": {}}
        self._subnets: dict[Verdict, list[Destination]] = {"allow": [], "deny": []}
        self._hostnet = {f: self._host_network_ports(f) for f in FAMILIES}

    def elements(self, name: str) -> frozenset[Element]:
        """Return the elements of a set; none where it does not stand or was not read."""
        held = self._sets.get(name) or frozenset[Element]()
        if OddElement not in set(map(type, held)):
            return cast("frozenset[Element]", held)
        return frozenset(e for e in held if not isinstance(e, OddElement))

    def meanings(self, name: str) -> list[tuple[Destination, SourceMatch]]:
        """Return what all elements of a bucket mean."""
        if name not in self._meanings:
            self._meanings[name] = self._read(name, self.elements(name))
        return self._meanings[name]

    def _read(
        self, name: str, elements: Iterable[Element]
    ) -> list[tuple[Destination, SourceMatch]]:
        bucket = self.buckets.get(name)
        read = map(bucket.read, elements) if bucket is not None else ()
        return [meaning for meaning in read if meaning is not None]

    def fill(self, touched: Iterable[Destination]) -> None:
        """Read who reaches these destinations, and all that may hold one of them. To be called
        once.
        """
        places = {(to.family, to.place) for to in touched}
        addresses = {to.where for to in touched}
        ports = {Port(to.protocol, to.first) for to in touched if to.protocol is not None}
        found: dict[Verdict, dict[Destination, set[SourceMatch]]] = {
            "allow": defaultdict(set),
            "deny": defaultdict(set),
        }
        for name, bucket in self.buckets.items():
            if (bucket.name.family, bucket.name.place) not in places:
                continue
            destinations = found[bucket.name.verdict]
            end = NEVER if bucket.name.until is None else bucket.name.until
            for meaning in self._meanings.get(name) or self._about(name, addresses, ports):
                destinations[meaning[0]].add(meaning[1])
                if self.some_end:
                    self._ends[meaning] = max(end, self._ends.get(meaning, 0))
        for verdict, by_destination in found.items():
            self._destinations[verdict] = {to: frozenset(s) for to, s in by_destination.items()}
            for to in by_destination:
                if to.is_subnet:
                    self._subnets[verdict].append(to)
                elif to.first != to.last:
                    self._spans[verdict].setdefault((to.place, to.family, to.where), []).append(to)

    def _about(
        self,
        name: str,
        addresses: Collection[object],
        ports: Collection[object],
    ) -> list[tuple[Destination, SourceMatch]]:
        """Return what those elements mean that may be about these addresses or ports.

        A set with a source in each element is the longest of all, and has no ranges of ports in it.
        """
        elements: Iterable[Element] = self.elements(name)
        if self.buckets[name].name.wildcard:
            elements = [e for e in elements if e[-1] in ports]
        elif self.buckets[name].name.keyed:
            elements = [e for e in elements if e[0] in addresses]
        return self._read(name, elements)

    def _host_network_ports(self, family: Family) -> frozenset[Port]:
        guarded = map(read_guarded, self.elements(topology_set("hostnet", family)))
        return frozenset(one[1] for one in guarded if one is not None)

    def sources(self, verdict: Verdict, to: Destination) -> Sources:
        """Return the sources that the verdict is for at exactly this destination."""
        return self._destinations[verdict].get(to, _NOBODY)

    def end(self, to: Destination, source: SourceMatch) -> float:
        """Return when this source stops to be allowed by itself (Unix time), or `NEVER`."""
        return self._ends.get((to, source), NEVER)

    def reaching(self, verdict: Verdict, to: Destination) -> Sources:
        """Return all sources of the verdict, by wider destinations and the baseline too."""
        found = self.sources(verdict, to)
        for wide in self._around(verdict, to):
            found |= self._destinations[verdict][wide]
        if verdict == "allow" and self._baseline_holds(to):
            found |= {Inside()}
        return found

    def _around(self, verdict: Verdict, to: Destination) -> Iterator[Destination]:
        """Yield the destinations that this one lies in."""
        if not self._destinations[verdict]:
            return
        anywhere = to._replace(where=None)
        if to.where is not None and anywhere in self._destinations[verdict]:
            yield anywhere
        spans = self._spans[verdict]
        for where in {to.where, None}:
            for other in spans.get((to.place, to.family, where), ()):
                if other.covers_ports(to):
                    yield other
        for other in self._subnets[verdict]:
            if other.holds(to) and other.covers_ports(to):
                yield other

    def _baseline_holds(self, to: Destination) -> bool:
        if not self.baseline:
            return False
        if to.place == "container" or to.protocol is None:
            return True
        ports = self._hostnet[to.family]
        return not any(p.protocol == to.protocol and to.first <= p.number <= to.last for p in ports)


# --- arithmetic of sources -----------------------------------------------------------------------


class _Reach:
    """Sources of one family: networks and lists as intervals, the others as they are."""

    def __init__(self, sources: Sources, family: Family, intervals_of: IntervalsOfList) -> None:
        self.others: set[SourceMatch] = set()
        outside: list[Interval] = []
        inside: list[Interval] = []
        for source in sources:
            match source:
                case IPv4Network() | IPv6Network():
                    outside.append(interval_of(source))
                case Inside(network=network) if network is not None:
                    inside.append(interval_of(network))
                case NetworkList(name=name, cls=cls):
                    intervals = intervals_of(name)
                    if intervals is None:
                        self.others.add(source)
                    (outside if cls == "outside" else inside).extend(intervals or ())
                case _:
                    self.others.add(source)
        self.outside = Intervals(outside)
        self.inside = Intervals(inside)
        self._everyone = WHOLE[family]

    def covers(self, source: SourceMatch) -> bool:
        """Return True if these hold all packets of a source that is no network and no list."""
        if source in self.others:
            return True
        if not isinstance(source, Interface):
            return False
        if source.cls == "inside" and Inside() in self.others:
            return True
        if source.cls == "outside" and self.outside.holds(self._everyone):
            return True
        return _pattern_covers(self.others, source)


def _pattern_covers(others: Iterable[SourceMatch], wanted: Interface) -> bool:
    return any(
        isinstance(s, Interface)
        and s.cls == wanted.cls
        and s.name.endswith("*")
        and wanted.name.startswith(s.name[:-1])
        for s in others
    )


def intervals_of_list(elements: Iterable[LiveElement]) -> tuple[Interval, ...]:
    """Return the intervals of a list set, without elements that are no networks (by hand)."""
    return tuple(
        interval_of(part)
        for element in elements
        if not isinstance(element, OddElement)
        for part in element
        if isinstance(part, IPv4Network | IPv6Network)
    )


class SourceArithmetic:
    """Subtracts sources. Many destinations have the same ones, so each result is kept."""

    def __init__(self, intervals_of: IntervalsOfList) -> None:
        self._intervals_of = intervals_of
        self._reaches: dict[tuple[Sources, Family], _Reach] = {}
        self._deltas: dict[object, tuple[Sources, Sources]] = {}

    def at(
        self,
        to: Destination,
        verdict: Verdict,
        here: Side,
        there: Side,
        end: float | None = None,
    ) -> tuple[Sources, Sources]:
        """Return for whom the verdict holds here and not there, and the exceptions within those.

        ``end``: only those for whom it ends here at that time, and not later.
        """
        having = here.sources(verdict, to)
        besides = there.reaching(verdict, to)
        if end is not None:
            besides |= {s for s in having if here.end(to, s) > end}
            having = frozenset(s for s in having if here.end(to, s) == end)
        if not having:
            return frozenset(), frozenset()
        denied = here.reaching("deny", to) if verdict == "allow" else frozenset[SourceMatch]()
        key = (having, besides, denied, to.family)
        if key not in self._deltas:
            self._deltas[key] = self._delta(having, besides, denied, to.family)
        return self._deltas[key]

    def _delta(
        self, having: Sources, besides: Sources, denied: Sources, family: Family
    ) -> tuple[Sources, Sources]:
        mine, known, refused = (self._reach(s, family) for s in (having, besides, denied))
        more = {s for s in mine.others if not known.covers(s) and not refused.covers(s)}
        if Inside() not in known.others and Inside() not in refused.others:
            networks, _ = shortest(mine.inside, known.inside, refused.inside, family)
            more |= {Inside(n) for n in networks}
        networks, excepting = shortest(mine.outside, known.outside, refused.outside, family)
        return frozenset(more | networks), frozenset(excepting)

    def _reach(self, sources: Sources, family: Family) -> _Reach:
        key = (sources, family)
        if key not in self._reaches:
            self._reaches[key] = _Reach(sources, family, self._intervals_of)
        return self._reaches[key]


# --- the comparison ------------------------------------------------------------------------------


def differences(old: Side, new: Side, intervals_of: IntervalsOfList) -> Iterator[Difference]:
    """Yield what differs from ``old`` to ``new``, in no order; fills both."""
    touched = _touched(old, new)
    for side in (old, new):
        side.fill(touched["allow"] | touched["deny"])
    arithmetic = SourceArithmetic(intervals_of)
    verdicts: tuple[tuple[Verdict, DifferenceKind, DifferenceKind], ...] = (
        ("allow", "open", "close"),
        ("deny", "deny", "lift"),
    )
    for verdict, gained, lost in verdicts:
        for to in touched[verdict]:
            before, after = old.sources(verdict, to), new.sources(verdict, to)
            if before != after:
                for end, more in _gained(to, verdict, old, new, arithmetic):
                    yield Difference(gained, to, more, frozenset(), end)
            if not before <= after:
                less, kept = arithmetic.at(to, verdict, old, new)
                if less:
                    yield Difference(lost, to, less, kept)
            if verdict == "allow":
                yield from _other_ends(to, old, new)


def _gained(
    to: Destination, verdict: Verdict, old: Side, new: Side, arithmetic: SourceArithmetic
) -> Iterator[tuple[int | None, Sources]]:
    """Yield for whom the verdict holds in ``new`` alone, by the time at which it ends."""
    after = new.sources(verdict, to)
    if not new.some_end and after <= old.sources(verdict, to):
        return
    ends = {new.end(to, s) for s in after} if new.some_end else {NEVER}
    for end in sorted(ends):
        more, _ = arithmetic.at(to, verdict, new, old, end if new.some_end else None)
        if more:
            yield _until(end), more


def _other_ends(to: Destination, old: Side, new: Side) -> Iterator[Difference]:
    """Yield the sources that may reach it before and after, but until another time."""
    if not (old.some_end or new.some_end):
        return
    both = old.sources("allow", to) & new.sources("allow", to)
    moved = {s: new.end(to, s) for s in both if new.end(to, s) != old.end(to, s)}
    for end in sorted(set(moved.values())):
        sources = frozenset(s for s, other in moved.items() if other == end)
        yield Difference("end", to, sources, frozenset(), _until(end))


def _until(end: float) -> int | None:
    return None if end == NEVER else int(end)


def _touched(old: Side, new: Side) -> dict[Verdict, set[Destination]]:
    """Return the destinations of all elements that only one side has, or that mean something else
    there: most of the time there are few.
    """
    found: dict[Verdict, set[Destination]] = {"allow": set(), "deny": set()}
    for name in old.buckets.keys() | new.buckets.keys():
        before, after = old.buckets.get(name), new.buckets.get(name)
        for bucket, side, other in ((before, old, new), (after, new, old)):
            if bucket is None:
                continue
            if before == after:
                only_here = side.elements(name) - other.elements(name)
                meanings = (m for m in map(bucket.read, only_here) if m is not None)
                found[bucket.name.verdict].update(to for to, _ in meanings)
            else:
                found[bucket.name.verdict].update(to for to, _ in side.meanings(name))
    return found
