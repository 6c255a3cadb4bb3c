"""What addresses, host ports and subnets are called, by the names of containers and networks.

Takes an `Inventory`; gives names and phrases of one line. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_network

from dockerfw.model.inventory import Inventory, PublishedPort
from dockerfw.model.net import Address, Family, IPNetwork, Port, family_of
from dockerfw.report.open_ports import EVERY_PORT, Range
from dockerfw.text import bracketed, listed, printable, similar_words


class Labels:
    """Names of the containers at an address and behind a host port, of the network of a subnet."""

    def __init__(self, inventory: Inventory) -> None:
        self._at: dict[Address, list[str]] = {}
        self._behind: dict[tuple[Address | None, Family, Port], dict[int, list[str]]] = {}
        self.subnets: dict[IPNetwork, str] = {
            subnet: printable(n.name) for n in inventory.bridges() for subnet in n.subnets
        }
        for container in inventory.containers:
            name = printable(container.name)
            for endpoint in inventory.endpoints(container):
                for address in endpoint.addresses:
                    self._at.setdefault(address, []).append(name)
            for binding in inventory.published(container):
                self._publish(name, binding)
        self._members: dict[str, set[IPNetwork]] = {}
        for address in self._at:
            self._members.setdefault(self.label_at(address), set()).add(ip_network(address))
        for subnet, network in self.subnets.items():
            self._members.setdefault(_network_label(network), set()).add(subnet)

    def _publish(self, name: str, binding: PublishedPort) -> None:
        family = family_of(binding.host_address)
        where = None if binding.wildcard else binding.host_address
        port = Port(binding.protocol, binding.host_port)
        # A rule for the port on whatever address covers a binding to one address as well.
        for bound in {where, None}:
            ports = self._behind.setdefault((bound, family, port), {})
            ports.setdefault(binding.container_port, []).append(name)

    def at(self, address: Address) -> tuple[str, ...]:
        """Return the names at this address: several when containers share a network namespace."""
        return tuple(sorted(set(self._at.get(address, ()))))

    def label_at(self, address: Address) -> str:
        """Return the names at this address, else the address itself."""
        return " + ".join(self.at(address)) or str(address)

    def label(self, where: IPNetwork) -> str:
        """Return `label_at` for a network of one host; for a subnet, the name of its network."""
        if where.prefixlen == where.max_prefixlen:
            return self.label_at(where.network_address)
        return _network_label(self.subnets[where]) if where in self.subnets else str(where)

    def members(self, label: str) -> frozenset[IPNetwork]:
        """Return all addresses, or subnets, that have this label."""
        return frozenset(self._members.get(label, ()))

    @property
    def container_labels(self) -> frozenset[str]:
        """The labels of all containers that have an address of their own."""
        return frozenset(self.label_at(address) for address in self._at)

    @property
    def network_labels(self) -> frozenset[str]:
        """The labels of all Docker networks that have a subnet."""
        return frozenset(map(_network_label, self.subnets.values()))

    def behind(
        self, where: Address | None, family: Family, port: Port
    ) -> tuple[tuple[str, int], ...]:
        """Return the containers that a host port leads to, each with its port.

        With ``where`` None those of all bindings of the port; with an address those of the
        bindings to it, or of all if it has none.
        """
        found = self._behind.get((where, family, port)) or self._behind.get((None, family, port))
        ports = found or {}
        return tuple((" + ".join(sorted(set(n))), p) for p, n in sorted(ports.items()))


def _network_label(name: str) -> str:
    return f"network {name}"


def host_port_text(where: Address | None, ports: Sequence[Range]) -> str:
    """Return host ports in words.

    As in ``host port 8080/tcp``, ``host port [2001:db8::1]:443/tcp``, ``host ports 1-9/tcp``.
    ``where`` None is every address of this host.
    """
    if EVERY_PORT in ports:
        return "every published port" if where is None else f"every published port of {where}"
    plural = "s" if len(ports) > 1 or ports[0].several else ""
    host = "" if where is None else f"{bracketed(where)}:"
    return f"host port{plural} {host}{listed([str(one) for one in ports])}"


def behind_text(pairs: Iterable[tuple[str, int]]) -> str:
    """Return what a host port leads to, in parentheses after a space; "" when that is unknown.

    >>> behind_text([("web", 80)]), behind_text([])
    (' (web:80)', '')
    """
    together = sorted(set(pairs))
    if not together:
        return ""
    if len(together) <= 2:
        return f" ({', '.join(f'{name}:{port}' for name, port in together)})"
    return f" ({listed(sorted({name for name, _ in together}), limit=3)})"


def meant_interface(name: str, interfaces: Iterable[str]) -> str:
    """Return what may have been meant by an interface that this host does not have."""
    near = similar_words(name, interfaces)
    return f"did you mean {listed(near)}?" if near else "see `ip -br link`"
