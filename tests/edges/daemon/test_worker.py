"""Work beside the loop: one after the other, and what comes of it in the loop's own thread."""

from __future__ import annotations

import select
import threading
from collections.abc import Callable
from functools import partial

from dockerfw.daemon.worker import Worker
from dockerfw.errors import Failed

PATIENCE = 30.0


def finish(worker: Worker, done: Callable[[], bool]) -> None:
    while not done():
        assert select.select([worker], [], [], PATIENCE)[0], "nothing is finished"
        worker.finish()


def test_work_is_done_in_its_thread_and_results_are_given_here_in_order() -> None:
    worker = Worker()
    threads, results = [], list[tuple[int, int]]()

    def work(number: int) -> int:
        threads.append(threading.get_ident())
        return number

    for number in range(3):
        worker.submit(
            partial(work, number),
            lambda result: results.append((result, threading.get_ident())),
        )
    finish(worker, lambda: len(results) == 3)
    here = threading.get_ident()
    assert results == [(0, here), (1, here), (2, here)]
    assert set(threads).isdisjoint({here})


def test_an_exception_is_a_result_and_does_not_end_the_thread() -> None:
    worker = Worker()
    results: list[object] = []

    def broken() -> None:
        raise Failed("no kernel")

    worker.submit(broken, results.append)
    worker.submit(lambda: "next", results.append)
    finish(worker, lambda: len(results) == 2)
    assert isinstance(results[0], Failed)
    assert results[1] == "next"


def test_it_is_readable_only_while_something_is_finished() -> None:
    worker = Worker()
    go_on = threading.Event()
    results: list[object] = []
    worker.submit(lambda: go_on.wait(PATIENCE), results.append)
    assert not select.select([worker], [], [], 0)[0]
    go_on.set()
    finish(worker, lambda: bool(results))
    assert not select.select([worker], [], [], 0)[0]


def test_more_results_than_a_socket_holds_wake_and_do_not_block() -> None:
    many = 5000
    worker = Worker()
    results: list[object] = []
    for _ in range(many):
        worker.submit(lambda: None, results.append)
    finish(worker, lambda: len(results) == many)
