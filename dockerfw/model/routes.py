"""Where this host sends what it has for an address: what tells a true source from a spoofed one.

Values, and one question about them; no I/O: ``kernel/facts.py`` reads the kernel's table.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_network

from dockerfw.model.net import Address, IPNetwork
from dockerfw.model.supernets import Supernets


@dataclass(frozen=True, slots=True)
class Route:
    """Packets to these addresses leave by this interface, unless by a narrower route."""

    network: IPNetwork
    interface: str


class Routes:
    """Routes of one host, to be asked often."""

    def __init__(self, routes: Iterable[Route]) -> None:
        # At one prefix the first counts.
        self._interfaces = Supernets((r.network, r.interface) for r in reversed([*routes]))

    def way_out(self, address: Address) -> str | None:
        """Return the interface by which packets to it leave; None if no route leads there."""
        leading = self._interfaces.of(ip_network(address))
        return leading[-1] if leading else None
