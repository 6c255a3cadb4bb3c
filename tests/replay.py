"""A kernel made of dictionaries that carries out the steps of a plan, one state at a time.

Takes `Step`s and does what ``ipset restore -exist``, ``iptables-restore --noflush`` and ``nft -f``
would do; gives the `KernelState` to plan from, and its verdict on a packet in whatever state it is
in. Strict where the real tools are: a rule that names a set or chain that is not there, a set
destroyed while a rule names it, a full set, a missing jump are refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby

from dockerfw.kernel.iptables.parse import parse_rule
from dockerfw.kernel.iptables.render import rule_text
from dockerfw.kernel.netfilter import Digests
from dockerfw.model.net import Address, Family
from dockerfw.plan.state import (
    ChainState,
    KernelState,
    LiveElement,
    LiveRule,
    OddElement,
    SetState,
    TablesState,
)
from dockerfw.plan.steps import (
    AddElements,
    AppendJump,
    ChangeSeal,
    CreateChain,
    CreateSet,
    DeleteElements,
    DeleteJump,
    DestroySet,
    FlushSet,
    InsertJump,
    ReplaceChain,
    RuleWrite,
    SetWrite,
    Step,
    SwapSets,
    WriteRules,
    WriteSeal,
    WriteSets,
)
from dockerfw.rules.names import INPUT, MAIN, PRE, is_our_chain, phase_of
from dockerfw.rules.rule import TABLES, AddToSet, Chain, InSet, Rule, Table
from dockerfw.rules.ruleset import RECORDED_FOR, Element, IPSet, Ruleset, Seal, _SetIndex

Tables = dict[Table, dict[str, list[LiveRule]]]

_BUILT_IN = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")
_NAME_LENGTH = 31
"""IPSET_MAXNAMELEN without the closing NUL."""
NO_SEAL = Seal(mark=0, observe=True, inside=True)
IDENTITY = Digests()


class Refused(Exception):
    """What the real tool would have left with an error for."""


def foreign(*rules: str) -> list[LiveRule]:
    """Rules of Docker and of others, as ``iptables-save`` prints them."""
    return [parse_rule(rule, ours=False) for rule in rules]


@dataclass(slots=True)
class _LiveSet:
    type: str
    family: Family
    maxelem: int
    timeout: bool = False
    elements: set[LiveElement] = field(default_factory=set)
    index: _SetIndex | None = None
    lasts: int = 0


class Replay:
    """The kernel of one host.

    ``known`` are the rulesets whose rules may turn up in steps; ``others`` is what Docker and
    others have put into the tables.
    """

    def __init__(
        self,
        others: dict[Family, Tables],
        known: Iterable[Ruleset],
        local_addresses: frozenset[Address],
    ) -> None:
        self.tables = others
        self.sets: dict[str, _LiveSet] = {}
        self.seal = NO_SEAL
        self.local_addresses = local_addresses
        self._rules: dict[tuple[Family, str], Rule] = {}
        self._marks = (0, 0)
        for ruleset in known:
            self._learn(ruleset)

    def _learn(self, ruleset: Ruleset) -> None:
        self._marks = (ruleset.mark_host, ruleset.mark_ok)
        for chain in ruleset.chains:
            for rule in chain.rules:
                self._rules[chain.family, rule_text(rule, chain.family)] = rule

    # what stands

    def state(self) -> KernelState:
        """As it would be read back."""
        tables = {
            family: TablesState(
                family,
                {
                    table: {
                        name: ChainState("ACCEPT" if name in _BUILT_IN else "-", tuple(rules))
                        for name, rules in chains.items()
                    }
                    for table, chains in in_family.items()
                },
            )
            for family, in_family in self.tables.items()
        }
        sets = {
            name: SetState(
                name,
                s.type,
                s.family,
                s.maxelem,
                len(s.elements),
                None if phase_of(name) == "record" else frozenset(s.elements),
                timeout=s.timeout,
                lasts=s.lasts,
            )
            for name, s in self.sets.items()
        }
        seal = None if self.seal is NO_SEAL else IDENTITY.seal(self.seal)
        return KernelState(tables, sets, seal)

    def foreign_rules(self) -> dict[tuple[Family, Table, str], list[LiveRule]]:
        """All rules of chains that are not ours, but for our jumps and Docker's to DOCKER-USER."""
        return {
            (family, table, name): [
                r for r in rules if not _leads_to_us(r) and not r.is_jump("DOCKER-USER")
            ]
            for family, tables in self.tables.items()
            for table, chains in tables.items()
            for name, rules in chains.items()
            if not is_our_chain(name)
        }

    def ruleset(self) -> Ruleset:
        """What stands, as values to walk through; a chain that no jump leads to is left out."""
        chains = tuple(
            Chain(family, table, name, tuple(self._rule(family, r) for r in rules))
            for family, tables in self.tables.items()
            for table in TABLES
            for name, rules in tables[table].items()
            if is_our_chain(name) and self._entered(family, name)
        )
        ruleset = Ruleset(
            chains,
            tuple(
                IPSet(name, s.type, s.family, "guard", _members(s))  # type: ignore[arg-type]
                for name, s in self.sets.items()
            ),
            self.seal,
            *self._marks,
        )
        ruleset._indexes.update({name: self._index(s) for name, s in self.sets.items()})
        return ruleset

    def _rule(self, family: Family, rule: LiveRule) -> Rule:
        """What it was written from; of a rule that no ruleset has, what it means as it is read."""
        found = self._rules.get((family, rule.text)) or rule.meaning
        assert found is not None, rule
        return found

    def _index(self, live: _LiveSet) -> _SetIndex:
        if live.index is None:
            live.index = _SetIndex([_plain(element) for element in live.elements])
        return live.index

    def _entered(self, family: Family, name: str) -> bool:
        """Whether packets get into this chain: only the three that others jump to may lack it."""
        tables = self.tables[family]
        if name == PRE:
            return _jumps(tables["mangle"]["PREROUTING"], PRE)
        if name == INPUT:
            return _jumps(tables["filter"]["INPUT"], INPUT)
        if name == MAIN:
            forward = tables["filter"]["FORWARD"]
            by_user = _jumps(tables["filter"].get("DOCKER-USER", []), MAIN)
            return _jumps(forward, MAIN) or (by_user and _jumps(forward, "DOCKER-USER"))
        return True

    # carrying out

    def run(self, steps: Iterable[Step], seal: Seal) -> Iterator[str]:
        """Carry the steps out; stops, saying what it did last, in each state that packets meet.

        ``seal`` is what a step for the seal installs. Of neighbouring writes that all add to (or
        all delete from) one set only the state after the last counts: for any packet the set
        changes its answer once on the way, so that both ends show all that there is to see.
        """
        for step in steps:
            match step:
                case WriteSeal(write=ChangeSeal() as change) if _releases(change):
                    self.seal = replace(self.seal, guarded=self.seal.guarded & seal.guarded)
                    yield step.why
                case WriteSeal():
                    self.seal = seal
                    yield step.why
                case WriteSets():
                    for (kind, name), same in groupby(step.writes, key=lambda w: (type(w), w.name)):
                        for write in same:
                            self._write_set(write)
                        yield f"{step.why}: {kind.__name__} {name}"
                case WriteRules():
                    for table in TABLES:
                        mine = [write for write in step.writes if write.table == table]
                        if mine:
                            self._write_table(step.family, table, mine)
                            yield f"{step.why}: IPv{step.family} {table}"

    def _write_set(self, write: SetWrite) -> None:
        match write:
            case CreateSet():
                self._create_set(write)
            case DestroySet(name=name):
                if name in self._sets_in_use():
                    raise Refused(f"in use: {write}")
                self.sets.pop(name, None)
            case _ if write.name in self.sets:
                self._change_set(self.sets[write.name], write)
            case _:
                raise Refused(f"no such set: {write}")

    def _create_set(self, write: CreateSet) -> None:
        if len(write.name) > _NAME_LENGTH:
            raise Refused(f"name too long: {write}")
        lasts = RECORDED_FOR if phase_of(write.name) == "record" else 0
        made = _LiveSet(write.type, write.family, write.maxelem, write.timeout, lasts=lasts)
        self.sets.setdefault(write.name, made)

    def _change_set(self, live: _LiveSet, write: SetWrite) -> None:
        live.index = None
        match write:
            case AddElements(elements=elements):
                live.elements |= elements
                if len(live.elements) > live.maxelem:
                    raise Refused(f"set is full: {write}")
            case DeleteElements(elements=elements):
                live.elements -= elements
            case FlushSet():
                live.elements.clear()
            case SwapSets(name=name, other=other):
                self.sets[name], self.sets[other] = self.sets[other], live

    def _sets_in_use(self) -> set[str]:
        return {
            match.name
            for family, tables in self.tables.items()
            for chains in tables.values()
            for rules in chains.values()
            for live in rules
            if (rule := self._rules.get((family, live.text))) is not None
            for match in (*rule.matches, rule.target)
            if isinstance(match, InSet | AddToSet)
        }

    def _write_table(self, family: Family, table: Table, writes: list[RuleWrite]) -> None:
        chains = self.tables[family][table]
        for write in writes:
            if isinstance(write, ReplaceChain | CreateChain):
                chains[write.name] = []
        for write in writes:
            if isinstance(write, ReplaceChain):
                chains[write.name] += [_live(rule, family) for rule in write.rules]
            elif isinstance(write, InsertJump | AppendJump | DeleteJump):
                _move_jump(chains[write.chain], write)
            elif not isinstance(write, CreateChain):
                raise Refused(f"no plan has this: {write}")
        missing = self._sets_in_use() - set(self.sets)
        targets = {r.target for rules in chains.values() for r in rules if _leads_to_us(r)}
        if missing or targets - set(chains):
            raise Refused(f"no such set or chain: {missing} {targets - set(chains)}")


def _releases(change: ChangeSeal) -> bool:
    return not change.added and all(element.guards for element in change.deleted)


def _live(rule: Rule | LiveRule, family: Family) -> LiveRule:
    """As it is read back, by the parser of the real driver."""
    return rule if isinstance(rule, LiveRule) else parse_rule(rule_text(rule, family), ours=True)


def _move_jump(rules: list[LiveRule], write: InsertJump | AppendJump | DeleteJump) -> None:
    match write:
        case InsertJump(target=target):
            rules.insert(0, _jump(target))
        case AppendJump(target=target):
            rules.append(_jump(target))
        case DeleteJump(target=target):
            if not _jumps(rules, target):
                raise Refused(f"no such jump: {write}")
            rules.remove(next(rule for rule in rules if rule.is_jump(target)))


def _jump(target: str) -> LiveRule:
    return parse_rule(f"-j {target}", ours=False)


def _jumps(rules: Iterable[LiveRule], target: str) -> bool:
    return any(rule.is_jump(target) for rule in rules)


def _leads_to_us(rule: LiveRule) -> bool:
    return rule.target is not None and is_our_chain(rule.target)


def _members(live: _LiveSet) -> frozenset[Element]:
    """Of a list of sets; what others hold is found by their indexes."""
    return frozenset(map(_plain, live.elements)) if live.type == "list:set" else frozenset()


def _plain(element: LiveElement) -> Element:
    if isinstance(element, OddElement):
        raise Refused(f"no plan writes this: {element}")
    return element
