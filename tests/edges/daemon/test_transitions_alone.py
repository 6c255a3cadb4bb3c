"""Only the table of ``transitions.py`` schedules tasks, and only there are states told apart.

Read from the code of the daemon; and what rows have to say, told without the table.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from dockerfw.daemon.timers import Task
from dockerfw.daemon.transitions import (
    CHECKS,
    SEAL_DELAY,
    Event,
    State,
    is_dropped,
)
from dockerfw.docker.reports import Changed
from dockerfw.model.inventory import Inventory
from tests.edges.daemon import happenings
from tests.edges.daemon.bench import WEB, Bench, here, on_front
from tests.paths import PACKAGE

TABLE = "transitions.py"
TREES = {path.name: ast.parse(path.read_text()) for path in (PACKAGE / "daemon").glob("*.py")}
LOOP = {Task.FEED_WATCHDOG, Task.RETRY_LOCK, Task.READ_POLICY}
"""What `loop.turn` itself does whenever it turns: these tasks do no more than wake it."""


def attributes(of: str) -> Iterator[tuple[str, str]]:
    """Yield every use of an attribute of this name: its module, and the attribute."""
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value).split(".")[-1] == of:
                yield name, node.attr


def test_timers_are_set_by_the_table_alone() -> None:
    set_by = {(name, attr) for name, attr in attributes("_timers") if attr in ("by", "at")}
    scheduled = {attr for schedule in ("schedule", "_schedule") for _, attr in attributes(schedule)}

    assert {name for name, _ in set_by} == {"schedule.py"}
    assert scheduled == {"happened", "take", "wait"}


def test_every_event_of_the_table_happens_somewhere() -> None:
    assert {attr for name, attr in attributes("Event") if name != TABLE} >= {e.name for e in Event}


def test_every_task_of_the_table_is_done() -> None:
    done = {attr for name, attr in attributes("Task") if name == "loop.py"}
    assert {t.name for t in set(Task) - CHECKS - LOOP} <= done


def test_what_hangs_on_a_state_stands_in_the_table() -> None:
    """Elsewhere states are named only where it is told which of them hold."""
    told = {
        ("docker_follower.py", "STARTING"),
        ("docker_follower.py", "FOLLOWING"),
        ("docker_follower.py", "AWAY"),
        ("loop.py", "WAITING"),
        ("loop.py", "PAUSED"),
    }
    assert {found for found in attributes("State") if found[0] != TABLE} == told


def test_a_task_that_fails_is_due_once_more_by_its_row(bench: Bench) -> None:
    bench.follow(WEB, here(on_front("web", 2, 8080)))
    bench.report(Changed(here(on_front("web", 2, 8080), on_front("web2", 3, 8082))))
    bench.kernel.broken = "no memory"

    bench.pass_time(SEAL_DELAY)

    assert bench.due[Task.WRITE_SEAL] == bench.due[Task.CHECK_ALL] == 0.1


def test_without_a_policy_nothing_is_recorded_for_the_next_boot(bench: Bench) -> None:
    bench.begin()
    bench.connected(here(on_front("web", 2, 8080)))
    bench.lose()
    bench.turn()

    assert is_dropped(Task.REMEMBER, {State.WAITING})
    bench.worker.finish()
    assert bench.store.last_seen.inventory() == Inventory()


def test_what_ran_is_recorded_at_once_when_docker_is_lost(bench: Bench) -> None:
    """`status` goes by the record from then on."""
    happenings.enter(bench, State.FOLLOWING)
    assert Task.REMEMBER not in bench.due
    bench.lose()
    assert bench.due[Task.REMEMBER] == 0


def test_guards_end_only_where_docker_tells_who_is_gone() -> None:
    kept = {state for state in State if is_dropped(Task.EXPIRE_GUARDS, {state})}
    assert kept == {State.STARTING, State.AWAY}


def test_the_next_renewal_is_a_day_after_the_last(bench: Bench) -> None:
    """Whatever was asked for before: a check of everything has renewed in between."""
    happenings.enter(bench, State.FOLLOWING)
    bench.daemon.enforcer.renew()
    bench.clock.now += 3600.0
    bench.daemon.enforcer.renew()
    assert bench.due[Task.RENEW_TIMEOUTS] == 86_400.0
