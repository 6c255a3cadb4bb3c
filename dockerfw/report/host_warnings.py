"""What this host cannot keep of a valid policy, and what could be better here: br_netfilter, the
seal, docker-proxy, Docker's own rules, foreign ports in Docker's bridges.

Takes a policy, an inventory and facts of the host; gives sentences for people, each with the
next step. Never changes a verdict, never reads anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from dockerfw.model.host import FirstPacket, HostFacts
from dockerfw.model.inventory import Inventory
from dockerfw.model.policy import BridgeSource, InterfaceSource, Policy, SelectorSource, Source
from dockerfw.text import listed


def unenforced(policy: Policy, inventory: Inventory, facts: HostFacts) -> tuple[str, ...]:
    """Return why the policy does not hold on some path here; ``apply`` refuses then by default.

    That is P4: packets between two containers of one bridge meet iptables only with br_netfilter.
    """
    blind = [
        family
        for family, seen in zip((4, 6), facts.br_netfilter, strict=True)
        if not seen and family in facts.families and _has_subnet(inventory, family)
    ]
    why = _restricts_same_bridge(policy, inventory)
    if not blind or not why:
        return ()
    names = {4: "bridge-nf-call-iptables", 6: "bridge-nf-call-ip6tables"}
    settings = " ".join(f"net.bridge.{names[f]}=1" for f in blind)
    families = " and ".join(f"IPv{f}" for f in blind)
    reason = (
        f"{listed(why)}, but containers of the same bridge reach each other all the same: "
        f"br_netfilter is off for {families}; run modprobe br_netfilter and sysctl {settings}"
    )
    return (reason,)


def lost_without_seal(facts: HostFacts) -> tuple[str, ...]:
    """Return what a kernel without nf_tables cannot give."""
    if facts.nf_tables:
        return ()
    loss = (
        "there is no nf_tables here, so nothing seals the chains: a new Docker network is closed "
        "only by the next apply, and denied packets pass while Docker or another tool moves its "
        "jump or flushes iptables; install nftables"
    )
    return (loss,)


# Not "ip": "0.0.0.0" in daemon.json: that is Docker's default, and means [::] as well.
_WITHOUT = 'set "userland-proxy": false in daemon.json, or publish at 0.0.0.0 (-p 0.0.0.0:80:80)'
_FIRST_PACKET: Mapping[FirstPacket, str] = {
    "elsewhere": (
        "run Docker in dockerd.slice (the drop-in docker.service.d/dockerfw.conf, then restart "
        f"Docker); or {_WITHOUT}"
    ),
    "unsupported": f"nft or the kernel has no socket cgroupv2 or reject: {_WITHOUT}",
    "no cgroup2": f"this host has no cgroup version 2: {_WITHOUT}",
}


def proxy_next_step(facts: HostFacts) -> str | None:
    """Return what closes docker-proxy from its first packet; None if nothing has to be done."""
    return _FIRST_PACKET.get(facts.proxy.first_packet)


def hints(inventory: Inventory, facts: HostFacts) -> tuple[str, ...]:
    """Return what could be better and is nobody's fault: for people, and never an error."""
    step = proxy_next_step(facts)
    publishes = any(
        not binding.host_address.is_loopback
        for container in inventory.containers
        for binding in container.ports
    )
    if step is None or not publishes:
        return ()
    why = "a port of docker-proxy (IPv6, mostly) is closed once dockerfw knows of it, not before"
    return (f"{why}; {step}",)


def docker_rules_gone(inventory: Inventory, facts: HostFacts) -> tuple[str, ...]:
    """Return a warning if another tool has flushed what Docker alone can write again."""
    if facts.docker_rules or not any(inventory.endpoints(c) for c in inventory.containers):
        return ()
    gone = (
        "Docker's own rules are gone: restart Docker (systemctl restart docker); until then its "
        "containers have no NAT"
    )
    return (gone,)


def foreign_ports(inventory: Inventory, facts: HostFacts) -> Iterator[str]:
    """Yield the Docker bridges with a NIC or a VM's tap in them."""
    on_host = {b.name: b.foreign_ports for b in facts.bridges}
    for network in inventory.bridges():
        foreign = network.foreign_ports or on_host.get(network.bridge or "", ())
        if foreign:
            yield (
                f"{listed(foreign)} in the Docker bridge {network.bridge} (network "
                f"{network.name}) {'is' if len(foreign) == 1 else 'are'} not Docker's: the bridge "
                "counts as an outside interface, and only its containers' own addresses as "
                f"inside; take {'it' if len(foreign) == 1 else 'them'} out, or allow from "
                f"iface:{network.bridge}"
            )


def _has_subnet(inventory: Inventory, family: int) -> bool:
    return any(s.version == family for n in inventory.bridges() for s in n.subnets)


def _restricts_same_bridge(policy: Policy, inventory: Inventory) -> list[str]:
    """Return what in the policy separates containers of one bridge."""
    why = []
    if not any(isinstance(s, BridgeSource) for s in policy.baseline):
        why.append("the baseline is without bridge")
    bridges = {n.bridge for n in inventory.bridges() if n.bridge}
    why += [
        f"{deny.origin} denies containers"
        for deny in policy.denies
        if not deny.published and any(_from_inside(s, bridges) for s in deny.sources)
    ]
    return why


def _from_inside(source: Source, bridges: Iterable[str]) -> bool:
    if isinstance(source, InterfaceSource):
        return any(source.matches(bridge) for bridge in bridges)
    return isinstance(source, BridgeSource | SelectorSource)
