"""Markdown becomes requests of man(7): each kind of it, and nothing by chance."""

from __future__ import annotations

import pytest

from script.roff import from_markdown


@pytest.mark.parametrize(
    "markdown, requests",
    [
        ("## To: which\n\ntext", [".SH TO: WHICH", "text"]),
        ("## `to`: which\n", [".SH to: which"]),
        ("### Files", [".SS Files"]),
        ("one\ntwo\n\nthree", [".PP", "one two", ".PP", "three"]),
        ("* one\n  line\n* two", [r".IP \(bu 2", "one line", r".IP \(bu 2", "two"]),
        ("a `b` **c** *d*", [".PP", r"a \fBb\fR \fBc\fR \fId\fR"]),
        ("[`a`](b.md) and *", [".PP", r"\fBa\fR and *"]),
        ("``it is `so` ``", [".PP", r"\fBit is \(gaso\(ga \fR"]),
        ("web-* and x-*", [".PP", r"web\-* and x\-*"]),
        (".SH by chance", [".PP", r"\&.SH by chance"]),
        (r"a\nb", [".PP", r"a\enb"]),
        (
            "```sh\n.a 'b' ~\n\nc\n```",
            [".PP", ".in 2n", ".nf", r"\&.a \(aqb\(aq \(ti", r"\&", "c", ".fi", ".in"],
        ),
        ("| a | b |\n|---|---|\n| `x` | y |", [".TP", r"\fBx\fR", "y"]),
        ("| a | b | c |\n|---|---|---|\n| x | y | z |", [".TP", "x", "y; c: z"]),
    ],
)
def test_a_kind_of_markdown_is_these_requests(markdown: str, requests: list[str]) -> None:
    assert from_markdown(markdown).splitlines() == requests
