"""A rule with ``until`` ends by the kernel's own clock, with nobody there to write anything."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import pytest

from dockerfw.model.policy import Policy
from tests.build import allow, policy
from tests.lab.host import HOST_V4
from tests.lab.place import Probe, disagreements
from tests.lab.wait import until as wait_until
from tests.packets.scene import Scene, at

FRIEND, OTHER = "198.51.100.7", "203.0.113.9"
LATER = datetime(2090, 1, 1, tzinfo=timezone.utc)


@pytest.fixture
def scene() -> Iterator[Scene]:
    with Scene() as scene:
        yield scene


def ending(moment: datetime) -> Policy:
    """A friend and a tunnel until then, somebody else for ever."""
    return policy(
        allow(FRIEND, to="web", ports=80, until=moment),
        allow("iface:wg0", to="web", ports="1-65535", until=moment),
        allow(OTHER, to="web", ports=80),
    )


def timed(scene: Scene) -> dict[str, int]:
    """Every entry that ends, as ``SET ENTRY``, with the seconds that it has left."""
    saved = scene.host.run(["ipset", "save"]).stdout
    found = re.findall(r"^add (\S+-u\S+ \S+) timeout (\d+)", saved, re.MULTILINE)
    return {entry: int(left) for entry, left in found}


def surprises(scene: Scene, *, open_to_friend: bool) -> list[str]:
    outside, web = scene.outside, at("web", 4)
    friend = [
        Probe(outside, "tcp", web, 80, source=FRIEND),
        Probe(outside, "tcp", HOST_V4, 8080, source=FRIEND),
        Probe(outside, "tcp", web, 443, source="10.9.0.2"),
    ]
    other = [
        Probe(outside, "tcp", web, 80, source=OTHER),
        Probe(outside, "tcp", HOST_V4, 8080, source=OTHER),
    ]
    return disagreements(
        [*((probe, open_to_friend) for probe in friend), *((probe, True) for probe in other)]
    )


def test_it_ends_in_flows_old_and_new_and_the_next_apply_clears_up(scene: Scene) -> None:
    scene.commit(ending(datetime.now(timezone.utc) + timedelta(seconds=10)))
    assert surprises(scene, open_to_friend=True) == []
    web = at("web", 4)
    cut = [
        scene.outside.flow("tcp", web, 80, source=FRIEND),
        scene.outside.flow("tcp", HOST_V4, 8080, source=FRIEND),
        scene.outside.flow("tcp", web, 443, source="10.9.0.2"),
    ]
    kept = scene.outside.flow("tcp", web, 80, source=OTHER)
    assert all(flow.ask() for flow in (*cut, kept))

    wait_until(lambda: not timed(scene), "the kernel ends all entries", seconds=15)

    assert [flow.ask(patience=1) for flow in cut] == [False, False, False]
    assert kept.ask()
    assert surprises(scene, open_to_friend=False) == []
    names = scene.host.run(["ipset", "list", "-n"]).stdout
    assert "-u" in names
    assert scene.commit(ending(datetime.now(timezone.utc) - timedelta(minutes=1))).steps > 0
    assert "-u" not in scene.host.run(["ipset", "list", "-n"]).stdout
    assert surprises(scene, open_to_friend=False) == []


def test_a_second_commit_writes_nothing_while_the_time_runs(scene: Scene) -> None:
    soon = datetime.now(timezone.utc) + timedelta(hours=1)
    assert scene.commit(ending(soon)).steps > 0
    left = timed(scene)
    assert left
    assert all(0 < seconds <= 3600 for seconds in left.values()), left
    wait_until(lambda: timed(scene) != left, "the time runs")
    assert scene.commit(ending(soon)).steps == 0
    assert all(timed(scene)[entry] < seconds for entry, seconds in left.items())


def test_an_end_that_ipset_cannot_hold_comes_early_and_is_put_off_by_the_next_commit(
    scene: Scene,
) -> None:
    scene.commit(ending(LATER))
    left = timed(scene)
    assert left
    assert all(2_147_000 < seconds <= 2_147_483 for seconds in left.values()), left
    for entry in left:
        # As if the kernel had ended it.
        scene.host.run(["ipset", "del", *entry.split()])
    assert surprises(scene, open_to_friend=False) == []
    assert scene.commit(ending(LATER)).steps == 1
    assert timed(scene).keys() == left.keys()
    assert surprises(scene, open_to_friend=True) == []


def test_an_entry_that_a_hand_has_made_endless_ends_again(scene: Scene) -> None:
    soon = datetime.now(timezone.utc) + timedelta(hours=1)
    scene.commit(ending(soon))
    before = timed(scene)
    for entry in before:
        scene.host.run(["ipset", "-exist", "add", *entry.split(), "timeout", "0"])
    assert set(timed(scene).values()) == {0}
    scene.commit(ending(soon))
    after = timed(scene)
    assert after.keys() == before.keys()
    assert all(0 < seconds <= 3600 for seconds in after.values()), after


def test_a_rule_in_its_last_second_is_over(scene: Scene) -> None:
    scene.commit(ending(datetime.fromtimestamp(time.time() + 1, timezone.utc)))
    assert timed(scene) == {}
    assert surprises(scene, open_to_friend=False) == []
