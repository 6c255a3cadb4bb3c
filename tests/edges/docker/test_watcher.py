"""The watcher follows a fake engine through faults, and leaves nothing behind."""

from __future__ import annotations

import gc
import select
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dockerfw.clock import SystemClock
from dockerfw.docker.client import Docker
from dockerfw.docker.reports import Changed, Connected, Lost, Refusal
from dockerfw.docker.watcher import LONGEST_PAUSE, Watcher
from dockerfw.errors import Failed
from dockerfw.model.policy import Needs
from tests.edges.docker.following import PATIENCE, Following, addresses_of, followed, fresh
from tests.fakeengine import FakeEngine


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
    "a chunk without an end": lambda engine: engine.send(b""),
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
        engine.about["Version"] = "28.5.2"
        engine.revive()
        assert following.report(Connected).engine.version == "28.5.2"
        following.watcher.stop()


def test_an_engine_that_is_not_ours_is_refused_in_a_sentence(engine: FakeEngine) -> None:
    engine.info["SecurityOptions"] = ["name=rootless"]
    following = Following(engine)
    following.watcher.start()
    assert "rootless" in following.report(Refusal).reason
    following.watcher.stop()


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


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_nothing_is_left_after_200_reconnects(engine: FakeEngine) -> None:
    with closing(Docker.connect(engine.url, timeout=10)) as docker:
        before = descriptors()
        streams = [docker.events(time.time()) for _ in range(5)]
        assert descriptors() >= before + 5, "a stream left open would not be seen"
        for stream in streams:
            stream.close()
    with followed(engine, step=LONGEST_PAUSE) as following:

        def again() -> None:
            engine.end_streams()
            following.report(Connected)
            following.until(lambda: engine.listeners == 1, "one listener")

        again()
        # Both ends of each connection live in this process: the server's may still be closing, so
        # a few more may be counted here. What is left behind each time would be 200 more.
        files, threads = descriptors(), threading.active_count()
        for _ in range(200):
            again()
        following.until(lambda: descriptors() <= files, "no descriptor more")
        following.until(lambda: threading.active_count() <= threads, "no thread more")


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
        assert any(t.name == "docker events" for t in threading.enumerate())
    following.watcher.stop()
    assert not any(t.name.startswith("dockerfw-") for t in threading.enumerate())


def test_a_fault_of_our_own_is_raised_in_the_main_loop() -> None:
    def connect() -> Docker:
        raise ZeroDivisionError

    watcher = Watcher(connect, Needs(), SystemClock())
    watcher.start()
    select.select([watcher.fileno()], [], [], PATIENCE)
    with pytest.raises(ZeroDivisionError):
        watcher.take()
    watcher.stop()


class CountsFailures(Following):
    """``failed``: attempts to connect, in vain."""

    failed = 0

    def connect(self) -> Docker:
        try:
            return super().connect()
        except Failed:
            self.failed += 1
            raise


def test_dockers_return_is_not_waited_for_until_the_pause_is_over(engine: FakeEngine) -> None:
    following = CountsFailures(engine, step=LONGEST_PAUSE)
    engine.kill()
    following.watcher.start()
    following.until(lambda: following.failed >= 8, "pauses that are as long as they get")
    following.step = None  # no more time passes than really does
    last = 0
    while last != following.failed:
        last = following.failed
        following.take(0.3)
    engine.revive()
    assert not following.take(0.3), "nobody has told it"
    following.watcher.connect_now()
    assert following.take(LONGEST_PAUSE / 2)
    assert isinstance(following.reports[-1], Connected)
    following.watcher.stop()
