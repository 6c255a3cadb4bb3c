"""Where this host sends what it has for an address: what tells a true source from a spoofed one.

Values, and one question about them; no I/O: ``kernel/facts.py`` reads the kernel's table.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dockerfw.model.net import Address, IPNetwork


@dataclass(frozen=True, slots=True)
class Route:
    """Packets to these addresses leave by this interface, unless by a narrower route."""

    network: IPNetwork
    interface: str


def way_out(routes: Iterable[Route], address: Address) -> str | None:
    """Return the interface by which packets to an address leave; None if no route leads there."""
    leading = [r for r in routes if r.network.version == address.version and address in r.network]
    return max(leading, key=lambda r: r.network.prefixlen).interface if leading else None
