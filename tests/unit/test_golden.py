"""The kernel text of whole hosts is what it was: see ``tests/golden_text.py``."""

from __future__ import annotations

from difflib import unified_diff
from itertools import islice
from pathlib import Path

import pytest

from tests.golden_text import RECORDED, case_text, cases

MOST_LINES = 30


@pytest.mark.parametrize("folder", cases(), ids=lambda folder: folder.name)
def test_the_kernel_text_is_as_recorded(folder: Path) -> None:
    recorded, now = (folder / RECORDED).read_text(), case_text(folder)
    if now != recorded:
        changed = unified_diff(recorded.splitlines(), now.splitlines(), "recorded", "now", n=1)
        shown = "\n".join(islice((line.rstrip("\n") for line in changed), MOST_LINES))
        pytest.fail(f"if this is meant, run script/golden {folder.name}\n{shown}", pytrace=False)
