"""What the compiler and the planner must know of this host, as values.

`HostFacts` is read by ``kernel/facts.py`` and may be written by hand in a test; no I/O here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from dockerfw.model.net import Address, Family, Port
from dockerfw.model.routes import Route

Flavour: TypeAlias = Literal["nft", "legacy"]
Backend: TypeAlias = Literal["iptables", "nftables"]
"""What Docker writes its rules with; nftables from engine 29 on, if it is told to."""

FirstPacket: TypeAlias = Literal[
    "closed", "no proxy", "elsewhere", "unseen", "unsupported", "crashed", "no cgroup2"
]
"""Whether docker-proxy's ports can be closed before anybody knows of them, and why not.

closed       the kernel can tell its sockets by their cgroup: dockerd was seen in it
no proxy     Docker was told to run none (``userland-proxy``)
elsewhere    dockerd shares its cgroup with others: to close that would close them, too
unseen       no dockerd is seen: none runs, or none that can be found
unsupported  the kernel or nft has no ``socket cgroupv2``, or no ``reject``
crashed      nft crashed when it was asked: whether the kernel has it is not known
no cgroup2   there is no tree of version 2
"""


@dataclass(frozen=True, slots=True)
class Bridge:
    """A bridge interface and those of its ports that Docker did not make (NIC, tap, other veth).

    ``index`` is the kernel's number for it: one that was removed and made again has another one.
    ``has_containers``: an interface that Docker made is in it, and its own name does not show that
    it is Docker's.
    """

    name: str
    foreign_ports: tuple[str, ...] = ()
    index: int = 0
    has_containers: bool = False


@dataclass(frozen=True, slots=True)
class BridgePort:
    """An interface in a bridge of this host.

    ``namespace`` is the kernel's number of the network namespace that its other end is in, and
    ``peer`` the index of that there; None where it has none, or in this one. Numbers are used
    again, names of Docker's are not. ``carrier``: the other end is up.
    """

    name: str
    bridge: str
    namespace: int | None = None
    peer: int = 0
    carrier: bool = True


@dataclass(frozen=True, slots=True)
class Interior:
    """What is in a network namespace: MAC addresses by the index of their interface, as text, and
    the addresses of all interfaces.
    """

    macs: tuple[tuple[int, str], ...]
    addresses: frozenset[Address]


@dataclass(frozen=True, slots=True)
class Cgroup:
    """A cgroup of version 2 as nft's ``socket cgroupv2`` wants it.

    ``path`` is below /sys/fs/cgroup and ``level`` counts from the root of the cgroup namespace.
    The kernel matches by ``inode``: one that was removed and made again is another cgroup.
    ``unit``: it is dockerd's own unit, which is made anew at each start of Docker, and what is
    below it is not meant; else it is a slice, which stays, and all below it is meant.
    """

    path: str
    level: int
    inode: int
    unit: bool = False


@dataclass(frozen=True, slots=True)
class Proxy:
    """docker-proxy on this host.

    cgroup         that its sockets live in or, before Docker starts, will live in
    dockerd_ports  what dockerd itself was told to listen on: its API, metrics, swarm
    first_packet   see `FirstPacket`
    homes          cgroups that dockerd starts in, below /sys/fs/cgroup: the first that is there is
                   the one; none where it shares its cgroup with others
    told_in        the file that changes when dockerd begins to listen on more, a swarm's
    """

    cgroup: Cgroup | None = None
    dockerd_ports: frozenset[Port] = frozenset()
    first_packet: FirstPacket = "elsewhere"
    homes: tuple[str, ...] = field(default=(), compare=False)
    told_in: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class PortForward:
    """A NAT rule that Docker did not make: what is sent to a port of this host goes on to ``to``.

    ``address`` None: sent to any address of this host. ``protocol`` None: every packet to that
    address. ``to`` None: to this host itself, as it is for an address of its own. ``to_port``
    None: the port stays as it was. ``conditional``: it asks for something besides that is not
    known here (a source, an interface), so packets to that port may pass it by.
    """

    family: Family
    address: Address | None
    protocol: str | None
    first: int
    last: int
    to: Address | None
    to_port: int | None = None
    conditional: bool = False

    def takes(self, address: Address | None, protocol: str, port: int) -> bool:
        """Return True if it may rewrite a packet to this port; ``address`` None: to any."""
        if address is not None and self.address not in (None, address):
            return False
        if self.protocol is None:
            return True
        return self.protocol == protocol and self.first <= port <= self.last

    def port_behind(self, port: int) -> int:
        """Return where a packet to this port goes on to."""
        return port if self.to_port is None else self.to_port


@dataclass(frozen=True, slots=True)
class HostFacts:
    """Netfilter and bridges of this host.

    flavour        which iptables binaries Docker's own chains were written with
    ipv6           the kernel has an IPv6 half (ip6tables works)
    nf_tables      the kernel has nf_tables and ``nft`` is there: the seal can be had
    labels         the kernel can label connections, and nft and iptables can match the labels
    frames         nf_tables has its bridge family: frames between ports can be filtered
    docker_user    Docker jumps to DOCKER-USER, or would once it runs; False where Docker is on
                   nftables
    backend        by the rules of Docker that stand; None where none do
    bridges        every bridge interface on the host, Docker's or not
    foreign_bridges  names of bridges that are somebody else's for certain: Docker was asked after
                   these facts were read, and does not have them (``operations/bridge_owners.py``).
                   All others are sealed, so that what is unknown is closed
    named_by_docker  interfaces that Docker's own rules name
    br_netfilter   per family: bridged packets meet iptables (bridge-nf-call-iptables = 1)
    stale_flavour  the other flavour, when it holds left-over Docker chains; else None
    addresses      this host's own, on all interfaces
    routes         the main routing table, both families
    way_back       the kernel can tell whether a packet came in where its answer would leave
                   (``rpfilter``)
    proxy          docker-proxy, and how soon its ports can be closed
    docker_rules   Docker's own rules stand, or it was told to write none; False while it runs
                   containers: another tool has flushed them, and only Docker brings them back
    forwards       NAT rules that Docker did not make and that lead to a bridge of this host, or
                   to a port of this host
    unread_nat     those of which it is not known where they lead (``to`` says nothing), or for
                   which ports; they open nothing
    interfaces     names of all that are there now, for messages; none where that is not known
    """

    flavour: Flavour = "nft"
    ipv6: bool = True
    nf_tables: bool = True
    labels: bool = True
    frames: bool = True
    docker_user: bool = True
    backend: Backend | None = None
    bridges: tuple[Bridge, ...] = ()
    foreign_bridges: frozenset[str] = frozenset()
    named_by_docker: frozenset[str] = frozenset()
    br_netfilter: tuple[bool, bool] = (False, False)
    stale_flavour: Flavour | None = None
    addresses: frozenset[Address] = frozenset()
    routes: tuple[Route, ...] = ()
    way_back: bool = True
    proxy: Proxy = Proxy()
    docker_rules: bool = True
    forwards: tuple[PortForward, ...] = ()
    unread_nat: tuple[PortForward, ...] = ()
    # They come and go with containers, and nothing is compiled from them.
    interfaces: frozenset[str] = field(default=frozenset(), compare=False)

    @property
    def families(self) -> tuple[Literal[4, 6], ...]:
        return (4, 6) if self.ipv6 else (4,)
