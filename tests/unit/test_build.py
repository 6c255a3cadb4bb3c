from __future__ import annotations

import doctest

from tests import build


def test_the_examples_hold() -> None:
    assert doctest.testmod(build).failed == 0
