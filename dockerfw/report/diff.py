"""(live sets, wanted `Ruleset`) -> which port opens or closes to whom, in words.

Pure. ``report/reach.py`` finds the differences, ``report/wording.py`` makes `Change`s of them; the
`Diff` that is returned is all of these, ready to print. Decides nothing: ``plan/planner.py`` makes
the steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from dockerfw.model.host import PortForward
from dockerfw.model.intervals import Interval
from dockerfw.model.inventory import Inventory
from dockerfw.model.net import FAMILIES, Family, IPNetwork, Port
from dockerfw.model.policy import ExceptingSource, HostAddresses, Source
from dockerfw.plan.state import SetState, TablesState
from dockerfw.plan.steps import AddElements, DeleteElements, Plan, WriteRules, WriteSeal
from dockerfw.report.change import Change
from dockerfw.report.labels import Labels
from dockerfw.report.open_ports import EVERY_PORT
from dockerfw.report.reach import Difference, Side, differences, intervals_of_list
from dockerfw.report.tables import table
from dockerfw.report.wording import BRIDGES, Wording
from dockerfw.rules.meaning import lets_bridges_in, read_guarded, rules_by_set
from dockerfw.rules.names import INSIDE, MAIN, PRE, PRE_INSIDE, topology_set
from dockerfw.rules.rule import Rule
from dockerfw.rules.ruleset import IPSet, Ruleset
from dockerfw.text import counted, listed, paragraph

# --- what people see -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Diff:
    """What a commit will change, for people.

    ``first_apply``: all is open until now, so everything closes but what is listed: nothing of ours
    stands yet, or it only counts. ``bridges_pass``: all Docker bridges are in the wanted baseline.
    ``observing``: nothing will be dropped. ``released``: and up to now it was.
    """

    changes: tuple[Change, ...] = ()
    first_apply: bool = False
    bridges_pass: bool = True
    observing: bool = False
    released: bool = False

    @property
    def empty(self) -> bool:
        return not self.changes and not self.first_apply

    @property
    def opens(self) -> int:
        """How many targets open; on a first apply, stay open."""
        if self.observing:
            return sum(c.kind == "unguard" for c in self.changes)
        return self._gains

    @property
    def closes(self) -> int:
        return 0 if self.observing else self._losses

    @property
    def matters(self) -> bool:
        """Whether anything opens or closes by it."""
        if self.observing:
            return self.released
        return bool(self.first_apply or self.closes or self.opens)

    @property
    def _gains(self) -> int:
        return sum(c.kind in ("open", "lift", "release") and not c.idle for c in self.changes)

    @property
    def _losses(self) -> int:
        return sum(c.kind in ("close", "deny", "guard") for c in self.changes)

    def lines(self, width: int = 80, *, plan: Plan | None = None) -> list[str]:
        """Return the changes, a line or more each, and the `summary`."""
        lines = self._first_apply_lines(width) if self.first_apply else self._change_lines(width)
        return [*lines, *paragraph(self.summary(plan), width=width, rest="  ")]

    def summary(self, plan: Plan | None = None) -> str:
        """Return how much opens and closes and, with ``plan``, how much the kernel is to take."""
        kernel = "" if plan is None else f", kernel: {_writes(plan)}"
        if self.observing and not self.released:
            stay = "stay open" if self.first_apply else "open"
            would = f"{self._gains:,} would {stay}, {self._losses:,} would close"
            return f"Plan: nothing opens or closes; enforced, {would}{kernel}"
        opens = f"{self.opens:,} {'to stay open' if self.first_apply else 'to open'}"
        return f"Plan: {opens}, {self.closes:,} to close{kernel}"

    def _first_apply_lines(self, width: int) -> list[str]:
        beside = f" and {BRIDGES}" if self.bridges_pass else ""
        closes = "would close" if self.observing else "closes"
        header = f"every container port {closes} to all but this host{beside}"
        closing = [c for c in self.changes if c.kind == "guard"]
        others = [c for c in self.changes if c.kind != "guard"]
        lines = paragraph(f"{header}:" if closing else header, width=width, rest="  ")
        lines += self._rows(closing, width)
        return [*lines, *(["except:", *self._rows(others, width)] if others else [])]

    def _change_lines(self, width: int) -> list[str]:
        if not self.released:
            return self._rows(self.changes, width)
        opening = [c for c in self.changes if c.kind == "unguard"]
        others = [c for c in self.changes if c.kind != "unguard"]
        header = "nothing is dropped any more, so every container port opens to all"
        lines = [*paragraph(f"{header}:", width=width, rest="  "), *self._rows(opening, width)]
        return [*lines, *(["by the rules:", *self._rows(others, width)] if others else [])]

    def _rows(self, changes: Iterable[Change], width: int) -> list[str]:
        rows = [
            (c.sign, c.target, c.sentence(self.first_apply, observing=self.observing))
            for c in changes
        ]
        return table(rows, width=width)

    def to_json(self) -> list[dict[str, object]]:
        return [change.to_json() for change in self.changes]


def _writes(plan: Plan) -> str:
    """Return how many set entries a plan writes, and whether rules and seal change."""
    changed = (w for w in plan.set_writes() if isinstance(w, AddElements | DeleteElements))
    entries = sum(len(write.elements) for write in changed)
    words = [
        counted(entries, "set entry", "set entries"),
        f"rules {'change' if plan.writes(WriteRules) else 'unchanged'}",
    ]
    return ", ".join([*words, "seal changes"] if plan.writes(WriteSeal) else words)


# --- the comparison ------------------------------------------------------------------------------


def diff(
    live_sets: Mapping[str, SetState],
    ruleset: Ruleset,
    inventory: Inventory,
    *,
    before_installed: bool,
    live_tables: Mapping[Family, TablesState] | None = None,
    host_names: HostAddresses | None = None,
    worded: Mapping[frozenset[IPNetwork], str] | None = None,
    forwards: Iterable[PortForward] = (),
    observing: bool = False,
    observed: bool = False,
) -> Diff:
    """Return what changes for people between what stands and what should.

    ``before_installed``: our chains stood before. The rules in ``live_tables`` have the meaning of
    sets that are no longer wanted, and the baseline; without them such a set is shown by its name,
    and the baseline taken for unchanged. ``host_names`` are the addresses of ``host:`` sources,
    which are shown with their name; ``worded`` are sources together, by what they are called.
    ``forwards`` is NAT of others, by which a port may lead somewhere that nobody publishes.
    ``observing``: the wanted rules only count; ``observed``: so did those that stand.
    """
    released = before_installed and observing and not observed
    if observed and not observing:
        before_installed = False  # all that they let in came in
    before = live_sets if before_installed else {}
    old, new, found = compare(before, ruleset, (live_tables or {}) if before_installed else {})
    wording = Wording(
        Labels(inventory),
        frozenset(c.family for c in ruleset.chains),
        {address: name for name, held in (host_names or {}).items() for address in held},
        worded or {},
        _leading(new, inventory, tuple(forwards)),
    )
    changes = [*_baseline_change(old, new), *wording.changes(found)]
    changes += wording.guarded(old, new) if before_installed else wording.closing(new)
    if released:
        changes += [replace(change, kind="unguard") for change in wording.closing(old)]
    return Diff(
        tuple(changes),
        first_apply=not before_installed,
        bridges_pass=new.baseline,
        observing=observing,
        released=released,
    )


def _leading(
    side: Side, inventory: Inventory, forwards: Iterable[PortForward]
) -> Callable[[Port], bool]:
    """Return what tells whether a port of this host leads to anybody now."""
    swarm = inventory.in_swarm
    guarded = {
        found[1]
        for family in FAMILIES
        for found in map(read_guarded, side.elements(topology_set("pub", family)))
        if found is not None
    }
    return lambda port: (
        swarm
        or port in guarded
        or any(one.takes(None, port.protocol, port.number) for one in forwards)
    )


def worded(sources: Iterable[Source]) -> dict[frozenset[IPNetwork], str]:
    """Return how lists with exceptions are written, by the networks that are left of them."""
    return {
        frozenset(source.networks): (
            f"{listed([str(s) for s in source.sources])} but "
            f"{listed([str(s) for s in source.exceptions])}"
        )
        for source in sources
        if isinstance(source, ExceptingSource) and source.networks
    }


def compare(
    live_sets: Mapping[str, SetState],
    ruleset: Ruleset,
    live_tables: Mapping[Family, TablesState],
) -> tuple[Side, Side, list[Difference]]:
    """Return what stands, what should, and the differences, before anything is put into words."""
    wanted_rules = [rule for chain in ruleset.chains for rule in chain.rules]
    live_rules = _live_rules(live_tables)
    wanted_by_set = rules_by_set(wanted_rules)
    baseline = lets_bridges_in(_by_chain((c.name, c.rules) for c in ruleset.chains))
    old = Side(
        {name: state.elements for name, state in live_sets.items()},
        wanted_by_set | rules_by_set(rule for held in live_rules.values() for rule in held),
        baseline=lets_bridges_in(live_rules) if any(live_rules.values()) else baseline,
    )
    # A list set never changes under its name: its elements need not be compared.
    lists = {s.name: s for s in ruleset.sets if s.phase == "frozen"}
    sets = {s.name: s.elements for s in ruleset.sets if s.name not in lists}
    new = Side(sets, wanted_by_set, baseline=baseline)
    return old, new, list(differences(old, new, lambda name: _intervals(name, lists, live_sets)))


def _intervals(
    name: str, wanted: Mapping[str, IPSet], live: Mapping[str, SetState]
) -> tuple[Interval, ...] | None:
    """Return what a list set holds, wanted or live; None where its elements were not read."""
    if name in wanted:
        return intervals_of_list(wanted[name].elements)
    elements = live[name].elements if name in live else None
    return None if elements is None else intervals_of_list(elements)


def _live_rules(tables: Mapping[Family, TablesState]) -> dict[str, list[Rule]]:
    """Return the rules that can be read of the chains that use our sets; both families in one."""
    return _by_chain(
        (name, [rule.meaning for rule in chains[name].rules if rule.meaning is not None])
        for state in tables.values()
        for chains in state.tables.values()
        for name in (PRE, PRE_INSIDE, MAIN, INSIDE)
        if name in chains
    )


def _by_chain(chains: Iterable[tuple[str, Iterable[Rule]]]) -> dict[str, list[Rule]]:
    found: dict[str, list[Rule]] = {}
    for name, rules in chains:
        found.setdefault(name, []).extend(rules)
    return found


def _baseline_change(old: Side, new: Side) -> list[Change]:
    if old.baseline == new.baseline:
        return []
    return [
        Change(
            "open" if new.baseline else "close", "every container port", (EVERY_PORT,), (BRIDGES,)
        )
    ]
