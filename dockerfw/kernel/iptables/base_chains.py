"""Base chains and tables that iptables-nft makes when they are first written to.

``iptables-save`` prints those that are not there yet all the same, so nft is asked. What was made
for our jumps is taken out again by ``remove``, unless somebody uses it by then.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Literal

from dockerfw.kernel.runner import Runner
from dockerfw.model.host import Flavour
from dockerfw.model.net import Family
from dockerfw.plan.state import KernelState, TablesState
from dockerfw.plan.steps import Created
from dockerfw.rules.names import MAIN

_INET: Mapping[Family, str] = {4: "ip", 6: "ip6"}
_BASE_CHAINS: tuple[
    Literal["mangle PREROUTING"], Literal["filter INPUT"], Literal["filter FORWARD"]
] = ("mangle PREROUTING", "filter INPUT", "filter FORWARD")


def missing(runner: Runner, flavour: Flavour, live: KernelState) -> Iterator[Created]:
    """Yield the base chains that our first jumps will bring into being."""
    new = [f for f, tables in live.tables.items() if not tables.chain("filter", MAIN)]
    if flavour != "nft" or not new:
        return
    listed = runner.run(["nft", "list", "chains"])
    if listed.status != 0:
        return
    there = set(_listed_chains(listed.stdout))
    for family in new:
        for what in _BASE_CHAINS:
            if f"{_INET[family]} {what}" not in there:
                yield Created(family, what)


def remove_unused(runner: Runner, state: TablesState, created: Collection[str]) -> None:
    """Take out what is in ``created`` (`Created.what`), is empty and lets everything pass.

    The chains are deleted by name first: that fails where one has got a rule in the meantime,
    and nothing is lost.
    """
    inet = _INET[state.family]
    for what in sorted(set(created).intersection(_BASE_CHAINS)):
        table, _, name = what.partition(" ")
        chain = state.tables.get(table, {}).get(name)
        if chain is not None and chain.policy == "ACCEPT" and not chain.rules:
            runner.run(["nft", "delete", "chain", inet, table, name])
    for table, chains in state.tables.items():
        unused = all(c.policy == "ACCEPT" and not c.rules for c in chains.values())
        if f"{table} table" in created and unused:
            runner.run(["nft", "delete", "table", inet, table])


def _listed_chains(text: str) -> Iterator[str]:
    """``ip filter INPUT``, … out of ``nft list chains``."""
    table = ""
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["table"]:
            table = " ".join(words[1:3])
        elif words[:1] == ["chain"]:
            yield f"{table} {words[1]}"
