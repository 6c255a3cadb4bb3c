"""Plain words for people: paragraphs for a terminal, numbers, times, and how addresses and ports
are written.

Takes strings, numbers and ``ipaddress`` values, gives text without a newline. Prints nothing, and
asks the terminal nothing: the width is passed in. What needs the inventory is `report.labels`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from difflib import get_close_matches
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from textwrap import wrap

UNKNOWN_PROTOCOL = "?"
"""Where not even the protocol is known."""


def printable(text: str) -> str:
    """Return text from outside with a ``?`` for what is not printable, such as escape sequences."""
    return "".join(c if c.isprintable() else "?" for c in text)


def paragraph(text: str, *, width: int = 80, first: str = "", rest: str = "") -> list[str]:
    """Return text as lines, the first of which begins with ``first``, and all others with ``rest``.
    Words, names and addresses are not broken.
    """
    lines = wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return lines or [first.rstrip()]


def listed(words: Sequence[str], limit: int = 4) -> str:
    """Return the first ``limit`` words, and how many more there are.

    >>> listed(["a", "b", "c"], limit=2)
    'a, b and 1 more'
    """
    shown = ", ".join(words[:limit])
    more = len(words) - limit
    return f"{shown} and {more:,} more" if more > 0 else shown


def counted(number: int, singular: str, plural: str | None = None) -> str:
    """Return a number with its noun.

    >>> counted(1, "rule"), counted(1200, "entry", "entries")
    ('1 rule', '1,200 entries')
    """
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def moment(unix: float) -> str:
    """Return a Unix time for people, with seconds unless they are 0.

    >>> moment(1801353600), moment(1801353605)
    ('2027-01-31 00:00 UTC', '2027-01-31 00:00:05 UTC')
    """
    when = datetime.fromtimestamp(unix, timezone.utc)
    return when.strftime("%Y-%m-%d %H:%M:%S UTC" if when.second else "%Y-%m-%d %H:%M UTC")


def ago(seconds: float) -> str:
    """Return how long ago something was.

    >>> ago(3), ago(200)
    ('3 s ago', '3 min ago')
    """
    return f"{span_text(seconds)} ago"


def span_text(seconds: float) -> str:
    """Return a time of a day at most in one unit, rounded down.

    >>> span_text(3), span_text(200), span_text(7300), span_text(86400)
    ('3 s', '3 min', '2 h', '24 h')
    """
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min" if whole < 3600 else f"{whole // 3600} h"


def iso_moment(unix: float) -> str:
    """Return a Unix time for programs.

    >>> iso_moment(1801353605.5)
    '2027-01-31T00:00:05Z'
    """
    return datetime.fromtimestamp(unix, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def human_bytes(number: int) -> str:
    """Return a number of bytes in units of 1,024.

    >>> human_bytes(999), human_bytes(1536), human_bytes(5 * 2**30)
    ('999 B', '1.5 KiB', '5.0 GiB')
    """
    if number < 1024:
        return f"{number} B"
    size = float(number)
    for unit in ("KiB", "MiB", "GiB"):
        size /= 1024
        if size < 1024:
            return f"{size:.1f} {unit}"
    return f"{size / 1024:,.1f} TiB"


def similar_words(word: str, words: Iterable[str], limit: int = 3) -> tuple[str, ...]:
    """Return the words that somebody who wrote ``word`` may have meant, best first.

    >>> similar_words("wbe", ["web", "db"]), similar_words("db", ["web", "shop-db-1"])
    (('web',), ('shop-db-1',))
    """
    known = sorted(set(words))
    close = get_close_matches(word, known, limit, 0.6)
    close += [w for w in known if len(word) > 1 and word.lower() in w.lower() and w not in close]
    return tuple(close[:limit])


def bracketed(address: IPv4Address | IPv6Address) -> str:
    """Return an address as it stands before ``:PORT``: IPv6 in brackets.

    >>> bracketed(IPv4Address("192.0.2.1")), bracketed(IPv6Address("2001:db8::1"))
    ('192.0.2.1', '[2001:db8::1]')
    """
    return f"[{address}]" if address.version == 6 else str(address)


def network_text(network: IPv4Network | IPv6Network) -> str:
    """Return a network, or the bare address of one host."""
    whole = network.prefixlen == network.max_prefixlen
    return str(network.network_address) if whole else str(network)


def port_text(protocol: str | None, first: int, last: int) -> str:
    """Return ``80/tcp``, ``8000-8100/tcp`` or ``icmp``; without a protocol ``all ports``."""
    if protocol is None:
        return "all ports"
    if protocol == UNKNOWN_PROTOCOL:
        return "some ports"
    if first == last:
        return f"{first}/{protocol}" if first else protocol
    return f"{first}-{last}/{protocol}"


def short_port(port: int, protocol: str) -> str:
    """Return a port as people write it in policies and commands: TCP goes without saying.

    >>> short_port(80, "tcp"), short_port(53, "udp")
    ('80', '53/udp')
    """
    return str(port) if protocol == "tcp" else f"{port}/{protocol}"


def port_list(words: Iterable[str]) -> str:
    """Return ports, as `short_port` gives them, as the list of them in a policy.

    >>> port_list(["80", "53/udp"])
    '[80, "53/udp"]'
    """
    written = (word if word.isdigit() else f'"{word}"' for word in words)
    return f"[{', '.join(written)}]"
