"""Writes the golden rulesets and screens anew: see ``tests/golden_text.py`` and
``tests/golden_screens.py``. Names those that changed.
"""

from __future__ import annotations

import sys

from tests import golden_screens
from tests.golden_text import GOLDEN, RECORDED, case_text, cases


def main(names: list[str]) -> None:
    for folder in [GOLDEN / name for name in names] or cases():
        recorded, text = folder / RECORDED, case_text(folder)
        if not recorded.exists() or recorded.read_text() != text:
            recorded.write_text(text)
            print(f"changed: {folder.name}")
    golden_screens.FOLDER.mkdir(exist_ok=True)
    for recorded, text in golden_screens.texts().items():
        if not recorded.exists() or recorded.read_text() != text:
            recorded.write_text(text)
            print(f"changed: {recorded.name}")


if __name__ == "__main__":
    main(sys.argv[1:])
