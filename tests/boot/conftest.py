"""The machine that each of these tests throws away, and what is built once for all of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.boot import Machine, Suite


@pytest.fixture
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """Debian 13, or the release that the test is parametrized with; powered off."""
    suite: Suite = getattr(request, "param", "trixie")
    with Machine(suite) as machine:
        yield machine


@pytest.fixture(scope="session")
def test_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of this test run, which all its processes share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
