"""Whose address, by which bridge: matches by the sets of the topology, and the rules of them alone.

Pure. What the fixed chains (``rules/chains.py``) ask of sources and destinations.
"""

from __future__ import annotations

from dockerfw.model.net import Family
from dockerfw.rules.names import OK, topology_set
from dockerfw.rules.rule import (
    ConnState,
    Goto,
    IcmpTypes,
    InSet,
    Match,
    Rule,
    SourceNetwork,
    Target,
)
from dockerfw.rules.sources import LINK_LOCAL

SPOOFED_LINK_LOCAL = "forged: link-local, by whom nobody can tell"


def own(family: Family, *, negated: bool = False) -> Match:
    return InSet(topology_set("own", family), ("src", "src"), negated)


def claimed(family: Family) -> Match:
    return InSet(topology_set("claimed", family), ("src",))


def on_bridge(family: Family) -> Match:
    return InSet(topology_set("bridges", family), ("src", "src"))


def to_containers(family: Family, *, negated: bool = False) -> Match:
    """By a bridge: the address alone may be one of another network that Docker's contains."""
    return InSet(topology_set("guarded", family), ("dst", "dst"), negated)


def from_inside(family: Family, chain: str) -> Rule:
    source = InSet(topology_set("inside", family), ("src", "src"))
    return Rule((source,), Goto(chain), "from a Docker bridge")


def nameless(family: Family, chain: str, nobodys: Target, *also: Match) -> tuple[Rule, ...]:
    """Return the rules for link-local sources: containers without a name.

    ``nobodys``: what becomes of them where somebody else may have sent them.
    """
    if family == 4:
        return ()
    link_local: tuple[Match, ...] = (SourceNetwork(LINK_LOCAL), *also)
    return (
        Rule((*link_local, own(family)), nobodys, SPOOFED_LINK_LOCAL, "spoofed"),
        Rule((*link_local, on_bridge(family)), Goto(chain), "from a Docker bridge, link-local"),
    )


def icmp_that_always_passes(family: Family) -> tuple[Rule, ...]:
    errors = Rule((IcmpTypes(), ConnState("RELATED")), Goto(OK), "ICMP errors")
    if family == 4:
        return (errors,)
    # Bridged neighbour discovery meets FORWARD where br_netfilter is on.
    discovery = (Rule((IcmpTypes(t),), Goto(OK), "neighbour discovery") for t in range(133, 138))
    return (errors, *discovery)
