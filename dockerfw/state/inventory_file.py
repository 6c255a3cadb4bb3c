"""`Inventory` <-> JSON text: what ``dockerfw inventory`` writes and ``--inventory FILE`` reads.

Pure: takes and gives text and values; the caller opens the file. `load` returns what `dump` was
given. A file may also be written by hand, so every field is checked:
nothing from it reaches kernel text as anything but an address, a port or an interface name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, TypeVar

from dockerfw.errors import UsageError
from dockerfw.model.host import Backend
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

SCHEMA = 1

_PROTOCOLS: Mapping[str, Protocol] = {"tcp": "tcp", "udp": "udp", "sctp": "sctp"}
_Item = TypeVar("_Item")
_Json = dict[str, Any]


def dump(inventory: Inventory, *, for_people: bool = True) -> str:
    """Return the inventory as JSON text, in ASCII, with a newline at its end; on one line unless it
    is ``for_people``, which takes five times as long.
    """
    document = {
        "schema": SCHEMA,
        "engine": inventory.engine,
        "firewall_backend": inventory.backend,
        "containers": [_dump_container(c) for c in inventory.containers],
        "networks": [_dump_network(n) for n in inventory.networks],
    }
    return json.dumps(document, indent=2 if for_people else None) + "\n"


def load(text: str) -> Inventory:
    """Return the inventory in this text. Raises `UsageError` that names the first wrong field."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"the inventory is not JSON ({error}): record one with `dockerfw inventory`"
        ) from None
    known = ("schema", "engine", "firewall_backend", "containers", "networks")
    top = _Fields(document, "inventory", known)
    if top.values.get("schema") != SCHEMA or isinstance(top.values["schema"], bool):
        raise UsageError(
            f'the inventory has no "schema": {SCHEMA}: record it with the `dockerfw inventory` of'
            " this version"
        )
    return Inventory(
        containers=top.items("containers", _load_container),
        networks=top.items("networks", _load_network),
        engine=top.text("engine", ""),
        backend=top.backend_or_none("firewall_backend"),
    )


def _dump_container(container: Container) -> _Json:
    return {
        "id": container.id,
        "name": container.name,
        "image": container.image,
        "labels": dict(container.labels),
        "endpoints": [
            {
                "network": e.network,
                "network_id": e.network_id,
                "ipv4": None if e.ipv4 is None else str(e.ipv4),
                "ipv6": None if e.ipv6 is None else str(e.ipv6),
            }
            for e in container.endpoints
        ],
        "ports": [
            {
                "host_address": str(p.host_address),
                "host_port": p.host_port,
                "container_port": p.container_port,
                "protocol": p.protocol,
            }
            for p in container.ports
        ],
        "routed": [{"container_port": port, "protocol": name} for name, port in container.routed],
        "host_network": container.host_network,
        "donor": container.network_owner,
    }


def _dump_network(network: Network) -> _Json:
    return {
        "id": network.id,
        "name": network.name,
        "driver": network.driver,
        "bridge": network.bridge,
        "subnets": [str(subnet) for subnet in network.subnets],
        "internal": network.internal,
        "foreign_ports": list(network.foreign_ports),
    }


def _load_container(value: object, where: str) -> Container:
    known = ("id", "name", "image", "labels", "endpoints", "ports", "routed", "host_network")
    fields = _Fields(value, where, (*known, "donor"))
    return Container(
        id=fields.text("id"),
        name=fields.text("name"),
        image=fields.text("image", ""),
        labels=fields.labels("labels"),
        endpoints=fields.items("endpoints", _load_endpoint),
        ports=fields.items("ports", _load_port),
        host_network=fields.flag("host_network"),
        network_owner=fields.text_or_none("donor"),
        routed=fields.items("routed", _load_routed),
    )


def _load_endpoint(value: object, where: str) -> Endpoint:
    fields = _Fields(value, where, ("network", "network_id", "ipv4", "ipv6"))
    ipv4, ipv6 = fields.address_or_none("ipv4"), fields.address_or_none("ipv6")
    if isinstance(ipv4, IPv6Address):
        raise fields.wrong("ipv4", "an IPv4 address")
    if isinstance(ipv6, IPv4Address):
        raise fields.wrong("ipv6", "an IPv6 address")
    return Endpoint(fields.text("network"), fields.text("network_id"), ipv4, ipv6)


def _load_port(value: object, where: str) -> PublishedPort:
    known = ("host_address", "host_port", "container_port", "protocol")
    fields = _Fields(value, where, known)
    return PublishedPort(
        host_address=fields.address("host_address"),
        host_port=fields.port("host_port"),
        container_port=fields.port("container_port"),
        protocol=fields.protocol("protocol"),
    )


def _load_routed(value: object, where: str) -> tuple[Protocol, int]:
    fields = _Fields(value, where, ("container_port", "protocol"))
    return fields.protocol("protocol"), fields.port("container_port")


def _load_network(value: object, where: str) -> Network:
    known = ("id", "name", "driver", "bridge", "subnets", "internal", "foreign_ports")
    fields = _Fields(value, where, known)
    return Network(
        id=fields.text("id"),
        name=fields.text("name"),
        driver=fields.text("driver"),
        bridge=fields.interface_or_none("bridge"),
        subnets=fields.items("subnets", _load_subnet),
        internal=fields.flag("internal"),
        foreign_ports=fields.items("foreign_ports", _load_text),
    )


def _load_subnet(value: object, where: str) -> IPNetwork:
    if isinstance(value, str) and "%" not in value:
        try:
            return ip_network(value)
        except ValueError:
            pass
    raise _wrong(where, "a subnet without host bits")


def _load_text(value: object, where: str) -> str:
    # A lone surrogate can be written in JSON, and then in no file and on no terminal.
    if isinstance(value, str) and not any("\ud800" <= letter <= "\udfff" for letter in value):
        return value
    raise _wrong(where, "text")


def _load_address(value: object, where: str) -> Address:
    # A zone ("fe80::1%...") may hold any letter at all.
    if isinstance(value, str) and "%" not in value:
        try:
            return ip_address(value)
        except ValueError:
            pass
    raise _wrong(where, "an IP address")


class _Fields:
    """One JSON object of the file, and where in the file it stands."""

    def __init__(self, value: object, where: str, known: Collection[str]) -> None:
        if not isinstance(value, dict):
            raise _wrong(where, "an object")
        self.values: _Json = value
        self.where = where
        for key in value:
            if key not in known:
                raise UsageError(
                    f"{where}: unknown field {ascii(key)[:80]}; known are: {', '.join(known)}"
                )

    def path(self, key: str) -> str:
        return f"{self.where}.{key}"

    def wrong(self, key: str, wanted: str) -> UsageError:
        return _wrong(self.path(key), wanted)

    def text(self, key: str, default: str | None = None) -> str:
        return _load_text(self.values.get(key, default), self.path(key))

    def text_or_none(self, key: str) -> str | None:
        return None if self.values.get(key) is None else self.text(key)

    def interface_or_none(self, key: str) -> str | None:
        name = self.text_or_none(key)
        if name is not None and not is_interface_name(name):
            raise self.wrong(key, "the name of an interface")
        return name

    def address(self, key: str) -> Address:
        return _load_address(self.values.get(key), self.path(key))

    def address_or_none(self, key: str) -> Address | None:
        return None if self.values.get(key) is None else self.address(key)

    def port(self, key: str) -> int:
        value = self.values.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 65535:
            raise self.wrong(key, "a port from 1 to 65535")
        return value

    def protocol(self, key: str) -> Protocol:
        value = self.values.get(key)
        if not isinstance(value, str) or value not in _PROTOCOLS:
            raise self.wrong(key, "tcp, udp or sctp")
        return _PROTOCOLS[value]

    def backend_or_none(self, key: str) -> Backend | None:
        match self.values.get(key):
            case None | "iptables" | "nftables" as value:
                return value
        raise self.wrong(key, "iptables or nftables")

    def flag(self, key: str) -> bool:
        value = self.values.get(key, False)
        if not isinstance(value, bool):
            raise self.wrong(key, "true or false")
        return value

    def labels(self, key: str) -> tuple[tuple[str, str], ...]:
        value = self.values.get(key, {})
        if not isinstance(value, dict):
            raise self.wrong(key, "an object")
        where = self.path(key)
        return tuple((_load_text(k, where), _load_text(v, where)) for k, v in value.items())

    def items(self, key: str, load_item: Callable[[object, str], _Item]) -> tuple[_Item, ...]:
        value = self.values.get(key, [])
        if not isinstance(value, list):
            raise self.wrong(key, "a list")
        return tuple(
            load_item(item, f"{self.path(key)}[{index}]") for index, item in enumerate(value)
        )


def _wrong(where: str, wanted: str) -> UsageError:
    return UsageError(f"{where} must be {wanted}")
