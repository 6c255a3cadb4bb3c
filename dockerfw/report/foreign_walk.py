"""Walks a new packet through the rules of others: how it may end there, and by which rules.

Takes what was read of them and one packet; gives the rules in words. Pure. A condition that cannot
be decided here may hold or not: then there are several ends.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from dockerfw.model.foreign import Asked, ForeignChain, ForeignRule, ForeignTable, Hook, NameAsked
from dockerfw.model.net import Address
from dockerfw.report.foreign_index import RuleIndex, is_elsewhere

_End: TypeAlias = Literal["accept", "drop", "on"]
_DEPTH = 16


@dataclass(frozen=True, slots=True)
class Traveller:
    """One new packet at one hook. An interface that is None is not known, and no Docker bridge.

    ``not_by`` are bridges of Docker with a name of their own, by which it does not come either.
    ``port`` None: any port but those in ``but``. ``sent_to`` is the address and port that it had
    before Docker's NAT, where that has been. ``local``: its destination is this host's own.
    """

    hook: Hook
    in_interface: str | None
    out_interface: str | None
    source: Address
    destination: Address
    protocol: str
    port: int | None
    dnat: bool = False
    sent_to: tuple[Address, int] | None = None
    local: bool = False
    but: frozenset[int] = frozenset()
    not_by: frozenset[str | None] = frozenset()


@dataclass(frozen=True, slots=True)
class Ends:
    """Where a packet may end: ``drops`` are the rules that may drop it, ``accepts`` those that may
    let it pass, each with where it stands. ``closing`` is the one that drops it if no other did
    before: it does not get through; empty where it may.
    """

    drops: tuple[str, ...] = ()
    accepts: tuple[str, ...] = ()
    closing: str = ""


def ends(tables: Iterable[ForeignTable], packet: Traveller) -> Ends:
    """Return how it may end at its hook; for many packets ask one `ForeignRules`."""
    return ForeignRules(tables).ends(packet)


class ForeignRules:
    """The rules of others, for one packet after the other."""

    def __init__(self, tables: Iterable[ForeignTable]) -> None:
        self._tables = [_Table(table) for table in tables]

    def ends(self, packet: Traveller) -> Ends:
        """Return how it may end at its hook: it has to pass every base chain there."""
        drops: dict[str, None] = {}
        accepts: dict[str, None] = {}
        closing = ""
        for table in self._tables:
            if table.family not in (None, packet.source.version):
                continue
            for name in table.hooks.get(packet.hook, ()):
                walk = _Walk(table, packet)
                passes = walk.base(name)
                drops |= walk.drops
                accepts |= walk.accepts
                if not passes and not closing:
                    closing = next(reversed(walk.drops), "no rule lets it pass")
        return Ends(tuple(drops), tuple(accepts), closing)


class _Table:
    """One table: its chains, which of them are base chains at a hook, and their rules by what they
    ask for.
    """

    def __init__(self, table: ForeignTable) -> None:
        self.family = table.family
        self.chains = table.chains
        self.hooks: dict[Hook, list[str]] = defaultdict(list)
        for name, chain in table.chains.items():
            if chain.hook is not None:
                self.hooks[chain.hook].append(name)
        self._indexes: dict[str, RuleIndex] = {}

    def rules(self, name: str, packet: Traveller) -> Iterator[ForeignRule]:
        """Yield the rules of a chain that may be about a packet."""
        if name not in self._indexes:
            self._indexes[name] = RuleIndex(self.chains[name].rules)
        return self._indexes[name].about(
            packet.destination, packet.in_interface, packet.out_interface
        )


class _Walk:
    """One base chain; what was found of rules that may drop or accept."""

    def __init__(self, table: _Table, packet: Traveller) -> None:
        self._table = table
        self._packet = packet
        self.drops: dict[str, None] = {}
        self.accepts: dict[str, None] = {}

    def base(self, name: str) -> bool:
        """Return True if the packet may pass it."""
        chain = self._table.chains[name]
        found = self._run(name, _DEPTH)
        if "on" in found and chain.drops:
            self.drops[f"the policy (drop) of {chain.place}"] = None
        return "accept" in found or ("on" in found and not chain.drops)

    def _run(self, name: str, depth: int) -> set[_End]:
        """Return all ends that are possible; "on": behind this chain."""
        found: set[_End] = set()
        chain = self._table.chains[name]
        for rule in self._table.rules(name, self._packet) if depth else ():
            holds = self._holds(rule.asked)
            if holds is False:
                continue
            possible = self._ends(rule, chain, depth)
            goes_on = possible is None or (rule.verdict == "jump" and "on" in possible)
            if possible is not None:
                found |= possible - {"on"} if rule.verdict == "jump" else possible
            if holds and not goes_on:
                return found
        return found | {"on"}

    def _ends(self, rule: ForeignRule, chain: ForeignChain, depth: int) -> set[_End] | None:
        """Return where it may end if the rule's conditions hold; None: this rule ends nothing."""
        match rule.verdict:
            case "accept":
                self.accepts[f"`{rule.text}` in {chain.place}"] = None
                return {"accept"}
            case "drop":
                self.drops[f"`{rule.text}` in {chain.place}"] = None
                return {"drop"}
            case "return":
                return {"on"}
            case "jump" | "goto" if rule.chain in self._table.chains:
                return self._run(rule.chain, depth - 1)
        return None

    def _holds(self, asked: Asked) -> bool | None:
        """Return None where that is not known."""
        known = not asked.unread
        for answer in self._answers(asked):
            if answer is False:
                return False
            known = known and answer is not None
        return True if known else None

    def _answers(self, asked: Asked) -> Iterator[bool | None]:
        """Yield what each of its conditions comes to; those that rule out most come first."""
        packet = self._packet
        yield asked.family in (None, packet.source.version)
        yield asked.protocol in (None, "all", packet.protocol)
        for networks, address in (
            (asked.destination, packet.destination),
            (asked.source, packet.source),
        ):
            if networks is not None:
                inside = any(
                    n.version == address.version and address in n for n in networks.networks
                )
                yield inside != networks.negated
        if asked.ports is not None:
            yield self._port_in(asked.ports)
        yield _named(asked.in_interface, packet.in_interface, packet.not_by)
        yield _named(asked.out_interface, packet.out_interface)
        if asked.states is not None:
            yield bool(asked.states & ({"NEW", "DNAT"} if packet.dnat else {"NEW"}))
        if asked.original_ports is not None:
            number = packet.sent_to[1] if packet.sent_to else packet.port
            yield number is not None and _within(number, asked.original_ports)
        if asked.destination_type is not None:
            kind = "LOCAL" if packet.local else "UNICAST"
            yield (asked.destination_type.name == kind) != asked.destination_type.negated

    def _port_in(self, ports: tuple[tuple[int, int], ...]) -> bool | None:
        if self._packet.port is not None:
            return _within(self._packet.port, ports)
        if all(first == last and first in self._packet.but for first, last in ports):
            return False
        return True if (0, 65535) in ports else None


def _within(port: int, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(first <= port <= last for first, last in ranges)


def _named(
    asked: NameAsked | None, interface: str | None, not_by: Container[str | None] = ()
) -> bool | None:
    if asked is None:
        return True
    if interface is None:
        return asked.negated if is_elsewhere(asked.name) or asked.name in not_by else None
    if asked.name.endswith("*"):
        return interface.startswith(asked.name[:-1]) != asked.negated
    return (interface == asked.name) != asked.negated
