"""The answer of ``explain``: one row for each path, as lines for a terminal and as JSON. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dockerfw.exit_status import ExitStatus
from dockerfw.model.net import Family
from dockerfw.model.policy import Origin
from dockerfw.report.remarks import remarks
from dockerfw.text import paragraph, printable

OBSERVING = "OBSERVING: nothing is dropped now; this is what enforce would do"
NOT_IN_FORCE = "NOT PROTECTED: no policy is in force, so dockerfw filters nothing"


@dataclass(frozen=True, slots=True)
class Row:
    """One path of one family: ``path`` as in ``published 8080 → 80 (DNAT)``.

    ``others`` are rules of others that may drop what dockerfw lets pass there, ``refused`` is the
    one that does for certain, with what is known of it; empty where none does. ``conditional``:
    whether the packet takes this path depends on NAT of others in a way that is not known here.
    ``rule``: where the rule of the policy stands that decides it, if one does.
    """

    path: str
    family: Family
    allowed: bool
    reason: str
    others: tuple[str, ...] = ()
    refused: str = ""
    conditional: bool = False
    rule: Origin | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Every path from ``source`` to ``target``, at least one row.

    ``observing``: the mode is observe, and the rows are what enforce would do. ``warnings`` are
    remarks on the question itself, ``remedy`` the lines of the policy that would allow what
    nothing does. ``in_force`` False: no policy is, so that nothing is filtered.
    """

    source: str
    target: str
    rows: tuple[Row, ...]
    observing: bool = False
    warnings: tuple[str, ...] = ()
    remedy: tuple[str, ...] = ()
    in_force: bool = True

    @property
    def verdict(self) -> Literal["allowed", "denied", "mixed"]:
        allowed = {row.allowed for row in self.rows}
        if len(allowed) > 1:
            return "mixed"
        return "allowed" if True in allowed else "denied"

    @property
    def exit_status(self) -> ExitStatus:
        """OK: allowed on all paths; NO: denied on all; MIXED: allowed on some."""
        by_verdict = {
            "allowed": ExitStatus.OK,
            "denied": ExitStatus.NO,
            "mixed": ExitStatus.MIXED,
        }
        return by_verdict[self.verdict]

    def to_json(self) -> dict[str, object]:
        """Return the document of one target; ``docs/json.md`` has its shape."""
        return {
            "source": self.source,
            "target": self.target,
            "observing": self.observing,
            "verdict": self.verdict,
            "paths": [
                {
                    "path": r.path,
                    "family": r.family,
                    "allowed": r.allowed,
                    "reason": r.reason,
                    "rule": None if r.rule is None else {"file": r.rule.file, "line": r.rule.line},
                    "others": list(r.others),
                    "refused_by": r.refused or None,
                }
                for r in self.rows
            ],
            "warnings": remarks(self.warnings),
            "remedy": "\n".join(self.remedy),
            "in_force": self.in_force,
        }

    def lines(self, width: int = 80) -> tuple[str, ...]:
        """Return lines for a terminal; only a word longer than ``width`` makes one longer."""
        found: list[str] = []
        if self.observing:
            found += paragraph(OBSERVING, width=width, rest="  ")
        if not self.in_force:
            found += paragraph(NOT_IN_FORCE, width=width, rest="  ")
        head = f"{self.source} → {self.target}: {self.words}"
        found += paragraph(printable(head), width=width, rest="  ")
        for row in self.rows:
            found += self._row_lines(row, width)
        for warning in self.warnings:
            found += paragraph(printable(f"note: {warning}"), width=width, rest="  ")
        if self.remedy:
            found.append("To allow it, write into the policy, then run dockerfw plan:")
            found += [f"  {printable(line)}" for line in self.remedy]
        return tuple(found)

    def _row_lines(self, row: Row, width: int) -> list[str]:
        verdict = "allowed" if row.allowed else "denied "
        if self.observing:
            verdict = f"would be {verdict}"
        first = f"  IPv{row.family} {verdict}  "
        rest = " " * len(first)
        found = paragraph(printable(row.path), width=width, first=first, rest=rest)
        texts = [as_observed(row.reason) if self.observing else row.reason]
        if row.refused:
            texts.append(f"refused all the same by {row.refused}")
        else:
            texts += [f"dockerfw lets it pass; {other} may not" for other in row.others]
        for text in texts:
            found += paragraph(printable(text), width=width, first=rest, rest=rest)
        return found

    @property
    def words(self) -> str:
        """The verdict, in words."""
        return f"{self._by_policy}{self._by_others}"

    @property
    def _by_policy(self) -> str:
        if not self.in_force and self.verdict == "allowed":
            refused = any(row.refused for row in self.rows)
            return "not filtered by dockerfw" if refused else "OPEN on all paths"
        found = {
            "allowed": "allowed on all paths",
            "denied": "denied on all paths",
            "mixed": "allowed on some paths, denied on others",
        }[self.verdict]
        return f"would be {found}" if self.observing else found

    @property
    def _by_others(self) -> str:
        """Return that rules of others refuse what the policy allows, where they do."""
        allowed = [row for row in self.rows if row.allowed]
        refused = sum(bool(row.refused) for row in allowed)
        if not refused:
            return ""
        which = "there" if refused == len(allowed) else f"on {refused} of {len(self.rows)}"
        if not self.in_force and refused == len(self.rows):
            which = "on all paths"
        return f", but refused by other rules {which}"


def as_observed(reason: str) -> str:
    """Return the reason of a verdict while nothing is dropped.

    >>> as_observed("denied: nothing allows it"), as_observed("allowed by baseline bridge")
    ('would be denied: nothing allows it', 'would be allowed by baseline bridge')
    """
    return f"would be {reason}" if reason.startswith(("allowed", "denied")) else reason
