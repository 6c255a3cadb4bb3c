"""The table of events and tasks, held against what a daemon does.

Each case brings a daemon into a state, makes an event happen, and compares what is due then with
the table's row: the tasks, and the seconds until then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

import pytest

from dockerfw.daemon.repairs import MANY_REPAIRS
from dockerfw.daemon.timers import Task
from dockerfw.daemon.transitions import (
    AGAIN,
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
from dockerfw.dns.resolver import Moved
from dockerfw.docker.reports import Changed
from dockerfw.kernel.netlink import Noticed
from dockerfw.model.host import Bridge
from dockerfw.plan.state import ChainState, TablesState
from dockerfw.rules.ledger import LINGER
from tests.edges.daemon.bench import (
    CLOSED,
    LABELLED,
    RESYNC,
    WEB,
    Bench,
    here,
    on_front,
)
from tests.edges.daemon.played_host import FACTS

RUNNING = here(on_front("web", 2, 8080))
STARTING, FOLLOWING, AWAY = State.STARTING, State.FOLLOWING, State.AWAY
WAITING, PAUSED = State.WAITING, State.PAUSED
EVERYWHERE = (WAITING, STARTING, FOLLOWING, AWAY, PAUSED)
WITH_POLICY = (STARTING, FOLLOWING, AWAY, PAUSED)


# --- into a state --------------------------------------------------------------------------------


def enter(bench: Bench, state: State) -> None:
    """Bring a fresh daemon into a state, with no check under way."""
    if state is not WAITING:
        bench.apply(WEB)
    bench.begin()
    if state in (FOLLOWING, AWAY, PAUSED):
        bench.connected(RUNNING)
        bench.settle(RUNNING)
    if state is AWAY:
        bench.kernel.interfaces = frozenset({"veth0000001"})
        bench.lose()
        finish_all(bench)
    if state is PAUSED:
        insist(bench)
    finish_all(bench)
    bench.pass_time(AGAIN[-1] + 1)
    finish_all(bench)
    assert state in bench.daemon.states()
    assert not bench.daemon.snapshots.busy
    assert not bench.awaits_docker


def finish_all(bench: Bench) -> None:
    """All that is due now is done, and Docker answers where it is asked."""
    for _ in range(10):
        bench.finish()
        if bench.awaits_docker:
            bench.answer(RUNNING)


def insist(bench: Bench) -> None:
    """Another tool takes our rules out until repairs are paused."""
    for _ in range(2 * MANY_REPAIRS):
        if PAUSED in bench.daemon.states():
            return
        bench.lose_rules("mangle")
        bench.changed_rules("docker0-fixer")
        finish_all(bench)


def take_jump(bench: Bench) -> None:
    """Our jump in DOCKER-USER is taken out, and nothing else."""
    tables = dict(bench.kernel.live.tables[4].tables)
    tables["filter"] = {**tables["filter"], "DOCKER-USER": ChainState("-", ())}
    bench.kernel.live = replace(bench.kernel.live, tables={4: TablesState(4, tables)})


# --- making events happen ------------------------------------------------------------------------


def feed_watchdog(bench: Bench) -> None:
    bench.systemd.environ["WATCHDOG_USEC"] = "10000000"
    bench.take_files()


def meet_another_process(bench: Bench) -> None:
    bench.daemon.files_changed()
    with bench.store.lock(lambda _: None):
        bench.turn()


def fail(bench: Bench) -> None:
    run, bench.store.run = bench.store.run, Path("/proc/version/no")
    bench.take_files()
    bench.store.run = run


def replace_policy(bench: Bench) -> None:
    bench.apply(CLOSED)
    bench.take_files()


def apply_until(bench: Bench) -> None:
    """A policy with a rule that ends in 100 s."""
    end = datetime.fromtimestamp(bench.clock.time() + 100, timezone.utc)
    bench.apply(f"{WEB}until = {end.isoformat()}\n")
    bench.take_files()


def await_confirmation(bench: Bench) -> None:
    bench.store.confirm.begin(bench.clock.time() + 60)
    replace_policy(bench)


def change_list(bench: Bench) -> None:
    path = bench.store.folder.parent / "friends.netset"
    path.write_text("198.51.100.7\n")
    rule = f'[[allow]]\nto = "web"\nports = [80]\nfrom = ["file:{path}"]\n'
    bench.apply(rule, {str(path): b"198.51.100.7\n"})
    bench.take_files()
    path.write_text("198.51.100.8\n")
    bench.daemon.files_changed()


def check_without_notices(bench: Bench) -> None:
    bench.files.blind = frozenset({Path("/mnt/friends.netset")})
    replace_policy(bench)
    bench.turn()


def move_names(bench: Bench) -> None:
    bench.names.moved = Moved({}, ("host:a.example is 192.0.2.1",))
    bench.daemon.names_moved()


def settle_first(bench: Bench) -> None:
    bench.connected(RUNNING)
    bench.turn()
    bench.finish()
    bench.answer(RUNNING)


def another_container(bench: Bench) -> None:
    bench.report(Changed(here(*RUNNING.containers, on_front("web2", 3, 8082))))


def container_gone(bench: Bench) -> None:
    bench.report(Changed(here()))


def need_more_than_elements(bench: Bench) -> None:
    """A network comes while Docker has not told of labels that the policy asks for."""
    bench.apply(LABELLED)
    bench.take_files()
    bench.pass_time(0)
    finish_snapshot(bench)
    bench.names.moved = Moved({"a.example": ()}, ())
    bench.daemon.names_moved()
    bench.turn()


def finish_snapshot(bench: Bench) -> None:
    bench.worker.finish()


def answer_without_labels(bench: Bench) -> None:
    bench.apply(LABELLED)
    bench.take_files()
    bench.turn()
    bench.finish()
    bench.answer(RUNNING)


def rules_notice(bench: Bench) -> None:
    bench.notice(Noticed(rules=True, writers=frozenset({"nft"})))


def rules_notice_at_once(bench: Bench) -> None:
    """The second notice comes right after a snapshot."""
    rules_notice(bench)
    bench.turn()
    bench.finish()
    rules_notice(bench)


def links_notice(bench: Bench) -> None:
    bench.notice(Noticed(links=True))


def another_bridge(bench: Bench) -> None:
    bench.kernel.host = replace(FACTS, bridges=(*FACTS.bridges, Bridge("lan0")))
    links_notice(bench)
    bench.pass_time(CHECK_PAUSE)
    bench.worker.finish()


def interface_gone(bench: Bench) -> None:
    bench.kernel.interfaces = frozenset()
    links_notice(bench)
    bench.pass_time(CHECK_PAUSE)
    bench.worker.finish()


def begin_check(bench: Bench) -> None:
    bench.hang_up()
    bench.turn()


def begin_two_checks(bench: Bench) -> None:
    begin_check(bench)
    begin_check(bench)


def check_while_docker_is_asked(bench: Bench) -> None:
    begin_check(bench)
    bench.finish()
    assert bench.awaits_docker
    begin_check(bench)


def notice_while_busy(bench: Bench) -> None:
    begin_check(bench)
    rules_notice(bench)
    bench.pass_time(CHECK_PAUSE)


def links_while_busy(bench: Bench) -> None:
    links_notice(bench)
    bench.pass_time(CHECK_PAUSE)
    links_notice(bench)
    bench.pass_time(CHECK_PAUSE)


def notice_while_paused(bench: Bench) -> None:
    rules_notice(bench)
    bench.turn()


def overtake_rules(bench: Bench) -> None:
    rules_notice(bench)
    bench.turn()
    bench.worker.finish()
    replace_policy(bench)


def overtake_all(bench: Bench) -> None:
    begin_check(bench)
    bench.finish()
    changed = here(*RUNNING.containers, on_front("web2", 3))
    bench.report(Changed(changed))
    bench.answer(changed)


def overtake_all_without_docker(bench: Bench) -> None:
    begin_check(bench)
    bench.worker.finish()
    replace_policy(bench)


def rules_before_everything(bench: Bench) -> None:
    """The policy is another one, and Docker's answer to the check of everything is awaited."""
    replace_policy(bench)
    bench.turn()
    bench.finish()
    rules_notice(bench)
    bench.pass_time(CHECK_PAUSE)
    bench.finish()


def settle_with_a_bridge(bench: Bench) -> None:
    bench.kernel.host = replace(FACTS, bridges=(*FACTS.bridges, Bridge("lan0")))
    settle_again(bench)


def settle_again(bench: Bench) -> None:
    begin_check(bench)
    bench.finish()
    bench.answer(RUNNING)


def check_alone(bench: Bench) -> None:
    begin_check(bench)
    bench.finish()


def jump_gone(bench: Bench) -> None:
    take_jump(bench)
    rules_notice(bench)
    bench.turn()
    bench.finish()


def seal_gone(bench: Bench) -> None:
    bench.lose_seal()
    rules_notice(bench)
    bench.turn()
    bench.finish()


def seal_gone_unnoticed(bench: Bench) -> None:
    """Only a check of everything finds it."""
    bench.lose_seal()
    settle_again(bench)


@dataclass(frozen=True, slots=True)
class Case:
    """``moment``: the seconds for tasks whose moment comes with the event."""

    event: Event
    states: tuple[State, ...]
    happen: Callable[[Bench], None]
    moment: float | None = None


CASES = (
    Case(Event.WATCHDOG_FED, EVERYWHERE, feed_watchdog, 5.0),
    Case(Event.SIGHUP, EVERYWHERE, Bench.hang_up),
    Case(Event.LOCK_IS_TAKEN, EVERYWHERE, meet_another_process),
    Case(Event.FAILED, EVERYWHERE, fail, 0.1),
    Case(Event.POLICY_FILES_CHANGED, EVERYWHERE, lambda bench: bench.daemon.files_changed()),
    Case(Event.POLICY_READ, EVERYWHERE, replace_policy),
    Case(Event.CONFIRM_AWAITED, EVERYWHERE, await_confirmation, 61.0),
    Case(Event.NEXT_RULE_END_KNOWN, EVERYWHERE, apply_until, 100.0),
    Case(Event.LIST_FILES_CHANGED, EVERYWHERE, change_list),
    Case(Event.LISTS_UNWATCHED, EVERYWHERE, check_without_notices),
    Case(Event.NAMES_MOVED, EVERYWHERE, move_names),
    Case(Event.TIMEOUTS_RENEWED, (STARTING,), settle_first),
    Case(Event.DOCKER_CONNECTED, (WAITING, STARTING, AWAY), lambda b: b.connected(RUNNING)),
    Case(Event.DOCKER_LOST, EVERYWHERE, Bench.lose),
    Case(Event.DOCKERD_GONE, WITH_POLICY, Bench.stop_dockerd),
    Case(Event.DOCKERD_MOVED, EVERYWHERE, Bench.join_a_swarm),
    Case(Event.INVENTORY_FOLLOWED, (FOLLOWING, PAUSED), another_container),
    Case(Event.GUARDED_PORTS_CHANGED, (FOLLOWING, PAUSED), another_container),
    Case(Event.NEXT_EXPIRY_KNOWN, (FOLLOWING, PAUSED), container_gone, LINGER),
    Case(Event.WRITE_POSTPONED, (FOLLOWING, PAUSED), need_more_than_elements),
    Case(Event.RULES_CHANGED, EVERYWHERE, rules_notice, 0.0),
    Case(Event.RULES_CHANGED, (STARTING, FOLLOWING, AWAY), rules_notice_at_once, CHECK_PAUSE),
    Case(Event.LINKS_CHANGED, EVERYWHERE, links_notice),
    Case(Event.BRIDGES_CHANGED, (FOLLOWING, PAUSED), another_bridge),
    Case(Event.CONTAINER_INTERFACE_GONE, (AWAY,), interface_gone),
    Case(Event.CHECK_ALL_STARTED, WITH_POLICY, begin_check),
    Case(Event.CHECK_ALL_BUSY, WITH_POLICY, begin_two_checks),
    Case(Event.CHECK_ALL_BUSY, (FOLLOWING, PAUSED), check_while_docker_is_asked),
    Case(Event.CHECK_RULES_BUSY, WITH_POLICY, notice_while_busy),
    Case(Event.SETTINGS_SEEN, WITH_POLICY, Bench.look_at_settings),
    Case(Event.SETTINGS_CHANGED, WITH_POLICY, Bench.switch_br_netfilter),
    Case(Event.CHECK_LINKS_BUSY, WITH_POLICY, links_while_busy),
    Case(Event.RULES_OVERTAKEN, (STARTING, FOLLOWING, AWAY), overtake_rules),
    Case(Event.ALL_OVERTAKEN, (FOLLOWING, PAUSED), overtake_all),
    Case(Event.ALL_OVERTAKEN, (STARTING, AWAY), overtake_all_without_docker),
    Case(Event.UNSETTLED, (FOLLOWING,), rules_before_everything),
    Case(Event.CHECK_POSTPONED, (FOLLOWING, PAUSED), answer_without_labels),
    Case(Event.BRIDGE_UNCLAIMED, (FOLLOWING, PAUSED), settle_with_a_bridge),
    Case(Event.SETTLED, (FOLLOWING, PAUSED), settle_again, RESYNC),
    Case(Event.CHECKED_WITHOUT_DOCKER, (STARTING, AWAY), check_alone, RESYNC),
    Case(Event.HALF_WAY, (FOLLOWING, AWAY), jump_gone),
    Case(Event.REPAIRED, (FOLLOWING, AWAY), seal_gone),
    Case(Event.REPAIRED, (FOLLOWING,), seal_gone_unnoticed),
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
    enter(bench, state)
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
    enter(bench, FOLLOWING)
    insist(bench)
    assert PAUSED in bench.daemon.states()
    assert bench.due[Task.CHECK_ALL_AGAIN] == pytest.approx(RESYNC, abs=1)
    assert bench.due[Task.CHECK_ALL] <= RESYNC
    rules_notice(bench)
    bench.pass_time(CHECK_PAUSE)
    left = bench.daemon.repairs.paused_until - bench.clock.now
    assert bench.due[Task.CHECK_RULES] == pytest.approx(left)
    assert not bench.worker.todo
    begin_check(bench)
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
    enter(bench, WAITING)
    bench.hang_up()
    bench.notice(Noticed(rules=True, links=True))
    bench.pass_time(CHECK_PAUSE)
    assert not bench.worker.todo
    assert not bench.due.keys() & CHECKS, "nor later"


@pytest.mark.parametrize("state", [FOLLOWING, AWAY])
def test_a_port_is_guarded_for_as_long_as_docker_is_away(bench: Bench, state: State) -> None:
    enter(bench, FOLLOWING)
    container_gone(bench)
    if state is AWAY:
        bench.lose()
    bench.kernel.lines.clear()
    bench.pass_time(LINGER)
    ended = any(line.startswith("del dockerfw-pub4") for line in bench.kernel.lines)
    assert ended is not is_dropped(Task.EXPIRE_GUARDS, {state})
    assert Task.EXPIRE_GUARDS not in bench.due


@pytest.mark.parametrize("back", [False, True])
def test_addresses_are_dropped_unless_docker_is_back(bench: Bench, *, back: bool) -> None:
    enter(bench, AWAY)
    bench.kernel.lines.clear()
    interface_gone(bench)
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
