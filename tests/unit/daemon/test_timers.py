from __future__ import annotations

from dockerfw.daemon.timers import LONGEST_WAIT, Task, Timers


def test_the_earlier_moment_wins_unless_it_is_set_exactly() -> None:
    timers = Timers()
    timers.by(Task.CHECK_ALL, 10.0)
    timers.by(Task.CHECK_ALL, 30.0)
    timers.by(Task.CHECK_ALL, 5.0)
    assert timers.pending() == {Task.CHECK_ALL: 5.0}
    timers.at(Task.CHECK_ALL, 40.0)
    assert timers.pending() == {Task.CHECK_ALL: 40.0}
    timers.at(Task.CHECK_ALL, None)
    assert timers.pending() == {}


def test_a_task_that_is_due_is_given_once() -> None:
    timers = Timers()
    timers.by(Task.CHECK_ALL, 5.0)
    timers.by(Task.REMEMBER, 6.0)
    assert timers.take(4.9) == set()
    assert timers.take(5.0) == {Task.CHECK_ALL}
    assert timers.take(9.0) == {Task.REMEMBER}
    assert timers.take(9.0) == set()


def test_the_wait_is_until_the_first_moment_and_never_for_years() -> None:
    timers = Timers()
    assert timers.wait(0.0) is None
    timers.by(Task.END_RULES, 1e9)
    assert timers.wait(0.0) == LONGEST_WAIT
    timers.by(Task.REMEMBER, 7.0)
    assert timers.wait(5.0) == 2.0
    assert timers.wait(8.0) == 0.0
