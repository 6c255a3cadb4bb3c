"""Where things stand in a TOML document, held against the parser's own idea of the document."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, TypeAlias

import pytest
from hypothesis import given, strategies as st

from dockerfw.policy.toml_lines import Key, Position, scan
from tests.strategies import profile

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Path: TypeAlias = tuple[Key, ...]


def paths_of(value: Any, path: Path = ()) -> Iterator[Path]:
    """Every path of a parsed document but the empty one."""
    children: list[tuple[Key, Any]] = []
    if isinstance(value, dict):
        children = list(value.items())
    elif isinstance(value, list):
        children = list(enumerate(value))
    for key, child in children:
        yield (*path, key)
        yield from paths_of(child, (*path, key))


def positions(position: Position, path: Path = ()) -> Iterator[Path]:
    for key, child in position.children.items():
        yield (*path, key)
        yield from positions(child, (*path, key))


def value_at(document: Any, path: Path) -> Any:
    for key in path:
        document = document[key]
    return document


# --- random documents --------------------------------------------------------------------------

NASTY = ["#", "[", "]", "{", "}", "=", ",", ".", "'", '"', "\\", " ", "a", "ä", "[[x]]", "# no"]
_plain = st.lists(st.sampled_from(NASTY), max_size=5).map("".join)
_one_line_blank = st.sampled_from(["", " ", "\t "])
_blank = st.sampled_from(["", " ", "\n", " # a, comment ] }\n", "\n\n  "])
_coin = st.booleans()
_numbers = st.integers(10**9, 10**12).map(str)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _literal(text: str) -> str:
    return text.replace("'", "")


_strings = st.one_of(
    _plain.map(lambda t: f'"{_escaped(t)}"'),
    _plain.map(lambda t: f"'{_literal(t)}'"),
    _plain.map(lambda t: f'"""{_escaped(t)}\n""{_escaped(t)}\\\n """'),
    st.sampled_from(["", '"', '""']).map(lambda quotes: f'"""\n# x {quotes}"""'),
    st.sampled_from(["", "'", "''"]).map(lambda quotes: f"'''\n[a] = 1 \\ {quotes}'''"),
    st.just('"\\u00e4\\t\\U0001F600"'),
)
_scalars = st.one_of(
    _numbers,
    _strings,
    st.sampled_from(
        ["true", "-1.5e3", "inf", "0x30_00", "1979-05-27 07:32:00Z", "07:32:00", "1979-05-27"]
    ),
)
_keys = st.one_of(
    st.sampled_from(["a", "b", "c", "1", "-", "a-b_"]),
    st.sampled_from(['"a"', "'b'", '"x.y"', "'#'", '"\\u0041"', '"]"', '""', "'\"'"]),
)


@st.composite
def _dotted(draw: st.DrawFn) -> str:
    dot = draw(st.sampled_from([".", " . "]))
    return dot.join(draw(st.lists(_keys, min_size=1, max_size=2)))


@st.composite
def _pairs(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    space = draw(_one_line_blank)
    return f"{draw(_dotted())}{space}={space}{draw(values)}"


@st.composite
def _lists(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    inside = [draw(_blank) + v + draw(_blank) for v in draw(st.lists(values, max_size=3))]
    last_comma = "," if draw(_coin) and inside else ""
    return f"[{','.join(inside)}{last_comma}{draw(_blank)}]"


@st.composite
def _inline_tables(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    space = draw(_one_line_blank)
    return "{" + ", ".join(draw(st.lists(_pairs(values), max_size=2))) + space + "}"


_values: st.SearchStrategy[str] = st.recursive(
    _scalars, lambda inner: _lists(inner) | _inline_tables(inner), max_leaves=5
)
_headers = st.one_of(
    _dotted().map(lambda key: f"[ {key} ]"),
    _dotted().map(lambda key: f"[[{key}]]"),
    _keys.map(lambda key: f"[[{key}]]"),
)
_statements = st.one_of(_pairs(_values), _headers)


@st.composite
def documents(draw: st.DrawFn) -> str:
    """TOML of all kinds; statements that contradict each other are left out."""
    text = draw(_blank)
    for statement in draw(st.lists(_statements, max_size=8)):
        longer = f"{text}{draw(_one_line_blank)}{statement} # end\n{draw(_blank)}"
        if _is_toml(longer):
            text = longer
    return text.replace("\n", "\r\n") if draw(_coin) else text


def _is_toml(text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


@given(documents())
@profile(4)
def test_places_are_those_of_the_parsed_document_and_on_their_lines(text: str) -> None:
    document, root = tomllib.loads(text), scan(text)
    paths = list(paths_of(document))
    assert sorted(positions(root), key=repr) == sorted(paths, key=repr)
    for path in paths:
        number = str(value_at(document, path))
        if number.isdigit() and text.count(number) == 1:
            assert root.at(*path).line == text[: text.index(number)].count("\n") + 1, path


# --- by hand -----------------------------------------------------------------------------------

TEXT = '''\
# a comment = 1
[sources]
office = [
  "192.0.2.0/24",  # "not", an element
  """
  two lines""", "beside",
]
"quoted key" = {a = 1, b.c = [1,2]}

[[allow]]
to = "web"

[[allow]]
ports = [
  80, 443,
  "53/udp",
]
[allow.more]
x = 1
[[deny]] # last
'''


@pytest.mark.parametrize(
    "path, line",
    [
        ((), 1),
        (("sources",), 2),
        (("sources", "office"), 3),
        (("sources", "office", 0), 4),
        (("sources", "office", 1), 5),
        (("sources", "office", 2), 6),
        (("sources", "quoted key", "b", "c", 1), 8),
        (("allow",), 10),
        (("allow", 0), 10),
        (("allow", 0, "to"), 11),
        (("allow", 1), 13),
        (("allow", 1, "ports", 1), 15),
        (("allow", 1, "ports", 2), 16),
        (("allow", 1, "more", "x"), 19),
        (("deny", 0), 20),
    ],
)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_every_key_and_element_has_its_line(path: Path, line: int, line_end: str) -> None:
    assert scan(TEXT.replace("\n", line_end)).at(*path).line == line


def test_a_path_that_is_not_there_gets_the_line_of_what_is_around_it() -> None:
    assert scan(TEXT).at("allow", 1, "ports", 7, "x").line == 14


@pytest.mark.parametrize(
    "text", ["= 1", "a", "a =", "a = [1", "a = ['' 2]", "a = {b = 1", "[a", "[[a]", "a = 'x"]
)
def test_what_is_no_toml_is_an_error_and_not_an_endless_walk(text: str) -> None:
    with pytest.raises(ValueError, match=r"at line 1"):
        scan(text)
