"""A remark is its text, and keeps its code on the way."""

from __future__ import annotations

from collections.abc import Iterator

from dockerfw.model.remark import Remark, coded


@coded("outer")
def found() -> Iterator[str]:
    yield "plain"
    yield Remark("known", "inner")


def test_what_has_a_code_keeps_it() -> None:
    assert [(sentence, sentence.code) for sentence in found()] == [
        ("plain", "outer"),
        ("known", "inner"),
    ]
    assert found() == ("plain", "known"), "it is text all the same"
