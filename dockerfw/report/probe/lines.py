"""What came of a probe as lines for a terminal and as JSON. Pure."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator

from dockerfw.report.audit.way import Way
from dockerfw.report.probe.neighbours import together
from dockerfw.report.probe.result import Outcome, Probed, Row
from dockerfw.report.probe.words import target_words, way_words
from dockerfw.report.tables import grid, table
from dockerfw.text import counted, listed, paragraph, printable

_BESIDES: tuple[Outcome, ...] = ("refused by another", "not told")
_MOST_UNTRIED = 3
"""Ways of one reason that are named; programs get all of them."""
_HEAD = ("source", "target", "way", "expected", "found")


def headline(probed: Probed) -> str:
    """Return one sentence: does it agree, and how much was tried."""
    rows = len(probed.rows)
    wrong = probed.count("disagrees")
    if not rows:
        text = "NOTHING TRIED"
    elif wrong:
        text = f"DISAGREES: {wrong:,} of {counted(rows, 'way')} tried"
        text += " is" if wrong == 1 else " are"
        text += f" not as {'the policy in force' if probed.in_force else 'dockerfw audit'} says"
    else:
        text = f"agrees: {counted(rows, 'way')} tried"
    for outcome in _BESIDES:
        count = probed.count(outcome)
        text += f", {count:,} {outcome}" if count else ""
    if probed.not_tried:
        text += f", {len(probed.not_tried):,} not tried"
    if not probed.in_force:
        return f"NOT PROTECTED: no policy is in force. Held against dockerfw audit: {text}"
    return f"OBSERVING, so nothing is dropped; {text}" if probed.observing else text


def lines(probed: Probed, width: int = 80) -> list[str]:
    """Return all of it for people, the headline first."""
    found = paragraph(headline(probed), width=width, rest="  ")
    if probed.rows:
        rows = [_HEAD, *_cells(probed)]
        found += ["", *(grid(rows, width=width, whole=True) or table(rows, width=width))]
    reasons = list(dict.fromkeys(_reasons(probed)))
    if reasons:
        found.append("")
    for reason in reasons:
        found += paragraph(printable(reason), width=width, rest="  ")
    if probed.not_tried:
        found += ["", "not tried:"]
        for reason, what in _untried(probed).items():
            text = printable(f"{listed(what, _MOST_UNTRIED)}: {reason}")
            found += paragraph(text, width=width, first="  ", rest=" " * 6)
    return found


def _untried(probed: Probed) -> dict[str, list[str]]:
    """Return all that was not tried for one and the same reason."""
    found: dict[str, list[str]] = {}
    for one in probed.not_tried:
        found.setdefault(one.reason, []).append(one.what)
    return found


def _cells(probed: Probed) -> Iterator[tuple[str, ...]]:
    """Yield a row of the table for all tries that differ in source, family or port alone."""
    addresses: dict[tuple[str, int], set[object]] = {}
    for way in (row.tried.way for row in probed.rows if row.tried.way.host_ports is None):
        addresses.setdefault((way.container.id, way.family), set()).add(way.at)
    several = {at for at, held in addresses.items() if len(held) > 1}
    for group in together(_told_apart(row, several) for row in probed.rows):
        by = "".join(f" v{family}" for family in sorted(group.families))
        path = _path(group.way, several)
        whom = listed([printable(whom) for whom in group.whom])
        yield whom, target_words(group.way), f"{path}{by}", *group.found


def _told_apart(
    row: Row, several: Collection[tuple[str, int]]
) -> tuple[Row, tuple[str, ...], Hashable]:
    way = row.tried.way
    shown = way.at if way.host_ports is not None or (way.container.id, way.family) in several else 0
    return row, ("open" if row.tried.allowed else "closed", _found(row)), shown


def _path(way: Way, several: Collection[tuple[str, int]]) -> str:
    """Return the way, with the container's own address only where that is one of several."""
    alone = way.host_ports is None and (way.container.id, way.family) not in several
    return way.path if alone else printable(way_words(way))


def _found(row: Row) -> str:
    match row.outcome:
        case "disagrees":
            return f"{row.found}: DISAGREES"
        case "refused by another":
            return "refused by another"
        case "not told":
            return "not told"
    return row.found


def _reasons(probed: Probed) -> Iterator[str]:
    """Yield what the table has no room for: the line of the policy, the rule of another."""
    why_of: dict[tuple[str, str], dict[str, None]] = {}
    for row in probed.rows:
        if row.outcome != "agrees":
            name = f"{target_words(row.tried.way)}, {way_words(row.tried.way)}"
            whom = f"{row.tried.whom} ({row.tried.knock.source})"
            why_of.setdefault((name, _why(row, probed)), {})[whom] = None
    for (name, why), callers in why_of.items():
        yield f"{name}: {why} (tried from {listed(list(callers))})"


def _why(row: Row, probed: Probed) -> str:
    match row.outcome:
        case "refused by another":
            return f"refused by {row.by}"
        case "not told":
            return row.by
    if probed.observing:
        return "observing drops nothing"
    return f"{'explain' if probed.in_force else 'audit'}: {row.tried.reason}"


def document(probed: Probed) -> dict[str, object]:
    """Return all of it as JSON; its shape is in ``docs/commands.md``."""
    return {
        "agrees": probed.agrees,
        "observing": probed.observing,
        "in_force": probed.in_force,
        "tried": [_tried(row) for row in probed.rows],
        "not_tried": [{"what": one.what, "why": one.reason} for one in probed.not_tried],
    }


def _tried(row: Row) -> dict[str, object]:
    tried, knock = row.tried, row.tried.knock
    return {
        "from": tried.whom,
        "source": str(knock.source),
        "container": tried.way.container.name,
        "path": tried.way.path,
        "family": tried.way.family,
        "address": str(knock.address),
        "port": knock.port,
        "protocol": knock.protocol,
        "expected": "open" if tried.allowed else "closed",
        "reason": tried.reason,
        "answer": row.heard.answer,
        "let_in": row.heard.let_in,
        "outcome": row.outcome,
        "by": row.by or None,
    }
