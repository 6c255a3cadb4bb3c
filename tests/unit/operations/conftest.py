"""A session of root, on a host where nobody may touch the kernel and Docker does not answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from dockerfw.errors import Failed
from dockerfw.kernel.interface import Kernel
from dockerfw.kernel.netfilter import Netfilter
from dockerfw.kernel.runner import Completed
from dockerfw.operations.reconcile import Reconciler
from dockerfw.operations.session import Session
from dockerfw.state.store import Store
from tests.clock import FakeClock


class NoPrograms:
    def run(self, argv: Sequence[str], stdin: str | None = None, timeout: float = 60) -> Completed:
        del stdin, timeout
        raise AssertionError(f"{argv} was run")

    def read_file(self, path: str) -> NoReturn:
        raise AssertionError(f"{path} was read")


class PlayedReconciler(Reconciler):
    """Writes down when it was told to commit or to remove; ``broken`` is how often that fails."""

    def __init__(self, kernel: Kernel, store: Store, clock: FakeClock) -> None:
        super().__init__(kernel, store, clock.time)
        self.moments: list[float] = []
        self.broken = 0
        self.before_commit: Callable[[], None] = lambda: None

    def commit(self, *_: object, **__: object) -> Any:
        self.before_commit()
        self._done()
        return SimpleNamespace(steps=3)

    def remove(self, *_: object, **__: object) -> Any:
        self._done()

    def _done(self) -> None:
        if self.broken:
            self.broken -= 1
            raise Failed("the disk is full")
        self.moments.append(self._now())


@dataclass(frozen=True)
class PlayedSession(Session):
    """A session whose kernel is left out."""

    played: PlayedReconciler = field(kw_only=True)

    @property
    def reconciler(self) -> PlayedReconciler:
        return self.played


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def notices() -> list[str]:
    """What people were notified of."""
    return []


@pytest.fixture
def session(tmp_path: Path, clock: FakeClock, notices: list[str]) -> Session:
    store = Store(tmp_path / "state", tmp_path / "run")
    kernel = Netfilter(NoPrograms(), clock.time)
    docker = f"unix://{tmp_path}/no.sock"
    return Session(kernel, store, clock, docker, notices.append, user=lambda: 0)


@pytest.fixture
def played(tmp_path: Path, clock: FakeClock, notices: list[str]) -> PlayedSession:
    """The same, where writing to the kernel is played."""
    store = Store(tmp_path / "state", tmp_path / "run")
    kernel = Netfilter(NoPrograms(), clock.time)
    docker, written = f"unix://{tmp_path}/no.sock", PlayedReconciler(kernel, store, clock)
    return PlayedSession(
        kernel, store, clock, docker, notices.append, user=lambda: 0, played=written
    )
