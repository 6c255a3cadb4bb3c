"""What takes a second is shown, in one line that leaves no trace."""

from __future__ import annotations

import pytest

from dockerfw.cli.progress import Progress
from dockerfw.errors import Failed


class Screen:
    """One line, everything that it ever showed, a clock, and whether ticks are asked for."""

    def __init__(self) -> None:
        self.line = ""
        self.shown: list[str] = []
        self.now = 100.0
        self.ticks = False
        self.progress = Progress(self._draw, lambda: self.now, self._alarm)

    def _draw(self, text: str) -> None:
        self.line = text
        self.shown.append(text)

    def _alarm(self, wanted: bool) -> None:
        self.ticks = wanted

    def wait(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now += 1
            self.progress.tick()


@pytest.fixture
def screen() -> Screen:
    return Screen()


def test_what_takes_less_than_a_second_is_not_shown(screen: Screen) -> None:
    with screen.progress.phase("asking Docker"):
        screen.now += 0.9
        screen.progress.tick()
    assert screen.shown == []


def test_what_takes_long_is_shown_with_its_seconds_and_wiped(screen: Screen) -> None:
    with screen.progress.phase("asking Docker"):
        screen.wait(2)
        assert screen.line == "asking Docker (2 s)"
    assert screen.shown == ["asking Docker (1 s)", "asking Docker (2 s)", ""]


def test_the_innermost_is_shown_and_then_the_one_around_it(screen: Screen) -> None:
    with screen.progress.phase("comparing"):
        with screen.progress.phase("asking Docker"):
            screen.wait(1)
            assert screen.line == "asking Docker (1 s)"
        assert screen.line == ""
        screen.wait(1)
        assert screen.line == "comparing (2 s)"


def test_ticks_are_asked_for_while_anything_is_done(screen: Screen) -> None:
    with screen.progress.phase("comparing"):
        with screen.progress.phase("asking Docker"):
            assert screen.ticks
        assert screen.ticks
    assert not screen.ticks


def test_an_error_leaves_no_line_behind(screen: Screen) -> None:
    def fail() -> None:
        with screen.progress.phase("asking Docker"):
            screen.wait(1)
            raise Failed("no answer")

    with pytest.raises(Failed):
        fail()
    assert (screen.line, screen.ticks) == ("", False)


def test_a_tick_that_comes_too_late_shows_nothing(screen: Screen) -> None:
    with screen.progress.phase("asking Docker"):
        pass
    screen.wait(2)
    assert screen.shown == []
