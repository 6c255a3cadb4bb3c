"""The text of ``conf.d/temporary.toml``: one rule more or fewer, all other lines as they were."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from hypothesis import given, strategies as st

from dockerfw.errors import PolicyError
from dockerfw.policy import temporary
from dockerfw.policy.document import Document
from dockerfw.policy.parser import parse
from tests.strategies import profile

NAME = "conf.d/temporary.toml"
LINES = ('to    = "db"', "ports = [5432]", 'from  = ["203.0.113.7"]')
UNTIL = datetime(2027, 1, 31, 12, 0, 5, tzinfo=timezone.utc)
RULE = """[[allow]]  # alice: ticket 42
to    = "db"
ports = [5432]
from  = ["203.0.113.7"]
until = 2027-01-31T12:00:05Z
"""


def document(text: str) -> Document:
    return Document(NAME, text.encode())


def with_rule(text: str) -> str:
    return temporary.with_rule(document(text), LINES, UNTIL, "alice: ticket 42").text.decode()


def without(text: str, *numbers: int) -> str:
    return temporary.without(document(text), frozenset(numbers)).text.decode()


def test_the_first_rule_says_whose_file_it_is() -> None:
    text = with_rule("")
    assert text.startswith("# ")
    assert text.endswith(f"\n\n{RULE}")


def test_a_rule_is_read_as_it_was_written() -> None:
    (rule,) = temporary.rules(document(with_rule("# mine\n")))
    assert rule == temporary.Rule(1, line=3, last=7, note="alice: ticket 42")


def test_a_rule_that_goes_takes_no_other_line_with_it() -> None:
    text = """# of the team

[[allow]]  # one
to = "a"
ports = [
  80,  # the web
]
# in between
from = "any"

# about the next one
[[deny]]
from = "192.0.2.1"
[[allow]]
to = "b"
ports = 80
from = "any"
# at the end"""
    expected = """# of the team

# about the next one
[[deny]]
from = "192.0.2.1"
# at the end"""
    assert without(text, 1, 2) == expected


@pytest.mark.parametrize(
    "text",
    [
        'allow = [{to = "a", ports = 80, from = "any"}]\n',
        '# x\nallow = [\n{to = "a", ports = 80, from = "any"},\n]\n',
    ],
)
def test_rules_in_another_form_are_refused(text: str) -> None:
    with pytest.raises(PolicyError, match=r"temporary\.toml:\d: .*\[\[allow\]\]"):
        with_rule(text)


def test_a_file_that_is_no_toml_is_refused() -> None:
    with pytest.raises(PolicyError, match=r"temporary\.toml:1: "):
        temporary.rules(document("[[allow\n"))


# --- whatever stands in the file -----------------------------------------------------------------

comments = st.sampled_from(["", "# mine", "#[[allow]]", "\t# é [[deny]]", '# """'])
values = st.sampled_from(
    [
        'to = "a"',
        "to = ['a', # one\n # two\n \"b\"]",
        'to = "label:a=[[allow]]"',
        'to = """\\\n  c"""',
        "to = [\n'd' ]  # ]",
        "\"to\" = '''e'''",
    ]
)
headers = st.sampled_from(["[[allow]]", "  [[ allow ]] # until then", '[["allow"]]'])


@st.composite
def allows(draw: st.DrawFn) -> str:
    """Return the lines of one rule, comments between them included."""
    between = [draw(comments) for _ in range(2)]
    keys = [draw(values), "ports = 80", 'from = "any"', "until = 2027-01-31T12:00:05Z"]
    order = draw(st.permutations(keys))
    return "\n".join([draw(headers), order[0], between[0], *order[1:3], between[1], order[3]])


others = st.one_of(
    comments,
    st.sampled_from(['[[deny]]\nfrom = "192.0.2.1"', '[[deny]]\nfrom = ["192.0.2.1",\n# x\n]']),
)
files = st.tuples(
    st.lists(st.one_of(allows().map(lambda text: (True, text)), others.map(lambda t: (False, t)))),
    st.sampled_from(["", '[sources]\noffice = "198.51.100.0/24"', "# [sources]"]),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)


def written(pieces: list[tuple[bool, str]], newline: str, *, ends: bool) -> str:
    text = "\n".join(text for _, text in pieces) + "\n" * ends
    return text.replace("\n", newline)


@profile()
@given(files, st.data())
def test_what_is_written_parses_and_all_other_lines_stay(
    drawn: tuple[list[tuple[bool, str]], str, str, bool], data: st.DataObject
) -> None:
    pieces, last, newline, ends = drawn
    pieces = [*pieces, (False, last)]
    before = written(pieces, newline, ends=ends)
    count = sum(allow for allow, _ in pieces)
    gone = data.draw(st.frozensets(st.integers(1, count)) if count else st.just(frozenset()))

    after = with_rule(without(before, *gone))

    numbered = iter(range(1, count + 1))
    kept = [(allow, text) for allow, text in pieces if not allow or next(numbered) not in gone]
    lines = [line for line in written(kept, newline, ends=ends).splitlines() if line.strip()]
    found = [line for line in after.splitlines() if line.strip()]
    if lines:
        assert found == [*lines, *RULE.splitlines()]
    policy = parse([Document("config.toml", b""), document(after)], lambda *_: b"")
    assert len(policy.allows) == count - len(gone) + 1
    assert len(policy.denies) == sum("[[deny]]\n" in text for allow, text in pieces if not allow)


@profile()
@given(files)
def test_a_rule_that_comes_and_goes_leaves_the_file_as_it_was(
    drawn: tuple[list[tuple[bool, str]], str, str, bool],
) -> None:
    pieces, last, newline, _ = drawn
    before = written([*pieces, (False, last or "# end")], newline, ends=True)
    after = with_rule(before)
    assert without(after, len(temporary.rules(document(after)))) == before
