"""The ledger: which part of the inventory adds which set elements, so that a change is cheap.

Takes a `Policy`, an `Inventory` and `HostFacts`; gives the ruleset that `compile_ruleset` gives,
and for the next inventory the few elements that come and go. A *scope* is what can be compiled by
itself: the policy alone, a network, or a *unit*, which is a container with all those that share
its network. An element stands as long as any scope needs it. What a change
costs depends on the scopes that it touches, besides one comparison of each container with the one
before (the caller uses unchanged ones again: then that is a comparison of identities).

Two things are no sum over scopes. A statement whose sources are containers is compiled anew, for
every scope that it concerns, when one of these comes, goes or moves. And where the named port of
a host-network container is its own depends on who else publishes it: that is counted by the port.

Pure: reads neither the clock nor the kernel.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeAlias

from dockerfw.model.host import HostFacts, Proxy
from dockerfw.model.inventory import Container, Inventory, Network
from dockerfw.model.net import Address
from dockerfw.model.policy import Allow, Origin, Policy, Selector, SelectorSource
from dockerfw.rules.compiler import Compiler, Part, addresses_named, statements
from dockerfw.rules.host_ports import HostPorts, Item, discard
from dockerfw.rules.names import is_topic
from dockerfw.rules.rule import Chain
from dockerfw.rules.ruleset import (
    DEFAULT_MAXELEM,
    Element,
    GuardedPort,
    IPSet,
    Ruleset,
    Seal,
    ServedPorts,
)
from dockerfw.rules.scope import Scope
from dockerfw.rules.sources import SourceTerms
from dockerfw.rules.statement_index import StatementIndex
from dockerfw.rules.tally import Linger, Tally

LINGER = 20.0
"""Seconds for which a host port stays guarded after its container is gone. Docker reports the
end before docker-proxy has released the port (some 100 ms on 20.10); and a container that comes
back, by its restart policy or with Docker itself, which takes up to 15 s to stop, listens again
before any event reports it."""

_Key: TypeAlias = tuple[str, str]
"""Of a scope: its kind and an id."""
_POLICY: _Key = ("policy", "")


@dataclass(frozen=True, slots=True)
class Update:
    """What a new inventory changes: elements by the names of their sets.

    ``gained`` and ``lost`` are what `Seal.guarded` does: the seal has to release what is lost
    before the elements are written, and may follow with the rest; ``served``: `Seal.served` changes
    as well. With ``whole`` this change
    needs more than elements (a rule, another set, a larger one, the seal's own rules): the way
    there is ``plan.planner`` with `Ledger.ruleset`, and ``added`` and ``removed`` are empty.
    """

    added: Mapping[str, frozenset[Element]] = field(default_factory=dict)
    removed: Mapping[str, frozenset[Element]] = field(default_factory=dict)
    gained: frozenset[GuardedPort] = frozenset()
    lost: frozenset[GuardedPort] = frozenset()
    served: bool = False
    whole: bool = False

    @property
    def seal_changed(self) -> bool:
        return bool(self.gained or self.lost or self.served)

    @property
    def elements_changed(self) -> bool:
        return bool(self.added or self.removed)


@dataclass(frozen=True, slots=True)
class _Frame:
    """What policy and host alone decide: chains, and all sets, those that never change filled."""

    chains: tuple[Chain, ...]
    sets: Mapping[str, IPSet]
    mark_host: int
    mark_ok: int


class Rest(NamedTuple):
    """What a ledger leaves: the sizes of sets, and what lingers until when.

    Apart from it, so that it can go before the next one is made: both together take the memory
    twice.
    """

    room: Mapping[str, int]
    items: Mapping[Item, float]
    guarded: Mapping[GuardedPort, float]


class Ledger:
    """Which scopes need which elements, for one policy on one host.

    ``inventory`` is the one that it stands for. Ids of containers and networks are unique in it.
    """

    def __init__(self, policy: Policy, inventory: Inventory, facts: HostFacts) -> None:
        self.policy = policy
        self.facts = facts
        self.inventory = Inventory()
        self._statements = statements(policy)
        self._index = StatementIndex(self._statements)
        self._selectors = {
            index: frozenset(s.selector for s in statement.sources if isinstance(s, SelectorSource))
            for index, statement in enumerate(self._statements)
        }
        self._source_selectors = tuple(frozenset().union(*self._selectors.values()))
        self._source_index = StatementIndex(
            [Allow(Origin("", 0), (), (selector,)) for selector in self._source_selectors]
        )
        self._named_at: dict[Selector, set[Address]] = {s: set() for s in self._source_selectors}
        self._sources = SourceTerms(self._named_at.__getitem__)
        self._containers: dict[str, Container] = {}
        self._networks: dict[str, Network] = {}
        self._on_network: dict[str, set[str]] = {}
        self._sharers: dict[str, set[str]] = {}
        self._unit_of: dict[str, _Key] = {}
        self._scopes: dict[_Key, Scope] = {}
        self._followers: dict[int, set[_Key]] = {}
        self._fresh: list[_Key] = []
        self._items: Tally[Item] = Tally()
        self._guarded: Tally[GuardedPort] = Tally()
        self._source_addresses: Tally[tuple[Selector, Address]] = Tally()
        self._host_ports = HostPorts(facts.families)
        self._served: Tally[ServedPorts] = Tally()
        self._lingering_items: Linger[Item] = Linger()
        self._lingering_guarded: Linger[GuardedPort] = Linger()
        self._sizes: Counter[str] = Counter()
        self._room: dict[str, int] = {}
        self._bucket_names: dict[int, frozenset[str]] = {}
        self._sets: tuple[IPSet, ...] | None = None
        self._whole_seal: Seal | None = None
        """Both as they were asked for last, until something changes: most checks of everything find
        that nothing did."""
        self._begin(inventory)

    def _begin(self, inventory: Inventory) -> None:
        nobody = tuple(i for i, s in enumerate(self._statements) if not s.to)
        self._open(_POLICY, Inventory(), nobody)
        self._bucket_names = {i: self._names_of(i) for i, s in self._selectors.items() if s}
        self._frame, self._seal = self._find_frame(), self._find_seal(inventory)
        self._follow(inventory)
        gained, _ = self._items.turned()
        self._guarded.turned()
        self._served.turned()
        self._sizes.update(name for name, _ in gained)

    # what stands

    def ruleset(self) -> Ruleset:
        """Return what `compile_ruleset` gives for this inventory, and what lingers."""
        if self._sets is None:
            self._sets = self._find_sets()
        frame = self._frame
        return Ruleset(frame.chains, self._sets, self.seal(), frame.mark_host, frame.mark_ok)

    def sets_at_hand(self) -> tuple[IPSet, ...]:
        """Return the sets of `ruleset`; where something has changed since it was asked for, those
        alone that never change, which costs nothing.
        """
        if self._sets is not None:
            return self._sets
        return tuple(s for s in self._frame.sets.values() if s.phase == "frozen")

    def _find_sets(self) -> tuple[IPSet, ...]:
        elements: dict[str, set[Element]] = {}
        for name, element in (*self._items.counts, *self._lingering_items.until):
            elements.setdefault(name, set()).add(element)
        sets = [
            s
            if s.phase in ("frozen", "record")
            else replace(s, elements=frozenset(elements.get(s.name, frozenset())))
            for s in self._frame.sets.values()
        ]
        return tuple(sorted(sets, key=lambda s: s.name))

    def seal(self) -> Seal:
        """Return the seal of `ruleset`."""
        if self._whole_seal is None:
            guarded = frozenset((*self._guarded.counts, *self._lingering_guarded.until))
            served = frozenset(self._served.counts)
            self._whole_seal = replace(self._seal, guarded=guarded, served=served)
        return self._whole_seal

    def set_proxy(self, proxy: Proxy) -> None:
        """Go by another cgroup of dockerd, or by other ports of its own."""
        self.facts = replace(self.facts, proxy=proxy)
        self._seal, self._whole_seal = self._seal.with_proxy(proxy), None

    def set_room(self, maxelem: Mapping[str, int]) -> None:
        """Record how many elements each live set was made for; the default for one not named."""
        self._room = dict(maxelem)

    def rest(self) -> Rest:
        """Return what the next ledger of this host has to know of this one."""
        return Rest(self._room, self._lingering_items.until, self._lingering_guarded.until)

    def inherit(self, rest: Rest) -> None:
        """Take over what another ledger of this host has left."""
        self._sets = self._whole_seal = None
        self._room = dict(rest.room)
        mine, sealed = self._items.counts, self._guarded.counts
        items, guarded = rest.items, rest.guarded
        self._lingering_items.until = {k: end for k, end in items.items() if k not in mine}
        self._lingering_guarded.until = {k: end for k, end in guarded.items() if k not in sealed}
        self._sizes.update(name for name, _ in self._lingering_items.until)

    # what changes

    def update(self, inventory: Inventory, now: float) -> Update:
        """Stand for this inventory from now on, and return what that changes.

        ``now`` is any time in seconds that never goes back.
        """
        whole = self._follow(inventory)
        gained, lost = self._items.turned()
        if gained or lost or whole:
            self._sets = None
        staying = {item for item in lost if is_topic(item[0], "pub")}
        self._lingering_items.begin(staying, now + LINGER)
        more = gained - self._lingering_items.back(gained)
        guarded, unguarded = self._guarded.turned()
        served = any(self._served.turned())
        if guarded or unguarded or served:
            self._whole_seal = None
        self._lingering_guarded.begin(unguarded, now + LINGER)
        guarded -= self._lingering_guarded.back(guarded)
        change = self._change(more, lost - staying, frozenset(guarded), frozenset(), whole)
        return replace(change, served=served)

    def expire(self, now: float) -> Update:
        """Drop what has lingered long enough, and return what that changes."""
        items, guarded = self._lingering_items.end(now), self._lingering_guarded.end(now)
        if items:
            self._sets = None
        if guarded:
            self._whole_seal = None
        return self._change(set(), items, frozenset(), frozenset(guarded), whole=False)

    def next_expiry(self) -> float | None:
        """Return when `expire` has something to do, None if nothing lingers."""
        ends = (*self._lingering_items.until.values(), *self._lingering_guarded.until.values())
        return min(ends, default=None)

    def _change(
        self,
        more: set[Item],
        less: set[Item],
        gained: frozenset[GuardedPort],
        lost: frozenset[GuardedPort],
        whole: bool,
    ) -> Update:
        added, removed = _by_set(more), _by_set(less)
        for name in added.keys() | removed.keys():
            growing = len(added.get(name, ()))
            room = self._room.get(name, DEFAULT_MAXELEM)
            # All that is added is there before anything is taken out.
            whole |= growing > 0 and self._sizes[name] + growing > room
            self._sizes[name] += growing - len(removed.get(name, ()))
        if whole:
            return Update(gained=gained, lost=lost, whole=True)
        return Update(added, removed, gained, lost)

    # from one inventory to the next

    def _follow(self, inventory: Inventory) -> bool:
        """Bring all tallies in line; return True if chains, sets or the seal's rules change."""
        networks = {n.id: n for n in inventory.networks}
        containers = {c.id: c for c in inventory.containers}
        other_networks = _different(self._networks, networks)
        touched = _different(self._containers, containers)
        for network_id in other_networks:
            touched |= self._on_network.get(network_id, set())
        before, self._containers = self._containers, containers
        self._networks, self.inventory = networks, inventory
        self._follow_networks(other_networks)
        self._follow_containers(touched, before)
        whole = self._follow_sources()
        self._host_ports.follow(self._items)
        if other_networks:
            seal = self._find_seal(inventory)
            whole |= seal.rules_alone() != self._seal.rules_alone()
            self._seal, self._whole_seal = seal, None
        return whole

    def _follow_networks(self, network_ids: Iterable[str]) -> None:
        everything = tuple(
            i for i, s in enumerate(self._statements) if not s.to and not s.published
        )
        for network_id in network_ids:
            key = ("network", network_id)
            if key in self._scopes:
                self._close(key)
            network = self._networks.get(network_id)
            if network is not None:
                self._open(key, Inventory(networks=(network,)), everything)

    def _follow_containers(self, touched: set[str], before: Mapping[str, Container]) -> None:
        """Compile the units anew that any of these is or was in."""
        for container_id in touched:
            self._link(container_id, self._containers.get(container_id))
        affected = self._joined(touched, before)
        for key in {self._unit_of.pop(i) for i in affected if i in self._unit_of}:
            self._close(key)
        for container_id in touched:
            self._unlink(before.get(container_id), self._containers.get(container_id))
        for container_id in sorted(affected & self._containers.keys()):
            if container_id in self._unit_of:
                continue
            unit = self._joined({container_id}, {}) & self._containers.keys()
            key = ("unit", min(unit))
            self._unit_of |= dict.fromkeys(unit, key)
            members = tuple(self._containers[i] for i in sorted(unit))
            self._open(key, Inventory(members, self._networks_of(members)), None)

    def _networks_of(self, containers: Iterable[Container]) -> tuple[Network, ...]:
        ids = dict.fromkeys(e.network_id for c in containers for e in c.endpoints)
        return tuple(self._networks[i] for i in ids if i in self._networks)

    def _link(self, container_id: str, now: Container | None) -> None:
        if now is None:
            return
        for endpoint in now.endpoints:
            self._on_network.setdefault(endpoint.network_id, set()).add(container_id)
        if now.network_owner is not None:
            self._sharers.setdefault(now.network_owner, set()).add(container_id)

    def _unlink(self, before: Container | None, now: Container | None) -> None:
        if before is None:
            return
        kept = {e.network_id for e in now.endpoints} if now else set()
        for network_id in {e.network_id for e in before.endpoints} - kept:
            discard(self._on_network, network_id, before.id)
        if before.network_owner is not None and (
            now is None or now.network_owner != before.network_owner
        ):
            discard(self._sharers, before.network_owner, before.id)

    def _joined(self, ids: set[str], before: Mapping[str, Container]) -> set[str]:
        """Return these and all that share a network with them, directly or not, now or before.

        With the ids of network owners that do not run: two that wait for the same one are together.
        """
        found, pending = set(ids), list(ids)
        while pending:
            one = pending.pop()
            network_owners = {
                c.network_owner
                for c in (self._containers.get(one), before.get(one))
                if c and c.network_owner
            }
            fresh = (network_owners | self._sharers.get(one, set())) - found
            found |= fresh
            pending += fresh
        return found

    # scopes

    def _open(self, key: _Key, inventory: Inventory, indexes: tuple[int, ...] | None) -> None:
        """Add a scope; ``indexes`` None: the statements that name a container in it."""
        units = inventory.containers
        networks = {e.network for container in units for e in container.endpoints}
        about = self._index.about(units, networks, ()) if indexes is None else indexes
        compiler = self._compiler(inventory, about)
        if indexes is None:
            indexes = tuple(i for i in about if compiler.concerns(self._statements[i]))
        named = self._source_index.about(units, networks, ())
        scope = self._scopes[key] = Scope(
            compiler,
            statements=tuple(i for i in indexes if not self._selectors[i]),
            following=dict.fromkeys((i for i in indexes if self._selectors[i]), ()),
            sources=tuple(
                (selector, address)
                for selector in (self._source_selectors[index] for index in named)
                for address in addresses_named(inventory, selector)
            ),
        )
        self._served.add(scope.served)
        self._source_addresses.add(scope.sources)
        self._host_ports.taken.add(scope.taken)
        self._host_ports.named.add(scope.named)
        for index in scope.following:
            self._followers.setdefault(index, set()).add(key)
        self._fresh.append(key)

    def _compiler(self, inventory: Inventory, about: Sequence[int]) -> Compiler:
        """Return one for a part of the inventory, and the statements that may be about it."""
        part = Part(self._statements, about)
        return Compiler(self.policy, inventory, self.facts, self._sources, part)

    def _close(self, key: _Key) -> None:
        scope = self._scopes.pop(key)
        self._items.take(scope.items())
        self._guarded.take(scope.guarded)
        self._source_addresses.take(scope.sources)
        self._host_ports.taken.take(scope.taken)
        self._host_ports.named.take(scope.named)
        self._served.take(scope.served)
        for index in scope.following:
            self._followers[index].discard(key)

    def _fill(self, key: _Key) -> None:
        """Compile a new scope, now that all sources are known."""
        scope = self._scopes[key]
        scope.fill(self.facts.families)
        self._guarded.add(scope.guarded)
        self._items.add(scope.items())

    # what is no sum over scopes

    def _follow_sources(self) -> bool:
        """Fill new scopes, and compile the statements anew whose sources have moved.

        Returns True if other buckets are needed: a list of containers as sources is named after
        its content.
        """
        gained, lost = self._source_addresses.turned()
        for selector, address in gained:
            self._named_at[selector].add(address)
        for selector, address in lost:
            self._named_at[selector].discard(address)
        moved = {selector for selector, _ in gained | lost}
        stale = [i for i, held in self._selectors.items() if held & moved] if moved else []
        for index in stale:
            self._sources.forget(index)
        fresh, self._fresh = set(self._fresh), []
        for key in fresh:
            self._fill(key)
        for index in stale:
            for key in self._followers.get(index, set()) - fresh:
                self._fill_again(self._scopes[key], index)
        names = {i: self._names_of(i) for i in stale}
        if all(self._bucket_names[i] == names[i] for i in stale):
            return False
        self._bucket_names |= names
        self._frame = self._find_frame()
        return True

    def _fill_again(self, scope: Scope, index: int) -> None:
        before = scope.following[index]
        scope.follow(self.facts.families, index)
        self._items.add(scope.following[index])
        self._items.take(before)

    def _names_of(self, index: int) -> frozenset[str]:
        """Return the sets of a statement's buckets, whatever it concerns."""
        compiler = self._compiler(Inventory(), (index,))
        families = self.facts.families
        return frozenset(name for family in families for name in compiler.added(family, (index,)))

    def _find_frame(self) -> _Frame:
        empty = Compiler(self.policy, Inventory(), self.facts, self._sources).ruleset()
        sets = {s.name: s for s in empty.sets}
        return _Frame(empty.chains, sets, empty.mark_host, empty.mark_ok)

    def _find_seal(self, inventory: Inventory) -> Seal:
        return self._compiler(Inventory(networks=inventory.networks), ()).seal()


# --- pieces --------------------------------------------------------------------------------------


def _different(old: Mapping[str, object], new: Mapping[str, object]) -> set[str]:
    """Return the ids of what came, went or is another value."""
    found = {i for i, one in new.items() if (was := old.get(i)) is not one and was != one}
    return found | (old.keys() - new.keys())


def _by_set(items: Iterable[Item]) -> dict[str, frozenset[Element]]:
    found: dict[str, set[Element]] = {}
    for name, element in items:
        found.setdefault(name, set()).add(element)
    return {name: frozenset(elements) for name, elements in found.items()}
