"""In which order elements come and go, so that no packet gets through that neither the old nor the
new rules allow, and none is cut that both allow.

Pure. A *turn* is a place in that order. What is not guarded passes whatever the policy's sets hold,
so guards go before and come after those. A source that becomes *inside* is matched by other buckets
from then on: those have to be filled, and the outside ones not yet. A claimed source is spoofed,
before anything that its address could pass by is there, and until nothing of that kind is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network
from typing import Literal, TypeAlias

from dockerfw.model.net import IPNetwork
from dockerfw.plan.state import LiveElement, OddElement
from dockerfw.plan.steps import AddElements, DeleteElements, FlushSet, SetWrite
from dockerfw.rules.names import Phase, is_topic, phase_of
from dockerfw.rules.ruleset import Element

ORDER: tuple[tuple[Phase, Literal["+", "-"]], ...] = (
    ("own", "+"),
    ("claimed", "+"),
    ("guard", "-"),
    ("deny", "+"),
    ("inside allow", "+"),
    ("inside", "+"),
    ("allow", "+"),
    ("allow", "-"),
    ("inside", "-"),
    ("inside allow", "-"),
    ("deny", "-"),
    ("guard", "+"),
    ("claimed", "-"),
    ("own", "-"),
)

ALL_ADDED = ORDER.index(("allow", "-")) - 0.5
"""Between the turns: all that is wanted is there, and nothing of the old is gone yet."""
AFTER_CHAINS = ORDER.index(("deny", "-"))
"""From this turn on writes wait for the wanted chains: a rule of the live ones that lets pass
without a set (baseline ``bridge``) may be what a deny that goes was there to beat."""
LAST = len(ORDER)
AT_THE_END = LAST + 1
AFTER_SEAL = AT_THE_END + 1

Turns: TypeAlias = list[tuple[float, SetWrite]]
"""Writes, each with its turn: they are to be sorted by that."""


def turn(phase: Phase, sign: Literal["+", "-"]) -> int:
    """Return when sets of this phase may grow (+) or shrink (-)."""
    return ORDER.index(("allow" if phase == "frozen" else phase, sign))


def moves(
    name: str, phase: Phase, more: frozenset[LiveElement], less: frozenset[LiveElement]
) -> Turns:
    """Return what a set gains and loses, with the turns of both."""
    early = late = frozenset[LiveElement]()
    if phase == "guard":
        # A guard that becomes wider or narrower: what both cover is guarded all along.
        early, late = _covered(more, less), _covered(less, more)
    grow, shrink = turn(phase, "+"), turn(phase, "-")
    turns: Turns = [
        (shrink - 0.5, AddElements(name, early)),
        (grow, AddElements(name, more - early)),
        (shrink, DeleteElements(name, less - late)),
        (grow + 0.5, DeleteElements(name, late)),
    ]
    return [
        (when, write)
        for when, write in turns
        if isinstance(write, AddElements | DeleteElements) and write.elements
    ]


def element_writes(
    added: Mapping[str, frozenset[Element]], removed: Mapping[str, frozenset[Element]]
) -> tuple[SetWrite, ...]:
    """Return the writes, in order, for a change of elements alone; by names of sets."""
    turns: Turns = []
    for name in sorted({*added, *removed}):
        phase = phase_of(name)
        if phase is not None:
            nothing = frozenset[Element]()
            turns += moves(name, phase, added.get(name, nothing), removed.get(name, nothing))
    return in_order(turns)


def in_order(turns: Iterable[tuple[float, SetWrite]]) -> tuple[SetWrite, ...]:
    """Return the writes in the order of their turns; those of one turn stay as they are."""
    return tuple(write for _, write in sorted(turns, key=lambda item: item[0]))


def without_baseline(turns: Turns) -> Turns:
    """Return the turns where the wanted rules have no baseline ``bridge``, and the live ones may.

    What ``hostnet`` loses waits until the wanted chains stand: it keeps that baseline away from
    named ports of host-network containers, and its rule is still there when the sets change. What
    networks lose waits until the wanted seal stands: the live one may let pass what a bridge
    carries to itself without having been judged.
    """
    return [(_late(when, write), write) for when, write in turns]


def _late(when: float, write: SetWrite) -> float:
    if not isinstance(write, DeleteElements):
        return when
    if is_topic(write.name, "guarded", "claimed", "own"):
        return AFTER_SEAL + when
    return LAST if is_topic(write.name, "hostnet") else when


def flush(name: str) -> Turns:
    """Return the emptying of a set that is no longer wanted and whose rule stands till the end.

    Nothing for a list or the topology, which open nothing by themselves.
    """
    phase = phase_of(name)
    if phase not in ("deny", "allow", "inside allow"):
        return []
    return [(turn(phase, "-"), FlushSet(name))]


def _covered(
    elements: frozenset[LiveElement], others: frozenset[LiveElement]
) -> frozenset[LiveElement]:
    """Return those elements whose packets ``others`` hold as well."""
    by_rest: dict[tuple[object, ...], list[IPNetwork]] = {}
    for network, rest in map(_split, others if elements else ()):
        if network is not None:
            by_rest.setdefault(rest, []).append(network)
    return frozenset(
        element
        for element in elements
        if (split := _split(element))[0] is not None
        and any(_holds(outer, split[0]) for outer in by_rest.get(split[1], ()))
    )


def _split(element: LiveElement) -> tuple[IPNetwork | None, tuple[object, ...]]:
    """Return an element's network and the rest of it; None: it does not begin with one."""
    if isinstance(element, OddElement) or not isinstance(element[0], IPv4Network | IPv6Network):
        return None, ()
    return element[0], element[1:]


def _holds(outer: IPNetwork, inner: IPNetwork) -> bool:
    return (
        outer.version == inner.version
        and int(outer.network_address) <= int(inner.network_address)
        and int(inner.broadcast_address) <= int(outer.broadcast_address)
    )
