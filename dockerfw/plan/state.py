"""Kernel state as text that compares: what was read from the kernel, or what should stand there.

Pure. ``kernel/render.py`` makes the wanted one out of a `Ruleset`, ``kernel/`` reads the live
one, and
``plan/planner.py`` compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dockerfw.model.net import Family
from dockerfw.rules.ruleset import Table


@dataclass(frozen=True, slots=True)
class SetState:
    """An ipset; ``entries`` as ``ipset save`` prints them (``0.0.0.0/1,tcp:80``), no options.

    ``entries`` is None when only the header was read: ``count`` then says how many there are.
    ``timeout``: its entries end by themselves. How long each has left is not in here: as long as
    it stands it means the same.
    """

    name: str
    type: str
    family: Family
    maxelem: int
    count: int
    entries: frozenset[str] | None
    counters: bool = True
    timeout: bool = False


@dataclass(frozen=True, slots=True)
class ChainState:
    """A chain of one table: its rules as ``iptables-save`` prints them, without ``-A NAME``.

    ``policy`` is ``-`` for a user-defined chain, else ACCEPT or DROP.
    """

    policy: str
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TablesState:
    """Tables of one family and flavour: table name -> chain name -> chain."""

    family: Family
    tables: Mapping[str, Mapping[str, ChainState]] = field(default_factory=dict)

    def chain(self, table: Table, name: str) -> ChainState | None:
        return self.tables.get(table, {}).get(name)


@dataclass(frozen=True, slots=True)
class KernelState:
    """All that concerns dockerfw: both families' iptables, our ipsets, our nft table.

    ``seal`` is the nft table as normalised text (None: not there), see ``kernel/nft/driver.py``.
    """

    tables: Mapping[Family, TablesState]
    sets: Mapping[str, SetState]
    seal: str | None
