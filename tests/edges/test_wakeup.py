from __future__ import annotations

import select
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockerfw.wakeup import Wakeup


@pytest.fixture
def wakeup() -> Iterator[Wakeup]:
    made = Wakeup()
    yield made
    made.close()


def readable(wakeup: Wakeup) -> bool:
    return bool(select.select([wakeup], [], [], 0)[0])


def test_it_is_readable_from_wake_to_clear(wakeup: Wakeup) -> None:
    assert not readable(wakeup)
    wakeup.wake()
    wakeup.wake()
    assert readable(wakeup)
    assert wakeup.clear() == b"\0\0"
    assert not readable(wakeup)
    assert wakeup.clear() == b""


def test_a_full_buffer_holds_nobody_up(wakeup: Wakeup) -> None:
    for _ in range(5000):
        wakeup.wake()
    assert readable(wakeup)
    wakeup.clear()
    assert not readable(wakeup)
    wakeup.wake()
    assert readable(wakeup)


def test_a_signal_makes_it_readable_and_leaves_its_number(wakeup: Wakeup) -> None:
    handler = signal.signal(signal.SIGUSR1, lambda *_: None)
    before = signal.set_wakeup_fd(wakeup.sender_fileno(), warn_on_full_buffer=False)
    try:
        signal.raise_signal(signal.SIGUSR1)
        assert readable(wakeup)
        assert wakeup.clear() == bytes([signal.SIGUSR1])
    finally:
        signal.set_wakeup_fd(before)
        signal.signal(signal.SIGUSR1, handler)


def test_to_wake_one_that_is_closed_does_nothing_and_leaves_nothing_open() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    wakeup = Wakeup()
    wakeup.close()
    wakeup.wake()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
