"""By which interface packets come and go on this host, as far as its routes are known. Pure.

Takes an inventory and facts of the host; Docker's networks have routes even where nothing else is
known.
"""

from __future__ import annotations

from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Inventory
from dockerfw.model.net import Address, IPNetwork, family_of
from dockerfw.model.routes import Route, Routes
from dockerfw.report.explain.routes import OUTSIDE
from dockerfw.rules.sources import LINK_LOCAL, NOBODY


class Ways:
    """The routes of one host, asked in both directions."""

    def __init__(self, inventory: Inventory, facts: HostFacts) -> None:
        self._bridges = {network.bridge for network in inventory.bridges()}
        self._others_known = bool(facts.routes)
        to_docker = (
            Route(subnet, network.bridge)
            for network in inventory.bridges()
            for subnet in network.subnets
            if network.bridge
        )
        self._all = (*facts.routes, *to_docker)
        self._routes = Routes(self._all)

    def leads_out(self, address: Address) -> str:
        """Return the interface by which packets to it leave; empty where that is not known."""
        return self._routes.way_out(address) or ""

    def somebody_behind(self, interface: str) -> Address | None:
        """Return an address that this host reaches by an interface; None where none is known."""
        for route in self._all:
            if route.interface == interface and route.network.prefixlen:
                return first_host(route.network)
        return None

    def leads_back(self, interface: str, source: Address) -> bool:
        """Return True if an answer would leave by the interface that the packet came in on."""
        if source in LINK_LOCAL:
            return True
        out = self.leads_out(source)
        if interface in self._bridges:
            return out == interface and source not in NOBODY[family_of(source)]
        if interface == OUTSIDE or not self._others_known:
            return out not in self._bridges
        return out == interface


def first_host(network: IPNetwork) -> Address:
    """Return the first address of a network that a host may have."""
    return network.network_address + (1 if network.num_addresses > 2 else 0)
