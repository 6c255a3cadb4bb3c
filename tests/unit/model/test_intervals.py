"""Intervals of addresses, against sets of numbers."""

from __future__ import annotations

from ipaddress import ip_network
from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from dockerfw.model.intervals import WHOLE, Interval, Intervals, interval_of, shortest
from dockerfw.model.net import IPNetwork
from tests.strategies import profile

_NUMBERS = st.integers(0, 40)
_SPANS = st.lists(st.tuples(_NUMBERS, _NUMBERS).map(lambda pair: (min(pair), max(pair))))


def numbers(*intervals: Interval) -> set[int]:
    return {n for first, last in intervals for n in range(first, last + 1)}


@profile()
@given(_SPANS, _SPANS)
def test_intervals_are_sets_of_numbers(some: list[Interval], others: list[Interval]) -> None:
    mine, other = Intervals(some), Intervals(others)
    assert numbers(*mine.all) == numbers(*some)
    assert all(left[1] + 1 < right[0] for left, right in pairwise(mine.all))
    assert numbers(*mine.without(other).all) == numbers(*some) - numbers(*others)
    for interval in others:
        assert mine.holds(interval) == (numbers(interval) <= numbers(*some))
        assert mine.begins_in(interval) == any(
            interval[0] <= first <= interval[1] for first, _ in mine.all
        )
    assert numbers(*map(interval_of, mine.networks(4))) == numbers(*some)


@profile()
@given(_SPANS, _SPANS, _SPANS)
def test_the_shortest_form_names_all_that_is_left_and_excepts_what_is_known(
    some: list[Interval], known: list[Interval], refused: list[Interval]
) -> None:
    networks, excepting = shortest(Intervals(some), Intervals(known), Intervals(refused), 4)
    named, excepted = (numbers(*map(interval_of, nets)) for nets in (networks, excepting))
    assert numbers(*some) - numbers(*known) - numbers(*refused) <= named - excepted
    assert named <= numbers(*some)
    assert excepted <= numbers(*known)


@pytest.mark.parametrize(
    "mine, known, refused, named, excepting",
    [
        ("10.0.0.0/8", "", "", "10.0.0.0/8", ""),
        ("10.0.0.0/8", "10.0.0.0/9", "", "10.128.0.0/9", ""),
        ("10.0.0.0/8", "10.1.0.0/16", "", "10.0.0.0/8", "10.1.0.0/16"),
        ("10.0.0.0/8", "", "10.0.0.0/9", "10.128.0.0/9", ""),
        ("10.0.0.0/8", "0.0.0.0/0", "", "", ""),
        ("10.0.0.0/8 192.0.2.1", "10.0.0.0/8", "", "192.0.2.1", ""),
    ],
)
def test_the_shortest_form(mine: str, known: str, refused: str, named: str, excepting: str) -> None:
    assert shortest(intervals(mine), intervals(known), intervals(refused), 4) == (
        nets(named),
        nets(excepting),
    )


def intervals(texts: str) -> Intervals:
    return Intervals(map(interval_of, nets(texts)))


def nets(texts: str) -> set[IPNetwork]:
    return set(map(ip_network, texts.split()))


def test_all_addresses_of_a_family_are_one_interval() -> None:
    assert interval_of(ip_network("0.0.0.0/0")) == WHOLE[4]
    assert interval_of(ip_network("::/0")) == WHOLE[6]
    assert list(Intervals([WHOLE[6]]).networks(6)) == [ip_network("::/0")]
