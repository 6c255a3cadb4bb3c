"""Asks the kernel for ipsets by netlink, as ``ipset`` does, and starts no process.

Takes the name of a set, or none for the headers of all; gives messages, which ``messages.py``
reads. Never changes anything. Needs CAP_NET_ADMIN.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Iterator

from dockerfw.kernel.netlink import DATAGRAM, HEADER, asking, messages_of

# linux/netlink.h, linux/netfilter/nfnetlink.h, linux/netfilter/ipset/ip_set.h
_NETFILTER, _ERROR, _DONE, _REQUEST_DUMP = 12, 2, 3, 0x301
_LIST = 6 << 8 | 7
_PROTOCOL, _NAME, _FLAGS = 1, 2, 6
_NET_ORDER, _HEADERS_ALONE = 0x4000, 1 << 2
_VERSION = 6
"""Of ipset's protocol: known to every kernel since 3.0."""
_FAMILY = struct.pack("=BBH", 0, 0, 0)  # any, version 0, no resource
_ATTRIBUTE = struct.Struct("=HH")  # length, type


def ask(name: str | None) -> list[bytes]:
    """Return what the kernel has of this set; None: the headers of all sets. Raises OSError."""
    if name is None:
        asked = _attribute(_FLAGS | _NET_ORDER, struct.pack(">I", _HEADERS_ALONE))
    else:
        asked = _attribute(_NAME, name.encode() + b"\0")
    return list(_dump(_attribute(_PROTOCOL, bytes([_VERSION])) + asked))


def _dump(asked: bytes) -> Iterator[bytes]:
    question = _FAMILY + asked
    with asking(_NETFILTER) as asker:
        length = HEADER.size + len(question)
        asker.send(HEADER.pack(length, _LIST, _REQUEST_DUMP, 1, 0) + question)
        while True:
            for kind, body in messages_of(asker.recv(DATAGRAM)):
                if kind in (_DONE, _ERROR):
                    number = -int.from_bytes(body[:4], sys.byteorder, signed=True)
                    if number:
                        raise OSError(number, os.strerror(number))
                    return
                yield body[len(_FAMILY) :]


def _attribute(kind: int, value: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(-length % 4)
