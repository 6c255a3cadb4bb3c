"""What a kernel is asked is one protocol; behind it the twins have the same parts."""

from __future__ import annotations

from importlib import import_module

import pytest

from dockerfw.kernel.interface import Kernel
from tests.paths import DOCS

PARTS = {
    # twin: what its driver does. Nobody is shown counters of the seal.
    "iptables": {"read", "commit", "counters"},
    "ipset": {"read", "commit", "counters"},
    "nft": {"read", "commit"},
}


@pytest.mark.parametrize("twin", PARTS)
def test_twins_have_the_same_parts(twin: str) -> None:
    driver = import_module(f"dockerfw.kernel.{twin}.driver")
    assert {name for name in ("read", "commit", "counters") if hasattr(driver, name)} == PARTS[twin]
    assert callable(import_module(f"dockerfw.kernel.{twin}.render").render)
    assert import_module(f"dockerfw.kernel.{twin}.parse")


def test_the_page_has_every_function_that_a_second_backend_needs() -> None:
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    section = page.partition("## A second backend")[2].partition("\n## ")[0]
    asked = {name for name in vars(Kernel) if not name.startswith("_")}
    assert len(asked) > 10
    assert {name for name in asked if f"`{name}" not in section} == set()
