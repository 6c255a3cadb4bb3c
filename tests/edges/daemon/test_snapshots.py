"""What is read at rest, and when all of it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from dockerfw.daemon.loop import RECORD_ANEW
from dockerfw.daemon.snapshots import READ_ANEW
from dockerfw.daemon.transitions import REMEMBER_DELAY
from dockerfw.plan.state import SetState
from tests.edges.daemon.bench import RESYNC, WEB, Bench, here, on_front

RUNNING = here(on_front("web", 2))


def look(bench: Bench, seconds: float = RESYNC + 1) -> tuple[list[bool], list[int | None]]:
    """Return how sets were read after so many seconds, and by which count of notices the host."""
    bench.kernel.read_by_headers.clear()
    bench.kernel.noticed.clear()
    bench.pass_time(seconds)
    bench.settle(RUNNING)
    return list(bench.kernel.read_by_headers), list(bench.kernel.noticed)


def test_at_rest_sets_are_read_by_their_headers(bench: Bench) -> None:
    bench.follow(WEB, RUNNING)
    first, noticed = look(bench)
    assert first == [True]
    assert look(bench) == ([True], noticed)


@pytest.mark.parametrize("what", [Bench.notice_links, Bench.change_lans])
def test_after_a_notice_the_host_is_read(bench: Bench, what: Callable[[Bench], None]) -> None:
    bench.follow(WEB, RUNNING)
    _, before = look(bench)
    what(bench)
    how, after = look(bench)
    assert (how, after) != ([True], before)
    assert set(after).isdisjoint(before)


def test_all_is_read_after_some_minutes_though_nothing_was_announced(bench: Bench) -> None:
    bench.follow(WEB, RUNNING)
    _, before = look(bench)
    how, after = look(bench, READ_ANEW)
    assert how == [False]
    assert after != before


def test_who_asks_for_a_check_has_all_read(bench: Bench) -> None:
    bench.follow(WEB, RUNNING)
    look(bench)
    bench.hang_up()
    assert look(bench, 1)[0] == [False]


def test_what_is_compared_at_rest_is_compared_once(bench: Bench) -> None:
    """What was found equal is not gone through again; another element still is."""
    bench.follow(WEB, RUNNING)
    look(bench)
    enforcer = bench.daemon.enforcer
    before = enforcer._seen
    look(bench)
    assert enforcer._seen is before is not None
    name, held = next((n, s) for n, s in bench.kernel.live.sets.items() if s.elements)
    other: SetState = replace(held, elements=frozenset({("somebody",)}))
    bench.kernel.live = replace(bench.kernel.live, sets={**bench.kernel.live.sets, name: other})
    look(bench)
    assert bench.kernel.live.sets[name] == held


def test_what_is_recorded_already_is_not_written_down_again(bench: Bench) -> None:
    bench.follow(WEB, RUNNING)

    def recorded(seconds: float) -> bool:
        """Whether it is on the disk after so many seconds."""
        bench.pass_time(seconds)
        bench.settle(RUNNING)
        bench.pass_time(REMEMBER_DELAY)
        bench.finish()
        return bench.store.last_seen.inventory() == RUNNING

    assert recorded(1)
    (path,) = bench.folder.rglob("inventory.json")
    path.unlink()
    assert not recorded(RESYNC + 1), "nothing has changed"
    assert recorded(RECORD_ANEW), "somebody else may have lost it"


def test_all_is_read_at_the_next_check_where_reading_failed(bench: Bench) -> None:
    bench.follow(WEB, RUNNING)
    look(bench)
    bench.kernel.unreadable = "ipset cannot be asked"
    assert look(bench, READ_ANEW)[0] == []
    bench.kernel.unreadable = ""
    assert look(bench)[0] == [False]
