"""What an event re-reads, and what it costs."""

from __future__ import annotations

import random
import threading
import time

import pytest

from dockerfw.docker.reports import Changed, Lost
from tests.broken_events import BROKEN
from tests.edges.docker.following import PATIENCE, addresses_of, followed, fresh
from tests.fakeengine import FakeEngine, id_for


def test_a_start_is_one_call_for_that_container(engine: FakeEngine) -> None:
    engine.run("old")
    with followed(engine) as following:
        old = following.one("old")
        engine.run("web", "bridge", "172.17.0.3", ports={8080: 80})
        following.shows(old="172.17.0.2", web="172.17.0.3")
        assert [p.host_port for p in following.one("web").ports] == [8080]
        assert following.one("old") is old
        (call,) = engine.calls
        assert call.startswith("/containers/json?")
        assert id_for("web") in call
        report = following.report(Changed)
        (event,) = (e for e in report.events if e.action == "start")
        assert event.name == "web"
        assert 0 <= time.time() - event.at < PATIENCE


def test_a_death_is_no_call_at_all(engine: FakeEngine) -> None:
    engine.run("old")
    engine.run("web", "bridge", "172.17.0.3")
    with followed(engine) as following:
        engine.die("web")
        following.report(Changed)
        assert engine.calls == []
        assert addresses_of(following.inventory) == {"old": "172.17.0.2"}


def test_joining_before_the_start_asks_nothing(engine: FakeEngine) -> None:
    with followed(engine) as following:
        engine.emit("network", "connect", id_for("bridge"), container=id_for("web"))
        engine.network("mark", "172.19.0.0/16")
        following.report(Changed)
        assert not any(call.startswith("/containers") for call in engine.calls)


def test_a_new_network_is_one_call_and_its_end_too(engine: FakeEngine) -> None:
    engine.run("web")
    with followed(engine) as following:
        web = following.one("web")
        engine.network("shop", "172.18.0.0/16")
        following.until(lambda: len(following.inventory.networks) == 2, "a second network")
        engine.remove_network("shop")
        following.until(lambda: len(following.inventory.networks) == 1, "one network")
        assert [c.partition("?")[0] for c in engine.calls] == ["/networks", "/networks"]
        assert following.one("web") is web


def test_a_rename_moves_it_in_the_stable_order(engine: FakeEngine) -> None:
    for n, name in enumerate(("a", "b", "c")):
        engine.run(name, "bridge", f"172.17.0.{n + 2}")
    with followed(engine) as following:
        engine.rename("a", "d")
        following.until(lambda: following.inventory.containers[-1].name == "d", "d at the end")
        assert following.inventory == fresh(engine)


def test_a_sidecar_named_after_its_donor_follows_it(engine: FakeEngine) -> None:
    engine.run("side", mode="container:web")
    with followed(engine) as following:
        assert following.one("side").network_owner == "web"
        engine.run("web")
        following.shows(side="", web="172.17.0.2")
        assert following.one("side").network_owner == id_for("web")
        side = following.one("side")
        engine.run("other", "bridge", "172.17.0.9")
        following.shows(side="", web="172.17.0.2", other="172.17.0.9")
        assert following.one("side") is side
        engine.die("web")
        following.shows(side="", other="172.17.0.9")
        assert following.inventory == fresh(engine)


def test_events_of_old_engines_say_the_same(engine: FakeEngine) -> None:
    engine.legacy_events = True
    with followed(engine) as following:
        engine.run("web")
        following.shows(web="172.17.0.2")
        engine.die("web")
        following.shows()


def test_what_comes_while_a_batch_is_read_is_the_next_batch(engine: FakeEngine) -> None:
    with followed(engine) as following:
        reading, go_on = threading.Event(), threading.Event()

        def hold(path: str) -> None:
            if path == "/containers/json":
                reading.set()
                assert go_on.wait(PATIENCE)

        engine.before = hold
        engine.run("first", "bridge", "172.17.1.1")
        assert reading.wait(PATIENCE)
        for n in range(30):
            engine.run(f"c{n}", "bridge", f"172.17.2.{n}")
        pending = following.watcher._inbox.events
        following.until(lambda: len(pending) == 60, "all events to be there")
        go_on.set()
        following.until(lambda: len(following.inventory.containers) == 31, "all of them")
        assert len(engine.calls) == 2


def test_an_event_costs_the_same_among_a_thousand(engine: FakeEngine) -> None:
    for n in range(1000):
        engine.run(f"c{n:04}", "bridge", f"172.17.{n // 250}.{n % 250 + 2}", quiet=True)
    with followed(engine) as following:
        before = {c.id: c for c in following.inventory.containers}
        engine.run("web", "bridge", "172.17.9.9")
        following.until(lambda: len(following.inventory.containers) == 1001, "one more")
        assert len(engine.calls) == 1
        others = [c for c in following.inventory.containers if c.name != "web"]
        assert all(c is before[c.id] for c in others)
        assert following.inventory == fresh(engine)


def test_an_inventory_that_did_not_change_is_not_reported(engine: FakeEngine) -> None:
    web = engine.run("web")
    with followed(engine) as following:
        engine.emit("container", "start", web, name="web")
        engine.emit("container", "exec_start: sh", web, name="web")
        engine.run("last", "bridge", "172.17.0.9")
        following.shows(web="172.17.0.2", last="172.17.0.9")
        (report,) = (r for r in following.reports if isinstance(r, Changed))
        assert addresses_of(report.inventory).keys() == {"web", "last"}


def test_a_whole_reading_that_finds_nothing_new_gives_the_same_object(engine: FakeEngine) -> None:
    engine.run("web", ports={8080: 80})
    engine.run("side", "bridge", "172.17.0.3", mode="container:web")
    with followed(engine) as following:
        before = following.inventory
        following.watcher.resync()
        assert following.answer().inventory is before


NETS = ("bridge", "net1", "net2")


def act(engine: FakeEngine, chance: random.Random, n: int) -> None:
    """Something that can happen to a container now."""
    name, net = f"c{chance.randrange(6)}", chance.choice(NETS)
    address = f"172.{17 + NETS.index(net)}.{n // 250}.{n % 250 + 1}"
    if id_for(name) in engine.dying:
        return
    if id_for(name) not in engine.containers:
        engine.run(name, net, address, ports={8000 + n: 80})
        return
    match chance.choice(("die", "connect", "disconnect", "rename", "restart")):
        case "die":
            engine.die(name, shown=chance.choice((0, 0, 1, 3)))
        case "connect":
            engine.connect(name, net, address)
        case "disconnect":
            engine.disconnect(name, net)
        case "rename":
            engine.rename(name, f"{name}-{n}")
        case "restart":
            engine.die(name)
            engine.run(name, net, address)


@pytest.mark.parametrize("seed", range(6))
def test_after_any_events_it_equals_a_fresh_reading(engine: FakeEngine, seed: int) -> None:
    chance = random.Random(seed)
    engine.network("net1", "172.18.0.0/16")
    engine.network("net2", "172.19.0.0/16")
    with followed(engine, step=0.1) as following:
        for n in range(200):
            act(engine, chance, n)
            if chance.random() < 0.2:
                following.take(0.01)
        following.until(lambda: following.inventory == fresh(engine), "the same as a fresh one")
        following.watcher.resync()
        assert following.answer().missed == ()


@pytest.mark.parametrize("case", BROKEN)
def test_an_event_that_makes_no_sense_is_a_warning_and_not_the_end(
    engine: FakeEngine, case: str
) -> None:
    with followed(engine, step=0.1) as following:
        engine.run("quiet", "bridge", "172.17.0.7", quiet=True)
        engine.send(BROKEN[case])
        assert len(following.report(Changed).warnings) == 1
        # Whatever it was about: everything is read, and nobody is blamed.
        following.shows(quiet="172.17.0.7")
        engine.run("web")
        following.shows(quiet="172.17.0.7", web="172.17.0.2")
        assert not any(isinstance(r, Lost) for r in following.reports)


def test_an_event_about_nobody_changes_nothing(engine: FakeEngine) -> None:
    engine.run("web")
    with followed(engine) as following:
        engine.emit("container", "die", "x" * 64, name="x")
        engine.emit("container", "start", "../../info?", name="x\n\x1b[31m")
        engine.run("last", "bridge", "172.17.0.9")
        following.shows(web="172.17.0.2", last="172.17.0.9")


def test_an_error_for_one_container_leaves_that_one_out(engine: FakeEngine) -> None:
    sick = engine.run("sick", labels={"a": "b"})
    engine.containers[sick]["ImageID"] = "sha256:sick"
    engine.answers["/images/sha256:sick/json"] = 500
    with followed(engine, labels=True) as following:
        assert addresses_of(following.inventory) == {}
        engine.run("web", "bridge", "172.17.0.3", labels={"c": "d"})
        following.shows(web="172.17.0.3")
        engine.emit("container", "start", sick, name="sick")
        engine.run("more", "bridge", "172.17.0.4")
        following.shows(web="172.17.0.3", more="172.17.0.4")
        del engine.answers["/images/sha256:sick/json"]
        following.watcher.resync()
        assert following.answer().missed == ()
        following.shows(sick="172.17.0.2", web="172.17.0.3", more="172.17.0.4")


def test_it_says_which_container_was_left_out(engine: FakeEngine) -> None:
    with followed(engine, labels=True) as following:
        engine.answers["/images/sha256:" + "f" * 64 + "/json"] = 500
        engine.run("sick", labels={"a": "b"})
        (warning,) = following.report(Changed).warnings
        assert warning.startswith("left out container sick, which Docker gives an error for")
