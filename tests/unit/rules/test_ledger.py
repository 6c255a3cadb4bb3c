from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest

from dockerfw.kernel.ipset.render import render
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
from dockerfw.plan.order import element_writes
from dockerfw.plan.steps import WriteSets
from dockerfw.rules.compiler import compile_ruleset
from dockerfw.rules.ledger import LINGER, Ledger, Update
from dockerfw.rules.names import bridge_set
from tests.build import ORIGIN


def text_of(update: Update) -> str:
    """What the daemon hands to ``ipset restore`` for it."""
    writes = element_writes(update.added, update.removed)
    return render(WriteSets("elements", writes), now=None)


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
    assert text_of(up).splitlines() == [
        "add dockerfw-allow4 172.18.0.2,tcp:80,198.51.100.0/24",
        "add dockerfw-port4 198.51.100.0/24,tcp:8080",
        "add dockerfw-pub4 0.0.0.0/1,tcp:8080",
        "add dockerfw-pub4 128.0.0.0/1,tcp:8080",
        "add dockerfw-target4 172.18.0.2",
    ]
    assert up.gained == {(None, 4, Port("tcp", 8080))}
    assert not up.whole

    down = ledger.update(_here(other), 20.0)
    assert text_of(down).splitlines() == [
        "del dockerfw-target4 172.18.0.2",
        "del dockerfw-allow4 172.18.0.2,tcp:80,198.51.100.0/24",
        "del dockerfw-port4 198.51.100.0/24,tcp:8080",
    ]
    assert not down.lost
    assert ledger.next_expiry() == 20.0 + LINGER

    assert ledger.expire(20.0 + LINGER / 2) == Update()
    over = ledger.expire(20.0 + LINGER)
    assert text_of(over).splitlines() == [
        "del dockerfw-pub4 0.0.0.0/1,tcp:8080",
        "del dockerfw-pub4 128.0.0.0/1,tcp:8080",
    ]
    assert over.lost == {(None, 4, Port("tcp", 8080))}
    assert ledger.next_expiry() is None


def test_what_a_container_serves_changes_though_no_port_is_guarded() -> None:
    web = _container("web", 2, _published(8080))
    facts = replace(_IPV4, ipv6=True)
    ledger = Ledger(_POLICY, _here(web), facts)
    endpoint = replace(web.endpoints[0], ipv6=IPv6Address("fd00:18::2"))
    update = ledger.update(_here(replace(web, endpoints=(endpoint,))), 10.0)
    assert update.served
    assert update.seal_changed
    assert not update.gained | update.lost


def test_the_same_again_changes_nothing() -> None:
    ledger = _ledger(_container("web", 2, _published(8080)))
    assert ledger.update(_here(_container("web", 2, _published(8080))), 1.0) == Update()


def test_while_nothing_changes_sets_and_seal_are_the_same_objects() -> None:
    web, other = _container("web", 2, _published(8080)), _container("other", 9, _published(9000))
    ledger = _ledger(web)
    before = ledger.ruleset()
    ledger.update(_here(web), 10.0)
    again = ledger.ruleset()
    assert (again.sets is before.sets, again.seal is before.seal) == (True, True)
    assert ledger.sets_at_hand() is before.sets
    ledger.update(_here(web, other), 20.0)
    assert all(s.phase == "frozen" for s in ledger.sets_at_hand()), "others are to be made anew"
    inventory = _here(web, other)
    assert ledger.ruleset() == compile_ruleset(_POLICY, inventory, _IPV4)


def test_a_container_that_comes_back_in_time_was_guarded_all_along() -> None:
    web = _container("web", 2, _published(8080))
    ledger = _ledger(web)
    ledger.update(_here(), 10.0)
    back = ledger.update(_here(replace(web, id="id-new")), 11.0)
    assert "pub4" not in text_of(back)
    assert not back.gained
    assert ledger.next_expiry() is None
    assert ledger.expire(20.0) == Update()


def test_two_that_take_turns_on_a_port_begin_their_time_anew() -> None:
    one, two = _container("web", 2, _published(8080)), _container("two", 3, _published(8080))
    ledger = _ledger(one)
    ledger.update(_here(), 10.0)
    ledger.update(_here(two), 11.0)
    ledger.update(_here(), 11.5)
    assert ledger.expire(10.0 + LINGER) == Update()
    assert ledger.next_expiry() == 11.5 + LINGER
    assert "del dockerfw-pub4" in text_of(ledger.expire(11.5 + LINGER))


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
    assert "pub4" not in text_of(change)
    assert ledger.next_expiry() is None


def test_a_new_ledger_takes_over_what_lingers_unless_it_is_wanted_there() -> None:
    web, db = _container("web", 2, _published(8080)), _container("db", 3, _published(9090))
    old = _ledger(web, db)
    old.set_room({"dockerfw-target4": 1})
    old.update(_here(), 10.0)

    new = _ledger(db)
    new.inherit(old.rest())
    assert new.next_expiry() == 10.0 + LINGER
    assert {g[2].number for g in new.seal().guarded} == {8080, 9090}
    assert new.expire(10.0 + LINGER).lost == {(None, 4, Port("tcp", 8080))}
    assert new.update(_here(db, web), 20.0).whole


def test_an_address_that_another_container_takes_over_is_judged_as_that_one() -> None:
    ledger = _ledger(_container("web", 2))
    change = ledger.update(_here(replace(_container("db", 2), id="id-db")), 1.0)
    assert text_of(change) == "del dockerfw-allow4 172.18.0.2,tcp:80,198.51.100.0/24\n"


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
        subnet, own = "172.19.0.0/24", bridge_set("br-ba9876543210", 4)
        assert text_of(change).splitlines() == [
            f"add dockerfw-own4 {subnet},br-ba9876543210",
            *(f"add {own} {half},br-ba9876543210" for half in ("0.0.0.0/1", "128.0.0.0/1")),
            f"add dockerfw-claimed4 {subnet}",
            f"add dockerfw-inside4 {subnet},br-ba9876543210",
            f"add dockerfw-guarded4 {subnet},br-ba9876543210",
        ]


def test_a_container_is_at_its_place_once_its_network_is_known() -> None:
    web = _container("web", 2, network=_BACK)
    ledger = _ledger(web)
    change = ledger.update(_here(web, networks=(_FRONT, _BACK)), 1.0)
    assert "add dockerfw-target4 172.19.0.2\n" in text_of(change)
    assert "add dockerfw-allow4 172.19.0.2,tcp:80,198.51.100.0/24\n" in text_of(change)


def test_a_port_moves_from_everywhere_to_one_address_and_is_never_unguarded() -> None:
    """The narrow guard lies within the wide one, which lingers."""
    ledger = _ledger(_container("web", 2, _published(8080)))
    narrow = _container("web", 2, _published(8080, address="192.0.2.10"))
    change = ledger.update(_here(narrow), 1.0)
    assert "del dockerfw-pub4" not in text_of(change)
    assert "add dockerfw-pub4 192.0.2.10,tcp:8080\n" in text_of(change)
    assert (IPv4Address("192.0.2.10"), 4, Port("tcp", 8080)) in change.gained


# --- what depends on other containers -------------------------------------------------------------

_TO_DB_FROM_WEB = Policy(
    baseline=(), allows=(Allow(ORIGIN, (SelectorSource(_WEB),), (_DB,), _HTTP),)
)


def test_a_source_that_moves_is_let_in_from_its_new_address_only() -> None:
    db = _container("db", 3)
    ledger = _ledger(db, _container("web", 2), policy=_TO_DB_FROM_WEB)
    moved = replace(_container("web", 4), id="id-web-2")
    assert text_of(ledger.update(_here(db, moved), 1.0)).splitlines() == [
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
    assert ledger.update(inventory, 1.0) == Update(whole=True)
    assert ledger.ruleset() == compile_ruleset(policy, inventory, _IPV4)
    assert not ledger.update(_here(db, _container("web", 2), _container("x", 9)), 2.0).whole


def test_who_shares_a_network_is_judged_by_the_donors_coming_and_going() -> None:
    sharer = Container("id-web", "web", network_owner="id-vpn-2")
    ledger = _ledger(sharer)
    up = ledger.update(_here(sharer, _container("vpn", 2)), 1.0)
    assert "add dockerfw-allow4 172.18.0.2,tcp:80,198.51.100.0/24\n" in text_of(up)
    down = ledger.update(_here(sharer), 2.0)
    assert "del dockerfw-allow4 172.18.0.2,tcp:80,198.51.100.0/24\n" in text_of(down)
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
    assert text_of(down) == "del dockerfw-target4 172.18.0.2\n"


def test_a_host_network_port_is_its_own_where_nobody_else_publishes_it() -> None:
    agent = Container("id-agent", "web", host_network=True)
    ledger = _ledger(agent)
    taken = ledger.update(_here(agent, _container("db", 3, _published(80))), 1.0)
    assert "del dockerfw-hostnet4 0.0.0.0/1,tcp:80\n" in text_of(taken)
    free = ledger.update(_here(agent), 2.0)
    assert "add dockerfw-hostnet4 0.0.0.0/1,tcp:80\n" in text_of(free)
    gone = ledger.update(_here(), 3.0)
    assert "del dockerfw-hostnet4 0.0.0.0/1,tcp:80\n" in text_of(gone)


def test_a_host_network_port_that_loses_one_address_is_guarded_elsewhere_all_along() -> None:
    agent = Container("id-agent", "web", host_network=True)
    one_address = _container("db", 3, _published(80, address="192.0.2.10"))
    update = _ledger(agent).update(_here(agent, one_address), 1.0)
    lines = text_of(update).splitlines()
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
    assert text_of(change) == "del dockerfw-target4 172.18.0.2\n"
    assert not change.whole


# --- room ----------------------------------------------------------------------------------------


def _room(maxelem: int) -> dict[str, int]:
    return {"dockerfw-target4": maxelem}


def test_a_set_that_outgrows_what_it_was_made_for_needs_the_whole_way() -> None:
    one, two, three = (_container(f"c{n}", n) for n in (2, 3, 4))
    ledger = _ledger(one)
    ledger.set_room(_room(2))
    assert not ledger.update(_here(one, two), 1.0).whole
    assert not ledger.update(_here(one), 2.0).whole
    assert not ledger.update(_here(one, three), 3.0).whole
    assert ledger.update(_here(one, two, three), 4.0) == Update(whole=True)
    ledger.set_room(_room(4))
    assert not ledger.update(_here(one, two), 5.0).whole
    assert not ledger.update(_here(one, two, three), 6.0).whole


def test_old_and_new_have_to_find_room_together() -> None:
    ledger = _ledger(_container("web", 2))
    ledger.set_room(_room(1))
    assert ledger.update(_here(_container("web", 3)), 1.0).whole


def test_a_set_that_nobody_has_told_of_has_the_least_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dockerfw.rules.ledger.DEFAULT_MAXELEM", 64)
    bindings = tuple(PublishedPort(IPv6Address("::"), port, 80, "tcp") for port in range(1, 33))
    web = replace(_container("web", 2), ports=bindings)
    ledger = Ledger(_POLICY, _here(web), HostFacts())
    more = _container("db", 3, PublishedPort(IPv6Address("::"), 40_000, 80, "tcp"))
    assert ledger.update(_here(web, more), 1.0).whole
