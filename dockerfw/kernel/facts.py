"""Looks at the host: which iptables Docker uses, what the kernel has, which bridges there are.

Takes a `Runner`, gives `HostFacts`. Only reads; creates no table and no chain.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from dockerfw.errors import Failed
from dockerfw.host import Bridge, Flavour, HostFacts
from dockerfw.kernel import iptables
from dockerfw.kernel.run import NotInstalled, Runner, fail, require
from dockerfw.kernelstate import TablesState
from dockerfw.policy import Address

_LOOKED_AT = ("filter", "nat")

# Docker names the host's half of a container's interface pair ``veth`` and seven hex digits.
_DOCKER_VETH = re.compile(r"veth[0-9a-f]{7}")
_INTERFACE = re.compile(r"(?:^| )-[io] (\S+)")
_USER_CHAIN = "DOCKER-USER"
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


def read(
    runner: Runner, prefer: Flavour | None = None, user: Callable[[], int] = os.geteuid
) -> HostFacts:
    """The facts of the current network namespace. Raises `Failed` when not root.

    ``prefer`` is the flavour to take where no rule tells (before Docker's first start); without
    it that is the one of the plain ``iptables``.
    """
    if user() != 0:
        raise Failed("dockerfw must be root to look at the firewall: run it with sudo")
    links = _links(runner)
    bridges = _bridges(links)
    default = prefer or iptables.default_flavour(runner)
    states = _states(runner, default)
    names = {bridge.name for bridge in bridges}
    traces = {f: _trace(state, names, default=f == default) for f, state in states.items()}
    flavour = max(traces, key=lambda f: traces[f])
    others = [f for f in traces if f != flavour and _docker_chains(states[f])]
    nft_tables = _nft_tables(runner)
    return HostFacts(
        flavour=flavour,
        ipv6=_has_ipv6(runner),
        nf_tables=nft_tables is not None,
        docker_user=_jumped_to(states[flavour]) or "ip docker-bridges" not in (nft_tables or ()),
        bridges=bridges,
        br_netfilter=(_is_on(runner, _BR_NETFILTER[0]), _is_on(runner, _BR_NETFILTER[1])),
        stale_flavour=others[0] if others else None,
        addresses=_addresses(links),
    )


def _links(runner: Runner) -> list[dict[str, Any]]:
    text = require(runner, ["ip", "-json", "-details", "address", "show"])
    try:
        links: list[dict[str, Any]] = json.loads(text or "[]")
    except ValueError:
        raise Failed("ip -json printed no JSON: update iproute2") from None
    # iproute2 leaves empty objects where a filter matched nothing.
    return [link for link in links if "ifname" in link]


def _bridges(links: list[dict[str, Any]]) -> tuple[Bridge, ...]:
    """Every bridge interface, by name, with those of its ports that Docker did not make."""
    foreign: dict[str, list[str]] = {
        link["ifname"]: [] for link in links if _kind(link) == "bridge"
    }
    for link in links:
        master = link.get("master")
        if master in foreign and not _is_dockers(link):
            foreign[master].append(link["ifname"])
    return tuple(Bridge(name, tuple(sorted(ports))) for name, ports in sorted(foreign.items()))


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
    return _kind(link) == "veth" and _DOCKER_VETH.fullmatch(link["ifname"]) is not None


def _states(runner: Runner, default: Flavour) -> dict[Flavour, TablesState]:
    """What each flavour of this host holds, the default one first.

    A flavour whose programs are missing, or that this kernel does not have, is left out; when
    that leaves none, the error of the default one is raised.
    """
    other: Flavour = "legacy" if default == "nft" else "nft"
    states: dict[Flavour, TablesState] = {}
    failures = []
    for flavour in (default, other):
        state = _state(runner, flavour)
        if isinstance(state, Failed):
            failures.append(state)
        else:
            states[flavour] = state
    if default not in states and not any(map(_docker_chains, states.values())):
        raise failures[0]
    return states


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
        if name in ("FORWARD", "POSTROUTING") or _is_dockers_chain(name)
        for rule in chain.rules
    ]
    interfaces = {name for rule in rules for name in _INTERFACE.findall(rule)}
    of_docker = {name for name in interfaces if name.startswith(("br-", "docker"))} | bridges
    named = interfaces & of_docker
    return _Trace(
        linked=_linked(state),
        present=bool(_docker_chains(state)),
        bridges=len(named & bridges) - len(named - bridges),
        default=default,
    )


def _is_dockers_chain(name: str) -> bool:
    """DOCKER-USER says little: dockerfw makes it before Docker's first start."""
    return (name == "DOCKER" or name.startswith("DOCKER-")) and name != _USER_CHAIN


def _docker_chains(state: TablesState) -> set[str]:
    return {
        name for chains in state.tables.values() for name in chains if name.startswith("DOCKER")
    }


def _linked(state: TablesState) -> bool:
    """Whether a base chain sends packets to one of Docker's own chains."""
    return any(
        _is_dockers_chain(word)
        for chains in state.tables.values()
        for chain in chains.values()
        if chain.policy != "-"
        for rule in chain.rules
        for word in rule.split()
    )


def _jumped_to(state: TablesState) -> bool:
    forward = state.chain("filter", "FORWARD")
    return forward is not None and f"-j {_USER_CHAIN}" in forward.rules


def _nft_tables(runner: Runner) -> set[str] | None:
    """All nft tables as ``family name``; None when this host has no nf_tables or no nft."""
    argv = ["nft", "list", "tables"]
    try:
        done = runner.run(argv)
    except NotInstalled:
        return None
    if done.status < 0:
        fail(argv, done)
    if done.status != 0:
        return None
    return {line.removeprefix("table ") for line in done.stdout.splitlines()}


def _has_ipv6(runner: Runner) -> bool:
    """Whether the kernel speaks IPv6.

    One that does but has no ip6tables is not passed over: reading or writing it fails.
    """
    return runner.read_file("/proc/thread-self/net/if_inet6") is not None


def _is_on(runner: Runner, path: str) -> bool:
    return (runner.read_file(path) or "0").strip() == "1"
