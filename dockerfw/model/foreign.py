"""Rules of others in netfilter's hooks, as far as they can be read: what they ask, what they do.

Pure values: ``kernel/foreign.py`` reads them, ``report/foreign_walk.py`` walks a packet through
them, ``report/bypasses.py`` asks which take it past the rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias, TypeVar

from dockerfw.model.net import Family, IPNetwork

_T = TypeVar("_T")
Hook: TypeAlias = Literal["prerouting", "forward", "input"]
ForeignVerdict: TypeAlias = Literal["accept", "drop", "return", "jump", "goto", "notrack", "flow"]
"""``notrack``: the packet gets no connection; ``flow``: its connection passes no rule any more."""


@dataclass(frozen=True, slots=True)
class NameAsked:
    """The name of an interface; a ``*`` at the end matches any rest."""

    name: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class NetworksAsked:
    networks: tuple[IPNetwork, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """What a rule asks of a packet; a condition that is None it does not have.

    ``original_ports`` are those before NAT, ``destination_type`` is one of the kernel's kinds of
    addresses (``LOCAL``). ``unread``: it asks for something besides, which is not known here.
    """

    family: Family | None = None
    in_interface: NameAsked | None = None
    out_interface: NameAsked | None = None
    source: NetworksAsked | None = None
    destination: NetworksAsked | None = None
    protocol: str | None = None
    ports: tuple[tuple[int, int], ...] | None = None
    states: frozenset[str] | None = None
    original_ports: tuple[tuple[int, int], ...] | None = None
    destination_type: NameAsked | None = None
    unread: bool = False

    def also(self, more: Asked) -> Asked:
        """Return what both ask.

        Where both ask for the same thing, one condition can stand here, and the other is unread:
        but one that is for no packet that begins something.
        """
        if more.states == NEVER:
            return replace(self, states=NEVER)
        both = _merged(self, more)
        return both if both == _merged(more, self) else replace(both, unread=True)


def _merged(first: Asked, second: Asked) -> Asked:
    """Return what both ask; the first one's condition where they ask for the same thing."""
    return Asked(
        _either(first.family, second.family),
        _either(first.in_interface, second.in_interface),
        _either(first.out_interface, second.out_interface),
        _either(first.source, second.source),
        _either(first.destination, second.destination),
        _either(first.protocol, second.protocol),
        _either(first.ports, second.ports),
        _either(first.states, second.states),
        _either(first.original_ports, second.original_ports),
        _either(first.destination_type, second.destination_type),
        first.unread or second.unread,
    )


def _either(first: _T | None, second: _T | None) -> _T | None:
    return second if first is None else first


NEVER = frozenset[str]()
"""The states of a packet that begins nothing."""


@dataclass(frozen=True, slots=True)
class ForeignRule:
    """``text`` is the rule as its tool prints it; ``chain`` where a jump leads."""

    text: str
    asked: Asked
    verdict: ForeignVerdict
    chain: str = ""


@dataclass(frozen=True, slots=True)
class ForeignChain:
    """``hook`` None: others jump to it. ``place`` is where it stands, in words."""

    place: str
    rules: tuple[ForeignRule, ...] = ()
    hook: Hook | None = None
    drops: bool = False


@dataclass(frozen=True, slots=True)
class ForeignTable:
    """The chains of one table by name; ``family`` None: of both."""

    family: Family | None
    chains: Mapping[str, ForeignChain] = field(default_factory=dict)


def rules_of(tables: Iterable[ForeignTable]) -> Iterator[ForeignRule]:
    """Yield the rules of all chains of these tables."""
    for table in tables:
        for chain in table.chains.values():
            yield from chain.rules
