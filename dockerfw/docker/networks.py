"""Docker's JSON of a network -> `Network`, and what else is to be known of it.

Pure. Raises `MalformedError`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dockerfw.docker.json_values import (
    Json,
    MalformedError,
    as_id,
    as_ipv4,
    as_ipv6,
    as_list,
    as_object,
    as_text,
    one_line,
)
from dockerfw.model.docker_names import BRIDGE_NAME_OPTION, GATEWAY_MODE_OPTIONS
from dockerfw.model.inventory import Endpoint, Network, is_interface_name


def decode_network(entry: Json) -> Network:
    """Return the network without its subnets (see `subnet_pools`) and foreign ports."""
    options = as_object(entry.get("Options"))
    network_id = as_id(entry.get("Id"))
    driver = as_text(entry.get("Driver"))
    bridge = None
    if driver == "bridge" and not entry.get("ConfigOnly"):
        bridge = as_text(options.get(BRIDGE_NAME_OPTION)) or f"br-{network_id[:12]}"
    name = as_text(entry.get("Name"))
    if bridge is not None and not is_interface_name(bridge):
        raise MalformedError(f"{one_line(bridge)!r} is no name of an interface")
    return Network(
        id=network_id,
        name=name,
        driver=driver,
        bridge=bridge,
        internal=entry.get("Internal") is True,
    )


def subnet_pools(entry: Json) -> Iterator[Any]:
    """Yield the pools of a network, each of which may be broken by itself."""
    yield from as_list(as_object(entry.get("IPAM")).get("Config"))


def is_routed(entry: Json) -> bool:
    """Return True if one family of this network is in routed mode: published by no host port."""
    options = as_object(entry.get("Options"))
    return any(options.get(mode) == "routed" for mode in GATEWAY_MODE_OPTIONS)


def gateway_endpoint(gateway: Network, place: Json) -> Endpoint:
    """Return a container's endpoint on this network, as the inspected network describes it."""
    return Endpoint(
        network=gateway.name,
        network_id=gateway.id,
        ipv4=as_ipv4(as_text(place.get("IPv4Address")).partition("/")[0]),
        ipv6=as_ipv6(as_text(place.get("IPv6Address")).partition("/")[0]),
    )
