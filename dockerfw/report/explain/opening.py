"""SOURCE and TARGET of ``dockerfw allow`` -> the lines of the ``[[allow]]`` that lets one to the
other. Pure.

Takes them as ``explain`` does, and networks besides; raises `UsageError` with what to write
instead.
"""

from __future__ import annotations

from dockerfw.errors import UsageError
from dockerfw.policy.addresses import parse_network
from dockerfw.policy.words import WordError
from dockerfw.report.explain.reader import Reader
from dockerfw.report.explain.remedy import lines_for, word_for
from dockerfw.text import network_text


def opening(reader: Reader, source: str, target: str) -> tuple[str, ...]:
    """Return the lines of the rule, without its ``[[allow]]`` and its end.

    Raises `UsageError`, of which `UnknownContainer` is one.
    """
    who = _who(reader, source)
    what = lines_for(reader.target(target), reader.inventory)
    if not what:
        raise UsageError(f'target "{target}": no running container has that address')
    return (*what, f'from  = ["{who}"]')


def _who(reader: Reader, source: str) -> str:
    """Return the word of ``from``."""
    if source == "any":
        return source
    if "/" in source and "@" not in source:
        return _network(source)
    address, at, _ = source.partition("@")
    if at:
        raise UsageError(
            f'source "{source}": a rule is for an address, by whatever interface: write {address}'
        )
    parsed = reader.source(source)
    if parsed.host:
        raise UsageError(f'source "{source}" is this host, which reaches its containers always')
    word = word_for(source, parsed, reader.inventory)
    if word is None:
        raise UsageError(
            f'source "{source}": no container has this address of a Docker network, so packets '
            "from there are spoofed, and no rule lets them in"
        )
    return word


def _network(text: str) -> str:
    try:
        return network_text(parse_network(text))
    except WordError as error:
        raise UsageError(f'source "{text}": {error}') from error
