"""The machine that each of these tests throws away."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.boot import Machine, Suite


@pytest.fixture
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """Debian 13, or the release that the test is parametrized with; powered off."""
    suite: Suite = getattr(request, "param", "trixie")
    with Machine(suite) as machine:
        yield machine
