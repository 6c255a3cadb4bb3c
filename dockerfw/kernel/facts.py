"""Facts of this host: which iptables Docker uses, what the kernel has, which bridges there are.

Takes a `Runner`, gives `HostFacts`. Only reads; creates no table and no chain.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_interface
from pathlib import Path
from typing import Any, TypeVar

from dockerfw.errors import Failed
from dockerfw.kernel import dockerd, port_forwards, routing
from dockerfw.kernel.iptables import driver as iptables
from dockerfw.kernel.iptables.parse import interfaces
from dockerfw.kernel.links import read_links
from dockerfw.kernel.nft import driver as seal
from dockerfw.kernel.runner import NotInstalled, Runner, fail
from dockerfw.model.docker_names import (
    DOCKER_USER,
    NFTABLES_TABLE,
    is_docker_bridge,
    is_docker_chain,
    is_docker_veth,
    may_be_docker_bridge,
)
from dockerfw.model.host import Backend, Bridge, FirstPacket, Flavour, HostFacts, Proxy
from dockerfw.model.net import FAMILIES, Address, IPNetwork
from dockerfw.plan.state import ChainState, TablesState
from dockerfw.rules.names import is_our_chain

_S = TypeVar("_S")
_T = TypeVar("_T")

_FLAVOURS: tuple[Flavour, Flavour] = ("nft", "legacy")
_LOOKED_AT = ("filter", "nat")
_NFT_TABLE = re.compile(r"^table ip (\S+) \{", re.MULTILINE)

_BR_NETFILTER = (
    "/proc/sys/net/bridge/bridge-nf-call-iptables",
    "/proc/sys/net/bridge/bridge-nf-call-ip6tables",
)


@dataclass(frozen=True, slots=True, order=True)
class _Trace:
    """How much of Docker one flavour holds; the greater one is the live one.

    ``bridges`` counts the bridge interfaces that its rules name and that exist, less those that
    are gone: left-over rules name networks of the past. Where that does not tell, Docker takes
    the plain ``iptables``, as ``default`` says.
    """

    linked: bool
    present: bool
    bridges: int
    default: bool


def _inode(path: str) -> int | None:
    try:
        return Path(path).stat().st_ino
    except OSError:
        return None


def read(
    runner: Runner,
    prefer: Flavour | None = None,
    user: Callable[[], int] = os.geteuid,
    inode: Callable[[str], int | None] = _inode,
    listeners: Callable[[], Iterable[int]] = tuple,
) -> HostFacts:
    """The facts of the current network namespace. Raises `Failed` when not root.

    ``prefer`` is the flavour to take where no rule tells (before Docker's first start); without
    it that is the one of the plain ``iptables``. ``listeners`` gives the processes at Docker's
    socket, see `dockerd.read`.
    """
    if user() != 0:
        raise Failed("dockerfw must be root to look at the firewall: run it with sudo")
    links = read_links(runner)
    bridges = _bridges(links)
    states = _states(runner, prefer)
    flavour = _live_flavour(runner, states, {bridge.name for bridge in bridges}, prefer)
    others = [f for f in states if f != flavour and _present(states[f])]
    ipv6 = _has_ipv6(runner)
    chains = _nft_chains(runner)
    nft_tables = None if chains is None else set(_NFT_TABLE.findall(chains))
    docker = dockerd.read(runner, inode, listeners())
    on_nftables = NFTABLES_TABLE in (nft_tables or ())
    jumped = _jumped_to(states[flavour])
    addresses = _addresses(links)
    bridged = _bridged(links)
    nat = port_forwards.read(runner, states, chains or "", addresses, bridged, ipv6=ipv6)
    return HostFacts(
        flavour=flavour,
        ipv6=ipv6,
        nf_tables=nft_tables is not None,
        labels=nft_tables is not None and _knows_labels(runner, flavour),
        frames=nft_tables is not None and seal.knows_frames(runner),
        docker_user=jumped or not on_nftables,
        backend=_backend(states[flavour], on_nftables=on_nftables, jumped=jumped),
        bridges=bridges,
        named_by_docker=_named_by_docker(states[flavour]),
        br_netfilter=br_netfilter(runner),
        stale_flavour=others[0] if others else None,
        addresses=addresses,
        routes=routing.routes(runner, (4, 6) if ipv6 else (4,)),
        way_back=routing.has_way_back(runner, flavour),
        proxy=_proxy(runner, docker.proxy, sealed=nft_tables is not None),
        docker_rules=on_nftables or not docker.iptables or _docker_rules(states[flavour]),
        forwards=nat.forwards,
        unread_nat=nat.unread,
        interfaces=frozenset(link["ifname"] for link in links),
    )


def unannounced(
    runner: Runner,
    inode: Callable[[str], int | None] = _inode,
    listeners: Callable[[], Iterable[int]] = tuple,
) -> tuple[object, ...] | None:
    """Return what `read` goes by and the kernel announces no change of, by small files alone.

    That is all but nf_tables, interfaces, addresses and routes of IPv6, and what kernel and tools
    can do. None: there are tables of iptables-legacy, which have to be read.
    """
    if any(iptables.legacy_tables(runner, family) for family in FAMILIES):
        return None
    routes = runner.read_file("/proc/thread-self/net/route")
    docker = dockerd.read(runner, inode, listeners())
    return routes, docker, _has_ipv6(runner), br_netfilter(runner)


def at_hand(
    runner: Runner,
    prefer: Flavour | None = None,
    inode: Callable[[str], int | None] = _inode,
    listeners: Callable[[], Iterable[int]] = tuple,
) -> HostFacts:
    """The facts as far as they can be had where a tool is missing or fails; never raises `Failed`.

    They are for who closes everything: what is not known is left out, which opens nothing.
    """
    links: list[dict[str, Any]] = _or([], lambda: read_links(runner))
    found = {flavour: _state(runner, flavour) for flavour in _FLAVOURS}
    states = {f: state for f, state in found.items() if not isinstance(state, Failed)}
    flavour = prefer or "nft"
    bridges = _bridges(links)
    names = {bridge.name for bridge in bridges}
    if states:
        flavour = _or(flavour, lambda: _live_flavour(runner, states, names, prefer))
    filled = states.get(flavour, TablesState(4))
    # One that does not answer is tried all the same.
    chains = _or("", lambda: _nft_chains(runner))
    nf_tables = chains is not None
    on_nftables = NFTABLES_TABLE in _NFT_TABLE.findall(chains or "")
    jumped = _jumped_to(filled)
    return HostFacts(
        flavour=flavour,
        ipv6=_or(otherwise=True, ask=lambda: _has_ipv6(runner)),
        nf_tables=nf_tables,
        labels=_or(otherwise=False, ask=lambda: nf_tables and seal.knows_labels(runner)),
        frames=_or(otherwise=False, ask=lambda: nf_tables and seal.knows_frames(runner)),
        docker_user=jumped or not on_nftables,
        backend=_backend(filled, on_nftables=on_nftables, jumped=jumped),
        bridges=bridges,
        named_by_docker=_named_by_docker(filled),
        br_netfilter=_or((False, False), lambda: br_netfilter(runner)),
        addresses=_addresses(links),
        proxy=_or(
            Proxy(),
            lambda: _proxy(
                runner,
                dockerd.read(runner, inode, listeners()).proxy,
                sealed=nf_tables,
            ),
        ),
    )


def _or(otherwise: _T, ask: Callable[[], _S]) -> _T | _S:
    try:
        return ask()
    except Failed:
        return otherwise


def _knows_labels(runner: Runner, flavour: Flavour) -> bool:
    return seal.knows_labels(runner) and iptables.knows_labels(runner, flavour)


def _bridges(links: list[dict[str, Any]]) -> tuple[Bridge, ...]:
    """Every bridge interface, by name, with those of its ports that Docker did not make."""
    found = {link["ifname"]: link for link in links if _kind(link) == "bridge"}
    ports: dict[str, list[Mapping[str, Any]]] = {name: [] for name in found}
    for link in links:
        if link.get("master") in ports:
            ports[link["master"]].append(link)
    return tuple(_bridge(found[name], ports[name]) for name in sorted(found))


def _bridge(bridge: Mapping[str, Any], ports: Sequence[Mapping[str, Any]]) -> Bridge:
    name = str(bridge["ifname"])
    foreign = sorted(str(port["ifname"]) for port in ports if not _is_dockers(port))
    # Where the name shows it nobody needs this; there it would change with the first container.
    has_containers = not is_docker_bridge(name) and any(map(_is_dockers, ports))
    return Bridge(name, tuple(foreign), int(bridge.get("ifindex", 0)), has_containers)


def _bridged(links: list[dict[str, Any]]) -> tuple[IPNetwork, ...]:
    """The networks of this host's bridges, Docker's or not, each once."""
    found = {
        ip_interface(f"{address['local']}/{address['prefixlen']}").network: None
        for link in links
        if _kind(link) == "bridge"
        for address in link.get("addr_info", ())
        if "local" in address and "prefixlen" in address
    }
    return tuple(found)


def _addresses(links: list[dict[str, Any]]) -> frozenset[Address]:
    return frozenset(
        ip_address(address["local"])
        for link in links
        for address in link.get("addr_info", ())
        if "local" in address
    )


def _kind(link: Mapping[str, Any]) -> str:
    return str(link.get("linkinfo", {}).get("info_kind", ""))


def _is_dockers(link: Mapping[str, Any]) -> bool:
    return _kind(link) == "veth" and is_docker_veth(link["ifname"])


def _states(runner: Runner, prefer: Flavour | None) -> dict[Flavour, TablesState]:
    """What each flavour of this host holds.

    A flavour whose programs are missing, or that this kernel does not have, is left out; when
    Docker is in none of the others, the error of the default one is raised.
    """
    found = {flavour: _state(runner, flavour) for flavour in _FLAVOURS}
    states = {f: state for f, state in found.items() if not isinstance(state, Failed)}
    if len(states) < len(found) and not any(map(_present, states.values())):
        default = found[prefer or iptables.default_flavour(runner)]
        if isinstance(default, Failed):
            raise default
    return states


def _live_flavour(
    runner: Runner,
    states: Mapping[Flavour, TablesState],
    bridges: set[str],
    prefer: Flavour | None,
) -> Flavour:
    """The one that Docker writes. One that alone has its chains tells without being compared."""
    telling = [flavour for flavour, state in states.items() if _present(state)]
    if len(telling) == 1:
        return telling[0]
    default = prefer or iptables.default_flavour(runner)
    traces = {f: _trace(state, bridges, default=f == default) for f, state in states.items()}
    return max(traces, key=lambda flavour: traces[flavour])


def _state(runner: Runner, flavour: Flavour) -> TablesState | Failed:
    try:
        return iptables.read(runner, flavour, 4, _LOOKED_AT)
    except Failed as error:
        return error


def _trace(state: TablesState, bridges: set[str], *, default: bool) -> _Trace:
    rules = [
        rule
        for chains in state.tables.values()
        for name, chain in chains.items()
        if name in ("FORWARD", "POSTROUTING") or is_docker_chain(name)
        for rule in chain.rules
    ]
    named = {name for rule in rules for name in interfaces(rule)}
    named &= set(filter(may_be_docker_bridge, named)) | bridges
    return _Trace(
        linked=_linked(state),
        present=_present(state),
        bridges=len(named & bridges) - len(named - bridges),
        default=default,
    )


def _present(state: TablesState) -> bool:
    """Return True if a chain of Docker's stands, or one that is there for Docker's sake."""
    return any(
        name == DOCKER_USER or is_docker_chain(name) or is_our_chain(name)
        for chains in state.tables.values()
        for name in chains
    )


def _named_by_docker(state: TablesState) -> frozenset[str]:
    """Interfaces in rules of Docker's chains, and in those that lead to them.

    Docker writes the first of them right after it has made a bridge, and answers with the network
    after the last: with a slow iptables that is seconds later.
    """
    return frozenset(
        interface
        for chains in state.tables.values()
        for name, chain in chains.items()
        for rule in chain.rules
        if is_docker_chain(name) or (rule.target is not None and is_docker_chain(rule.target))
        for interface in interfaces(rule)
    )


def _linked(state: TablesState) -> bool:
    return any(map(_links_to_docker, state.tables.values()))


def _docker_rules(state: TablesState) -> bool:
    """Docker has jumps in both tables from its start on, whether it has networks or not."""
    return all(_links_to_docker(state.tables.get(table, {})) for table in _LOOKED_AT)


def _links_to_docker(chains: Mapping[str, ChainState]) -> bool:
    """Whether a base chain sends packets to one of Docker's own chains."""
    return any(
        rule.target is not None and is_docker_chain(rule.target)
        for chain in chains.values()
        if chain.policy != "-"
        for rule in chain.rules
    )


def _jumped_to(state: TablesState) -> bool:
    return any(rule.is_jump(DOCKER_USER) for rule in state.rules("filter", "FORWARD"))


def _backend(state: TablesState, *, on_nftables: bool, jumped: bool) -> Backend | None:
    """Return what Docker's rules are written with, by those that stand.

    A jump to DOCKER-USER alone suffices for iptables: using it is harmless, adding a second way
    past it is not.
    """
    if _linked(state) or (jumped and not on_nftables):
        return "iptables"
    return "nftables" if on_nftables else None


def _nft_chains(runner: Runner) -> str | None:
    """The nft chains as they are listed; None when this host has no nf_tables or no nft.

    Not by ``nft list tables``: that reads every element of every set first (seconds, where
    somebody has a large blocklist), and chains without rules are enough.
    """
    argv = ["nft", "list", "chains"]
    try:
        done = runner.run(argv)
    except NotInstalled:
        return None
    if done.status < 0:
        fail(argv, done)
    if done.status != 0:
        return None
    return done.stdout


def proxy(runner: Runner, known: Proxy, inode: Callable[[str], int | None] = _inode) -> Proxy:
    """What `read` gave of it, with dockerd's cgroup of now; see `dockerd.renewed`."""
    now = dockerd.renewed(runner, inode, known)
    # One cgroup is matched as the other is, and dockerd has begun to start.
    return now if known.cgroup is not None else _proxy(runner, now, sealed=True)


def _proxy(runner: Runner, found: Proxy, *, sealed: bool) -> Proxy:
    """What dockerd's cgroup is good for here: nothing where its sockets cannot be matched."""
    if found.cgroup is None:
        return found
    known: FirstPacket = seal.knows_cgroups(runner, found.cgroup) if sealed else "unsupported"
    if known == "closed":
        return found
    usable = known if found.first_packet == "closed" else found.first_packet
    return replace(found, cgroup=None, first_packet=usable)


def _has_ipv6(runner: Runner) -> bool:
    """Return True if the kernel has IPv6.

    One that does but has no ip6tables is not passed over: reading or writing it fails.
    """
    return runner.read_file("/proc/thread-self/net/if_inet6") is not None


def _is_on(runner: Runner, path: str) -> bool:
    return (runner.read_file(path) or "0").strip() == "1"


def br_netfilter(runner: Runner) -> tuple[bool, bool]:
    """That of `read`, by two small files."""
    return _is_on(runner, _BR_NETFILTER[0]), _is_on(runner, _BR_NETFILTER[1])


def bridges(runner: Runner) -> tuple[Bridge, ...]:
    """Those of `read`, by one process."""
    return _bridges(read_links(runner))


def container_interfaces(runner: Runner) -> frozenset[str]:
    """The host's halves of the interface pairs of containers that run now."""
    return frozenset(link["ifname"] for link in read_links(runner) if _is_dockers(link))
