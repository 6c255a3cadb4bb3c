"""Docker's JSON -> checked values: text, numbers, addresses.

Pure: takes a part of an answer as it comes out of ``json`` and returns it with its type, or raises
`MalformedError` where it is not what the API promises. Docker is written in Go, where a missing
object or list is ``null``: that counts as an empty one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, TypeAlias

from dockerfw.model.net import Address, IPNetwork
from dockerfw.model.policy import Protocol

Json: TypeAlias = dict[str, Any]

_PROTOCOLS: Mapping[str, Protocol] = {"tcp": "tcp", "udp": "udp", "sctp": "sctp"}
_LONGEST_LINE = 200
_SURROGATE = re.compile("[\ud800-\udfff]")


class MalformedError(ValueError):
    """An answer, or a part of one, that is not what Docker's API promises."""


def as_object(value: object) -> Json:
    """Return a JSON object; an empty one for ``null``."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise MalformedError(f"{one_line(value)!r} where an object should be")
    return value


def as_list(value: object) -> list[Any]:
    """Return a JSON list; an empty one for ``null``."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise MalformedError(f"{one_line(value)!r} where a list should be")
    return value


def as_text(value: object) -> str:
    """Return text that can be encoded; "" for ``null``."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise MalformedError(f"{one_line(value)!r} where text should be")
    # JSON can hold half of a surrogate pair, which no file and no terminal takes.
    if not value.isascii() and _SURROGATE.search(value):
        raise MalformedError(f"{one_line(value)!r} is not text")
    return value


def as_labels(value: object) -> dict[str, str]:
    return {as_text(key): as_text(text) for key, text in as_object(value).items()}


def as_id(value: object) -> str:
    """Return an id; ids are never empty."""
    if not (text := as_text(value)):
        raise MalformedError("it has no id")
    return text


def as_port(value: object) -> int:
    """Return a port from 1 to 65535."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 65535:
        raise MalformedError(f"{one_line(value)!r} is no port")
    return value


def as_protocol(text: str) -> Protocol:
    if text not in _PROTOCOLS:
        raise MalformedError(f"{one_line(text)!r} is no protocol")
    return _PROTOCOLS[text]


# Most are 0.0.0.0 and ::, and all others were in the answer before.
@lru_cache(maxsize=1 << 16)
def as_address(text: str) -> Address:
    # A zone ("%eth0") may hold any letter at all and has no place in an address of Docker's.
    if "%" not in text:
        try:
            return ip_address(text)
        except ValueError:
            pass
    raise MalformedError(f"{one_line(text)!r} is no IP address")


def as_ipv4(text: str) -> IPv4Address | None:
    """Return an IPv4 address, None for ""."""
    address = as_address(text) if text else None
    if isinstance(address, IPv6Address):
        raise MalformedError(f"{address} is no IPv4 address")
    return address


def as_ipv6(text: str) -> IPv6Address | None:
    """Return an IPv6 address, None for ""."""
    address = as_address(text) if text else None
    if isinstance(address, IPv4Address):
        raise MalformedError(f"{address} is no IPv6 address")
    return address


def as_subnet(text: str) -> IPNetwork:
    """Return the network of an address with a prefix length: 172.18.5.1/16 is 172.18.0.0/16."""
    if "%" not in text and "/" in text:
        try:
            return ip_network(text, strict=False)
        except ValueError:
            pass
    raise MalformedError(f"{one_line(text)!r} is no subnet")


def entry_name(entry: object, key: str) -> str:
    """Return a printable name for an entry that may be broken in any way."""
    if not isinstance(entry, dict):
        return one_line(entry)
    names = entry.get(key)
    name = names[0] if isinstance(names, list) and names else names
    return one_line(name or entry.get("Id") or "without a name").removeprefix("/")


def entry_id(entry: object) -> str:
    """Return the id of an entry that may be broken in any way, "" if it has none."""
    found = entry.get("Id") if isinstance(entry, dict) else None
    return found if isinstance(found, str) else ""


def one_line(value: object) -> str:
    """Return text from outside as one printable line of at most 200 letters and an ellipsis."""
    text = "".join(c if c.isprintable() else " " for c in str(value))
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST_LINE else f"{text[:_LONGEST_LINE]}..."
