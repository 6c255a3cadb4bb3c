"""Text of a list file (``file:PATH``) -> networks.

Takes the bytes of the file, gives what they mean and every finding with its line. An IP address
or a CIDR a line; ``#`` begins a comment. Never opens the file.
"""

from __future__ import annotations

from dataclasses import dataclass

from dockerfw.model.net import IPNetwork
from dockerfw.policy.addresses import (
    looks_like_address,
    network_or_none,
    parse_network,
    whole_family,
    whole_family_hint,
)
from dockerfw.policy.utf8 import decode
from dockerfw.policy.words import WordError, shown

_SHOWN_LINES = 10


@dataclass(frozen=True, slots=True)
class ListText:
    """What a list holds; ``errors`` and ``warnings`` are (line, text), errors cut at ten."""

    networks: tuple[IPNetwork, ...] = ()
    errors: tuple[tuple[int, str], ...] = ()
    warnings: tuple[tuple[int, str], ...] = ()


def parse_list(data: bytes) -> ListText:
    """Return the networks of a list file, or the findings about it.

    Every line counts: one that is wrong makes the list unusable, as does a last line without an
    end, since a list that was cut off opens or closes less than it should.
    """
    text, problem = decode(data)
    if problem:
        return ListText(errors=(problem,))
    networks: list[IPNetwork] = []
    wrong: list[tuple[int, str]] = []
    whole: list[tuple[int, str]] = []
    for number, line in enumerate(text.split("\n"), 1):
        word = line.partition("#")[0].strip()
        if not word:
            continue
        network = network_or_none(word)
        if network is None:
            wrong.append((number, word))
            continue
        networks.append(network)
        if word.startswith(("0", ":")) and whole_family(network):  # whole_family is slow
            whole.append((number, whole_family_hint(word)))
    errors = _explained(wrong)
    if text and not text.endswith("\n"):
        last = text.count("\n") + 1
        errors.append((last, "the last line has no line end, so the list may be cut off: end it"))
    return ListText(tuple(networks), tuple(errors), tuple(whole[:_SHOWN_LINES]))


def _explained(wrong: list[tuple[int, str]]) -> list[tuple[int, str]]:
    # Only what is shown is explained: a binary file may have a million wrong lines.
    errors = [(number, _why(word)) for number, word in wrong[:_SHOWN_LINES]]
    if len(wrong) > _SHOWN_LINES:
        errors.append((wrong[_SHOWN_LINES][0], f"and {len(wrong) - _SHOWN_LINES} more"))
    return errors


def _why(word: str) -> str:
    for sign in (";", "//"):
        if sign in word:
            return f"{shown(word)}: a comment begins with `#`, not with `{sign}`"
    if len(word.split()) > 1:
        return f"{shown(word)}: write one IP address or CIDR a line"
    if not looks_like_address(word):
        return f"{shown(word)}: a list holds IP addresses and CIDRs only"
    try:
        parse_network(word)
    except WordError as error:
        return str(error)
    return f"{shown(word)} is no IP address and no network (CIDR)"
