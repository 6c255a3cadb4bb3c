"""Bytes of a policy or of a list file -> text, or why they are none.

Takes the whole file, gives its text or one finding with its line. Never guesses an encoding.
"""

from __future__ import annotations

LARGEST = 16 * 1024 * 1024
"""Bytes of one file, of the policy as well as of a list."""


def decode(data: bytes) -> tuple[str, tuple[int, str] | None]:
    """Return the text of a file and None, or no text and (line, what is wrong with its bytes)."""
    if len(data) > LARGEST:
        return "", (1, "the file is larger than 16 MiB: split it")
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        return "", (1, "the file starts with a byte order mark: save it as UTF-8 without BOM")
    if (nul := data.find(b"\0")) >= 0:
        return "", (_line_at(data, nul), "a NUL byte: save the file as plain UTF-8 text")
    try:
        return data.decode(), None
    except UnicodeDecodeError as error:
        return "", (_line_at(data, error.start), "not UTF-8: save the file as plain UTF-8 text")


def _line_at(data: bytes, offset: int) -> int:
    return data.count(b"\n", 0, offset) + 1
