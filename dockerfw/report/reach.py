"""Two states of our sets, target by target: what one allows or denies that the other does not.

Pure. Takes text of set entries (`SetState`) and rules, gives `Difference` values. Exact where
that matters to people: what was allowed already, by a wider source or a wider range of ports,
does not open; what is still allowed, or was denied anyway, does not close.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    summarize_address_range,
)
from itertools import islice
from math import inf
from typing import Literal, TypeAlias

from dockerfw.model.net import Family, IPNetwork, Port
from dockerfw.plan.state import SetState
from dockerfw.rules.buckets import (
    Inside,
    Interface,
    NetworkList,
    Place,
    Source,
    Target,
    Verdict,
    read_bucket,
    read_guarded,
)

DifferenceKind: TypeAlias = Literal["open", "close", "deny", "lift", "end"]
Sources: TypeAlias = frozenset[Source]
Span: TypeAlias = tuple[int, int]
"""First and last address, as numbers."""
NEVER = inf
"""An end that does not come."""


@dataclass(frozen=True, slots=True)
class Difference:
    """``sources`` for whom a target opens, closes, is denied or no longer denied.

    ``excepting`` are those within them for whom all stays as it is. ``until``: when what opens
    ends by itself (Unix time; None: never). Kind ``end``: it is open, and that moment changes.
    """

    kind: DifferenceKind
    target: Target
    sources: Sources
    excepting: Sources
    until: int | None = None


# --- one side of the comparison ------------------------------------------------------------------


class Side:
    """The live or the wanted state: all targets, with those who may or may not reach them.

    ``rules``: set name -> the rule that judges by it. ``baseline``: the Docker bridges pass.
    """

    def __init__(
        self, sets: Mapping[str, SetState], rules: Mapping[str, str], *, baseline: bool
    ) -> None:
        self.baseline = baseline
        self.buckets = {
            name: bucket
            for name, state in sets.items()
            if (bucket := read_bucket(name, state.type, rules.get(name))) is not None
        }
        self._sets = sets
        self._targets: dict[Verdict, dict[Target, set[Source]]] = {
            "allow": defaultdict(set),
            "deny": defaultdict(set),
        }
        self._ends: dict[tuple[Target, Source], float] = {}
        self._spans: dict[Verdict, dict[object, list[Target]]] = {"allow": {}, "deny": {}}
        self._subnets: dict[Verdict, list[Target]] = {"allow": [], "deny": []}
        self._hostnet = {f: self._host_network_ports(f) for f in (4, 6)}

    def entries(self, name: str) -> frozenset[str]:
        """Of a set that stands and was read; else none."""
        state = self._sets.get(name)
        return (state.entries if state else None) or frozenset()

    def fill(self, where: set[tuple[Family, Place]]) -> None:
        """Read the entries of these families and places, once."""
        some_end = any(bucket.until is not None for bucket in self.buckets.values())
        for name, bucket in self.buckets.items():
            if (bucket.family, bucket.place) in where:
                targets = self._targets[bucket.verdict]
                for meaning in map(bucket.read, self.entries(name)):
                    if meaning is not None:
                        targets[meaning[0]].add(meaning[1])
                        if some_end:
                            end = NEVER if bucket.until is None else bucket.until
                            self._ends[meaning] = max(end, self._ends.get(meaning, 0))
        for verdict, found in self._targets.items():
            for target in found:
                if target.subnet:
                    self._subnets[verdict].append(target)
                elif target.where is None or target.first != target.last:
                    self._spans[verdict].setdefault(target[:3], []).append(target)

    def _host_network_ports(self, family: int) -> frozenset[Port]:
        guarded = map(read_guarded, self.entries(f"dockerfw-hostnet{family}"))
        return frozenset(one[1] for one in guarded if one is not None)

    def targets(self, verdict: Verdict) -> set[Target]:
        return set(self._targets[verdict])

    def sources(self, verdict: Verdict, target: Target) -> Sources:
        """Those that are named for this very target."""
        return frozenset(self._targets[verdict].get(target, ()))

    def end(self, target: Target, source: Source) -> float:
        """When the kernel ends this source of an allowed target, or `NEVER`."""
        return self._ends.get((target, source), NEVER)

    def reaching(self, verdict: Verdict, target: Target) -> Sources:
        """All sources that the verdict holds for, wider targets and the baseline included."""
        found = set(self.sources(verdict, target))
        for wide in self._around(verdict, target):
            found |= self._targets[verdict][wide]
        if verdict == "allow" and self._baseline_holds(target):
            found.add(Inside())
        return frozenset(found)

    def _around(self, verdict: Verdict, target: Target) -> Iterator[Target]:
        spans = self._spans[verdict]
        for where in {target.where, None}:
            for other in spans.get((target.place, target.family, where), ()):
                if other.covers_ports(target):
                    yield other
        for other in self._subnets[verdict]:
            if other.holds(target) and other.covers_ports(target):
                yield other

    def _baseline_holds(self, target: Target) -> bool:
        if not self.baseline:
            return False
        if target.place == "container" or target.protocol is None:
            return True
        ports = self._hostnet[target.family]
        return not any(
            p.protocol == target.protocol and target.first <= p.number <= target.last for p in ports
        )


# --- arithmetic of sources -----------------------------------------------------------------------


class _Spans:
    """Addresses of one family: spans in order that neither overlap nor touch."""

    def __init__(self, spans: Iterable[Span]) -> None:
        self.all: list[Span] = []
        for first, last in sorted(spans):
            if self.all and first <= self.all[-1][1] + 1:
                self.all[-1] = (self.all[-1][0], max(self.all[-1][1], last))
            else:
                self.all.append((first, last))
        self._firsts = [first for first, _ in self.all]

    def holds(self, span: Span) -> bool:
        at = bisect_right(self._firsts, span[0]) - 1
        return at >= 0 and span[1] <= self.all[at][1]

    def begins_in(self, span: Span) -> bool:
        """Whether one of ours begins in this span."""
        at = bisect_left(self._firsts, span[0])
        return at < len(self._firsts) and self._firsts[at] <= span[1]

    def without(self, other: _Spans) -> Iterator[Span]:
        """What is in ours and not in the other ones."""
        for first, last in self.all:
            start = first
            for cut_first, cut_last in other.overlapping(first, last):
                if start < cut_first:
                    yield start, cut_first - 1
                start = max(start, cut_last + 1)
            if start <= last:
                yield start, last

    def overlapping(self, first: int, last: int) -> Iterator[Span]:
        """Those of ours that have an address from ``first`` to ``last``, in order."""
        at = max(0, bisect_right(self._firsts, first) - 1)
        while at < len(self.all) and self.all[at][0] <= last:
            if self.all[at][1] >= first:
                yield self.all[at]
            at += 1


class _Reach:
    """Sources of one family spelt out: networks and lists as spans, the rest as it is."""

    def __init__(
        self,
        sources: Sources,
        family: Family,
        spans_of: Callable[[str], tuple[Span, ...] | None],
    ) -> None:
        self.others: set[Source] = set()
        outside: list[Span] = []
        inside: list[Span] = []
        for source in sources:
            match source:
                case IPv4Network() | IPv6Network():
                    outside.append(span_of(source))
                case Inside(network=network) if network is not None:
                    inside.append(span_of(network))
                case NetworkList(name=name, cls=cls):
                    spans = spans_of(name)
                    if spans is None:
                        self.others.add(source)
                    (outside if cls == "outside" else inside).extend(spans or ())
                case _:
                    self.others.add(source)
        self.outside = _Spans(outside)
        self.inside = _Spans(inside)
        self._everyone = (0, 2 ** (32 if family == 4 else 128) - 1)

    def covers(self, source: Source) -> bool:
        """Whether all of one of the others comes in here."""
        if source in self.others:
            return True
        if not isinstance(source, Interface):
            return False
        if source.cls == "inside" and Inside() in self.others:
            return True
        if source.cls == "outside" and self.outside.holds(self._everyone):
            return True
        return _pattern_covers(self.others, source)


def _pattern_covers(others: Iterable[Source], wanted: Interface) -> bool:
    return any(
        isinstance(s, Interface)
        and s.cls == wanted.cls
        and s.name.endswith("*")
        and wanted.name.startswith(s.name[:-1])
        for s in others
    )


def span_of(network: IPNetwork) -> Span:
    first = int(network.network_address)
    return first, first | ((1 << (network.max_prefixlen - network.prefixlen)) - 1)


def spans_of_text(entries: Iterable[str]) -> Iterator[Span]:
    """Of the entries of a list set; those that are no networks (by hand) are passed over."""
    for entry in entries:
        address, _, length = entry.partition("/")
        bits = 128 if ":" in address else 32
        try:
            first = int(IPv6Address(address) if bits == 128 else IPv4Address(address))
            yield first, first | ((1 << (bits - int(length or bits))) - 1)
        except ValueError:
            continue


def _networks(spans: Iterable[Span], family: Family) -> Iterator[IPNetwork]:
    for first, last in spans:
        if family == 4:
            yield from summarize_address_range(IPv4Address(first), IPv4Address(last))
        else:
            yield from summarize_address_range(IPv6Address(first), IPv6Address(last))


class _Arithmetic:
    """Differences of sources. Many targets have the same ones: each is worked out once."""

    def __init__(self, spans_of: Callable[[str], tuple[Span, ...] | None]) -> None:
        self._spans_of = spans_of
        self._reaches: dict[tuple[Sources, Family], _Reach] = {}
        self._deltas: dict[object, tuple[Sources, Sources]] = {}

    def at(
        self,
        target: Target,
        verdict: Verdict,
        here: Side,
        there: Side,
        end: float | None = None,
    ) -> tuple[Sources, Sources]:
        """For whom the verdict holds here and not there; and, within that, still holds there.

        ``end``: only of those for whom it ends here at that time, and not later.
        """
        having = here.sources(verdict, target)
        besides = there.reaching(verdict, target)
        if end is not None:
            besides |= {s for s in having if here.end(target, s) > end}
            having = frozenset(s for s in having if here.end(target, s) == end)
        if not having:
            return frozenset(), frozenset()
        denied = here.reaching("deny", target) if verdict == "allow" else frozenset[Source]()
        key = (having, besides, denied, target.family)
        if key not in self._deltas:
            self._deltas[key] = self._delta(having, besides, denied, target.family)
        return self._deltas[key]

    def _delta(
        self, having: Sources, besides: Sources, denied: Sources, family: Family
    ) -> tuple[Sources, Sources]:
        mine, known, refused = (self._reach(s, family) for s in (having, besides, denied))
        more = {s for s in mine.others if not known.covers(s) and not refused.covers(s)}
        if Inside() not in known.others and Inside() not in refused.others:
            spans, _ = _shortest(mine.inside, known.inside, refused.inside, family)
            more |= {Inside(n) for n in spans}
        networks, excepting = _shortest(mine.outside, known.outside, refused.outside, family)
        return frozenset(more | networks), frozenset(excepting)

    def _reach(self, sources: Sources, family: Family) -> _Reach:
        key = (sources, family)
        if key not in self._reaches:
            self._reaches[key] = _Reach(sources, family, self._spans_of)
        return self._reaches[key]


def _shortest(
    mine: _Spans, known: _Spans, refused: _Spans, family: Family
) -> tuple[set[IPNetwork], set[IPNetwork]]:
    """What of ``mine`` is in neither other one, in as few networks as say it.

    That is to the address, or, where this is shorter, whole networks and what is known of them.
    """
    rest = _Spans(_Spans(mine.without(known)).without(refused))
    touched = _Spans(span for span in mine.all if rest.begins_in(span))
    roughly = set(_networks(touched.all, family))
    if rest.all == touched.all:
        return roughly, set()
    exactly = set(islice(_networks(rest.all, family), len(roughly) + 1))
    if len(exactly) <= len(roughly):
        return exactly, set()
    kept = touched.without(_Spans(touched.without(known)))
    return roughly, set(_networks(kept, family))


# --- the comparison ------------------------------------------------------------------------------


def differences(
    old: Side, new: Side, spans_of: Callable[[str], tuple[Span, ...] | None]
) -> Iterator[Difference]:
    """Target by target, in no order.

    ``spans_of`` gives what a list set holds, None when that is not known.
    """
    changed = _changed_places(old, new)
    old.fill(changed)
    new.fill(changed)
    count = _Arithmetic(spans_of)
    verdicts: tuple[tuple[Verdict, DifferenceKind, DifferenceKind], ...] = (
        ("allow", "open", "close"),
        ("deny", "deny", "lift"),
    )
    for verdict, gained, lost in verdicts:
        for target in old.targets(verdict) | new.targets(verdict):
            if old.sources(verdict, target) != new.sources(verdict, target):
                for end in sorted({new.end(target, s) for s in new.sources(verdict, target)}):
                    more, _ = count.at(target, verdict, new, old, end)
                    if more:
                        yield Difference(gained, target, more, frozenset(), _known(end))
                less, kept = count.at(target, verdict, old, new)
                if less:
                    yield Difference(lost, target, less, kept)
            if verdict == "allow":
                yield from _other_ends(target, old, new)


def _other_ends(target: Target, old: Side, new: Side) -> Iterator[Difference]:
    """Sources that may reach the target before and after, but not for as long, or for longer."""
    both = old.sources("allow", target) & new.sources("allow", target)
    moved = {s: new.end(target, s) for s in both if new.end(target, s) != old.end(target, s)}
    for end in sorted(set(moved.values())):
        sources = frozenset(s for s, other in moved.items() if other == end)
        yield Difference("end", target, sources, frozenset(), _known(end))


def _known(end: float) -> int | None:
    return None if end == NEVER else int(end)


def _changed_places(old: Side, new: Side) -> set[tuple[Family, Place]]:
    """Where any set, or the rule that uses it, is not the same: most of the time nowhere."""
    changed = set()
    for name in old.buckets.keys() | new.buckets.keys():
        before, after = old.buckets.get(name), new.buckets.get(name)
        if before != after or old.entries(name) != new.entries(name):
            changed |= {(b.family, b.place) for b in (before, after) if b is not None}
    return changed
