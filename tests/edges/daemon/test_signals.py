"""Signals become numbers that the loop reads when it comes to it."""

from __future__ import annotations

import os
import select
import signal

from dockerfw.daemon.signals import signals


def test_a_signal_wakes_the_loop_and_is_handled_there() -> None:
    handled: list[int] = []
    with signals(handled.append) as (wakeup, received):
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGTERM)
        assert select.select([wakeup], [], [], 30)[0]
        assert handled == []
        received()
        assert sorted(handled) == sorted([signal.SIGHUP, signal.SIGTERM])
        assert not select.select([wakeup], [], [], 0)[0]


def test_the_handlers_of_before_are_put_back() -> None:
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    with signals(lambda _: None):
        assert [signal.getsignal(number) for number in numbers] != before
    assert [signal.getsignal(number) for number in numbers] == before
    old = signal.set_wakeup_fd(-1)
    assert old == -1
