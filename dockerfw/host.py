"""What the compiler and the planner must know of this host, as values.

`HostFacts` is read by ``kernel/facts.py`` and may be written by hand in a test; no I/O here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from dockerfw.policy import Address

Flavour: TypeAlias = Literal["nft", "legacy"]


@dataclass(frozen=True, slots=True)
class Bridge:
    """A bridge interface and those of its ports that Docker did not make (NIC, tap, other veth)."""

    name: str
    foreign_ports: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HostFacts:
    """Netfilter and bridges of this host.

    flavour        which iptables binaries Docker's own chains were written with
    ipv6           the kernel has an IPv6 half (ip6tables works)
    nf_tables      the kernel has nf_tables and ``nft`` is there: the seal can be had
    docker_user    Docker jumps to DOCKER-USER, or would once it runs; False where Docker is on
                   nftables
    bridges        every bridge interface on the host, Docker's or not
    br_netfilter   per family: bridged packets meet iptables (bridge-nf-call-iptables = 1)
    stale_flavour  the other flavour, when it holds left-over Docker chains; else None
    addresses      this host's own, on all interfaces
    """

    flavour: Flavour = "nft"
    ipv6: bool = True
    nf_tables: bool = True
    docker_user: bool = True
    bridges: tuple[Bridge, ...] = ()
    br_netfilter: tuple[bool, bool] = (False, False)
    stale_flavour: Flavour | None = None
    addresses: frozenset[Address] = frozenset()

    @property
    def families(self) -> tuple[Literal[4, 6], ...]:
        return (4, 6) if self.ipv6 else (4,)
