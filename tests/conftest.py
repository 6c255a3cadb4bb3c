"""What all tests share: marks by folder, a host to throw away, and how hypothesis runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.lab.host import Host

_MARKS = {"packets": "lab", "engine": "engine"}

# How long an example takes says more about the machine than about the code.
settings.register_profile("dockerfw", deadline=None, print_blob=True)
settings.load_profile("dockerfw")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        mark = _MARKS.get(item.path.relative_to(here).parts[0])
        if mark is not None:
            item.add_marker(mark)


@pytest.fixture
def host() -> Iterator[Host]:
    with Host() as host:
        yield host
