"""Packets that were denied, as the kernel has recorded them. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from dockerfw.model.net import Address, IPNetwork, Port


@dataclass(frozen=True, slots=True)
class Denial:
    """Packets from one source to one port.

    ``source`` is one address in IPv4 and a /64 in IPv6. ``destination`` is the container's address,
    and one of this host where nothing leads the packets on (docker-proxy, the host's network).
    ``packets`` and ``bytes`` are counted from ``first`` on; that and ``last`` are Unix time, to a
    second.
    """

    source: IPNetwork
    destination: Address
    port: Port
    packets: int
    bytes: int
    first: float
    last: float
