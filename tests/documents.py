"""The pages that users read, taken apart: fenced blocks, and the test that runs each.

A block of commands (```` ```sh ````) is run by the file that the last comment above it names,

    <!-- run by: tests/boot/test_pages.py -->

until another such comment. Readers do not see it. ``tests/unit/test_docs_commands.py`` fails for a
block that no file runs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.paths import DOCS, REPOSITORY

PAGES = [
    REPOSITORY / "README.md",
    *sorted(DOCS.glob("*.md")),
    *sorted((REPOSITORY / "packaging").rglob("README.md")),
]
_RUN_BY = re.compile(r"<!-- run by: (\S+) -->")
_FENCE = re.compile(r"^( *)```(\w*)")
_LINK = re.compile(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)")
_HEADING = re.compile(r"^##+ (.*)")


@dataclass(frozen=True, slots=True)
class Block:
    """What stands between two fences.

    ``page`` and ``run_by`` are paths from the top; ``run_by`` is empty where none is named.
    ``heading`` is the last one above it, ``line`` that of the upper fence.
    """

    page: str
    heading: str
    line: int
    language: str
    run_by: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """Return every fenced block of a page, in its order."""
    found: list[Block] = []
    name = page.relative_to(REPOSITORY).as_posix()
    heading = run_by = ""
    inside: tuple[int, str, str] | None = None
    body: list[str] = []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        fence = _FENCE.match(line)
        if inside is not None:
            start, indent, language = inside
            if fence is None:
                body.append(line.removeprefix(indent))
                continue
            text = "".join(f"{one}\n" for one in body)
            found.append(Block(name, heading, start, language, run_by, text))
            inside, body = None, []
        elif fence is not None:
            inside = (number, fence[1], fence[2])
        elif named := _RUN_BY.search(line):
            run_by = named[1]
        elif title := _HEADING.match(line):
            heading = title[1]
    return found


def links(text: str) -> list[str]:
    """Return where the links of a page lead, without the web and without places in a page."""
    return _LINK.findall(re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


def commands(page: str, run_by: str) -> list[Block]:
    """Return the blocks of commands of a page, ``docs/install.md``, that this file is to run."""
    return [b for b in blocks(REPOSITORY / page) if b.language == "sh" and b.run_by == run_by]
