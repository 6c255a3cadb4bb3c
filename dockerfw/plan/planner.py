"""(live KernelState, wanted Ruleset) -> the steps that lead from one to the other, in the one
order in which no packet gets through that neither the old nor the new rules allow, and none is
cut that both allow.

Pure. The order, see ``docs/architecture.md``:

1. sets that are missing are created, empty; list sets are filled (nothing refers to them yet);
2. *union*: the live chains get the wanted buckets as well (their sets are empty still);
3. the seal lets go of ports that it need not guard any more, then elements, as ``plan/order.py``
   has it;
4. the wanted chains and jumps, one transaction a table; − deny and what follows it come after
   them, since a deny may beat a baseline that stands until then;
5. the seal, and what the live one may let pass while it is not guarded;
6. sets of ours that nothing needs any more are destroyed.

Where no rule changes, steps 1, 2, 4 and 6 are empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from dockerfw.model.docker_names import DOCKER_USER
from dockerfw.model.host import HostFacts
from dockerfw.model.net import Family
from dockerfw.plan import jumps, odd_records, order
from dockerfw.plan.closed import close, is_closed
from dockerfw.plan.order import Turns
from dockerfw.plan.seal import SealUpdate, update_seal
from dockerfw.plan.skeletons import Skeletons
from dockerfw.plan.state import (
    ChainState,
    Identity,
    KernelState,
    LiveElement,
    SetState,
    TablesState,
    wanted_set,
)
from dockerfw.plan.steps import (
    AddElements,
    ChangeSeal,
    Created,
    CreateSet,
    DeleteElements,
    DestroySet,
    Note,
    Plan,
    ReplaceChain,
    RuleWrite,
    SetWrite,
    Step,
    SwapSets,
    WriteRules,
    WriteSeal,
    WriteSets,
)
from dockerfw.rules.names import (
    DENY,
    MAIN,
    PRE_INSIDE,
    SealFamily,
    end_of,
    is_our_chain,
    is_topic,
    seal_table,
    swap_set,
)
from dockerfw.rules.ruleset import LONGEST_TIMEOUT, IPSet, Ruleset

_DAY = 86_400


def plan(live: KernelState, wanted: Ruleset, facts: HostFacts, identity: Identity) -> Plan:
    """Return the steps from ``live`` to ``wanted``.

    ``identity`` is how the backend recognises what it wrote. On a kernel without nf_tables
    there is no seal.
    """
    return _Planner(live, wanted, facts, identity).plan()


def only_releases_ports(plan: Plan) -> bool:
    """Return True if a plan only stops guarding host ports that nobody publishes any more.

    A daemon does that by itself, some seconds after their container is gone.
    """
    return bool(plan.steps) and all(_releases_ports(step) for step in plan.steps)


def _releases_ports(step: Step) -> bool:
    match step:
        case WriteSets(writes=writes):
            return all(isinstance(w, DeleteElements) and is_topic(w.name, "pub") for w in writes)
        case WriteSeal(write=ChangeSeal(added=added, deleted=deleted)):
            return not added and all(element.guards for element in deleted)
    return False


def renewals(ruleset: Ruleset, now: float) -> tuple[SetWrite, ...]:
    """Return the writes that put off the end of what the kernel cannot keep so long.

    For a daemon, once a day: elements that stand are given the seconds that are left at ``now``.
    """
    # The kernel is given the true end once that is LONGEST_TIMEOUT away at most. Sets are renewed
    # daily: the second day is a margin for a renewal that fails.
    far = now + LONGEST_TIMEOUT - 2 * _DAY
    return tuple(
        AddElements(s.name, frozenset(s.elements))
        for s in ruleset.sets
        if s.elements and _ends_after(s, far)
    )


def _ends_after(ipset: IPSet, moment: float) -> bool:
    end = end_of(ipset.name)
    return end is not None and end > moment


@dataclass(slots=True)
class _Draft:
    steps: list[Step] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    creates: list[Created] = field(default_factory=list)
    _elements: WriteSets | None = None

    def sets(self, writes: Iterable[SetWrite], why: str) -> None:
        found = tuple(writes)
        if found:
            self.steps.append(WriteSets(why, found))

    def elements(self, writes: Iterable[SetWrite]) -> None:
        """Add to the step of the elements before, if nothing comes in between: one step, then."""
        found = tuple(writes)
        before = self._elements
        if not found:
            return
        if before is not None and self.steps[-1] is before:
            self.steps.pop()
            found = before.writes + found
        self._elements = WriteSets("elements", found)
        self.steps.append(self._elements)

    def rules(self, family: Family, writes: Iterable[RuleWrite], why: str) -> None:
        found = tuple(writes)
        if found:
            self.steps.append(WriteRules(why, family, found))

    def seal(self, step: WriteSeal | None) -> None:
        if step is not None:
            self.steps.append(step)


class _Planner:
    def __init__(
        self, live: KernelState, wanted: Ruleset, facts: HostFacts, identity: Identity
    ) -> None:
        self.live = live
        self.wanted = wanted
        self.facts = facts
        self.identity = identity
        self.draft = _Draft()
        self.sets = {s.name: s for s in wanted.sets}
        self.states = {s.name: wanted_set(s) for s in wanted.sets}
        self.live_sets = dict(live.sets)
        self.tables = dict(live.tables)

    def plan(self) -> Plan:
        draft = self.draft
        self._take_out_broken()
        self._create()
        skeletons = {f: Skeletons(self.wanted, f, self.identity) for f in self.facts.families}
        # Without all chains nothing of ours holds yet: there is no union to be had, nor needed.
        standing = [f for f, s in skeletons.items() if s.all_stand(self.tables[f])]
        united = {f: skeletons[f].union(self.tables[f]) for f in standing}
        for family in standing:
            changed = skeletons[family].changed(self.tables[family], united[family])
            draft.rules(family, changed, "old and new rules together")
        seal = self._seal()
        draft.seal(seal.release)
        turns = self._turns()
        if not _has_baseline(self.wanted):
            turns = order.without_baseline(turns)
        baseline = {f: skeletons[f].with_baseline(united[f]) for f in standing}
        if any(baseline.values()):
            draft.elements(order.in_order(t for t in turns if t[0] < order.ALL_ADDED))
            for family, writes in baseline.items():
                why = "the baseline, before what it makes needless goes"
                draft.rules(family, writes, why)
            turns = [t for t in turns if t[0] >= order.ALL_ADDED]
        # Where nothing of ours holds, what sets guard is guarded from the first rule on: chains
        # that were closed while broken sets are replaced open to nobody in between.
        chains_at = order.AFTER_CHAINS if standing else order.AT_THE_END
        draft.elements(order.in_order(t for t in turns if t[0] < chains_at))
        if standing and self.facts.nf_tables:
            draft.notes += self._lost_tables()
        for family, skeleton in skeletons.items():
            self._final(family, skeleton)
        draft.elements(order.in_order(t for t in turns if chains_at <= t[0] < order.AFTER_SEAL))
        draft.seal(seal.rest)
        draft.elements(order.in_order(t for t in turns if t[0] >= order.AFTER_SEAL))
        stale = sorted(set(self.live_sets) - set(self.sets), reverse=True)
        draft.sets(map(DestroySet, stale), "sets that nothing needs")
        return Plan(tuple(draft.steps), tuple(draft.notes), tuple(draft.creates))

    def _seal(self) -> SealUpdate:
        if not self.facts.nf_tables:
            return SealUpdate()
        seal = self.wanted.seal
        return update_seal(self.live.seal, self.identity.seal(seal), seal)

    def _lost_tables(self) -> Iterator[Note]:
        stand = self.live.seal.tables if self.live.seal else frozenset[SealFamily]()
        for family in sorted(self.identity.seal(self.wanted.seal).tables - stand, reverse=True):
            yield Note("seal", f"the seal (nft table {seal_table(family)}) was missing")

    # sets

    def _take_out_broken(self) -> None:
        """A set of another type under a name of ours: close, destroy it, make it anew.

        Who was killed in the middle of that has left closed chains: nothing of ours holds there.
        """
        for family, state in self.tables.items():
            if is_closed(state, self.identity):
                self.tables[family] = _without_our_chains(state)
        self._put_records_right()
        broken = [
            name
            for name, state in self.states.items()
            if name in self.live_sets and not _fits(self.live_sets[name], state)
        ]
        if not broken:
            return
        for name in broken:
            live, wanted = self.live_sets[name].type, self.states[name].type
            text = f"set {name} was of type {live}: made anew as {wanted}"
            self.draft.notes.append(Note("set", text))
        for family, state in self.tables.items():
            self.draft.rules(
                family, close(state, self.wanted), "closed while broken sets are replaced"
            )
            self.tables[family] = _without_our_chains(state)
        # A member of a list of sets cannot be destroyed.
        broken = [*self._lists_of(broken), *broken]
        self.draft.sets(map(DestroySet, broken), "sets of the wrong type")
        for name in broken:
            del self.live_sets[name]

    def _put_records_right(self) -> None:
        odd = {
            name: state
            for name, state in self.states.items()
            if self.sets[name].phase == "record" and name in self.live_sets
            if odd_records.is_odd(self.live_sets[name], state)
        }
        for name, state in odd.items():
            self.draft.notes.append(Note("set", f"set {name} was not of our making: made anew"))
            if odd_records.can_swap(self.live_sets[name], state):
                writes = odd_records.swapped(state, self.sets[name])
                self.draft.sets(writes, "records as they should be")
                self.live_sets[name] = state
            else:
                self._without_records(state.family)
                self.draft.sets([DestroySet(name)], "records of the wrong type")
                del self.live_sets[name]

    def _without_records(self, family: Family) -> None:
        """Have `DENY` use no set, where it stands."""
        state = self.tables[family]
        if state.chain("filter", DENY) is None:
            return
        chain = next(c for c in self.wanted.chains if (c.family, c.name) == (family, DENY))
        rules = odd_records.without_sets(chain)
        write = ReplaceChain("filter", DENY, rules)
        self.draft.rules(family, [write], "nothing recorded while records are replaced")
        live = ChainState("-", odd_records.as_live(rules, chain, self.identity))
        filter_table = {**state.tables["filter"], DENY: live}
        self.tables[family] = TablesState(family, {**state.tables, "filter": filter_table})

    def _lists_of(self, names: Iterable[str]) -> list[str]:
        return [
            name
            for name, state in self.states.items()
            if name in self.live_sets and name not in names and state.type == "list:set"
            if (state.elements or frozenset()) & {(member,) for member in names}
        ]

    def _create(self) -> None:
        writes: list[SetWrite] = []
        for name, state in self.states.items():
            if name in self.live_sets:
                continue
            writes.append(_created(state))
            elements = frozenset[LiveElement]()
            if self.sets[name].phase in ("frozen", "record"):
                elements = frozenset(self.sets[name].elements)
                if elements:
                    writes.append(AddElements(name, elements))
            self.live_sets[name] = replace(state, count=len(elements), elements=elements)
        self.draft.sets(writes, "new sets")

    def _turns(self) -> Turns:
        """All changes of elements, each with its turn."""
        turns: Turns = []
        for name, state in self.states.items():
            live = self.live_sets[name]
            if live.elements is None or live.elements == state.elements:
                continue
            if state.elements is None:
                continue
            phase = self.sets[name].phase
            more, less = state.elements - live.elements, live.elements - state.elements
            moved = order.moves(name, phase, more, less)
            if live.maxelem < len(live.elements) + len(more):
                grow, shrink = order.turn(phase, "+"), order.turn(phase, "-")
                kept = live.elements if grow < shrink else frozenset[LiveElement]()
                turns += [(grow, write) for write in _regrown(state, kept)]
                # All that is added is in the larger set.
                moved = [(when, w) for when, w in moved if isinstance(w, DeleteElements)]
            turns += moved
        for name in sorted(set(self.live_sets) - set(self.states)):
            turns += order.flush(name)
        return turns

    # chains

    def _final(self, family: Family, skeleton: Skeletons) -> None:
        """The wanted chains, and our jumps where they have to stand."""
        state, facts = self.tables[family], self.facts
        writes: list[RuleWrite] = []
        for chain in skeleton.chains():
            live = state.chain(chain.table, chain.name)
            if live is None or not skeleton.same(live.rules, chain):
                writes.append(ReplaceChain(chain.table, chain.name, chain.rules))
                self.draft.notes += _traces_of_others(family, chain.name, live)
        if state.chain("filter", MAIN) is not None:
            faults = jumps.check(state, docker_user=facts.docker_user)
            self.draft.notes += [Note("rules", f"IPv{family}: {fault}") for fault in faults]
        writes += jumps.fixes(state, docker_user=facts.docker_user)
        self.draft.creates += makes(state, family, facts)
        self.draft.rules(family, writes, "the rules")


def _has_baseline(wanted: Ruleset) -> bool:
    return any(rule.role == "baseline" for chain in wanted.chains for rule in chain.rules)


def _fits(live: SetState, wanted: SetState) -> bool:
    """Return True if the set can stay: all that is compared is given when a set is made, for good.

    Counters are part of that: ``status`` and the metrics show what they counted.
    """
    same = (live.type, live.family) == (wanted.type, wanted.family)
    return same and live.counters and live.timeout == wanted.timeout


def _created(state: SetState) -> CreateSet:
    return CreateSet(
        state.name, state.type, state.family, state.maxelem, state.count, state.timeout
    )


def _regrown(state: SetState, kept: frozenset[LiveElement]) -> list[SetWrite]:
    """A set cannot be resized: a larger one, with what is kept for now, takes its place."""
    together = (state.elements or frozenset[LiveElement]()) | kept
    size = len(together)
    larger = swap_set(state.name)
    return [
        # Left over, if somebody was killed in the middle of this; no rule ever uses it.
        DestroySet(larger),
        # Twice the size: with no room to spare the next element would ask for a swap again.
        CreateSet(larger, state.type, state.family, 2 * size, size, state.timeout),
        AddElements(larger, together),
        SwapSets(larger, state.name),
        DestroySet(larger),
    ]


def _without_our_chains(state: TablesState) -> TablesState:
    """The state after `close`, as far as planning is concerned: nothing of ours holds."""
    tables = {
        table: {name: chain for name, chain in chains.items() if not is_our_chain(name)}
        for table, chains in state.tables.items()
    }
    return TablesState(state.family, tables)


def makes(state: TablesState, family: Family, facts: HostFacts) -> Iterator[Created]:
    """Yield what our jumps bring into being that is not ours by name."""
    if "mangle" not in state.tables:
        yield Created(family, "mangle table")
    if "filter" not in state.tables:
        yield Created(family, "filter table")
    if facts.docker_user and state.chain("filter", DOCKER_USER) is None:
        yield Created(family, "DOCKER-USER")
    if facts.docker_user and not jumps.has_forward_jump(state):
        yield Created(family, "FORWARD jump")


def _traces_of_others(family: Family, name: str, live: ChainState | None) -> Iterator[Note]:
    """Yield what others have done to a chain of ours, in words."""
    if live is None:
        return
    if not live.rules and name != PRE_INSIDE:
        yield Note("rules", f"IPv{family}: {name} was empty")
    for rule in live.rules:
        if rule.identity is None:
            text = f"IPv{family}: a rule that is not ours stood in {name}: {rule.text}"
            yield Note("rules", text)
