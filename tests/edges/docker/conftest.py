from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakeengine import FakeEngine


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[FakeEngine]:
    # A socket's path is short: pytest's own folders may be too deep.
    with FakeEngine(tmp_path / "s") as fake:
        yield fake


@pytest.fixture(autouse=True)
def no_docker_of_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
