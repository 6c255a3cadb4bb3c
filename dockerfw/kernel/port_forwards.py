"""Reads NAT that Docker did not make: which ports of this host lead to a bridge of this host.

Takes a `Runner` and what has been read of iptables and of nft's chains; gives `PortForward`s. NAT
that cannot be read opens nothing: that it is there is kept apart. Only reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from dockerfw.errors import Failed
from dockerfw.kernel.iptables import driver as iptables
from dockerfw.kernel.iptables.nat import START, nat_rules
from dockerfw.kernel.nat import distinct, forwards, unread, unread_table
from dockerfw.kernel.nft.nat import nat_table
from dockerfw.kernel.nft.printed import FAMILIES as NFT_FAMILIES, chain_lines
from dockerfw.kernel.runner import Runner
from dockerfw.model.docker_names import NFTABLES_TABLE
from dockerfw.model.host import Flavour, PortForward
from dockerfw.model.net import FAMILIES, Address, Family, IPNetwork
from dockerfw.plan.state import TablesState


class NatOfOthers(NamedTuple):
    """As `HostFacts` has it in ``forwards`` and ``unread_nat``."""

    forwards: tuple[PortForward, ...]
    unread: tuple[PortForward, ...]


_NAT = re.compile(r"\btype nat hook prerouting\b")


def read(
    runner: Runner,
    states: Mapping[Flavour, TablesState],
    nft_chains: str,
    local: frozenset[Address],
    bridged: tuple[IPNetwork, ...],
    *,
    ipv6: bool,
) -> NatOfOthers:
    """Return that of both families.

    ``states`` is what iptables has in IPv4, ``nft_chains`` what nft lists of all chains, ``local``
    this host's own addresses, ``bridged`` the networks of its bridges.
    """
    known: list[PortForward] = []
    blind: list[PortForward] = []
    for flavour, state in states.items():
        sixth = _in_ipv6(runner, flavour) if ipv6 else None
        for tables in (state, *([sixth] if sixth else [])):
            rules = nat_rules(tables.tables.get("nat", {}))
            known += forwards(tables.family, rules, (START,), local, bridged)
            blind += unread(tables.family, rules, (START,), local, bridged)
    for table_family, name in _nat_tables(nft_chains):
        done = runner.run(["nft", "--json", "list", "table", table_family, name])
        table = nat_table(done.stdout if done.status == 0 else "")
        of_table = NFT_FAMILIES.get(table_family)
        for family in FAMILIES if of_table is None else (of_table,):
            if not table.starts:
                blind.append(unread_table(family))
            known += forwards(family, table.chains, table.starts, local, bridged)
            blind += unread(family, table.chains, table.starts, local, bridged)
    return NatOfOthers(distinct(known), distinct(blind))


def _in_ipv6(runner: Runner, flavour: Flavour) -> TablesState | None:
    family: Family = 6
    try:
        return iptables.read(runner, flavour, family, ("nat",))
    except Failed:
        return None


def _nat_tables(nft_chains: str) -> Iterator[tuple[str, str]]:
    """Yield the tables of others with NAT at PREROUTING, but for those of iptables itself."""
    found: dict[tuple[str, str], None] = {}
    for table, chain, line in chain_lines(nft_chains):
        if _NAT.search(line) and chain != START and table[1] != NFTABLES_TABLE:
            found[table] = None
    yield from found
