"""What is ours by its name: nothing that no dockerfw would write."""

from __future__ import annotations

import pytest

from dockerfw.rules.names import is_our_chain, is_our_set


@pytest.mark.parametrize("name", ["DOCKERFW", "DOCKERFW-PRE-IN", "DOCKERFW-OF-OLD", "DOCKERFW_2"])
def test_chains_of_this_and_of_other_versions_are_ours(name: str) -> None:
    assert is_our_chain(name)


@pytest.mark.parametrize(
    "name",
    [
        "DOCKER",
        "DOCKER-USER",
        "MY-DOCKERFW",
        "dockerfw",
        "DOCKERFW(old)",
        "DOCKERFW~",
        "DOCKERFW\u00e4",
    ],
)
def test_other_chains_are_not(name: str) -> None:
    assert not is_our_chain(name)


@pytest.mark.parametrize(
    "name", ["dockerfw-allow4", "dockerfw-of.old", "dockerfw-allow4-u6b5f6890"]
)
def test_sets_of_this_and_of_other_versions_are_ours(name: str) -> None:
    assert is_our_set(name)


@pytest.mark.parametrize(
    "name", ["dockerfw", "dockerfwx", "my-dockerfw-x", "dockerfw-x~", "dockerfw-a b", 'dockerfw-q"']
)
def test_other_sets_are_not(name: str) -> None:
    assert not is_our_set(name)
