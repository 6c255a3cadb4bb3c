"""The entries of one list of sources -> its sources, what has ``!`` in front taken out of the rest;
and which of them a rule cannot use.

Takes nodes with the sources that each stands for, gives `Source` values; what is wrong becomes a
finding. Pure; knows no names.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from dockerfw.model.intervals import less
from dockerfw.model.policy import (
    AnySource,
    ExceptingSource,
    FileSource,
    HostSource,
    InterfaceSource,
    LanSource,
    Source,
    excepting,
    may_be_inside,
    moves,
    outside_networks,
)
from dockerfw.policy.document import Node
from dockerfw.policy.words import shown

Verdict: TypeAlias = Literal["allow", "deny"]

_DEEPEST = 8
"""So deep may exceptions stand in lists that are exceptions, or have some, themselves."""


@dataclass(frozen=True, slots=True)
class Found:
    """What one entry of a list stands for; ``taken_out``: it has ``!`` in front."""

    node: Node
    sources: tuple[Source, ...]
    taken_out: bool = False


def together(entries: Sequence[Found]) -> tuple[Source, ...]:
    """Return the sources of a list, each once, less its exceptions.

    What goes by addresses has them taken out; bridges and containers are no addresses, and stay.
    """
    sources = _once(source for entry in entries if not entry.taken_out for source in entry.sources)
    exceptions = [entry for entry in entries if entry.taken_out]
    unfit = [entry for entry in exceptions if not _fits(entry, sources)]
    if not exceptions or unfit:
        return sources
    outside = tuple(source for source in sources if not may_be_inside(source))
    inside = tuple(source for source in sources if may_be_inside(source))
    left = excepting(outside, _once(source for entry in exceptions for source in entry.sources))
    if _depth(left) > _DEEPEST:
        exceptions[0].node.error(
            f"exceptions are nested over {_DEEPEST} deep: write one list of what is meant"
        )
        return sources
    _warn_of_idle(exceptions, outside)
    return (left, *inside)


def _fits(entry: Found, sources: Sequence[Source]) -> bool:
    """Return True if this can be taken out of these sources; else it is reported."""
    node, word = entry.node, shown(entry.node.value)
    odd = next((s for s in entry.sources if may_be_inside(s) or isinstance(s, AnySource)), None)
    interface = next((s for s in sources if isinstance(s, InterfaceSource)), None)
    if odd is not None:
        node.error(
            f"{word} holds {shown(str(odd))}: `!` takes addresses out of addresses, and nothing "
            "else: name a list of addresses"
        )
    elif not sources:
        rest = node.value
        node.error(
            f"there is nothing that {word} could be taken out of: write what is meant before it, "
            f'`["any", "{rest}"]`, say'
        )
    elif interface is not None:
        node.error(
            f"{shown(str(interface))} goes by the interface, so {word} cannot be taken out of it: "
            "write it in a rule of its own, and a [[deny]] for these addresses"
        )
    elif all(map(may_be_inside, sources)):
        node.error(
            f"{word}: there are no addresses here to take it out of; containers are denied by a "
            "[[deny]] from their names"
        )
    else:
        return True
    return False


def _warn_of_idle(exceptions: Iterable[Found], outside: tuple[Source, ...]) -> None:
    """Report exceptions that change nothing; of names that move, nobody can know."""
    if moves(outside):
        return
    networks = tuple(network for source in outside for network in outside_networks(source))
    for entry in exceptions:
        own = [network for source in entry.sources for network in outside_networks(source)]
        if own and not moves(entry.sources) and less(networks, own) == networks:
            entry.node.warning(
                f"{shown(entry.node.value)} takes nothing out: no address of it is in this list"
            )


def refuse_unfit(entry: Found, verdict: Verdict) -> None:
    """Report what would make a deny deny nobody, or an allow open nothing; and exceptions that may
    be missing, so that a rule does more than it says.
    """
    for source in entry.sources:
        _refuse(entry.node, source, verdict, taken_out=entry.taken_out)


def refuse_empty(node: Node, sources: Iterable[Source], verdict: Verdict) -> None:
    """Report a list of which its exceptions leave nothing."""
    for source in sources:
        if isinstance(source, ExceptingSource) and not source.networks and not moves((source,)):
            left = f"nothing is left of {shown(str(source))}"
            if verdict == "deny":
                node.error(f"{left}, so this deny would deny nobody")
            else:
                node.warning(f"{left}, so it opens nothing")


def _refuse(node: Node, source: Source, verdict: Verdict, *, taken_out: bool) -> None:
    # An exception of an allow is as a deny, and that of a deny as an allow.
    must_hold = (verdict == "deny") != taken_out
    word = shown(f"{'!' if taken_out else ''}{source}")
    if isinstance(source, HostSource) and must_hold:
        result = "would deny nobody" if verdict == "deny" else "would open more"
        node.error(
            f"{word}: a name may fail or change, and this {verdict} {result}: write addresses or "
            "`file:`"
        )
    elif isinstance(source, LanSource) and must_hold:
        result = "would deny nobody" if verdict == "deny" else "would open more"
        node.error(
            f"{word}: an interface may have no address, and this {verdict} {result}: write its "
            f"networks, or {shown(f'iface:{source.interface}')}"
        )
    elif isinstance(source, FileSource) and not source.networks:
        if must_hold:
            result = "it takes nothing out" if taken_out else "this deny would deny nobody"
            node.error(f"{word} is empty, so {result}")
        else:
            result = "takes nothing out" if taken_out else "opens nothing"
            node.warning(f"{word} is empty, so it {result}")
    elif isinstance(source, ExceptingSource):
        for one in source.sources:
            _refuse(node, one, verdict, taken_out=taken_out)
        for one in source.exceptions:
            _refuse(node, one, verdict, taken_out=not taken_out)


def _depth(source: Source) -> int:
    if not isinstance(source, ExceptingSource):
        return 0
    return 1 + max(map(_depth, (*source.sources, *source.exceptions)))


def _once(sources: Iterable[Source]) -> tuple[Source, ...]:
    return tuple({_identity(source): source for source in sources}.values())


def _identity(source: Source) -> object:
    # A list is read once, so it is one object; hashing its networks would take long.
    return id(source) if isinstance(source, FileSource | ExceptingSource) else source
