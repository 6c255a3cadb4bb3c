"""Writes the golden rulesets anew: see ``tests/golden_text.py``. Names those that changed."""

from __future__ import annotations

import sys

from tests.golden_text import GOLDEN, RECORDED, case_text, cases


def main(names: list[str]) -> None:
    for folder in [GOLDEN / name for name in names] or cases():
        recorded, text = folder / RECORDED, case_text(folder)
        if not recorded.exists() or recorded.read_text() != text:
            recorded.write_text(text)
            print(f"changed: {folder.name}")


if __name__ == "__main__":
    main(sys.argv[1:])
