"""Buckets: one rule and one target set for each kind of source, under construction.

Pure. Takes the terms of a statement's sources and its targets; fills the elements of the bucket
that they belong to: (place, class, verdict, source match, span). The name of a bucket's set says
all of it, so it may serve as the key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias, get_args

from dockerfw.model.net import Family
from dockerfw.rules.names import Class, Phase, Place, Verdict, keyed_set, term_set
from dockerfw.rules.rule import DestPorts, InInterface, InSet, Match
from dockerfw.rules.ruleset import Element, IPSet, SetType
from dockerfw.rules.sources import (
    Everyone,
    FromInterface,
    Keyed,
    Listed,
    Term,
    halves,
    host_net,
    list_term,
)
from dockerfw.rules.targets import Span, Targets
from dockerfw.rules.topology import everywhere


@dataclass(frozen=True, slots=True)
class BucketRule:
    """What a bucket's rule matches; where it stands decides what it does."""

    verdict: Verdict
    matches: tuple[Match, ...]
    comment: str


BucketRules: TypeAlias = Mapping[tuple[Place, Class], tuple[BucketRule, ...]]
"""The rules of all buckets by where they stand."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """One rule with one target set."""

    name: str
    type: SetType
    place: Place
    cls: Class
    rule: BucketRule
    wildcard: bool = False

    @property
    def phase(self) -> Phase:
        if self.rule.verdict == "deny":
            return "deny"
        return "inside allow" if self.cls == "inside" else "allow"


@dataclass(frozen=True, slots=True)
class Spot:
    """Where the buckets of one statement's sources stand: ``until`` is Unix time, None: no end."""

    place: Place
    cls: Class
    verdict: Verdict
    until: int | None


class BucketSets:
    """The sets of one family under construction."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self.elements: dict[str, set[Element]] = {}
        self._buckets: dict[str, Bucket] = {}
        self._lists: dict[str, Listed] = {}

    def rules(self) -> BucketRules:
        """Return the rules of all buckets, by where they stand, in the order of their names; where
        one match is enough, most packets find it in the ports of every address: those first.
        """
        places: dict[tuple[Place, Class], tuple[BucketRule, ...]] = {}
        ordered = sorted(self._buckets.values(), key=lambda b: (not b.wildcard, b.name))
        for place in get_args(Place):
            for cls in get_args(Class):
                places[place, cls] = tuple(
                    bucket.rule for bucket in ordered if (bucket.place, bucket.cls) == (place, cls)
                )
        return places

    def ipsets(self) -> list[IPSet]:
        targets = [
            IPSet(b.name, b.type, self.family, b.phase, frozenset(self.elements[b.name]))
            for b in self._buckets.values()
        ]
        lists = [
            IPSet(
                one.name, "hash:net", self.family, "frozen", frozenset((n,) for n in one.networks)
            )
            for one in self._lists.values()
        ]
        return targets + lists

    # what a statement adds

    def put(self, spot: Spot, term: Term, targets: Targets) -> None:
        """Add a statement's targets, for one term of its sources, to the buckets they belong to."""
        if isinstance(term, Keyed):
            self._put_keyed(spot, term, targets)
            if not targets.meant:
                return
            spanning = self._spanning(spot, term)
        else:
            elements = self._bucket(self._term_bucket(spot, term, None))
            for address, port in targets.exact:
                elements |= {(net, port) for net in everywhere(address, self.family)}
            spanning = term
        for span in targets.meant:
            elements = self._bucket(self._term_bucket(spot, spanning, span))
            for where, target_span in targets.spans:
                if target_span == span:
                    elements |= {(net,) for net in everywhere(where, self.family)}

    def _spanning(self, spot: Spot, term: Keyed) -> Term:
        """A span has no room for a source in its key: `any` needs none, the rest gets a list."""
        if spot.cls == "outside" and term.networks == halves(self.family):
            return Everyone()
        return list_term(term.networks, self.family)

    def _put_keyed(self, spot: Spot, term: Keyed, targets: Targets) -> None:
        by_address = self._bucket(self._keyed_bucket(spot, wildcard=False))
        by_address.update(
            (host_net(address), port, net)
            for address, port in targets.exact
            if address is not None
            for net in term.networks
        )
        if spot.place == "container":
            return
        by_port = self._bucket(self._keyed_bucket(spot, wildcard=True))
        by_port.update(
            (net, port)
            for address, port in targets.exact
            if address is None
            for net in term.networks
        )

    def _bucket(self, bucket: Bucket) -> set[Element]:
        self._buckets[bucket.name] = bucket
        return self.elements.setdefault(bucket.name, set())

    def _keyed_bucket(self, spot: Spot, *, wildcard: bool) -> Bucket:
        place, cls, verdict = spot.place, spot.cls, spot.verdict
        name = keyed_set(self.family, place, cls, verdict, spot.until, wildcard=wildcard)
        match: Match
        if wildcard:
            set_type: SetType = "hash:net,port"
            match = InSet(name, ("src", "dst"))
        else:
            set_type = "hash:ip,port,net"
            match = InSet(name, ("dst", "dst", "src"))
        rule = BucketRule(verdict, (match,), verdict)
        return Bucket(name, set_type, place, cls, rule, wildcard)

    def _term_bucket(
        self, spot: Spot, term: Listed | FromInterface | Everyone | Keyed, span: Span | None
    ) -> Bucket:
        """A bucket whose rule matches the source; the set holds targets alone."""
        matches: list[Match] = []
        match term:
            case FromInterface(name=interface):
                matches.append(InInterface(interface))
                meaning = f"from iface:{interface}"
            case Listed(name=list_name):
                self._lists[list_name] = term
                matches.append(InSet(list_name, ("src",)))
                meaning = f"from {list_name}"
            case _:
                meaning = "from everyone"
        if span is not None and span.protocol is not None:
            matches.append(DestPorts(span.protocol, span.first, span.last))
            meaning += f" {span.protocol} {span.first}-{span.last}"
        elif span is not None:
            meaning += " all ports"
        place, cls, verdict = spot.place, spot.cls, spot.verdict
        name = term_set(self.family, place, cls, verdict, spot.until, meaning)
        matches.append(InSet(name, ("dst", "dst") if span is None else ("dst",)))
        set_type: SetType = "hash:net,port" if span is None else "hash:net"
        rule = BucketRule(verdict, tuple(matches), f"{verdict} {meaning}")
        return Bucket(name, set_type, place, cls, rule)
