"""What has to be there before a probe sends anything."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dockerfw.errors import Failed
from dockerfw.kernel.outside import Outside
from dockerfw.operations.probe import probe
from dockerfw.operations.session import Session
from tests.clock import FakeClock
from tests.unit.operations.conftest import NoPrograms


@pytest.fixture
def outside(clock: FakeClock) -> Outside:
    return Outside(NoPrograms(), clock.monotonic)


def test_only_root_probes(session: Session, outside: Outside) -> None:
    with pytest.raises(Failed, match="only root"):
        probe(replace(session, user=lambda: 1000), outside)


def test_nothing_is_made_for_nobody(outside: Outside) -> None:
    assert outside.knock(()) == ()
