"""A session of root, on a host where nobody may touch the kernel and Docker does not answer."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import pytest

from dockerfw.kernel.netfilter import Netfilter
from dockerfw.kernel.runner import Completed
from dockerfw.operations.session import Session
from dockerfw.state.store import Store
from tests.clock import FakeClock


class NoPrograms:
    def run(self, argv: Sequence[str], stdin: str | None = None, timeout: float = 60) -> Completed:
        del stdin, timeout
        raise AssertionError(f"{argv} was run")

    def read_file(self, path: str) -> NoReturn:
        raise AssertionError(f"{path} was read")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def notices() -> list[str]:
    """What people were notified of."""
    return []


@pytest.fixture
def session(
    tmp_path: Path, clock: FakeClock, notices: list[str], monkeypatch: pytest.MonkeyPatch
) -> Session:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    store = Store(tmp_path / "state", tmp_path / "run")
    kernel = Netfilter(NoPrograms(), clock.time)
    return Session(kernel, store, clock, f"unix://{tmp_path}/no.sock", notices.append)
