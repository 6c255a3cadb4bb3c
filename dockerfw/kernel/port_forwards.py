"""Reads NAT that Docker did not make: which ports of this host lead to a bridge of this host.

Takes a `Runner` and what has been read of iptables and of nft's chains; gives `PortForward`s. NAT
that cannot be read is left out: it opens nothing. Only reads.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from ipaddress import ip_interface
from typing import Any

from dockerfw.errors import Failed
from dockerfw.kernel.iptables import driver as iptables
from dockerfw.kernel.iptables.nat import START, nat_rules
from dockerfw.kernel.nat import forwards
from dockerfw.kernel.nft.nat import nat_table
from dockerfw.kernel.runner import Runner
from dockerfw.model.docker_names import NFTABLES_TABLE
from dockerfw.model.host import Flavour, PortForward
from dockerfw.model.net import FAMILIES, Address, Family, IPNetwork
from dockerfw.plan.state import TablesState

_TABLE = re.compile(r"^table (\S+) (\S+) \{")
_NAT = re.compile(r"\btype nat hook prerouting\b")
_CHAIN = re.compile(r"^\s+chain (\S+) \{")


def read(
    runner: Runner,
    states: Mapping[Flavour, TablesState],
    nft_chains: str,
    links: Collection[Mapping[str, Any]],
    *,
    ipv6: bool,
) -> tuple[PortForward, ...]:
    """Return those of both families.

    ``states`` is what iptables has in IPv4, ``nft_chains`` what nft lists of all chains, ``links``
    the interfaces with their addresses.
    """
    local, bridged = _addresses(links)
    found: dict[PortForward, None] = {}
    for flavour, state in states.items():
        sixth = _in_ipv6(runner, flavour) if ipv6 else None
        for tables in (state, *([sixth] if sixth else [])):
            rules = nat_rules(tables.tables.get("nat", {}))
            found |= dict.fromkeys(forwards(tables.family, rules, (START,), local, bridged))
    for table_family, name in _nat_tables(nft_chains):
        done = runner.run(["nft", "--json", "list", "table", table_family, name])
        if done.status != 0:
            continue
        table = nat_table(done.stdout)
        for family in FAMILIES:
            of_table = forwards(family, table.chains, table.starts, local, bridged)
            found |= dict.fromkeys(of_table)
    return tuple(found)


def _in_ipv6(runner: Runner, flavour: Flavour) -> TablesState | None:
    family: Family = 6
    try:
        return iptables.read(runner, flavour, family, ("nat",))
    except Failed:
        return None


def _nat_tables(nft_chains: str) -> Iterator[tuple[str, str]]:
    """Yield the tables of others with NAT at PREROUTING, but for those of iptables itself."""
    table, chain, last = ("", ""), "", ("", "")
    for line in nft_chains.splitlines():
        if opened := _TABLE.match(line):
            table = (opened[1], opened[2])
        elif named := _CHAIN.match(line):
            chain = named[1]
        elif _NAT.search(line) and chain != START and table[1] != NFTABLES_TABLE and table != last:
            last = table
            yield table


def _addresses(
    links: Collection[Mapping[str, Any]],
) -> tuple[frozenset[Address], tuple[IPNetwork, ...]]:
    """Return this host's own addresses, and the networks of its bridges."""
    local: set[Address] = set()
    bridged: dict[IPNetwork, None] = {}
    for link in links:
        for one in link.get("addr_info", ()):
            if "local" not in one or "prefixlen" not in one:
                continue
            interface = ip_interface(f"{one['local']}/{one['prefixlen']}")
            local.add(interface.ip)
            if link.get("linkinfo", {}).get("info_kind") == "bridge":
                bridged[interface.network] = None
    return frozenset(local), tuple(bridged)
