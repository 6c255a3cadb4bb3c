"""Messages of the kernel about ipsets -> `SetState`s and elements.

Pure, and an alternative to ``parse.py``: what ``ipset save`` prints of 30,000 elements in 0.3 s the
kernel answers in 0.01 s. (For each of them the tool opens /etc/protocols.) What is not plain (an
option, a protocol's code, a type that no set of ours has) raises `UnusualError`: of such a set the
text of ``ipset`` is read.

Elements of one message have the same attributes with the same lengths, mostly: then one regular
expression takes them all apart, as columns.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from hashlib import blake2b
from itertools import repeat
from typing import Any, NamedTuple, TypeAlias

from dockerfw.kernel.words import word
from dockerfw.model.net import Family, Port, network, port as port_of
from dockerfw.plan.state import SetState
from dockerfw.rules.names import TopologyName, is_our_set, read_name
from dockerfw.rules.ruleset import Element

# linux/netfilter/ipset/ip_set.h
_NAME, _TYPE, _FAMILY, _DATA, _ELEMENTS = 2, 3, 5, 7, 8
_MAXELEM, _SIZE, _COUNT, _TIMEOUT, _FLAGS = 19, 23, 24, 6, 8
_WITH_COUNTERS = 1 << 3
_IP, _CIDR, _PORT, _PROTOCOL = 1, 3, 4, 7
_MEMBER, _IP2, _CIDR2, _INTERFACE, _BYTES, _PACKETS = 18, 20, 21, 23, 24, 25
_ADDRESSES = frozenset({_IP, _IP2})
_KNOWN = _ADDRESSES | {
    _CIDR, _PORT, _PROTOCOL, _TIMEOUT, _MEMBER, _CIDR2, _INTERFACE, _BYTES, _PACKETS,
}  # fmt: skip
_MOVING = frozenset({_TIMEOUT, _BYTES, _PACKETS})
_FAMILIES: Mapping[int, Family] = {2: 4, 10: 6}  # NFPROTO_IPV4, NFPROTO_IPV6

_ATTRIBUTE = struct.Struct("=HH")  # length, type
_TYPE_MASK = 0x3FFF

_PROTOCOLS = {6: "tcp", 17: "udp", 132: "sctp", 136: "udplite"}
_PINGS = {1: 8 << 8, 58: 128 << 8}
"""Protocol -> type and code of an echo request."""

_Columns: TypeAlias = Mapping[int, Sequence[bytes]]


class UnusualError(Exception):
    """A message has something in it that no set of ours has."""


class Counted(NamedTuple):
    """Elements, and packets and bytes of each, in the same order."""

    elements: list[Element]
    packets: list[int]
    bytes: list[int]


def headers(messages: Iterable[bytes]) -> dict[str, SetState]:
    """Return our sets without their elements, by name. Raises `UnusualError`."""
    with _plain():
        found = (_attributes(message) for message in messages)
        ours = [each for each in found if is_our_set(_text(each.get(_NAME, b"")))]
        return {state.name: state for state in map(_header, ours)}


def _header(found: Mapping[int, bytes]) -> SetState:
    about = _attributes(found.get(_DATA, b""))
    name = _text(found.get(_NAME, b""))
    if _COUNT not in about:  # kernels before 4.10
        raise UnusualError(name)
    return SetState(
        name=name,
        type=_text(found.get(_TYPE, b"")),
        family=_family(name, found.get(_FAMILY, b"")),
        maxelem=_number(about.get(_MAXELEM) or about.get(_SIZE, b"")),
        count=_number(about[_COUNT]),
        elements=None,
        counters=bool(_number(about.get(_FLAGS, b"")) & _WITH_COUNTERS),
        timeout=_TIMEOUT in about,
        lasts=_number(about.get(_TIMEOUT, b"")),
    )


def _family(name: str, written: bytes) -> Family:
    """Return the family of a set; a list of sets has none but by its name."""
    known = _FAMILIES.get(_number(written))
    if known is not None:
        return known
    found = read_name(name)
    return found.family if isinstance(found, TopologyName) else 4


class Known(NamedTuple):
    """Elements of a set, and a digest of what the kernel answered, but for counters and times.

    ``header`` is the kernel's message about the set without its elements, right before these were
    read; empty: something may have been written since.
    """

    digest: bytes
    elements: frozenset[Element]
    header: bytes = b""


def elements(messages: Iterable[bytes], kind: str, before: Known | None = None) -> Known:
    """Return the elements of a set of this type. Raises `UnusualError`.

    Where the answer is the one of ``before``, so are the elements.
    """
    with _plain():
        groups = list(_columns(messages))
        digest = _digest(kind, groups)
        if before is not None and before.digest == digest:
            return before
        found: set[Element] = set()
        for columns in groups:
            found.update(_elements(columns, kind))
        return Known(digest, frozenset(found))


def _digest(kind: str, groups: Iterable[_Columns]) -> bytes:
    found = blake2b(kind.encode())
    for columns in groups:
        for attribute, values in columns.items():
            if attribute not in _MOVING:
                found.update(b"%d:%d:%d:" % (attribute, len(values[0]), len(values)))
                found.update(b"".join(values))
    return found.digest()


def counted(messages: Iterable[bytes], kind: str) -> Counted:
    """Return the elements of a set of this type, with their counters. Raises `UnusualError`."""
    found = Counted([], [], [])
    with _plain():
        for columns in _columns(messages):
            here = _elements(columns, kind)
            found.elements.extend(here)
            for numbers, attribute in ((found.packets, _PACKETS), (found.bytes, _BYTES)):
                numbers.extend(map(_number, columns.get(attribute) or [b""] * len(here)))
    return found


@contextmanager
def _plain() -> Iterator[None]:
    """Raise `UnusualError` for a message that is not put together as it should be."""
    try:
        yield
    except (struct.error, LookupError, ValueError, StopIteration) as error:
        raise UnusualError(str(error)) from error


# --- an element ----------------------------------------------------------------------------------


def _elements(columns: _Columns, kind: str) -> list[Element]:
    """Return the elements of a set of this type, one after the other."""
    places = iter(((_IP, _CIDR), (_IP2, _CIDR2)))
    parts: list[Iterable[Any]] = []
    for part in kind.removeprefix("hash:").removeprefix("list:").split(","):
        if part in ("ip", "net"):
            address, length = next(places)
            addresses = columns[address]
            parts.append(map(network, addresses, _lengths(addresses, columns.get(length))))
        else:
            parts.append(_PARTS[part](columns))
    return list(zip(*parts, strict=False))


def _port(protocol: bytes, number: bytes) -> Port:
    found, port = protocol[0], _number(number)
    if found in _PINGS:
        if port != _PINGS[found]:
            raise UnusualError(f"type and code {port} of protocol {found}")
        return Port("icmp", 0)
    return port_of(_PROTOCOLS.get(found, str(found)), port)


@lru_cache(maxsize=1 << 12)
def _word(text: bytes) -> str:
    return word(_text(text))


def _lengths(addresses: Sequence[bytes], lengths: Sequence[bytes] | None) -> Iterable[int]:
    """Return the lengths of prefixes; where they are not written each address is a host's."""
    return repeat(8 * len(addresses[0])) if lengths is None else map(ord, lengths)


_PARTS: Mapping[str, Callable[[_Columns], Iterable[Port | str]]] = {
    "port": lambda columns: map(_port, columns[_PROTOCOL], columns[_PORT]),
    "iface": lambda columns: map(_word, columns[_INTERFACE]),
    "set": lambda columns: map(_word, columns[_MEMBER]),
}


# --- a message -----------------------------------------------------------------------------------


def _columns(messages: Iterable[bytes]) -> Iterator[_Columns]:
    """Yield the values of elements by attribute, of elements alike."""
    for message in messages:
        data = _attributes(message).get(_ELEMENTS, b"")
        if data:
            layout, size = _layout(data)
            rows = _pattern(layout).findall(data)
            if len(rows) * size == len(data):
                yield _by_attribute(layout, rows)
            else:
                yield from _one_by_one(data)


def _one_by_one(data: bytes) -> Iterator[_Columns]:
    """As `_columns`, where elements are of several forms: names of several lengths, mostly."""
    forms: dict[tuple[_Place, ...], list[Any]] = {}
    while data:
        layout, size = _layout(data)
        matched = _pattern(layout).match(data)
        if matched is None:
            raise UnusualError("an element that is not as long as it claims")
        forms.setdefault(layout, []).append(matched.groups())
        data = data[size:]
    for layout, rows in forms.items():
        yield _by_attribute(layout, rows)


def _by_attribute(layout: tuple[_Place, ...], rows: list[Any]) -> _Columns:
    if len(rows[0]) != len([place for place in layout if place.attribute is not None]):
        rows = [(row,) for row in rows]  # of a single group there are no tuples
    kinds = [place.attribute for place in layout if place.attribute is not None]
    found = dict(zip(kinds, zip(*rows, strict=True), strict=True))
    if not all(map(any, found.get(_TIMEOUT, ()))):
        raise UnusualError("an element that does not end in a set in which all do")
    return found


class _Place(NamedTuple):
    """What always stands there, then a value of some bytes; None: of no attribute."""

    constant: bytes
    attribute: int | None
    length: int


def _layout(data: bytes) -> tuple[tuple[_Place, ...], int]:
    """Return the form of the first element of some, and its size in bytes."""
    whole, _ = _ATTRIBUTE.unpack_from(data)
    places: list[_Place] = []
    before, at = data[: _ATTRIBUTE.size], _ATTRIBUTE.size
    while at < whole:
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        attribute = kind & _TYPE_MASK
        if attribute not in _KNOWN or length < _ATTRIBUTE.size:
            raise UnusualError(f"attribute {attribute}")
        inner = 2 * _ATTRIBUTE.size if attribute in _ADDRESSES else _ATTRIBUTE.size
        places.append(_Place(before + data[at : at + inner], attribute, length - inner))
        padding = -length % 4
        at += length + padding
        before = b""
        if padding:
            places.append(_Place(b"", None, padding))
    return tuple(places), at


@lru_cache(maxsize=256)
def _pattern(layout: tuple[_Place, ...]) -> re.Pattern[bytes]:
    parts = (
        re.escape(place.constant)
        + (b".{%d}" if place.attribute is None else b"(.{%d})") % place.length
        for place in layout
    )
    return re.compile(b"".join(parts), re.DOTALL)


def _attributes(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size:
            break
        found[kind & _TYPE_MASK] = data[at + _ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3
    return found


def _number(value: bytes) -> int:
    """Numbers are sent in the order of the network."""
    return int.from_bytes(value, "big")


def _text(value: bytes) -> str:
    return value.partition(b"\0")[0].decode(errors="replace")
