"""Warnings and other sentences as programs read them: what is said, and about which line."""

from __future__ import annotations

import re
from collections.abc import Iterable

from dockerfw.model.remark import Remark

_PLACE = re.compile(r"(?P<file>\S.*?):(?P<line>[0-9]+): (?P<text>.*)", re.DOTALL)


def remark(sentence: str) -> dict[str, object]:
    """Return the ``text`` of a sentence, and the ``file`` and ``line`` that it begins with.

    Both are null where it is about no line of a file. ``code`` is for programs: what kind it is.
    """
    code = sentence.code if isinstance(sentence, Remark) else None
    if (found := _PLACE.fullmatch(sentence)) is None:
        return {"code": code, "text": sentence, "file": None, "line": None}
    place = {"file": found["file"], "line": int(found["line"])}
    return {"code": code, "text": found["text"], **place}


def remarks(sentences: Iterable[str]) -> list[dict[str, object]]:
    return [remark(sentence) for sentence in sentences]
