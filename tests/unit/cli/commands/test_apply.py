"""The question whether to keep what an apply did."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from dockerfw.cli.applying import Question
from dockerfw.cli.commands.apply import next_step
from tests.clock import FakeClock
from tests.unit.cli.terminal import Terminal


class Keyboard(io.TextIOWrapper):
    """Standard input at a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """What is written here is typed at the terminal."""
    reading, writing = os.pipe()
    with Keyboard(os.fdopen(reading, "rb")) as keyboard:
        monkeypatch.setattr(sys, "stdin", keyboard)
        yield writing
        os.close(writing)


def test_nobody_is_asked_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    clock = FakeClock()
    assert Question(clock).poll(60) is None
    assert clock.slept == [0.1], "whoever polls does not spin"
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "answer, kept",
    [(b"y\n", True), (b"Yes\n", True), (b"n\n", False), (b"\n", False)],
)
def test_it_is_asked_once_and_answered_later(
    keys: int, capsys: pytest.CaptureFixture[str], answer: bytes, kept: bool
) -> None:
    question = Question(FakeClock())
    assert question.poll(59.8) is None
    assert question.poll(59.6) is None
    assert capsys.readouterr().err == (
        "Can you still get in from elsewhere?\nKeep these rules? [y/N] (rolls back in 60 s) "
    )
    os.write(keys, answer)
    assert question.poll(59.4) is kept
    question.end()
    assert capsys.readouterr().err == ""  # whoever answers ends the line


def test_who_stops_it_is_told_what_stands(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, policy: Path
) -> None:
    def interrupted(*_: object, **__: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr("dockerfw.operations.apply.apply", interrupted)
    done = terminal.run("apply", "-c", str(policy))
    assert (done.status, done.out) == (130, "")
    assert "`dockerfw apply` carries on" in done.err


@pytest.mark.parametrize("alive", [False, True])
def test_who_observes_is_told_how_to_see_who_would_be_denied(*, alive: bool) -> None:
    text = " ".join(next_step(observing=True, daemon_alive=alive, width=80))
    assert "dockerfw denied" in text
    assert ("enable the units" in text) is not alive
    assert "dockerfw denied" not in " ".join(
        next_step(observing=False, daemon_alive=alive, width=80)
    )


@pytest.mark.usefixtures("keys")
def test_who_said_yes_to_everything_is_asked_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    clock = FakeClock()
    assert Question(clock, asks=False).poll(60) is None
    assert clock.slept == [0.1]
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("keys")
def test_a_question_without_an_answer_ends_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    question = Question(FakeClock())
    question.end()
    assert capsys.readouterr().err == ""
    assert question.poll(60) is None
    capsys.readouterr()
    question.end()
    assert capsys.readouterr().err == "\n"
