"""The examples in the docstrings of dockerfw/text.py."""

from __future__ import annotations

import doctest

from dockerfw import text


def test_the_examples_hold() -> None:
    results = doctest.testmod(text)
    assert results.attempted
    assert not results.failed
