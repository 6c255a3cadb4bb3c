"""Who gets in by a way, and which rule decides: by the rules of others, and by those of dockerfw.

Takes `Way`s and `Strangers`; gives a `Verdict` for each. Pure. What a rule asks that is not known
here, and what sees packets before the rules, makes the answer *unknown*: it is never guessed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from dockerfw.model.foreign import ForeignTable
from dockerfw.model.net import Family
from dockerfw.model.routes import Routes
from dockerfw.model.surroundings import Early
from dockerfw.report.audit.row import Reach
from dockerfw.report.audit.strangers import ANYONE, NEIGHBOURS, Stranger, Strangers, in_words
from dockerfw.report.audit.way import Way
from dockerfw.report.foreign_walk import Ends, ForeignRules
from dockerfw.report.obstacles import STRANGERS

NOBODY = "nobody"
_NARROW = 8
"""The length of a prefix from which on a network is some, and not the world."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Who gets in, and why: see `Row`."""

    reach: Reach
    who: str
    reason: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What becomes of one stranger's packet; ``gets_in`` None: not known."""

    gets_in: bool | None
    reason: str


class Judge:
    """Judges by what stands of others. ``early`` sees packets before any rule does."""

    def __init__(
        self,
        tables: Iterable[ForeignTable],
        strangers: Strangers,
        routes: Routes,
        early: Iterable[Early] = (),
    ) -> None:
        self._rules = ForeignRules(tables)
        self.strangers = strangers
        self._world = {family: routes.way_out(address) for family, address in STRANGERS.items()}
        self._early = {one.interface: one for one in early if one.interface}

    def verdict(self, way: Way) -> Verdict:
        """Return who gets in by this way."""
        rest = NEIGHBOURS if way.near else ANYONE
        if way.closed:
            return Verdict("nobody", NOBODY, way.remark)
        if not way.known and not way.hops:
            return Verdict("unknown", f"perhaps {rest}", way.remark)
        if not way.hops:
            return Verdict("neighbours" if way.near else "anyone", rest, way.remark)
        everybody = self.strangers.of(way.family)
        answers = [(stranger, self.answer(way, stranger)) for stranger in everybody]
        return self._summed_up(way, answers, rest)

    def _summed_up(self, way: Way, answers: list[tuple[Stranger, Answer]], rest: str) -> Verdict:
        everybody = [stranger for stranger, _ in answers]
        let_in = [stranger for stranger, answer in answers if answer.gets_in]
        unsure = [stranger for stranger, answer in answers if answer.gets_in is None]
        if any(self._is_world(s, way.family) for s in let_in):
            reach: Reach = "neighbours" if way.near else "anyone"
            who = in_words(let_in, everybody, rest)
            return Verdict(reach, who, _first(answers, let_in))
        if any(self._is_world(s, way.family) for s in unsure) or (unsure and not let_in):
            who = f"perhaps {in_words([*let_in, *unsure], everybody, rest)}"
            return Verdict("unknown", who, _first(answers, unsure))
        if let_in:
            who = in_words(let_in, everybody, rest)
            return Verdict("some", who, _first(answers, let_in))
        return Verdict("nobody", NOBODY, _first(answers, everybody))

    def _is_world(self, stranger: Stranger, family: Family) -> bool:
        """Return True for those whom no rule names, or a very wide one does, by an interface that
        leads far away.
        """
        world = self._world[family]
        if stranger.network is not None and stranger.network.prefixlen >= _NARROW:
            return False
        return world is None or not stranger.interfaces or world in stranger.interfaces

    def answer(self, way: Way, stranger: Stranger) -> Answer:
        """Return what becomes of one stranger's packet on a way that has hops."""
        found = [
            self._rules.ends(replace(hop, in_interface=stranger.interface, source=stranger.address))
            for hop in way.hops
        ]
        for one in found:
            if one.closing:
                return Answer(False, f"refused by {one.closing}")
        maybe = next((one.drops[0] for one in found if one.drops), None)
        if maybe is not None:
            return Answer(None, f"whether {maybe} holds")
        blind = next((self._early[n] for n in stranger.interfaces if n in self._early), None)
        if blind is not None:
            what = f"{blind.kind} on {blind.interface} sees packets before any rule"
            return Answer(None, f"what it does with them: {what}")
        if not way.known:
            return Answer(None, way.remark)
        return Answer(True, _let_in(found, way))


def _let_in(found: list[Ends], way: Way) -> str:
    accepts = [accept for one in found for accept in one.accepts]
    return f"let in by {accepts[-1]}" if accepts else way.remark or "no rule refuses it"


def _first(answers: list[tuple[Stranger, Answer]], among: list[Stranger]) -> str:
    """Return the reason for the first of these: first come those whom no rule names."""
    return next(answer.reason for stranger, answer in answers if stranger in among)
