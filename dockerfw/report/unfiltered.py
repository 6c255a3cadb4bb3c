"""Containers that stay open although every container port closes: those that are where this host's
kernel filters nothing, on macvlan, ipvlan and the like, or on the host's own network.

Takes a policy and an inventory; gives sentences for people. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

from dockerfw.model.inventory import Container, Inventory
from dockerfw.model.policy import Policy
from dockerfw.rules.targets import guards_host_ports
from dockerfw.text import listed, printable

_FILTERED_OR_NONE = ("bridge", "host", "null", "none")
_HOST = "the host's network"
_INGRESS = "ingress"
"""The routing mesh of a swarm: what comes by it is filtered by host port."""


def not_filtered(policy: Policy, inventory: Inventory) -> tuple[str, ...]:
    """Return one sentence that names these containers; nothing where there are none."""
    places: dict[str, list[str]] = {}
    guarded = guarded_on_host_network(policy)
    for container in inventory.containers:
        for place in _open_places(container, inventory, guarded):
            places.setdefault(place, []).append(container.name)
    if not places:
        return ()
    where = "; ".join(f"{listed(sorted(names))} on {place}" for place, names in places.items())
    steps = []
    if _HOST in places:
        name = min(places[_HOST])
        steps.append(f'on {_HOST} a rule with to = "{name}" guards the ports that it names')
    if places.keys() - {_HOST}:
        steps.append("the other networks are filtered where they end")
    return (printable(f"not filtered here: {where} ({'; '.join(steps)})"),)


def guarded_on_host_network(policy: Policy) -> frozenset[str]:
    """Return the names of host-network containers of which rules guard ports, see P8."""
    return frozenset(
        selector.name
        for statement in policy.statements
        if any(map(guards_host_ports, statement.ports))
        for selector in statement.to
        if selector.exact_container
    )


def _open_places(
    container: Container, inventory: Inventory, guarded: frozenset[str]
) -> Iterator[str]:
    """Yield where it can be reached unfiltered; of its address its owner alone is named."""
    if inventory.on_host_network(container):
        if container.name not in guarded:
            yield _HOST
        return
    if inventory.network_owner(container).id != container.id:
        return
    for endpoint in container.endpoints:
        network = inventory.network(endpoint.network_id)
        if network is None or network.name == _INGRESS:
            continue
        if network.driver not in _FILTERED_OR_NONE:
            yield f"the {network.driver} network {network.name}"
