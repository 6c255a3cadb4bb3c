"""Docker's API -> `Inventory`: the one module that opens Docker's socket.

Takes the socket that the user named (``-H``, else ``DOCKER_HOST``, else Docker's own), gives an
`Inventory` and what there is to know of the engine. It only reads: it never changes anything in
Docker and never looks at the kernel. An engine whose packets this host's kernel does not filter
(remote, rootless, Podman, in a virtual machine) is refused with one sentence.

Three list calls (``/info``, ``/containers/json``, ``/networks``) serve any number of containers.
What those do not say is asked once for each container or image and kept.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, Literal

from docker import APIClient
from docker.errors import DockerException, NotFound
from docker.utils import kwargs_from_env, parse_host
from requests.exceptions import Timeout

from dockerfw.errors import Failed
from dockerfw.inventory import (
    Container,
    Endpoint,
    Inventory,
    Network,
    PublishedPort,
    is_interface_name,
)
from dockerfw.policy import Address, IPNetwork, Protocol

DEFAULT_HOST = "unix:///var/run/docker.sock"
TIMEOUT = 60
"""Seconds that one answer of Docker may take."""

_GATEWAY_BRIDGE = "docker_gwbridge"
_SERVICE_NAME = "com.docker.swarm.service.name"
_BRIDGE_NAME = "com.docker.network.bridge.name"
_GATEWAY_MODES = (
    "com.docker.network.bridge.gateway_mode_ipv4",
    "com.docker.network.bridge.gateway_mode_ipv6",
)
_PROTOCOLS: Mapping[str, Protocol] = {"tcp": "tcp", "udp": "udp", "sctp": "sctp"}
_WILDCARDS: tuple[Address, ...] = (IPv4Address(0), IPv6Address(0))

_Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What an engine says of itself.

    ``firewall_backend`` is the label in ``/info`` (engine 28.1 and later, else None); the kernel
    is to be believed where it says otherwise: 28.5 can be made to say "nftables" while it writes
    iptables chains. ``swarm`` is this node's part in a swarm, None outside of one: only a manager
    is told which ports the routing mesh publishes.
    """

    version: str
    api_version: str
    firewall_backend: str | None = None
    live_restore: bool = False
    swarm: Literal["manager", "worker"] | None = None


class Docker:
    """A connection to one engine.

    When the engine was restarted behind the socket, perhaps as another version, connect anew:
    the API version was agreed on at the beginning.
    """

    def __init__(self, client: APIClient, where: str, version: _Json) -> None:
        self._client = client
        self._where = where
        self._version = version
        self._image_names: dict[str, str] = {}
        self._image_labels: dict[str, Mapping[str, str]] = {}
        self._mesh_ports: dict[str, tuple[PublishedPort, ...]] = {}
        self._routed: dict[tuple[str, str], tuple[tuple[Protocol, int], ...]] = {}
        self.engine = EngineInfo("", "")
        self.warnings: tuple[str, ...] = ()
        """What the last `read_inventory` could not make sense of, one sentence each."""

    @classmethod
    def connect(
        cls, host: str | None = None, *, remote_ok: bool = False, timeout: float = TIMEOUT
    ) -> Docker:
        """Connect to ``host`` (else ``DOCKER_HOST``, else Docker's own socket).

        The newest API version of the engine is used, as ``/version`` tells it: no single one is
        known to both engine 20.10 (up to 1.41) and 29.0 (from 1.44 on). ``remote_ok`` is for
        who only records: it lets tcp and ssh through, and a kernel that is not ours.
        ``timeout`` is in seconds, for each answer. Raises `Failed`.
        """
        url = host or os.environ.get("DOCKER_HOST") or DEFAULT_HOST
        where = _one_line(url)
        options = _options(url, where, remote_ok=remote_ok, timeout=timeout)
        with _plain_errors(where):
            client = APIClient(version="auto", timeout=timeout, **options)  # type: ignore[arg-type]
            try:
                docker = cls(client, where, _object(client.version()))
                docker._look_at_engine(this_host=not remote_ok)
            except BaseException:
                client.close()
                raise
        return docker

    def close(self) -> None:
        self._client.close()

    def read_inventory(
        self,
        foreign_ports: Mapping[str, tuple[str, ...]],
        *,
        need_images: bool,
        need_labels: bool,
    ) -> Inventory:
        """All running containers and all networks, as of now.

        ``foreign_ports`` are, by bridge, the interfaces in it that Docker did not make.
        ``need_images`` and ``need_labels`` say whether the policy asks for the name that a
        container was created from, or for labels: without ``need_labels`` there are none.
        What vanishes between two calls is not in the answer; an entry that makes no sense is
        left out with a sentence in ``warnings``. Raises `Failed`.
        """
        reading = _Reading(foreign_ports)
        with _plain_errors(self._where):
            self._look_at_engine(this_host=False)
            # Containers before networks: the network of a container that is listed exists then.
            listed = _list(self._client.containers())
            reading.take_networks(_list(self._client.networks()))
            reading.take_containers(listed)
            if self.engine.swarm is not None:
                self._add_gateway_endpoints(reading)
            if self.engine.swarm == "manager":
                self._add_mesh_ports(reading)
            self._add_routed_ports(reading)
            if need_images:
                self._add_image_names(reading)
            if need_labels:
                self._add_labels(reading)
        self._forget_all_but(reading)
        self.warnings = tuple(reading.warnings)
        return reading.inventory(self.engine.version)

    def _look_at_engine(self, *, this_host: bool) -> None:
        info = _object(self._client.info())
        _refuse_other_engines(self._where, self._version, info, this_host=this_host)
        self.engine = _engine_info(self._version, info)

    def _add_gateway_endpoints(self, reading: _Reading) -> None:
        """Containers on overlay networks are reached through docker_gwbridge, which only tells
        of them when it is inspected (moby: setupDefaultGW).
        """
        gateway = next((n for n in reading.networks.values() if n.name == _GATEWAY_BRIDGE), None)
        if gateway is None:
            return
        answer = _unless_gone(self._client.inspect_network, gateway.id)
        for container_id, place in _object((answer or {}).get("Containers")).items():
            with reading.tolerating(f"an endpoint of {_GATEWAY_BRIDGE}"):
                reading.add_endpoint(container_id, _gateway_endpoint(gateway, _object(place)))

    def _add_mesh_ports(self, reading: _Reading) -> None:
        """Ports that the routing mesh publishes, which no list of containers tells.

        A swarm without a leader does not answer: the last answer stands then.
        """
        tasks = reading.of_ingress_networks()
        if not tasks:
            return
        ask: Callable[[], object] = self._client.services
        try:
            services = _list(ask())
        except (DockerException, OSError) as error:
            reading.warn(
                "the swarm does not tell which ports its services publish, so the last ones known"
                f" count: {_one_line(error)}"
            )
        else:
            self._mesh_ports = dict(reading.mesh_ports(services))
        for task in tasks:
            service = reading.all_labels[task.id].get(_SERVICE_NAME, "")
            ports = {*task.ports, *self._mesh_ports.get(service, ())}
            reading.change(task.id, ports=_in_order(ports))

    def _add_routed_ports(self, reading: _Reading) -> None:
        """Ports that are published without a host port: lists of engine 29 leave them out."""
        for container in reading.of_routed_networks():
            key = (container.id, reading.endpoint_ids[container.id])
            with reading.tolerating(f"routed ports of container {_one_line(container.name)}"):
                if key not in self._routed:
                    answer = _unless_gone(self._client.inspect_container, container.id)
                    if answer is None:
                        del reading.containers[container.id]
                        continue
                    self._routed[key] = _routed_ports(_object(answer))
                reading.change(container.id, routed=self._routed[key])

    def _add_image_names(self, reading: _Reading) -> None:
        """The list shows an image's id where its tag has moved on since."""
        for container in tuple(reading.containers.values()):
            if not container.image.startswith("sha256:"):
                continue
            with reading.tolerating(f"the image of container {_one_line(container.name)}"):
                if container.id not in self._image_names:
                    answer = _unless_gone(self._client.inspect_container, container.id)
                    if answer is None:
                        del reading.containers[container.id]
                        continue
                    name = _object(_object(answer).get("Config")).get("Image")
                    self._image_names[container.id] = _text(name) or container.image
                reading.change(container.id, image=self._image_names[container.id])

    def _add_labels(self, reading: _Reading) -> None:
        """The labels given to each container: what its image brings along does not count."""
        for container in tuple(reading.containers.values()):
            labels = reading.all_labels[container.id]
            if not labels:
                continue
            name = _one_line(container.name)
            with reading.tolerating(f"the labels of container {name}"):
                of_image = self._labels_of_image(reading.image_ids[container.id])
                if of_image is None:
                    reading.warn(
                        f"the labels of container {name} do not count: its image is gone, so"
                        " nobody can tell which of them the image brought along; create the"
                        " container anew"
                    )
                    continue
                own = {k: v for k, v in labels.items() if of_image.get(k) != v}
                reading.change(container.id, labels=tuple(sorted(own.items())))

    def _labels_of_image(self, image_id: str) -> Mapping[str, str] | None:
        if image_id not in self._image_labels:
            answer = _unless_gone(self._client.inspect_image, image_id)
            if answer is None:
                return None
            config = _object(_object(answer).get("Config"))
            self._image_labels[image_id] = _labels(config.get("Labels"))
        return self._image_labels[image_id]

    def _forget_all_but(self, reading: _Reading) -> None:
        images = set(reading.image_ids.values())
        names, labels, routed = self._image_names, self._image_labels, self._routed
        self._image_names = {k: v for k, v in names.items() if k in reading.containers}
        self._image_labels = {k: v for k, v in labels.items() if k in images}
        self._routed = {k: v for k, v in routed.items() if reading.endpoint_ids.get(k[0]) == k[1]}


# --- one reading ---------------------------------------------------------------------------------


class _MalformedError(ValueError):
    """An answer, or a part of one, that is not what Docker's API promises."""


class _Reading:
    """An inventory in the making, by id."""

    def __init__(self, foreign_ports: Mapping[str, tuple[str, ...]]) -> None:
        self.foreign_ports = foreign_ports
        self.networks: dict[str, Network] = {}
        self.routed_networks: set[str] = set()
        self.ingress_networks: set[str] = set()
        self.containers: dict[str, Container] = {}
        self.all_labels: dict[str, Mapping[str, str]] = {}
        self.image_ids: dict[str, str] = {}
        self.endpoint_ids: dict[str, str] = {}
        self.warnings: list[str] = []

    def warn(self, sentence: str) -> None:
        if sentence not in self.warnings:
            self.warnings.append(sentence)

    @contextmanager
    def tolerating(self, what: str) -> Iterator[None]:
        try:
            yield
        except _MalformedError as error:
            self.warn(f"left out {what}, which Docker describes in a way not understood: {error}")

    def take_networks(self, entries: list[Any]) -> None:
        for entry in entries:
            with self.tolerating(f"network {_label_of(entry, 'Name')}"):
                self._take_network(_object(entry))

    def _take_network(self, entry: _Json) -> None:
        options = _object(entry.get("Options"))
        network = _network(entry, options)
        if network.bridge is not None and not is_interface_name(network.bridge):
            raise _MalformedError(f"{_one_line(network.bridge)!r} is no name of an interface")
        subnets = []
        for pool in _list(_object(entry.get("IPAM")).get("Config")):
            with self.tolerating(f"a subnet of network {_one_line(network.name)}"):
                if written := _text(_object(pool).get("Subnet")):
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
            with self.tolerating(f"container {_label_of(entry, 'Names')}"):
                self._take_container(_object(entry))

    def _take_container(self, entry: _Json) -> None:
        container = _container(entry, self.networks)
        labels = _labels(entry.get("Labels"))
        image_id = _text(entry.get("ImageID") or container.image)
        places = _object(_object(entry.get("NetworkSettings")).get("Networks")).values()
        self.containers[container.id] = container
        self.all_labels[container.id] = labels
        self.image_ids[container.id] = image_id
        self.endpoint_ids[container.id] = ",".join(
            sorted(_text(_object(place).get("EndpointID")) for place in places)
        )

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
                spec = _object(_object(service).get("Spec"))
                ports = _list(_object(service.get("Endpoint")).get("Ports"))
                yield _text(spec.get("Name")), tuple(_mesh_bindings(ports))

    def change(self, container_id: str, **fields: Any) -> None:
        self.containers[container_id] = replace(self.containers[container_id], **fields)

    def inventory(self, engine: str) -> Inventory:
        """In a stable order: Docker's own varies from call to call."""
        by_name = {c.name: c.id for c in self.containers.values()}
        containers = (
            c if c.donor is None else replace(c, donor=self._donor(c.donor, by_name))
            for c in self.containers.values()
        )
        return Inventory(
            containers=tuple(sorted(containers, key=lambda c: (c.name, c.id))),
            networks=tuple(sorted(self.networks.values(), key=lambda n: (n.name, n.id))),
            engine=engine,
        )

    def _donor(self, reference: str, by_name: Mapping[str, str]) -> str:
        """A reference is an id, a name or the beginning of an id, in Docker's own order."""
        if reference in self.containers:
            return reference
        if reference in by_name:
            return by_name[reference]
        found = [i for i in self.containers if reference and i.startswith(reference)]
        return found[0] if len(found) == 1 else reference


# --- Docker's JSON as values ---------------------------------------------------------------------


def _engine_info(version: _Json, info: _Json) -> EngineInfo:
    swarm = _object(info.get("Swarm"))
    part: Literal["manager", "worker"] = "manager" if swarm.get("ControlAvailable") else "worker"
    outside = swarm.get("LocalNodeState") in (None, "", "inactive")
    return EngineInfo(
        version=_one_line(version.get("Version") or info.get("ServerVersion") or "unknown"),
        api_version=_one_line(version.get("ApiVersion") or "unknown"),
        firewall_backend=_object(info.get("FirewallBackend")).get("Driver"),
        live_restore=info.get("LiveRestoreEnabled") is True,
        swarm=None if outside else part,
    )


def _network(entry: _Json, options: _Json) -> Network:
    network_id = _id(entry.get("Id"))
    driver = _text(entry.get("Driver"))
    bridge = None
    if driver == "bridge" and not entry.get("ConfigOnly"):
        bridge = _text(options.get(_BRIDGE_NAME)) or f"br-{network_id[:12]}"
    return Network(
        id=network_id,
        name=_text(entry.get("Name")),
        driver=driver,
        bridge=bridge,
        internal=entry.get("Internal") is True,
    )


def _container(entry: _Json, networks: Mapping[str, Network]) -> Container:
    container_id = _id(entry.get("Id"))
    mode = _text(_object(entry.get("HostConfig")).get("NetworkMode"))
    places = _object(_object(entry.get("NetworkSettings")).get("Networks"))
    endpoints = _by_network(
        tuple(_endpoint(name, _object(place), networks) for name, place in places.items())
    )
    drivers = {networks[e.network_id].driver for e in endpoints if e.network_id in networks}
    return Container(
        id=container_id,
        name=_name(_list(entry.get("Names"))) or container_id[:12],
        image=_text(entry.get("Image")),
        endpoints=endpoints,
        ports=_ports(_list(entry.get("Ports"))),
        host_network=mode == "host" or "host" in drivers,
        donor=mode.removeprefix("container:") if mode.startswith("container:") else None,
    )


def _name(names: list[Any]) -> str:
    """The entry with one slash; the others are what ``--link`` calls it (``/web/db``)."""
    own = (_text(name) for name in names)
    return next((name[1:] for name in own if name.startswith("/") and name.count("/") == 1), "")


def _endpoint(name: str, place: _Json, networks: Mapping[str, Network]) -> Endpoint:
    network_id = _text(place.get("NetworkID"))
    known = networks.get(network_id)
    return Endpoint(
        network=known.name if known else _text(name),
        network_id=network_id,
        ipv4=_ipv4(_text(place.get("IPAddress"))),
        ipv6=_ipv6(_text(place.get("GlobalIPv6Address"))),
    )


def _gateway_endpoint(gateway: Network, place: _Json) -> Endpoint:
    return Endpoint(
        network=gateway.name,
        network_id=gateway.id,
        ipv4=_ipv4(_text(place.get("IPv4Address")).partition("/")[0]),
        ipv6=_ipv6(_text(place.get("IPv6Address")).partition("/")[0]),
    )


def _ports(entries: list[Any]) -> tuple[PublishedPort, ...]:
    """Without a public port it is only exposed, or published in routed mode."""
    return _in_order({port for entry in entries for port in _bindings(_object(entry))})


def _in_order(ports: set[PublishedPort]) -> tuple[PublishedPort, ...]:
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


def _bindings(entry: _Json) -> Iterator[PublishedPort]:
    if not entry.get("PublicPort"):
        return
    host_port = _port(entry["PublicPort"])
    container_port = _port(entry.get("PrivatePort"))
    protocol = _protocol(_text(entry.get("Type")) or "tcp")
    written = _text(entry.get("IP"))
    for address in (_address(written),) if written else _WILDCARDS:
        yield PublishedPort(address, host_port, container_port, protocol)


def _mesh_bindings(ports: list[Any]) -> Iterator[PublishedPort]:
    """The routing mesh is for IPv4 alone (moby: service_linux.go)."""
    for port in map(_object, ports):
        if port.get("PublishMode") == "ingress" and port.get("PublishedPort"):
            protocol = _protocol(_text(port.get("Protocol")) or "tcp")
            published, target = _port(port["PublishedPort"]), _port(port.get("TargetPort"))
            yield PublishedPort(IPv4Address(0), published, target, protocol)


def _routed_ports(inspected: _Json) -> tuple[tuple[Protocol, int], ...]:
    """Of ``NetworkSettings.Ports``: ``{"80/tcp": [{"HostIp": "", "HostPort": ""}]}``."""
    ports = _object(_object(inspected.get("NetworkSettings")).get("Ports"))
    found = set()
    for written, bindings in ports.items():
        number, _, protocol = written.partition("/")
        if any(_object(b).get("HostPort") in (None, "", "0") for b in _list(bindings)):
            if not number.isdecimal():
                raise _MalformedError(f"{_one_line(written)!r} is no port")
            found.add((_protocol(protocol or "tcp"), _port(int(number))))
    return tuple(sorted(found))


def _by_network(endpoints: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
    return tuple(sorted(endpoints, key=lambda e: (e.network, e.network_id)))


def _labels(value: object) -> dict[str, str]:
    return {_text(key): _text(text) for key, text in _object(value).items()}


def _object(value: object) -> _Json:
    """A JSON object; ``null`` is an empty one, which is how Go writes it."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _MalformedError(f"{_one_line(value)!r} where an object should be")
    return value


def _list(value: object) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise _MalformedError(f"{_one_line(value)!r} where a list should be")
    return value


def _text(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _MalformedError(f"{_one_line(value)!r} where text should be")
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise _MalformedError(f"{_one_line(value)!r} is not text")
    return value


def _id(value: object) -> str:
    if not (text := _text(value)):
        raise _MalformedError("it has no id")
    return text


def _port(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 65535:
        raise _MalformedError(f"{_one_line(value)!r} is no port")
    return value


def _protocol(text: str) -> Protocol:
    if text not in _PROTOCOLS:
        raise _MalformedError(f"{_one_line(text)!r} is no protocol")
    return _PROTOCOLS[text]


def _address(text: str) -> Address:
    # A zone ("%eth0") may hold any letter at all and has no place in an address of Docker's.
    if "%" not in text:
        try:
            return ip_address(text)
        except ValueError:
            pass
    raise _MalformedError(f"{_one_line(text)!r} is no IP address")


def _ipv4(text: str) -> IPv4Address | None:
    address = _address(text) if text else None
    if isinstance(address, IPv6Address):
        raise _MalformedError(f"{address} is no IPv4 address")
    return address


def _ipv6(text: str) -> IPv6Address | None:
    address = _address(text) if text else None
    if isinstance(address, IPv4Address):
        raise _MalformedError(f"{address} is no IPv6 address")
    return address


def _subnet(text: str) -> IPNetwork:
    if "%" not in text and "/" in text:
        try:
            return ip_network(text, strict=False)
        except ValueError:
            pass
    raise _MalformedError(f"{_one_line(text)!r} is no subnet")


def _label_of(entry: object, key: str) -> str:
    """How to call an entry that may be broken in any way."""
    if not isinstance(entry, dict):
        return _one_line(entry)
    names = entry.get(key)
    name = names[0] if isinstance(names, list) and names else names
    return _one_line(name or entry.get("Id") or "without a name").removeprefix("/")


def _one_line(value: object) -> str:
    """Text from outside, fit for a terminal: printable, one line, not long."""
    text = "".join(c if c.isprintable() else " " for c in str(value))
    text = " ".join(text.split())
    return text if len(text) <= 200 else f"{text[:200]}..."


# --- which engines are ours ----------------------------------------------------------------------


def _options(url: str, where: str, *, remote_ok: bool, timeout: float) -> dict[str, Any]:
    """The client's arguments for this address. Raises `Failed` if nobody answers there."""
    scheme, separator, rest = url.partition("://")
    if scheme == "unix" and rest.startswith("/"):
        _knock(rest, where, timeout)
        return {"base_url": url}
    if not separator or scheme not in ("tcp", "http", "https", "ssh") or not _parses(url):
        raise Failed(
            f"{where!r} is no address of Docker: write -H unix:///var/run/docker.sock,"
            " or set DOCKER_HOST to that, or to nothing"
        )
    if not remote_ok:
        raise Failed(
            f"Docker at {where} is a remote engine, and dockerfw filters on the host that it runs"
            " on: run it on the engine's own host, or record that one with `dockerfw -H"
            f" {where} inventory`"
        )
    if scheme == "ssh":
        if find_spec("paramiko") is None:  # the docker package wants it, even for /usr/bin/ssh
            raise Failed(
                f"{where} needs the Python package paramiko: install it, or run `dockerfw"
                " inventory` on that host and copy what it prints"
            )
        return {"base_url": url, "use_ssh_client": True}
    try:
        return dict(kwargs_from_env(environment={**os.environ, "DOCKER_HOST": url}))
    except DockerException as error:
        raise Failed(
            f"cannot use the certificates for {where}: DOCKER_CERT_PATH (else ~/.docker) has to"
            " hold ca.pem, cert.pem and key.pem"
        ) from error


def _parses(url: str) -> bool:
    try:
        return bool(parse_host(url))
    except (DockerException, ValueError):
        return False


def _knock(path: str, where: str, timeout: float) -> None:
    """Whether somebody listens at a socket; the errors are plainest before any HTTP."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(timeout)
            client.connect(path)
    except FileNotFoundError as error:
        raise Failed(
            f"there is no socket at {where}: is Docker running? Start it with"
            " `systemctl start docker`, or name another socket with -H or DOCKER_HOST"
        ) from error
    except PermissionError as error:
        raise Failed(
            f"no permission for Docker's socket at {where}: run as root, or as a member of the"
            " group docker"
        ) from error
    except (OSError, ValueError) as error:
        reason = _one_line(getattr(error, "strerror", None) or error)
        raise Failed(
            f"nobody answers at {where} ({reason}): is Docker running? Start it with"
            " `systemctl start docker`"
        ) from error


_PODMAN_NEXT = (
    "dockerfw knows Docker's way of filtering only; stop Podman's socket or name Docker's"
)


def _refuse_other_engines(where: str, version: _Json, info: _Json, *, this_host: bool) -> None:
    """Raise `Failed` for an engine whose containers this host's kernel does not filter for us."""
    components = [_object(c).get("Name") for c in _list(version.get("Components"))]
    if "BuildahVersion" in info or any("podman" in str(name).lower() for name in components):
        raise Failed(f"it is Podman that answers at {where}: {_PODMAN_NEXT} with -H")
    systems = {str(version.get("Os")).lower(), str(info.get("OSType")).lower()}
    if "windows" in systems:
        raise Failed(
            f"Docker at {where} runs Windows containers: dockerfw filters on Linux; switch"
            " Docker to Linux containers, or name another engine with -H"
        )
    options = [str(option).split(",") for option in _list(info.get("SecurityOptions"))]
    if any("name=rootless" in option for option in options):
        raise Failed(
            f"Docker at {where} is rootless: its containers' packets do not pass this host's"
            " rules for forwarding, so dockerfw cannot filter them; use a rootful Docker, or"
            " filter the published ports in INPUT"
        )
    if this_host and (theirs := _other_kernel(info)):
        raise Failed(
            f"Docker at {where} runs on another kernel than this host ({theirs}, here"
            f" {os.uname().release}), in a virtual machine or on a remote host: run dockerfw there"
        )


def _other_kernel(info: _Json) -> str | None:
    """The engine's kernel, if it is not the one that we run on: a virtual machine's (Docker
    Desktop), or one at the other end of a socket that ssh forwards.

    Docker writes a release of two numbers with three (6.8-rc1 as 6.8.0-rc1), so only the numbers
    are compared.
    """
    theirs = _numbers(str(info.get("KernelVersion")))
    ours = _numbers(os.uname().release)
    if theirs is None or ours is None or theirs == ours:
        return None
    return _one_line(info.get("KernelVersion"))


def _numbers(release: str) -> tuple[int, ...] | None:
    found = re.match(r"(\d{1,9})\.(\d{1,9})(?:\.(\d{1,9}))?", release)
    return tuple(int(number or 0) for number in found.groups()) if found else None


# --- errors --------------------------------------------------------------------------------------


@contextmanager
def _plain_errors(where: str) -> Iterator[None]:
    """Whatever a conversation with Docker can end in, as one sentence."""
    try:
        yield
    except Timeout as error:
        raise Failed(
            f"Docker at {where} takes too long to answer: see `journalctl -u docker`, then try"
            " again"
        ) from error
    # OSError is the base of what requests raises, ValueError of broken JSON; the client also
    # trips over configuration files of the user that are not what it expects.
    except (DockerException, OSError, ValueError, TypeError, AttributeError) as error:
        raise Failed(
            f"Docker at {where} does not answer as it should: {_one_line(error)}; see"
            " `journalctl -u docker`, then try again"
        ) from error


def _unless_gone(inspect: Callable[[str], Any], wanted: str) -> Any:
    """An answer, or None where what was asked about has vanished since it was listed."""
    try:
        return inspect(wanted)
    except NotFound:
        return None
