"""What ``nft --stateless --numeric list table`` prints of the seal -> `SealState`.

Pure. The frame is the chains with their hooks and priorities, the comments of their rules in order,
the sets with their types, and the table's flags. A rule or element that was deleted, added or moved
by hand, a flushed chain, a dormant table are therefore seen. A rule that was replaced by another
with the very same comment is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address
from typing import get_args

from dockerfw.kernel.nft.frames import SET_TYPES as FRAMES_SET_TYPES
from dockerfw.kernel.nft.render import SAFE_INTERFACE, SET_TYPES
from dockerfw.model.net import Address, Port, port as port_of
from dockerfw.model.policy import PortRange, Protocol
from dockerfw.plan.state import OddElement, SealElement, SealState
from dockerfw.rules.names import SealFamily, SealSet

_COMMENT = re.compile(r' comment "([^"]*)"$')
_HOOKED = re.compile(r"type (\w+) hook (\w+) priority (-?\w+); policy (\w+);")
_PROTOCOL_NAMES: Mapping[str, Protocol] = {"6": "tcp", "17": "udp", "132": "sctp"}


def parse(listings: Sequence[str]) -> SealState:
    """Return the state of the listed tables, one listing each, the half for packets first."""
    frame: list[str] = []
    elements: set[SealElement] = set()
    tables: set[SealFamily] = set()
    for listing in listings:
        family = next(f for f in get_args(SealFamily) if listing.startswith(f"table {f} "))
        tables.add(family)
        frame += _table(listing, elements)
    return SealState(tuple(frame), frozenset(elements), frozenset(tables))


def _table(listing: str, elements: set[SealElement]) -> list[str]:
    """The frame of one table; its elements are added to ``elements``."""
    sets: dict[str, SealSet] = {name: name for name in (*SET_TYPES, *FRAMES_SET_TYPES)}
    frame, found = parse_table(listing)
    elements |= {_element(sets[name], item) for name, item in found if name in sets}
    return frame


def parse_table(listing: str) -> tuple[list[str], list[tuple[str, str]]]:
    """Return the frame of one table, and its elements as text, each with the name of its set."""
    flags: list[str] = []
    blocks: dict[str, list[str]] = {}
    elements: list[tuple[str, str]] = []
    for header, body in _blocks(listing, flags):
        kind, name = header.split(" ", 1)
        if kind == "chain":
            blocks[header] = _chain_form(name, body)
        else:
            text = " ".join(body)
            declared, _, rest = text.partition("elements = {")
            blocks[header] = [" ".join(f"{kind} {name} {declared}".split()).replace(" type ", " ")]
            elements += [(name, item) for item in _split_elements(rest)]
    ordered = [line for header in sorted(blocks, key=_set_first) for line in blocks[header]]
    head = listing.partition(" {")[0]
    return [" ".join([head, *flags]), *ordered], elements


def _set_first(header: str) -> tuple[bool, str]:
    return (header.startswith("chain "), header)


def _blocks(listing: str, flags: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Each ``set`` and ``chain`` with its lines; lines of the table itself go to ``flags``."""
    header = ""
    body: list[str] = []
    for line in listing.splitlines()[1:]:
        text = line.strip()
        if re.match(r"\t[^\t].* \{$", line):
            header, body = text.removesuffix(" {"), []
        elif line == "\t}":
            yield header, body
            header = ""
        elif header and text:
            body.append(text)
        elif text not in ("", "}"):
            flags.append(text)


def _chain_form(name: str, body: list[str]) -> list[str]:
    hooked = _HOOKED.fullmatch(body[0]) if body else None
    where = " ".join(hooked.groups()) if hooked else "not hooked"
    rules = body[1:] if hooked else body
    return [f"chain {name} {where}", *(f"rule {_rule_form(rule)}" for rule in rules)]


def _rule_form(rule: str) -> str:
    comment = _COMMENT.search(rule)
    return comment.group(1) if comment else f"foreign {rule}"


# --- elements ------------------------------------------------------------------------------------


def _split_elements(text: str) -> Iterator[str]:
    for item in text.rpartition("}")[0].split(","):
        if item.strip():
            yield item.strip()


def _element(name: SealSet, item: str) -> SealElement:
    return SealElement(name, _value(name, item) or OddElement(item))


def _value(
    name: SealSet, item: str
) -> str | Address | Port | tuple[Address, Port | PortRange] | None:
    """None: nothing that dockerfw writes."""
    if name in ("foreign", "mixed", "ours", "others"):
        interface = item.removeprefix('"').removesuffix('"')
        plain = item == f'"{interface}"' and SAFE_INTERFACE.fullmatch(interface)
        return interface if plain else None
    try:
        if name in ("open4", "open6"):
            return ip_address(item)
        *address, protocol, number = item.split(" . ")
        if name in ("served4", "served6"):
            first, _, last = number.partition("-")
            ports = PortRange(_PROTOCOL_NAMES[protocol], int(first), int(last or first))
            return ip_address(*address), ports
        port = port_of(_PROTOCOL_NAMES[protocol], int(number))
        if name in ("addr4", "addr6"):
            return ip_address(*address), port
    except (ValueError, KeyError, TypeError):
        return None
    return None if address else port
