"""Docker's JSON of ports -> `PublishedPort`s.

Pure. Docker writes ports in four ways: in the list of containers, in a swarm's service, and twice
in an inspected container (what is bound now, what is asked for). Raises `MalformedError`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from dockerfw.docker.json_values import (
    Json,
    MalformedError,
    as_address,
    as_list,
    as_object,
    as_port,
    as_protocol,
    as_text,
    one_line,
)
from dockerfw.model.inventory import PublishedPort
from dockerfw.model.net import Address
from dockerfw.model.policy import Protocol

_WILDCARDS: tuple[Address, ...] = (IPv4Address(0), IPv6Address(0))


def published_ports(entries: list[Any]) -> tuple[PublishedPort, ...]:
    """Return the bindings in ``Ports`` of a list of containers.

    An entry without a public port is only exposed, or published in routed mode: it binds nothing.
    """
    return in_order({port for entry in entries for port in _bindings(as_object(entry))})


def mesh_ports(entries: list[Any]) -> tuple[PublishedPort, ...]:
    """Return what the routing mesh binds, of ``Endpoint.Ports`` of a service.

    The mesh is for IPv4 alone (moby: service_linux.go).
    """
    return tuple(_mesh_bindings(entries))


def routed_ports(inspected: Json) -> tuple[tuple[Protocol, int], ...]:
    """Return the container ports that are published without a host port.

    Of ``NetworkSettings.Ports``: ``{"80/tcp": [{"HostIp": "", "HostPort": ""}]}``.
    """
    ports = as_object(as_object(inspected.get("NetworkSettings")).get("Ports"))
    found = set()
    for written, bindings in ports.items():
        number, _, protocol = written.partition("/")
        if any(as_object(b).get("HostPort") in (None, "", "0") for b in as_list(bindings)):
            if not number.isdecimal():
                raise MalformedError(f"{one_line(written)!r} is no port")
            found.add((as_protocol(protocol or "tcp"), as_port(int(number))))
    return tuple(sorted(found))


def configured_ports(inspected: Json) -> set[PublishedPort]:
    """Return the bindings that a container will have when it starts, as far as they are known.

    Of ``HostConfig.PortBindings``: ``{"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}``. Where
    there is no host port, or a range, Docker chooses one at the start only.
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


def in_order(ports: Iterable[PublishedPort]) -> tuple[PublishedPort, ...]:
    """Return the ports in a stable order, so that equal sets of ports are equal tuples."""
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
    host_port = as_port(entry["PublicPort"])
    container_port = as_port(entry.get("PrivatePort"))
    protocol = as_protocol(as_text(entry.get("Type")) or "tcp")
    written = as_text(entry.get("IP"))
    for address in (as_address(written),) if written else _WILDCARDS:
        yield PublishedPort(address, host_port, container_port, protocol)


def _mesh_bindings(entries: list[Any]) -> Iterator[PublishedPort]:
    for port in map(as_object, entries):
        if port.get("PublishMode") == "ingress" and port.get("PublishedPort"):
            protocol = as_protocol(as_text(port.get("Protocol")) or "tcp")
            published, target = as_port(port["PublishedPort"]), as_port(port.get("TargetPort"))
            yield PublishedPort(IPv4Address(0), published, target, protocol)
