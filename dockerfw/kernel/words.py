"""The last check of every word that goes into kernel text. Pure.

Text is made of typed values only; `word` asserts it once more, since a quote or a newline would be
enough to inject a rule.
"""

from __future__ import annotations

from ipaddress import IPv6Address
from re import compile as compile_regex
from socket import AF_INET6, inet_ntop

from dockerfw.model.net import Address
from dockerfw.rules.names import is_plain

_COMMENT = compile_regex(r"[A-Za-z0-9 _.:/@+*,-]*")


def word(text: str) -> str:
    """Return the text, which is one plain word. Raises `ValueError` for any other."""
    if not is_plain(text):
        raise ValueError(f"not fit for the kernel: {text!r}")
    return text


def comment(text: str) -> str:
    """Return the text, which is plain words. Raises `ValueError` for any other."""
    if not _COMMENT.fullmatch(text):
        raise ValueError(f"not fit for a comment: {text!r}")
    return text


def address_text(address: Address) -> str:
    """Return an address as the C library writes it: Python's ``::1:2`` is its ``::0.1.0.2``."""
    if isinstance(address, IPv6Address):
        return inet_ntop(AF_INET6, address.packed)
    return str(address)
