"""(ports of bridges, what is behind them, `Inventory`) -> which port may send from which address.

Pure. An address of a container that Docker knows, and that one container alone has, belongs to the
ports and MAC addresses of that container; so does a MAC address. What nobody or more than one has
is bound to nobody: the rules for packets judge it. So whoever is cut off by this sends in the name
of another one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import TypeVar

from dockerfw.model.docker_names import is_docker_veth
from dockerfw.model.host import BridgePort, Interior
from dockerfw.model.inventory import Inventory, is_interface_name
from dockerfw.model.net import Address

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Bindings:
    """``ports`` are those that are held to this: frames from a port that is in none of it are left
    alone. ``stations`` are ports with a MAC address that is theirs, ``holders`` these with an
    address.

    What is said of a port is right as long as there is a port of that name: Docker gives each
    a new one. So a table that nobody keeps cuts nobody off.
    """

    observe: bool
    ports: frozenset[str] = frozenset()
    stations: frozenset[tuple[str, str]] = frozenset()
    holders: frozenset[tuple[str, str, Address]] = frozenset()
    gateways: frozenset[Address] = frozenset()


def bind(
    ports: Iterable[BridgePort],
    interiors: Mapping[int, Interior],
    inventory: Inventory,
    own: Iterable[Address] = (),
    *,
    observe: bool,
) -> Bindings:
    """Return the bindings; ``interiors`` by the number of the namespace, where it is known.

    ``own`` are the addresses of this host. Where a NIC or a VM is in a bridge of Docker's they may
    move to another host, and are bound to nobody.
    """
    ours = {network.bridge for network in inventory.bridges()}
    plain = [port for port in ports if is_interface_name(port.name)]
    containers: dict[int, list[BridgePort]] = {}
    for port in plain:
        if is_docker_veth(port.name) and port.namespace in interiors:
            containers.setdefault(port.namespace or 0, []).append(port)
    known = {a for c in inventory.containers for e in c.endpoints for a in e.addresses}
    macs = {n: _macs(found, interiors[n]) for n, found in containers.items()}
    addresses = {n: interiors[n].addresses & known for n in containers}
    mac_owners, address_owners = _owners(macs), _owners(addresses)
    stations: set[tuple[str, str]] = set()
    holders: set[tuple[str, str, Address]] = set()
    for n, found in containers.items():
        # Any of its ports with any of its addresses: it may answer through another network.
        for name, mac in product([p.name for p in found], macs[n]):
            if mac_owners[mac] == {n}:
                stations.add((name, mac))
            holders |= {(name, mac, a) for a in addresses[n] if address_owners[a] == {n}}
    # A VM or a NIC in a bridge of Docker's is no container.
    others = {p.name for p in plain if p.bridge in ours and not is_docker_veth(p.name)}
    inside = {p.name for found in containers.values() for p in found}
    pure = [subnet for n in inventory.bridges() if not n.foreign_ports for subnet in n.subnets]
    gateways = {a for a in own if a not in known and any(a in subnet for subnet in pure)}
    return Bindings(
        observe,
        frozenset(inside | others),
        frozenset(stations),
        frozenset(holders),
        frozenset(gateways),
    )


def _macs(ports: Iterable[BridgePort], interior: Interior) -> frozenset[str]:
    by_index = dict(interior.macs)
    return frozenset(by_index[port.peer] for port in ports if port.peer in by_index)


def _owners(found: Mapping[int, Iterable[_T]]) -> dict[_T, set[int]]:
    """Who has each of these."""
    owners: dict[_T, set[int]] = {}
    for namespace, things in found.items():
        for thing in things:
            owners.setdefault(thing, set()).add(namespace)
    return owners
