"""Docker's lists lag behind its events."""

from __future__ import annotations

from dockerfw.docker.reports import Changed, Connected
from tests.edges.docker.following import addresses_of, followed, fresh
from tests.fakeengine import FakeEngine


def test_a_list_that_lags_does_not_bring_the_dead_back(engine: FakeEngine) -> None:
    engine.run("web")
    with followed(engine, step=0.1) as following:
        engine.die("web", shown=6)
        following.shows()
        following.watcher.resync()
        assert following.answer().missed == ()
        following.until(lambda: not engine.containers, "lists to agree")
        assert addresses_of(following.inventory) == {}
        later = [r for r in following.reports if isinstance(r, (Connected, Changed))]
        assert all(addresses_of(r.inventory) == {} for r in later)


def test_one_that_waits_to_be_started_again_is_shown_as_docker_does(engine: FakeEngine) -> None:
    web = engine.run("web")
    with followed(engine, step=0.1) as following:
        entry = engine.containers[web]
        entry["State"] = "restarting"
        entry["NetworkSettings"]["Networks"]["bridge"]["IPAddress"] = ""
        engine.emit("container", "die", web, name="web")
        following.shows(web="")
        assert following.inventory == fresh(engine)


def test_a_place_that_was_left_is_out_before_the_lists_know(engine: FakeEngine) -> None:
    engine.network("shop", "172.18.0.0/16")
    engine.run("web")
    engine.connect("web", "shop", "172.18.0.2")
    with followed(engine) as following:
        engine.disconnect("web", "bridge", shown=4)
        following.shows(web="172.18.0.2")
        following.until(lambda: len(engine.calls) >= 4, "lists to agree")
        following.watcher.resync()
        assert following.answer().missed == ()
        assert following.inventory == fresh(engine)


def test_a_place_that_was_joined_is_found_though_the_lists_lag(engine: FakeEngine) -> None:
    engine.network("shop", "172.18.0.0/16")
    engine.run("web")
    with followed(engine) as following:
        engine.connect("web", "shop", "172.18.0.2", shown=3)
        following.shows(web="172.17.0.2 172.18.0.2")
