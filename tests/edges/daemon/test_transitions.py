"""The table of events and tasks, held against what a daemon does.

Each case brings a daemon into a state, makes an event happen, and compares what is due then with
the table's row: the tasks, and the seconds until then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from dockerfw.daemon.timers import Task
from dockerfw.daemon.transitions import (
    CHECK_PAUSE,
    CHECKS,
    DROPPED,
    HELD_BACK,
    SCHEDULED,
    Event,
    State,
    is_dropped,
    is_held_back,
)
from dockerfw.kernel.netlink import Noticed
from dockerfw.rules.ledger import LINGER
from tests.edges.daemon import happenings
from tests.edges.daemon.bench import (
    RESYNC,
    WEB,
    Bench,
    here,
    on_front,
)

RUNNING = here(on_front("web", 2, 8080))
STARTING, FOLLOWING, AWAY = State.STARTING, State.FOLLOWING, State.AWAY
WAITING, PAUSED = State.WAITING, State.PAUSED
EVERYWHERE = (WAITING, STARTING, FOLLOWING, AWAY, PAUSED)
WITH_POLICY = (STARTING, FOLLOWING, AWAY, PAUSED)


@dataclass(frozen=True, slots=True)
class Case:
    """``moment``: the seconds for tasks whose moment comes with the event."""

    event: Event
    states: tuple[State, ...]
    happen: Callable[[Bench], None]
    moment: float | None = None


CASES = (
    Case(Event.WATCHDOG_FED, EVERYWHERE, happenings.feed_watchdog, 5.0),
    Case(Event.SIGHUP, EVERYWHERE, Bench.hang_up),
    Case(Event.LOCK_IS_TAKEN, EVERYWHERE, happenings.meet_another_process),
    Case(Event.FAILED, EVERYWHERE, happenings.fail, 0.1),
    Case(Event.POLICY_FILES_CHANGED, EVERYWHERE, lambda bench: bench.daemon.files_changed()),
    Case(Event.POLICY_READ, EVERYWHERE, happenings.replace_policy),
    Case(Event.CONFIRM_AWAITED, EVERYWHERE, happenings.await_confirmation, 61.0),
    Case(Event.NEXT_RULE_END_KNOWN, EVERYWHERE, happenings.apply_until, 100.0),
    Case(Event.LIST_FILES_CHANGED, EVERYWHERE, happenings.change_list),
    Case(Event.LISTS_UNWATCHED, EVERYWHERE, happenings.check_without_notices),
    Case(Event.NAMES_MOVED, EVERYWHERE, happenings.move_names),
    Case(Event.TIMEOUTS_RENEWED, (STARTING,), happenings.settle_first),
    Case(Event.DOCKER_CONNECTED, (WAITING, STARTING, AWAY), lambda b: b.connected(RUNNING)),
    Case(Event.DOCKER_LOST, EVERYWHERE, Bench.lose),
    Case(Event.DOCKERD_GONE, WITH_POLICY, Bench.stop_dockerd),
    Case(Event.DOCKERD_MOVED, EVERYWHERE, Bench.join_a_swarm),
    Case(Event.INVENTORY_FOLLOWED, (FOLLOWING, PAUSED), happenings.another_container),
    Case(Event.GUARDED_PORTS_CHANGED, (FOLLOWING, PAUSED), happenings.another_container),
    Case(Event.NEXT_EXPIRY_KNOWN, (FOLLOWING, PAUSED), happenings.container_gone, LINGER),
    Case(Event.WRITE_POSTPONED, (FOLLOWING, PAUSED), happenings.need_more_than_elements),
    Case(Event.RULES_CHANGED, EVERYWHERE, happenings.rules_notice, 0.0),
    Case(
        Event.RULES_CHANGED,
        (STARTING, FOLLOWING, AWAY),
        happenings.rules_notice_at_once,
        CHECK_PAUSE,
    ),
    Case(Event.LINKS_CHANGED, EVERYWHERE, happenings.links_notice),
    Case(Event.ADDRESSES_CHANGED, WITH_POLICY, happenings.move_lan),
    Case(Event.CHECK_LANS_BUSY, WITH_POLICY, happenings.check_lan_twice),
    Case(Event.LANS_READ, WITH_POLICY, happenings.find_lan),
    Case(Event.BRIDGES_CHANGED, (FOLLOWING, PAUSED), happenings.another_bridge),
    Case(Event.CONTAINER_INTERFACE_GONE, (AWAY,), happenings.interface_gone),
    Case(Event.CHECK_ALL_STARTED, WITH_POLICY, happenings.begin_check),
    Case(Event.CHECK_ALL_BUSY, WITH_POLICY, happenings.begin_two_checks),
    Case(Event.CHECK_ALL_BUSY, (FOLLOWING, PAUSED), happenings.check_while_docker_is_asked),
    Case(Event.CHECK_RULES_BUSY, WITH_POLICY, happenings.notice_while_busy),
    Case(Event.SETTINGS_SEEN, WITH_POLICY, Bench.look_at_settings),
    Case(Event.SETTINGS_CHANGED, WITH_POLICY, Bench.switch_br_netfilter),
    Case(Event.CHECK_LINKS_BUSY, WITH_POLICY, happenings.links_while_busy),
    Case(Event.RULES_OVERTAKEN, (STARTING, FOLLOWING, AWAY), happenings.overtake_rules),
    Case(Event.ALL_OVERTAKEN, (FOLLOWING, PAUSED), happenings.overtake_all),
    Case(Event.ALL_OVERTAKEN, (STARTING, AWAY), happenings.overtake_all_without_docker),
    Case(Event.UNSETTLED, (FOLLOWING,), happenings.rules_before_everything),
    Case(Event.CHECK_POSTPONED, (FOLLOWING, PAUSED), happenings.answer_without_labels),
    Case(Event.BRIDGE_UNCLAIMED, (FOLLOWING, PAUSED), happenings.settle_with_a_bridge),
    Case(Event.SETTLED, (FOLLOWING, PAUSED), happenings.settle_again, RESYNC),
    Case(Event.CHECKED_WITHOUT_DOCKER, (STARTING, AWAY), happenings.check_alone, RESYNC),
    Case(Event.HALF_WAY, (FOLLOWING, AWAY), happenings.jump_gone),
    Case(Event.REPAIRED, (FOLLOWING, AWAY), happenings.seal_gone),
    Case(Event.REPAIRED, (FOLLOWING,), happenings.seal_gone_unnoticed),
)


@pytest.mark.parametrize(
    ("case", "state"),
    [
        pytest.param(case, state, id=f"{case.happen.__name__} {case.event.name} {state.name}")
        for case in CASES
        for state in case.states
    ],
)
def test_an_event_schedules_what_stands_in_its_row(bench: Bench, case: Case, state: State) -> None:
    happenings.enter(bench, state)
    case.happen(bench)
    for due in SCHEDULED[case.event]:
        seconds = case.moment if due.after is None else due.after
        assert [s for t, s in bench.due.items() if t is due.task] == [seconds], bench.due


def test_every_event_of_the_table_is_made_to_happen() -> None:
    others = {Event.STARTED, Event.CHECK_RULES_HELD_BACK, Event.REPAIRS_PAUSED, Event.TASK_FAILED}
    assert {case.event for case in CASES} | others == set(Event) == SCHEDULED.keys()


@pytest.mark.parametrize("policy", [None, WEB])
def test_what_the_start_schedules(bench: Bench, policy: str | None) -> None:
    if policy is not None:
        bench.apply(policy)
    bench.daemon.begin()
    assert bench.due[Task.READ_LISTS] == 0
    assert (Task.CHECK_ALL in bench.due) is (policy is not None)


def test_a_fight_pauses_checks_of_rules_and_none_of_everything(bench: Bench) -> None:
    happenings.enter(bench, FOLLOWING)
    happenings.insist(bench)
    assert PAUSED in bench.daemon.states()
    assert bench.due[Task.CHECK_ALL_AGAIN] == pytest.approx(RESYNC, abs=1)
    assert bench.due[Task.CHECK_ALL] <= RESYNC
    happenings.rules_notice(bench)
    bench.pass_time(CHECK_PAUSE)
    left = bench.daemon.repairs.paused_until - bench.clock.now
    assert bench.due[Task.CHECK_RULES] == pytest.approx(left)
    assert not bench.worker.todo
    happenings.begin_check(bench)
    assert bench.worker.todo


# --- what is done with a task that is due --------------------------------------------------------


def test_of_the_states_about_docker_one_holds_at_a_time(bench: Bench) -> None:
    about_docker = {STARTING, FOLLOWING, AWAY}
    seen = [bench.daemon.states()]
    bench.begin()
    bench.connected(RUNNING)
    seen.append(bench.daemon.states())
    bench.lose()
    seen.append(bench.daemon.states())
    bench.connected(RUNNING)
    seen.append(bench.daemon.states())
    bench.apply(WEB)
    bench.take_files()
    seen.append(bench.daemon.states())
    assert seen == [
        {STARTING, WAITING},
        {FOLLOWING, WAITING},
        {AWAY, WAITING},
        {FOLLOWING, WAITING},
        {FOLLOWING},
    ]
    assert all(len(states & about_docker) == 1 for states in seen)


def test_without_a_policy_nothing_is_checked(bench: Bench) -> None:
    happenings.enter(bench, WAITING)
    bench.hang_up()
    bench.notice(Noticed(rules=True, links=True))
    bench.pass_time(CHECK_PAUSE)
    assert not bench.worker.todo
    assert not bench.due.keys() & CHECKS, "nor later"


@pytest.mark.parametrize("state", [FOLLOWING, AWAY])
def test_a_port_is_guarded_for_as_long_as_docker_is_away(bench: Bench, state: State) -> None:
    happenings.enter(bench, FOLLOWING)
    happenings.container_gone(bench)
    if state is AWAY:
        bench.lose()
    bench.kernel.lines.clear()
    bench.pass_time(LINGER)
    ended = any(line.startswith("del dockerfw-pub4") for line in bench.kernel.lines)
    assert ended is not is_dropped(Task.EXPIRE_GUARDS, {state})
    assert Task.EXPIRE_GUARDS not in bench.due


@pytest.mark.parametrize("back", [False, True])
def test_addresses_are_dropped_unless_docker_is_back(bench: Bench, *, back: bool) -> None:
    happenings.enter(bench, AWAY)
    bench.kernel.lines.clear()
    happenings.interface_gone(bench)
    if back:
        bench.connected(RUNNING)
    else:
        bench.turn()
    dropped = any("172.18.0.2" in line for line in bench.kernel.lines)
    assert dropped is not back
    assert is_dropped(Task.DROP_ADDRESSES, bench.daemon.states()) is back


def test_what_is_dropped_and_what_waits_does_not_overlap_in_one_state() -> None:
    assert DROPPED.keys() == set(State)
    assert not HELD_BACK & DROPPED[PAUSED]
    assert not any(is_held_back(task, {state}) for task in Task for state in set(State) - {PAUSED})
