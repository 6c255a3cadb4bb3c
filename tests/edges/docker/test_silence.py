"""An event stream that is silently dead is noticed; one that is only slow is not."""

from __future__ import annotations

from dockerfw.docker.reports import Changed, Connected, Lost
from tests.edges.docker.following import followed
from tests.fakeengine import FakeEngine


def test_a_stream_that_is_silently_dead_is_noticed(engine: FakeEngine) -> None:
    engine.run("gone", "bridge", "172.17.0.7")
    with followed(engine, step=0.1) as following:
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
