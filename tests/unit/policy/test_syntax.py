"""A mistake in the form of TOML names the key, and what to write there."""

from __future__ import annotations

import pytest

from tests.policy_text import refused

RULE = "[[allow]]\n"


@pytest.mark.parametrize(
    "text, line, words",
    [
        (f'{RULE}to = "web"\nto = "db"\n', 3, ("`to` has a value already", "`to = […, …]`")),
        ("[allow]\n[[allow]]\n", 2, ("`allow` is a list of tables: write [[allow]] each time",)),
        ("[allow]\n[allow]\n", 2, ("`[allow]` is one table", "[[allow]]")),
        ("[sources]\n[sources]\n", 2, ("`[sources]` stands here a second time",)),
        (f"{RULE}to = “web”\n", 2, ('typographic quotes are no quotes here: write `to = "web"`',)),
        (f"{RULE}to = ‘web’\n", 2, ('write `to = "web"`',)),
        ("[firewall]\nmode = observe # so\n", 2, ('`mode`: write it in quotes, `"observe"`',)),
        (f"{RULE}log = True\n", 2, ("`log`: write it small, `true`",)),
        (f"{RULE}to =\n", 2, ("`to`: there is no value",)),
        (f"{RULE}ports = 80/tcp\n", 2, ('`ports = "80/tcp"`',)),
        (f"{RULE}from = 10.0.0.0/8\n", 2, ('`from = "10.0.0.0/8"`',)),
        (f"{RULE}from = [10.0.0.1]\n", 2, ("`from`: what is no plain number", '`"10.0.0.1"`')),
        (f"{RULE}from = [2001:db8::1]\n", 2, ('`"2001:db8::1"`',)),
        (f"{RULE}from = [any]\n", 2, ('`from`: write it in quotes, `"any"`',)),
        (f"{RULE}ports = [080]\n", 2, ("`ports`: a number has no zero in front",)),
        (f"{RULE}ports = [80 443]\n", 2, ("`ports`: a comma is missing",)),
        (f'{RULE}from = [\n"a"\n"b"]\n', 4, ("`from`: a comma is missing at the end of the line",)),
        (f'{RULE}ports = [80\nfrom = "any"\n', 3, ("`ports`: its list is not closed: write `]`",)),
        (f"{RULE}ports = [80,\n443\n", 3, ("`ports`: its list is not closed",)),
        ("[[allow]\n", 1, ("a bracket is missing: write `[[allow]]`",)),
        ("[sources\n", 1, ("a bracket is missing: write `[sources]`",)),
        (f'{RULE}to: "web"\n', 2, ('write `to = "web"`',)),
        (f'{RULE}to "web"\n', 2, ('`=` is missing: write `to = "web"`',)),
        ('[sources]\nmy list = ["any"]\n', 2, ("write `my-list`",)),
        (f'{RULE}to = "web\nports = [80]\n', 2, ('`to`: a string is not closed: write `"`',)),
        (f'{RULE}to = "a" ports = [80]\n', 2, ("`to`: one key a line",)),
        (f'{RULE}to = "a";\n', 2, ("leave out `;`",)),
        (f"{RULE}until = 2027-01-31 00:00\n", 2, ("`until = 2027-01-31T00:00:00Z`",)),
        (f"{RULE}until = 31.1.2027\n", 2, ("`until = 2027-01-31T00:00:00Z`",)),
        (f'{RULE}to = "a\\w"\n', 2, ("`to`: write a backslash twice",)),
        (f"{RULE}ports = 80, 443\n", 2, ("several words are a list: write `ports = [80, 443]`",)),
        (f"{RULE}ports = (80, 443)\n", 2, ("write `ports = [80, 443]`",)),
        (f'{RULE}to = {{"web"}}\n', 2, ("`to`: a list stands in `[` and `]`",)),
        (f'{RULE}to = "web" and "db"\n', 2, ("`to`: several words are a list",)),
        (f'{RULE}to = "web" "db"\n', 2, ("`to`: several words are a list",)),
        (f'{RULE}to == "web"\n', 2, ('one `=` is enough: write `to = "web"`',)),
        (f'{RULE}to\u00a0= "web"\n', 2, ("a space that is no plain one (U+00A0)",)),
        ("[firewall]\nlog = yes\n", 2, ("`log`: yes is `true`", "write `true`")),
        ("[firewall]\nlog = Off\n", 2, ("write `false`",)),
        ("[[allow]] {\n", 1, ("leave out `{`",)),
        (
            'allow = [{to = "web",\nports = 80}]\n',
            1,
            ("a table in braces ends", "[[allow]]"),
        ),
        ("allow web from any\n", 1, ("a line is a key, `=` and a value",)),
        ("// so\n", 1, ("a remark begins with `#`",)),
        ('{"allow": []}\n', 1, ("this is JSON",)),
        ("allow:\n  - to: web\n", 1, ("this is YAML",)),
        (f'{RULE}= "web"\n', 2, ("a key is missing before `=`",)),
    ],
)
def test_it_is_said_what_to_write(text: str, line: int, words: tuple[str, ...]) -> None:
    [finding] = refused(text)
    assert finding.startswith(f"config.toml:{line}: not valid TOML: ")
    assert [word for word in words if word not in finding] == []
    assert "column" not in finding


def test_what_is_not_known_better_has_the_words_of_the_parser() -> None:
    [finding] = refused("a = 1\rb = 2\n")
    assert finding.startswith("config.toml:1: not valid TOML: ")


def test_a_mistake_is_one_line_whatever_stands_there() -> None:
    [finding] = refused("[[allow]]\nto = web\x1b[31m\u2028x\n")
    assert finding.isprintable()
