"""Bridges that come while the daemon runs: whose they are, and for how long nobody knows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from dockerfw.daemon.repairs import MANY_REPAIRS
from dockerfw.daemon.transitions import State
from dockerfw.docker.reports import Changed
from dockerfw.kernel.netlink import Noticed
from dockerfw.model.host import Bridge
from dockerfw.model.inventory import Inventory
from dockerfw.operations.bridge_owners import BRIDGE_GRACE
from tests.edges.daemon.bench import FRONT, OWN, WEB, Bench, here
from tests.edges.daemon.played_host import FACTS

EMPTY = here()
OBSERVED = '[firewall]\nmode = "observe"\n'
RARELY = WEB + "[daemon]\nresync = 3600\n"


def notes(bench: Bench) -> tuple[str, ...]:
    """What ``dockerfw status`` shows of the daemon."""
    found = bench.store.daemon.read()
    return found.notes if found else ()


def add_bridge(bench: Bench, name: str = "virbr9") -> float:
    """A bridge comes up, as ``virsh net-start`` makes one; its birth is returned."""
    bench.kernel.host = replace(FACTS, bridges=(*FACTS.bridges, Bridge(name)))
    bench.notice_links()
    return bench.clock.now


def answer_all(bench: Bench, found: Inventory) -> None:
    """All that is due now is read, and Docker answers at once."""
    for _ in range(5):
        bench.finish()
        if bench.awaits_docker:
            bench.answer(found)


def wait_until(bench: Bench, moment: float, found: Inventory = EMPTY) -> None:
    """Time passes, in steps; the host is never slow."""
    while bench.clock.now < moment:
        bench.pass_time(0.1)
        answer_all(bench, found)


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
    assert "bridge virbr9 is cut off" in bench.log
    assert "bridge virbr9 is cut off" in " ".join(notes(bench))
    wait_until(bench, born + BRIDGE_GRACE + 1)
    assert "virbr9" in bench.sealed.foreign_bridges
    assert "bridge virbr9 is not Docker's: left alone" in bench.log
    assert "virbr9" not in " ".join(notes(bench))


def test_a_bridge_that_comes_while_docker_is_away_is_named_for_as_long_as_it_is_cut_off(
    bench: Bench,
) -> None:
    bench.follow(RARELY, here())
    bench.lose()
    wait_until(bench, bench.clock.now + 0.3)
    born = add_bridge(bench)
    wait_until(bench, born + 0.5)
    assert "bridge virbr9 is cut off" in bench.log
    wait_until(bench, born + 10)
    assert "bridge virbr9 is cut off" in " ".join(notes(bench))
    bench.connected(here())
    wait_until(bench, bench.clock.now + BRIDGE_GRACE + 1)
    assert "virbr9" not in " ".join(notes(bench))


@pytest.mark.parametrize("policy", [OBSERVED, WEB])
def test_a_bridge_is_not_called_cut_off_that_docker_claims_or_that_nothing_is_dropped_of(
    bench: Bench, policy: str
) -> None:
    bench.follow(policy, here())
    born = add_bridge(bench, "virbr9" if policy is OBSERVED else OWN.bridge or "")
    if policy is WEB:
        bench.report(Changed(here(networks=(FRONT, OWN))))
    wait_until(bench, born + 1, here() if policy is OBSERVED else here(networks=(FRONT, OWN)))
    assert "cut off" not in bench.log
    assert not notes(bench)
