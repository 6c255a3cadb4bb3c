"""Writes the golden rulesets and screens anew: see ``tests/golden_text.py`` and
``tests/golden_screens.py``; and the page that `script/bench` fills. Names those that changed.
"""

from __future__ import annotations

import sys

from benchmarks.document import DOCUMENT, TEMPLATE, document
from benchmarks.figures import read_history
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
    # The words of the page; its figures stay those of the last run.
    page = document(TEMPLATE.read_text(encoding="utf-8"), read_history()[-1])
    if DOCUMENT.read_text(encoding="utf-8") != page:
        DOCUMENT.write_text(page, encoding="utf-8")
        print(f"changed: {DOCUMENT.name}")


if __name__ == "__main__":
    main(sys.argv[1:])
