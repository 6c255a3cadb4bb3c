"""Where Docker's NAT leads a published port, of a container that is on several networks.

Takes the rules that stand, Docker's among them, and an inventory; gives addresses. Pure. NAT itself
is not read: Docker opens its own filter at the one address that it leads to. That is not always on
the first network by name: on engine 28 it is the one with the highest ``gw-priority``, and for each
family one that has that family.
"""

from __future__ import annotations

from collections.abc import Iterable

from dockerfw.model.docker_names import is_docker_chain
from dockerfw.model.foreign import ForeignTable
from dockerfw.model.inventory import Container, Inventory, Network
from dockerfw.model.net import Address, Family


class DockerNat:
    """Answers for many ports."""

    def __init__(self, tables: Iterable[ForeignTable], inventory: Inventory) -> None:
        self._inventory = inventory
        self._opened = {
            (network.network_address, rule.asked.protocol, first)
            for table in tables
            for name, chain in table.chains.items()
            if is_docker_chain(name)
            for rule in chain.rules
            if rule.verdict == "accept" and rule.asked.destination is not None
            for network in rule.asked.destination.networks
            if network.prefixlen == network.max_prefixlen and not rule.asked.destination.negated
            for first, last in rule.asked.ports or ()
            if first == last
        }

    def leads_to(
        self, container: Container, family: Family, protocol: str, port: int
    ) -> tuple[tuple[Address, Network | None], ...]:
        """Return the address, and its network, that a published port of a container is led to;
        several where that is not known, in the order of the names of their networks.
        """
        by_name = sorted(self._inventory.endpoints(container), key=lambda e: e.network)
        found = tuple(
            (address, self._inventory.network(endpoint.network_id))
            for endpoint in by_name
            for address in endpoint.addresses
            if address.version == family
        )
        if len(found) < 2:
            return found
        opened = tuple(one for one in found if (one[0], protocol, port) in self._opened)
        return opened or found
