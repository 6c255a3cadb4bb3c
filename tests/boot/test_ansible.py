"""The collection of Ansible, on three booted machines and over a real sshd."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.boot.fleet import POLICY, WITHOUT_ADMINS, Fleet, comes_in, fleet as a_fleet
from tests.engine.scene import CONFIG, allow

pytestmark = pytest.mark.engine

# What the second host alone has: the others have no such container.
BROKEN_ON_TWO = '[[expect]]\nfrom = "192.0.2.17"\nto = "bastion:22"\nis = "denied"\n'
MORE = POLICY + allow("published = [8080]", "203.0.113.77")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with a_fleet(tmp_path_factory.mktemp("package")) as made:
        yield made


def test_all_are_protected_one_after_the_other_and_a_second_time_nothing_changes(
    fleet: Fleet,
) -> None:
    assert set(fleet.protected().values()) == {(True, True)}
    first = fleet.first
    assert first.status == 0, first.said
    assert first.counted("changed") == {"one": 3, "two": 1, "three": 1}
    assert set(fleet.protected().values()) == {(True, False)}
    for machine in fleet.machines.values():
        machine.dockerfw("status")

    second = fleet.roll_out(POLICY)

    assert second.status == 0, second.said
    assert set(second.counted("changed").values()) == {0}, second.said


def test_check_mode_shows_the_plan_and_the_lines_and_touches_nothing(fleet: Fleet) -> None:
    fleet.begin_with()
    before = fleet.state("one")

    play = fleet.roll_out(MORE, "--check", "--diff", "--limit", "one")

    assert play.status == 0, play.said
    assert "dockerfw plan:" in play.said
    assert "203.0.113.77" in play.said
    assert "\n+published = [8080]" in play.said
    assert play.counted("changed") == {"one": 1}
    assert fleet.state("one") == before


def test_who_is_locked_out_goes_back_and_the_next_is_not_touched(fleet: Fleet) -> None:
    fleet.begin_with()
    before = {name: fleet.state(name) for name in fleet.machines}
    # The others have their time, and this one is waited for.
    confirm = "{{ 10 if inventory_hostname == 'two' else 60 }}"

    play = fleet.roll_out(WITHOUT_ADMINS, confirm=confirm)

    assert play.status != 0
    assert "two has gone back to what was in force before" in play.said, play.said
    assert play.counted("failed") == {"one": 0, "two": 1}
    assert fleet.state("one") != before["one"]
    assert fleet.state("two") == before["two"]
    assert fleet.state("three") == before["three"]
    assert comes_in(fleet.controller, "two")
    assert fleet.machines["two"].read(CONFIG) == POLICY


def test_where_an_expectation_is_broken_it_stops_and_changes_nothing(fleet: Fleet) -> None:
    fleet.begin_with()
    before = {name: fleet.state(name) for name in fleet.machines}

    play = fleet.roll_out(POLICY + BROKEN_ON_TWO)

    assert play.status != 0
    assert play.counted("failed") == {"one": 0, "two": 1}
    assert f"{CONFIG}:" in play.said
    assert fleet.state("one") != before["one"]
    assert fleet.state("two") == before["two"]
    assert fleet.state("three") == before["three"]


def test_a_mistake_is_one_sentence_with_file_and_line_and_no_host_is_touched(
    fleet: Fleet,
) -> None:
    fleet.begin_with()
    before = {name: fleet.state(name) for name in fleet.machines}

    play = fleet.roll_out(POLICY.replace("ports = [80]", "port = [80]"))

    assert play.status != 0
    assert play.counted("failed") == {"one": 1}
    line = POLICY[: POLICY.index("ports = [80]")].count("\n") + 1
    assert f'"msg": "{CONFIG}:{line}: ' in play.said, play.said
    assert {name: fleet.state(name) for name in fleet.machines} == before
