"""Where the named ports of host-network containers are their own, as containers come and go.

Pure. That is no sum over parts of the inventory: it depends on who else publishes such a port. So
it is counted by the port; gives the elements of the ``hostnet`` sets that come and go.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import TypeAlias, TypeVar

from dockerfw.model.net import Family, IPNetwork, Port
from dockerfw.rules.names import topology_set
from dockerfw.rules.ruleset import Element
from dockerfw.rules.tally import Tally
from dockerfw.rules.topology import host_network_port

Item: TypeAlias = tuple[str, Element]
"""The name of a set, and an element in it."""
_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V", bound=Hashable)


class HostPorts:
    """Counts who names a port of the host, and who publishes it.

    ``taken`` is where on this host containers on bridges publish ports, ``named`` the ports that
    rules name of host-network containers: the parts of an inventory add to both, and take away.
    """

    def __init__(self, families: Iterable[Family]) -> None:
        self.taken: Tally[tuple[IPNetwork, Port]] = Tally()
        self.named: Tally[Port] = Tally()
        self._families = tuple(families)
        self._taken_at: dict[Port, tuple[IPNetwork, ...]] = {}
        self._items: dict[Port, frozenset[Item]] = {}

    def follow(self, items: Tally[Item]) -> None:
        """Bring ``items`` in line with what is taken and named now."""
        gained, lost = self.taken.turned()
        for network, port in gained:
            self._taken_at[port] = (*self._taken_at.get(port, ()), network)
        for network, port in lost:
            left = tuple(n for n in self._taken_at.pop(port) if n != network)
            if left:
                self._taken_at[port] = left
        named, unnamed = self.named.turned()
        for port in {port for _, port in gained | lost} | named | unnamed:
            items.take(self._items.pop(port, frozenset()))
            if port in self.named.counts:
                part = self._items[port] = frozenset(self._own(port))
                items.add(part)

    def _own(self, port: Port) -> Iterator[Item]:
        for family in self._families:
            taken = [n for n in self._taken_at.get(port, ()) if n.version == family]
            for element in host_network_port(family, port, taken):
                yield topology_set("hostnet", family), element


def discard(index: dict[_K, set[_V]], key: _K, value: _V) -> None:
    """Take one value out from under a key, and the key with its last one."""
    index[key].discard(value)
    if not index[key]:
        del index[key]
