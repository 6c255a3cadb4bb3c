"""Any text is parsed or refused: no other exception, and every finding has its line."""

from __future__ import annotations

import re

from hypothesis import given, strategies as st

from dockerfw.errors import PolicyError
from dockerfw.policy.document import Document
from dockerfw.policy.parser import parse
from dockerfw.policy.settings import SECTIONS
from dockerfw.policy.statements import LISTS
from tests.paths import EXAMPLE
from tests.strategies import profile

EXAMPLE_TEXT = EXAMPLE.read_bytes()
KEYS = [*SECTIONS, *LISTS, "sources", "baseline", "mark", "to", "ports", "published", "from", "is"]
WORDS = [
    *(
        "any",
        "a",
        "b",
        "web",
        "!web",
        "192.0.2.1",
        "::/0",
        "10.0.0.1-9",
        "fe80::1%x",
        "80/udp",
        ":",
    ),
    *("file:l", "file:gone", "iface:", "iface:e*", "label:=", "service:x", "host:x.y", "x:80", "%"),
]
_words: st.SearchStrategy[object] = st.sampled_from(WORDS) | st.text(max_size=6)
_leaves = _words | st.integers() | st.booleans() | st.just(2.5) | st.sampled_from([80, 65536])
_values = st.recursive(
    _leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=3), inner, max_size=5)
    ),
    max_leaves=12,
)
_tables = st.dictionaries(st.sampled_from(KEYS), _values, max_size=4)


def toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(k)} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if not isinstance(value, str):
        return str(value).lower()
    return '"' + "".join(c if c.isalnum() else f"\\U{ord(c):08X}" for c in value) + '"'


def parse_or_refuse(data: bytes) -> None:
    """Any other exception than `PolicyError` fails the test; so does a finding of odd form."""

    def read_file(_document: str, path: str) -> bytes:
        if path == "l":
            return b""
        raise FileNotFoundError(2, "No such file or directory")

    findings: tuple[str, ...] = ()
    try:
        parse([Document("p", data)], read_file)
    except PolicyError as error:
        findings = error.findings or ("refused without a reason",)
    for finding in findings:
        assert re.match(r"p:[1-9][0-9]*: .", finding)
        assert finding.isprintable()


@given(st.fixed_dictionaries({}, optional={k: st.lists(_tables) | _values for k in KEYS[:7]}))
@profile(0.5)
def test_a_policy_of_any_shape_is_parsed_or_refused(document: dict[str, object]) -> None:
    lines = "".join(f"{key} = {toml(value)}\n" for key, value in document.items())
    parse_or_refuse(lines.encode())


@given(st.binary(max_size=8), st.integers(0, len(EXAMPLE_TEXT)), st.integers(0, 40))
@profile(1)
def test_an_example_with_any_damage_is_parsed_or_refused(noise: bytes, at: int, cut: int) -> None:
    parse_or_refuse(EXAMPLE_TEXT[:at] + noise + EXAMPLE_TEXT[at + cut :])
