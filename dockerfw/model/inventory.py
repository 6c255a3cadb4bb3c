"""What runs on this host, as Docker reports it: containers, networks, published ports.

Pure values and the questions that the compiler asks of them (which containers does a selector
name, at which addresses do they live). Never asks Docker: ``docker/client.py`` does, and a
file written by ``dockerfw inventory`` serves as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import translate
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from re import Pattern, compile as compile_regex
from typing import TypeAlias

from dockerfw.model.docker_names import (
    COMPOSE_PROJECT_LABEL,
    COMPOSE_SERVICE_LABEL,
    GATEWAY_BRIDGE,
    SWARM_SERVICE_LABEL,
)
from dockerfw.model.host import Backend
from dockerfw.model.net import Address, IPNetwork
from dockerfw.model.policy import Protocol, Selector, SelectorKind

_INTERFACE_NAME = compile_regex(r"(?!\.{1,2}\Z)[A-Za-z0-9_.:@+-]{1,15}\Z")


def is_interface_name(text: str) -> bool:
    """Return True if kernel text may hold this as an interface: at most 15 plain characters."""
    return _INTERFACE_NAME.match(text) is not None


@dataclass(frozen=True, slots=True)
class PublishedPort:
    """A host port that Docker publishes; ``host_address`` 0.0.0.0 or :: is a wildcard binding."""

    host_address: Address
    host_port: int
    container_port: int
    protocol: Protocol

    @property
    def wildcard(self) -> bool:
        return self.host_address.is_unspecified


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A container on one network; the addresses are None while it is not running."""

    network: str
    network_id: str
    ipv4: IPv4Address | None = None
    ipv6: IPv6Address | None = None

    @property
    def addresses(self) -> tuple[Address, ...]:
        return tuple(a for a in (self.ipv4, self.ipv6) if a is not None)


@dataclass(frozen=True, slots=True)
class Container:
    """A running container.

    ``name`` is the entry of ``Names`` with one slash, without it. ``labels`` are those given to
    the container: what its image brings along is not in here. ``image`` is the name that it was
    created from. ``network_owner`` is the id of the container whose network it shares
    (``--network container:ID``), else None. ``routed`` are container ports that are published
    on a network in routed mode: at the container's own address, by no host port.
    """

    id: str
    name: str
    image: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    ports: tuple[PublishedPort, ...] = ()
    host_network: bool = False
    network_owner: str | None = None
    routed: tuple[tuple[Protocol, int], ...] = ()

    def label(self, key: str) -> str | None:
        return next((value for name, value in self.labels if name == key), None)

    def names(self) -> Iterator[tuple[SelectorKind, str]]:
        """Yield what selectors of each kind ask for first, but for its networks."""
        yield "container", self.name
        yield "image", self.image
        for key, value in self.labels:
            yield "label", key
            if key == COMPOSE_PROJECT_LABEL:
                yield "compose", value
            if key == SWARM_SERVICE_LABEL:
                yield "service", value


@dataclass(frozen=True, slots=True)
class Network:
    """A Docker network; ``bridge`` is its interface on this host, None for other drivers.

    ``foreign_ports`` are interfaces in that bridge which are not Docker's (a NIC, a VM's tap):
    with one of these the bridge is an outside interface.
    """

    id: str
    name: str
    driver: str
    bridge: str | None = None
    subnets: tuple[IPNetwork, ...] = ()
    internal: bool = False
    foreign_ports: tuple[str, ...] = ()


@lru_cache(maxsize=1024)
def _wildcard(pattern: str) -> Pattern[str]:
    # Only ``*`` is special in a policy: ? and [ are ordinary characters.
    escaped = pattern.replace("[", "[[]").replace("?", "[?]")
    return compile_regex(translate(escaped))


def _matches(pattern: str, text: str) -> bool:
    if "*" not in pattern:
        return pattern == text
    return _wildcard(pattern).match(text) is not None


Selected: TypeAlias = tuple[tuple[Container, tuple[Endpoint, ...]], ...]
"""Containers, each with the endpoints at which a list of selectors names it."""


class _Index:
    """What is looked up often, found in one step."""

    __slots__ = (
        "bridge_ids", "bridges", "by_name", "containers", "networks", "on_host", "positions",
        "selected", "sharers",
    )  # fmt: skip

    def __init__(self, containers: Iterable[Container], networks: Iterable[Network]) -> None:
        self.containers = {c.id: c for c in containers}
        self.positions = {c.id: position for position, c in enumerate(containers)}
        self.networks = {n.id: n for n in networks}
        self.bridges = tuple(n for n in networks if n.driver == "bridge" and n.bridge)
        self.bridge_ids = frozenset(n.id for n in self.bridges)
        self.sharers: dict[str, list[Container]] = {}
        for container in containers:
            if container.network_owner is not None:
                self.sharers.setdefault(container.network_owner, []).append(container)
        on_host = {c.id: c for c in containers if c.host_network}
        self.on_host = _with_sharers(on_host, self.sharers) if on_host else ()
        # The compiler asks the same for each family and chain; an inventory never changes.
        self.selected: dict[tuple[Selector, ...], Selected] = {}
        # Filled for the kinds of selectors that are asked for.
        self.by_name: dict[SelectorKind, Mapping[str, Sequence[Container]]] = {}


def _with_sharers(
    found: dict[str, Container], sharers: Mapping[str, Iterable[Container]]
) -> tuple[Container, ...]:
    """Return these and all that share a network with one of them, directly or not."""
    pending = list(found)
    while pending:
        for container in sharers.get(pending.pop(), ()):
            if container.id not in found:
                found[container.id] = container
                pending.append(container.id)
    return tuple(found.values())


@dataclass(frozen=True, slots=True)
class Inventory:
    """A snapshot of Docker: all running containers and all networks.

    ``backend`` is what Docker reports to write its rules with; None before engine 28.1.
    """

    containers: tuple[Container, ...] = ()
    networks: tuple[Network, ...] = ()
    engine: str = ""
    backend: Backend | None = None
    _index: _Index = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_index", _Index(self.containers, self.networks))

    def network(self, network_id: str) -> Network | None:
        return self._index.networks.get(network_id)

    def bridges(self) -> tuple[Network, ...]:
        """Return the networks whose packets this host's kernel filters."""
        return self._index.bridges

    @property
    def in_swarm(self) -> bool:
        """Whether the engine is in a swarm, which publishes ports by a bridge of its own."""
        return any(network.name == GATEWAY_BRIDGE for network in self.networks)

    def network_owner(self, container: Container) -> Container:
        """Return the container whose network namespace this one is in: itself, mostly.

        An owner may share another's network in turn. Where one is not running, this is the
        last one that is.
        """
        seen = {container.id}
        while container.network_owner is not None and container.network_owner not in seen:
            seen.add(container.network_owner)
            network_owner = self._index.containers.get(container.network_owner)
            if network_owner is None:
                return container
            container = network_owner
        return container

    def sharing_network_with(self, container: Container) -> tuple[Container, ...]:
        """Return all that live in the same network namespace, this one among them."""
        found = {container.id: container}
        pending = [self.network_owner(container)]
        while pending:
            one = pending.pop()
            found[one.id] = one
            pending += [c for c in self._index.sharers.get(one.id, ()) if c.id not in found]
        return tuple(found.values())

    def endpoints(self, container: Container) -> tuple[Endpoint, ...]:
        """Return its endpoints on bridge networks (its owner's, if it shares a network)."""
        bridges = self._index.bridge_ids
        return tuple(e for e in self.network_owner(container).endpoints if e.network_id in bridges)

    def published(self, container: Container) -> tuple[PublishedPort, ...]:
        """Return the host ports that lead to it (to its owner, if it shares a network)."""
        return self.network_owner(container).ports

    def on_host(self) -> tuple[Container, ...]:
        """Return all that are on the host's network."""
        return self._index.on_host

    def on_host_network(self, container: Container) -> bool:
        return self.network_owner(container).host_network

    def matches(self, container: Container, selector: Selector) -> bool:
        """Return True if this selector, its ``!`` aside, names this container."""
        match selector.kind:
            case "container":
                return _matches(selector.name, container.name)
            case "compose":
                project = container.label(COMPOSE_PROJECT_LABEL)
                service = container.label(COMPOSE_SERVICE_LABEL)
                return (
                    project is not None
                    and _matches(selector.name, project)
                    and (selector.detail is None or _matches(selector.detail, service or ""))
                )
            case "label":
                value = container.label(selector.name)
                return value is not None and selector.detail in (None, value)
            case "image":
                return _matches(selector.name, container.image)
            case "network":
                return any(
                    e.network == selector.name for e in self.network_owner(container).endpoints
                )
            case "service":
                return container.label(SWARM_SERVICE_LABEL) == selector.name

    def select(self, selectors: Iterable[Selector]) -> Selected:
        """Return the containers that a ``to`` list names, each with those endpoints.

        Plain selectors add up, negated ones take out. ``network:NAME`` names a container at its
        address on that network only; every other kind names it at all of its addresses, and
        wins when both do. An empty list, or one of negated selectors alone, starts from all
        containers.
        """
        key = tuple(selectors)
        if (known := self._index.selected.get(key)) is not None:
            return known
        return self._index.selected.setdefault(key, self._select(key))

    def _select(self, selectors: tuple[Selector, ...]) -> Selected:
        wanted = [s for s in selectors if not s.negated]
        unwanted = [s for s in selectors if s.negated]
        chosen = []
        for container in self._candidates(wanted) if wanted else self.containers:
            if any(self.matches(container, s) for s in unwanted):
                continue
            matching = [s for s in wanted if self.matches(container, s)]
            if wanted and not matching:
                continue
            endpoints = self.endpoints(container)
            if matching and all(s.kind == "network" for s in matching):
                networks = {s.name for s in matching}
                endpoints = tuple(e for e in endpoints if e.network in networks)
            chosen.append((container, endpoints))
        return tuple(chosen)

    def _candidates(self, wanted: Iterable[Selector]) -> Iterable[Container]:
        """Return, in their order, all containers that one of these may name.

        A rule for each container must not go through all containers.
        """
        groups = [group for selector in wanted for group in self._groups(selector)]
        if len(groups) == 1:
            return groups[0]
        found = {container.id: container for group in groups for container in group}
        return sorted(found.values(), key=lambda c: self._index.positions[c.id])

    def _groups(self, selector: Selector) -> list[Sequence[Container]]:
        """Return the groups of containers, by name, that a selector may name."""
        by_name = self._index.by_name.get(selector.kind)
        if by_name is None:
            by_name = self._index.by_name[selector.kind] = self._by_name(selector.kind)
        if "*" in selector.name and selector.kind in ("container", "compose", "image"):
            return [group for name, group in by_name.items() if _matches(selector.name, name)]
        return [by_name.get(selector.name, ())]

    def _by_name(self, kind: SelectorKind) -> Mapping[str, Sequence[Container]]:
        """Return the containers by what selectors of this kind go by."""
        found: dict[str, list[Container]] = {}
        for container in self.containers:
            names = {name for of, name in container.names() if of == kind}
            if kind == "network":
                names = {e.network for e in self.network_owner(container).endpoints}
            for name in names:
                found.setdefault(name, []).append(container)
        return found
