"""The oracle's own reading of an inventory: whom a selector names, where, and through which ports.

Pure. Shares no code with ``model/inventory.py``, which the compiler uses: two readings of one text
must agree.
"""

from __future__ import annotations

from collections.abc import Iterator

from dockerfw.model.inventory import Container, Endpoint, Inventory, Network, PublishedPort
from dockerfw.model.net import Address
from dockerfw.model.policy import Selector
from dockerfw.model.routes import Route


class World:
    """The inventory's fields, asked by the words of the policy."""

    def __init__(self, inventory: Inventory) -> None:
        self.containers = inventory.containers
        self.bridges: list[Network] = [
            n for n in inventory.networks if n.driver == "bridge" and n.bridge is not None
        ]
        self._by_id = {c.id: c for c in inventory.containers}

    def bridges_named(self, interface: str) -> Iterator[Network]:
        return (n for n in self.bridges if n.bridge == interface)

    def bridge_names(self) -> list[str]:
        return [n.bridge for n in self.bridges if n.bridge]

    def routes(self) -> tuple[Route, ...]:
        """Those to Docker's networks, on a host that has no others."""
        return tuple(Route(s, n.bridge) for n in self.bridges if n.bridge for s in n.subnets)

    def home(self, container: Container) -> Container:
        if container.network_owner is None:
            return container
        return self._by_id.get(container.network_owner, container)

    def endpoints(self, container: Container) -> list[Endpoint]:
        bridge_ids = [n.id for n in self.bridges]
        return [e for e in self.home(container).endpoints if e.network_id in bridge_ids]

    def bindings(self, container: Container) -> tuple[PublishedPort, ...]:
        return self.home(container).ports

    def published_ports(self, container: Container) -> list[tuple[str, int]]:
        """Container ports that a host port leads to, or that are published as routed."""
        home = self.home(container)
        return [*((b.protocol, b.container_port) for b in home.ports), *home.routed]

    def addresses_on(self, network: Network) -> Iterator[Address]:
        for container in self.containers:
            for endpoint in self.endpoints(container):
                if endpoint.network_id == network.id:
                    yield from addresses_of(endpoint)

    def named(self, selectors: tuple[Selector, ...]) -> list[tuple[Container, list[Endpoint]]]:
        """The containers of a ``to`` list, with the endpoints at which it names them."""
        found = []
        plus = [s for s in selectors if not s.negated]
        minus = [s for s in selectors if s.negated]
        for container in self.containers:
            if any(self._names(s, container) for s in minus):
                continue
            endpoints = self.endpoints(container)
            naming = [s for s in plus if self._names(s, container)]
            if plus and not naming:
                continue
            if naming and all(s.kind == "network" for s in naming):
                endpoints = [e for e in endpoints if e.network in [s.name for s in naming]]
            found.append((container, endpoints))
        return found

    def named_on(self, selector: Selector, interface: str) -> Iterator[Address]:
        """The addresses that a container source has on the network of this bridge."""
        here = [n.id for n in self.bridges_named(interface)]
        for _, endpoints in self.named((selector,)):
            for endpoint in endpoints:
                if endpoint.network_id in here:
                    yield from addresses_of(endpoint)

    def exactly_named(self, selectors: tuple[Selector, ...]) -> frozenset[str]:
        """Ids of host-network containers that ``to`` names by their own name."""
        names = [s.name for s in selectors if s.exact_container]
        return frozenset(
            container.id
            for container, _ in self.named(selectors)
            if container.name in names and self.home(container).host_network
        )

    def _names(self, selector: Selector, container: Container) -> bool:
        labels = dict(container.labels)
        match selector.kind:
            case "container":
                return glob(selector.name, container.name)
            case "image":
                return glob(selector.name, container.image)
            case "network":
                return selector.name in [e.network for e in self.home(container).endpoints]
            case "service":
                return labels.get("com.docker.swarm.service.name") == selector.name
            case "label":
                if selector.name not in labels:
                    return False
                return selector.detail is None or labels[selector.name] == selector.detail
            case "compose":
                project = labels.get("com.docker.compose.project")
                service = labels.get("com.docker.compose.service", "")
                if project is None or not glob(selector.name, project):
                    return False
                return selector.detail is None or glob(selector.detail, service)


def addresses_of(endpoint: Endpoint) -> list[Address]:
    return [a for a in (endpoint.ipv4, endpoint.ipv6) if a is not None]


def glob(pattern: str, text: str) -> bool:
    """``*`` stands for any text, also none; nothing else is special."""
    if "*" not in pattern:
        return pattern == text
    head, *middle, tail = pattern.split("*")
    if not text.startswith(head) or not text.endswith(tail):
        return False
    at, end = len(head), len(text) - len(tail)
    for part in middle:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return at <= end
