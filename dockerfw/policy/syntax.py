"""A mistake in the form of TOML -> its line, the key where it stands, and what to write there.

Takes the parser's own message and the text; gives a sentence. Never decides whether a text is
valid: where nothing better is known, the parser's words stand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import NamedTuple

from dockerfw.policy.words import shown

_ERROR_LINE = re.compile(r" ?\(at line (\d+), column (\d+)\)$")
_LONG_NUMBER = re.compile(r"\d[\d_]{4000}")
_KEY = re.compile(r"\s*(?P<key>[\w-]+(?:\.[\w-]+)*)\s*=\s*(?P<value>.*)")
_HEADER = re.compile(r"\s*\[+\s*([^\]\[]+?)\s*\]*\s*(?:#.*)?")
_TYPOGRAPHIC = re.compile("[“”„‟«»‘’‚‛]")
_BARE = re.compile(r"[A-Za-z!*][^\s,\]#;]*")
_NUMBER_LIKE = re.compile(r"[0-9a-fA-F]*[.:/-][0-9a-zA-Z.:/-]*|[0-9]+/[a-z]+|[0-9][0-9a-zA-Z.:/-]*")
_DATE = re.compile(r"(?P<day>\d{4}-\d\d-\d\d)(?:[T ](?P<time>\d\d:\d\d)(?::\d\d)?)?")
_TABLE_NAME = re.compile(r"\('([^']+)'(?:, '([^']+)')?,?\)")
_TRUTH = {"yes": "true", "on": "true", "no": "false", "off": "false"}
_EVERY = "[[{}]]"
_YAML = "this is YAML: a policy is TOML, as config.example.toml shows it"


class _Place(NamedTuple):
    """Where it is wrong: the line, what stands there from the mistake on, and its key and value.

    ``message`` is the parser's, ``lists`` are the tables that are written in two brackets.
    """

    line: str
    rest: str
    key: str
    value: str
    message: str
    lists: Collection[str]


def syntax_error(message: str, text: str, lists: Collection[str]) -> tuple[int, str]:
    """Return the line of a parser's message, and the message for people.

    ``lists`` are the names of tables that are written in two brackets.
    """
    last = text.rstrip().count("\n") + 1
    found = _ERROR_LINE.search(message)
    at_end = found is None
    if found is None:
        if long := _LONG_NUMBER.search(text):
            line = text.count("\n", 0, long.start()) + 1
            return line, "not valid TOML: a number of thousands of digits"
        line, column = last, len(text.split("\n")[last - 1]) + 1
    else:
        line, column = min(int(found[1]), last), int(found[2])
    lines = text.split("\n")
    begun = line
    if "array" in message:
        # A key at the very start is that of the next line, behind a list that is not closed.
        begun = _beginning(lines, line - 1 if column == 1 and _KEY.match(lines[line - 1]) else line)
    match = _KEY.fullmatch(lines[begun - 1])
    place = _Place(
        lines[line - 1],
        lines[line - 1][column - 1 :],
        match["key"] if match else "",
        match["value"].rstrip() if match else "",
        message,
        lists,
    )
    for begins, explain in _EXPLANATIONS:
        if message.startswith(begins) and (meant := explain(place)):
            return line, f"not valid TOML: {meant}"
    plain = _ERROR_LINE.sub("", message).replace(" (at end of document)", " at the end")
    return line, f"not valid TOML: {plain}" + ("" if at_end else f" at column {column}")


def _beginning(lines: list[str], line: int) -> int:
    """Return the line on which the list begins that goes wrong on this one."""
    for number in range(line, 0, -1):
        match = _KEY.fullmatch(lines[number - 1])
        if match and match["value"].startswith("["):
            return number
    return line


def _assignment(key: str, value: str) -> str:
    return shown(f"{key} = {value}")


def _quotes(place: _Place) -> str | None:
    if not _TYPOGRAPHIC.search(place.line):
        return None
    plain = _TYPOGRAPHIC.sub('"', place.line.strip())
    return f"typographic quotes are no quotes here: write {shown(plain)}"


def _space(place: _Place) -> str | None:
    """A space that looks as any other does, and is none to TOML."""
    odd = place.rest[:1]
    if not odd.isspace() or odd in " \t\r\n":
        return None
    return f"a space that is no plain one (U+{ord(odd):04X}) stands in this line: type it anew"


def _twice(place: _Place) -> str | None:
    header = _HEADER.fullmatch(place.line)
    if not place.key and header:
        name = header[1]
        if name in place.lists:
            return f"{shown(name)} is a list of tables: write {_EVERY.format(name)} each time"
        return f"{shown(name)} stands here a second time: write {shown(f'[{name}]')} once"
    if not place.key:
        return None
    return (
        f"{shown(place.key)} has a value already in this table: write it once, several words as a "
        f"list, {_assignment(place.key, '[…, …]')}"
    )


def _declared(place: _Place) -> str | None:
    found = _TABLE_NAME.search(place.message)
    if not found:
        return None
    name = ".".join(part for part in found.groups() if part)
    if name in place.lists:
        return f"{shown(f'[{name}]')} is one table: write a list of them, as {_EVERY.format(name)}"
    return (
        f"{shown(f'[{name}]')} stands here a second time: move the lines below it to the first one"
    )


def _unclosed(place: _Place) -> str | None:
    key = place.key
    if not key:
        return None
    before = place.line[: len(place.line) - len(place.rest)]
    if place.rest[:1] in ".:/-" and place.rest and (word := re.search(r"[\w.:/-]*\Z", before)):
        whole = word[0] + (re.match(r"[\w.:/-]*", place.rest) or [""])[0]
        quoted = f'"{whole}"'
        return f"{shown(key)}: what is no plain number stands in quotes, {shown(quoted)}"
    if re.search(r"(?:[\[,]|^)\s*0+\Z", before) and place.rest[:1].isdigit():
        return f"{shown(key)}: a number has no zero in front"
    if _KEY.fullmatch(place.line) is None or place.line.strip().startswith(key):
        comma = bool(re.match(r"[\"'\w]", place.rest)) and not _KEY.fullmatch(place.rest)
        if comma and before.strip():
            return f"{shown(key)}: a comma is missing between two words of its list"
        if comma:
            return f"{shown(key)}: a comma is missing at the end of the line before this one"
    return f"{shown(key)}: its list is not closed: write `]` behind the last word"


def _behind(place: _Place) -> str | None:
    """Something stands behind a value."""
    key, value, rest = place.key, place.value, place.rest.strip()
    if not key:
        header = place.line.strip().startswith("[") and rest
        return f"nothing stands behind a table's name: leave out {shown(rest)}" if header else None
    if rest.startswith(",") and rest.strip(","):
        return f"{shown(key)}: several words are a list: write {_assignment(key, f'[{value}]')}"
    if rest.startswith((";", ",")):
        return f"{shown(key)}: nothing stands at the end of a line: leave out {shown(rest[0])}"
    if re.match(r"[\w.-]+\s*=", rest):
        return f"{shown(key)}: one key a line: write what begins with {shown(rest)} on the next"
    if re.match(r"(?:and\b|or\b|\+|&|\|)?\s*[\"']", rest):
        listed = _assignment(key, '["…", "…"]')
        return f"{shown(key)}: several words are a list: write {listed}"
    if date := _DATE.match(value):
        whole = f"{date['day']}T{date['time'] or '00:00'}:00Z"
        return f"{shown(key)}: a moment has seconds and a zone: write {_assignment(key, whole)}"
    if re.match(r"\d\d?\.\d\d?\.\d{4}", value):
        return f"{shown(key)}: a moment is written like {_assignment(key, '2027-01-31T00:00:00Z')}"
    if word := _NUMBER_LIKE.match(value):
        quoted = f'"{word[0]}"'
        return f"{shown(key)}: what is no plain number stands in quotes: {_assignment(key, quoted)}"
    return None


def _no_equals(place: _Place) -> str | None:
    line = place.line.strip()
    if found := re.fullmatch(r"([\w.-]+)\s*:\s*(.*)", line):
        if not found[2]:
            return _YAML
        whole = _assignment(found[1], found[2])
        return f"{shown(found[1])}: between a key and its value stands `=`: write {whole}"
    if found := re.fullmatch(r"([\w.-]+)\s+([\"'\[].*)", line):
        return f"{shown(found[1])}: `=` is missing: write {_assignment(found[1], found[2])}"
    if found := re.fullmatch(r"([\w.-]+(?: [\w.-]+)+)\s*=.*", line):
        joined = found[1].replace(" ", "-")
        return f"a key has no space in it: write {shown(joined)}"
    if place.value.startswith("{"):
        return f"{shown(place.key)}: a list stands in `[` and `]`"
    if re.fullmatch(r"[\w.-]+(?:\s+[\w./*-]+)+", line):
        return "a line is a key, `=` and a value: config.example.toml shows what a rule looks like"
    return None


def _brackets(place: _Place) -> str | None:
    header = _HEADER.fullmatch(place.line)
    if not header:
        return None
    name = header[1]
    whole = _EVERY.format(name) if name in place.lists else f"[{name}]"
    return f"a bracket is missing: write {shown(whole)}"


def _illegal(place: _Place) -> str | None:
    if r"'\n'" not in place.message or not place.key:
        return None
    return f'{shown(place.key)}: a string is not closed: write `"` at its end'


def _backslash(place: _Place) -> str | None:
    return f"{shown(place.key)}: write a backslash twice" if place.key else None


def _value(place: _Place) -> str | None:
    key, rest = place.key, place.rest
    named = f"{shown(key)}: " if key else ""
    if not rest.strip() or rest.lstrip().startswith("#"):
        example = f": write {_assignment(key, chr(34) + '…' + chr(34))}" if key else ""
        return f"{named}there is no value{example}"
    if rest.startswith("="):
        return f"{named}one `=` is enough: write {_assignment(key, rest.lstrip('= '))}"
    if rest.startswith("("):
        whole = f"[{rest.strip().strip('()')}]"
        return f"{named}a list stands in `[` and `]`: write {_assignment(key, whole)}"
    if rest[:1] in "[{" or rest[:1] == ",":
        return f"{named}one word is missing here, or a comma is too many"
    if word := _BARE.match(rest):
        lower = word[0].lower()
        if lower in ("true", "false"):
            return f"{named}write it small, {shown(lower)}"
        if lower in _TRUTH:
            return f"{named}yes is `true` and no is `false`: write {shown(_TRUTH[lower])}"
        quoted = f'"{word[0]}"'
        return f"{named}write it in quotes, {shown(quoted)}"
    if word := _NUMBER_LIKE.match(rest):
        quoted = f'"{word[0]}"'
        return f"{named}what is no plain number stands in quotes, {shown(quoted)}"
    return None


def _statement(place: _Place) -> str | None:
    line = place.line.strip()
    if line.startswith(("//", "/*", ";", "--")):
        return "a remark begins with `#`"
    if line.startswith("{"):
        return "this is JSON: a policy is TOML, as config.example.toml shows it"
    if line.startswith("-"):
        return _YAML
    if line.startswith("="):
        return "a key is missing before `=`"
    return None


def _braces(place: _Place) -> str | None:
    name = place.key
    if name in place.lists:
        return f"{shown(name)}: a table in braces ends in its line: write {_EVERY.format(name)}"
    return None


_Explain = Callable[[_Place], "str | None"]
_EXPLANATIONS: tuple[tuple[str, _Explain], ...] = (
    ("", _quotes),
    ("", _space),
    ("Cannot overwrite", _twice),
    ("Cannot declare", _declared),
    ("Cannot mutate", _twice),
    ("Unclosed array", _unclosed),
    ("Expected newline", _behind),
    ("Expected '=' after", _no_equals),
    ("Expected ']'", _brackets),
    ("Expected ']]'", _brackets),
    ("Illegal character", _illegal),
    ("Unescaped", _backslash),
    ("Invalid value", _value),
    ("Invalid initial character for a key", _braces),
    ("Unclosed inline table", _braces),
    ("Invalid statement", _statement),
)
"""How a message of the parser begins, and what explains it."""
