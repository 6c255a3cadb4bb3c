from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv6Address, ip_network
from random import Random
from typing import Any

import pytest
from hypothesis import given, strategies as st

from dockerfw.kernel.render import set_state
from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Container, Endpoint, Inventory, Network, PublishedPort
from dockerfw.model.net import Port
from dockerfw.model.policy import (
    AddressSource,
    Allow,
    AnySource,
    Deny,
    Policy,
    PortKeyword,
    PortRange,
    PublishedSpec,
    Selector,
    SelectorSource,
)
from dockerfw.plan.planner import Step
from dockerfw.plan.state import SetState
from dockerfw.rules.compiler import compile_ruleset
from dockerfw.rules.ledger import LINGER, Change, Ledger
from dockerfw.rules.ruleset import Ruleset
from tests.build import ORIGIN
from tests.questions import facts_for
from tests.replay import RELEASE, Replay
from tests.strategies import fitting, inventories, profile
from tests.unit.rules.test_properties import (
    Situation,
    _commit,
    _docker,
    _interesting_probes,
    _together,
    passes,
)

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


def _steps(change: Change) -> list[Step]:
    release = [Step("nft", RELEASE, "the seal lets go")] if change.lost else []
    elements = [Step("ipset", change.elements, "elements")] if change.elements else []
    rest = [Step("nft", "the seal", "the seal")] if change.gained else []
    return [*release, *elements, *rest]


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
        *ledger._taken.counts,
        *ledger._named.counts,
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
    kernel = Replay({4: _docker(), 6: _docker()}, [ledger.ruleset()], facts.addresses)
    _commit(kernel, Situation(policy, first.inventory, facts), ledger.ruleset())
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
    change: Change,
    before: Ruleset,
    after: Ruleset,
    ways: tuple[Situation, Situation],
    random: Random,
) -> None:
    """Write the lines, a packet at a time, and see that nothing is left to be done."""
    old, new = ways
    kernel._learn(after)
    if change.whole:
        assert change.elements == ""
        _commit(kernel, new, after)
        return
    assert [chain.rules for chain in before.chains] == [chain.rules for chain in after.chains]
    probes = _interesting_probes(old, new, before, after, random)
    here = _together(old.inventory, new.inventory)
    for done in kernel.run(_steps(change), after.seal):
        now = kernel.ruleset()
        for probe in probes:
            fault = probe.fault(passes(now, probe.way, probe.source, new.facts, here)[0])
            assert fault is None, f"after {done}\n{fault}"
    live = {name: state.entries for name, state in kernel.state().sets.items()}
    assert live == {s.name: set_state(s).entries for s in after.sets}
    assert kernel.seal.guarded == after.seal.guarded
    assert (change.gained, change.lost) == (
        after.seal.guarded - before.seal.guarded,
        before.seal.guarded - after.seal.guarded,
    )


# --- a host with a shop --------------------------------------------------------------------------

_FRONT = Network("id-front", "front", "bridge", "br-0123456789ab", (ip_network("172.18.0.0/24"),))
_BACK = Network("id-back", "back", "bridge", "br-ba9876543210", (ip_network("172.19.0.0/24"),))
_LAN = Network("id-lan", "lan", "bridge", "lan0", (ip_network("172.20.0.0/24"),))
_IPV4 = HostFacts(ipv6=False)
_OFFICE = AddressSource(ip_network("198.51.100.0/24"))
_WEB, _DB = (Selector("container", name) for name in ("web", "db"))
_HTTP = (PortRange("tcp", 80, 80),)
_POLICY = Policy(allows=(Allow(ORIGIN, (_OFFICE,), (_WEB,), _HTTP),))


def _container(name: str, last: int, *ports: PublishedPort, network: Network = _FRONT) -> Container:
    address = IPv4Address(int(network.subnets[0].network_address) + last)
    return Container(
        f"id-{name}-{last}",
        name,
        endpoints=(Endpoint(network.name, network.id, address),),
        ports=ports,
    )


def _published(host: int, container: int = 80, address: str = "0.0.0.0") -> PublishedPort:
    return PublishedPort(IPv4Address(address), host, container, "tcp")


def _here(*containers: Container, networks: tuple[Network, ...] = (_FRONT,)) -> Inventory:
    return Inventory(containers, networks)


def _ledger(*containers: Container, policy: Policy = _POLICY) -> Ledger:
    return Ledger(policy, _here(*containers), _IPV4)


def test_a_container_that_starts_adds_its_own_lines_and_goes_without_its_guard() -> None:
    other = _container("other", 9, _published(9000))
    web = _container("web", 2, _published(8080))
    ledger = _ledger(other)

    up = ledger.update(_here(other, web), 10.0)
    assert up.elements.splitlines() == [
        "add dockerfw-allow4 172.18.0.2,tcp:80,198.51.100.0/24",
        "add dockerfw-port4 198.51.100.0/24,tcp:8080",
        "add dockerfw-pub4 0.0.0.0/1,tcp:8080",
        "add dockerfw-pub4 128.0.0.0/1,tcp:8080",
        "add dockerfw-target4 172.18.0.2",
    ]
    assert up.gained == {(None, 4, Port("tcp", 8080))}
    assert not up.whole

    down = ledger.update(_here(other), 20.0)
    assert down.elements.splitlines() == [
        "del dockerfw-target4 172.18.0.2",
        "del dockerfw-allow4 172.18.0.2,tcp:80,198.51.100.0/24",
        "del dockerfw-port4 198.51.100.0/24,tcp:8080",
    ]
    assert not down.guarded_changed
    assert ledger.next_expiry() == 20.0 + LINGER

    assert ledger.expire(20.0 + LINGER / 2) == Change()
    over = ledger.expire(20.0 + LINGER)
    assert over.elements.splitlines() == [
        "del dockerfw-pub4 0.0.0.0/1,tcp:8080",
        "del dockerfw-pub4 128.0.0.0/1,tcp:8080",
    ]
    assert over.lost == {(None, 4, Port("tcp", 8080))}
    assert ledger.next_expiry() is None


def test_the_same_again_changes_nothing() -> None:
    ledger = _ledger(_container("web", 2, _published(8080)))
    assert ledger.update(_here(_container("web", 2, _published(8080))), 1.0) == Change()


def test_a_container_that_comes_back_in_time_was_guarded_all_along() -> None:
    web = _container("web", 2, _published(8080))
    ledger = _ledger(web)
    ledger.update(_here(), 10.0)
    back = ledger.update(_here(replace(web, id="id-new")), 11.0)
    assert "pub4" not in back.elements
    assert not back.guarded_changed
    assert ledger.next_expiry() is None
    assert ledger.expire(20.0) == Change()


def test_two_that_take_turns_on_a_port_begin_their_time_anew() -> None:
    one, two = _container("web", 2, _published(8080)), _container("two", 3, _published(8080))
    ledger = _ledger(one)
    ledger.update(_here(), 10.0)
    ledger.update(_here(two), 11.0)
    ledger.update(_here(), 11.5)
    assert ledger.expire(10.0 + LINGER) == Change()
    assert ledger.next_expiry() == 11.5 + LINGER
    assert "del dockerfw-pub4" in ledger.expire(11.5 + LINGER).elements


def test_the_first_to_have_gone_is_the_first_to_expire() -> None:
    one, two = _container("one", 2, _published(8080)), _container("two", 3, _published(9090))
    ledger = _ledger(one, two)
    ledger.update(_here(two), 10.0)
    ledger.update(_here(), 11.0)
    assert ledger.next_expiry() == 10.0 + LINGER
    assert ledger.expire(10.0 + LINGER).lost == {(None, 4, Port("tcp", 8080))}
    assert ledger.next_expiry() == 11.0 + LINGER


def test_one_that_leaves_a_port_to_another_leaves_no_gap_and_nothing_lingers() -> None:
    one, two = _container("web", 2, _published(8080)), _container("two", 3, _published(8080))
    ledger = _ledger(one)
    change = ledger.update(_here(two), 10.0)
    assert "pub4" not in change.elements
    assert ledger.next_expiry() is None


def test_a_new_ledger_takes_over_what_lingers_unless_it_is_wanted_there() -> None:
    web, db = _container("web", 2, _published(8080)), _container("db", 3, _published(9090))
    old = _ledger(web, db)
    old.made({"dockerfw-target4": SetState("dockerfw-target4", "hash:ip", 4, 1, 1, None)})
    old.update(_here(), 10.0)

    new = _ledger(db)
    new.inherit(old)
    assert new.next_expiry() == 10.0 + LINGER
    assert {g[2].number for g in new.seal().guarded} == {8080, 9090}
    assert new.expire(10.0 + LINGER).lost == {(None, 4, Port("tcp", 8080))}
    assert new.update(_here(db, web), 20.0).whole


def test_an_address_that_another_container_takes_over_is_judged_as_that_one() -> None:
    ledger = _ledger(_container("web", 2))
    change = ledger.update(_here(replace(_container("db", 2), id="id-db")), 1.0)
    assert change.elements == "del dockerfw-allow4 172.18.0.2,tcp:80,198.51.100.0/24\n"


@pytest.mark.parametrize(
    "network, whole",
    [
        pytest.param(_BACK, False, id="that Docker named"),
        pytest.param(_LAN, True, id="with a name of its own, which the seal's rules must learn"),
    ],
)
def test_a_new_network_without_containers(network: Network, whole: bool) -> None:
    ledger = _ledger(_container("web", 2))
    change = ledger.update(_here(_container("web", 2), networks=(_FRONT, network)), 1.0)
    assert change.whole == whole
    if not whole:
        subnet = "172.19.0.0/24"
        assert change.elements.splitlines() == [
            f"add dockerfw-own4 {subnet},br-ba9876543210",
            f"add dockerfw-claimed4 {subnet}",
            f"add dockerfw-inside4 {subnet},br-ba9876543210",
            f"add dockerfw-guarded4 {subnet}",
        ]


def test_a_container_is_at_its_place_once_its_network_is_known() -> None:
    web = _container("web", 2, network=_BACK)
    ledger = _ledger(web)
    change = ledger.update(_here(web, networks=(_FRONT, _BACK)), 1.0)
    assert "add dockerfw-target4 172.19.0.2\n" in change.elements
    assert "add dockerfw-allow4 172.19.0.2,tcp:80,198.51.100.0/24\n" in change.elements


def test_a_port_moves_from_everywhere_to_one_address_and_is_never_unguarded() -> None:
    """The narrow guard lies within the wide one, which lingers."""
    ledger = _ledger(_container("web", 2, _published(8080)))
    narrow = _container("web", 2, _published(8080, address="192.0.2.10"))
    change = ledger.update(_here(narrow), 1.0)
    assert "del dockerfw-pub4" not in change.elements
    assert "add dockerfw-pub4 192.0.2.10,tcp:8080\n" in change.elements
    assert (IPv4Address("192.0.2.10"), 4, Port("tcp", 8080)) in change.gained


# --- what depends on other containers -------------------------------------------------------------

_TO_DB_FROM_WEB = Policy(
    baseline=(), allows=(Allow(ORIGIN, (SelectorSource(_WEB),), (_DB,), _HTTP),)
)


def test_a_source_that_moves_is_let_in_from_its_new_address_only() -> None:
    db = _container("db", 3)
    ledger = _ledger(db, _container("web", 2), policy=_TO_DB_FROM_WEB)
    moved = replace(_container("web", 4), id="id-web-2")
    assert ledger.update(_here(db, moved), 1.0).elements.splitlines() == [
        "del dockerfw-target4 172.18.0.2",
        "add dockerfw-in-allow4 172.18.0.3,tcp:80,172.18.0.4",
        "del dockerfw-in-allow4 172.18.0.3,tcp:80,172.18.0.2",
        "add dockerfw-target4 172.18.0.4",
    ]


def test_a_list_of_containers_as_sources_is_named_after_its_content_and_needs_the_whole_way() -> (
    None
):
    policy = replace(
        _TO_DB_FROM_WEB,
        allows=(Allow(ORIGIN, (SelectorSource(_WEB),), (_DB,), (PortKeyword.ALL,)),),
    )
    db = _container("db", 3)
    ledger = _ledger(db, policy=policy)
    inventory = _here(db, _container("web", 2))
    assert ledger.update(inventory, 1.0) == Change(whole=True)
    assert ledger.ruleset() == compile_ruleset(policy, inventory, _IPV4)
    assert not ledger.update(_here(db, _container("web", 2), _container("x", 9)), 2.0).whole


def test_who_shares_a_network_is_judged_by_the_donors_coming_and_going() -> None:
    sharer = Container("id-web", "web", network_owner="id-vpn-2")
    ledger = _ledger(sharer)
    up = ledger.update(_here(sharer, _container("vpn", 2)), 1.0)
    assert "add dockerfw-allow4 172.18.0.2,tcp:80,198.51.100.0/24\n" in up.elements
    down = ledger.update(_here(sharer), 2.0)
    assert "del dockerfw-allow4 172.18.0.2,tcp:80,198.51.100.0/24\n" in down.elements
    assert ledger.ruleset().set("dockerfw-allow4") == compile_ruleset(
        _POLICY, _here(sharer), _IPV4
    ).set("dockerfw-allow4")


def test_a_donor_is_forgotten_after_it_has_shared_its_network() -> None:
    network_owner, sharer = (
        _container("vpn", 2),
        Container("id-web", "web", network_owner="id-vpn-2"),
    )
    ledger = _ledger(network_owner)
    ledger.update(_here(network_owner, sharer), 1.0)
    ledger.update(_here(network_owner), 2.0)
    down = ledger.update(_here(), 3.0)
    assert down.elements == "del dockerfw-target4 172.18.0.2\n"


def test_a_host_network_port_is_its_own_where_nobody_else_publishes_it() -> None:
    agent = Container("id-agent", "web", host_network=True)
    ledger = _ledger(agent)
    taken = ledger.update(_here(agent, _container("db", 3, _published(80))), 1.0)
    assert "del dockerfw-hostnet4 0.0.0.0/1,tcp:80\n" in taken.elements
    free = ledger.update(_here(agent), 2.0)
    assert "add dockerfw-hostnet4 0.0.0.0/1,tcp:80\n" in free.elements
    gone = ledger.update(_here(), 3.0)
    assert "del dockerfw-hostnet4 0.0.0.0/1,tcp:80\n" in gone.elements


def test_a_host_network_port_that_loses_one_address_is_guarded_elsewhere_all_along() -> None:
    agent = Container("id-agent", "web", host_network=True)
    one_address = _container("db", 3, _published(80, address="192.0.2.10"))
    lines = _ledger(agent).update(_here(agent, one_address), 1.0).elements.splitlines()
    wide = lines.index("del dockerfw-hostnet4 128.0.0.0/1,tcp:80")
    assert lines.index("add dockerfw-hostnet4 224.0.0.0/3,tcp:80") < wide


def test_what_no_container_does_stands_whoever_comes_and_goes() -> None:
    published = (PublishedSpec(PortRange("tcp", 8080, 8080)),)
    policy = Policy(
        allows=(Allow(ORIGIN, (AnySource(),), published=published),),
        denies=(Deny(ORIGIN, (_OFFICE,)),),
    )
    web = _container("web", 2, _published(8080))
    ledger = _ledger(web, policy=policy)
    change = ledger.update(_here(), 1.0)
    assert change.elements == "del dockerfw-target4 172.18.0.2\n"
    assert not change.whole


# --- room ----------------------------------------------------------------------------------------


def _room(maxelem: int) -> dict[str, SetState]:
    name = "dockerfw-target4"
    return {name: SetState(name, "hash:ip", 4, maxelem, 0, frozenset())}


def test_a_set_that_outgrows_what_it_was_made_for_needs_the_whole_way() -> None:
    one, two, three = (_container(f"c{n}", n) for n in (2, 3, 4))
    ledger = _ledger(one)
    ledger.made(_room(2))
    assert not ledger.update(_here(one, two), 1.0).whole
    assert not ledger.update(_here(one), 2.0).whole
    assert not ledger.update(_here(one, three), 3.0).whole
    assert ledger.update(_here(one, two, three), 4.0) == Change(whole=True)
    ledger.made(_room(4))
    assert not ledger.update(_here(one, two), 5.0).whole
    assert not ledger.update(_here(one, two, three), 6.0).whole


def test_old_and_new_have_to_find_room_together() -> None:
    ledger = _ledger(_container("web", 2))
    ledger.made(_room(1))
    assert ledger.update(_here(_container("web", 3)), 1.0).whole


def test_a_set_that_nobody_has_told_of_has_the_least_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dockerfw.rules.ledger.DEFAULT_MAXELEM", 64)
    bindings = tuple(PublishedPort(IPv6Address("::"), port, 80, "tcp") for port in range(1, 33))
    web = replace(_container("web", 2), ports=bindings)
    ledger = Ledger(_POLICY, _here(web), HostFacts())
    more = _container("db", 3, PublishedPort(IPv6Address("::"), 40_000, 80, "tcp"))
    assert ledger.update(_here(web, more), 1.0).whole
