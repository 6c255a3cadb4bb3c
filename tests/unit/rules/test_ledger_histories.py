from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from hypothesis import given, strategies as st

from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Container, Inventory
from dockerfw.model.policy import (
    Policy,
)
from dockerfw.plan.order import element_writes
from dockerfw.plan.seal import update_seal
from dockerfw.plan.state import wanted_set
from dockerfw.plan.steps import Step, WriteSets
from dockerfw.rules.compiler import compile_ruleset
from dockerfw.rules.ledger import LINGER, Ledger, Update
from dockerfw.rules.ruleset import Ruleset, Seal
from tests.questions import facts_for
from tests.replay import IDENTITY, Replay
from tests.situations import Situation, commit, docker_tables, interesting_probes, passes, together
from tests.strategies import fitting, inventories, profile

# --- random histories ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Moment:
    """An inventory and how long after the one before; ``expires``: the ledger is asked first."""

    inventory: Inventory
    seconds: float
    expires: bool


def _with_dockers_names(inventory: Inventory) -> Inventory:
    """Most bridges are named by Docker: one that is not makes the seal's rules change."""
    return replace(
        inventory,
        networks=tuple(
            replace(n, bridge="br-f00d00000001") if n.bridge == "br-front" else n
            for n in inventory.networks
        ),
    )


def _put(inventory: Inventory, container: Container) -> Inventory:
    """With this container in the place of the one with its id, or at the end."""
    others = [c for c in inventory.containers if c.id != container.id]
    return replace(inventory, containers=(*others, container))


@st.composite
def _one_changed(draw: st.DrawFn, inventory: Inventory) -> Inventory:
    """One container comes, goes or becomes another one, by what Docker can do to it."""
    other = draw(inventories())
    if not inventory.containers or draw(st.integers(0, 4)) == 0:
        added = other.containers[:1]
        return _put(inventory, added[0]) if added else inventory
    container = draw(st.sampled_from(inventory.containers))
    neighbour = draw(st.sampled_from(inventory.containers))
    gone = replace(
        inventory, containers=tuple(c for c in inventory.containers if c is not container)
    )
    kinds = ("goes", "donor", "donor", "address", "again", "name", "place", "ports")
    match draw(st.sampled_from(kinds)):
        case "address":
            return _put(inventory, replace(container, endpoints=neighbour.endpoints))
        case "again":
            return _put(gone, replace(container, id=container.id[::-1] + "f"))
        case "name":
            name = draw(st.sampled_from(("web", "db", "other")))
            return _put(inventory, replace(container, name=name, labels=neighbour.labels))
        case "donor":
            network_owner = draw(st.sampled_from((neighbour.id, "not running", None)))
            return _put(inventory, replace(container, network_owner=network_owner))
        case "place":
            return _put(gone, replace(neighbour, name=container.name, endpoints=()))
        case "ports":
            return _put(inventory, replace(container, ports=neighbour.ports))
    return gone


@st.composite
def _networks_changed(draw: st.DrawFn, inventory: Inventory) -> Inventory:
    """A network goes, or comes (its containers may be there before), or gets a foreign port."""
    other = draw(inventories())
    network = draw(st.sampled_from(inventory.networks))
    rest = tuple(n for n in inventory.networks if n.id != network.id)
    match draw(st.sampled_from(("goes", "other", "foreign", "back"))):
        case "goes":
            return replace(inventory, networks=rest)
        case "foreign":
            foreign = () if network.foreign_ports else ("eth1",)
            return replace(inventory, networks=(*rest, replace(network, foreign_ports=foreign)))
        case "back":
            known = {n.id for n in inventory.networks}
            fresh = tuple(n for n in other.networks if n.id not in known)
            return replace(inventory, networks=(*inventory.networks, *fresh))
    return replace(inventory, networks=other.networks)


@st.composite
def histories(draw: st.DrawFn) -> tuple[Policy, list[Moment]]:
    """A policy that fits its first inventory, and what becomes of that."""
    policy, inventory = draw(fitting())
    moments = [Moment(_with_dockers_names(inventory), 0.0, expires=False)]
    for _ in range(draw(st.integers(1, 8))):
        kind = draw(st.sampled_from(("one", "one", "one", "networks", "other", "back")))
        if kind == "one" or not inventory.networks:
            inventory = draw(_one_changed(inventory))
        elif kind == "networks":
            inventory = draw(_networks_changed(inventory))
        elif kind == "other":
            inventory = draw(inventories())
        else:
            inventory = draw(st.sampled_from(moments)).inventory
        inventory = _with_dockers_names(inventory)
        seconds = draw(st.sampled_from((0.0, 0.5, LINGER, 1.9)))
        moments.append(Moment(inventory, seconds, draw(st.booleans())))
    return policy, moments


@dataclass(slots=True)
class Reference:
    """What should stand, read off whole compilations: guards stay, all else goes at once."""

    policy: Policy
    facts: HostFacts
    ruleset: Ruleset
    gone: dict[tuple[str, object], float] = field(default_factory=dict)

    def update(self, inventory: Inventory, now: float) -> None:
        old = self.ruleset
        self.ruleset = compile_ruleset(self.policy, inventory, self.facts)
        before, after = _guards(old), _guards(self.ruleset)
        self.gone = {guard: since for guard, since in self.gone.items() if guard not in after}
        self.gone |= dict.fromkeys(before - after, now)

    def expire(self, now: float) -> None:
        self.gone = {g: since for g, since in self.gone.items() if since + LINGER > now}

    def wanted(self) -> Ruleset:
        stays: dict[str, set[Any]] = {}
        for name, guard in self.gone:
            stays.setdefault(name, set()).add(guard)
        sets = tuple(
            replace(s, elements=s.elements | stays.get(s.name, set())) for s in self.ruleset.sets
        )
        seal = self.ruleset.seal
        sealed = replace(seal, guarded=seal.guarded | stays.get(_SEAL, set()))
        return replace(self.ruleset, sets=sets, seal=sealed)


_SEAL = "the seal"


def _guards(ruleset: Ruleset) -> set[tuple[str, object]]:
    """What guards host ports: where that stands, and the element."""
    in_sets = {
        (ipset.name, element)
        for ipset in ruleset.sets
        if ipset.name in ("dockerfw-pub4", "dockerfw-pub6")
        for element in ipset.elements
    }
    return {*in_sets, *((_SEAL, guard) for guard in ruleset.seal.guarded)}


def _steps(update: Update, before: Seal, after: Seal) -> list[Step]:
    """As the daemon writes them: the seal lets go, the elements change, the seal follows."""
    writes = element_writes(update.added, update.removed)
    seal = update_seal(IDENTITY.seal(before), IDENTITY.seal(after), after)
    steps = (seal.release, WriteSets("elements", writes) if writes else None, seal.rest)
    assert (seal.release is not None) == bool(update.lost)
    assert (seal.rest is not None) == (bool(update.gained) or update.served)
    return [step for step in steps if step is not None]


def _everywhere(moments: list[Moment]) -> HostFacts:
    return facts_for(*(moment.inventory for moment in moments))


@profile(share=2.0)
@given(histories())
def test_after_every_change_the_ledger_is_what_a_whole_compilation_gives(
    history: tuple[Policy, list[Moment]],
) -> None:
    policy, moments = history
    facts = _everywhere(moments)
    first, *later = moments
    ledger = Ledger(policy, first.inventory, facts)
    reference = Reference(policy, facts, compile_ruleset(policy, first.inventory, facts))
    assert ledger.ruleset() == reference.wanted()
    now = 0.0
    for moment in later:
        now += moment.seconds
        if moment.expires:
            ledger.expire(now)
            reference.expire(now)
        ledger.update(moment.inventory, now)
        reference.update(moment.inventory, now)
        assert ledger.ruleset() == reference.wanted()
        assert ledger.inventory is moment.inventory
    assert (ledger.next_expiry() is None) == (not reference.gone)
    ledger.expire(now + LINGER)
    assert ledger.next_expiry() is None
    assert ledger.ruleset() == reference.ruleset
    ledger.update(Inventory(), now + LINGER)
    ledger.expire(now + 2 * LINGER)
    assert _kept(ledger) == _kept(Ledger(policy, Inventory(), facts)), (
        "memory that nobody gives back"
    )


def _kept(ledger: Ledger) -> dict[str, list[str]]:
    """The keys of all that is kept by container, network or element."""
    tables: dict[str, Iterable[object]] = {
        name: value for name, value in vars(ledger).items() if isinstance(value, dict)
    }
    tables["_followers"] = [key for keys in ledger._followers.values() for key in keys]
    tables["_sizes"] = +ledger._sizes
    tables["tallies"] = [
        *ledger._items.counts,
        *ledger._guarded.counts,
        *ledger._source_addresses.counts,
        *ledger._served.counts,
        *ledger._host_ports.taken.counts,
        *ledger._host_ports.named.counts,
        *ledger._host_ports._taken_at,
        *ledger._host_ports._items,
    ]
    return {name: sorted(map(str, table)) for name, table in tables.items()}


@profile(share=0.2)
@given(histories(), st.integers(0, 2**32))
def test_the_lines_of_each_change_lead_there_and_open_and_cut_nothing_on_the_way(
    history: tuple[Policy, list[Moment]], seed: int
) -> None:
    policy, moments = history
    facts = _everywhere(moments)
    random = Random(seed)
    first, *later = moments
    ledger = Ledger(policy, first.inventory, facts)
    kernel = Replay({4: docker_tables(), 6: docker_tables()}, [ledger.ruleset()], facts.addresses)
    commit(kernel, Situation(policy, first.inventory, facts), ledger.ruleset())
    now, inventory = 0.0, first.inventory
    for moment in later:
        now += moment.seconds
        if moment.expires:
            before = ledger.ruleset()
            there = Situation(policy, inventory, facts)
            _carry_out(kernel, ledger.expire(now), before, ledger.ruleset(), (there, there), random)
        before = ledger.ruleset()
        ways = (Situation(policy, inventory, facts), Situation(policy, moment.inventory, facts))
        change = ledger.update(moment.inventory, now)
        _carry_out(kernel, change, before, ledger.ruleset(), ways, random)
        inventory = moment.inventory


def _carry_out(
    kernel: Replay,
    change: Update,
    before: Ruleset,
    after: Ruleset,
    ways: tuple[Situation, Situation],
    random: Random,
) -> None:
    """Write the lines, a packet at a time, and see that nothing is left to be done."""
    old, new = ways
    kernel._learn(after)
    if change.whole:
        assert not change.elements_changed
        commit(kernel, new, after)
        return
    assert [chain.rules for chain in before.chains] == [chain.rules for chain in after.chains]
    probes = interesting_probes(old, new, before, after, random)
    here = together(old.inventory, new.inventory)
    for done in kernel.run(_steps(change, before.seal, after.seal), after.seal):
        now = kernel.ruleset()
        for probe in probes:
            fault = probe.fault(passes(now, probe.way, probe.source, new.facts, here)[0])
            assert fault is None, f"after {done}\n{fault}"
    live = {name: state.elements for name, state in kernel.state().sets.items()}
    assert live == {s.name: wanted_set(s).elements for s in after.sets}
    assert kernel.seal.guarded == after.seal.guarded
    assert (change.gained, change.lost) == (
        after.seal.guarded - before.seal.guarded,
        before.seal.guarded - after.seal.guarded,
    )
    assert change.served == (before.seal.served != after.seal.served)
