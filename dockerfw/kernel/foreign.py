"""Reads the rules of others at the hooks that packets to containers pass, in iptables and in nft.

Takes a `Runner` and the host's facts; gives `ForeignTable`s. What cannot be read is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from dockerfw.errors import Failed
from dockerfw.kernel.iptables import driver as iptables
from dockerfw.kernel.iptables.foreign import TABLES, foreign_tables
from dockerfw.kernel.nft.foreign import foreign_table, small_sets
from dockerfw.kernel.nft.printed import chain_lines
from dockerfw.kernel.runner import NotInstalled, Runner
from dockerfw.model.foreign import ForeignTable
from dockerfw.model.host import Flavour, HostFacts
from dockerfw.model.net import Family
from dockerfw.rules.names import SEAL_TABLE

_HOOK = re.compile(r"\btype filter hook (prerouting|forward|input)\b")
_FAMILIES = ("ip", "ip6", "inet")
_FLAVOURS: tuple[Flavour, Flavour] = ("nft", "legacy")


def read(runner: Runner, facts: HostFacts) -> tuple[ForeignTable, ...]:
    """Return what stands, of both flavours of iptables and of nft."""
    found: list[ForeignTable] = []
    for flavour in _FLAVOURS:
        for family in facts.families:
            found += _of_iptables(runner, flavour, family)
    for table_family, name in _nft_tables(runner) if facts.nf_tables else ():
        table = _of_nft(runner, table_family, name)
        if table is not None:
            found.append(table)
    return tuple(found)


def _of_iptables(runner: Runner, flavour: Flavour, family: Family) -> Iterator[ForeignTable]:
    try:
        state = iptables.read(runner, flavour, family, TABLES)
    except (Failed, NotInstalled):
        return
    yield from foreign_tables(state, flavour)


def _nft_tables(runner: Runner) -> Iterator[tuple[str, str]]:
    """Yield the tables of others that filter, but for those of iptables, which has capitals."""
    listed = runner.run(["nft", "list", "chains"])
    found: dict[tuple[str, str], None] = {}
    for table, chain, line in chain_lines(listed.stdout) if listed.status == 0 else ():
        if _HOOK.search(line) and not chain.isupper() and table[0] in _FAMILIES:
            found[table] = None
    found.pop(SEAL_TABLE, None)
    yield from found


def _of_nft(runner: Runner, family: str, name: str) -> ForeignTable | None:
    table = ["list", "table", family, name]
    text = runner.run(["nft", "--json", "--terse", *table])
    listing = runner.run(["nft", "--handle", "--terse", *table])
    if text.status != 0:
        return None
    held = (
        runner.run(["nft", "--json", "list", kind, family, name, called])
        for kind, called in small_sets(text.stdout)
    )
    return foreign_table(
        text.stdout, listing.stdout, *(one.stdout for one in held if one.status == 0)
    )
