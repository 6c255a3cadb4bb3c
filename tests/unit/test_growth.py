"""What grows with containers, rules, sources and networks grows no faster than they do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from dockerfw.model.inventory import Inventory
from dockerfw.operations.check import check
from dockerfw.plan.planner import plan
from dockerfw.plan.state import KernelState, TablesState
from dockerfw.policy.files import PolicyText
from dockerfw.report.diff import diff
from dockerfw.rules.compiler import compile_ruleset
from dockerfw.rules.ledger import Ledger
from tests.growth import FACTS, FEW, FIXED, assert_linear, inventory, operations, routes, text
from tests.replay import IDENTITY
from tests.standing import sets_of, tables_of

ONE_RULE = ("plan one rule", "compare one rule")


def work(policy: PolicyText, running: Inventory) -> dict[str, Callable[[], object]]:
    """The pure parts of an apply, by name."""
    parsed = policy.parse()
    facts = replace(FACTS, routes=routes(running))
    ruleset = compile_ruleset(parsed, running, facts)
    empty = KernelState({f: TablesState(f) for f in facts.families}, {}, None)
    steps = plan(empty, ruleset, facts, IDENTITY)
    changes = diff({}, ruleset, running, before_installed=False)
    # Anew each time: an inventory keeps what it was asked.
    fresh = Inventory(running.containers, running.networks)
    return {
        "parse": policy.parse,
        "check": lambda: check(policy, fresh, facts, 0.0),
        "compile": lambda: compile_ruleset(
            parsed, Inventory(running.containers, running.networks), facts
        ),
        "plan": lambda: plan(empty, ruleset, facts, IDENTITY),
        "compare": lambda: diff({}, ruleset, running, before_installed=False),
        "lines": lambda: changes.lines(plan=steps),
        "ledger": lambda: Ledger(parsed, running, facts),
    }


def work_for_one_rule(
    policy: PolicyText, running: Inventory, changed: PolicyText
) -> dict[str, Callable[[], object]]:
    """The same where all stands, and ``changed`` has one rule that is another one."""
    facts = replace(FACTS, routes=routes(running))
    ruleset = compile_ruleset(policy.parse(), running, facts)
    live = KernelState(tables_of(ruleset), sets_of(ruleset), IDENTITY.seal(ruleset.seal))
    other = compile_ruleset(changed.parse(), running, facts)
    return {
        "plan one rule": lambda: plan(live, other, facts, IDENTITY),
        "compare one rule": lambda: diff(
            live.sets, other, running, before_installed=True, live_tables=live.tables
        ),
    }


PHASES = ("parse", "check", "compile", "plan", "compare", "lines", "ledger", *ONE_RULE)


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize(
    "grows",
    [
        "containers and rules",
        "containers",
        "rules",
        "sources",
        "stopped containers and rules",
        "networks",
        "networks and rules",
    ],
)
def test_twice_as_many_take_twice_as_long(phase: str, grows: str) -> None:
    def count(times: int) -> int:
        containers = FEW * (times if "containers" in grows else 1)
        rules = FEW * (times if "rules" in grows else 1)
        sources = 4 * (times if grows == "sources" else 1)
        # Those of the second half of the names do not run.
        named = 2 * containers if "stopped" in grows else containers
        policy = text(rules, sources, containers=named)
        running = inventory(containers, 4 * (4 * times if "networks" in grows else 1))
        if phase in ONE_RULE:
            changed = text(rules, sources, containers=named, beside=1 << 16)
            return operations(work_for_one_rule(policy, running, changed)[phase])
        return operations(work(policy, running)[phase])

    assert_linear([count(times) for times in (1, 2, 4)])


def test_one_rule_among_many_is_compared_by_itself() -> None:
    """Each other rule is read, with its three sources in two places, and not put into words."""

    def count(rules: int) -> int:
        policy = text(rules, 3, containers=FEW)
        changed = text(rules, 3, containers=FEW, beside=1 << 16)
        return operations(work_for_one_rule(policy, inventory(FEW, 4), changed)["compare one rule"])

    assert count(10 * FEW) - count(FEW) < 9 * FEW * 1_500


@pytest.mark.parametrize(
    ("grows", "each"),
    [
        ("rules", 0),
        # Each container is compared with the one before, which is the same object.
        ("containers", 60),
    ],
)
def test_a_start_costs_the_same_among_many(grows: str, each: int) -> None:
    def count(times: int) -> int:
        containers = FEW * (times if grows == "containers" else 1)
        rules = FEW * (times if grows == "rules" else 1)
        before = inventory(containers, 4)
        policy = text(rules, 3, containers=containers).parse()
        ledger = Ledger(policy, before, FACTS)
        (more,) = inventory(containers + 1, 4).containers[containers:]
        after = Inventory((*before.containers, more), before.networks)
        return operations(lambda: ledger.update(after, 0.0))

    assert count(10) - count(1) <= 9 * FEW * each + FIXED
