"""A line of Docker's event stream becomes an event."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dockerfw.docker.events import Event, Misread, read_event
from tests.broken_events import BROKEN


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
