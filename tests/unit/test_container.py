"""The first process of the image: when it applies a policy, and which rights it needs."""

from __future__ import annotations

import os
from pathlib import Path
from runpy import run_path
from types import SimpleNamespace

import pytest

from tests.paths import REPOSITORY

# By its path: the name `packaging` is that of another package.
container = SimpleNamespace(**run_path(str(REPOSITORY / "packaging" / "docker" / "container.py")))
ONE, OTHER = (("config.toml", 1, 1, 1, 1),), (("config.toml", 1, 2, 2, 7),)


def test_the_first_policy_is_applied_at_once() -> None:
    assert container.Watch().due(ONE)


def test_a_policy_that_is_being_written_is_not_applied_before_it_stays_as_it_is() -> None:
    watch = container.Watch(applied=ONE, seen=ONE)
    assert [watch.due(now) for now in (ONE, OTHER, ONE + OTHER, ONE + OTHER)] == [
        False, False, False, True,
    ]  # fmt: skip


def test_a_policy_that_was_refused_is_tried_again_and_one_in_force_is_not() -> None:
    watch = container.Watch()
    assert [watch.due(ONE), watch.due(ONE)] == [True, True]
    watch.applied = ONE
    assert not watch.due(ONE)


def test_each_change_in_the_folder_of_the_policy_is_another_stamp(tmp_path: Path) -> None:
    policy, part = tmp_path / "config.toml", tmp_path / "conf.d" / "a.toml"
    stamps = [container.stamp(policy)]
    policy.write_text("")
    stamps.append(container.stamp(policy))
    part.parent.mkdir()
    part.write_text("")
    stamps.append(container.stamp(policy))
    part.write_text("# longer")
    stamps.append(container.stamp(policy))
    (tmp_path / "new").write_text("")
    (tmp_path / "new").replace(policy)
    stamps.append(container.stamp(policy))

    assert len(set(stamps)) == len(stamps)
    assert container.stamp(policy) == stamps[-1]


@pytest.mark.parametrize(
    "held, missing",
    [
        ("0000000000003000", []),
        ("000001ffffffffff", []),
        ("00000000a80425fb", ["NET_ADMIN"]),
        ("0000000000000000", ["NET_ADMIN", "NET_RAW"]),
    ],
)
def test_missing_capabilities_are_named(held: str, missing: list[str]) -> None:
    status = f"Name:\tpython3\nCapPrm:\t{held}\nCapEff:\t{held}\n"
    assert container.missing_capabilities(status) == missing


class Turning:
    """A container that starts no process, at a policy in a folder; ``refused`` is what apply says,
    and while there is a file ``lockdown`` all is locked down.
    """

    def __init__(self, folder: Path) -> None:
        self.policy, self.said = folder / "etc" / "config.toml", folder / "said"
        self.lockdown = folder / "lockdown"
        self.refused: str | None = None
        self.policy.parent.mkdir()
        self.policy.write_text("")
        # Of a copy of its own of the module.
        kind = run_path(str(REPOSITORY / "packaging" / "docker" / "container.py"))["Container"]
        store = SimpleNamespace(policy=SimpleNamespace(locked_down=self.lockdown.exists))
        kind.turn.__globals__.update(
            POLICY=self.policy, SAID=self.said, Store=lambda: store, _run=lambda *_: self.refused
        )
        self._container = kind()
        self._container._daemon = SimpleNamespace(poll=lambda: None)

    def turns(self, number: int = 2) -> str:
        """Return what the health check is told after so many turns."""
        for _ in range(number):
            self._container.turn()
        return self.said.read_text()


def test_a_lockdown_that_has_ended_is_not_told_for_ever(tmp_path: Path) -> None:
    turning = Turning(tmp_path)
    assert turning.turns() == ""
    turning.lockdown.touch()
    assert "locked down" in turning.turns()
    turning.lockdown.unlink()
    assert turning.turns() == ""


def test_a_policy_that_is_put_back_after_a_refused_one_is_well(tmp_path: Path) -> None:
    turning, kept = Turning(tmp_path), tmp_path / "kept"
    assert turning.turns() == ""
    turning.policy.rename(kept)
    turning.policy.write_text("broken")
    turning.refused = "config.toml:1: no"
    assert turning.turns() == "config.toml:1: no"
    turning.refused = None
    kept.rename(turning.policy)
    assert turning.turns() == ""


def test_a_change_that_keeps_size_and_time_is_another_stamp(tmp_path: Path) -> None:
    policy = tmp_path / "config.toml"
    policy.write_text("from = 10")
    before, times = container.stamp(policy), policy.stat()
    policy.write_text("from = 11")
    os.utime(policy, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert container.stamp(policy) != before
