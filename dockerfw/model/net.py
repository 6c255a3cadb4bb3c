"""Addresses, families, protocols and ports, as values that every room shares.

Pure. ``ipaddress`` types where they fit; `Port` is a protocol with a number.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
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


@lru_cache(maxsize=1 << 14)
def port(protocol: str, number: int) -> Port:
    """Return a port. Equal ones are the same object as long as there are not too many: each stands
    in a dozen places.
    """
    return Port(protocol, number)


def family_of(found: Address | IPNetwork) -> Family:
    """Return the family of an address or a network."""
    return 4 if found.version == 4 else 6


@lru_cache(maxsize=1 << 16)
def network(address: bytes, length: int) -> IPNetwork:
    """Return a network of 4 or 16 bytes and a prefix length.

    Equal ones are the same object as long as there are not too many: sets with thousands of them
    compare ten times as fast then, and take less room.
    """
    if len(address) == 4:
        return IPv4Network((address, length))
    return IPv6Network((address, length))


def same(found: IPNetwork) -> IPNetwork:
    """Return the object that `network` gives for this one."""
    return network(found.network_address.packed, found.prefixlen)
