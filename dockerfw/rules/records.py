"""What the kernel keeps by itself of packets that it denied: the sets, and the rules for them.

Pure. No daemon is needed, and a flood neither fills memory nor slows dropping: a set holds no more
than `RECORDS`, and what costs more than a look is done for `RECORDS_A_SECOND` packets at most. In a
full set a new record takes the place of another one.

What claims an address of a Docker network from elsewhere is not recorded, if it gets as far as
`DENY`: by a host port it does, and no record shows by which interface it came. Any other source is
recorded as what it claims to be. What a probe sends is nobody's attempt, and not recorded. IPv6
sources are recorded as a /64, since that is what one host has to choose from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_network
from typing import Literal

from dockerfw.model.net import Family, Port
from dockerfw.rules.matches import claimed, own
from dockerfw.rules.names import PROBE_LINK, Record, record_set
from dockerfw.rules.rule import AddToSet, InInterface, InSet, Limit, Log, Match, Rule
from dockerfw.rules.ruleset import Element, IPSet

RECORDS_A_SECOND = 100
_AT_ONCE = 200
_LINES_A_SECOND, _LINES_AT_ONCE = 1, 10
_DIRECTIONS: tuple[Literal["src", "dst"], ...] = ("dst", "dst", "src")
_RECORDS: tuple[Record, ...] = ("denied", "again")

SIXTY_FOUR: Element = (ip_network("::/128"), Port("tcp", 0), ip_network("100::/64"))
"""What an IPv6 record begins with, and no packet matches: the kernel adds sources as the longest
prefix that is in the set (tried on 6.18), so as a /64. Where a flood has pushed it out, and
all that came after it has ended, they are whole addresses."""


def record_sets(family: Family) -> list[IPSet]:
    """Return the sets of one family, with what they begin with."""
    begin = frozenset({SIXTY_FOUR} if family == 6 else set[Element]())
    return [
        IPSet(record_set(record, family), "hash:ip,port,net", family, "record", begin)
        for record in _RECORDS
    ]


def record_rules(family: Family, ends: Sequence[Rule], *, log: bool) -> tuple[Rule, ...]:
    """Return the rules that record a packet and let it go on to ``ends``, as one that is not to be
    recorded does at once; ``log``: in the kernel's log, too.

    Adding what is there would set its counter back, so the first and the last time are in two sets.
    """
    limit = Limit(RECORDS_A_SECOND, _AT_ONCE)
    denied, again = (record_set(record, family) for record in _RECORDS)
    known = InSet(denied, _DIRECTIONS)
    new = InSet(denied, _DIRECTIONS, negated=True)
    lines = (Limit(_LINES_A_SECOND, _LINES_AT_ONCE),)
    unrecorded: tuple[tuple[Match, ...], ...] = (
        (InInterface(PROBE_LINK),),
        (claimed(family), own(family, negated=True)),
    )
    return (
        *(replace(e, matches=(*about, *e.matches)) for about in unrecorded for e in ends),
        # The look counts: also where the limit then keeps the rule from more.
        Rule((known, limit), AddToSet(again, _DIRECTIONS, again=True), "denied again"),
        Rule((new, limit), AddToSet(denied, _DIRECTIONS), "denied, recorded"),
        *((Rule(lines, Log(), "denied, logged"),) if log else ()),
    )
