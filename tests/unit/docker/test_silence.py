"""Which differences owe an event, and for how long."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dockerfw.docker.silence import MissingEvents
from dockerfw.model.inventory import Inventory
from tests.build import container, inventory, network

WEB = container("web", "front 172.18.0.2", image="nginx:1")
FRONT = network("front", "172.18.0.0/16")
NOTHING = inventory()

DIFFERENCES = {
    "the same": (inventory(WEB, FRONT), inventory(WEB, FRONT), (), ()),
    "a container came": (NOTHING, inventory(WEB), ("web",), ("web",)),
    "a container went": (inventory(WEB), NOTHING, ("web",), ("web",)),
    "a network came": (NOTHING, inventory(FRONT), ("front",), ()),
    "another name": (
        inventory(WEB),
        inventory(replace(WEB, name="www")),
        ("www",),
        ("www",),
    ),
    "another address": (
        inventory(WEB),
        inventory(container("web", "front 172.18.0.3", image="nginx:1")),
        ("web",),
        (),
    ),
    "a tag moved": (inventory(WEB), inventory(replace(WEB, image="sha256:1")), (), ()),
    "an image is gone": (inventory(WEB), inventory(replace(WEB, labels=(("a", "b"),))), (), ()),
}


@pytest.mark.parametrize("swarm", [False, True])
@pytest.mark.parametrize("case", DIFFERENCES)
def test_what_owes_an_event(case: str, swarm: bool) -> None:
    reported, found, alone, in_a_swarm = DIFFERENCES[case]
    assert overdue(reported, found, swarm=swarm) == (in_a_swarm if swarm else alone)


def overdue(reported: Inventory, found: Inventory, *, swarm: bool = False) -> tuple[str, ...]:
    missing = MissingEvents()
    missing.compare(reported, found, 10.0, excused=(), swarm=swarm)
    return missing.overdue(12.0)


def test_an_event_is_waited_for_two_seconds() -> None:
    missing = MissingEvents()
    assert missing.deadline() is None
    missing.compare(NOTHING, inventory(WEB), 10.0, excused=(), swarm=False)
    assert missing.deadline() == 12.0
    assert missing.overdue(11.9) == ()
    assert missing.overdue(12.0) == ("web",)


def test_an_event_that_came_is_not_missing() -> None:
    missing = MissingEvents()
    missing.compare(NOTHING, inventory(WEB), 10.0, excused=(), swarm=False)
    missing.came(WEB.id)
    assert not missing
    assert missing.overdue(99.0) == ()


def test_what_may_differ_owes_no_event() -> None:
    missing = MissingEvents()
    missing.compare(NOTHING, inventory(WEB), 10.0, excused={WEB.id}, swarm=False)
    assert not missing
