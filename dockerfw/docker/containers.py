"""Docker's JSON of a container, as ``/containers/json`` lists it -> `Container`.

Pure. Raises `MalformedError`, except where a function says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
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
)
from dockerfw.docker.ports import published_ports
from dockerfw.model.inventory import Container, Endpoint, Network


def decode_container(entry: Json, networks: Mapping[str, Network]) -> Container:
    """Return the container without its labels: some of them are the image's.

    ``networks`` by id; an endpoint has the name of its network where it is among these.
    """
    container_id = as_id(entry.get("Id"))
    mode = as_text(as_object(entry.get("HostConfig")).get("NetworkMode"))
    endpoints = by_network(
        tuple(_endpoint(name, as_object(place), networks) for name, place in _places(entry).items())
    )
    drivers = {networks[e.network_id].driver for e in endpoints if e.network_id in networks}
    return Container(
        id=container_id,
        name=_name(as_list(entry.get("Names"))) or container_id[:12],
        image=as_text(entry.get("Image")),
        endpoints=endpoints,
        ports=published_ports(as_list(entry.get("Ports"))),
        host_network=mode == "host" or "host" in drivers,
        network_owner=mode.removeprefix("container:") if mode.startswith("container:") else None,
    )


def started_at(inspected: Json) -> float | None:
    """Return when an inspected container was started: Unix time, whole seconds; None where Docker
    does not tell.
    """
    text = as_text(as_object(inspected.get("State")).get("StartedAt"))
    try:
        return datetime.fromisoformat(f"{text[:19]}+00:00").timestamp()
    except ValueError:
        return None


def endpoint_ids(entry: Json) -> str:
    """Return the ids of all endpoints as one text: it differs after every start."""
    places = _places(entry).values()
    return ",".join(sorted(as_text(as_object(place).get("EndpointID")) for place in places))


def network_ids(entry: object) -> set[str]:
    """Return the ids of the networks that an entry names; it may be broken in any way."""
    try:
        places = _places(as_object(entry)).values()
        return {as_text(as_object(place).get("NetworkID")) for place in places} - {""}
    except MalformedError:
        return set()


def by_network(endpoints: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
    """Return the endpoints in a stable order."""
    return tuple(sorted(endpoints, key=lambda e: (e.network, e.network_id)))


def _places(entry: Json) -> Json:
    return as_object(as_object(entry.get("NetworkSettings")).get("Networks"))


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
        ipv4=as_ipv4(as_text(place.get("IPAddress"))),
        ipv6=as_ipv6(as_text(place.get("GlobalIPv6Address"))),
    )
