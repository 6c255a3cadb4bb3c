"""On which terms a policy is put in force, and in which order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dockerfw.errors import Failed, PolicyError
from dockerfw.model.history import Entry
from dockerfw.operations.apply import APPLY, Act, Outcome, Terms, apply
from dockerfw.operations.plan import PolicyPlan, plan_from_nothing
from dockerfw.operations.session import Session
from dockerfw.policy.files import PolicyText
from dockerfw.state.confirm import Pending
from dockerfw.state.stored_policy import Applied
from tests import build
from tests.clock import NOW
from tests.unit.operations.conftest import PlayedSession

POLICY = '[[allow]]\nto = "web"\nports = [80]\nfrom = ["any"]\n'
SHOP = build.inventory(
    build.network("front", "172.18.0.0/16"),
    build.container("web", "front 172.18.0.2", published="8080:80"),
)


class Bench:
    """Applies one policy; what it does beyond the store is written down in ``done``."""

    def __init__(self, session: PlayedSession, config: Path) -> None:
        self.session = session
        self.config = config
        self.done: list[str] = []
        self.foreign: tuple[str, ...] = ()
        self.unenforced: tuple[str, ...] = ()
        self.running = SHOP
        self.while_asking: Callable[[], object] = lambda: None
        session.reconciler.before_commit = self._before_commit

    def _ask(self, session: Session, text: PolicyText) -> Callable[[], PolicyPlan]:
        self.while_asking()

        def plan() -> PolicyPlan:
            assert not lock_is_free(session), "it is planned under the lock"
            found = plan_from_nothing(session, text, self.running)
            checked = replace(found.checked, unenforced=self.unenforced)
            return replace(found, checked=checked, foreign=self.foreign)

        return plan

    def _before_commit(self) -> None:
        assert self.session.store.policy.applied() is not None, "the copy comes first"
        assert not self.session.store.policy.locked_down()
        self.done.append("commit")

    def _start_rollback(self, pending: Pending) -> None:
        assert pending == self.session.store.confirm.pending()
        self.done.append("start rollback")

    def apply(
        self,
        terms: Terms,
        agree: Callable[[PolicyPlan], None] | None = None,
        act: Act = APPLY,
    ) -> Outcome:
        return apply(self.session, self.config, terms, self._start_rollback, self._ask, agree, act)


def lock_is_free(session: Session) -> bool:
    with session.store.try_lock() as ours:
        return ours


@pytest.fixture
def bench(played: PlayedSession, tmp_path: Path) -> Bench:
    config = tmp_path / "config.toml"
    config.write_text(POLICY)
    config.chmod(0o600)
    return Bench(played, config)


def test_the_policy_in_force_is_the_one_that_was_applied(bench: Bench) -> None:
    bench.session.store.policy.set_lockdown(True)
    outcome = bench.apply(Terms())
    store = bench.session.store
    assert store.policy.load() == outcome.planned.checked.text
    assert store.policy.applied() == Applied(
        str(bench.config), NOW, "nft", given=("nf_tables", "frames", "labels"), number=1
    )
    assert store.last_seen.inventory().containers == SHOP.containers
    assert (outcome.steps, outcome.pending, bench.done) == (3, None, ["commit"])


def test_what_cannot_be_enforced_has_to_be_allowed(bench: Bench) -> None:
    bench.unenforced = ("a path is open", "another too")
    with pytest.raises(Failed, match="cannot hold here: a path is open; another too"):
        bench.apply(Terms())
    assert (bench.done, bench.session.store.policy.applied()) == ([], None)
    assert bench.apply(Terms(allow_unenforced=True)).steps == 3


def test_strict_refuses_warnings(bench: Bench) -> None:
    bench.foreign = ("a rule of others accepts",)
    with pytest.raises(PolicyError) as refused:
        bench.apply(Terms(strict=True))
    assert refused.value.findings == ("a rule of others accepts (--strict)",)
    assert (bench.done, bench.session.store.policy.applied()) == ([], None)
    assert bench.apply(Terms()).steps == 3


def test_the_way_back_is_there_before_anything_is_written(bench: Bench) -> None:
    outcome = bench.apply(Terms(confirm_seconds=10))
    assert bench.done == ["start rollback", "commit"]
    assert outcome.pending is not None
    assert outcome.pending.deadline == NOW + 10


def test_only_the_first_apply_waits_by_itself(bench: Bench) -> None:
    first = bench.apply(Terms(first_confirm_seconds=60))
    assert first.pending is not None
    assert first.pending.deadline == NOW + 60
    assert bench.apply(Terms(first_confirm_seconds=60)).pending is None


def test_an_apply_that_waits_for_nothing_keeps_the_one_before_it(bench: Bench) -> None:
    waiting = bench.apply(Terms(confirm_seconds=10)).pending
    assert waiting is not None
    bench.apply(Terms())
    assert bench.session.store.confirm.was_kept(waiting.token)


def test_while_docker_is_asked_others_may_write(bench: Bench) -> None:
    free: list[bool] = []
    bench.while_asking = lambda: free.append(lock_is_free(bench.session))
    assert bench.apply(Terms()).steps == 3
    assert free == [True]


def test_a_lockdown_that_comes_while_docker_is_asked_is_not_ended(bench: Bench) -> None:
    bench.while_asking = lambda: bench.session.store.policy.set_lockdown(True)
    with pytest.raises(Failed, match="locked down meanwhile"):
        bench.apply(Terms())
    assert bench.session.store.policy.locked_down()
    assert (bench.done, bench.session.store.policy.applied()) == ([], None)


# --- agreed to before anything is written --------------------------------------------------------


def test_nothing_is_written_before_it_is_agreed_to(bench: Bench) -> None:
    asked: list[PolicyPlan] = []

    def agree(planned: PolicyPlan) -> None:
        assert lock_is_free(bench.session), "others may write as long as nobody answers"
        assert bench.done == []
        asked.append(planned)

    assert bench.apply(Terms(confirm_seconds=10), agree).steps == 3
    assert len(asked) == 1
    assert bench.done == ["start rollback", "commit"]


def test_what_is_not_agreed_to_changes_nothing(bench: Bench) -> None:
    def refuse(_planned: PolicyPlan) -> None:
        raise Failed("no")

    with pytest.raises(Failed, match="no"):
        bench.apply(Terms(first_confirm_seconds=60), refuse)
    assert (bench.done, bench.session.store.policy.applied()) == ([], None)
    assert bench.session.store.confirm.pending() is None


def test_what_changed_meanwhile_is_asked_again(bench: Bench, notices: list[str]) -> None:
    asked: list[PolicyPlan] = []

    def agree(planned: PolicyPlan) -> None:
        asked.append(planned)
        if len(asked) == 1:
            db = build.container("db", "front 172.18.0.3", published="5432:5432")
            bench.running = replace(SHOP, containers=(*SHOP.containers, db))

    bench.apply(Terms(), agree)
    assert [len(planned.checked.inventory.containers) for planned in asked] == [1, 2]
    assert notices == ["meanwhile it would change something else:"]
    assert bench.done == ["commit"]


def test_what_changes_each_time_is_given_up(bench: Bench) -> None:
    def agree(planned: PolicyPlan) -> None:
        number = len(planned.checked.inventory.containers) + 1
        more = build.container(f"db{number}", f"front 172.18.0.{number}")
        bench.running = replace(bench.running, containers=(*bench.running.containers, more))

    with pytest.raises(Failed, match="another thing each time"):
        bench.apply(Terms(), agree)
    assert bench.done == []


def test_where_nothing_opens_or_closes_nobody_is_asked(bench: Bench) -> None:
    bench.config.write_text('[firewall]\nmode = "observe"\n' + POLICY)

    def agree(_planned: PolicyPlan) -> None:
        raise AssertionError("asked")

    outcome = bench.apply(Terms(first_confirm_seconds=60), agree)
    assert outcome.first
    assert outcome.pending is None, "nothing is dropped that could lock anybody out"


def test_a_lockdown_that_comes_while_it_is_asked_is_not_ended(bench: Bench) -> None:
    def agree(_planned: PolicyPlan) -> None:
        bench.session.store.policy.set_lockdown(True)

    with pytest.raises(Failed, match="locked down meanwhile"):
        bench.apply(Terms(), agree)
    assert bench.done == []


def test_from_afar_every_apply_by_which_something_changes_waits(bench: Bench) -> None:
    terms = Terms(afar_confirm_seconds=60)
    assert bench.apply(Terms()).pending is None
    waiting = bench.apply(terms).pending
    assert waiting is not None
    assert waiting.deadline == NOW + 60
    bench.config.write_text('[firewall]\nmode = "observe"\n' + POLICY)
    assert bench.apply(terms).pending is None


# --- what is kept of it --------------------------------------------------------------------------


def test_each_policy_is_kept_with_who_put_it_in_force_and_why(bench: Bench) -> None:
    bench.apply(Terms(), act=Act("alice", "apply", "the first"))
    bench.apply(Terms(), act=Act("bob", "apply", "once more"))
    bench.config.write_text(POLICY + "# another\n")
    bench.apply(Terms(), act=Act("carol", "allow"))
    first, other = bench.session.store.history.entries()
    at, config = NOW, str(bench.config)
    assert first == Entry(1, at, "alice", "apply", "the first", first.opens, 2, config, before=0)
    assert other == Entry(2, at, "carol", "allow", "", first.opens, 2, config, before=1)


def test_what_begins_it_may_stop_it(bench: Bench) -> None:
    def stop() -> None:
        assert not lock_is_free(bench.session)
        raise Failed("the files were changed")

    with pytest.raises(Failed, match="the files were changed"):
        bench.apply(Terms(confirm_seconds=10), act=Act(begin=stop))
    assert (bench.done, bench.session.store.policy.applied()) == ([], None)


def test_a_policy_that_cannot_be_kept_is_in_force_all_the_same(
    bench: Bench, notices: list[str]
) -> None:
    bench.session.store.folder.mkdir()
    (bench.session.store.folder / "history").write_text("in the way")
    assert bench.apply(Terms()).steps == 3
    assert notices[0].startswith("warning: dockerfw rollback will not find this policy: ")
