"""Sentences are wrapped for people and stay whole for programs."""

from __future__ import annotations

import io
import json
import sys

import pytest

from dockerfw.cli.output import print_answer, print_hints, print_json, print_warnings

LONG = "a rule that is explained at some length, " * 4 + "and ends here"


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_programs_get_one_line_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    print_warnings((LONG, "short"))
    print_hints((LONG,))
    captured = capsys.readouterr()
    assert captured.err == f"warning: {LONG}\nwarning: short\nhint: {LONG}\n"
    assert captured.out == ""


def test_people_get_lines_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("NO_COLOR", "1")
    print_answer(LONG)
    assert max(map(len, screen.getvalue().splitlines())) <= 80
    screen.truncate(0)
    screen.seek(0)
    print_warnings((LONG,))
    first, *rest = screen.getvalue().splitlines()
    assert first.startswith("warning: ")
    assert rest
    assert all(line.startswith("  ") and len(line) <= 80 for line in rest)
    assert " ".join(screen.getvalue().split()) == f"warning: {LONG}"


def test_a_document_begins_with_its_schema(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"valid": True})
    assert list(json.loads(capsys.readouterr().out).items()) == [("schema", 1), ("valid", True)]
