"""What a packet of a question is to the kernel: who sends it, and which hook of netfilter it meets.

Values, and the routes to a port of this host, which depend on Docker's NAT. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address

from dockerfw.model.inventory import Network
from dockerfw.model.net import Address, Family, Port, family_of
from dockerfw.rules.walk import Hook, Packet

OUTSIDE = "/"
"""The interface of a packet when the question names none: a name that no interface can have."""
ANY_HOST: dict[Family, Address] = {4: IPv4Address("192.0.0.8"), 6: IPv6Address("100::1")}
"""Stands for an address of this host where none is known (RFC 7600 dummy, RFC 6666 discard)."""


@dataclass(frozen=True, slots=True)
class Sender:
    """``bridge`` is the Docker network whose bridge the packet comes in on, if it is one."""

    address: Address
    interface: str
    bridge: Network | None

    @property
    def family(self) -> Family:
        return family_of(self.address)


@dataclass(frozen=True, slots=True)
class Route:
    """One hook that a packet may meet on a path; ``suffix`` tells routes of one path apart.

    ``by_docker``: Docker's own NAT leads there, where it has any.
    """

    suffix: str
    hook: Hook
    packet: Packet
    by_docker: bool = False


@dataclass(frozen=True, slots=True)
class HostPort:
    """A port of this host, and the container's address and port that Docker's NAT leads it to.

    ``inner`` None: no NAT of this family, docker-proxy or the host itself answers.
    ``by_proxy`` False: docker-proxy never does, as for the ports that a swarm publishes.
    ``by_docker`` False: NAT of others does; ``redirected``: it leads to ``inner_port`` here.
    """

    port: Port
    inner: Address | None = None
    inner_port: int = 0
    by_proxy: bool = True
    redirected: bool = False
    by_docker: bool = True

    def routes(self, sender: Sender, address: Address) -> tuple[Route, ...]:
        """Return the routes of a packet to this port at one address of this host.

        From a container the engine decides: up to 28 most go to docker-proxy, from 29 on through
        NAT. So there are two.
        """
        protocol, number = self.port.protocol, self.port.number
        to_host = Packet(
            sender.interface,
            sender.address,
            address,
            protocol,
            number,
            host_port=(address, number),
        )
        proxied = Route(" (docker-proxy)", "input", to_host)
        if self.redirected:
            return (Route("", "input", replace(to_host, port=self.inner_port, dnat=True)),)
        if self.inner is None:
            return (proxied,)
        behind_nat = replace(to_host, destination=self.inner, port=self.inner_port, dnat=True)
        nat = Route(" (DNAT)", "forward", behind_nat, by_docker=self.by_docker)
        return (nat, proxied) if sender.bridge is not None and self.by_proxy else (nat,)
