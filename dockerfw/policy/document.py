"""TOML text -> tables and values that know their file and line; and the findings about them.

Takes the bytes of one document, gives a `Node`, or a finding where they are no TOML. Knows nothing
of what the keys of a policy mean, and opens no file.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any, TypeVar

from dockerfw.model.policy import Origin
from dockerfw.model.remark import Remark
from dockerfw.policy.syntax import syntax_error
from dockerfw.policy.toml_lines import Position, scan
from dockerfw.policy.utf8 import decode
from dockerfw.policy.words import WordError, did_you_mean, shown

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LISTS = ("allow", "deny", "expect")
"""What is written in two brackets."""
_NOT_SHOWN = "what is wrong here is not shown: you may not read this file without sudo"

_T = TypeVar("_T")
_W = TypeVar("_W")


@dataclass(frozen=True, slots=True)
class Document:
    """One TOML file: ``name`` is its path as messages show it."""

    name: str
    text: bytes


def list_name(document: str, path: str) -> str:
    """How messages name the file of ``file:PATH``: seen from the folder of its document."""
    return str(PurePosixPath(document).parent / path)


@dataclass(slots=True)
class Findings:
    """What was found wrong or odd: (file, line, text), each once.

    ``files`` are the names of the documents, in the order in which their findings are reported;
    ``hidden`` those of files whose contents are not shown; ``keys`` are the keys of our grammar.
    Each finding has the key that it is about; "" where there is none.
    """

    files: list[str]
    keys: Collection[str] = ()
    hidden: Collection[str] = ()
    errors: dict[tuple[str, int, str], str] = field(default_factory=dict)
    warnings: dict[tuple[str, int, str], str] = field(default_factory=dict)

    def error(self, file: str, line: int, text: str, key: str = "") -> None:
        self.errors[file, line, text] = key

    def warning(self, file: str, line: int, text: str, key: str = "") -> None:
        self.warnings[file, line, text] = key

    def in_order(self, findings: Mapping[tuple[str, int, str], str]) -> tuple[str, ...]:
        """Return ``FILE:LINE: text``, documents before the lists that they name, then by line."""
        known = {name: number for number, name in enumerate(self.files)}
        ordered = sorted(findings, key=lambda f: (known.get(f[0], len(known)), f[0], f[1]))
        return without_contents(
            tuple(Remark(f"{file}:{line}: {text}", "policy") for file, line, text in ordered),
            self.hidden,
            [findings[finding] for finding in ordered],
        )


def without_contents(
    lines: Sequence[str], hidden: Collection[str], keys: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return lines ``FILE:LINE: text``, less the text of those about files that are hidden.

    ``keys`` has the key of our grammar that each is about, where it is known.
    """
    if not hidden:
        return tuple(lines)
    found: dict[str, None] = {}
    for number, line in enumerate(lines):
        place = next((match[0] for name in hidden if (match := _place(name, line))), None)
        key = keys[number] if number < len(keys) else ""
        about = f"`{key}`: " if key else ""
        found[line if place is None else f"{place} {about}{_NOT_SHOWN}"] = None
    return tuple(found)


def _place(file: str, line: str) -> re.Match[str] | None:
    return re.match(rf"{re.escape(file)}:[0-9]+:", line)


@dataclass(frozen=True, slots=True)
class Node:
    """A value of a document, its position, and where findings about it go."""

    file: str
    value: Any
    position: Position
    findings: Findings
    key: str = ""
    """The key of our grammar under which it stands."""

    @property
    def origin(self) -> Origin:
        return Origin(self.file, self.position.line)

    def error(self, text: str) -> None:
        self.findings.error(self.file, self.position.line, text, self.key)

    def warning(self, text: str) -> None:
        self.findings.warning(self.file, self.position.line, text, self.key)

    @property
    def is_list_of_tables(self) -> bool:
        """Return True for what is written ``[[key]]``, or as a list of inline tables."""
        value = self.value
        return isinstance(value, list) and all(isinstance(element, dict) for element in value)

    def get(self, key: str) -> Node | None:
        """Return the value of a key of this table."""
        return self._inside(key) if key in self.value else None

    def items(self) -> list[tuple[str, Node]]:
        """Return the keys of this table with their values, in the order of the document."""
        return [(key, self._inside(key)) for key in self.value]

    def elements(self) -> list[Node]:
        """Return the elements of this list; a single value is a list of one."""
        if not isinstance(self.value, list):
            return [self]
        return [self._inside(index) for index in range(len(self.value))]

    def _inside(self, key: str | int) -> Node:
        known = str(key) if key in self.findings.keys else self.key
        return Node(self.file, self.value[key], self.position.at(key), self.findings, known)


def load(document: Document, findings: Findings) -> Node | None:
    """Return the table of a whole document; None where it is no TOML, which became a finding."""
    text, problem = decode(document.text)
    if problem:
        findings.error(document.name, *problem)
        return None
    try:
        value, position = tomllib.loads(text), scan(text)
    except RecursionError:
        findings.error(document.name, 1, "lists or tables are nested too deep: a policy needs two")
        return None
    except ValueError as error:
        findings.error(document.name, *syntax_error(str(error), text, LISTS))
        return None
    return Node(document.name, value, position, findings)


def check_keys(
    table: Node,
    known: Collection[str],
    where: str,
    misplaced: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Report every key of a table that is not known there.

    ``where`` is how messages call the table; ``misplaced`` has the whole message for a key that is
    known elsewhere.
    """
    for key, inside in table.items():
        if key in misplaced:
            inside.error(misplaced[key])
        elif key not in known:
            near = did_you_mean(key, known) or f": known are {key_list(known)}"
            inside.error(f"unknown key {shown(key)} in {where}{near}")


def key_list(keys: Collection[str]) -> str:
    """Return ```a`, `b```."""
    return ", ".join(f"`{key}`" for key in keys)


def strings(node: Node | None, how: str) -> list[tuple[Node, str]]:
    """Return the strings of a list, or the one string that stands in its place.

    Anything else is reported; ``how`` is what the message proposes to write.
    """
    found = []
    for element in node.elements() if node else ():
        if isinstance(element.value, str):
            found.append((element, element.value))
        else:
            element.error(f"{shown(element.value)} is no string: write {how}")
    return found


def values(node: Node | None) -> list[tuple[Node, object]]:
    """Return the values of a list, or the one value that stands in its place."""
    return [(element, element.value) for element in node.elements()] if node else []


def convert(node: Node, word: _W, read: Callable[[_W], _T]) -> _T | None:
    """Return what ``read`` makes of a word; None where its `WordError` became a finding."""
    try:
        return read(word)
    except WordError as error:
        node.error(str(error))
        return None


def convert_all(found: Iterable[tuple[Node, _W]], read: Callable[[_W], _T]) -> tuple[_T, ...]:
    """Return what ``read`` makes of each word, those left out that became findings."""
    converted = [convert(node, word, read) for node, word in found]
    return tuple(value for value in converted if value is not None)


def one_of(node: Node | None, known: tuple[_T, ...], default: _T) -> _T:
    """Return the word that is written, one of ``known``; the default where there is none."""
    if node is None:
        return default
    for word in known:
        if node.value == word:
            return word
    choices = " or ".join(f'"{word}"' for word in known)
    node.error(f"{shown(node.value)} is unknown here: write {choices}")
    return default
