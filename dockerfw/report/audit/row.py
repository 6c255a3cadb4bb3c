"""What an audit finds, as values: a row for each way in. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from dockerfw.model.net import Family
from dockerfw.report.open_ports import Ports, Range

Path: TypeAlias = Literal[
    "published", "docker-proxy", "loopback", "forwarded", "host network",
    "direct", "routed", "bridged", "macvlan", "ipvlan", "other network",
]  # fmt: skip
"""How a packet gets to a container.

published      to a port of this host, led on by Docker's NAT
docker-proxy   to a port of this host, at which docker-proxy listens
loopback       as the first, to 127.0.0.1: neighbours may send such packets all the same
forwarded      as the first, by NAT that Docker did not make
host network   to a port of this host, at which the container itself listens
direct         to the container's own address, routed by this host
routed         the same, to a port that Docker publishes so (gateway mode ``routed``)
bridged        over the bridge itself, from an interface in it that Docker did not make
macvlan, ipvlan   to the container's own address; no rule of this host sees it
other network  by a network of another driver
"""
Reach: TypeAlias = Literal["anyone", "unknown", "some", "neighbours", "nobody"]
"""Who gets in, the worst first.

``neighbours``: whoever can send packets for a private address to this host, or is on its link.
"""
REACHES: tuple[Reach, ...] = ("anyone", "unknown", "some", "neighbours", "nobody")
InForce: TypeAlias = Literal["no", "observing", "enforcing", "not in sync"]


@dataclass(frozen=True, slots=True)
class Row:
    """One way in.

    containers  who is behind it: more than one where they share a network
    ports       the container's own
    host_ports  those of this host that lead there; None where none does
    at          the address that packets are sent to; empty for every address of this host that has
                no row of its own
    who         in words, whom ``reach`` is about
    reason      the rule that decides, or that there is none
    enforced    while observing: what enforcing would make of it; else empty
    """

    containers: tuple[str, ...]
    path: Path
    families: tuple[Family, ...]
    ports: Ports
    host_ports: Range | None
    at: str
    reach: Reach
    who: str
    reason: str
    enforced: str = ""


@dataclass(frozen=True, slots=True)
class Audit:
    """All ways in, the worst first.

    ``no_way_in`` are containers that have none. ``own_ports`` are the host's own, each as text and
    with its program; None: not known. ``notes`` are remarks.
    """

    in_force: InForce
    rows: tuple[Row, ...]
    no_way_in: tuple[str, ...] = ()
    own_ports: tuple[tuple[str, str], ...] | None = ()
    notes: tuple[str, ...] = ()

    def count(self, reach: Reach) -> int:
        return sum(row.reach == reach for row in self.rows)

    @property
    def may_be_open(self) -> bool:
        """Whether something is open to anyone, or may be: that is not known."""
        return any(row.reach in ("anyone", "unknown") for row in self.rows)
