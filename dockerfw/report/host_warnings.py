"""What this host cannot keep of a valid policy, and what could be better here: br_netfilter, the
seal, docker-proxy, Docker's own rules, foreign ports in Docker's bridges.

Takes a policy, an inventory and facts of the host; gives sentences for people, each with the
next step. Never changes a verdict, never reads anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from dockerfw.model.docker_names import is_docker_bridge
from dockerfw.model.host import FirstPacket, HostFacts
from dockerfw.model.inventory import Inventory, Network, is_interface_name
from dockerfw.model.net import Family, IPNetwork
from dockerfw.model.policy import BridgeSource, InterfaceSource, Policy, Source, may_be_inside
from dockerfw.model.remark import Remark, coded
from dockerfw.model.routes import Route
from dockerfw.model.supernets import Supernets
from dockerfw.plan.state import SealState
from dockerfw.text import listed, printable


@coded("unenforced")
def unenforced(policy: Policy, inventory: Inventory, facts: HostFacts) -> tuple[str, ...]:
    """Return why the policy does not hold on some path here; ``apply`` refuses then by default.

    That is P4, and whoever is behind an interface that others put into a Docker bridge: packets
    between two ports of one bridge meet iptables only with br_netfilter. Asked again and again:
    it can be switched off, or be missing after a reboot.
    """
    found = []
    blind = _blind(facts, inventory.bridges())
    why = _restricts_same_bridge(policy, inventory)
    if blind and why:
        found.append(
            f"{listed(why)}, but containers of the same bridge reach each other all the same: "
            f"br_netfilter is off for {_families(blind)}; {_switch_on(blind)}"
        )
    for network, foreign in _mixed(inventory, facts):
        blind = _blind(facts, (network,))
        if blind:
            found.append(
                f"{_not_dockers(network, foreign)}, and br_netfilter is off for "
                f"{_families(blind)}: whoever is behind {_them(foreign)} reaches every port of "
                f"{_containers(inventory, network)} there, whatever the policy says; "
                f"{_switch_on(blind)}, or give the Docker network a bridge of its own"
            )
    return tuple(printable(reason) for reason in found)


def needs_br_netfilter(policy: Policy, inventory: Inventory, facts: HostFacts) -> bool:
    """Return True if br_netfilter has to be on for the policy to hold on every path."""
    off = replace(facts, br_netfilter=(False, False))
    return bool(unenforced(policy, inventory, off))


@coded("odd-bridge")
def odd_bridges(facts: HostFacts) -> tuple[str, ...]:
    """Return a warning for each bridge whose name nft cannot be given: what is lost to it."""
    return tuple(
        _odd(bridge.name)
        for bridge in facts.bridges
        if facts.nf_tables and not is_interface_name(bridge.name)
    )


def _odd(bridge: str) -> str:
    return (
        f"the bridge {printable(bridge)!r} has a name that cannot be written in nft's language, so "
        "what begins elsewhere is not forwarded to it: rename it (ip link set NAME name NEW) with "
        "letters, digits, '.', '_' and '-'"
    )


@coded("no-seal")
def lost_without_seal(facts: HostFacts) -> tuple[str, ...]:
    """Return what a kernel without nf_tables cannot give."""
    if facts.nf_tables:
        return ()
    loss = (
        "there is no nf_tables here, so nothing seals the chains: a new Docker network is closed "
        "only by the next apply, denied packets pass while Docker or another tool moves its jump "
        "or flushes iptables, and a withdrawn source is heard again if its entry ends while the "
        "container goes on sending to it; install nftables"
    )
    return (loss,)


@coded("no-labels")
def lost_without_labels(facts: HostFacts) -> tuple[str, ...]:
    """Return what a host whose connections have no labels cannot give."""
    if facts.labels or not facts.nf_tables:
        return ()
    loss = (
        "connections cannot be labelled here, so nothing remembers who began one: planted entries "
        "are stopped by the addresses of known networks alone, and a withdrawn source is heard "
        "again if its entry ends while the container goes on sending to it (UDP, and TCP ports "
        "from 32768 on); labels need nft, xt_connlabel and a kernel from 5.6 on"
    )
    return (loss,)


@coded("no-frames")
def lost_without_frames(policy: Policy, inventory: Inventory, facts: HostFacts) -> tuple[str, ...]:
    """Return what a kernel without nft's bridge family cannot give to this policy."""
    why = _restricts_same_bridge(policy, inventory)
    if facts.frames or not why or not inventory.bridges():
        return ()
    loss = (
        f"{listed(why)}, but there is no bridge family of nf_tables here: a container with NET_RAW "
        "can send as any other one on its bridge, and hide its packets from all rules by a VLAN "
        "tag; take NET_RAW from it (--cap-drop NET_RAW), or use another kernel"
    )
    return (printable(loss),)


@coded("no-daemon")
def lost_without_daemon(policy: Policy, inventory: Inventory, facts: HostFacts) -> tuple[str, ...]:
    """Return what is not kept true of containers of one bridge while no daemon runs."""
    why = _restricts_same_bridge(policy, inventory)
    if not facts.frames or not why or not inventory.bridges():
        return ()
    loss = (
        f"{listed(why)}, but no daemon runs: a container with NET_RAW that was started without it "
        "can send as any other one on its bridge; start the daemon (systemctl start dockerfw), or "
        "take NET_RAW from it (--cap-drop NET_RAW)"
    )
    return (printable(loss),)


# Not "ip": "0.0.0.0" in daemon.json: that is Docker's default, and means [::] as well.
_WITHOUT = 'set "userland-proxy": false in daemon.json, or publish at 0.0.0.0 (-p 0.0.0.0:80:80)'
_FIRST_PACKET: Mapping[FirstPacket, str] = {
    "elsewhere": (
        "dockerd shares its cgroup with other programs, which would be closed with it: start it as "
        f"a service of its own (docker.service); or {_WITHOUT}"
    ),
    "unseen": (
        "no dockerd is seen: none runs, or /proc hides it (hidepid), or another program answers at "
        "its socket"
    ),
    "unsupported": f"nft or the kernel has no socket cgroupv2 or reject: {_WITHOUT}",
    "crashed": (
        "nft crashed when it was asked for socket cgroupv2: update nftables (an old one crashes "
        f"beside tables that a newer one wrote); or {_WITHOUT}"
    ),
    "no cgroup2": f"this host has no cgroup version 2: {_WITHOUT}",
}


def proxy_next_step(facts: HostFacts) -> str | None:
    """Return what closes docker-proxy from its first packet; None if nothing has to be done."""
    return _FIRST_PACKET.get(facts.proxy.first_packet)


def proxy_lasting_step(*, stands: bool) -> str:
    """Return what keeps docker-proxy closed where nobody follows dockerd into its next cgroup.

    ``stands``: the seal goes by the one that it is in now.
    """
    step = "run the daemon (systemctl enable --now dockerfw), or Docker in dockerd.slice"
    return step if stands else f"Docker was started after the last apply: dockerfw apply, or {step}"


def hints(inventory: Inventory, facts: HostFacts) -> tuple[str, ...]:
    """Return what could be better and is nobody's fault: for people, and never an error."""
    publishes = any(
        not binding.host_address.is_loopback
        for container in inventory.containers
        for binding in container.ports
    )
    if proxy_next_step(facts) is None or not publishes:
        return ()
    return ("docker-proxy is not closed from its first packet: see dockerfw status -v",)


@coded("docker-rules-gone")
def docker_rules_gone(inventory: Inventory, facts: HostFacts) -> tuple[str, ...]:
    """Return a warning if another tool has flushed what Docker alone can write again."""
    if facts.docker_rules or not any(inventory.endpoints(c) for c in inventory.containers):
        return ()
    gone = (
        "Docker's own rules are gone: restart Docker (systemctl restart docker); until then its "
        "containers have no NAT"
    )
    return (gone,)


@coded("overlapping-subnet")
def overlaps(inventory: Inventory, facts: HostFacts) -> tuple[str, ...]:
    """Return a warning for each Docker network that shares addresses with a network which this
    host reaches another way: nobody can tell whose those addresses are.
    """
    bridges = {network.bridge for network in inventory.bridges()}
    others = [r for r in facts.routes if r.network.prefixlen and r.interface not in bridges]
    docker = [(n, subnet) for n in inventory.bridges() for subnet in n.subnets]
    # Of two networks that share addresses one holds the other.
    wider = Supernets((route.network, place) for place, route in enumerate(others))
    subnets = Supernets((subnet, place) for place, (_, subnet) in enumerate(docker))
    both = {(d, o) for d, (_, subnet) in enumerate(docker) for o in wider.of(subnet)}
    both |= {(d, o) for o, route in enumerate(others) for d in subnets.of(route.network)}
    return tuple(printable(_overlap(*docker[d], others[o])) for d, o in sorted(both))


def _overlap(network: Network, subnet: IPNetwork, route: Route) -> str:
    beyond = f"{route.network}, which this host reaches by {route.interface}"
    docker = f"the Docker network {network.name} ({subnet}, bridge {network.bridge})"
    if route.network.prefixlen >= subnet.prefixlen:
        return (
            f"{docker} contains {beyond}: containers at those addresses cannot be reached, and "
            f"what comes from there by {route.interface} counts as outside; {_ANOTHER_SUBNET}"
        )
    return (
        f"{docker} is a part of {beyond}: what comes from {subnet} by {route.interface} is taken "
        f"for spoofed and reaches no container; {_ANOTHER_SUBNET}"
    )


_ANOTHER_SUBNET = (
    "give the Docker network another subnet (docker network create --subnet, or "
    '"default-address-pools" in daemon.json)'
)


@coded("spoofing-guessed")
def spoofing_guessed(facts: HostFacts) -> tuple[str, ...]:
    """Return a warning where the kernel cannot look for the way back of a packet."""
    if facts.way_back:
        return ()
    loss = (
        "iptables or the kernel has no rpfilter match, so the way back of a packet cannot be "
        "looked for: whatever claims an address of a Docker network from elsewhere reaches no "
        "container, nor does what a container routes for others (a VPN's clients); load it "
        "(modprobe xt_rpfilter), then run dockerfw apply"
    )
    return (loss,)


def cut_off(seal: SealState | None, inventory: Inventory, facts: HostFacts) -> tuple[str, ...]:
    """Return the bridges that the seal takes for Docker's and Docker does not have, as it seems.

    They came after the seal was written. ``seal`` is the one that stands; without one nothing is
    cut off.
    """
    if seal is None:
        return ()
    known = seal.left_alone | {network.bridge for network in inventory.bridges()}
    names = (bridge.name for bridge in facts.bridges)
    return tuple(name for name in names if name not in known and not is_docker_bridge(name))


def cut_off_text(bridge: str) -> str:
    """Return what becomes of a bridge that is cut off, and what ends that."""
    if not is_interface_name(bridge):
        return _odd(bridge)
    return (
        f"bridge {printable(bridge)} is cut off: the seal drops what is sent to it until Docker "
        "was asked whose it is (the daemon asks, and waits 3 s; else run dockerfw apply)"
    )


@coded("mixed-bridge")
def foreign_ports(inventory: Inventory, facts: HostFacts) -> Iterator[str]:
    """Yield the Docker bridges with a NIC or a VM's tap in them, and who is cut off by that."""
    for network, foreign in _mixed(inventory, facts):
        subnets = listed([str(subnet) for subnet in network.subnets])
        yield printable(
            f"{_not_dockers(network, foreign)}: VMs and machines behind {_them(foreign)} at "
            f"{subnets} are CUT OFF from other networks (they can begin connections elsewhere, but "
            "only each other, this host and its containers can begin one to them), and reach "
            "containers only as the outside does; give the Docker network a bridge and a subnet "
            f"of its own. Allow from iface:{network.bridge} opens containers to them, and no more"
        )


def _mixed(inventory: Inventory, facts: HostFacts) -> Iterator[tuple[Network, tuple[str, ...]]]:
    """Yield Docker's bridges with ports that Docker did not make, and these."""
    on_host = {b.name: b.foreign_ports for b in facts.bridges}
    for network in inventory.bridges():
        foreign = network.foreign_ports or on_host.get(network.bridge or "", ())
        if foreign:
            yield network, foreign


def _not_dockers(network: Network, foreign: tuple[str, ...]) -> str:
    return (
        f"{listed(foreign)} in the Docker bridge {network.bridge} (network {network.name}) "
        f"{'is' if len(foreign) == 1 else 'are'} not Docker's"
    )


def _them(foreign: tuple[str, ...]) -> str:
    return "it" if len(foreign) == 1 else "them"


def _containers(inventory: Inventory, network: Network) -> str:
    names = [
        container.name
        for container in inventory.containers
        if any(e.network_id == network.id for e in inventory.endpoints(container))
    ]
    return listed(names) if names else "every container"


# --- observing -----------------------------------------------------------------------------------

_OF_ENFORCING = frozenset(
    {"mixed-bridge", "no-daemon", "no-frames", "no-labels", "no-seal", "odd-bridge",
     "overlapping-subnet", "spoofing-guessed"}
)  # fmt: skip
"""Codes of sentences about what is dropped, or passes though the rest is."""


def while_observing(policy: Policy, sentences: Iterable[str]) -> tuple[str, ...]:
    """Return the sentences as they hold under this policy: ``observe`` drops nothing."""
    if policy.mode != "observe":
        return tuple(sentences)
    return tuple(
        Remark(f"once this is enforced: {one}", one.code)
        if isinstance(one, Remark) and one.code in _OF_ENFORCING
        else one
        for one in sentences
    )


# --- br_netfilter --------------------------------------------------------------------------------

_BRIDGE_CALLS: Mapping[Family, str] = {4: "bridge-nf-call-iptables", 6: "bridge-nf-call-ip6tables"}


def _blind(facts: HostFacts, networks: Iterable[Network]) -> tuple[Family, ...]:
    """Return the families of these networks whose bridged packets meet no iptables."""
    spoken = {subnet.version for network in networks for subnet in network.subnets}
    seen = dict(zip(_BRIDGE_CALLS, facts.br_netfilter, strict=True))
    return tuple(f for f in facts.families if f in spoken and not seen[f])


def _families(families: Iterable[Family]) -> str:
    return " and ".join(f"IPv{f}" for f in families)


def _switch_on(families: Iterable[Family]) -> str:
    settings = " ".join(f"net.bridge.{_BRIDGE_CALLS[f]}=1" for f in families)
    return f"run modprobe br_netfilter and sysctl {settings}"


# --- the policy ----------------------------------------------------------------------------------


def _restricts_same_bridge(policy: Policy, inventory: Inventory) -> list[str]:
    """Return what in the policy separates containers of one bridge."""
    why = []
    if policy.locked_down:
        why.append("everything is locked down")
    elif not any(isinstance(s, BridgeSource) for s in policy.baseline):
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
    return may_be_inside(source)
