"""Addresses, families, protocols and ports, as values that every room shares.

Pure. ``ipaddress`` types where they fit; `Port` is a protocol with a number.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Literal, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
IPNetwork: TypeAlias = IPv4Network | IPv6Network
Family: TypeAlias = Literal[4, 6]
FAMILIES: tuple[Family, Family] = (4, 6)


@dataclass(frozen=True, slots=True, order=True)
class Port:
    """A protocol and a port; an ICMP echo request is ``Port("icmp", 0)`` in both families."""

    protocol: str
    number: int
