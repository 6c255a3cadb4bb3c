"""One way in to a container, as the packets that somebody outside would send. Pure values."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_network

from dockerfw.model.foreign import Hook
from dockerfw.model.inventory import Container
from dockerfw.model.net import Address, Family, IPNetwork, Port, family_of
from dockerfw.report.audit.row import Path
from dockerfw.report.explain.routes import Route
from dockerfw.report.foreign_walk import Traveller
from dockerfw.report.obstacles import STRANGERS
from dockerfw.report.open_ports import Ports, Range

_NEAR: tuple[IPNetwork, ...] = tuple(
    map(
        ip_network,
        (
            *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"),
            *("169.254.0.0/16", "127.0.0.0/8", "fc00::/7", "fe80::/10", "::1/128"),
        ),
    )
)
"""Addresses to which nobody sends packets from far away: private, shared, link-local, loopback."""
ALL_PORTS = Ports((), others=True)


@dataclass(frozen=True, slots=True)
class Way:
    """One way in.

    container  the one that is behind it, of those that share a network their owner
    hops       the packet at each hook that it meets, from a stranger who is to be put in
    route      the same for the rules of dockerfw; None: they are not on this way
    near       only neighbours can send such packets
    known      False: whether a packet takes this way is not known; then ``remark`` is why
    remark     what is to be said where no rule decides; ``closed``: that keeps everybody out
    """

    container: Container
    path: Path
    family: Family
    ports: Ports
    host_ports: Range | None = None
    at: Address | None = None
    hops: tuple[Traveller, ...] = ()
    route: Route | None = None
    near: bool = False
    known: bool = True
    closed: bool = False
    remark: str = ""


def is_near(address: Address) -> bool:
    """Return True for addresses to which nobody sends packets from far away."""
    return any(address in network for network in _NEAR if network.version == address.version)


def hop(hook: Hook, to: Address, port: Port, *, local: bool = False) -> Traveller:
    """Return a packet at a hook, from nobody in particular by no interface in particular."""
    nobody = STRANGERS[family_of(to)]
    return Traveller(hook, None, None, nobody, to, port.protocol, port.number, local=local)


def only(protocol: str, number: int) -> Ports:
    return Ports((Range(protocol, number, number),))
