"""Ports of bridges, and what is behind them in other network namespaces, by rtnetlink.

Enters no namespace: the kernel answers for another one by its number (``IFLA_TARGET_NETNSID``, 4.20
and newer). A container that lacks CAP_NET_ADMIN, as Docker's do unless told otherwise, has the
addresses that Docker gave it. Only reads, and starts no process.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from collections.abc import Iterator
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from dockerfw.errors import Failed
from dockerfw.kernel.netlink import (
    DATAGRAM,
    HEADER,
    INTERFACE,
    asking,
    attributes_of,
    messages_of,
)
from dockerfw.model.host import BridgePort, Interior
from dockerfw.model.net import Address

# linux/netlink.h, linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h
_ROUTE, _SOL_NETLINK, _STRICT = 0, 270, 12
_ERROR, _DONE = 2, 3
_GETLINK, _GETADDR = 18, 22
_DUMP = 0x301
_LINK_ADDRESS, _LINK_NAME, _LINK_PEER, _LINK_MASTER = 1, 3, 5, 10
_LINK_NAMESPACE, _LINK_TARGET = 37, 46
_ADDRESS, _LOCAL, _ADDRESS_TARGET = 1, 2, 10
_LOWER_UP = 0x10000
_GONE = frozenset({errno.EINVAL, errno.ENODEV, errno.ENOENT})

_ATTRIBUTE = struct.Struct("=HHi")  # length, type, value
_OWNER = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, interface
_WITHOUT_STATISTICS = _ATTRIBUTE.pack(_ATTRIBUTE.size, 29, 1 << 3)


class _Link(NamedTuple):
    number: int
    name: str
    mac: bytes
    master: int
    namespace: int | None
    peer: int
    carrier: bool


def read() -> tuple[BridgePort, ...]:
    """Return all ports of bridges of this network namespace. Raises `Failed`."""
    try:
        with _socket() as asker:
            links = _links(asker)
    except OSError as error:
        raise Failed(_refused(error)) from None
    names = {link.number: link.name for link in links}
    return tuple(
        BridgePort(link.name, names.get(link.master, ""), link.namespace, link.peer, link.carrier)
        for link in links
        if link.master
    )


def look_into(namespace: int) -> Interior | None:
    """Return what is in that namespace; None: it is gone. Raises `Failed`."""
    try:
        with _socket() as asker:
            links = _links(asker, _target(_LINK_TARGET, namespace))
            addresses = frozenset(_addresses(asker, namespace))
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise Failed(_refused(error)) from None
    macs = ((link.number, link.mac.hex(":")) for link in links if len(link.mac) == 6)
    return Interior(tuple(sorted(macs)), addresses)


def _socket() -> socket.socket:
    try:
        asker = asking(_ROUTE)
        # Without it an old kernel takes no notice of a namespace, and answers for this one.
        asker.setsockopt(_SOL_NETLINK, _STRICT, 1)
    except OSError as error:
        raise Failed(_refused(error)) from None
    return asker


def _refused(error: OSError) -> str:
    return f"the kernel does not tell what is behind the ports of bridges ({error.strerror})"


def _links(asker: socket.socket, target: bytes = b"") -> list[_Link]:
    body = INTERFACE.pack(0, 0, 0, 0, 0) + _WITHOUT_STATISTICS + target
    return [_link(answer) for answer in _dump(asker, _GETLINK, body)]


@lru_cache(maxsize=16384)
def _link(answer: bytes) -> _Link:
    """A link as the kernel describes it. Without statistics that is the same each time."""
    _, _, index, flags, _ = INTERFACE.unpack_from(answer)
    attributes = attributes_of(answer[INTERFACE.size :])
    namespace = attributes.get(_LINK_NAMESPACE)
    return _Link(
        index,
        attributes.get(_LINK_NAME, b"").partition(b"\0")[0].decode(errors="replace"),
        attributes.get(_LINK_ADDRESS, b""),
        _number(attributes.get(_LINK_MASTER)),
        None if namespace is None else _number(namespace),
        _number(attributes.get(_LINK_PEER)),
        bool(flags & _LOWER_UP),
    )


def _addresses(asker: socket.socket, namespace: int) -> Iterator[Address]:
    body = _OWNER.pack(0, 0, 0, 0, 0) + _target(_ADDRESS_TARGET, namespace)
    for answer in _dump(asker, _GETADDR, body):
        attributes = attributes_of(answer[_OWNER.size :])
        # IPv6 has no local one, and IPv4 has both: the other end's on a point-to-point link.
        raw = attributes.get(_LOCAL) or attributes.get(_ADDRESS, b"")
        if len(raw) == 4:
            yield IPv4Address(raw)
        elif len(raw) == 16:
            yield IPv6Address(raw)


def _dump(asker: socket.socket, kind: int, body: bytes) -> Iterator[bytes]:
    asker.send(HEADER.pack(HEADER.size + len(body), kind, _DUMP, 1, 0) + body)
    while True:
        for answer, payload in messages_of(asker.recv(DATAGRAM)):
            if answer == _DONE:
                return
            if answer == _ERROR:
                number = -int.from_bytes(payload[:4], sys.byteorder, signed=True)
                raise OSError(number, os.strerror(number))
            yield payload


def _target(kind: int, namespace: int) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size, kind, namespace)


def _number(value: bytes | None) -> int:
    return int.from_bytes((value or b"")[:4], sys.byteorder, signed=True)
