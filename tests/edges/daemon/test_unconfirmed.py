"""An apply that nobody has confirmed, while the process that should roll it back was killed."""

from __future__ import annotations

from dockerfw.daemon.timers import Task
from dockerfw.operations.confirm import GRACE
from tests.edges.daemon.bench import CLOSED, WEB, Bench, here, on_front

RUNNING = here(on_front("web", 2, 8080))


def test_the_daemon_goes_back_to_the_policy_before_the_first_of_them(bench: Bench) -> None:
    bench.apply(CLOSED)
    bench.begin()
    bench.connected(RUNNING)
    bench.settle(RUNNING)
    bench.store.confirm.begin(bench.clock.time() + 30)
    bench.apply(WEB)
    bench.take_files()
    bench.store.confirm.begin(bench.clock.time() + 6)
    bench.apply(WEB + "# another\n")
    bench.take_files()
    assert bench.due[Task.ROLL_BACK] == 6 + GRACE
    bench.settle(RUNNING)
    assert "dockerfw-port4" in bench.kernel.live.sets

    bench.pass_time(6)
    assert bench.store.confirm.pending() is not None
    bench.pass_time(GRACE)

    assert bench.store.confirm.pending() is None
    text = bench.store.policy.load()
    assert text is not None
    assert text.documents[0].text == CLOSED.encode()
    assert bench.daemon.policy.policy == text.parse()
    assert "dockerfw-port4" not in bench.kernel.live.sets
    assert "nobody confirmed the last apply in time" in bench.log


def test_it_does_so_after_a_restart(bench: Bench) -> None:
    bench.apply(CLOSED)
    bench.store.confirm.begin(bench.clock.time() - 100)
    bench.apply(WEB)
    bench.begin()
    assert bench.store.confirm.pending() is None
    assert bench.daemon.policy.text is not None
    assert bench.daemon.policy.text.documents[0].text == CLOSED.encode()
