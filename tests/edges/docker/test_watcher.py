"""The watcher follows a fake engine through events, lags and faults."""

from __future__ import annotations

import gc
import json
import random
import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from dockerfw.docker import watcher as watch
from dockerfw.docker.client import Docker
from dockerfw.docker.events import Event, Misread, read_event
from dockerfw.docker.watcher import Changed, Connected, Lost, Refusal, Report, Watcher
from dockerfw.model.inventory import Container, Inventory
from dockerfw.model.policy import Needs
from tests.fakeengine import FakeEngine, id_for

PATIENCE = 10.0


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[FakeEngine]:
    with FakeEngine(tmp_path / "s") as fake:
        yield fake


@pytest.fixture(autouse=True)
def no_docker_of_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))


class Following:
    """A watcher, and what it reported so far."""

    def __init__(self, engine: FakeEngine, *, timeout: float = 10, labels: bool = False) -> None:
        self.engine = engine
        self.timeout = timeout
        self.watcher = Watcher(self.connect, Needs(labels=labels))
        self.reports: list[Report] = []
        self.inventory = Inventory()

    def connect(self) -> Docker:
        return Docker.connect(self.engine.url, timeout=self.timeout)

    def take(self, seconds: float) -> None:
        readable, _, _ = select.select([self.watcher.fileno()], [], [], seconds)
        for report in self.watcher.take() if readable else []:
            self.reports.append(report)
            if isinstance(report, (Connected, Changed)):
                self.inventory = report.inventory

    def until(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            left = deadline - time.monotonic()
            assert left > 0, f"in vain: {what}; {self.reports}"
            self.take(min(left, 0.05))

    def report(self, kind: type[Report]) -> Any:
        """The next report of that kind; those before it are passed over."""
        self.until(lambda: any(isinstance(r, kind) for r in self.reports), f"a {kind.__name__}")
        while not isinstance(report := self.reports.pop(0), kind):
            pass
        return report

    def answer(self) -> Changed:
        """To a resync."""
        while not (report := self.report(Changed)).whole:
            pass
        assert isinstance(report, Changed)
        return report

    def shows(self, **addresses: str) -> None:
        """Wait until exactly these run, at these addresses."""
        self.until(lambda: addresses_of(self.inventory) == addresses, f"{addresses}")

    def one(self, name: str) -> Container:
        return next(c for c in self.inventory.containers if c.name == name)


def addresses_of(inventory: Inventory) -> dict[str, str]:
    return {
        c.name: " ".join(str(e.ipv4) for e in c.endpoints if e.ipv4) for c in inventory.containers
    }


@contextmanager
def followed(engine: FakeEngine, **options: Any) -> Iterator[Following]:
    following = Following(engine, **options)
    following.watcher.start()
    try:
        following.report(Connected)
        engine.calls.clear()
        yield following
    finally:
        following.watcher.stop()


def fresh(engine: FakeEngine, *, labels: bool = False) -> Inventory:
    with closing(Docker.connect(engine.url, timeout=10)) as docker:
        return docker.read_inventory({}, Needs(labels=labels))


# --- one event -----------------------------------------------------------------------------------


def test_the_stream_is_open_before_anything_is_read(engine: FakeEngine) -> None:
    engine.run("web")
    following = Following(engine)
    following.watcher.start()
    report = following.report(Connected)
    following.watcher.stop()
    assert addresses_of(report.inventory) == {"web": "172.17.0.2"}
    assert report.engine.version == "26.1.5"
    paths = [call.partition("?")[0] for call in engine.calls]
    assert paths.index("/events") < paths.index("/containers/json")


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


def test_a_list_that_lags_does_not_bring_the_dead_back(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_DEATH_PAUSE", 0.01)
    engine.run("web")
    with followed(engine) as following:
        engine.die("web", shown=6)
        following.shows()
        following.watcher.resync()
        assert following.answer().missed == ()
        following.until(lambda: not engine.containers, "lists to agree")
        assert addresses_of(following.inventory) == {}
        later = [r for r in following.reports if isinstance(r, (Connected, Changed))]
        assert all(addresses_of(r.inventory) == {} for r in later)


def test_one_that_waits_to_be_started_again_is_shown_as_docker_does(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_DEATH_PAUSE", 0.01)
    web = engine.run("web")
    with followed(engine) as following:
        entry = engine.containers[web]
        entry["State"] = "restarting"
        entry["NetworkSettings"]["Networks"]["bridge"]["IPAddress"] = ""
        engine.tell("container", "die", web, name="web")
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


def test_joining_before_the_start_asks_nothing(engine: FakeEngine) -> None:
    with followed(engine) as following:
        engine.tell("network", "connect", id_for("bridge"), container=id_for("web"))
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


# --- many events ---------------------------------------------------------------------------------


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
        pending = following.watcher._todo.events
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
        engine.tell("container", "start", web, name="web")
        engine.tell("container", "exec_start: sh", web, name="web")
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
def test_after_any_events_it_equals_a_fresh_reading(
    engine: FakeEngine, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_DEATH_PAUSE", 0.01)
    chance = random.Random(seed)
    engine.network("net1", "172.18.0.0/16")
    engine.network("net2", "172.19.0.0/16")
    with followed(engine) as following:
        for n in range(200):
            act(engine, chance, n)
            if chance.random() < 0.2:
                following.take(0.01)
        following.until(lambda: following.inventory == fresh(engine), "the same as a fresh one")
        following.watcher.resync()
        assert following.answer().missed == ()


# --- bad input -----------------------------------------------------------------------------------

BROKEN = {
    "no JSON": b"{nonsense\n",
    "a list": b"[]\n",
    "null": b"null\n",
    "no type": b'{"Action": "start", "Actor": {"ID": "x"}}\n',
    "no actor": b'{"Type": "container", "Action": "start"}\n',
    "an id that is a number": b'{"Type": "container", "Action": "die", "Actor": {"ID": 7}}\n',
    "attributes that are a list": (
        b'{"Type":"container","Action":"die","Actor":{"ID":"x","Attributes":[1]}}\n'
    ),
    "not text": b"\xff\xfe\xfa\n",
    "deep": b"[" * 100_000 + b"\n",
    "a new kind": b'{"Type": "gadget", "Action": "start", "Actor": {"ID": "x"}}\n',
    "a new action": b'{"Type": "container", "Action": "teleport", "Actor": {"ID": "x"}}\n',
}


@pytest.mark.parametrize("case", BROKEN)
def test_an_event_that_makes_no_sense_is_a_warning_and_not_the_end(
    engine: FakeEngine, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_WHOLE_PAUSE", 0.01)
    with followed(engine) as following:
        engine.run("quiet", "bridge", "172.17.0.7", quiet=True)
        engine.say(BROKEN[case])
        assert len(following.report(Changed).warnings) == 1
        # Whatever it was about: everything is read, and nobody is blamed.
        following.shows(quiet="172.17.0.7")
        engine.run("web")
        following.shows(quiet="172.17.0.7", web="172.17.0.2")
        assert not any(isinstance(r, Lost) for r in following.reports)


def test_an_event_about_nobody_changes_nothing(engine: FakeEngine) -> None:
    engine.run("web")
    with followed(engine) as following:
        engine.tell("container", "die", "x" * 64, name="x")
        engine.tell("container", "start", "../../info?", name="x\n\x1b[31m")
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
        engine.tell("container", "start", sick, name="sick")
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


# --- faults --------------------------------------------------------------------------------------


def die_and_come_back(engine: FakeEngine) -> None:
    engine.kill()
    engine.revive()


def hang(engine: FakeEngine) -> None:
    engine.hang()
    engine.run("new")


def list_of(answer: Any) -> Callable[[FakeEngine], None]:
    def fault(engine: FakeEngine) -> None:
        engine.answers["/containers/json"] = answer
        engine.run("new")

    return fault


FAULTS: dict[str, Callable[[FakeEngine], None]] = {
    "the stream ends": lambda engine: engine.end_streams(),
    "a chunk without an end": lambda engine: engine.say(b""),
    "a line without an end": lambda engine: engine.say(b"x" * (2 << 20)),
    "the engine dies": die_and_come_back,
    "a list is no list": list_of({}),
    "a list is an error": list_of(500),
    "a list is no JSON": list_of("{"),
    "no answer": hang,
}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_lost_once_and_then_all_is_read_anew(engine: FakeEngine, fault: str) -> None:
    with followed(engine, timeout=0.3) as following:
        FAULTS[fault](engine)
        assert following.report(Lost).reason
        if engine.answers or engine._hanging.is_set():
            tried = engine.calls.count("/version") + 2
            following.until(lambda: engine.calls.count("/version") > tried, "attempts")
        assert not any(isinstance(r, Lost) for r in following.reports), "told twice"
        engine.answers.clear()
        engine.go_on()
        engine.run("web", "bridge", "172.17.0.8", quiet=True)
        following.report(Connected)
        following.until(lambda: "web" in addresses_of(following.inventory), "web")
        engine.run("more", "bridge", "172.17.0.9")
        following.until(lambda: "more" in addresses_of(following.inventory), "more")
    gc.collect()  # the docker package leaves the socket open that nobody answered


def test_an_engine_that_comes_later_is_found(tmp_path: Path) -> None:
    with FakeEngine(tmp_path / "s") as engine:
        engine.kill()
        following = Following(engine)
        following.watcher.start()
        assert "is Docker running?" in following.report(Lost).reason
        engine.version = "28.5.2"
        engine.revive()
        assert following.report(Connected).engine.version == "28.5.2"
        following.watcher.stop()


def test_an_engine_that_is_not_ours_is_refused_in_a_sentence(engine: FakeEngine) -> None:
    engine.security_options = ["name=rootless"]
    following = Following(engine)
    following.watcher.start()
    assert "rootless" in following.report(Refusal).reason
    following.watcher.stop()


def test_a_stream_that_is_silently_dead_is_noticed(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "EVENT_PATIENCE", 0.1)
    engine.run("gone", "bridge", "172.17.0.7")
    with followed(engine) as following:
        engine.mute()
        engine.run("web")
        engine.die("gone")
        following.watcher.resync()
        following.shows(web="172.17.0.2")  # it does not wait for the verdict
        assert set(following.answer().missed) == {"web", "gone"}
        assert "silent" in following.report(Lost).reason
        following.report(Connected)
        engine.run("more", "bridge", "172.17.0.9")
        following.shows(web="172.17.0.2", more="172.17.0.9")


def test_a_stream_that_is_only_slow_is_not_called_dead(engine: FakeEngine) -> None:
    with followed(engine) as following:
        engine.hold()
        engine.run("web")
        following.watcher.resync()
        following.shows(web="172.17.0.2")
        assert not any(isinstance(r, Changed) and r.whole for r in following.reports)
        engine.release()
        assert following.answer().missed == ()
        assert not any(isinstance(r, Lost) for r in following.reports)


def test_a_tag_that_moves_is_no_event_that_was_missed(engine: FakeEngine) -> None:
    web = engine.run("web")
    with followed(engine) as following:
        engine.containers[web]["Image"] = "sha256:" + "f" * 64
        following.watcher.resync()
        assert following.answer().missed == ()


def test_a_policy_that_asks_for_labels_gets_them(engine: FakeEngine) -> None:
    engine.run("web", labels={"tier": "front"})
    with followed(engine) as following:
        assert following.one("web").labels == ()
        following.watcher.need(Needs(labels=True))
        assert following.report(Changed).knows.labels
        assert following.one("web").labels == (("tier", "front"),)
        engine.run("more", "bridge", "172.17.0.9", labels={"tier": "back"})
        following.shows(web="172.17.0.2", more="172.17.0.9")
        assert following.inventory == fresh(engine, labels=True)


# --- nothing is left -----------------------------------------------------------------------------


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_nothing_is_left_after_200_reconnects(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(watch, "LONGEST_PAUSE", 0.001)
    with closing(Docker.connect(engine.url, timeout=10)) as docker:
        before = descriptors()
        streams = [docker.events() for _ in range(5)]
        assert descriptors() >= before + 5, "a stream left open would not be seen"
        for stream in streams:
            stream.close()
    with followed(engine) as following:

        def again() -> None:
            engine.end_streams()
            following.report(Connected)
            following.until(lambda: engine.listeners == 1, "one listener")

        again()
        # Both ends of each connection live in this process: let the server's close first.
        settled = steady(lambda: (descriptors(), threading.active_count()))
        for _ in range(200):
            again()
        assert steady(lambda: (descriptors(), threading.active_count())) <= settled


def steady(measure: Callable[[], tuple[int, int]]) -> tuple[int, int]:
    """The least of many looks: servers of the fake engine take a moment to end."""
    looks = []
    for _ in range(20):
        looks.append(measure())
        time.sleep(0.01)
    return min(looks)


@pytest.mark.parametrize("state", ["following", "hanging", "away", "never started"])
def test_stop_ends_the_threads(engine: FakeEngine, state: str) -> None:
    following = Following(engine, timeout=0.5)
    if state == "away":
        engine.kill()
    if state == "hanging":
        engine.hang()
    if state != "never started":
        following.watcher.start()
    if state == "following":
        following.report(Connected)
        assert any(t.name == "dockerfw-events" for t in threading.enumerate())
    following.watcher.stop()
    assert not any(t.name.startswith("dockerfw-") for t in threading.enumerate())


def test_a_fault_of_our_own_is_raised_in_the_main_loop() -> None:
    def connect() -> Docker:
        raise ZeroDivisionError

    watcher = Watcher(connect, Needs())
    watcher.start()
    select.select([watcher.fileno()], [], [], PATIENCE)
    with pytest.raises(ZeroDivisionError):
        watcher.take()
    watcher.stop()


# --- lines of the stream -------------------------------------------------------------------------


def line(kind: str, action: str, **more: Any) -> bytes:
    event = {"Type": kind, "Action": action, "Actor": {"ID": "1", "Attributes": {}}, **more}
    return json.dumps(event).encode()


@pytest.mark.parametrize(
    "given, expected",
    [
        (
            line("container", "start", timeNano=1_500_000_000),
            Event("container", "start", "1", at=1.5),
        ),
        (line("container", "start", time=7), Event("container", "start", "1", at=7.0)),
        (line("container", "start", timeNano="x"), Event("container", "start", "1")),
        (
            line(
                "network",
                "connect",
                Actor={"ID": "n", "Attributes": {"container": "c", "name": "s"}},
            ),
            Event("network", "connect", "n", "s", "c"),
        ),
        (line("daemon", "reload", Actor=None), Event("daemon", "reload")),
        (line("container", "health_status: healthy"), None),
        (line("container", "exec_create: sh -c x"), None),
        (line("container", "pause"), None),
        (line("image", "pull"), None),
        (line("volume", "anything"), None),
    ],
)
def test_what_a_line_means(given: bytes, expected: Event | None) -> None:
    assert read_event(given) == expected


@pytest.mark.parametrize("case", BROKEN)
def test_a_line_that_makes_no_sense_is_told_in_one_short_line(case: str) -> None:
    found = read_event(BROKEN[case])
    assert isinstance(found, Misread)
    assert found.sentence.isprintable()
    assert len(found.sentence) < 500
