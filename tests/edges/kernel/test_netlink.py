"""Who has changed rules, by what the kernel announces."""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from collections.abc import Iterator

import pytest

from dockerfw.kernel.netlink import KernelNotices

NEWGEN = 0x0A0F
"""linux/netfilter/nf_tables.h: NFT_MSG_NEWGEN of the subsystem for nf_tables."""


class Announcing(socket.socket):
    """A netlink socket with these datagrams waiting; None: some were lost at this point."""

    def __init__(self, *datagrams: bytes | None) -> None:
        super().__init__(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._datagrams = iter(datagrams)

    def recv(self, *_: int) -> bytes:
        for datagram in self._datagrams:
            if datagram is None:
                raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))
            return datagram
        raise BlockingIOError


def commit_by(program: bytes) -> bytes:
    """What the kernel sends at the end of a commit, with the name of the process."""
    name = program + b"\0"
    body = bytes(4) + (4 + len(name)).to_bytes(2, sys.byteorder) + b"\3\0" + name
    return struct.pack("=IHHII", 16 + len(body), NEWGEN, 0, 0, 0) + body


def notices_of(rules: socket.socket, links: socket.socket) -> KernelNotices:
    """Notices that were joined already: to join takes the right to."""
    found = object.__new__(KernelNotices)
    found._rules, found._links, found._known = rules, links, {}
    return found


@pytest.fixture
def links() -> Iterator[socket.socket]:
    with Announcing() as found:
        yield found


@pytest.mark.parametrize(
    ("lost", "writers"), [(False, frozenset({"iptables-restor"})), (True, frozenset())]
)
def test_notices_that_were_lost_may_have_been_anybodys(
    links: socket.socket, *, lost: bool, writers: frozenset[str]
) -> None:
    """The seal is passed over only where each writer is known to be a program of iptables."""
    waiting = [commit_by(b"iptables-restor"), *[None] * lost]
    with Announcing(*waiting) as rules:
        noticed = notices_of(rules, links).read()
    assert (noticed.rules, noticed.writers) == (True, writers)
