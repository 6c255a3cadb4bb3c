"""What is known of an engine, put together from one `Reading` after the other.

Pure. What a new reading describes as before stays the same object, so that comparing two
inventories costs nothing where nothing changed.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection, Mapping
from dataclasses import replace

from dockerfw.docker.engine import EngineInfo
from dockerfw.docker.reading import Parts, Reading
from dockerfw.model.inventory import Container, Inventory, Network


class KnownInventory:
    """All containers and networks by id, as the readings so far have them."""

    def __init__(self) -> None:
        self.containers: dict[str, Container] = {}
        self.networks: dict[str, Network] = {}
        self._routed: set[str] = set()
        self._ingress: set[str] = set()
        self._order: list[tuple[str, str]] = []
        """Name and id of all containers, sorted: one that comes or goes costs one search."""
        self._resolved: dict[str, Container] = {}
        self._inventory = Inventory()
        self._changed = True

    def replace_all(self, reading: Reading) -> None:
        """Take over a whole reading: what it does not have is gone."""
        self.merge(
            reading,
            containers=self.containers.keys() | reading.containers.keys(),
            networks=self.networks.keys() | reading.networks.keys(),
        )

    def merge(
        self, reading: Reading, *, containers: Collection[str], networks: Collection[str]
    ) -> None:
        """Take over what ``reading`` has for these ids; what it does not have of them is gone."""
        for network_id in networks:
            self._put_network(network_id, reading)
        for container_id in containers:
            self._put_container(container_id, reading.containers.get(container_id))

    def begin(self, foreign_ports: Mapping[str, tuple[str, ...]], parts: Parts) -> Reading:
        """Return an empty reading of ``parts`` that knows the other networks already."""
        reading = Reading(foreign_ports, parts.departed)
        kept = self.networks.keys() - parts.networks
        reading.networks = {i: self.networks[i] for i in kept}
        reading.routed_networks = self._routed & kept
        reading.ingress_networks = self._ingress & kept
        return reading

    def inventory(self, engine: EngineInfo) -> Inventory:
        """Return everything in a stable order (Docker's own varies from call to call).

        It is the same object as last time if nothing changed.
        """
        known = self._inventory
        reported = (engine.version, engine.firewall_backend)
        if self._changed or (known.engine, known.backend) != reported:
            self._inventory = Inventory(
                containers=tuple(self._with_owner_id(self.containers[i]) for _, i in self._order),
                networks=tuple(sorted(self.networks.values(), key=lambda n: (n.name, n.id))),
                engine=engine.version,
                backend=engine.firewall_backend,
            )
            self._changed = False
        return self._inventory

    def _put_network(self, network_id: str, reading: Reading) -> None:
        for known, found in (
            (self._routed, reading.routed_networks),
            (self._ingress, reading.ingress_networks),
        ):
            if network_id in found:
                known.add(network_id)
            else:
                known.discard(network_id)
        new = reading.networks.get(network_id)
        if new == self.networks.get(network_id):
            return
        self._changed = True
        if new is None:
            del self.networks[network_id]
        else:
            self.networks[network_id] = new

    def _put_container(self, container_id: str, new: Container | None) -> None:
        old = self.containers.get(container_id)
        if new == old:
            return
        self._changed = True
        if old is not None:
            del self._order[bisect_left(self._order, (old.name, old.id))]
            del self.containers[container_id]
            self._resolved.pop(container_id, None)
        if new is not None:
            insort(self._order, (new.name, new.id))
            self.containers[container_id] = new

    def _with_owner_id(self, container: Container) -> Container:
        """The container with the id of its network owner, where Docker has a name or a short id."""
        if container.network_owner is None or container.network_owner in self.containers:
            return container
        resolved = replace(container, network_owner=self._owner_id(container.network_owner))
        if self._resolved.get(container.id) != resolved:
            self._resolved[container.id] = resolved
        return self._resolved[container.id]

    def _owner_id(self, reference: str) -> str:
        """A reference is an id, a name or the beginning of an id, in Docker's own order."""
        at = bisect_left(self._order, (reference, ""))
        if at < len(self._order) and self._order[at][0] == reference:
            return self._order[at][1]
        found = [i for i in self.containers if reference and i.startswith(reference)]
        return found[0] if len(found) == 1 else reference
