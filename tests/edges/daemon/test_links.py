"""Bridges that come while the daemon runs: whose they are, and for how long nobody knows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from dockerfw.daemon.repairs import MANY_REPAIRS
from dockerfw.daemon.transitions import BRIDGE_GRACE, State
from dockerfw.kernel.notices import Noticed
from dockerfw.model.host import Bridge
from tests.edges.daemon.bench import WEB, Bench, here
from tests.edges.daemon.played_host import FACTS

RARELY = WEB + "[daemon]\nresync = 3600\n"


def add_bridge(bench: Bench) -> float:
    """A bridge comes up, as ``virsh net-start`` makes one; its birth is returned."""
    bench.kernel.host = replace(FACTS, bridges=(*FACTS.bridges, Bridge("virbr9")))
    bench.notice_links()
    return bench.clock.now


def answer_all(bench: Bench) -> None:
    """All that is due now is read, and Docker answers at once."""
    for _ in range(5):
        bench.finish()
        if bench.awaits_docker:
            bench.answer(here())


def wait_until(bench: Bench, moment: float) -> None:
    """Time passes, in steps; the host is never slow."""
    while bench.clock.now < moment:
        bench.pass_time(0.1)
        answer_all(bench)


def plainly(bench: Bench) -> float:
    """Nothing else happens."""
    return add_bridge(bench)


def while_docker_is_asked(bench: Bench) -> float:
    """The snapshot of the check that is under way does not have the bridge."""
    bench.pass_time(3601)
    bench.finish()
    assert bench.awaits_docker
    born = add_bridge(bench)
    bench.pass_time(0.15)
    bench.worker.finish()
    bench.pass_time(0.05)
    return born


def while_another_tool_insists(bench: Bench) -> float:
    """Repairs are paused, by a check of rules, right after the bridge was seen."""
    born = add_bridge(bench)
    wait_until(bench, born + 0.3)
    for _ in range(MANY_REPAIRS + 1):
        bench.lose_rules("mangle")
        bench.notice(Noticed(rules=True, writers=frozenset({"docker0-fixer"})))
        wait_until(bench, bench.clock.now + 0.1)
    assert State.PAUSED in bench.daemon.states()
    return born


@pytest.mark.parametrize("come", [plainly, while_docker_is_asked, while_another_tool_insists])
def test_a_bridge_that_docker_does_not_claim_is_left_alone_after_3_s(
    bench: Bench, come: Callable[[Bench], float]
) -> None:
    bench.follow(RARELY, here())
    born = come(bench)
    wait_until(bench, born + BRIDGE_GRACE - 0.2)
    assert "virbr9" not in bench.sealed.foreign_bridges, "Docker may claim it yet"
    wait_until(bench, born + BRIDGE_GRACE + 1)
    assert "virbr9" in bench.sealed.foreign_bridges
