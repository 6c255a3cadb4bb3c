"""What one state of our sets allows or denies that another does not, destination by destination.

Pure. Takes the sets and the rules of both states, gives `Difference` values. What was allowed
already, by a wider source or a wider range of ports, does not open; what is still allowed, or was
denied anyway, does not close.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from math import inf
from typing import Literal, TypeAlias

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
from dockerfw.rules.names import Place, Verdict, topology_set
from dockerfw.rules.rule import Rule
from dockerfw.rules.ruleset import Element

DifferenceKind: TypeAlias = Literal["open", "close", "deny", "lift", "end"]
Sources: TypeAlias = frozenset[SourceMatch]
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
        self._destinations: dict[Verdict, dict[Destination, set[SourceMatch]]] = {
            "allow": defaultdict(set),
            "deny": defaultdict(set),
        }
        self._ends: dict[tuple[Destination, SourceMatch], float] = {}
        self._spans: dict[Verdict, dict[object, list[Destination]]] = {"allow": {}, "deny": {}}
        self._subnets: dict[Verdict, list[Destination]] = {"allow": [], "deny": []}
        self._hostnet = {f: self._host_network_ports(f) for f in FAMILIES}

    def elements(self, name: str) -> frozenset[Element]:
        """Return the elements of a set; none where it does not stand or was not read."""
        held: Iterable[LiveElement] = self._sets.get(name) or ()
        return frozenset(e for e in held if not isinstance(e, OddElement))

    def fill(self, where: set[tuple[Family, Place]]) -> None:
        """Read the elements of the sets of these families and places. To be called once."""
        some_end = any(bucket.name.until is not None for bucket in self.buckets.values())
        for name, bucket in self.buckets.items():
            if (bucket.name.family, bucket.name.place) in where:
                destinations = self._destinations[bucket.name.verdict]
                for meaning in map(bucket.read, self.elements(name)):
                    if meaning is not None:
                        destinations[meaning[0]].add(meaning[1])
                        if some_end:
                            end = NEVER if bucket.name.until is None else bucket.name.until
                            self._ends[meaning] = max(end, self._ends.get(meaning, 0))
        for verdict, found in self._destinations.items():
            for to in found:
                if to.is_subnet:
                    self._subnets[verdict].append(to)
                elif to.first != to.last:
                    self._spans[verdict].setdefault((to.place, to.family, to.where), []).append(to)

    def _host_network_ports(self, family: Family) -> frozenset[Port]:
        guarded = map(read_guarded, self.elements(topology_set("hostnet", family)))
        return frozenset(one[1] for one in guarded if one is not None)

    def destinations(self, verdict: Verdict) -> set[Destination]:
        """Return all destinations that a set has the verdict for."""
        return set(self._destinations[verdict])

    def sources(self, verdict: Verdict, to: Destination) -> Sources:
        """Return the sources that the verdict is for at exactly this destination."""
        return frozenset(self._destinations[verdict].get(to, ()))

    def end(self, to: Destination, source: SourceMatch) -> float:
        """Return when this source stops to be allowed by itself (Unix time), or `NEVER`."""
        return self._ends.get((to, source), NEVER)

    def reaching(self, verdict: Verdict, to: Destination) -> Sources:
        """Return all sources of the verdict, by wider destinations and the baseline too."""
        found = set(self.sources(verdict, to))
        for wide in self._around(verdict, to):
            found |= self._destinations[verdict][wide]
        if verdict == "allow" and self._baseline_holds(to):
            found.add(Inside())
        return frozenset(found)

    def _around(self, verdict: Verdict, to: Destination) -> Iterator[Destination]:
        """Yield the destinations that this one lies in."""
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
    changed = _changed_places(old, new)
    old.fill(changed)
    new.fill(changed)
    arithmetic = SourceArithmetic(intervals_of)
    verdicts: tuple[tuple[Verdict, DifferenceKind, DifferenceKind], ...] = (
        ("allow", "open", "close"),
        ("deny", "deny", "lift"),
    )
    for verdict, gained, lost in verdicts:
        for to in old.destinations(verdict) | new.destinations(verdict):
            if old.sources(verdict, to) != new.sources(verdict, to):
                for end in sorted({new.end(to, s) for s in new.sources(verdict, to)}):
                    more, _ = arithmetic.at(to, verdict, new, old, end)
                    if more:
                        yield Difference(gained, to, more, frozenset(), _until(end))
                less, kept = arithmetic.at(to, verdict, old, new)
                if less:
                    yield Difference(lost, to, less, kept)
            if verdict == "allow":
                yield from _other_ends(to, old, new)


def _other_ends(to: Destination, old: Side, new: Side) -> Iterator[Difference]:
    """Yield the sources that may reach it before and after, but until another time."""
    both = old.sources("allow", to) & new.sources("allow", to)
    moved = {s: new.end(to, s) for s in both if new.end(to, s) != old.end(to, s)}
    for end in sorted(set(moved.values())):
        sources = frozenset(s for s, other in moved.items() if other == end)
        yield Difference("end", to, sources, frozenset(), _until(end))


def _until(end: float) -> int | None:
    return None if end == NEVER else int(end)


def _changed_places(old: Side, new: Side) -> set[tuple[Family, Place]]:
    """Return where any set, or the rule that uses it, differs: most of the time nowhere."""
    changed = set()
    for name in old.buckets.keys() | new.buckets.keys():
        before, after = old.buckets.get(name), new.buckets.get(name)
        if before != after or old.elements(name) != new.elements(name):
            changed |= {(b.name.family, b.name.place) for b in (before, after) if b is not None}
    return changed
