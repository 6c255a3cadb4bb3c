"""What is reported of many containers, rules and networks grows no faster than they do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_network

import pytest

from dockerfw.model.denial import Denial
from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Inventory
from dockerfw.model.net import Port
from dockerfw.plan.state import LiveElement
from dockerfw.policy.files import PolicyText
from dockerfw.report.audit.auditor import Host, audit
from dockerfw.report.explain import answer
from dockerfw.report.obstacles import published_obstacles
from dockerfw.report.status import Counted, Health, build
from dockerfw.report.traffic import counted_sets
from dockerfw.rules.compiler import compile_ruleset
from tests.growth import (
    FACTS,
    FEW,
    assert_linear,
    docker_tables,
    inventory,
    operations,
    routes,
    text,
)

WELL = Health(enforcing=True, observing=False, in_sync=True, daemon_alive=True)


def work(written: PolicyText, running: Inventory) -> dict[str, Callable[[], object]]:
    """The pure parts of what only reports, by name; Docker has its own rules on the host."""
    policy = written.parse()
    facts: HostFacts = replace(FACTS, routes=routes(running))
    tables = docker_tables(running)
    ruleset = compile_ruleset(policy, running, facts)
    held = {s.name: s for s in ruleset.sets}
    counters: dict[str, dict[LiveElement, tuple[int, int]]] = {
        name: dict.fromkeys(held[name].elements, (1, 60)) for name in counted_sets(ruleset)
    }
    stranger = ip_network("203.0.113.9/32")
    denials = tuple(
        Denial(stranger, address, Port("tcp", 80), 1, 60, 0, 0)
        for container in running.containers
        for endpoint in container.endpoints
        for address in endpoint.addresses
    )
    seen = Counted(counters, denials)
    status = build(WELL, seen, ruleset, policy, running)
    # Anew: an inventory keeps what it was asked.
    fresh = Inventory(running.containers, running.networks)
    host = Host(fresh, facts, tables=tables, in_force="enforcing", policy=policy)
    return {
        "status": lambda: build(WELL, seen, ruleset, policy, fresh),
        "status in words": status.lines,
        "obstacles": lambda: published_obstacles(tables, fresh),
        "audit": lambda: audit(host),
        "explain": lambda: answer(policy, fresh, facts, "203.0.113.7", "app-0", tables),
    }


HALVING = 1.2
"""A line that decides is found by halving the policy, so that cost grows a little faster."""
REPORTS = ("status", "status in words", "obstacles", "audit", "explain")


@pytest.mark.parametrize("report", REPORTS)
@pytest.mark.parametrize("grows", ["containers and rules", "containers", "rules", "networks"])
def test_twice_as_many_take_twice_as_long_to_report(report: str, grows: str) -> None:
    def count(times: int) -> int:
        few = 6 if report == "audit" else FEW  # it asks for a dozen ways into each container
        containers = few * (times if "containers" in grows else 1)
        rules = few * (times if "rules" in grows else 1)
        running = inventory(containers, 4 * (times if grows == "networks" else 1))
        return operations(work(text(rules, 3, containers=containers), running)[report])

    assert_linear([count(times) for times in (1, 2, 4)], HALVING)
