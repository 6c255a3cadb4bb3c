"""What is built once for all of these tests."""

from __future__ import annotations

import pytest

from tests.install.built import Built, build
from tests.paths import REPOSITORY


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The sdist and the wheel of this tree."""
    return build(REPOSITORY, tmp_path_factory.mktemp("built"))
