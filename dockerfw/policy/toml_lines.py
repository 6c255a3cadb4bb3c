"""The line of every key and of every list element of a TOML document.

TOML parsers keep no positions, and "line 12" is what a reader of an error message needs. Takes
text that a TOML parser has accepted, gives a tree of positions with the same shape as the parsed
document. Never checks or converts a value: only strings, brackets, keys and line ends matter.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TypeAlias

Key: TypeAlias = str | int


@dataclass(frozen=True, slots=True)
class Position:
    """A line (from 1) and the positions inside: keys of a table, indices of a list."""

    line: int
    children: dict[Key, Position] = field(default_factory=dict)

    def at(self, *path: Key) -> Position:
        """Return the position of ``path``, or of the innermost thing around it that has one."""
        position = self
        for key in path:
            if key not in position.children:
                return position
            position = position.children[key]
        return position


_SPACE = re.compile(r"[ \t]*")
_LINES = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:[^"\\]+|\\.|"(?!""))*"{3,5}'  # one or two quotes may stand before the closing three
    r"|'''(?:[^']+|'(?!''))*'{3,5}"
    r'|"(?:[^"\\\n]+|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}#\r\n]+")
_ESCAPE = re.compile(r"\\(?:U([0-9A-Fa-f]{8})|u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|(.))")
_ESCAPED = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "e": "\x1b"}


def scan(text: str) -> Position:
    """Return the positions of a whole document.

    Raises ValueError where the text is no TOML (not everywhere: a parser has to go first) and
    RecursionError for lists nested some hundred deep, as parsers do.
    """
    return _Scanner(text).document()


def _unescape(match: re.Match[str]) -> str:
    long, short, byte, letter = match.groups()
    code = long or short or byte
    return chr(int(code, 16)) if code else _ESCAPED.get(letter, letter)


class _Scanner:
    """Walks the text once; ``_at`` is the offset of the next character."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line_ends = [match.start() for match in re.finditer("\n", text)]

    def document(self) -> Position:
        root = table = Position(1)
        while True:
            self._take(_LINES)
            if self._at == len(self._text):
                return root
            if self._skip("[["):
                table = self._next_element(root)
                self._expect("]]")
            elif self._skip("["):
                line = self._line()
                table = _descend(root, self._keys(), line)
                self._expect("]")
            else:
                self._pair(table)

    def _next_element(self, root: Position) -> Position:
        """Read what stands between ``[[`` and ``]]``; return the new table of that list."""
        line = self._line()
        *above, last = self._keys()
        elements = _descend(root, above, line).children.setdefault(last, Position(line))
        element = Position(line)
        elements.children[len(elements.children)] = element
        return element

    def _pair(self, table: Position) -> None:
        line = self._line()
        *above, last = self._keys()
        self._expect("=")
        self._take(_SPACE)
        _descend(table, above, line).children[last] = self._value(line)

    def _keys(self) -> list[str]:
        keys = [self._key()]
        while self._skip("."):
            keys.append(self._key())
        return keys

    def _key(self) -> str:
        """Read one part of a dotted key, without the space around it."""
        self._take(_SPACE)
        if self._text[self._at : self._at + 1] not in ("'", '"'):
            key = self._take(_BARE_KEY)
            if not key:
                raise self._unexpected()
        else:
            quoted = self._take(_STRING)
            key = quoted[1:-1] if quoted[:1] == "'" else _ESCAPE.sub(_unescape, quoted[1:-1])
        self._take(_SPACE)
        return key

    def _value(self, line: int) -> Position:
        """Read a value; ``line`` is where its key stands or, in a list, the value itself."""
        if self._skip("["):
            return self._list(line)
        if self._skip("{"):
            return self._inline_table(line)
        pattern = _STRING if self._text[self._at : self._at + 1] in ("'", '"') else _SCALAR
        if not self._take(pattern):
            raise self._unexpected()
        return Position(line)

    def _list(self, line: int) -> Position:
        position = Position(line)
        self._take(_LINES)
        while not self._skip("]"):
            position.children[len(position.children)] = self._value(self._line())
            self._take(_LINES)
            if self._skip(","):
                self._take(_LINES)
            elif not self._text.startswith("]", self._at):
                raise self._unexpected()
        return position

    def _inline_table(self, line: int) -> Position:
        # Line ends and a last comma in here are TOML 1.1: a parser may accept them already.
        position = Position(line)
        self._take(_LINES)
        while not self._skip("}"):
            self._pair(position)
            self._take(_LINES)
            if self._skip(","):
                self._take(_LINES)
            elif not self._text.startswith("}", self._at):
                raise self._unexpected()
        return position

    def _line(self) -> int:
        return bisect_left(self._line_ends, self._at) + 1

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            return ""
        self._at = match.end()
        return match.group()

    def _skip(self, text: str) -> bool:
        if not self._text.startswith(text, self._at):
            return False
        self._at += len(text)
        return True

    def _expect(self, text: str) -> None:
        if not self._skip(text):
            raise self._unexpected()

    def _unexpected(self) -> ValueError:
        return ValueError(f"Unexpected character (at line {self._line()})")


def _descend(position: Position, keys: list[str], line: int) -> Position:
    """Return the table at ``keys``, made where it is missing; of a list of tables the last."""
    for key in keys:
        position = position.children.setdefault(key, Position(line))
        last = len(position.children) - 1
        if last in position.children:
            position = position.children[last]
    return position
