"""Allows that a deny takes back wholly: whoever wrote both meant something else.

Takes the statements of a policy and an inventory, gives sentences for people. Pure; goes by what
is written, and by which containers that names now. Finds what one deny covers alone, and is silent
where it is not certain.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dockerfw.model.intervals import Intervals, interval_of
from dockerfw.model.inventory import Container, Inventory
from dockerfw.model.net import FAMILIES, Family
from dockerfw.model.policy import (
    Allow,
    BridgeSource,
    Deny,
    InterfaceSource,
    PortKeyword,
    PortSpec,
    PublishedSpec,
    SelectorSource,
    Source,
    outside_networks,
)
from dockerfw.model.remark import coded


class Covering:
    """Which denies cover an allow; what each deny closes is found once."""

    def __init__(self, denies: Iterable[Deny], inventory: Inventory) -> None:
        self._inventory = inventory
        # A deny for some containers can cover only what is for some of these.
        self._for_all: list[_Closed] = []
        self._for: dict[str, list[_Closed]] = {}
        for position, deny in enumerate(denies):
            closed = _Closed(deny, position, inventory)
            if closed.to is None:
                self._for_all.append(closed)
            for container in {container for container, _ in closed.to or ()}:
                self._for.setdefault(container, []).append(closed)

    @coded("taken-back")
    def warnings(self, allow: Allow) -> Iterator[str]:
        """Yield what takes back all of this allow.

        Nothing where the host's network is concerned: what a deny closes there depends on how the
        container and the ports are written.
        """
        named = _containers(self._inventory, allow) if allow.to else []
        if any(map(self._inventory.on_host_network, named)):
            return
        one = self._for.get(named[0].id, []) if named else []
        for closed in sorted((*self._for_all, *one), key=lambda closed: closed.position):
            if closed.covers(allow, self._inventory):
                yield (
                    f"the deny at {closed.deny.origin} takes back all of this, so it opens "
                    "nothing; take one of the two out, or narrow the deny"
                )
                return


class _Closed:
    def __init__(self, deny: Deny, position: int, inventory: Inventory) -> None:
        self.deny = deny
        self.position = position
        self._outside = {family: _intervals(deny.sources, family) for family in FAMILIES}
        self.to = _places(inventory, deny) if deny.to else None

    def covers(self, allow: Allow, inventory: Inventory) -> bool:
        """Return True if this deny closes all that the allow opens."""
        if not allow.sources or not self._covers_ports(allow):
            return False
        if self.to is not None:
            named = _places(inventory, allow) if allow.to else frozenset()
            if not named or not named <= self.to:
                return False
        return all(self._covers_source(source) for source in allow.sources)

    def _covers_source(self, source: Source) -> bool:
        if source in self.deny.sources:
            return True
        if isinstance(source, InterfaceSource):
            return any(
                isinstance(s, InterfaceSource) and s.matches(source.name) for s in self.deny.sources
            )
        if isinstance(source, BridgeSource | SelectorSource):
            return any(isinstance(s, BridgeSource) for s in self.deny.sources)
        networks = outside_networks(source)
        return bool(networks) and all(
            self._outside[n.version].holds(interval_of(n)) for n in networks
        )

    def _covers_ports(self, allow: Allow) -> bool:
        deny = self.deny
        if not deny.ports and not deny.published:
            return True
        if allow.published:
            return bool(deny.published) and all(
                any(_holds_published(d, a) for d in deny.published) for a in allow.published
            )
        return bool(deny.ports) and all(any(_holds(d, a) for d in deny.ports) for a in allow.ports)


def _containers(inventory: Inventory, statement: Allow | Deny) -> list[Container]:
    return [container for container, _ in inventory.select(statement.to)]


def _places(inventory: Inventory, statement: Allow | Deny) -> frozenset[tuple[str, str]]:
    """Return the containers by id, each with the networks at whose address it is named: a selector
    of a network names no other.
    """
    return frozenset(
        (container.id, network)
        for container, endpoints in inventory.select(statement.to)
        for network in ("", *(endpoint.network_id for endpoint in endpoints))
    )


def _intervals(sources: Iterable[Source], family: Family) -> Intervals:
    networks = (n for source in sources for n in outside_networks(source))
    return Intervals(interval_of(n) for n in networks if n.version == family)


def _holds(mine: PortSpec, other: PortSpec) -> bool:
    if mine is PortKeyword.ALL or mine == other:
        return True
    if isinstance(mine, PortKeyword) or isinstance(other, PortKeyword):
        return False
    return mine.protocol == other.protocol and other.first in mine and other.last in mine


def _holds_published(mine: PublishedSpec, other: PublishedSpec) -> bool:
    return mine.address in (None, other.address) and _holds(mine.ports, other.ports)
