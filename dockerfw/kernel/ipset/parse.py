"""The text of ``ipset list -t`` and ``ipset save`` -> `SetState`s and elements.

Pure, but that the names of protocols come from ``/etc/protocols``, as ipset's do: a host without
one prints ``6:80``, one with one prints ``gre:0``. An entry without a timeout in a set that has
them (``timeout 0``) stands for ever; of all others ``save`` prints what they have left, 1 at the
least.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_network
from itertools import pairwise

from dockerfw.kernel.words import word
from dockerfw.model.net import Family, IPNetwork, Port
from dockerfw.plan.state import LiveElement, OddElement, SetState
from dockerfw.rules.names import TopologyName, is_our_set, read_name
from dockerfw.rules.ruleset import Element

_KNOWN_PROTOCOLS = {
    "icmp": 1, "tcp": 6, "udp": 17, "ipv6-icmp": 58, "sctp": 132, "udplite": 136,
}  # fmt: skip
_PROTOCOL_NAMES = {str(number): name for name, number in _KNOWN_PROTOCOLS.items()}
_COUNTERS = re.compile(r" packets (\d+) bytes (\d+)")


def parse_headers(text: str) -> tuple[dict[str, SetState], int]:
    """Return our sets without their elements, and how many elements all others have together."""
    states: dict[str, SetState] = {}
    foreign_entries = 0
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "Name" not in fields:
            continue
        count = int(fields.get("Number of entries", "0"))
        if not is_our_set(fields["Name"]):
            foreign_entries += count
            continue
        states[fields["Name"]] = _header(fields, count)
    return states, foreign_entries


def _header(fields: Mapping[str, str], count: int) -> SetState:
    words = fields.get("Header", "").split()
    values = dict(pairwise(words))
    return SetState(
        name=fields["Name"],
        type=fields.get("Type", ""),
        family=_family(fields["Name"], values.get("family")),
        maxelem=int(values.get("maxelem", values.get("size", "0"))),
        count=count,
        elements=None,
        counters="counters" in words,
        timeout="timeout" in words,
        lasts=int(values.get("timeout", "0")),
    )


def _family(name: str, written: str | None) -> Family:
    """Return the family of a set; a list of sets has none but by its name."""
    if written is not None:
        return 6 if written == "inet6" else 4
    found = read_name(name)
    return found.family if isinstance(found, TopologyName) else 4


def parse_entry(line: str, set_type: str) -> LiveElement:
    """Return the element of an ``add`` line of a set of this type."""
    _, _, entry, *options = line.split(" ", 3)
    element = parse_element(entry, set_type)
    if options and "nomatch" in options[0]:
        return OddElement(entry, "nomatch", element)
    if options and options[0].startswith("timeout 0"):
        return OddElement(entry, "timeout 0", element)
    return OddElement(entry) if element is None else element


def parse_count(line: str) -> tuple[int, int]:
    """Return packets and bytes of an ``add`` line."""
    found = _COUNTERS.search(line)
    return (int(found.group(1)), int(found.group(2))) if found else (0, 0)


def parse_element(entry: str, set_type: str) -> Element | None:
    """Return an entry without options as a value; None for what no set of ours holds."""
    parts = entry.split(",")
    kinds = set_type.removeprefix("hash:").removeprefix("list:").split(",")
    if len(parts) != len(kinds):
        return None
    try:
        return tuple([_part(text, kind) for text, kind in zip(parts, kinds, strict=True)])
    except ValueError:
        return None


def _part(text: str, kind: str) -> IPNetwork | Port | str:
    if kind == "port":
        return _port(text)
    # What could not be written as a plain word is kept as text, like all that is not ours.
    return word(text) if kind in ("iface", "set") else _network(text)


# Most networks and ports stand in many elements; equal ones are the same object then.
@lru_cache(maxsize=1 << 17)
def _network(text: str) -> IPNetwork:
    return ip_network(text)


@lru_cache(maxsize=1 << 14)
def _port(text: str) -> Port:
    name, _, number = text.partition(":")
    protocol = canonical_protocol(name)
    if protocol in ("icmp", "ipv6-icmp"):
        if number != "echo-request":
            raise ValueError(text)
        return Port("icmp", 0)
    return Port(word(protocol), int(number))


def canonical_protocol(name: str) -> str:
    """As we write it: by name where we have one, else by number."""
    if name in _KNOWN_PROTOCOLS:
        return name
    if name.isdigit():
        return _PROTOCOL_NAMES.get(name, name)
    try:
        return str(socket.getprotobyname(name))
    except OSError:
        return name
