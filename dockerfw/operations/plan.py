"""What an apply would change, with nothing written: for this host, or for a recorded inventory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Inventory
from dockerfw.operations.bridge_owners import ask_docker, by_answer
from dockerfw.operations.check import RECORDED, CheckedPolicy, check
from dockerfw.operations.foreign_rules import foreign_rule_warnings
from dockerfw.operations.host_names import with_names
from dockerfw.operations.lan_networks import with_networks, without_networks
from dockerfw.operations.reconcile import Observation
from dockerfw.operations.session import Session
from dockerfw.operations.standing import chains_stand
from dockerfw.plan import planner
from dockerfw.plan.state import KernelState, TablesState
from dockerfw.plan.steps import Plan
from dockerfw.policy.files import PolicyText
from dockerfw.report import diff, host_warnings, warnings as advice
from dockerfw.report.bypasses import bypasses
from dockerfw.report.mode_change import mode_change, standing_mode
from dockerfw.report.obstacles import published_obstacles
from dockerfw.report.unfiltered import not_filtered
from dockerfw.rules.compiler import compile_ruleset

UNDER_LOCK_PATIENCE = 5.0
"""Seconds that a Docker which has just answered may take to answer once more, while others wait."""


@dataclass(frozen=True)  # without slots: it keeps its `changes`
class PolicyPlan:
    """A checked policy, and the way from what stands in the kernel to what it wants there.

    ``foreign`` are warnings of rules that are not dockerfw's; ``hints`` are remarks on what works
    but could be better. ``left_to_daemon``: what differs is no change, the daemon is about to
    write it.
    """

    checked: CheckedPolicy
    observation: Observation
    foreign: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    left_to_daemon: bool = False

    @property
    def plan(self) -> Plan:
        return Plan() if self.left_to_daemon else self.observation.plan

    @property
    def observing(self) -> bool:
        """Whether the policy is in mode ``observe``."""
        return self.checked.policy.mode == "observe"

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings of the policy and of foreign rules: those that ``--strict`` refuses."""
        return (*self.checked.warnings, *self.foreign)

    @property
    def all_warnings(self) -> tuple[str, ...]:
        """`warnings`, and what cannot be enforced on this host."""
        return (*self.warnings, *self.checked.unenforced)

    @cached_property
    def changes(self) -> diff.Diff:
        """Which port opens or closes, to whom."""
        seen = self.observation
        return diff.diff(
            seen.live.sets,
            seen.ruleset,
            self.checked.inventory,
            before_installed=chains_stand(seen.live),
            live_tables=seen.live.tables,
            host_names=self.checked.text.names,
            worded=diff.worded(
                source for rule in self.checked.policy.statements for source in rule.sources
            ),
            forwards=seen.facts.forwards,
            observing=self.observing,
            observed=standing_mode(seen.live) == "observe",
        )


def plan(session: Session, text: PolicyText) -> PolicyPlan:
    """Plan for this host as it is now.

    Raises `PolicyError` for a policy that is refused, `Failed` without root or Docker.
    """
    session.require_root()
    return _plan_by(session, *_ask(session, text))


def begin_plan(session: Session, text: PolicyText) -> Callable[[], PolicyPlan]:
    """As `plan`, in two halves, for who writes by it.

    What may take long is done at once: names, and which bridges are Docker's. What is returned
    asks once more what runs, and plans: to be called under the lock, so that nothing older is
    written than what others have written meanwhile.
    """
    session.require_root()
    text, facts, _ = _ask(session, text)

    def finish() -> PolicyPlan:
        inventory = session.inventory(text.parse(), UNDER_LOCK_PATIENCE, warn=False)
        owned = by_answer(facts, inventory, among=facts.foreign_bridges)
        return _plan_by(session, text, owned, inventory)

    return finish


def _ask(session: Session, text: PolicyText) -> tuple[PolicyText, HostFacts, Inventory]:
    """Return what the policy's names stand for, the host, and what runs on it."""
    with session.phase("reading this host"):
        text = with_networks(session.kernel, with_names(session.store, text, session.clock))
        return text, *ask_docker(session, text.parse(), session.kernel.facts())


def _plan_by(
    session: Session, text: PolicyText, facts: HostFacts, inventory: Inventory
) -> PolicyPlan:
    with session.phase("checking the policy"):
        checked = check(text, inventory, facts, session.clock.time())
    with session.phase("comparing it with what stands"):
        observation = session.reconciler.observe(checked.policy, checked.inventory, facts)
    daemon_alive = session.store.daemon.alive()
    # The daemon guards ports of a container that is gone for a little longer.
    left = daemon_alive and planner.only_releases_ports(observation.plan)
    with session.phase("reading rules of others"):
        foreign = foreign_rule_warnings(session.kernel, observation)
        tables = session.kernel.foreign_tables(facts)
        hints: tuple[str, ...] = (
            *mode_change(observation.live, checked.policy),
            *not_filtered(checked.policy, checked.inventory),
            *host_warnings.hints(checked.inventory, facts),
            *published_obstacles(tables, checked.inventory),
            *bypasses(tables),
        )
    if not daemon_alive:
        hints += advice.ended_early(checked.policy, session.clock.time())
    return PolicyPlan(checked, observation, foreign, hints, left)


def plan_from_nothing(session: Session, text: PolicyText, inventory: Inventory) -> PolicyPlan:
    """Plan for a recorded inventory, on a host where nothing of dockerfw stands yet."""
    now = session.clock.time()
    text = without_networks(with_names(session.store, text, session.clock))
    checked = check(text, inventory, RECORDED, now)
    empty = KernelState({f: TablesState(f) for f in RECORDED.families}, {}, None)
    ruleset = compile_ruleset(checked.policy.without_ended(now), checked.inventory, RECORDED)
    steps = planner.plan(empty, ruleset, RECORDED, session.kernel.identity)
    hints = not_filtered(checked.policy, checked.inventory)
    return PolicyPlan(checked, Observation(RECORDED, ruleset, empty, steps), hints=hints)
