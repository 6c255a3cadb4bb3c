from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.edges.daemon.bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    found = Bench(tmp_path)
    yield found
    found.close()
