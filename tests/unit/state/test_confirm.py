"""An apply that is not confirmed, and the way back."""

from __future__ import annotations

from pathlib import Path

import pytest

from dockerfw.policy.document import Document
from dockerfw.policy.files import PolicyText
from dockerfw.state.store import Store
from dockerfw.state.stored_policy import Applied

DEADLINE = 1_800_000_060.0


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "lib", tmp_path / "run")


def apply(store: Store, body: bytes) -> None:
    text = PolicyText((Document("/etc/dockerfw/config.toml", body),))
    store.policy.replace(text, Applied("/etc/dockerfw/config.toml", float(len(body)), "nft"))


def body(store: Store) -> bytes | None:
    text = store.policy.load()
    return None if text is None else text.documents[0].text


def test_nothing_waits_at_first(store: Store) -> None:
    assert store.confirm.pending() is None
    store.confirm.keep()
    assert not store.confirm.was_kept("any")


def test_what_waits_is_found_by_other_processes(store: Store) -> None:
    pending = store.confirm.begin(DEADLINE)
    assert pending.deadline == DEADLINE
    assert Store(store.folder, store.run).confirm.pending() == pending


def test_each_apply_has_a_token_of_its_own(store: Store) -> None:
    assert store.confirm.begin(DEADLINE).token != store.confirm.begin(DEADLINE).token


def test_kept_is_kept(store: Store) -> None:
    pending = store.confirm.begin(DEADLINE)
    apply(store, b"# new")
    store.confirm.keep()
    assert store.confirm.pending() is None
    assert store.confirm.was_kept(pending.token)
    assert not store.confirm.was_kept("other")
    assert body(store) == b"# new"


def test_the_previous_policy_comes_back_with_its_record(store: Store) -> None:
    apply(store, b"# previous")
    before = store.policy.applied()
    pending = store.confirm.begin(DEADLINE)
    apply(store, b"# new")
    assert store.confirm.restore_previous() is None
    assert body(store) == b"# previous"
    assert store.policy.applied() == before
    assert store.confirm.pending() == pending, "until the kernel has it"
    store.confirm.end(kept=False)
    assert store.confirm.pending() is None
    assert not store.confirm.was_kept(pending.token)


def test_before_the_first_apply_there_is_nothing_to_go_back_to(store: Store) -> None:
    store.confirm.begin(DEADLINE)
    apply(store, b"# new")
    assert not store.confirm.has_previous()
    assert store.confirm.restore_previous() is None
    assert body(store) is None
    assert not store.policy.exists()


@pytest.mark.parametrize("content", ["", "{", "[]", "7", '{"token": 1}', '{"other": 1}'])
def test_a_broken_record_is_no_apply_that_waits(store: Store, content: str) -> None:
    store.confirm.begin(DEADLINE)
    (store.folder / "pending.json").write_text(content)
    assert store.confirm.pending() is None


@pytest.mark.parametrize("deadline", ['"soon"', "null", "[]"])
def test_a_deadline_that_is_none_is_no_apply_that_waits(store: Store, deadline: str) -> None:
    store.confirm.begin(DEADLINE)
    (store.folder / "pending.json").write_text(f'{{"token": "a", "deadline": {deadline}}}')
    assert store.confirm.pending() is None


def test_the_second_of_two_that_nobody_confirmed_goes_back_to_before_the_first(
    store: Store,
) -> None:
    apply(store, b"# A")
    first = store.confirm.begin(DEADLINE)
    apply(store, b"# B")
    second = store.confirm.begin(DEADLINE - 30)
    apply(store, b"# C")
    assert store.confirm.pending() == second
    assert store.confirm.was_replaced(first.token)
    store.confirm.restore_previous()
    store.confirm.end(kept=False)
    assert body(store) == b"# A"
    assert not store.confirm.was_replaced(second.token)


def test_a_lockdown_before_the_apply_comes_back_and_one_after_it_stays(store: Store) -> None:
    store.policy.set_lockdown(True)
    for now in (False, True):
        store.confirm.begin(DEADLINE)
        apply(store, b"# new")
        store.policy.set_lockdown(now)
        assert store.confirm.has_previous()
        store.confirm.restore_previous()
        store.confirm.end(kept=False)
        assert (store.policy.locked_down(), body(store)) == (True, None)


def test_what_cannot_be_gone_back_to_is_locked_down(store: Store) -> None:
    apply(store, b"# A")
    store.confirm.begin(DEADLINE)
    apply(store, b"# B")
    (store.folder / "previous" / "policy" / "manifest.json").write_text("{")
    assert "LOCKED DOWN" in str(store.confirm.restore_previous())
    assert store.policy.locked_down()
