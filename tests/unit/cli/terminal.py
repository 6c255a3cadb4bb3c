"""Runs the program in this process, as its entry point does."""

from __future__ import annotations

import sys
from typing import NamedTuple

import pytest

from dockerfw.cli.app import main


class Done(NamedTuple):
    status: int
    out: str
    err: str


class Terminal:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def run(self, *arguments: str) -> Done:
        self._monkeypatch.setattr(sys, "argv", ["dockerfw", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        captured = self._capsys.readouterr()
        status = left.value.code
        return Done(status if isinstance(status, int) else 0, captured.out, captured.err)
