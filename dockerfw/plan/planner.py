"""(live KernelState, wanted Ruleset) -> the steps that lead from one to the other, in the one
order in which no packet gets through that neither the old nor the new rules allow, and none is
cut that both allow.

Pure. The order, see ``docs/architecture.md``:

1. sets that are missing are created, empty; list sets are filled (nothing refers to them yet);
2. *union*: the live chains get the wanted buckets as well (their sets are empty still);
3. the seal lets go of ports that it need not guard any more, then elements, as `_ORDER` has it:
   what is not guarded passes whatever the policy's sets hold, so guards go before and come
   after those. A source that becomes *inside* is judged by other buckets from then on: those
   have to be filled, and the outside ones not yet. A claimed source is forged, before anything
   that its address could pass by is there, and until nothing of that kind is left;
4. the wanted chains and jumps, one transaction a table; − deny and what follows it come after
   them, since a deny may beat a baseline that stands until then;
5. the seal;
6. sets of ours that nothing needs any more are destroyed.

Where no rule changes, steps 1, 2, 4 and 6 are empty.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Literal, TypeAlias

from dockerfw.kernel.render import chain_texts, digest_of, set_state
from dockerfw.model.docker_names import DOCKER_USER
from dockerfw.model.host import HostFacts
from dockerfw.model.net import Family
from dockerfw.plan import jumps
from dockerfw.plan.state import ChainState, KernelState, SetState, TablesState
from dockerfw.rules.buckets import read_bucket
from dockerfw.rules.ruleset import (
    INSIDE,
    LONGEST_TIMEOUT,
    MAIN,
    PRE,
    PRE_INSIDE,
    Chain,
    IPSet,
    Phase,
    Ruleset,
    Table,
    end_of,
    ending,
)

_DAY = 86_400
_TABLES: tuple[Table, Table] = ("mangle", "filter")
_CLOSED = ("-m conntrack --ctdir REPLY -j RETURN", "-m conntrack --ctstate DNAT -j DROP")


@dataclass(frozen=True, slots=True)
class Step:
    """One write: ``text`` goes to ``ipset restore``, ``iptables-restore --noflush`` or ``nft -f``.

    ``family`` is None but for iptables. ``why`` is a short phrase for people.
    """

    tool: Literal["ipset", "iptables", "nft"]
    text: str
    why: str
    family: Family | None = None


@dataclass(frozen=True, slots=True)
class Created:
    """What this plan makes that is not ours by name: ``remove`` takes it out again."""

    family: Family
    what: Literal[
        "DOCKER-USER",
        "FORWARD jump",
        "mangle table",
        "filter table",
        "mangle PREROUTING",
        "filter INPUT",
        "filter FORWARD",
    ]


@dataclass(frozen=True, slots=True)
class SealUpdate:
    """The ``nft`` documents that bring the seal up to date; None: nothing to do.

    ``release`` takes out the host ports that are no longer guarded. It has to come before our
    chains stop to mark what goes there; ``rest`` comes when they mark all that has to pass.
    """

    release: str | None = None
    rest: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps; ``notes`` say what was found broken and is put right."""

    steps: tuple[Step, ...] = ()
    notes: tuple[str, ...] = ()
    creates: tuple[Created, ...] = ()

    @property
    def in_sync(self) -> bool:
        return not self.steps


_LETS_GO = re.compile(r"del dockerfw-pub[46] |delete element inet dockerfw (port|addr)[46] ")


def only_lets_go(plan: Plan) -> bool:
    """Whether all that a plan does is to guard host ports no more that nobody publishes now.

    A daemon does that by itself, some seconds after their container is gone.
    """
    lines = [line for step in plan.steps for line in step.text.splitlines()]
    return bool(lines) and all(_LETS_GO.match(line) for line in lines)


@dataclass(slots=True)
class _Draft:
    steps: list[Step] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    creates: list[Created] = field(default_factory=list)

    def ipset(self, lines: Iterable[str], why: str) -> None:
        text = "".join(f"{line}\n" for line in lines)
        if not text:
            return
        if self.steps and (self.steps[-1].tool, self.steps[-1].why) == ("ipset", why):
            text = self.steps.pop().text + text
        self.steps.append(Step("ipset", text, why))

    def iptables(self, family: Family, text: str, why: str) -> None:
        if text:
            self.steps.append(Step("iptables", text, why, family))


def plan(live: KernelState, wanted: Ruleset, facts: HostFacts, seal: SealUpdate) -> Plan:
    """The steps from ``live`` to ``wanted``.

    ``seal`` is what the seal needs (see ``kernel/nft/driver.py``); nothing on a kernel without
    nf_tables.
    """
    draft = _Draft()
    sets = {s.name: s for s in wanted.sets}
    states = {s.name: set_state(s) for s in wanted.sets}
    live_sets = dict(live.sets)
    tables = dict(live.tables)
    _take_out_broken(draft, live_sets, tables, states)
    _create(draft, live_sets, sets, states)
    union = {f for f in facts.families if _has_skeleton(tables[f], wanted, f)}
    united = {f: _unite(draft, tables[f], wanted, f) for f in sorted(union)}
    if seal.release is not None:
        draft.steps.append(Step("nft", seal.release, "ports that the seal need not guard"))
    elements = _element_lines(live_sets, sets, states)
    if not _lets_bridges_in(wanted):
        elements = _host_network_last(elements)
    baseline = {f: _baseline_text(united[f], wanted, f) for f in united}
    if any(baseline.values()):
        draft.ipset((line for turn, line in elements if turn < _FULL), "elements")
        for family, text in baseline.items():
            draft.iptables(family, text, "the baseline, before what it makes needless goes")
        elements = [(turn, line) for turn, line in elements if turn >= _FULL]
    draft.ipset((line for turn, line in elements if turn < _SAFE), "elements")
    if union and facts.nf_tables and live.seal is None:
        draft.notes.append("the seal (nft table inet dockerfw) was missing")
    for family in facts.families:
        _final(draft, tables[family], wanted, family, facts)
    draft.ipset((line for turn, line in elements if turn >= _SAFE), "elements")
    if seal.rest is not None:
        draft.steps.append(Step("nft", seal.rest, "the seal"))
    stale = sorted(set(live_sets) - set(sets))
    draft.ipset((f"destroy {name}" for name in stale), "sets that nothing needs")
    return Plan(tuple(draft.steps), tuple(draft.notes), tuple(draft.creates))


# --- sets ----------------------------------------------------------------------------------------


def _fits(live: SetState, wanted: SetState) -> bool:
    same = (live.type, live.family) == (wanted.type, wanted.family)
    return same and live.counters and live.timeout == wanted.timeout


def _take_out_broken(
    draft: _Draft,
    live_sets: dict[str, SetState],
    tables: dict[Family, TablesState],
    states: Mapping[str, SetState],
) -> None:
    """A set of another type under a name of ours: close, let go of it, make it anew."""
    broken = [n for n, s in states.items() if n in live_sets and not _fits(live_sets[n], s)]
    if not broken:
        return
    for name in broken:
        draft.notes.append(
            f"set {name} was of type {live_sets[name].type}: made anew as {states[name].type}"
        )
    for family, state in tables.items():
        draft.iptables(family, _closed_text(state), "closed while broken sets are replaced")
        tables[family] = _without_our_chains(state)
    draft.ipset((f"destroy {name}" for name in broken), "sets of the wrong type")
    for name in broken:
        del live_sets[name]


def _closed_text(state: TablesState) -> str:
    """Our chains without any set: replies pass, what Docker's NAT brings does not."""
    parts = []
    for table in _TABLES:
        ours = [name for name in state.tables.get(table, {}) if name.startswith(MAIN)]
        if not ours:
            continue
        lines = [f":{name} - [0:0]" for name in ours]
        if table == "filter" and MAIN in ours:
            lines += [f"-A {MAIN} {rule}" for rule in _CLOSED]
        parts.append("\n".join([f"*{table}", *lines, "COMMIT\n"]))
    return "".join(parts)


def _without_our_chains(state: TablesState) -> TablesState:
    """The state after `_closed_text`, as far as planning is concerned: nothing of ours holds."""
    tables = {
        table: {name: chain for name, chain in chains.items() if not name.startswith(MAIN)}
        for table, chains in state.tables.items()
    }
    return TablesState(state.family, tables)


def _create(
    draft: _Draft,
    live_sets: dict[str, SetState],
    sets: Mapping[str, IPSet],
    states: Mapping[str, SetState],
) -> None:
    lines = []
    for name, state in states.items():
        if name in live_sets:
            continue
        lines.append(create_line(state))
        filled = sets[name].phase == "frozen"
        if filled:
            lines += [f"add {name} {entry}" for entry in sorted(state.entries or ())]
        entries = state.entries if filled else frozenset()
        live_sets[name] = SetState(
            name,
            state.type,
            state.family,
            state.maxelem,
            len(entries or ()),
            entries,
            timeout=state.timeout,
        )
    draft.ipset(lines, "new sets")


def create_line(state: SetState, name: str | None = None) -> str:
    """``create …`` with a size that fits; packets never add to these sets.

    Where entries end, ``ipset.commit`` says when for each; one that it says nothing of must not
    stay for ever.
    """
    inet = "inet" if state.family == 4 else "inet6"
    timeout = " timeout 1" if state.timeout else ""
    hashsize = max(64, min(1 << 20, 1 << (state.count // 4).bit_length()))
    return (
        f"create {name or state.name} {state.type} family {inet} "
        f"hashsize {hashsize} maxelem {state.maxelem}{timeout} counters"
    )


def renewals(ruleset: Ruleset, now: float) -> str:
    """Lines for ``ipset restore`` that put off the end of what the kernel cannot keep so long.

    For a daemon, once a day: entries that stand are given the seconds that are left by then.
    """
    far = now + LONGEST_TIMEOUT - 2 * _DAY
    return "".join(
        f"add {name} {entry}\n"
        for name, state in ((s.name, set_state(s)) for s in ruleset.sets if _ends_after(s, far))
        for entry in sorted(state.entries or ())
    )


def _ends_after(ipset: IPSet, moment: float) -> bool:
    end = end_of(ipset.name)
    return end is not None and end > moment


_ORDER: tuple[tuple[Phase, Literal["+", "-"]], ...] = (
    ("own", "+"),
    ("claimed", "+"),
    ("guard", "-"),
    ("deny", "+"),
    ("inside allow", "+"),
    ("inside", "+"),
    ("allow", "+"),
    ("allow", "-"),
    ("inside", "-"),
    ("inside allow", "-"),
    ("deny", "-"),
    ("guard", "+"),
    ("claimed", "-"),
    ("own", "-"),
)


_FULL = _ORDER.index(("allow", "-")) - 0.5
"""Between the turns: all that is wanted is there, and nothing of the old is gone yet."""


_SAFE = _ORDER.index(("deny", "-"))
"""From this turn on lines wait for the wanted chains: a rule of the live ones that lets pass
without a set (baseline ``bridge``) may be what a deny that goes was there to beat."""


def _turn(phase: Phase, sign: Literal["+", "-"]) -> int:
    """When sets of this phase may grow (+) or shrink (-)."""
    return _ORDER.index(("allow" if phase == "frozen" else phase, sign))


Turns: TypeAlias = list[tuple[float, str]]
"""Lines for ``ipset restore``, each with its turn: they are to be sorted by that."""


def moves(name: str, phase: Phase, more: frozenset[str], less: frozenset[str]) -> Turns:
    """What a set gains and loses, as lines with their turns."""
    early = late = frozenset[str]()
    if phase == "guard":
        # A guard that becomes wider or narrower: what both cover is guarded all along.
        early, late = _covered(more, less), _covered(less, more)
    grow, shrink = _turn(phase, "+"), _turn(phase, "-")
    turns = [(shrink - 0.5, f"add {name} {entry}") for entry in sorted(early)]
    turns += [(grow, f"add {name} {entry}") for entry in sorted(more - early)]
    turns += [(shrink, f"del {name} {entry}") for entry in sorted(less - late)]
    turns += [(grow + 0.5, f"del {name} {entry}") for entry in sorted(late)]
    return turns


def _element_lines(
    live_sets: Mapping[str, SetState],
    sets: Mapping[str, IPSet],
    states: Mapping[str, SetState],
) -> Turns:
    """All lines, in order."""
    phased: Turns = []
    for name, state in states.items():
        live = live_sets[name]
        if live.entries is None or state.entries is None:
            continue
        turns = moves(
            name, sets[name].phase, state.entries - live.entries, live.entries - state.entries
        )
        if live.maxelem < len(live.entries | state.entries):
            grow, shrink = _turn(sets[name].phase, "+"), _turn(sets[name].phase, "-")
            kept = live.entries if grow < shrink else frozenset()
            phased += [(grow, line) for line in _regrown(state, kept)]
            # All that is added is in the larger set.
            turns = [(turn, line) for turn, line in turns if line.startswith("del ")]
        phased += turns
    for name in set(live_sets) - set(states):
        phase = _stale_phase(live_sets[name])
        if phase is not None:
            phased.append((_ORDER.index((phase, "-")), f"flush {name}"))
    return sorted(phased, key=lambda item: item[0])


def _lets_bridges_in(wanted: Ruleset) -> bool:
    return any(
        '"baseline bridge [' in rule for chain in wanted.chains for rule in chain_texts(chain)
    )


def _host_network_last(turns: Turns) -> Turns:
    """What ``hostnet`` loses waits until the wanted chains stand.

    It keeps a baseline ``bridge`` away from named ports of host-network containers. Where that
    baseline goes in the same commit, its rule is still there when the sets change.
    """
    last = len(_ORDER)
    moved = [
        (last if line.startswith("del dockerfw-hostnet") else turn, line) for turn, line in turns
    ]
    return sorted(moved, key=lambda item: item[0])


def _stale_phase(live: SetState) -> Phase | None:
    """Of a bucket's set that is no longer wanted, whose rule stands until the last step.

    None: a list or topology, which opens nothing by itself.
    """
    bucket = read_bucket(live.name, live.type, None)
    if bucket is None:
        return None
    if bucket.verdict == "deny":
        return "deny"
    return "inside allow" if bucket.cls == "inside" else "allow"


def _covered(entries: frozenset[str], others: frozenset[str]) -> frozenset[str]:
    """Those of the entries ``NETWORK[,REST]`` whose packets ``others`` hold as well."""
    by_rest: dict[str, list[IPv4Network | IPv6Network]] = {}
    for other in others if entries else ():
        network, _, rest = other.partition(",")
        by_rest.setdefault(rest, []).append(ip_network(network))
    found = set()
    for entry in entries:
        network, _, rest = entry.partition(",")
        inner = ip_network(network)
        if any(
            int(outer.network_address) <= int(inner.network_address)
            and int(inner.broadcast_address) <= int(outer.broadcast_address)
            for outer in by_rest.get(rest, ())
        ):
            found.add(entry)
    return frozenset(found)


def _regrown(state: SetState, kept: frozenset[str]) -> list[str]:
    """A set cannot be resized: a larger one, with what is kept for now, takes its place."""
    together = sorted((state.entries or frozenset()) | kept)
    size = len(together)
    larger = replace(state, maxelem=2 * size, count=size, entries=None)
    temporary = ending("dockerfw-swap", end_of(state.name))
    return [
        # Left over, if somebody was killed in the middle of this; no rule ever uses it.
        f"destroy {temporary}",
        create_line(larger, temporary),
        *(f"add {temporary} {entry}" for entry in together),
        f"swap {temporary} {state.name}",
        f"destroy {temporary}",
    ]


# --- chains --------------------------------------------------------------------------------------


def _has_skeleton(state: TablesState, wanted: Ruleset, family: Family) -> bool:
    mine = [c for c in wanted.chains if c.family == family]
    return all(state.chain(c.table, c.name) is not None for c in mine)


def _live_rules(state: TablesState, chain: Chain) -> tuple[str, ...]:
    live = state.chain(chain.table, chain.name)
    return live.rules if live else ()


def same_rules(live: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    """By digest: versions of iptables print one and the same rule differently."""
    return [digest_of(r) for r in live] == [digest_of(r) for r in wanted]


def _unite(
    draft: _Draft, state: TablesState, wanted: Ruleset, family: Family
) -> dict[str, tuple[str, ...]]:
    """The live chains and, beside what they have, the buckets that are new. Gives those chains."""
    united: dict[str, tuple[str, ...]] = {}
    changed: dict[Table, list[tuple[str, tuple[str, ...]]]] = {"mangle": [], "filter": []}
    for chain in wanted.chains:
        if chain.family != family or chain.deny_at is None or chain.allow_at is None:
            continue
        live = _live_rules(state, chain)
        known = {digest_of(rule) for rule in live}
        fresh = [r for r in chain_texts(chain) if digest_of(r) not in known]
        denies = [r for r in fresh if ' "deny ' in r and "--match-set" in r]
        allows = [r for r in fresh if ' "allow ' in r and "--match-set" in r]
        united[chain.name] = _inserted(chain.name, live, denies, allows)
        if denies or allows:
            changed[chain.table].append((chain.name, united[chain.name]))
    draft.iptables(family, _restore_text(changed, {}), "old and new rules together")
    return united


def _baseline_text(united: Mapping[str, tuple[str, ...]], wanted: Ruleset, family: Family) -> str:
    """The united chains with the wanted baseline, where they do not have it yet."""
    changed: dict[Table, list[tuple[str, tuple[str, ...]]]] = {"mangle": [], "filter": []}
    for chain in wanted.chains:
        live = united.get(chain.name)
        if chain.family != family or live is None:
            continue
        known = {digest_of(rule) for rule in live}
        fresh = [r for r in chain_texts(chain) if digest_of(r) not in known]
        baseline = [r for r in fresh if '"baseline bridge [' in r]
        if baseline:
            changed[chain.table].append((chain.name, _inserted(chain.name, live, [], baseline)))
    return _restore_text(changed, {})


def _inserted(
    name: str, live: tuple[str, ...], denies: list[str], allows: list[str]
) -> tuple[str, ...]:
    """Denies after the head of the chain, allows before its end: see `skeleton._chain`."""
    deny_at = 0
    if name in (PRE, MAIN):
        heads = [i for i, rule in enumerate(live) if "from a Docker bridge [" in rule]
        deny_at = heads[0] + 1 if heads else len(live)
    allow_at = len(live)
    if name in (MAIN, INSIDE) and live:
        allow_at = max(deny_at, len(live) - 1)
    return (*live[:deny_at], *denies, *live[deny_at:allow_at], *allows, *live[allow_at:])


def _final(
    draft: _Draft, state: TablesState, wanted: Ruleset, family: Family, facts: HostFacts
) -> None:
    """The wanted chains, and our jumps where they have to stand."""
    changed: dict[Table, list[tuple[str, tuple[str, ...]]]] = {"mangle": [], "filter": []}
    for chain in wanted.chains:
        if chain.family != family:
            continue
        rules = chain_texts(chain)
        live = state.chain(chain.table, chain.name)
        if live is None or not same_rules(live.rules, rules):
            changed[chain.table].append((chain.name, rules))
            _note_edited(draft, family, chain.name, live)
    if state.chain("filter", MAIN) is not None:
        faults = jumps.check(state, docker_user=facts.docker_user)
        draft.notes += [f"IPv{family}: {fault}" for fault in faults]
    lines = jumps.fix_lines(state, docker_user=facts.docker_user)
    draft.creates += _creates(state, family, facts)
    draft.iptables(family, _restore_text(changed, lines), "the rules")


def _creates(state: TablesState, family: Family, facts: HostFacts) -> Iterable[Created]:
    if "mangle" not in state.tables:
        yield Created(family, "mangle table")
    if "filter" not in state.tables:
        yield Created(family, "filter table")
    if facts.docker_user and state.chain("filter", DOCKER_USER) is None:
        yield Created(family, "DOCKER-USER")
    if facts.docker_user and not jumps.has_forward_jump(state):
        yield Created(family, "FORWARD jump")


def _note_edited(draft: _Draft, family: Family, name: str, live: ChainState | None) -> None:
    """What a change of policy does not explain."""
    if live is None:
        return
    if not live.rules and name != PRE_INSIDE:
        draft.notes.append(f"IPv{family}: {name} was empty")
    for rule in (rule for rule in live.rules if digest_of(rule) is None):
        draft.notes.append(f"IPv{family}: a rule that is not ours stood in {name}: {rule}")


def _restore_text(
    chains: Mapping[Table, list[tuple[str, tuple[str, ...]]]],
    jump_lines: Mapping[Table, list[str]],
) -> str:
    """One ``iptables-restore`` input; mangle first: a mark is set before it is asked for."""
    parts = []
    for table in _TABLES:
        mine = chains.get(table, [])
        extra = jump_lines.get(table, [])
        if not mine and not extra:
            continue
        lines = [f"*{table}", *(f":{name} - [0:0]" for name, _ in mine)]
        lines += [line for line in extra if line.startswith(":")]
        lines += [f"-A {name} {rule}" for name, rules in mine for rule in rules]
        lines += [line for line in extra if not line.startswith(":")]
        parts.append("\n".join([*lines, "COMMIT\n"]))
    return "".join(parts)
