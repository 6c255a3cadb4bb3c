"""When systemd is told that the daemon is ready."""

from __future__ import annotations

from tests.edges.daemon.bench import WEB, Bench, here


def test_it_is_not_ready_before_docker_had_the_time_to_answer(bench: Bench) -> None:
    bench.apply(WEB)
    bench.begin()
    bench.finish()
    assert bench.systemd.times_ready == 0
    bench.connected(here())
    bench.settle(here())
    assert bench.systemd.times_ready > 0


def test_it_is_ready_without_docker_once_what_stands_was_looked_at(bench: Bench) -> None:
    bench.apply(WEB)
    bench.begin()
    bench.lose()
    assert bench.systemd.times_ready == 0
    for _ in range(3):
        bench.finish()
        bench.pass_time(0.2)
    assert bench.systemd.times_ready > 0
    assert bench.kernel.live.seal is not None
