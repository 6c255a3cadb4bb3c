"""Locks, and what is kept beside the policy: the last inventory, and what is in the kernel."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from dockerfw.errors import Failed
from dockerfw.model.host import Bridge, HostFacts, Proxy
from dockerfw.model.inventory import Inventory
from dockerfw.model.net import Port
from dockerfw.plan.steps import Created
from dockerfw.state.store import Store
from tests.build import container, inventory, network

SHOP = inventory(
    network("front", "172.18.0.0/16"), container("web", "front 172.18.0.2", published="8080:80")
)
CHAIN, TABLE = Created(4, "DOCKER-USER"), Created(6, "mangle table")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "lib", tmp_path / "run")


# --- locks ---------------------------------------------------------------------------------------


def test_a_second_writer_waits_and_reports_that_once(store: Store) -> None:
    reported: list[str] = []
    done = threading.Event()

    def write() -> None:
        with store.lock(reported.append):
            done.set()

    with store.lock(reported.append):
        second = threading.Thread(target=write)
        second.start()
        assert not done.wait(0.1)
    second.join()
    assert done.is_set()
    assert reported == ["another dockerfw is at work: waiting for it"]


def test_a_lock_that_is_not_waited_for(store: Store) -> None:
    with store.try_lock() as ours:
        assert ours
        with store.try_lock() as again:
            assert not again
    with store.try_lock() as ours:
        assert ours


def test_a_lock_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    store = Store(tmp_path / "lib", tmp_path / "run")
    with pytest.raises(Failed, match="cannot write"), store.try_lock():
        pass


# --- the last inventory --------------------------------------------------------------------------


def test_what_was_last_seen_comes_back(store: Store) -> None:
    assert store.last_seen.inventory() == Inventory()
    store.last_seen.remember(SHOP)
    assert store.last_seen.inventory() == SHOP


def test_the_same_inventory_is_not_written_again(store: Store) -> None:
    store.last_seen.remember(SHOP)
    before = (store.folder / "inventory.json").stat().st_ino
    store.last_seen.remember(SHOP)
    assert (store.folder / "inventory.json").stat().st_ino == before


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"schema": 99}'])
def test_a_broken_inventory_is_empty(store: Store, content: bytes) -> None:
    store.last_seen.remember(SHOP)
    (store.folder / "inventory.json").write_bytes(content)
    assert store.last_seen.inventory() == Inventory()


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"bridges": ["virbr0"]}', '{"bridges": {"docker0": 1, "a b": 2, "x": null}}'],
)
def test_a_broken_record_of_bridges_knows_none(store: Store, content: str) -> None:
    facts = HostFacts(bridges=(Bridge("virbr0", index=5),), foreign_bridges=frozenset({"virbr0"}))
    store.last_seen.remember_host(facts)
    assert store.last_seen.foreign_bridges() == {"virbr0": 5}
    (store.folder / "foreign-bridges.json").write_text(content)
    assert store.last_seen.foreign_bridges() == {}


def test_what_was_seen_of_dockerd_outlives_it(store: Store) -> None:
    seen = Proxy(
        first_packet="closed",
        homes=("engine.slice/docker.service",),
        dockerd_ports=frozenset({Port("tcp", 2375), Port("udp", 7946)}),
    )
    for proxy in (seen, Proxy(first_packet="unseen")):
        store.last_seen.remember_host(HostFacts(proxy=proxy))
        kept = store.last_seen.dockerd()
        assert (kept.homes, kept.dockerd_ports) == (seen.homes, seen.dockerd_ports)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"homes": "x", "ports": []}',
        '{"homes": [7], "ports": [7, [], ["tcp"], ["tcp", 0], ["icmp", 1], [["tcp"], 1]]}',
    ],
)
def test_a_broken_record_of_dockerd_knows_nothing(store: Store, content: str) -> None:
    store.folder.mkdir(parents=True, exist_ok=True)
    (store.folder / "dockerd.json").write_text(content)
    assert store.last_seen.dockerd() == Proxy()
    assert store.last_seen.dockerd().homes == ()


# --- what is in the kernel -----------------------------------------------------------------------


def test_what_was_made_adds_up(store: Store) -> None:
    assert store.kernel.created() == frozenset()
    store.kernel.remember_created((CHAIN,))
    store.kernel.remember_created((TABLE, CHAIN))
    assert store.kernel.created() == {CHAIN, TABLE}


@pytest.mark.parametrize("content", ["", "[]", '{"created": 7}', '{"created": [{"x": 1}]}'])
def test_a_broken_record_of_it_is_empty(store: Store, content: str) -> None:
    store.kernel.remember_created((CHAIN,))
    (store.folder / "created.json").write_text(content)
    assert store.kernel.created() == frozenset()


def test_the_seal_is_a_file_to_include(store: Store) -> None:
    store.kernel.keep_seal("table inet dockerfw {}\n")
    assert (store.folder / "seal.nft").read_text() == "table inet dockerfw {}\n"


# --- all of it -----------------------------------------------------------------------------------


def test_nothing_is_left_when_all_is_forgotten(store: Store) -> None:
    store.last_seen.remember(SHOP)
    store.kernel.remember_created((CHAIN,))
    store.confirm.begin(0.0)
    store.forget()
    assert list(store.folder.iterdir()) == []


def test_the_folders_are_for_root_alone(store: Store) -> None:
    store.last_seen.remember(SHOP)
    with store.try_lock():
        modes = {folder.stat().st_mode & 0o777 for folder in (store.folder, store.run)}
    assert modes == {0o700}
