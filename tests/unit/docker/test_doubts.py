"""How long an event counts against Docker's lists, and when the lists are asked again."""

from __future__ import annotations

from itertools import pairwise

import pytest

from dockerfw.docker.doubts import Doubts
from dockerfw.docker.events import Event
from tests.build import container

WEB = container("web", "front 172.18.0.2")


def moved(action: str, network: str) -> Event:
    return Event("network", action, f"id-{network}", network, WEB.id)


def test_the_dead_stay_out_until_the_lists_agree() -> None:
    doubts = Doubts()
    doubts.died(WEB.id, 0.0)
    assert doubts.departed() == {WEB.id: None}
    assert doubts.next_read() == 1.0
    assert doubts.due(0.9) == []
    assert doubts.due(1.0) == [WEB.id]
    doubts.settle(WEB.id, None, 1.0, stale=True)
    assert doubts.departed() == {WEB.id: None}
    doubts.settle(WEB.id, None, 2.0, stale=False)
    assert doubts.departed() == {}
    assert doubts.next_read() is None


def test_lists_that_never_agree_count_after_ten_seconds() -> None:
    doubts, now, asked = Doubts(), 0.0, 0
    doubts.died(WEB.id, now)
    while (next_read := doubts.next_read()) is not None:
        now = next_read
        assert doubts.due(now) == [WEB.id]
        doubts.settle(WEB.id, None, now, stale=True)
        asked += 1
    assert now == 10.0
    assert asked == 10
    assert doubts.departed() == {}


def test_a_network_is_asked_for_at_once_and_then_ever_more_rarely() -> None:
    doubts, times = Doubts(), [0.0]
    doubts.moved(moved("connect", "back"), 0.0)
    while (next_read := doubts.next_read()) is not None:
        times.append(next_read)
        doubts.due(next_read)
        doubts.settle(WEB.id, WEB, next_read, stale=False)
    pauses = [later - time for time, later in pairwise(times)]
    assert pauses[:4] == pytest.approx([0.002, 0.002, 0.004, 0.008])
    assert max(pauses) <= 1.0
    assert times[-1] == 5.0


def test_a_network_that_was_joined_is_settled_when_a_list_shows_it() -> None:
    doubts = Doubts()
    doubts.moved(moved("connect", "back"), 0.0)
    doubts.settle(WEB.id, container("web", "front 172.18.0.2", "back 172.19.0.2"), 1.0, stale=False)
    assert doubts.containers() == set()


def test_the_last_word_about_a_network_counts() -> None:
    doubts = Doubts()
    doubts.moved(moved("connect", "back"), 0.0)
    doubts.moved(moved("disconnect", "back"), 0.0)
    assert doubts.departed() == {WEB.id: frozenset({"id-back"})}
    doubts.moved(moved("connect", "back"), 0.0)
    assert doubts.departed() == {WEB.id: frozenset()}


def test_a_container_that_started_is_in_no_doubt() -> None:
    doubts = Doubts()
    doubts.died(WEB.id, 0.0)
    doubts.started(WEB.id)
    assert doubts.departed() == {}
