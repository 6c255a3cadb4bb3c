"""Rules of others that take packets past what dockerfw goes by: NOTRACK and flowtables.

Takes what was read of them; gives a sentence for each, with what it means. Pure. Whether a packet
meets the conditions of such a rule is not asked: answers and later packets are concerned, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from dockerfw.model.foreign import (
    ForeignChain,
    ForeignRule,
    ForeignTable,
    ForeignVerdict,
    NameAsked,
)

_MEANING: Mapping[ForeignVerdict, str] = {
    "notrack": (
        "what it takes belongs to no connection, so dockerfw knows neither answers nor host ports "
        "of it; take the rule out, or let it leave out what containers send and get"
    ),
    "flow": (
        "it takes standing connections past all rules, so whoever has one is heard until it ends, "
        "withdrawn or not; take the rule out, or let it leave out what containers send and get"
    ),
}
_LOOPBACK = NameAsked("lo")


def bypasses(tables: Iterable[ForeignTable], protocol: str | None = None) -> tuple[str, ...]:
    """Return a sentence for each such rule that packets of containers may meet.

    With a protocol: for those alone that are not for another one.
    """
    found: dict[str, None] = {}
    for table in tables:
        for chain, rule in _reached(table):
            if protocol is None or rule.asked.protocol in (None, "all", protocol):
                found[f"`{rule.text}` in {chain.place}: {_MEANING[rule.verdict]}"] = None
    return tuple(found)


def _reached(table: ForeignTable) -> Iterator[tuple[ForeignChain, ForeignRule]]:
    """Yield those of the rules that a hook leads to by some way; what is for ``lo`` is none."""
    waiting = [name for name, chain in table.chains.items() if chain.hook is not None]
    seen = set(waiting)
    while waiting:
        chain = table.chains[waiting.pop()]
        for rule in chain.rules:
            if rule.asked.in_interface == _LOOPBACK:
                continue
            if rule.verdict in _MEANING:
                yield chain, rule
            if rule.chain in table.chains and rule.chain not in seen:
                seen.add(rule.chain)
                waiting.append(rule.chain)
