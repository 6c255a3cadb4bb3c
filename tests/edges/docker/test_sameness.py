"""What Docker answers as before is not taken apart again, unless more than its lists decides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dockerfw.docker.reading import Parts
from dockerfw.model.policy import Needs
from tests.edges.docker.answers import IMAGE, NET, WEB, connected, container, network
from tests.fakeengine import FakeEngine

EXITED = container(State="restarting")


def play(engine: FakeEngine, *containers: dict[str, Any]) -> None:
    engine.answers["/containers/json"] = list(containers)
    engine.answers["/networks"] = [network()]


def test_an_answer_as_before_gives_the_same_inventory(engine: FakeEngine) -> None:
    play(engine, container(Status="Up 2 minutes"))
    with connected(engine) as docker:
        before = docker.read_inventory({}, Needs())
        play(engine, container(Status="Up 3 minutes"))
        assert docker.read_inventory({}, Needs()) is before
        ports = [{"PrivatePort": n, "PublicPort": n, "Type": "tcp"} for n in (80, 81)]
        play(engine, container(Ports=ports))
        published = docker.read_inventory({}, Needs())
        assert len(published.containers[0].ports) == 4
        play(engine, container(Ports=ports[::-1]))
        assert docker.read_inventory({}, Needs()) is published
        play(engine, container(Names=["/other"]))
        assert [c.name for c in docker.read_inventory({}, Needs()).containers] == ["other"]
        play(engine)
        assert docker.read_inventory({}, Needs()).containers == ()


def test_of_what_an_event_took_out_nothing_is_kept_back(engine: FakeEngine) -> None:
    """A list that shows a container again is not taken for the one from before its death."""
    play(engine, container())
    with connected(engine) as docker:
        before = docker.read_inventory({}, Needs())
        assert docker.read_parts(Parts(gone=frozenset({WEB}))).containers == ()
        assert docker.read_inventory({}, Needs()) == before
        departed = {WEB: frozenset({NET})}
        (web,) = docker.read_inventory({}, Needs(), departed=departed).containers
        assert web.endpoints == ()
        assert docker.read_inventory({}, Needs()) == before


def test_who_asks_for_more_gets_more(engine: FakeEngine) -> None:
    play(engine, container(Labels={"tier": "web"}))
    engine.answers[f"/images/{IMAGE}/json"] = {"Config": {"Labels": None}}
    with connected(engine) as docker:
        assert docker.read_inventory({}, Needs()).containers[0].labels == ()
        (web,) = docker.read_inventory({}, Needs(labels=True)).containers
        assert web.labels == (("tier", "web"),)


def ports_to_come(engine: FakeEngine) -> str:
    engine.answers[f"/containers/{WEB}/json"] = {"Name": "/web"}
    return f"/containers/{WEB}/json"


def a_missing_image(engine: FakeEngine) -> str:
    engine.answers[f"/images/{IMAGE}/json"] = 404
    return f"/images/{IMAGE}/json"


@pytest.mark.parametrize(
    ("listed", "asks"),
    [(EXITED, ports_to_come), (container(Labels={"tier": "web"}), a_missing_image)],
)
def test_what_no_list_decides_is_asked_again(
    engine: FakeEngine, listed: dict[str, Any], asks: Callable[[FakeEngine], str]
) -> None:
    play(engine, listed)
    path = asks(engine)
    with connected(engine) as docker:
        docker.read_inventory({}, Needs(labels=True))
        before = engine.asked[path]
        docker.read_inventory({}, Needs(labels=True))
        assert engine.asked[path] == before + 1 > 1
