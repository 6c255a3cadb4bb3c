"""What counts where the kernel does not tell, and when the kernel counts as in sync."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dockerfw.errors import Failed
from dockerfw.model.host import Backend, HostFacts
from dockerfw.model.inventory import Inventory
from dockerfw.model.policy import Committer, Policy
from dockerfw.operations.check import RECORDED
from dockerfw.operations.reconcile import ATTEMPTS, Observation, Reconciler, with_backend
from dockerfw.operations.session import Session
from dockerfw.plan.planner import plan
from dockerfw.plan.state import KernelState, TablesState
from dockerfw.plan.steps import Plan
from dockerfw.rules.compiler import compile_ruleset


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
        self, policy: Policy, inventory: Inventory, facts: HostFacts | None = None
    ) -> Observation:
        del facts
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
