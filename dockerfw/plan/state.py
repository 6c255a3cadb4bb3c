"""What stands in the kernel, as values that compare with what should.

Pure. The drivers of ``kernel/`` read it, `wanted_set` and an `Identity` say what it would be if a
ruleset stood, and the planner compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from dockerfw.model.net import Address, Family, Port
from dockerfw.model.policy import PortRange
from dockerfw.rules.names import GUARDING_SETS, SealFamily, SealSet, end_of
from dockerfw.rules.rule import Rule, Table
from dockerfw.rules.ruleset import DEFAULT_MAXELEM, RECORDED_FOR, RECORDS, Element, IPSet, Seal

# --- sets ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OddElement:
    """An element that dockerfw never writes (``nomatch``, no end where all others have one).

    ``text`` and ``option`` are what the driver read; ``plain`` is the element without the option,
    None where the driver cannot tell.
    """

    text: str
    option: str = ""
    plain: Element | None = None


LiveElement: TypeAlias = Element | OddElement


@dataclass(frozen=True, slots=True)
class SetState:
    """An ipset.

    ``elements`` is None when only the header was read: ``count`` then says how many there are.
    ``timeout``: its elements end by themselves. How long each has left is not in here: as long as
    it stands it means the same. ``lasts``: how many seconds elements stand whose end nobody
    writes, 0: for ever.
    """

    name: str
    type: str
    family: Family
    maxelem: int
    count: int
    elements: frozenset[LiveElement] | None
    counters: bool = True
    timeout: bool = False
    lasts: int = 0


def wanted_set(ipset: IPSet) -> SetState:
    """Return the set as it should stand, its size fit for what it holds.

    What packets put into a record is nothing to compare.
    """
    count = len(ipset.elements)
    record = ipset.phase == "record"
    return SetState(
        name=ipset.name,
        type=ipset.type,
        family=ipset.family,
        maxelem=RECORDS if record else max(DEFAULT_MAXELEM, 1 << (2 * count).bit_length()),
        count=count,
        elements=None if record else ipset.elements,
        timeout=record or end_of(ipset.name) is not None,
        lasts=RECORDED_FOR if record else 0,
    )


# --- chains --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LiveRule:
    """A rule that stands in a chain, ours or anybody's.

    text       as the kernel's tool prints it: for people, and for the driver to write it again
    target     where a packet that matches goes: a chain, a verdict, an extension; None: it counts
    goto       it does not come back from there
    bare       there is no match: every packet goes there
    mark_bits  the bits of the packet mark that it may change
    identity   what `Identity.rule` gives for it; None: not one of ours
    meaning    our rule as the driver reads it back; None where that is not known
    """

    text: str
    target: str | None = None
    goto: bool = False
    bare: bool = False
    mark_bits: int = 0
    identity: str | None = None
    meaning: Rule | None = None

    def is_jump(self, target: str) -> bool:
        """Return True if every packet is sent to this chain, and may come back."""
        return self.bare and not self.goto and self.target == target


@dataclass(frozen=True, slots=True)
class ChainState:
    """A chain of one table; ``policy`` is ``-`` for a user-defined chain, else ACCEPT or DROP."""

    policy: str
    rules: tuple[LiveRule, ...] = ()


@dataclass(frozen=True, slots=True)
class TablesState:
    """Tables of one family and flavour: table name -> chain name -> chain."""

    family: Family
    tables: Mapping[str, Mapping[str, ChainState]] = field(default_factory=dict)

    def chain(self, table: Table, name: str) -> ChainState | None:
        return self.tables.get(table, {}).get(name)

    def rules(self, table: Table, name: str) -> tuple[LiveRule, ...]:
        """Return the rules of a chain; of one that is not there, none."""
        held = self.chain(table, name)
        return held.rules if held else ()


# --- the seal ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SealElement:
    """An element of one of the seal's sets: a bridge, an address, a port, ports of an address."""

    set: SealSet
    value: str | Address | Port | tuple[Address, Port | PortRange] | OddElement

    @property
    def guards(self) -> bool:
        return self.set in GUARDING_SETS


@dataclass(frozen=True, slots=True)
class SealState:
    """The seal: ``frame`` is all but the elements, as lines that are equal if they mean the same.

    Only a driver makes and reads these lines. ``tables`` are the families of those that stand.
    """

    frame: tuple[str, ...]
    elements: frozenset[SealElement]
    tables: frozenset[SealFamily] = frozenset({"inet"})

    @property
    def left_alone(self) -> frozenset[str]:
        """The bridges that count as somebody else's."""
        found = (element.value for element in self.elements if element.set == "foreign")
        return frozenset(name for name in found if isinstance(name, str))


# --- everything ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class KernelState:
    """All that concerns dockerfw: both families' iptables, our ipsets, the seal (None: missing)."""

    tables: Mapping[Family, TablesState]
    sets: Mapping[str, SetState]
    seal: SealState | None


class Identity(Protocol):
    """How a backend recognises what it wrote, since tools print one and the same rule differently.

    Both functions are pure.
    """

    def rule(self, rule: Rule, family: Family) -> str:
        """Return what `LiveRule.identity` is once this rule stands."""
        ...

    def seal(self, seal: Seal) -> SealState:
        """Return what is read while this seal stands."""
        ...
