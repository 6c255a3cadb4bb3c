"""The last policies in force: each is there to go back to, and no more than are wanted."""

from __future__ import annotations

from pathlib import Path

import pytest

from dockerfw.errors import Failed
from dockerfw.model.history import Entry
from dockerfw.policy.document import Document
from dockerfw.policy.files import PolicyText
from dockerfw.state.history import MOST
from dockerfw.state.store import Store
from dockerfw.state.stored_policy import Applied
from tests.clock import NOW

CONFIG = "/etc/dockerfw/config.toml"


def policy(body: str, **files: bytes) -> PolicyText:
    return PolicyText((Document(CONFIG, body.encode()),), files)


def entry(number: int) -> Entry:
    return Entry(number, NOW + number, "alice", "apply", "", 1, 0, CONFIG, number - 1)


def put_in_force(store: Store, text: PolicyText) -> int:
    applied = store.policy.applied()
    number = store.history.number_for(text, applied.number if applied else 0)
    store.policy.replace(text, Applied(CONFIG, NOW, "nft", number=number))
    store.history.keep(entry(number))
    return number


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "lib", tmp_path / "run")


def test_each_policy_is_kept_as_it_was(store: Store) -> None:
    one, two = policy("# one", block=b"192.0.2.1\n"), policy("# two", block=b"192.0.2.1\n")
    assert [put_in_force(store, text) for text in (one, two)] == [1, 2]
    assert store.history.entries() == (entry(1), entry(2))
    assert [store.history.load(number) for number in (1, 2)] == [one, two]


def test_the_same_policy_again_is_no_other_one_whatever_its_lists_hold(store: Store) -> None:
    put_in_force(store, policy("# one", block=b"192.0.2.1\n"))
    assert put_in_force(store, policy("# one", block=b"192.0.2.2\n")) == 1
    assert put_in_force(store, policy("# two")) == 2
    assert put_in_force(store, policy("# one")) == 3, "it was another one meanwhile"


def test_so_many_are_kept(store: Store) -> None:
    for number in range(MOST + 3):
        put_in_force(store, policy(f"# {number}"))
    assert [kept.number for kept in store.history.entries()] == list(range(4, MOST + 4))
    with pytest.raises(Failed, match="policy 3 is not kept any more"):
        store.history.load(3)


def test_a_long_list_is_on_the_disk_once_and_for_root_alone(store: Store) -> None:
    for number in range(3):
        put_in_force(store, policy(f"# {number}", block=b"192.0.2.1\n" * 1000))
    files = [path for path in store.folder.rglob("*") if path.is_file()]
    assert len({path.stat().st_ino for path in files if path.stat().st_size == 10_000}) == 1
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    folders = [path for path in store.folder.rglob("*") if path.is_dir()]
    assert {path.stat().st_mode & 0o777 for path in folders} == {0o700}


def test_what_others_do_to_the_copy_in_force_is_nothing_to_those_that_are_kept(
    store: Store,
) -> None:
    text = policy("# one", block=b"192.0.2.1\n")
    put_in_force(store, text)
    store.policy.remember_lists(policy("# one", block=b"192.0.2.2\n"))
    put_in_force(store, policy("# two"))
    assert store.history.load(1) == text


def test_what_cannot_be_read_is_left_out(store: Store) -> None:
    put_in_force(store, policy("# one"))
    put_in_force(store, policy("# two"))
    (store.folder / "history/1/entry.json").write_text("{")
    assert store.history.entries() == (entry(2),)


def test_nobody_is_kept_before_the_first_apply(store: Store) -> None:
    assert store.history.entries() == ()
    assert store.history.number_for(policy("# one"), 0) == 1
