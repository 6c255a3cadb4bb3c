"""What the reports say of one thing is the same in all of them: log lines, warnings, plan, explain.

All are asked about random policies and inventories; a contradiction is a failure.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given

from dockerfw.model.inventory import Container, Inventory
from dockerfw.model.net import Address
from dockerfw.model.policy import AddressSource, Policy
from dockerfw.plan.state import TablesState
from dockerfw.report.diff import compare
from dockerfw.report.explain import explain
from dockerfw.report.exposure import Exposure, Exposures
from dockerfw.report.warnings import advise
from dockerfw.rules.compiler import compile_ruleset
from dockerfw.rules.meaning import Destination
from tests.questions import facts_for
from tests.strategies import fitting, profile


def of_rules_alone(policy: Policy) -> Policy:
    """Without a baseline: what is open then is open by a rule."""
    return replace(policy, mode="enforce", baseline=())


def opened(exposure: Exposure) -> frozenset[Destination]:
    return frozenset[Destination]().union(*exposure.opened.values())


@profile()
@given(fitting())
def test_the_plan_opens_what_the_exposures_of_all_containers_say(
    pair: tuple[Policy, Inventory],
) -> None:
    policy, inventory = of_rules_alone(pair[0]), pair[1]
    facts = facts_for(inventory)
    ruleset = compile_ruleset(policy, inventory, facts)
    empty = {family: TablesState(family) for family in facts.families}
    _, _, differences = compare({}, ruleset, empty)
    to = [d.destination for d in differences if d.kind == "open"]
    opens = {destination for destination in to if destination.place == "container"}
    exposures = Exposures(policy)
    found = {
        destination
        for container in inventory.containers
        for destination in opened(exposures.of(inventory, container))
        if destination.place == "container" and destination.family in facts.families
    }
    # A selector in `from` stands for itself in an exposure, whoever it names now.
    assert opens <= found
    by_nobody = {
        d for d in found - opens if not _by_containers_alone(policy, exposures, inventory, d)
    }
    assert not by_nobody


def _by_containers_alone(
    policy: Policy, exposures: Exposures, inventory: Inventory, wanted: Destination
) -> bool:
    """Whether every rule that opens it names containers as sources."""
    for container in inventory.containers:
        for index, destinations in exposures.of(inventory, container).opened.items():
            sources = policy.allows[index].sources
            if wanted in destinations and not any(hasattr(s, "selector") for s in sources):
                return False
    return True


def _sources(policy: Policy) -> set[Address]:
    return {
        source.network.network_address
        for allow in policy.allows
        for source in allow.sources
        if isinstance(source, AddressSource)
    }


@profile(share=0.5)
@given(fitting())
def test_explain_lets_nobody_reach_a_port_that_no_exposure_opens(
    pair: tuple[Policy, Inventory],
) -> None:
    policy, inventory = of_rules_alone(pair[0]), pair[1]
    facts = facts_for(inventory)
    exposures = Exposures(policy)
    publishers = Counter(b.host_port for c in inventory.containers for b in c.ports)
    for container in inventory.containers:
        if inventory.on_host_network(container) or not inventory.endpoints(container):
            continue
        exposure = exposures.of(inventory, container)
        bindings = inventory.published(container)
        # Docker gives a host port to one container; here it may be drawn for two, and then
        # explain says of one what a rule opens of the other.
        shared = {b.container_port for b in bindings if publishers[b.host_port] > 1}
        for port in sorted({b.container_port for b in bindings} - shared):
            reached = [
                row
                for source in sorted(_sources(policy), key=str)
                for row in explain(
                    policy, inventory, facts, f"{source}@eth0", f"{container.name}:{port}"
                ).rows
                if row.allowed and row.path.startswith(("P1", "P2", "P3"))
            ]
            assert not reached or _opens(exposure, inventory, container, port), reached


def _opens(exposure: Exposure, inventory: Inventory, container: Container, port: int) -> bool:
    bindings = [b for b in inventory.published(container) if b.container_port == port]
    return any(
        exposure.opens(index, "tcp", port, port)
        or any(exposure.opens_host_port(index, binding) for binding in bindings)
        for index in exposure.opened
    )


@profile()
@given(fitting())
def test_a_rule_that_opens_nothing_by_its_warning_opens_nothing(
    pair: tuple[Policy, Inventory],
) -> None:
    policy, inventory = of_rules_alone(pair[0]), pair[1]
    allows = tuple(
        replace(allow, origin=replace(allow.origin, line=line))
        for line, allow in enumerate(policy.allows, 1)
    )
    policy = replace(policy, allows=allows, denies=())
    warnings = advise(policy, inventory, facts_for(inventory))
    useless = {
        index
        for index, allow in enumerate(allows)
        for warning in warnings
        if warning.startswith(f"{allow.origin}: no container is left")
    }
    exposures = Exposures(policy)
    opening = {
        index
        for container in inventory.containers
        for index in exposures.of(inventory, container).opened
    }
    assert not useless & opening
