"""Connections that the kernel knows of, by netlink: new ones as they come, and who has any.

The kernel makes an entry for a connection when its first packet has passed the last rule on its
way, and not before: so a packet that a rule dropped or rejected leaves none, and of one that has an
entry every rule let it pass, whatever its receiver answers. Never changes anything, and starts no
process. Needs CAP_NET_ADMIN.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from dockerfw.errors import Failed
from dockerfw.kernel.netlink import (
    DATAGRAM,
    HEADER,
    asking,
    attributes_of,
    drain,
    enlarge,
    messages_of,
)
from dockerfw.model.net import Address

# linux/netlink.h, linux/netfilter/nfnetlink.h, linux/netfilter/nfnetlink_conntrack.h
_NETFILTER, _SOL_NETLINK, _ADD_MEMBERSHIP = 12, 270, 1
_GROUP_NEW = 1
_ERROR, _DONE, _REQUEST_DUMP = 2, 3, 0x301
_NEW, _GET = 0x0100, 0x0101
_FAMILY = struct.pack("=BBH", socket.AF_UNSPEC, 0, 0)  # any, version 0, no resource
_ORIGINAL, _IP, _PROTO = 1, 1, 2
_V4, _V6 = (1, 2), (3, 4)  # source and destination
_PROTOCOL, _SOURCE_PORT, _PORT = 1, 2, 3
_ATTRIBUTE = struct.Struct("=HH")  # length, type
_END_SIZE = HEADER.size + 4  # and an error number


class Flow(NamedTuple):
    """A connection by its first packet, before any NAT; ``protocol`` is a number."""

    protocol: int
    source: Address
    source_port: int
    address: Address
    port: int


class NewFlows:
    """Connections that come into being in the network namespace that it is made in.

    ``lost``: some were announced faster than they were read, so that one that is not known of may
    have been all the same. Raises `Failed` without the right.
    """

    def __init__(self) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        self._listener = socket.socket(socket.AF_NETLINK, kind, _NETFILTER)
        self.lost = False
        try:
            enlarge(self._listener)
            self._listener.bind((0, 0))
            self._listener.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, _GROUP_NEW)
        except OSError as error:
            self._listener.close()
            raise Failed(_refused(error)) from None

    def fileno(self) -> int:
        return self._listener.fileno()

    def read(self) -> frozenset[Flow]:
        """Return those that came since the last call. Never blocks."""
        found, lost = drain(self._listener)
        self.lost = self.lost or lost
        flows = (_flow(body[len(_FAMILY) :]) for kind, body in found if kind == _NEW)
        return frozenset(flow for flow in flows if flow is not None)

    def close(self) -> None:
        self._listener.close()


def _flow(data: bytes) -> Flow | None:
    """Return the connection; None for one without ports."""
    original = attributes_of(attributes_of(data).get(_ORIGINAL, b""))
    addresses = attributes_of(original.get(_IP, b""))
    proto = attributes_of(original.get(_PROTO, b""))
    if not proto.keys() >= {_PROTOCOL, _SOURCE_PORT, _PORT}:
        return None
    ends: list[Address] = [IPv4Address(addresses[at]) for at in _V4 if at in addresses]
    ends += [IPv6Address(addresses[at]) for at in _V6 if at in addresses]
    if len(ends) != 2:
        return None
    ports = (int.from_bytes(proto[at][:2], "big") for at in (_SOURCE_PORT, _PORT))
    source_port, port = ports
    return Flow(proto[_PROTOCOL][0], ends[0], source_port, ends[1], port)


def have_connections(addresses: Iterable[Address]) -> frozenset[Address]:
    """Return those of the addresses that some connection is from or to. Raises `Failed`."""
    left = {address: _written(address) for address in addresses}
    found: set[Address] = set()
    question = HEADER.pack(HEADER.size + len(_FAMILY), _GET, _REQUEST_DUMP, 1, 0) + _FAMILY
    try:
        with asking(_NETFILTER) as asker:
            asker.send(question)
            while left:
                datagram = asker.recv(DATAGRAM)
                # Not taken apart: there may be a million entries.
                here = {a for a, forms in left.items() if any(form in datagram for form in forms)}
                found |= here
                for address in here:
                    del left[address]
                if _is_last(datagram):
                    break
    except OSError as error:
        raise Failed(_refused(error)) from None
    return frozenset(found)


def _written(address: Address) -> tuple[bytes, ...]:
    """Return the address as the source and as the destination of an entry."""
    kinds, packed = (_V4 if address.version == 4 else _V6), address.packed
    return tuple(_ATTRIBUTE.pack(_ATTRIBUTE.size + len(packed), kind) + packed for kind in kinds)


def _is_last(datagram: bytes) -> bool:
    """Return True for the end of the list. Raises OSError where there is none."""
    kind, body = next(messages_of(datagram), (_DONE, b""))
    if kind == _ERROR:
        number = -int.from_bytes(body[:4], sys.byteorder, signed=True)
        raise OSError(number or errno.EIO, os.strerror(number or errno.EIO))
    # Some kernels put the end into the datagram of the last entries.
    at_end = datagram[-_END_SIZE:]
    return kind == _DONE or (
        len(at_end) == _END_SIZE and HEADER.unpack_from(at_end)[:2] == (_END_SIZE, _DONE)
    )


def _refused(error: OSError) -> str:
    return (
        f"the kernel's connections are not listed ({error.strerror or error}): run dockerfw as "
        "root, or load the module (modprobe nf_conntrack_netlink)"
    )
