"""Whom a probe plays, and whom it never does."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network
from re import escape

import pytest

from dockerfw.errors import UsageError
from dockerfw.model.policy import AddressSource, Policy
from dockerfw.model.routes import Route
from dockerfw.report.probe import Candidate, candidates, chosen
from tests.build import allow, deny, policy
from tests.unit.report.audit.hosts import FACTS, shop

OFFICE = (AddressSource(ip_network("198.51.100.0/24")),)
RULES = policy(
    allow("198.51.100.0/24", "iface:wg0", "container:worker", to="web", ports=(80,)),
    deny("2001:db8:bad::/48", to="web"),
)
NAMED = replace(RULES, named=(("office", OFFICE),))


def found(rules: Policy, *words: str) -> dict[tuple[str, int], tuple[str, ...]]:
    people, _ = candidates(rules, shop().inventory, FACTS, words)
    return {(one.whom, one.family): tuple(map(str, one.addresses)) for one in people}


def test_somebody_of_whom_no_rule_speaks_and_one_of_each_source() -> None:
    people = found(NAMED)
    assert list(people) == [
        ("anyone", 4), ("office", 4), ("anyone", 6), ("2001:db8:bad::/48", 6),
    ]  # fmt: skip
    assert not any(address.startswith("198.51.100.") for address in people["anyone", 4])
    assert all(address.startswith("198.51.100.") for address in people["office", 4])


def test_who_comes_by_an_interface_or_from_a_container_is_not_played() -> None:
    _, without = candidates(NAMED, shop().inventory, FACTS)
    assert [one.what for one in without] == [
        "from iface:wg0",
        "from container:worker, bridge",
    ]


def test_a_network_that_holds_the_world_leaves_somebody_to_be_anyone() -> None:
    assert ("anyone", 4) in found(policy(allow("0.0.0.0/1", "128.0.0.0/1", to="web")))


def test_addresses_that_a_route_is_for_come_last() -> None:
    near = replace(FACTS, routes=(*FACTS.routes, Route(ip_network("192.0.2.0/24"), "eth0")))
    people, _ = candidates(NAMED, shop().inventory, near)
    assert str(people[0].addresses[0]) == "203.0.113.77"
    assert str(people[0].addresses[-1]).startswith("192.0.2.")


def test_no_more_sources_are_played_than_take_little_time() -> None:
    many = policy(*(allow(f"198.51.{n}.0/24", to="web", ports=(80,)) for n in range(9)))
    people, without = candidates(many, shop().inventory, FACTS)
    assert len({one.whom for one in people}) == 7
    assert without[0].what == "from 198.51.6.0/24, 198.51.7.0/24, 198.51.8.0/24"


def test_words_name_whom_to_play() -> None:
    assert set(found(NAMED, "office", "any")) == {("office", 4), ("anyone", 4), ("anyone", 6)}
    assert found(NAMED, "192.0.2.9") == {("192.0.2.9", 4): ("192.0.2.9",)}


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("offices", "write a list of [sources] (there is office), an IP address, or any"),
        ("198.51.100.0/24", "write a list of [sources]"),
        ("203.0.113.1", "nobody who can be played from outside"),
        ("172.18.0.9", "nobody who can be played from outside"),
    ],
)
def test_words_that_name_nobody_are_refused(word: str, message: str) -> None:
    with pytest.raises(UsageError, match=escape(message)):
        found(NAMED, word)


def test_an_address_in_use_is_never_taken() -> None:
    one, two = (ip_address(f"198.51.100.{n}") for n in (1, 2))
    office = Candidate("office", 4, (one, two))
    (caller,), without = chosen([office], {one})
    assert (caller.address, without) == (two, ())
    callers, without = chosen([office], {one, two})
    assert (callers, [left.what for left in without]) == ((), ["from office, IPv4"])


def test_two_never_have_one_address() -> None:
    only = (ip_address("198.51.100.1"),)
    callers, without = chosen([Candidate("a", 4, only), Candidate("b", 4, only)], ())
    assert ([one.whom for one in callers], len(without)) == (["a"], 1)
