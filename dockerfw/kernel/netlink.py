"""Notices of the kernel that rules, links or addresses were changed, by netlink.

`KernelNotices` and `AddressNotices` have descriptors for a selector, and a `read` that never
blocks. A notice reports that something was written, not that its meaning changed: the caller reads
the state and compares. Never changes anything, and starts no process.

No kernel announces what ipset and iptables-legacy write: that has to be polled.

Join first, then read the state once: then no change falls in between.
"""

from __future__ import annotations

import array
import errno
import os
import re
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from dockerfw.errors import Failed

# linux/netlink.h, linux/netfilter/nfnetlink.h, linux/netfilter/nf_tables.h, linux/rtnetlink.h
_NETLINK_ROUTE, _NETLINK_NETFILTER = 0, 12
_SOL_NETLINK, _ADD_MEMBERSHIP = 270, 1
_GROUP_LINKS, _GROUP_NFTABLES = 1, 7
_GROUPS_ADDRESSES = (5, 9, 11)  # addresses of IPv4, of IPv6, routes of IPv6
_ERROR, _DONE = 2, 3
_NEWLINK, _DELLINK, _GETLINK = 16, 17, 18
_NEWGEN, _GETGEN = 0x0A0F, 0x0A10
_GEN_ID, _GEN_PROC_NAME = 1, 3
_LINK_NAME, _LINK_MASTER = 3, 10
_REQUEST, _DUMP = 0x1, 0x300

HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_ATTRIBUTE = struct.Struct("=HH")  # length, type
_NETFILTER = struct.Struct("=BBH")  # family, version, resource
INTERFACE = struct.Struct("=BxHiII")  # family, type, index, flags, what changed
_ERRNO = struct.Struct("=i")
_ATTRIBUTE_TYPE = 0x3FFF
_ORDER = sys.byteorder

_SO_ATTACH_FILTER, _SO_RCVBUFFORCE = 26, 33
_BUFFER = 8 * 1024 * 1024
DATAGRAM = 1 << 16
_UNPRINTABLE = re.compile(r"[^A-Za-z0-9 _.:/@+-]")

_IFF_LOWER_UP = 0x10000

_Message: TypeAlias = tuple[int, bytes]
_Change: TypeAlias = Literal["", "carrier", "link"]


class _Link(NamedTuple):
    """``master`` is an index, 0: none; ``carrier`` is that of ports of bridges alone."""

    name: str
    master: int
    carrier: bool


@dataclass(frozen=True, slots=True)
class Noticed:
    """What the kernel announced since the last read.

    rules    nf_tables were changed (iptables-nft among them), or notices were lost
    links    an interface appeared, vanished, or changed its name or its master (the bridge that it
             is a port of), or notices were lost
    carriers a port of a bridge has got a carrier, or lost it: what is behind it is set up, or gone
    writers  the processes that changed rules, as the kernel names them: at most 15 characters
             (``iptables-restor``, ``nft``, ``firewalld``), fit for a log line; none where
             notices were lost
    """

    rules: bool = False
    links: bool = False
    carriers: bool = False
    writers: frozenset[str] = frozenset()


class KernelNotices:
    """Notices of the network namespace that it is made in; raises `Failed` without the right.

    ``rules_announced`` is False where this kernel has no nf_tables: then `Noticed.rules` stays
    False, whatever iptables-legacy does. Needs CAP_NET_ADMIN.
    """

    def __init__(self) -> None:
        try:
            with ExitStack() as opened:
                self._links = opened.enter_context(_join(_NETLINK_ROUTE, _GROUP_LINKS))
                self._rules = _rules_socket()
                if self._rules is not None:
                    opened.enter_context(self._rules)
                self._asker = opened.enter_context(asking(_NETLINK_ROUTE))
                self._known = _masters(self._asker)
                self._opened = opened.pop_all()
        except OSError as error:
            raise Failed(
                f"the kernel's notices of rules and interfaces cannot be had ({error.strerror}): "
                "run dockerfw as root, or with CAP_NET_ADMIN"
            ) from None
        self.rules_announced = self._rules is not None

    def filenos(self) -> tuple[int, ...]:
        """Return the descriptors to watch for something to read."""
        return tuple(one.fileno() for one in (self._rules, self._links) if one is not None)

    def read(self) -> Noticed:
        """Return all that came since the last call. Never blocks."""
        rules, writers = self._read_rules()
        links = self._read_links()
        return Noticed(rules, "link" in links, "carrier" in links, writers)

    def close(self) -> None:
        self._opened.close()

    def _read_rules(self) -> tuple[bool, frozenset[str]]:
        if self._rules is None:
            return False, frozenset()
        messages, lost = drain(self._rules)
        commits = [body for kind, body in messages if kind == _NEWGEN]
        names = (attributes_of(body[_NETFILTER.size :]).get(_GEN_PROC_NAME) for body in commits)
        writers = frozenset(_printable(name) for name in names if name)
        # Whose notices were lost is not known: the names that are left would be incomplete.
        return bool(commits) or lost, frozenset() if lost else writers

    def _read_links(self) -> set[_Change]:
        messages, lost = drain(self._links)
        # Every message is applied, so a bridge that came and went within one read is reported.
        changes: set[_Change] = {_apply(self._known, kind, body) for kind, body in messages}
        if lost:
            # The change is reported even if this fails.
            with suppress(OSError):
                self._known = _masters(self._asker)
            return {"link"}
        return changes


class AddressNotices:
    """Notices that an interface got or lost an address or, in IPv6, that there is another route.

    Of the network namespace that it is made in; raises `Failed` where they cannot be had.
    """

    def __init__(self) -> None:
        try:
            self._listener = _join(_NETLINK_ROUTE, *_GROUPS_ADDRESSES)
        except OSError as error:
            raise Failed(
                f"the kernel's notices of addresses cannot be had ({error.strerror}): run dockerfw "
                "as root, or with CAP_NET_ADMIN"
            ) from None

    def fileno(self) -> int:
        return self._listener.fileno()

    def read(self) -> bool:
        """Return True if any came since the last call, or were lost. Never blocks."""
        messages, lost = drain(self._listener)
        return bool(messages) or lost

    def close(self) -> None:
        self._listener.close()


def _join(protocol: int, *groups: int) -> socket.socket:
    """Return a netlink socket that receives from these groups."""
    kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
    with ExitStack() as opened:
        listener = opened.enter_context(socket.socket(socket.AF_NETLINK, kind, protocol))
        enlarge(listener)
        if protocol == _NETLINK_NETFILTER:
            _filter_commits(listener)
        # The address 0 lets the kernel choose one: a socket without any receives from no group.
        listener.bind((0, 0))
        for group in groups:
            listener.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
        opened.pop_all()
    return listener


def enlarge(listener: socket.socket) -> None:
    """Make room for more than one large commit, which would fill the usual buffer."""
    try:
        listener.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
    except PermissionError:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)


def _filter_commits(listener: socket.socket) -> None:
    """Let only datagrams that begin with NEWGEN into the buffer: it closes each commit, and comes
    in a datagram of its own (net/netfilter/nf_tables_api.c, nf_tables_gen_notify). So a commit of
    50,000 elements wakes us up once, and cannot fill the buffer.
    """
    # Classic BPF loads in network byte order what netlink writes in the host's.
    wanted = struct.unpack("!H", struct.pack("=H", _NEWGEN))[0]
    program = array.array(
        "B",
        b"".join(
            struct.pack("=HBBI", *one)
            for one in (
                (0x28, 0, 0, 4),  # load the half word at 4: the message's type
                (0x15, 0, 1, wanted),  # unless it is NEWGEN, skip one
                (0x06, 0, 0, 0xFFFFFFFF),  # keep all of it
                (0x06, 0, 0, 0),  # drop it
            )
        ),
    )
    address, length = program.buffer_info()
    listener.setsockopt(
        socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", length // 8, address)
    )


def _rules_socket() -> socket.socket | None:
    """Return a socket that has joined the group of nf_tables; None: this kernel has none."""
    try:
        announced = _has_nf_tables()
    except OSError as error:
        if error.errno != errno.EPROTONOSUPPORT:
            raise
        announced = False
    return _join(_NETLINK_NETFILTER, _GROUP_NFTABLES) if announced else None


def _has_nf_tables() -> bool:
    """Ask for the generation of the rules. That a socket has joined proves nothing: ipset alone
    brings the protocol, and a group without a sender may be joined too.
    """
    kind, body = _ask_generation()
    if kind == _ERROR and -_ERRNO.unpack_from(body)[0] == errno.EPERM:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
    return kind == _NEWGEN


def generation() -> bytes | None:
    """Return what is another value after every change in nf_tables, by whomever, in this network
    namespace; None where the kernel does not tell.
    """
    try:
        kind, body = _ask_generation()
    except OSError:
        return None
    return attributes_of(body[_NETFILTER.size :]).get(_GEN_ID) if kind == _NEWGEN else None


def _ask_generation() -> _Message:
    with asking(_NETLINK_NETFILTER) as asker:
        question = _NETFILTER.pack(socket.AF_UNSPEC, 0, 0)
        asker.send(HEADER.pack(HEADER.size + len(question), _GETGEN, _REQUEST, 1, 0) + question)
        return next(messages_of(asker.recv(DATAGRAM)))


def asking(protocol: int) -> socket.socket:
    """Return a socket for questions; the kernel answers before ``send`` returns."""
    asker = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
    asker.settimeout(5)
    return asker


def _masters(asker: socket.socket) -> dict[int, _Link]:
    """Return every link: index -> its name and the index of its master (0: none)."""
    known: dict[int, _Link] = {}
    question = INTERFACE.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
    length = HEADER.size + len(question)
    asker.send(HEADER.pack(length, _GETLINK, _REQUEST | _DUMP, 1, 0) + question)
    while True:
        for kind, body in messages_of(asker.recv(DATAGRAM)):
            if kind == _DONE:
                return known
            if kind == _ERROR:
                raise OSError(errno.EIO, "the interfaces are not listed")
            _apply(known, kind, body)


def _apply(known: dict[int, _Link], kind: int, body: bytes) -> _Change:
    """Apply one message about a link to what is known; return what that changed."""
    if kind not in (_NEWLINK, _DELLINK) or len(body) < INTERFACE.size:
        return ""
    family, _, index, flags, _ = INTERFACE.unpack_from(body)
    # A bridge announces its ports in its own family too, where a port that leaves is "deleted".
    # The same follows in the general family.
    if family != socket.AF_UNSPEC:
        return ""
    if kind == _DELLINK:
        return "link" if known.pop(index, None) is not None else ""
    attributes = attributes_of(body[INTERFACE.size :])
    name = attributes.get(_LINK_NAME)
    if name is None:
        return ""
    master = int.from_bytes(attributes.get(_LINK_MASTER, b""), _ORDER)
    carrier = master != 0 and bool(flags & _IFF_LOWER_UP)
    before, now = known.get(index), _Link(name.decode(errors="replace"), master, carrier)
    known[index] = now
    if before == now:
        return ""
    same = before is not None and before[:2] == now[:2]
    return "carrier" if same else "link"


def drain(listener: socket.socket) -> tuple[list[_Message], bool]:
    """Return all messages that wait, and True if some were lost before they were read."""
    messages: list[_Message] = []
    lost = False
    while (datagram := _next(listener)) is not None:
        messages += messages_of(datagram)
        lost = lost or not datagram
    return messages, lost


def _next(listener: socket.socket) -> bytes | None:
    """Return a datagram; empty: some were lost here; None: there is no more."""
    try:
        return listener.recv(DATAGRAM)
    except BlockingIOError:
        return None
    except OSError as error:
        if error.errno != errno.ENOBUFS:
            raise
        return b""


def messages_of(datagram: bytes) -> Iterator[_Message]:
    """Yield (type, what follows the header) of each message of a datagram."""
    while len(datagram) >= HEADER.size:
        length, kind, _, _, _ = HEADER.unpack_from(datagram)
        if length < HEADER.size:
            return
        yield kind, datagram[HEADER.size : length]
        datagram = datagram[_aligned(length) :]


def attributes_of(data: bytes) -> dict[int, bytes]:
    """Return the attributes by type; of those that come twice the last."""
    found: dict[int, bytes] = {}
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        if length < _ATTRIBUTE.size:
            break
        found[kind & _ATTRIBUTE_TYPE] = data[_ATTRIBUTE.size : length]
        data = data[_aligned(length) :]
    return found


def _aligned(length: int) -> int:
    return (length + 3) & ~3


def _printable(name: bytes) -> str:
    """Return a name fit for a log line: a process may call itself anything."""
    return _UNPRINTABLE.sub("_", name.partition(b"\0")[0].decode(errors="replace"))
