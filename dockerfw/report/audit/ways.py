"""All ways in to a container that owns its network.

Takes an inventory, facts of the host and what stands around its rules; gives `Way`s. Pure. Whether
packets get through there is not asked here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dockerfw.model.foreign import ForeignTable
from dockerfw.model.host import HostFacts, PortForward
from dockerfw.model.inventory import Container, Inventory
from dockerfw.model.net import Address, Family, family_of
from dockerfw.model.surroundings import Surroundings
from dockerfw.report.audit.address_ways import AddressWays
from dockerfw.report.audit.host_ways import HostWays
from dockerfw.report.audit.way import Way
from dockerfw.report.open_ports import Range


class Ways:
    """``tables`` are rules of others; ``by_nat``: families in which Docker's NAT stands; ``named``
    are addresses of this host of which a policy speaks apart.
    """

    def __init__(
        self,
        inventory: Inventory,
        facts: HostFacts,
        around: Surroundings,
        tables: Iterable[ForeignTable],
        by_nat: frozenset[Family],
        named: frozenset[Address] = frozenset(),
    ) -> None:
        self._inventory = inventory
        self._facts = facts
        self._by_host = HostWays(inventory, facts, around, tables, by_nat, named)
        self._by_address = AddressWays(facts, around, tables)
        self._forwards: dict[Address, list[PortForward]] = {}
        for forward in facts.forwards:
            if forward.to is not None:
                self._forwards.setdefault(forward.to, []).append(forward)

    def of(self, container: Container, opened: Iterable[Range] = ()) -> Iterator[Way]:
        """Yield the ways in; ``opened`` are ports of its addresses that a policy is about."""
        if container.host_network:
            yield from self._by_host.on_host_network(container)
            return
        for binding in container.ports:
            if family_of(binding.host_address) in self._facts.families:
                yield from self._by_host.published(container, binding)
        opened = tuple(opened)
        for endpoint in container.endpoints:
            network = self._inventory.network(endpoint.network_id)
            if network is None:
                continue
            for address in endpoint.addresses:
                yield from self._by_address.of(container, network, address, opened)
                if network.bridge:
                    yield from self._forwarded(container, address, network.bridge)

    def _forwarded(self, container: Container, address: Address, bridge: str) -> Iterator[Way]:
        for forward in self._forwards.get(address, ()):
            yield self._by_host.forwarded(container, forward, address, bridge)
