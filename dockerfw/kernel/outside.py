"""A host outside, for some seconds: a network namespace of this process alone, and knocks from it.

Takes `Knock`s, gives a `Heard` for each. The namespace has no name and no process: it ends with
this one, however that ends, and what stands on this host ends with it. That is one interface,
called `PROBE_LINK`, and for each source one neighbour on it and one route to it, in the table
``local``: no rule that a policy of routing has comes before that one, so the way back of such a
source is by that interface for whoever asks, and no other table is touched.
"""

from __future__ import annotations

import ctypes
import errno
import os
import selectors
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import ip_address

from dockerfw.errors import Failed
from dockerfw.kernel.conntrack import Flow, NewFlows, have_connections
from dockerfw.kernel.links import read_links
from dockerfw.kernel.runner import Runner, require
from dockerfw.kernel.words import address_text, word
from dockerfw.model.knock import Answer, Heard, Knock
from dockerfw.model.net import FAMILIES, Address, Family, family_of
from dockerfw.rules.names import PROBE_LINK

_AT_ONCE = 200
"""Sockets at a time: a process may have 1,024 files open, mostly."""
_NEW_NAMESPACE = 0x40000000  # CLONE_NEWNET of sched.h
_HERE, _THERE = "02:64:66:77:00:01", "02:64:66:77:00:02"
"""MAC addresses of both ends, set by hand so that nobody else changes them."""
_GATEWAY = {4: "169.254.0.1", 6: "fe80::1"}
"""What the namespace sends everything to; this host has no such address, and needs none."""
_PROTOCOLS = {"tcp": (socket.SOCK_STREAM, 6), "udp": (socket.SOCK_DGRAM, 17)}
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_NEW_FORWARDS = "/proc/sys/net/ipv4/conf/default/forwarding"
_ALL_FORWARD = "/proc/sys/net/ipv4/conf/all/forwarding"
_NEW_WITHOUT_IPV6 = "/proc/sys/net/ipv6/conf/default/disable_ipv6"
_NOT_FORWARDING = (
    "a new interface would not forward as others do (net.ipv4.conf.default.forwarding)"
)
_WITHOUT_IPV6 = "a new interface would have none (net.ipv6.conf.default.disable_ipv6)"
_ANOTHER_TABLE = (
    "this host does not ask the table local first (ip rule), so answers might not come back"
)
_RESET_ON_CLOSE = b"\1\0\0\0\0\0\0\0"  # struct linger: on, 0 seconds
_ANSWERS: dict[int, Answer] = {0: "answered", errno.ECONNREFUSED: "refused"}
_GRACE = 0.3
"""Seconds for an answer once it is known that a knock got in: it decides nothing any more."""
_DISCARD = 9
"""A port at which nobody listens in the namespace."""
_libc = ctypes.CDLL(None, use_errno=True)


class Outside:
    """The hosts outside that this one may be asked from."""

    def __init__(self, runner: Runner, monotonic: Callable[[], float]) -> None:
        self._runner = runner
        self._now = monotonic

    def not_played(self) -> Mapping[Family, str]:
        """Return the families in which nobody can be played on this host, each with the reason.

        Raises `Failed`.
        """
        read = self._runner.read_file
        found: dict[Family, str] = {}
        if read(_NEW_FORWARDS) != read(_ALL_FORWARD):
            found[4] = _NOT_FORWARDING
        if (read(_NEW_WITHOUT_IPV6) or "").strip() != "0":
            found[6] = _WITHOUT_IPV6
        for family in FAMILIES:
            if family not in found and not self._local_comes_first(family):
                found[family] = _ANOTHER_TABLE
        return found

    def _local_comes_first(self, family: Family) -> bool:
        """Return False where the table of the ways back is not the first to be asked (VRF, some
        VPNs): answers might go to whoever has that address in truth.
        """
        rules = require(self._runner, ["ip", f"-{family}", "rule", "show"]).splitlines()
        return bool(rules) and rules[0].split() == ["0:", "from", "all", "lookup", "local"]

    def in_use(self, addresses: Iterable[Address]) -> frozenset[Address]:
        """Return those of the addresses that this host has to do with: by a connection, or as a
        neighbour. Raises `Failed`.
        """
        asked = frozenset(addresses)
        lines = require(self._runner, ["ip", "neigh", "show"]).splitlines()
        near = {line.partition(" ")[0] for line in lines}
        return have_connections(asked) | {a for a in asked if address_text(a) in near}

    def knock(self, knocks: Sequence[Knock]) -> tuple[Heard, ...]:
        """Send all of them, and return what came of each. Raises `Failed`.

        One call at a time on a host: the interface has one name.
        """
        sources = sorted({k.source for k in knocks}, key=lambda a: (a.version, int(a)))
        if not sources:
            return ()
        _refuse_others(self._runner)
        heard: list[Heard] = []
        with _outside(self._runner, sources) as namespace:
            for at in range(0, len(knocks), _AT_ONCE):
                heard += _Round(namespace, knocks[at : at + _AT_ONCE], self._now).run()
        return tuple(heard)


# --- the namespace -------------------------------------------------------------------------------


class _Namespace:
    """A network namespace that is there as long as this process, or until it is closed."""

    def __init__(self) -> None:
        self._home = _here()
        try:
            if _libc.unshare(_NEW_NAMESPACE):
                raise _denied()
            self._away = _here()
        except (OSError, Failed):
            self._enter(self._home)
            os.close(self._home)
            raise
        self._enter(self._home)

    @property
    def path(self) -> str:
        return f"/proc/{os.getpid()}/fd/{self._away}"

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Be in it: sockets that are opened, and programs that are run, are there."""
        self._enter(self._away)
        try:
            yield
        finally:
            self._enter(self._home)

    def close(self) -> None:
        os.close(self._away)
        os.close(self._home)

    @staticmethod
    def _enter(namespace: int) -> None:
        if _libc.setns(namespace, _NEW_NAMESPACE):
            raise _denied()


def _here() -> int:
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _denied() -> Failed:
    reason = os.strerror(ctypes.get_errno())
    return Failed(f"a network namespace cannot be had ({reason}): it takes root with CAP_SYS_ADMIN")


@contextmanager
def _outside(runner: Runner, sources: Sequence[Address]) -> Iterator[_Namespace]:
    with ExitStack() as opened:
        namespace = _Namespace()
        opened.callback(namespace.close)
        _delete_link(runner)
        _batch(runner, _join_both(namespace, sources))
        opened.callback(_delete_link, runner)
        with namespace.entered():
            _batch(runner, _inside(sources))
        _batch(runner, _ways_back(sources))
        yield namespace


def _refuse_others(runner: Runner) -> None:
    """Raise `Failed` where an interface has that name and is none that a killed probe left."""
    for link in read_links(runner, "link"):
        if link["ifname"] == PROBE_LINK:
            kind = link.get("linkinfo", {}).get("info_kind")
            if kind != "veth" or link.get("address") != _HERE:
                raise Failed(f"{PROBE_LINK} is an interface that no probe made: rename it first")


def _delete_link(runner: Runner) -> None:
    """Take the interface out where it is; with it go its routes and neighbours."""
    runner.run(["ip", "link", "delete", "dev", PROBE_LINK])


def _batch(runner: Runner, lines: Iterable[str]) -> None:
    require(runner, ["ip", "-batch", "-"], "".join(f"{line}\n" for line in lines))


def _join_both(namespace: _Namespace, sources: Iterable[Address]) -> Iterator[str]:
    link = word(PROBE_LINK)
    yield (
        f"link add name {link} address {_HERE} type veth "
        f"peer name {link} address {_THERE} netns {namespace.path}"
    )
    if any(source.version == 6 for source in sources):
        # No address of its own, which would be announced, and be one of this host's.
        yield f"link set dev {link} addrgenmode none"


def _inside(sources: Iterable[Address]) -> Iterator[str]:
    link = word(PROBE_LINK)
    yield f"link set dev {link} up"
    for source in sources:
        at_once = " nodad" if source.version == 6 else ""
        yield f"address add {address_text(source)}/{source.max_prefixlen} dev {link}{at_once}"
    for family in sorted({source.version for source in sources}):
        gateway = _GATEWAY[family]
        yield f"neigh add {gateway} lladdr {_HERE} dev {link} nud permanent"
        yield f"route add default via {gateway} dev {link} onlink"


def _ways_back(sources: Iterable[Address]) -> Iterator[str]:
    link = word(PROBE_LINK)
    yield f"link set dev {link} up"
    for source in sources:
        address = address_text(source)
        yield f"neigh add {address} lladdr {_THERE} dev {link} nud permanent"
        yield f"route add {address}/{source.max_prefixlen} dev {link} table local"


# --- knocks --------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Sent:
    """A knock on its way, waited for ``until`` a moment; ``flow`` is how the kernel calls it."""

    knock: Knock
    socket: socket.socket
    flow: Flow
    until: float
    answer: Answer = "silent"
    seen: bool = False


class _Round:
    """Some knocks at once, and what is heard of them."""

    def __init__(
        self, namespace: _Namespace, knocks: Sequence[Knock], monotonic: Callable[[], float]
    ) -> None:
        self._namespace = namespace
        self._knocks = knocks
        self._now = monotonic
        self._tracked: set[int] = set()

    def run(self) -> list[Heard]:
        with ExitStack() as opened:
            self._flows = NewFlows()
            opened.callback(self._flows.close)
            self._selector = opened.enter_context(selectors.DefaultSelector())
            self._selector.register(self._flows, selectors.EVENT_READ)
            with self._namespace.entered():
                sockets = [opened.enter_context(_socket(one)) for one in self._knocks]
            self._controls = {
                family: opened.enter_context(socket.socket(_FAMILIES[family], socket.SOCK_DGRAM))
                for family in {family_of(one.source) for one in self._knocks}
            }
            controls = frozenset(map(self._control, self._controls))
            sent = [self._send(*both) for both in zip(self._knocks, sockets, strict=True)]
            self._listen({one.flow: one for one in sent}, controls)
            return [self._heard(one) for one in sent]

    def _control(self, family: Family) -> Flow | None:
        """Send a datagram the other way, from this host to a caller; None where that fails.

        If not even of that an entry is announced, that none is of a knock means nothing: the kernel
        keeps track of no connection of this family, or announces none.
        """
        by = self._controls[family]
        to = next(one.source for one in self._knocks if one.source.version == family)
        if by.connect_ex((str(to), _DISCARD)) or _sending(by):
            return None
        here = by.getsockname()
        return Flow(_PROTOCOLS["udp"][1], ip_address(here[0]), here[1], to, _DISCARD)

    def _send(self, one: Knock, by: socket.socket) -> _Sent:
        flow = Flow(
            _PROTOCOLS[one.protocol][1], one.source, by.getsockname()[1], one.address, one.port
        )
        sent = _Sent(one, by, flow, self._now() + one.patience)
        error = by.connect_ex((str(one.address), one.port))
        if error == 0 and one.protocol == "udp":
            error = _sending(by)
        if error in (0, errno.EINPROGRESS):
            by_tcp = one.protocol == "tcp"
            waits_for = selectors.EVENT_WRITE if by_tcp else selectors.EVENT_READ
            self._selector.register(by, waits_for, sent)
        else:
            self._tell(sent, error)
        return sent

    def _listen(self, sent: Mapping[Flow, _Sent], controls: frozenset[Flow | None]) -> None:
        """Wait until something has come of each of them, or its patience is over."""
        over = False
        while not over:
            left = max(one.until for one in sent.values()) - self._now()
            # Then what has come already is read, and no more.
            over = left <= 0
            for key, _ in self._selector.select(max(left, 0)):
                if key.data is not None:
                    self._selector.unregister(key.fileobj)
                    self._tell(key.data, _error_of(key.data))
            come = self._flows.read()
            self._tracked |= {flow.address.version for flow in come & controls}
            for flow in come & sent.keys():
                self._tracked.add(flow.address.version)
                one = sent[flow]
                one.seen = True
                one.until = min(one.until, self._now() + _GRACE)

    @staticmethod
    def _tell(sent: _Sent, error: int) -> None:
        sent.answer = _ANSWERS.get(error, "unreachable")
        sent.until = 0.0

    def _heard(self, sent: _Sent) -> Heard:
        known = sent.seen or not self._flows.lost
        known = known and sent.knock.address.version in self._tracked
        return Heard(sent.answer, sent.seen if known else None)


def _socket(one: Knock) -> socket.socket:
    """Return a socket of the namespace, bound to the source of the knock."""
    kind = _PROTOCOLS[one.protocol][0] | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
    with ExitStack() as opened:
        made = opened.enter_context(socket.socket(_FAMILIES[one.source.version], kind))
        if one.protocol == "tcp":
            # Leaves nothing behind on either side, and tells the receiver that nothing follows.
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        made.bind((str(one.source), 0))
        opened.pop_all()
    return made


def _sending(by: socket.socket) -> int:
    try:
        by.send(b"")
    except OSError as error:
        return error.errno or errno.EIO
    return 0


def _error_of(sent: _Sent) -> int:
    """Return the number of the error that came of it, 0 for an answer."""
    if sent.knock.protocol == "tcp":
        return sent.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    try:
        sent.socket.recv(1)
    except OSError as error:
        return error.errno or errno.EIO
    return 0
