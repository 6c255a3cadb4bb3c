"""Two states of our sets, target by target: what one allows or denies that the other does not.

Pure. Takes text of set entries (`SetState`) and rules, gives `Difference` values. Exact where
that matters to people: what was allowed already, by a wider source or a wider range of ports,
does not open; what is still allowed, or was denied anyway, does not close.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, collapse_addresses
from typing import Literal, TypeAlias

from dockerfw.buckets import (
    Bucket,
    Inside,
    Interface,
    NetworkList,
    Source,
    Target,
    Verdict,
    network_of,
    read_bucket,
    read_guarded,
)
from dockerfw.kernelstate import SetState
from dockerfw.policy import IPNetwork
from dockerfw.ruleset import Port

DifferenceKind: TypeAlias = Literal["open", "close", "deny", "lift"]
Sources: TypeAlias = frozenset[Source]


class Side:
    """All targets of the live or the wanted state, with those who may or may not reach them."""

    def __init__(
        self, sets: Mapping[str, SetState], rules: Mapping[str, str], baseline: bool
    ) -> None:
        self._sets = sets
        self.baseline = baseline
        self._targets: dict[Verdict, dict[Target, set[Source]]] = {
            "allow": defaultdict(set),
            "deny": defaultdict(set),
        }
        self._spans: dict[Verdict, dict[object, list[Target]]] = {"allow": {}, "deny": {}}
        self._subnets: dict[Verdict, list[Target]] = {"allow": [], "deny": []}
        for name, state in sets.items():
            bucket = read_bucket(name, state.type, rules.get(name))
            if bucket is not None:
                self._fill(bucket, state.entries or frozenset())
        for verdict, targets in self._targets.items():
            for target in targets:
                if target.subnet:
                    self._subnets[verdict].append(target)
                elif target.where is None or target.first != target.last:
                    self._spans[verdict].setdefault(target[:3], []).append(target)
        self._hostnet = {f: self._host_network_ports(f) for f in (4, 6)}

    def _fill(self, bucket: Bucket, entries: frozenset[str]) -> None:
        targets = self._targets[bucket.verdict]
        for entry in entries:
            if (meaning := bucket.read(entry)) is not None:
                targets[meaning[0]].add(meaning[1])

    def _host_network_ports(self, family: int) -> frozenset[Port]:
        guarded = map(read_guarded, self.entries(f"dockerfw-hostnet{family}"))
        return frozenset(one[1] for one in guarded if one is not None)

    def targets(self, verdict: Verdict) -> set[Target]:
        return set(self._targets[verdict])

    def sources(self, verdict: Verdict, target: Target) -> Sources:
        """Those that are named for this very target."""
        return frozenset(self._targets[verdict].get(target, ()))

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
            p.protocol == target.protocol and target.first <= p.number <= target.last
            for p in ports
        )

    def entries(self, name: str) -> frozenset[str]:
        """Of a set that stands and was read; else none."""
        return self.networks(name) or frozenset()

    def networks(self, name: str) -> frozenset[str] | None:
        """What a list set holds; None: that was not read."""
        state = self._sets.get(name)
        return state.entries if state else None


# --- arithmetic of sources -----------------------------------------------------------------------


class _Reach:
    """Sources spelt out: lists by their networks, networks without overlaps."""

    def __init__(
        self, sources: Sources, networks_of: Callable[[str], frozenset[str] | None]
    ) -> None:
        self.others: set[Source] = set()
        outside: list[IPNetwork] = []
        inside: list[IPNetwork] = []
        for source in sources:
            match source:
                case IPv4Network() | IPv6Network():
                    outside.append(source)
                case Inside(network=network) if network is not None:
                    inside.append(network)
                case NetworkList(name=name, cls=cls):
                    entries = networks_of(name)
                    if entries is None:
                        self.others.add(source)
                    (outside if cls == "outside" else inside).extend(map(network_of, entries or ()))
                case _:
                    self.others.add(source)
        self.outside = _index(outside)
        self.inside = _index(inside)
        self._outside_lengths = {n.prefixlen for n in self.outside}
        self._inside_lengths = {n.prefixlen for n in self.inside}

    def all(self) -> Iterator[Source]:
        yield from self.outside
        yield from map(Inside, self.inside)
        yield from self.others

    def covers(self, source: Source) -> bool:
        if source in self.others:
            return True
        match source:
            case IPv4Network() | IPv6Network():
                return _within(source, self.outside, self._outside_lengths)
            case Inside(network=network):
                if network is None or Inside() in self.others:
                    return Inside() in self.others
                return _within(network, self.inside, self._inside_lengths)
            case Interface(cls="inside"):
                return Inside() in self.others or _pattern_covers(self.others, source)
            case Interface():
                return 0 in self._outside_lengths or _pattern_covers(self.others, source)
        return False

    def within(self, sources: Iterable[Source]) -> frozenset[Source]:
        """Those of our outside networks that lie within a larger one of these."""
        outer = {s for s in sources if isinstance(s, IPv4Network | IPv6Network)}
        lengths = {n.prefixlen for n in outer}
        return frozenset(n for n in self.outside if _within(n, outer, lengths))


def _index(networks: list[IPNetwork]) -> set[IPNetwork]:
    return set(collapse_addresses(networks))  # type: ignore[type-var]


def _within(network: IPNetwork, outer: set[IPNetwork], lengths: set[int]) -> bool:
    return any(
        network.supernet(new_prefix=length) in outer
        for length in lengths
        if length <= network.prefixlen
    )


def _pattern_covers(others: Iterable[Source], wanted: Interface) -> bool:
    return any(
        isinstance(s, Interface)
        and s.cls == wanted.cls
        and s.name.endswith("*")
        and wanted.name.startswith(s.name[:-1])
        for s in others
    )


class _Arithmetic:
    """Differences of sources. Many targets have the same ones: each is worked out once."""

    def __init__(self, old: Side, new: Side) -> None:
        self._old = old
        self._new = new
        self._reaches: dict[Sources, _Reach] = {}
        self._deltas: dict[tuple[Sources, Sources, Sources], tuple[Sources, Sources]] = {}

    def _networks_of(self, name: str) -> frozenset[str] | None:
        # A list never changes under its name: either side may know it.
        found = self._new.networks(name)
        return self._old.networks(name) if found is None else found

    def _reach(self, sources: Sources) -> _Reach:
        if sources not in self._reaches:
            self._reaches[sources] = _Reach(sources, self._networks_of)
        return self._reaches[sources]

    def at(
        self, target: Target, verdict: Verdict, here: Side, there: Side
    ) -> tuple[Sources, Sources]:
        """For whom the verdict holds here and not there; and, within that, still holds there."""
        denied = here.reaching("deny", target) if verdict == "allow" else frozenset[Source]()
        return self._delta(here.sources(verdict, target), there.reaching(verdict, target), denied)

    def _delta(
        self, having: Sources, besides: Sources, denied: Sources
    ) -> tuple[Sources, Sources]:
        """What of ``having`` is in neither other one; and what within that is in ``besides``."""
        key = (having, besides, denied)
        if key not in self._deltas:
            known, refused = self._reach(besides), self._reach(denied)
            more = frozenset(
                s
                for s in self._reach(having).all()
                if not known.covers(s) and not refused.covers(s)
            )
            self._deltas[key] = (more, known.within(more))
        return self._deltas[key]


@dataclass(frozen=True, slots=True)
class Difference:
    """``sources`` for whom a target opens, closes, is denied or no longer denied.

    ``excepting`` are those within them for whom all stays as it is.
    """

    kind: DifferenceKind
    target: Target
    sources: Sources
    excepting: Sources


def differences(old: Side, new: Side) -> Iterator[Difference]:
    """Target by target, in no order."""
    count = _Arithmetic(old, new)
    verdicts: tuple[tuple[Verdict, DifferenceKind, DifferenceKind], ...] = (
        ("allow", "open", "close"),
        ("deny", "deny", "lift"),
    )
    for verdict, gained, lost in verdicts:
        for target in old.targets(verdict) | new.targets(verdict):
            if old.sources(verdict, target) != new.sources(verdict, target):
                more, _ = count.at(target, verdict, new, old)
                less, kept = count.at(target, verdict, old, new)
                if more:
                    yield Difference(gained, target, more, frozenset())
                if less:
                    yield Difference(lost, target, less, kept)
