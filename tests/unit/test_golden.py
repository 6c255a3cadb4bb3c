"""The kernel text of whole hosts, and what is shown of them, is what it was: see
``tests/golden_text.py`` and ``tests/golden_screens.py``.
"""

from __future__ import annotations

from difflib import unified_diff
from itertools import islice
from pathlib import Path

import pytest

from tests import golden_screens
from tests.golden_text import RECORDED, case_text, cases

MOST_LINES = 30
SCREENS = golden_screens.texts()


@pytest.mark.parametrize("folder", cases(), ids=lambda folder: folder.name)
def test_the_kernel_text_is_as_recorded(folder: Path) -> None:
    _compare((folder / RECORDED).read_text(), case_text(folder), folder.name)


@pytest.mark.parametrize("recorded", SCREENS, ids=lambda path: path.stem)
def test_a_screen_is_as_recorded_and_fits_the_terminal(recorded: Path) -> None:
    text = SCREENS[recorded]
    _compare(recorded.read_text() if recorded.exists() else "", text, "")
    width = int(recorded.suffixes[0][1:])
    assert [line for line in text.splitlines() if len(line) > width] == []


@pytest.mark.parametrize("width", [60, 80, 120, 200])
@pytest.mark.parametrize("name", golden_screens.crowded())
def test_a_screen_with_long_names_fits_every_terminal(name: str, width: int) -> None:
    lines = list(golden_screens.crowded()[name](width))
    assert [line for line in lines if len(line) > width] == []


def test_no_screen_is_recorded_that_is_not_shown() -> None:
    assert set(golden_screens.FOLDER.iterdir()) == set(SCREENS)


def _compare(recorded: str, now: str, name: str) -> None:
    if now != recorded:
        changed = unified_diff(recorded.splitlines(), now.splitlines(), "recorded", "now", n=1)
        shown = "\n".join(islice((line.rstrip("\n") for line in changed), MOST_LINES))
        pytest.fail(f"if this is meant, run script/golden {name}\n{shown}", pytrace=False)
