"""What counts where the kernel does not tell, and when the kernel counts as in sync."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

import pytest

from dockerfw.errors import Failed
from dockerfw.model.host import Backend, Cgroup, HostFacts, Proxy
from dockerfw.model.inventory import Inventory
from dockerfw.model.policy import Committer, Policy
from dockerfw.operations.check import RECORDED
from dockerfw.operations.reconcile import ATTEMPTS, Observation, Reconciler, with_backend
from dockerfw.operations.session import Session
from dockerfw.plan.planner import plan
from dockerfw.plan.state import ChainState, KernelState, TablesState
from dockerfw.plan.steps import Plan
from dockerfw.rules.compiler import compile_ruleset
from dockerfw.rules.ruleset import IPSet
from tests import build
from tests.edges.daemon.played_host import (
    FACTS,
    HostClock,
    PlayedKernel,
    PlayedReconciler,
    PlayedStore,
)

SHOP = build.inventory(
    build.network("front", "172.18.0.0/16"),
    build.container("web", "front 172.18.0.2", published="8080:80"),
)


@pytest.mark.parametrize(
    "stands, docker_user, reported, backend, wants_docker_user",
    [
        (None, True, None, None, True),
        (None, True, "iptables", "iptables", True),
        (None, True, "nftables", "nftables", False),
        ("nftables", False, None, "nftables", False),
        ("nftables", False, "iptables", "nftables", False),
        ("iptables", True, "nftables", "iptables", True),
    ],
)
def test_rules_of_docker_that_stand_count_before_what_it_reports(
    stands: Backend | None,
    docker_user: bool,
    reported: Backend | None,
    backend: Backend | None,
    wants_docker_user: bool,
) -> None:
    facts = HostFacts(backend=stands, docker_user=docker_user)
    found = with_backend(facts, Inventory(backend=reported))
    assert (found.backend, found.docker_user) == (backend, wants_docker_user)


class Stubborn(Reconciler):
    """Finds the kernel in sync only after so many writes: other tools undo what came before."""

    def __init__(self, session: Session, after: int) -> None:
        super().__init__(session.kernel, session.store, session.clock.time)
        self.after = after
        self.written = 0

    def observe(
        self,
        policy: Policy,
        inventory: Inventory,
        facts: HostFacts | None = None,
        before: Observation | None = None,
    ) -> Observation:
        del facts, before
        nothing = KernelState({f: TablesState(f) for f in RECORDED.families}, {}, None)
        ruleset = compile_ruleset(policy, inventory, RECORDED)
        steps = plan(nothing, ruleset, RECORDED, self.kernel.identity)
        in_sync = self.written >= self.after
        return Observation(RECORDED, ruleset, nothing, Plan() if in_sync else steps)

    def execute(self, seen: Observation, committer: Committer) -> None:
        del committer
        assert not seen.plan.in_sync
        self.written += 1


@pytest.mark.parametrize("after", range(ATTEMPTS + 1))
def test_the_seal_is_kept_on_disk_however_many_writes_it_took(
    session: Session, tmp_path: Path, after: int
) -> None:
    reconciler = Stubborn(session, after)
    result = reconciler.commit(Policy(), Inventory(), RECORDED)
    assert result.last.plan.in_sync
    assert reconciler.written == after
    seal = replace(result.last.ruleset.seal, proxies=None)
    kept = (tmp_path / "state" / "seal.nft").read_text()
    assert kept == session.kernel.seal_document(seal)


def test_a_kernel_that_does_not_stay_as_written_is_an_error(session: Session) -> None:
    reconciler = Stubborn(session, ATTEMPTS + 1)
    with pytest.raises(Failed, match="does not stay as written"):
        reconciler.commit(Policy(), Inventory(), RECORDED)
    assert reconciler.written == ATTEMPTS


class CountingKernel(PlayedKernel):
    """Counts how often all that stands was read."""

    reads = 0

    def read(
        self, facts: HostFacts, wanted: Iterable[IPSet] = (), *, headers_suffice: bool = False
    ) -> KernelState:
        self.reads += 1
        return super().read(facts, wanted, headers_suffice=headers_suffice)


class Planned(NamedTuple):
    """A host, and a policy for it with a rule that ends in a minute."""

    kernel: CountingKernel
    reconciler: PlayedReconciler
    policy: Policy
    clock: HostClock

    def plan(self) -> Observation:
        return self.reconciler.observe(self.policy, SHOP, FACTS)


@pytest.fixture
def planned(tmp_path: Path) -> Planned:
    kernel, clock = CountingKernel(), HostClock()
    reconciler = PlayedReconciler(kernel, PlayedStore(tmp_path), clock)
    ends = datetime.fromtimestamp(clock.time() + 60, timezone.utc)
    rule = build.allow("any", to="web", ports=80, until=ends)
    return Planned(kernel, reconciler, Policy(allows=(rule,)), clock)


def test_what_was_planned_under_the_lock_is_not_read_and_compiled_again(planned: Planned) -> None:
    seen = planned.plan()
    result = planned.reconciler.commit(planned.policy, SHOP, FACTS, seen)
    assert (planned.kernel.reads, result.steps > 0) == (2, True), "before the write and after it"
    assert result.first is seen
    assert result.last.ruleset is seen.ruleset


def test_where_nothing_is_to_be_written_all_is_read_once(planned: Planned) -> None:
    planned.kernel.stand(planned.plan().ruleset)
    planned.kernel.reads = 0
    result = planned.reconciler.commit(planned.policy, SHOP, FACTS, planned.plan())
    assert (planned.kernel.reads, result.steps) == (1, 0)


def test_a_rule_that_ends_between_two_looks_is_compiled_anew(planned: Planned) -> None:
    seen = planned.plan()
    planned.clock.now += 3600
    after = planned.reconciler.observe(planned.policy, SHOP, FACTS, seen)
    assert after.ruleset != seen.ruleset


def test_for_another_host_all_is_compiled_anew(planned: Planned) -> None:
    seen = planned.plan()
    proxy = Proxy(cgroup=Cgroup("dockerd.slice", level=1, inode=7))
    after = planned.reconciler.observe(planned.policy, SHOP, replace(FACTS, proxy=proxy), seen)
    assert after.ruleset.seal.proxies == proxy.cgroup


class Docker(CountingKernel):
    """Docker takes its jump out while somebody plans by it, and puts it back: it holds no lock."""

    def __init__(self) -> None:
        super().__init__()
        self.failed = 0

    def execute(self, seen: Observation) -> None:
        jumps = seen.live.tables[4].chain("filter", "FORWARD")
        assert jumps is not None
        if jumps.rules and not self.failed:
            self.failed += 1
            filled = self.live.tables[4].tables
            without = {**filled["filter"], "FORWARD": ChainState("ACCEPT", ())}
            self.live = replace(
                self.live, tables={4: TablesState(4, {**filled, "filter": without})}
            )
            raise Failed("Bad rule (does a matching rule exist in that chain?)")
        super().execute(seen)


def test_a_write_that_docker_came_before_is_planned_anew(tmp_path: Path) -> None:
    kernel, clock = Docker(), HostClock()
    reconciler = PlayedReconciler(kernel, PlayedStore(tmp_path), clock)
    result = reconciler.commit(Policy(), SHOP, FACTS)
    assert result.last.plan.in_sync
    assert (kernel.failed, len(kernel.written)) == (1, 1)


def test_a_write_that_fails_where_nothing_has_changed_is_told_at_once(planned: Planned) -> None:
    planned.kernel.broken = "no such program"
    with pytest.raises(Failed, match="no such program"):
        planned.reconciler.commit(planned.policy, SHOP, FACTS)
    assert planned.kernel.reads == 2, "before the write and after it"
