"""What nft prints of tables that others wrote, as text and as JSON: the parts that readers share.

Pure. Raises what Python raises for JSON of another form; who reads it takes that for unreadable.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from ipaddress import ip_network
from typing import Any, NamedTuple

from dockerfw.model.net import Family, IPNetwork

FAMILIES: Mapping[str, Family] = {"ip": 4, "ip6": 6, "ipv4": 4, "ipv6": 6}
_TABLE = re.compile(r"^table (\S+) (\S+) \{")
_CHAIN = re.compile(r"^\s+chain (\S+) \{")


class ChainLine(NamedTuple):
    """A line within a chain; ``table`` is its family and name."""

    table: tuple[str, str]
    chain: str
    text: str


def chain_lines(listing: str) -> Iterator[ChainLine]:
    """Yield what stands in the chains that ``nft list chains`` lists."""
    table, chain = ("", ""), ""
    for line in listing.splitlines():
        if opened := _TABLE.match(line):
            table = (opened[1], opened[2])
        elif named := _CHAIN.match(line):
            chain = named[1]
        else:
            yield ChainLine(table, chain, line)


def named_elements(items: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return the elements of the table's sets and maps, by the name with which rules use them."""
    return {
        f"@{item[kind]['name']}": item[kind].get("elem", [])
        for item in items
        for kind in ("set", "map")
        if kind in item
    }


def plain(value: Any) -> Any:
    """Return an element of a set without what else it has: a timeout, a comment, a counter."""
    return value["elem"]["val"] if isinstance(value, dict) and "elem" in value else value


def port_range(value: Any) -> tuple[int, int]:
    """Return the first and the last of a port or a range of ports."""
    if isinstance(value, dict):
        first, last = value["range"]
        return int(first), int(last)
    return int(value), int(value)


def network(value: Any) -> IPNetwork:
    """Return an address, or a prefix, as a network."""
    if isinstance(value, dict):
        prefix = value["prefix"]
        return ip_network(f"{prefix['addr']}/{prefix['len']}")
    return ip_network(value)
