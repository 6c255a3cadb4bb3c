"""What came of a probe: a row for each try, and whether the policy holds. Pure values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from dockerfw.model.foreign import ForeignTable
from dockerfw.model.knock import Heard, Knock
from dockerfw.model.policy import OnDeny
from dockerfw.report.audit.way import Way
from dockerfw.report.foreign_walk import ends
from dockerfw.rules.names import PROBE_LINK

Outcome: TypeAlias = Literal["agrees", "disagrees", "refused by another", "not told"]
OUTCOMES: tuple[Outcome, ...] = ("disagrees", "not told", "refused by another", "agrees")
"""In the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class NotTried:
    """One thing that was not tried, and why."""

    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class Try:
    """One packet of one caller (``whom``) by one way. ``allowed``: what has to come of it, by the
    policy; ``reason`` is the line that decides that.
    """

    whom: str
    way: Way
    knock: Knock
    allowed: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Row:
    """What came of a try. ``by`` is the rule of another that refused, or may have refused it."""

    tried: Try
    heard: Heard
    outcome: Outcome
    by: str = ""

    @property
    def found(self) -> str:
        """What was found, in words."""
        heard = self.heard
        if heard.answer == "answered":
            return "answered"
        if heard.passed:
            return "let in, no answer" if heard.answer == "silent" else "let in, no one listens"
        return "no answer" if heard.answer == "silent" else "refused"


@dataclass(frozen=True, slots=True)
class Probed:
    """``rows`` are the tries, the worst first. ``in_force`` False: no policy is, so that they are
    held against an audit.
    """

    rows: tuple[Row, ...]
    not_tried: tuple[NotTried, ...]
    observing: bool = False
    in_force: bool = True

    def count(self, outcome: Outcome) -> int:
        return sum(row.outcome == outcome for row in self.rows)

    @property
    def agrees(self) -> bool:
        return not self.count("disagrees")


def judged(
    tries: Sequence[Try],
    heard: Sequence[Heard],
    not_tried: Iterable[NotTried],
    tables: Sequence[ForeignTable],
    *,
    on_deny: OnDeny = "drop",
    observing: bool = False,
    in_force: bool = True,
) -> Probed:
    """Return what came of the tries; ``tables`` are the rules of others."""
    rows = [_row(*both, tables, on_deny) for both in zip(tries, heard, strict=True)]
    rows.sort(key=lambda row: (OUTCOMES.index(row.outcome), row.tried.way.container.name))
    return Probed(tuple(rows), tuple(not_tried), observing, in_force)


def _row(tried: Try, heard: Heard, tables: Sequence[ForeignTable], on_deny: OnDeny) -> Row:
    if heard.let_in is None:
        return Row(tried, heard, "not told", "the kernel does not tell what gets in")
    if heard.let_in == tried.allowed:
        return Row(tried, heard, "agrees")
    if heard.let_in:
        return Row(tried, heard, "disagrees")
    by = _refused_by(tried, tables)
    if by:
        return Row(tried, heard, "refused by another", by)
    if heard.answer != "silent" and on_deny == "drop":
        # dockerfw rejects nothing then: but where nobody listens its seal answers as the kernel
        # would, before the kernel makes an entry.
        return Row(tried, heard, "not told", "no one listens, or another refuses it")
    return Row(tried, heard, "disagrees")


def _refused_by(tried: Try, tables: Sequence[ForeignTable]) -> str:
    """Return the rule of another that drops it, or may do so; empty where none is known."""
    for hop in tried.way.hops:
        packet = replace(hop, in_interface=PROBE_LINK, source=tried.knock.source)
        found = ends(tables, packet)
        if found.closing:
            return found.closing
        if found.drops:
            return f"another, perhaps {found.drops[0]}"
    return ""
