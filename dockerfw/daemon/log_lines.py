"""What happened, in one line a change that a person can read.

Pure. Takes two inventories and the policy, or what the daemon found; gives `Line` values: a
sentence, how bad it is, and the same as fields for programs. What is open to whom is the answer of
``report/exposure.py`` for the one container that a line is about.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from dockerfw.model.inventory import Container, Inventory, Network
from dockerfw.report.exposure import Exposures
from dockerfw.report.exposure_text import (
    addresses_of,
    closed_word,
    describe_exposure,
    published_text,
)
from dockerfw.text import listed, network_text, printable

Level: TypeAlias = Literal["info", "warning", "error"]
Value: TypeAlias = str | int | float | bool | None
_UNFILTERED = ("macvlan", "ipvlan")
_NOWHERE = ("host", "none", "null")
"""Drivers of the networks that lead to no other container: lines do not mention these."""


@dataclass(frozen=True, slots=True)
class Line:
    """One entry of the log. ``fields`` have names in lower case, as a program wants them."""

    level: Level
    message: str
    fields: Mapping[str, Value] = field(default_factory=dict)


# --- containers and networks ---------------------------------------------------------------------


def changes(old: Inventory, new: Inventory, exposures: Exposures) -> Iterator[Line]:
    """Yield a line for each change: what has gone first, what has come last."""
    lines = _Lines(new, exposures)
    yield from _containers_gone(old, new)
    yield from lines.networks(old)
    before = {container.id: container for container in old.containers}
    for container in new.containers:
        known = before.get(container.id)
        if known is None:
            yield lines.up(container)
        elif known is not container and known != container:
            yield from lines.changed(old, known, container)


def _containers_gone(old: Inventory, new: Inventory) -> Iterator[Line]:
    stay = {container.id for container in new.containers}
    for container in old.containers:
        if container.id not in stay:
            fields = _fields("container_gone", old, container)
            yield Line("info", f"{printable(container.name)} gone", fields)


class _Lines:
    """Lines about containers and networks as they are now."""

    def __init__(self, inventory: Inventory, exposures: Exposures) -> None:
        self.inventory = inventory
        self._exposures = exposures
        self._closed = closed_word(exposures.policy)

    # networks

    def networks(self, old: Inventory) -> Iterator[Line]:
        before = {network.id: network for network in old.networks}
        stay = {network.id for network in self.inventory.networks}
        for network in old.networks:
            if network.id not in stay:
                name = printable(network.name)
                yield Line("info", f"network {name} removed", _of(network, "network_removed"))
        for network in self.inventory.networks:
            known = before.get(network.id)
            if known is None:
                yield self._made(network)
            if network.foreign_ports and (
                not known or known.foreign_ports != network.foreign_ports
            ):
                yield _foreign(network)

    def _made(self, network: Network) -> Line:
        name = printable(network.name)
        if network.driver == "bridge" and network.bridge:
            what = [network.bridge, *(network_text(subnet) for subnet in network.subnets)]
            text = f"network {name} made ({', '.join(what)}): {self._closed}"
        elif network.driver in _UNFILTERED:
            text = f"network {name} made ({network.driver}): it cannot be filtered here"
        else:
            text = f"network {name} made ({printable(network.driver)})"
        return Line("info", text, _of(network, "network_made"))

    # containers

    def up(self, container: Container) -> Line:
        text = f"{printable(container.name)} up {self._where(container)}"
        opened = self._opened(self.inventory, container)
        full = f"{text}: {opened}" if opened else text
        return self._line("container_up", container, full, opened)

    def _opened(self, inventory: Inventory, container: Container) -> str:
        return describe_exposure(self._exposures, inventory, container)

    def changed(self, old: Inventory, was: Container, now: Container) -> Iterator[Line]:
        """Yield a line about its name, addresses and ports, and what is open if that changed."""
        found = list(_changes_of(was, now))
        after = self._opened(self.inventory, now)
        same = self._opened(old, was) == after
        if same and not found:
            return
        text = f"{printable(was.name)} {', '.join(found) or 'changed'}"
        full = text if same or not after else f"{text}: {after}"
        yield self._line("container_changed", now, full, after)

    def _line(self, event: str, container: Container, text: str, opened: str) -> Line:
        fields = _fields(event, self.inventory, container)
        return Line("info", text, {**fields, "open": opened})

    def _where(self, container: Container) -> str:
        network_owner = self.inventory.network_owner(container)
        if network_owner.host_network:
            return "on this host's own network"
        if network_owner.id != container.id:
            return f"on the network of {printable(network_owner.name)}"
        at = addresses_of(self.inventory.endpoints(container))
        others = [printable(n) for n in self._unfiltered_networks(network_owner)]
        words = ([f"on {listed(others)}"] if others else []) + ([f"at {listed(at)}"] if at else [])
        none = "an address" if self.inventory.endpoints(container) else "a network"
        return " and ".join(words) or f"without {none}"

    def _unfiltered_networks(self, container: Container) -> Iterator[str]:
        """Yield its networks that are no bridges of this host: ``macvlan network lan``."""
        bridges = {endpoint.network_id for endpoint in self.inventory.endpoints(container)}
        for endpoint in container.endpoints:
            network = self.inventory.network(endpoint.network_id)
            if network and endpoint.network_id not in bridges and network.driver not in _NOWHERE:
                hint = " (it cannot be filtered here)" if network.driver in _UNFILTERED else ""
                yield f"{network.driver} network {network.name}{hint}"


# --- what is not the same ------------------------------------------------------------------------


def _changes_of(was: Container, now: Container) -> Iterator[str]:
    """Yield ``moved from 172.18.0.3 to 172.18.0.7``, ``renamed to www``, and so on."""
    if was.name != now.name:
        yield f"renamed to {printable(now.name)}"
    before = {endpoint.network_id: endpoint for endpoint in was.endpoints}
    after = {endpoint.network_id: endpoint for endpoint in now.endpoints}
    for network_id, endpoint in before.items():
        if network_id not in after:
            yield f"left {printable(endpoint.network)}"
    for network_id, endpoint in after.items():
        known = before.get(network_id)
        at = listed(addresses_of([endpoint]))
        if known is None:
            yield f"joined {printable(endpoint.network)}" + (f" at {at}" if at else "")
        elif known.addresses != endpoint.addresses:
            yield _moved(listed(addresses_of([known])), at)
    if set(was.ports) != set(now.ports):
        yield f"now has {published_text(now.ports) or 'no published port'}"


def _moved(before: str, after: str) -> str:
    if not before:
        return f"up at {after}"
    return f"moved from {before} to {after}" if after else f"no longer at {before}"


def _foreign(network: Network) -> Line:
    """Return the line for a bridge with ports that are not Docker's.

    The seal calls such a bridge *mixed*, and *foreign* one that is not Docker's at all. The event
    keeps its name, ``network_foreign``, which is promised to programs that read the log.
    """
    ports = [printable(port) for port in network.foreign_ports]
    text = (
        f"network {printable(network.name)}: {listed(ports)} in its bridge {network.bridge} "
        f"{'is' if len(ports) == 1 else 'are'} not Docker's: the bridge counts as an outside "
        "interface now"
    )
    return Line("warning", text, _of(network, "network_foreign"))


def _of(network: Network, event: str) -> Mapping[str, Value]:
    return {
        "event": event,
        "network": network.name,
        "network_id": network.id,
        "bridge": network.bridge,
    }


def _fields(event: str, inventory: Inventory, container: Container) -> Mapping[str, Value]:
    return {
        "event": event,
        "container": container.name,
        "container_id": container.id,
        "addresses": " ".join(addresses_of(inventory.endpoints(container))),
    }
