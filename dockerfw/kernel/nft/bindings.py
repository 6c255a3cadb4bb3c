"""`Bindings` -> the table ``bridge dockerfw-bound``: frames in the name of another container.

Pure. A table of its own, since only a daemon keeps it: what the seal is compared with is known
without one. It drops before a bridge learns from a frame who is where.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from dockerfw.kernel.nft.half import Half, document_lines, frame_lines
from dockerfw.kernel.words import address_text
from dockerfw.model.net import family_of
from dockerfw.rules.bindings import Bindings
from dockerfw.rules.names import BINDINGS_TABLE

TABLE = " ".join(BINDINGS_TABLE)
_SETS = (
    ("ports", "ifname"),
    ("macs", "ether_addr"),
    ("stations", "ifname . ether_addr"),
    ("addresses4", "ipv4_addr"),
    ("addresses6", "ipv6_addr"),
    ("holders4", "ifname . ether_addr . ipv4_addr"),
    ("holders6", "ifname . ether_addr . ipv6_addr"),
)
_HOOKS = {"prerouting": ("prerouting", -300)}
_CLAIMS = (
    "ether saddr @macs iifname . ether saddr != @stations",
    "ip saddr @addresses4 iifname . ether saddr . ip saddr != @holders4",
    "arp saddr ip @addresses4 iifname . ether saddr . arp saddr ip != @holders4",
    "ip6 saddr @addresses6 iifname . ether saddr . ip6 saddr != @holders6",
)


def document(bindings: Bindings | None) -> str:
    """Return the document that replaces the table, or takes it out, in one transaction."""
    if bindings is None:
        return f"add table {TABLE}\ndelete table {TABLE}\n"
    elements: dict[str, list[str]] = {}
    for name, text in sorted(set(_elements(bindings))):
        elements.setdefault(name, []).append(text)
    return "\n".join([*document_lines(_half(bindings), elements, _digest), ""])


def expected(bindings: Bindings) -> tuple[list[str], frozenset[tuple[str, str]]]:
    """Return what ``parse.py`` reads of the table while it stands."""
    return [*frame_lines(_half(bindings), _digest)], frozenset(_elements(bindings))


def _half(bindings: Bindings) -> Half:
    verdict = "counter" if bindings.observe else "counter drop"
    rules = {
        "prerouting": ["iifname @ports jump claims"],
        "claims": [f"{claim} {verdict}" for claim in _CLAIMS],
    }
    return Half(TABLE, _SETS, _HOOKS, rules)


def _digest(rule: str) -> str:
    return f"dockerfw {hashlib.sha256(rule.encode('ascii')).hexdigest()[:12]}"


def _elements(bindings: Bindings) -> Iterator[tuple[str, str]]:
    """Yield each element with the name of its set; some of them more than once."""
    yield from (("ports", f'"{port}"') for port in bindings.ports)
    for port, mac in bindings.stations:
        yield "macs", mac
        yield "stations", f'"{port}" . {mac}'
    for address in bindings.gateways:
        yield f"addresses{address.version}", address_text(address)
    for port, mac, address in bindings.holders:
        family = family_of(address)
        yield f"addresses{family}", address_text(address)
        yield f"holders{family}", f'"{port}" . {mac} . {address_text(address)}'
