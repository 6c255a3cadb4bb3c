"""Markdown as docs/ has it -> the requests of man(7), for manual pages. Pure.

Knows what stands in docs/: headings, paragraphs, lists, tables, blocks of code, and in a line code,
bold and links. A table is a list here: what its first column has, and the rest of the row below.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_INLINE = re.compile(
    r"``(?P<codes>.+?)``|`(?P<code>[^`]+)`"
    r"|\*\*(?P<bold>.+?)\*\*|\*(?P<italic>[^ *][^*]*)\*|\[(?P<link>[^\]]+)\]\([^)]+\)"
)
_SPECIAL = {
    # What man would make a sign of typesetting of, so that an example could not be copied.
    "\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti",
}  # fmt: skip
_CELL = re.compile(r"(?<!\\)\|")


def from_markdown(text: str) -> str:
    """Return the requests for a document, or a part of one; `##` is a section, `###` one below."""
    return tidied("\n".join(_blocks(text.splitlines())))


def tidied(page: str) -> str:
    """Return requests without those for a paragraph where a heading has begun one."""
    return re.sub(r"^(\.S[HS] .*\n)\.PP\n", r"\1", page, flags=re.MULTILINE)


def section(title: str, text: str) -> list[str]:
    """Return a section of plain text."""
    return [f".SH {title}", escaped(text)]


def item(tag: str, text: str) -> list[str]:
    """Return an entry of a list: what it is about in bold, and the text below it."""
    return [".TP", rf"\fB{escaped(tag)}\fR", escaped(text)]


def literal(lines: Sequence[str]) -> list[str]:
    """Return lines that stay as they are, so far to the left that 78 letters fit."""
    # An empty line would be a second paragraph to mandoc.
    kept = (escaped(line) or r"\&" for line in lines)
    return [".PP", ".in 2n", ".nf", *kept, ".fi", ".in"]


def escaped(text: str) -> str:
    """``text`` as roff shows it: no line of it is taken for a request."""
    return "\n".join(_guarded(_plain(line)) for line in text.splitlines() if line.strip())


def _plain(text: str) -> str:
    return "".join(_SPECIAL.get(letter, letter) for letter in text)


def _guarded(line: str) -> str:
    return rf"\&{line}" if line[:1] in (".", "'") else line


def _inline(text: str) -> str:
    """Return a paragraph in one line, with its fonts."""
    found, at = "", 0
    for match in _INLINE.finditer(text):
        found += _plain(text[at : match.start()])
        at = match.end()
        if match["link"] is not None:
            found += _inline(match["link"])
        elif match["italic"] is not None:
            found += rf"\fI{_plain(match['italic'])}\fR"
        else:
            found += rf"\fB{_plain(match['codes'] or match['code'] or match['bold'])}\fR"
    return _guarded(found + _plain(text[at:]))


def _blocks(lines: Sequence[str]) -> Iterator[str]:
    rest = list(lines)
    while rest:
        line = rest[0]
        if line.startswith("```"):
            block = _taken(rest, r"(?!```)")
            yield from literal(block[1:])
            del rest[0]
        elif line.startswith("|"):
            yield from _table(_taken(rest, r"\|"))
        elif line.startswith("#"):
            level, _, title = rest.pop(0).partition(" ")
            yield _heading(len(level), title)
        elif line.startswith("* "):
            yield r".IP \(bu 2"
            yield _inline(" ".join(part.strip() for part in _taken(rest, "  "))[2:])
        elif line.strip():
            yield ".PP"
            yield _inline(" ".join(part.strip() for part in _taken(rest, r"(?!```|[|#]|\* |\s*$)")))
        else:
            del rest[0]


def _taken(rest: list[str], goes_on: str) -> list[str]:
    """Take the first line, and those after it as long as they begin so."""
    end = next((n for n in range(1, len(rest)) if not re.match(goes_on, rest[n])), len(rest))
    block = rest[:end]
    del rest[:end]
    return block


def _heading(level: int, title: str) -> str:
    if level < 3:
        return f".SH {_plain(title.replace('`', '')) if '`' in title else _plain(title.upper())}"
    return f".SS {_inline(title)}"


def _table(lines: Sequence[str]) -> Iterator[str]:
    head, _, *rows = ([cell.strip() for cell in _CELL.split(line)[1:-1]] for line in lines)
    for tag, text, *more in rows:
        yield ".TP"
        yield _inline(tag)
        # What more there is to a row is said with the head of its column.
        rest = [f"{name}: {cell}" for name, cell in zip(head[2:], more, strict=True) if cell]
        yield _inline("; ".join([text, *rest]))
