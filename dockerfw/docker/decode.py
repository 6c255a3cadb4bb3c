"""Docker's JSON -> values of an `Inventory`.

Pure: takes the answers of Docker's API as they come out of ``json``, never asks for one. Docker
writes a missing object or list as ``null``. A part that is not what the API promises raises
`MalformedError` where it stands; `Reading` leaves that part out, keeps a sentence about it and
serves the rest.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, TypeAlias

from dockerfw.model.inventory import (
    Container,
    Endpoint,
    Inventory,
    Network,
    PublishedPort,
    is_interface_name,
)
from dockerfw.model.net import Address, IPNetwork
from dockerfw.model.policy import Protocol

Json: TypeAlias = dict[str, Any]

SERVICE_NAME = "com.docker.swarm.service.name"

_BRIDGE_NAME = "com.docker.network.bridge.name"
_GATEWAY_MODES = (
    "com.docker.network.bridge.gateway_mode_ipv4",
    "com.docker.network.bridge.gateway_mode_ipv6",
)
_PROTOCOLS: Mapping[str, Protocol] = {"tcp": "tcp", "udp": "udp", "sctp": "sctp"}
_WILDCARDS: tuple[Address, ...] = (IPv4Address(0), IPv6Address(0))


class MalformedError(ValueError):
    """An answer, or a part of one, that is not what Docker's API promises."""


Left: TypeAlias = Mapping[str, frozenset[str] | None]
"""What events told and a list may not know yet: by container the ids of the networks that it has
left, None where it died. Docker sends these events some milliseconds (20.10: up to 100) before
its lists show them, and the address may be in other hands by then."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What is to be read again, by id.

    ``gone`` are containers that do not run any more: nobody needs to be asked about those.
    """

    containers: frozenset[str] = frozenset()
    networks: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()
    left: Left = field(default_factory=dict)


class Reading:
    """An inventory in the making, by id.

    ``stale`` are containers that a list described as they were before an event that is known,
    ``left_out`` those that are not in the inventory because nobody could tell what they are,
    ``waiting`` those that wait for their next start.
    """

    def __init__(
        self, foreign_ports: Mapping[str, tuple[str, ...]], left: Left | None = None
    ) -> None:
        self.foreign_ports = foreign_ports
        self.left: Left = left or {}
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

    def warn(self, sentence: str) -> None:
        self.warnings.append(sentence)

    @contextmanager
    def tolerating(self, what: str) -> Iterator[None]:
        try:
            yield
        except MalformedError as error:
            self.warn(f"left out {what}, which Docker describes in a way not understood: {error}")

    def take_networks(self, entries: list[Any]) -> None:
        for entry in entries:
            with self.tolerating(f"network {_label_of(entry, 'Name')}"):
                self._take_network(as_object(entry))

    def _take_network(self, entry: Json) -> None:
        options = as_object(entry.get("Options"))
        network = _network(entry, options)
        if network.bridge is not None and not is_interface_name(network.bridge):
            raise MalformedError(f"{one_line(network.bridge)!r} is no name of an interface")
        subnets = []
        for pool in as_list(as_object(entry.get("IPAM")).get("Config")):
            with self.tolerating(f"a subnet of network {one_line(network.name)}"):
                if written := as_text(as_object(pool).get("Subnet")):
                    subnets.append(_subnet(written))
        foreign = tuple(sorted(self.foreign_ports.get(network.bridge or "", ())))
        network = replace(network, subnets=tuple(subnets), foreign_ports=foreign)
        self.networks[network.id] = network
        if any(options.get(mode) == "routed" for mode in _GATEWAY_MODES):
            self.routed_networks.add(network.id)
        if entry.get("Ingress"):
            self.ingress_networks.add(network.id)

    def take_containers(self, entries: list[Any]) -> None:
        for entry in entries:
            self._take_or_leave(entry)

    def _take_or_leave(self, entry: object) -> None:
        try:
            self._take_container(as_object(entry))
        except MalformedError as error:
            what = f"container {_label_of(entry, 'Names')}, which Docker describes in a way not"
            self.leave_out(id_of(entry), f"{what} understood: {error}")

    def leave_out(self, container_id: str, what_and_why: str) -> None:
        self.containers.pop(container_id, None)
        self.left_out.add(container_id)
        self.warn(f"left out {what_and_why}")

    def _take_container(self, entry: Json) -> None:
        found = _container(entry, self.networks)
        waits = entry.get("State") == "restarting"
        container = self._as_events_told(found, restarting=waits)
        if container is not found:
            self.stale.add(found.id)
        if container is None:
            return
        if waits and not container.host_network:
            self.waiting.add(container.id)
        labels = as_labels(entry.get("Labels"))
        image_id = as_text(entry.get("ImageID") or container.image)
        places = as_object(as_object(entry.get("NetworkSettings")).get("Networks")).values()
        self.containers[container.id] = container
        self.all_labels[container.id] = labels
        self.image_ids[container.id] = image_id
        self.endpoint_ids[container.id] = ",".join(
            sorted(as_text(as_object(place).get("EndpointID")) for place in places)
        )

    def _as_events_told(self, found: Container, *, restarting: bool) -> Container | None:
        """A container that waits for its next start is listed too, without addresses."""
        networks = self.left.get(found.id, frozenset())
        if networks is None:
            return found if restarting else None
        kept = tuple(e for e in found.endpoints if e.network_id not in networks or not e.addresses)
        return found if len(kept) == len(found.endpoints) else replace(found, endpoints=kept)

    def add_endpoint(self, container_id: str, endpoint: Endpoint) -> None:
        container = self.containers.get(container_id)
        if container is None:  # the ingress sandbox, or a container that came since
            return
        others = tuple(e for e in container.endpoints if e.network_id != endpoint.network_id)
        self.change(container_id, endpoints=_by_network((*others, endpoint)))

    def of_routed_networks(self) -> tuple[Container, ...]:
        return self._of(self.routed_networks)

    def of_ingress_networks(self) -> tuple[Container, ...]:
        """Tasks of services that the routing mesh publishes; nothing else may attach there."""
        return self._of(self.ingress_networks)

    def _of(self, network_ids: set[str]) -> tuple[Container, ...]:
        return tuple(
            c
            for c in self.containers.values()
            if any(e.network_id in network_ids for e in c.endpoints)
        )

    def mesh_ports(self, services: list[Any]) -> Iterator[tuple[str, tuple[PublishedPort, ...]]]:
        """By the name of the service."""
        for service in services:
            with self.tolerating(f"service {_label_of(service, 'ID')}"):
                spec = as_object(as_object(service).get("Spec"))
                ports = as_list(as_object(service.get("Endpoint")).get("Ports"))
                yield as_text(spec.get("Name")), tuple(_mesh_bindings(ports))

    def change(self, container_id: str, **fields: Any) -> None:
        self.containers[container_id] = replace(self.containers[container_id], **fields)


class Known:
    """What is known of an engine, part by part as new `Reading`s replace it.

    What a new reading tells the same way stays the same object, so that who compares two
    inventories sees at once what did not change.
    """

    def __init__(self) -> None:
        self.containers: dict[str, Container] = {}
        self.networks: dict[str, Network] = {}
        self._routed: set[str] = set()
        self._ingress: set[str] = set()
        self._order: list[tuple[str, str]] = []
        self._resolved: dict[str, Container] = {}
        self._inventory = Inventory()
        self._changed = True

    def replace_all(self, reading: Reading) -> None:
        self.merge(
            reading,
            containers=self.containers.keys() | reading.containers.keys(),
            networks=self.networks.keys() | reading.networks.keys(),
        )

    def merge(
        self, reading: Reading, *, containers: Collection[str], networks: Collection[str]
    ) -> None:
        """What ``reading`` has for these ids counts, and what it does not have is gone."""
        for network_id in networks:
            self._put_network(network_id, reading)
        for container_id in containers:
            self._put_container(container_id, reading.containers.get(container_id))

    def begin(self, foreign_ports: Mapping[str, tuple[str, ...]], parts: Parts) -> Reading:
        """A reading of some containers, which knows the other networks already."""
        reading = Reading(foreign_ports, parts.left)
        kept = self.networks.keys() - parts.networks
        reading.networks = {i: self.networks[i] for i in kept}
        reading.routed_networks = self._routed & kept
        reading.ingress_networks = self._ingress & kept
        return reading

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

    def inventory(self, engine: str) -> Inventory:
        """In a stable order: Docker's own varies from call to call.

        The same object as last time if nothing changed.
        """
        if self._changed or self._inventory.engine != engine:
            self._inventory = Inventory(
                containers=tuple(self._shown(self.containers[i]) for _, i in self._order),
                networks=tuple(sorted(self.networks.values(), key=lambda n: (n.name, n.id))),
                engine=engine,
            )
            self._changed = False
        return self._inventory

    def _shown(self, container: Container) -> Container:
        """With the id of its network owner, where Docker gives a name or a short id."""
        if container.network_owner is None or container.network_owner in self.containers:
            return container
        shown = replace(container, network_owner=self._network_owner_id(container.network_owner))
        if self._resolved.get(container.id) != shown:
            self._resolved[container.id] = shown
        return self._resolved[container.id]

    def _network_owner_id(self, reference: str) -> str:
        """A reference is an id, a name or the beginning of an id, in Docker's own order."""
        at = bisect_left(self._order, (reference, ""))
        if at < len(self._order) and self._order[at][0] == reference:
            return self._order[at][1]
        found = [i for i in self.containers if reference and i.startswith(reference)]
        return found[0] if len(found) == 1 else reference


def _network(entry: Json, options: Json) -> Network:
    network_id = _id(entry.get("Id"))
    driver = as_text(entry.get("Driver"))
    bridge = None
    if driver == "bridge" and not entry.get("ConfigOnly"):
        bridge = as_text(options.get(_BRIDGE_NAME)) or f"br-{network_id[:12]}"
    return Network(
        id=network_id,
        name=as_text(entry.get("Name")),
        driver=driver,
        bridge=bridge,
        internal=entry.get("Internal") is True,
    )


def _container(entry: Json, networks: Mapping[str, Network]) -> Container:
    container_id = _id(entry.get("Id"))
    mode = as_text(as_object(entry.get("HostConfig")).get("NetworkMode"))
    places = as_object(as_object(entry.get("NetworkSettings")).get("Networks"))
    endpoints = _by_network(
        tuple(_endpoint(name, as_object(place), networks) for name, place in places.items())
    )
    drivers = {networks[e.network_id].driver for e in endpoints if e.network_id in networks}
    return Container(
        id=container_id,
        name=_name(as_list(entry.get("Names"))) or container_id[:12],
        image=as_text(entry.get("Image")),
        endpoints=endpoints,
        ports=_ports(as_list(entry.get("Ports"))),
        host_network=mode == "host" or "host" in drivers,
        network_owner=mode.removeprefix("container:") if mode.startswith("container:") else None,
    )


def _name(names: list[Any]) -> str:
    """The entry with one slash; the others are what ``--link`` calls it (``/web/db``)."""
    own = (as_text(name) for name in names)
    return next((name[1:] for name in own if name.startswith("/") and name.count("/") == 1), "")


def _endpoint(name: str, place: Json, networks: Mapping[str, Network]) -> Endpoint:
    network_id = as_text(place.get("NetworkID"))
    known = networks.get(network_id)
    return Endpoint(
        network=known.name if known else as_text(name),
        network_id=network_id,
        ipv4=_ipv4(as_text(place.get("IPAddress"))),
        ipv6=_ipv6(as_text(place.get("GlobalIPv6Address"))),
    )


def gateway_endpoint(gateway: Network, place: Json) -> Endpoint:
    return Endpoint(
        network=gateway.name,
        network_id=gateway.id,
        ipv4=_ipv4(as_text(place.get("IPv4Address")).partition("/")[0]),
        ipv6=_ipv6(as_text(place.get("IPv6Address")).partition("/")[0]),
    )


def _ports(entries: list[Any]) -> tuple[PublishedPort, ...]:
    """Without a public port it is only exposed, or published in routed mode."""
    return in_order({port for entry in entries for port in _bindings(as_object(entry))})


def in_order(ports: set[PublishedPort]) -> tuple[PublishedPort, ...]:
    return tuple(
        sorted(
            ports,
            key=lambda p: (
                p.protocol,
                p.host_port,
                p.container_port,
                p.host_address.version,
                p.host_address.packed,
            ),
        )
    )


def _bindings(entry: Json) -> Iterator[PublishedPort]:
    if not entry.get("PublicPort"):
        return
    host_port = _port(entry["PublicPort"])
    container_port = _port(entry.get("PrivatePort"))
    protocol = _protocol(as_text(entry.get("Type")) or "tcp")
    written = as_text(entry.get("IP"))
    for address in (_address(written),) if written else _WILDCARDS:
        yield PublishedPort(address, host_port, container_port, protocol)


def _mesh_bindings(ports: list[Any]) -> Iterator[PublishedPort]:
    """The routing mesh is for IPv4 alone (moby: service_linux.go)."""
    for port in map(as_object, ports):
        if port.get("PublishMode") == "ingress" and port.get("PublishedPort"):
            protocol = _protocol(as_text(port.get("Protocol")) or "tcp")
            published, target = _port(port["PublishedPort"]), _port(port.get("TargetPort"))
            yield PublishedPort(IPv4Address(0), published, target, protocol)


def routed_ports(inspected: Json) -> tuple[tuple[Protocol, int], ...]:
    """Of ``NetworkSettings.Ports``: ``{"80/tcp": [{"HostIp": "", "HostPort": ""}]}``."""
    ports = as_object(as_object(inspected.get("NetworkSettings")).get("Ports"))
    found = set()
    for written, bindings in ports.items():
        number, _, protocol = written.partition("/")
        if any(as_object(b).get("HostPort") in (None, "", "0") for b in as_list(bindings)):
            if not number.isdecimal():
                raise MalformedError(f"{one_line(written)!r} is no port")
            found.add((_protocol(protocol or "tcp"), _port(int(number))))
    return tuple(sorted(found))


def configured_ports(inspected: Json) -> set[PublishedPort]:
    """Of ``HostConfig.PortBindings``: ``{"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}``.

    Only at its start does Docker choose one where there is none, or a range.
    """
    bindings = as_object(as_object(inspected.get("HostConfig")).get("PortBindings"))
    found: set[PublishedPort] = set()
    for written, places in bindings.items():
        number, _, protocol = written.partition("/")
        for place in map(as_object, as_list(places)):
            host_port = as_text(place.get("HostPort"))
            if not (number.isdecimal() and host_port.isdecimal()) or not int(host_port):
                continue
            entry = {
                "PublicPort": int(host_port),
                "PrivatePort": int(number),
                "Type": protocol,
                "IP": as_text(place.get("HostIp")),
            }
            found.update(_bindings(entry))
    return found


def _by_network(endpoints: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
    return tuple(sorted(endpoints, key=lambda e: (e.network, e.network_id)))


def as_labels(value: object) -> dict[str, str]:
    return {as_text(key): as_text(text) for key, text in as_object(value).items()}


def as_object(value: object) -> Json:
    """A JSON object; ``null`` is an empty one, which is how Go writes it."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise MalformedError(f"{one_line(value)!r} where an object should be")
    return value


def as_list(value: object) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise MalformedError(f"{one_line(value)!r} where a list should be")
    return value


def as_text(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise MalformedError(f"{one_line(value)!r} where text should be")
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise MalformedError(f"{one_line(value)!r} is not text")
    return value


def _id(value: object) -> str:
    if not (text := as_text(value)):
        raise MalformedError("it has no id")
    return text


def _port(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 65535:
        raise MalformedError(f"{one_line(value)!r} is no port")
    return value


def _protocol(text: str) -> Protocol:
    if text not in _PROTOCOLS:
        raise MalformedError(f"{one_line(text)!r} is no protocol")
    return _PROTOCOLS[text]


def _address(text: str) -> Address:
    # A zone ("%eth0") may hold any letter at all and has no place in an address of Docker's.
    if "%" not in text:
        try:
            return ip_address(text)
        except ValueError:
            pass
    raise MalformedError(f"{one_line(text)!r} is no IP address")


def _ipv4(text: str) -> IPv4Address | None:
    address = _address(text) if text else None
    if isinstance(address, IPv6Address):
        raise MalformedError(f"{address} is no IPv4 address")
    return address


def _ipv6(text: str) -> IPv6Address | None:
    address = _address(text) if text else None
    if isinstance(address, IPv4Address):
        raise MalformedError(f"{address} is no IPv6 address")
    return address


def _subnet(text: str) -> IPNetwork:
    if "%" not in text and "/" in text:
        try:
            return ip_network(text, strict=False)
        except ValueError:
            pass
    raise MalformedError(f"{one_line(text)!r} is no subnet")


def _label_of(entry: object, key: str) -> str:
    """How to call an entry that may be broken in any way."""
    if not isinstance(entry, dict):
        return one_line(entry)
    names = entry.get(key)
    name = names[0] if isinstance(names, list) and names else names
    return one_line(name or entry.get("Id") or "without a name").removeprefix("/")


def id_of(entry: object) -> str:
    """The id of an entry that may be broken in any way, "" if it has none."""
    found = entry.get("Id") if isinstance(entry, dict) else None
    return found if isinstance(found, str) else ""


def networks_of(entry: object) -> set[str]:
    """The ids of the networks that an entry of a list of containers names."""
    try:
        settings = as_object(as_object(entry).get("NetworkSettings"))
        places = as_object(settings.get("Networks")).values()
        return {as_text(as_object(place).get("NetworkID")) for place in places} - {""}
    except MalformedError:
        return set()


def one_line(value: object) -> str:
    """Text from outside, fit for a terminal: printable, one line, not long."""
    text = "".join(c if c.isprintable() else " " for c in str(value))
    text = " ".join(text.split())
    return text if len(text) <= 200 else f"{text[:200]}..."
