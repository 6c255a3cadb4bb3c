"""A host with three bridges, containers on them, and rules such as Docker writes; no engine.

Takes the lab's hosts, gives a `Scene`: the places to send from, the inventory that Docker would
have told, and a `Reconciler` whose tools run inside. Never touches the machine's own network.

====== ================================== ==================================================
bridge subnets                            containers
====== ================================== ==================================================
br-a   172.18.0.0/16, fd00:18::/64        web (.2), db (.3), api (.4, on br-b too)
br-b   172.19.0.0/16, fd00:19::/64        cache (.2)
br-m   172.20.0.0/16, fd00:20::/64        mix (.2); with a foreign port to vm (.100)
====== ================================== ==================================================

Behind cache are `CLIENT`s. The outside comes in on eth0, and from 10.9.0.2 and fd00:9::2 on wg0.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Literal

from dockerfw.kernel.netfilter import Netfilter
from dockerfw.model.inventory import Inventory
from dockerfw.model.net import Address, Family
from dockerfw.model.policy import Policy, Protocol
from dockerfw.operations.reconcile import Reconciler, Result
from dockerfw.state.store import Store
from tests import build
from tests.lab.host import HOST_V4, HOST_V6, Host
from tests.lab.place import Place
from tests.lab.wait import Closable
from tests.packets.runner import HostRunner

HOST: dict[Family, str] = {4: HOST_V4, 6: HOST_V6}
BROADCAST = "203.0.113.255"

BRIDGES = ("br-a", "br-b", "br-m")
SUBNETS = {
    "br-a": ("172.18.0.0/16", "fd00:18::/64"),
    "br-b": ("172.19.0.0/16", "fd00:19::/64"),
    "br-m": ("172.20.0.0/16", "fd00:20::/64"),
}
GATEWAYS = {
    "br-a": ("172.18.0.1", "fd00:18::1"),
    "br-b": ("172.19.0.1", "fd00:19::1"),
    "br-m": ("172.20.0.1", "fd00:20::1"),
}
ADDRESSES = {
    "web": {"br-a": ("172.18.0.2", "fd00:18::2")},
    "db": {"br-a": ("172.18.0.3", "fd00:18::3")},
    "api": {"br-a": ("172.18.0.4", "fd00:18::4"), "br-b": ("172.19.0.4", "fd00:19::4")},
    "cache": {"br-b": ("172.19.0.2", "fd00:19::2")},
    "mix": {"br-m": ("172.20.0.2", "fd00:20::2")},
}
VM = {"br-m": ("172.20.0.100", "fd00:20::100")}
TUNNEL = ("10.9.0.2", "fd00:9::2")
CLIENT: dict[Family, str] = {4: "10.66.0.7", 6: "fd00:66::7"}
"""Behind cache, which routes for them, as a VPN container does."""
CONTAINER_PORTS = (
    "80/tcp", "443/tcp", "5432/tcp", "6379/tcp", "8050/tcp", "53/udp", "60/udp", "5432/udp",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Published:
    """``host`` None: on every address."""

    host_port: int
    container: str
    container_port: int
    protocol: Protocol = "tcp"
    host: Address | None = None

    @property
    def binding(self) -> str:
        """As after ``docker run -p``."""
        host = "" if self.host is None else f"{self.host}:"
        return f"{host}{self.host_port}:{self.container_port}/{self.protocol}"


PUBLISHED = (
    Published(8080, "web", 80),
    Published(8443, "web", 443, host=IPv4Address(HOST_V4)),
    Published(5353, "web", 53, "udp"),
    Published(5432, "db", 5432),
    Published(7000, "cache", 6379),
    Published(7001, "mix", 80),
)
HOST_PORTS = (
    "22/tcp", "8080/tcp", "8443/tcp", "5353/udp", "5432/tcp", "7000/tcp", "7001/tcp",
    "9100/tcp", "9100/udp",
)  # fmt: skip
"""What the host listens on: docker-proxy's ports, a host-network container's, and an ssh."""


class Scene(Closable):
    """A host as above; ``nat6``: Docker's NAT stands in IPv6 too, else docker-proxy carries it.

    ``proxied_bridges``: containers reach host ports through docker-proxy, as with Docker up to 28;
    else by NAT, as with Docker 29. ``docker`` False: no rules at all.
    """

    def __init__(
        self,
        *,
        rp_filter: Literal[0, 1, 2] = 0,
        bridge_calls: bool = False,
        flavour: Literal["nft", "legacy"] = "nft",
        forward_policy: Literal["ACCEPT", "DROP"] = "ACCEPT",
        nat6: bool = False,
        proxied_bridges: bool = True,
        docker: bool = True,
    ) -> None:
        self.bridge_calls = bridge_calls
        self.proxied_bridges = proxied_bridges
        self.host = Host(rp_filter=rp_filter, bridge_calls=bridge_calls, flavour=flavour)
        try:
            self._build()
            self.rules: dict[Family, str] = {}
            if docker:
                families: tuple[Family, ...] = (4, 6) if nat6 else (4,)
                for family in families:
                    self.rules[family] = docker_rules(
                        family, forward_policy, proxied_bridges=proxied_bridges
                    )
                    self.restore(family, self.rules[family])
        except BaseException:
            self.host.close()
            raise
        self.outside = self.host.outside
        self.inventory = inventory()
        host = self.host
        self.store = Store(host.path("/var/lib/dockerfw"), host.path("/run/dockerfw"))
        kernel = Netfilter(HostRunner(host), time.time)
        self.reconciler = Reconciler(kernel, self.store, time.time)

    def close(self) -> None:
        self.host.close()

    def _build(self) -> None:
        host = self.host
        for bridge, gateways in GATEWAYS.items():
            host.bridge(bridge, *(_with_length(g) for g in gateways))
        self.places: dict[str, Place] = {"host": host, "outside": host.outside}
        for name, homes in {**ADDRESSES, "vm": VM}.items():
            place = host.container(
                name,
                {b: [_with_length(a) for a in own] for b, own in homes.items()},
                by_docker=name != "vm",
            )
            place.listen(*CONTAINER_PORTS)
            self.places[name] = place
        # A container has one default route, as Docker gives it: through its first network.
        self.places["api"].ip(*(f"route del default via {a}" for a in GATEWAYS["br-b"]))
        self._clients()
        self._tunnel()
        host.listen(*HOST_PORTS)

    def _clients(self) -> None:
        lengths: dict[Family, int] = {4: 32, 6: 128}
        for family, length in lengths.items():
            client = f"{CLIENT[family]}/{length}"
            self.places["cache"].ip(f"addr add {client} dev lo")
            self.host.ip(f"route add {client} via {at('cache', family)} dev br-b")

    def _tunnel(self) -> None:
        """A second way in. The outside sends through it what it sends from `TUNNEL`."""
        inner = f"/proc/1/fd/{self.host.outside.namespaces.network.rpartition('/')[2]}"
        self.host.ip(
            f"link add wg0 type veth peer name wg0 netns {inner}",
            "link set wg0 up",
            "addr add 10.9.0.1/24 dev wg0",
            "addr add fd00:9::1/64 dev wg0 nodad",
        )
        self.host.outside.ip(
            "link set wg0 up",
            "addr add 10.9.0.2/24 dev wg0",
            "addr add fd00:9::2/64 dev wg0 nodad",
            "route add default via 10.9.0.1 dev wg0 table 9",
            "rule add from 10.9.0.2 lookup 9",
            "route add default via fd00:9::1 dev wg0 table 9",
        )
        # No family can be given inside a batch.
        self.host.outside.run(["ip", "-6", "rule", "add", "from", "fd00:9::2", "lookup", "9"])

    # --- doing ---------------------------------------------------------------------------------

    def restore(self, family: Family, text: str) -> None:
        self.host.run([f"{_base(family)}-restore", "--noflush"], stdin=text)

    def iptables(self, family: Family, *words: str) -> None:
        self.host.run([_base(family), "-w", "10", *words])

    def saved(self, family: Family) -> str:
        return self.host.run([f"{_base(family)}-save"]).stdout

    def commit(self, policy: Policy) -> Result:
        return self.reconciler.commit(policy, self.inventory)


def _base(family: Family) -> str:
    return "iptables" if family == 4 else "ip6tables"


def _with_length(address: str) -> str:
    return f"{address}/{64 if ':' in address else 16}"


def at(container: str, family: Family) -> str:
    """Its first address."""
    return next(iter(ADDRESSES[container].values()))[0 if family == 4 else 1]


def gateway(bridge: str, family: Family) -> str:
    return GATEWAYS[bridge][0 if family == 4 else 1]


# --- what Docker would have told -----------------------------------------------------------------


def inventory() -> Inventory:
    """The containers above, and ``agent`` on the host's network."""
    containers = [
        build.container(
            name,
            *(f"{bridge.removeprefix('br-')} {' '.join(own)}" for bridge, own in homes.items()),
            published=tuple(one.binding for one in PUBLISHED if one.container == name),
            image="postgres:16" if name == "db" else "nginx:1",
            compose=f"shop/{name}" if name in ("web", "db") else "",
            labels={"tier": "store"} if name in ("db", "cache") else {},
            id=f"{n:x}" * 12,
        )
        for n, (name, homes) in enumerate(ADDRESSES.items(), 1)
    ]
    return build.inventory(
        *containers,
        build.container("agent", host_network=True, id="f" * 12),
        *(build.network(bridge.removeprefix("br-"), *SUBNETS[bridge]) for bridge in BRIDGES),
    )


# --- what Docker would have written --------------------------------------------------------------


def docker_rules(
    family: Family, forward_policy: str = "ACCEPT", *, proxied_bridges: bool = True
) -> str:
    """Both tables as ``iptables-restore`` takes them; every bridge accepts all that comes."""
    return _nat_rules(family, proxied_bridges=proxied_bridges) + _filter_rules(forward_policy)


def _nat_rules(family: Family, *, proxied_bridges: bool) -> str:
    column = 0 if family == 4 else 1
    loopback = "127.0.0.0/8" if family == 4 else "::1/128"
    lines = [
        "*nat",
        ":DOCKER - [0:0]",
        "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
        f"-A OUTPUT ! -d {loopback} -m addrtype --dst-type LOCAL -j DOCKER",
        *(
            f"-A POSTROUTING -s {SUBNETS[bridge][column]} ! -o {bridge} -j MASQUERADE"
            for bridge in BRIDGES
        ),
    ]
    if proxied_bridges:
        lines += [f"-A DOCKER -i {bridge} -j RETURN" for bridge in BRIDGES]
    for one in PUBLISHED:
        if one.host is not None and one.host.version != family:
            continue
        to = at(one.container, family)
        inner = f"[{to}]:{one.container_port}" if family == 6 else f"{to}:{one.container_port}"
        where = f"-d {one.host} " if one.host else ""
        lines.append(
            f"-A DOCKER {where}-p {one.protocol} -m {one.protocol} --dport {one.host_port} "
            f"-j DNAT --to-destination {inner}"
        )
    return "\n".join([*lines, "COMMIT\n"])


def _filter_rules(forward_policy: str) -> str:
    lines = [
        "*filter",
        f":FORWARD {forward_policy} [0:0]",
        ":DOCKER-USER - [0:0]",
        "-A DOCKER-USER -j RETURN",
        "-A FORWARD -j DOCKER-USER",
    ]
    for bridge in BRIDGES:
        lines += [
            f"-A FORWARD -o {bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            f"-A FORWARD -i {bridge} -j ACCEPT",
            f"-A FORWARD -o {bridge} -j ACCEPT",
        ]
    return "\n".join([*lines, "COMMIT\n"])
