"""One reading of Docker's lists, while it is made: an inventory by id.

Pure: takes the answers of Docker's API, never asks for one. A part that is not what the API
promises is left out, with a sentence about it in `Reading.warnings`; the rest is served.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from dockerfw.docker.containers import by_network, decode_container, endpoint_ids
from dockerfw.docker.json_values import (
    Json,
    MalformedError,
    as_labels,
    as_list,
    as_object,
    as_subnet,
    as_text,
    entry_id,
    entry_name,
    one_line,
)
from dockerfw.docker.networks import decode_network, is_routed, subnet_pools
from dockerfw.docker.ports import mesh_ports
from dockerfw.model.inventory import Container, Endpoint, Network, PublishedPort

Departed: TypeAlias = Mapping[str, frozenset[str] | None]
"""What events reported and a list may not show yet: by container the ids of the networks that it
has left, None where it died. Docker sends these events some milliseconds (20.10: up to 100) before
its lists show them, and the address may be in other hands by then."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What is to be read again, by id.

    ``gone`` are containers that do not run any more: Docker needs not be asked about those.
    """

    containers: frozenset[str] = frozenset()
    networks: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()
    departed: Departed = field(default_factory=dict)


class Reading:
    """An inventory in the making, by id.

    ``stale`` are containers that a list described as they were before an event that is known,
    ``left_out`` those that are not in the inventory because Docker's answer made no sense,
    ``waiting`` those that wait for their next start.
    """

    def __init__(
        self, foreign_ports: Mapping[str, tuple[str, ...]], departed: Departed | None = None
    ) -> None:
        self.foreign_ports = foreign_ports
        self.departed: Departed = departed or {}
        self.stale: set[str] = set()
        self.left_out: set[str] = set()
        self.waiting: set[str] = set()
        self.networks: dict[str, Network] = {}
        self.routed_networks: set[str] = set()
        self.ingress_networks: set[str] = set()
        self.containers: dict[str, Container] = {}
        self.all_labels: dict[str, Mapping[str, str]] = {}
        self.image_ids: dict[str, str] = {}
        self.endpoint_ids: dict[str, str] = {}
        self.warnings: list[str] = []

    @property
    def plain(self) -> bool:
        """Return True if nothing was left out or put aside, and nothing has to be asked again as
        long as the lists are the same.
        """
        return not (self.warnings or self.departed or self.left_out or self.waiting)

    # broken parts

    def warn(self, sentence: str) -> None:
        self.warnings.append(sentence)

    @contextmanager
    def tolerating(self, what: str) -> Iterator[None]:
        """Turn a `MalformedError` into a warning that ``what`` was left out."""
        try:
            yield
        except MalformedError as error:
            self.warn(f"left out {what}, which Docker describes in a way not understood: {error}")

    def leave_out(self, container_id: str, what_and_why: str) -> None:
        """Leave a whole container out: its ports stay closed."""
        self.containers.pop(container_id, None)
        self.left_out.add(container_id)
        self.warn(f"left out {what_and_why}")

    # networks

    def add_networks(self, entries: list[Any]) -> None:
        """Add the entries of ``/networks``. They come before those of containers."""
        for entry in entries:
            with self.tolerating(f"network {entry_name(entry, 'Name')}"):
                self._add_network(as_object(entry))

    def _add_network(self, entry: Json) -> None:
        network = decode_network(entry)
        subnets = []
        for pool in subnet_pools(entry):
            with self.tolerating(f"a subnet of network {one_line(network.name)}"):
                if written := as_text(as_object(pool).get("Subnet")):
                    subnets.append(as_subnet(written))
        foreign = tuple(sorted(self.foreign_ports.get(network.bridge or "", ())))
        network = replace(network, subnets=tuple(subnets), foreign_ports=foreign)
        self.networks[network.id] = network
        if is_routed(entry):
            self.routed_networks.add(network.id)
        if entry.get("Ingress"):
            self.ingress_networks.add(network.id)

    # containers

    def add_containers(self, entries: list[Any]) -> None:
        """Add the entries of ``/containers/json``."""
        for entry in entries:
            self._add_or_leave_out(entry)

    def _add_or_leave_out(self, entry: object) -> None:
        try:
            self._add_container(as_object(entry))
        except MalformedError as error:
            what = f"container {entry_name(entry, 'Names')}, which Docker describes in a way not"
            self.leave_out(entry_id(entry), f"{what} understood: {error}")

    def _add_container(self, entry: Json) -> None:
        found = decode_container(entry, self.networks)
        waits = entry.get("State") == "restarting"
        container = self._without_departed(found, restarting=waits)
        if container is not found:
            self.stale.add(found.id)
        if container is None:
            return
        if waits and not container.host_network:
            self.waiting.add(container.id)
        labels = as_labels(entry.get("Labels"))
        image_id = as_text(entry.get("ImageID") or container.image)
        endpoints = endpoint_ids(entry)
        self.containers[container.id] = container
        self.all_labels[container.id] = labels
        self.image_ids[container.id] = image_id
        self.endpoint_ids[container.id] = endpoints

    def _without_departed(self, found: Container, *, restarting: bool) -> Container | None:
        """Return the container without what events reported as gone; ``found`` if that is all.

        A container that waits for its next start is listed after its death too, without addresses.
        """
        networks = self.departed.get(found.id, frozenset())
        if networks is None:
            return found if restarting else None
        kept = tuple(e for e in found.endpoints if e.network_id not in networks or not e.addresses)
        return found if len(kept) == len(found.endpoints) else replace(found, endpoints=kept)

    def on_routed_networks(self) -> tuple[Container, ...]:
        return self._on(self.routed_networks)

    def on_ingress_networks(self) -> tuple[Container, ...]:
        """Tasks of services that the routing mesh publishes; nothing else may attach there."""
        return self._on(self.ingress_networks)

    def _on(self, network_ids: set[str]) -> tuple[Container, ...]:
        return tuple(
            c
            for c in self.containers.values()
            if any(e.network_id in network_ids for e in c.endpoints)
        )

    # what lists do not show

    def change(self, container_id: str, **fields: Any) -> None:
        self.containers[container_id] = replace(self.containers[container_id], **fields)

    def add_endpoint(self, container_id: str, endpoint: Endpoint) -> None:
        """Add an endpoint, in the place of the one on the same network."""
        container = self.containers.get(container_id)
        if container is None:  # the ingress sandbox, or a container that came since
            return
        others = tuple(e for e in container.endpoints if e.network_id != endpoint.network_id)
        self.change(container_id, endpoints=by_network((*others, endpoint)))

    def ports_of_services(
        self, services: list[Any]
    ) -> Iterator[tuple[str, tuple[PublishedPort, ...]]]:
        """Yield the name of each service and what the routing mesh publishes for it."""
        for service in services:
            with self.tolerating(f"service {entry_name(service, 'ID')}"):
                spec = as_object(as_object(service).get("Spec"))
                ports = as_list(as_object(service.get("Endpoint")).get("Ports"))
                yield as_text(spec.get("Name")), mesh_ports(ports)
