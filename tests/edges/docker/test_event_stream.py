"""Lines that are too long for an event: passed over, and the stream goes on."""

from __future__ import annotations

import pytest

from dockerfw.docker.reports import Changed, Connected, Lost
from tests.edges.docker.following import followed
from tests.fakeengine import FakeEngine

LABEL = "x" * (2 << 20)


@pytest.mark.parametrize("length", [2 << 20, 5 << 20])
def test_an_overlong_event_costs_a_whole_reading_and_not_the_stream(
    engine: FakeEngine, length: int
) -> None:
    with followed(engine, step=0.1) as following:
        engine.run("huge", "bridge", "172.17.0.8", quiet=True)
        engine.emit("container", "start", "huge", label="x" * length)
        engine.run("next", "bridge", "172.17.0.9")
        following.shows(huge="172.17.0.8", next="172.17.0.9")
        assert not any(isinstance(r, (Lost, Connected)) for r in following.reports)
        warnings = [w for r in following.reports if isinstance(r, Changed) for w in r.warnings]
        assert warnings == [
            "an event of Docker is longer than 1 MiB, as labels make it: it was passed over"
        ]


def test_others_are_seen_at_once_while_one_sends_overlong_events(engine: FakeEngine) -> None:
    """The clock stands still: no reading that has to wait can be what shows them."""
    with followed(engine, step=0.0) as following:
        for number in range(5):
            engine.emit("container", "start", "huge", label=LABEL)
            engine.run(f"web{number}", "bridge", f"172.17.0.{number + 9}")
        following.until(lambda: len(following.inventory.containers) == 5, "all five")
        assert not any(isinstance(r, (Lost, Connected)) for r in following.reports)


def test_what_an_overlong_event_was_about_is_no_event_that_is_missing(engine: FakeEngine) -> None:
    with followed(engine, step=0.1) as following:
        engine.run("huge", "bridge", "172.17.0.8", quiet=True)
        following.watcher.resync()
        following.shows(huge="172.17.0.8")
        engine.emit("container", "start", "huge", label=LABEL)
        assert following.answer().missed == ()
        assert not any(isinstance(r, Lost) for r in following.reports)


def test_a_line_without_an_end_is_noticed_as_a_stream_that_is_silent(engine: FakeEngine) -> None:
    with followed(engine, step=0.1) as following:
        engine.run("first", quiet=True)
        engine.send(LABEL.encode())
        following.shows(first="172.17.0.2")  # by the reading that an overlong line asks for
        engine.run("web", "bridge", "172.17.0.3", quiet=True)
        engine.send(LABEL.encode())
        following.watcher.resync()
        following.shows(first="172.17.0.2", web="172.17.0.3")
        assert "silent" in following.report(Lost).reason
        following.report(Connected)
