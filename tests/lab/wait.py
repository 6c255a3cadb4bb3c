"""Waiting for a condition, and closing things in time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from tests.lab.guard import LabError

_Self = TypeVar("_Self", bound="Closable")


class Closable:
    """Something that ``with`` closes at its end."""

    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def becomes_true(condition: Callable[[], bool], seconds: float = 10) -> bool:
    """Whether the condition came true within this time; looked at every few milliseconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return condition()
        time.sleep(0.01)
    return True


def until(condition: Callable[[], bool], what: str, seconds: float = 10) -> None:
    """Wait for the condition; `LabError` that says ``what`` was waited for in vain."""
    if not becomes_true(condition, seconds):
        msg = f"waited {seconds} s in vain: {what}"
        raise LabError(msg)
