"""The first process of the image: when it applies a policy, and which rights it needs."""

from __future__ import annotations

from pathlib import Path
from runpy import run_path
from types import SimpleNamespace

import pytest

from tests.paths import REPOSITORY

# By its path: the name `packaging` is that of another package.
container = SimpleNamespace(**run_path(str(REPOSITORY / "packaging" / "docker" / "container.py")))
ONE, OTHER = (("config.toml", 1, 1, 1),), (("config.toml", 1, 2, 7),)


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
