"""What grows with containers, rules, sources and networks grows no faster than they do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address, ip_network

import pytest

from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Container, Inventory, Network
from dockerfw.model.routes import Route
from dockerfw.operations.check import check
from dockerfw.plan.planner import plan
from dockerfw.plan.state import KernelState, TablesState
from dockerfw.policy.document import Document
from dockerfw.policy.files import PolicyText
from dockerfw.report.diff import diff
from dockerfw.rules.compiler import compile_ruleset
from dockerfw.rules.ledger import Ledger
from tests import build
from tests.growth import operations
from tests.replay import IDENTITY
from tests.standing import sets_of, tables_of

FACTS = HostFacts(br_netfilter=(True, True))
FEW = 16
SLACK = 1.05
ONE_RULE = ("plan one rule", "compare one rule")
FIXED = 2_000
"""Instructions that may come on top of twice the growth: long lines wrap, numbers get a digit."""


def inventory(containers: int, networks: int) -> Inventory:
    """Containers with a host port each, spread over networks."""
    parts: list[Network | Container] = [
        build.network(f"net{n}", f"10.{n}.0.0/16") for n in range(networks)
    ]
    for number in range(containers):
        home = number % networks
        address = IPv4Address(f"10.{home}.0.2") + number // networks
        parts.append(
            build.container(
                f"app-{number}", f"net{home} {address}", published=f"{10_000 + number}:80"
            )
        )
    return build.inventory(*parts)


def routes(running: Inventory) -> tuple[Route, ...]:
    """To each network by its bridge, and to all else by eth0."""
    return (
        Route(ip_network("0.0.0.0/0"), "eth0"),
        *(Route(subnet, str(n.bridge)) for n in running.bridges() for subnet in n.subnets),
    )


def text(rules: int, sources: int, *, containers: int, beside: int = 0) -> PolicyText:
    """Rules of three kinds by turns: about a container, about a host port, a deny.

    ``beside``: so far are the sources of the first rule from where they were.
    """
    blocks = []
    for number in range(rules):
        first = int(IPv4Address("198.18.0.0")) + number * sources + (0 if number else beside)
        written = ", ".join(f'"{ip_network(first + n)}"' for n in range(sources))
        one = number % containers
        kind, target = (
            ("allow", f'to = "app-{one}"\nports = [80]'),
            ("allow", f"published = [{10_000 + one}]"),
            ("deny", f'to = "app-{one}"\nports = [80]'),
        )[number % 3]
        blocks.append(f"[[{kind}]]\n{target}\nfrom = [{written}]\n")
    return PolicyText((Document("/etc/dockerfw/config.toml", "\n".join(blocks).encode()),))


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


def assert_linear(counts: list[int]) -> None:
    """``counts`` are of one, two and four times as many: what is always the same cancels out."""
    first, second = counts[1] - counts[0], counts[2] - counts[1]
    assert second <= 2 * first * SLACK + FIXED, f"{counts}: {second / max(first, 1):.2f} times"
