"""Reports wait for the main loop, and those of changes wait together."""

from __future__ import annotations

import select

import pytest

from dockerfw.docker.outbox import Outbox
from dockerfw.docker.reports import Changed, Lost
from tests.build import container, inventory

FIRST = Changed(inventory(), warnings=("one", "two"), missed=("a",))
THEN = Changed(inventory(container("web")), warnings=("two", "three"), whole=True)


def readable(outbox: Outbox) -> bool:
    return bool(select.select([outbox.fileno()], [], [], 0)[0])


def test_it_is_readable_as_long_as_something_waits() -> None:
    outbox = Outbox()
    assert not readable(outbox)
    for _ in range(3):
        outbox.put(Lost("gone"))
    assert readable(outbox)
    assert outbox.take() == [Lost("gone")] * 3
    assert not readable(outbox)
    assert outbox.take() == []
    outbox.close()


def test_changes_that_wait_together_are_one_report() -> None:
    outbox = Outbox()
    for report in (FIRST, THEN, Lost("gone"), FIRST):
        outbox.put(report)
    both = Changed(THEN.inventory, (), ("one", "two", "three"), whole=True, missed=("a",))
    assert outbox.take() == [both, Lost("gone"), FIRST]
    outbox.close()


def test_warnings_beyond_ten_are_a_number() -> None:
    outbox = Outbox()
    for number in range(20):
        outbox.put(Changed(inventory(), warnings=(f"warning {number}",)))
    (report,) = outbox.take()
    assert isinstance(report, Changed)
    assert len(report.warnings) == 10
    assert report.warnings[-1].endswith("more warnings of this kind")
    outbox.close()


def test_a_bug_is_raised_once() -> None:
    outbox = Outbox()
    outbox.fail(ZeroDivisionError())
    assert readable(outbox)
    with pytest.raises(ZeroDivisionError):
        outbox.take()
    assert outbox.take() == []
    outbox.close()


def test_after_the_end_nothing_comes_and_nothing_fails() -> None:
    outbox = Outbox()
    outbox.put(Lost("gone"))
    outbox.close()
    outbox.put(Lost("again"))
    assert outbox.take() == []
