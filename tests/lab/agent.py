"""The one process behind a test host: it owns the namespaces and does what the test asks.

It is process 1 of the host's process namespace. Commands come in on standard input, one JSON
object a line, and each gets one JSON line back; when standard input ends (the test is over, or
was killed) the process ends, and the kernel takes every other process of the host with it.

A socket stays in the namespace that it was made in. So one process that hops from namespace to
namespace can be every container at once: listen in ten of them, probe from all of them, in one
loop and with no process started for a probe. Standard library only; never touches a firewall.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import select
import selectors
import signal
import socket
import struct
import sys
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fcntl import ioctl
from functools import partial
from typing import Any

CLONE_NEWNET = 0x40000000
_ETH_P_ALL = 3
_IP_RECVERR, _IPV6_RECVERR = 11, 25
_IPV6_RECVPKTINFO, _IPV6_PKTINFO = 49, 50
_SIOCGIFHWADDR = 0x8927
_PACKET_IGNORE_OUTGOING = 23
_REQUEST = b"GET / HTTP/1.0\r\n\r\n"
_UNREACHABLE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES, errno.EPERM}

_libc = ctypes.CDLL(None, use_errno=True)


def _check(status: int) -> None:
    if status != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _setns(descriptor: int) -> None:
    _check(_libc.setns(descriptor, CLONE_NEWNET))


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class Listener:
    """A server socket; answers every question with the name of the place that it is in."""

    def __init__(self, agent: Agent, space: str, name: str, end: tuple[str, str, int]) -> None:
        self.agent, self.space, self.name = agent, space, name
        self.protocol, address, self.port = end
        protocol = self.protocol
        kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
        with agent.inside(space):
            self.socket = socket.socket(socket.AF_INET6, kind)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        if protocol == "udp":
            self.socket.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
        self.socket.bind((address if ":" in address else f"::ffff:{address}", self.port))
        if protocol == "tcp":
            self.socket.listen(1024)
        self.socket.setblocking(False)
        agent.watch(self.socket, self._accept if protocol == "tcp" else self._datagram)

    def close(self) -> None:
        self.agent.unwatch(self.socket)

    def _note(self, peer: tuple[Any, ...], data: bytes) -> None:
        source = str(peer[0]).removeprefix("::ffff:").split("%")[0]
        self.agent.received.setdefault(self.space, []).append(
            [self.protocol, self.port, source, peer[1], data.decode("latin-1")]
        )

    def _accept(self) -> None:
        with suppress(BlockingIOError):
            while True:
                connection, peer = self.socket.accept()
                connection.setblocking(False)
                self._note(peer, b"")
                self.agent.watch(connection, partial(self._talk, connection))

    def _talk(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(65536)
            if data.startswith(b"GET"):
                connection.send(b"HTTP/1.0 200 OK\r\n\r\n" + self.name.encode())
                data = b""
            elif data:
                connection.send(self.name.encode() + b" " + data)
        except OSError:
            data = b""
        if not data:
            self.agent.unwatch(connection)

    def _datagram(self) -> None:
        with suppress(BlockingIOError):
            while True:
                data, extra, _, peer = self.socket.recvmsg(65536, 512)
                self._note(peer, data)
                self._answer(self.name.encode() + b" " + data, extra, peer)

    def _answer(self, data: bytes, extra: list[tuple[int, int, bytes]], peer: Any) -> None:
        # From the address that was asked, as a server bound to that address would; a broadcast
        # address cannot be answered from.
        asked = [
            (level, kind, value[:16] + bytes(4))
            for level, kind, value in extra
            if (level, kind) == (socket.IPPROTO_IPV6, _IPV6_PKTINFO)
        ]
        try:
            self.socket.sendmsg([data], asked, 0, peer)
        except OSError:
            with suppress(OSError):
                self.socket.sendto(data, peer)


class Attempt:
    """One question on its way: a TCP connection, a datagram or a ping."""

    def __init__(self, agent: Agent, probe: dict[str, Any], deadline: float) -> None:
        self.agent, self.deadline = agent, deadline
        self.protocol = probe["protocol"]
        self.outcome = "silent"
        self.data = b""
        self.done = False
        self.peer = (probe["address"], probe["port"])
        self.broadcast = bool(probe.get("broadcast"))
        family = _family(probe["address"])
        with agent.inside(probe["at"]):
            self.socket = self._open(family)
        self.socket.setblocking(False)
        try:
            if probe.get("source"):
                self.socket.bind((probe["source"], probe.get("source_port") or 0))
            self._send()
        except BlockingIOError:
            pass
        except OSError as error:
            self._failed(error.errno)
        if not self.done:
            agent.watch(self.socket, self._ready, write=self.protocol == "tcp")

    def _open(self, family: socket.AddressFamily) -> socket.socket:
        if self.protocol == "tcp":
            return socket.socket(family, socket.SOCK_STREAM)
        if self.protocol == "udp":
            opened = socket.socket(family, socket.SOCK_DGRAM)
            if self.broadcast:
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            return opened
        number = socket.IPPROTO_ICMP if family == socket.AF_INET else socket.IPPROTO_ICMPV6
        return socket.socket(family, socket.SOCK_DGRAM, number)

    def _send(self) -> None:
        if self.broadcast:
            self.socket.sendto(b"ask", self.peer)
            return
        if self.protocol == "icmp":
            self._hear_errors()
        self.socket.connect(self.peer)
        if self.protocol == "udp":
            self.socket.send(b"ask")
        elif self.protocol == "icmp":
            kind = 8 if self.socket.family == socket.AF_INET else 128
            self.socket.send(struct.pack("!BBHHH", kind, 0, 0, 0, 1) + b"ask")

    def _hear_errors(self) -> None:
        if self.socket.family == socket.AF_INET:
            self.socket.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
        else:
            self.socket.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)

    def _failed(self, number: int | None) -> None:
        if number == errno.ECONNREFUSED:
            self.outcome = "refused"
        elif number in _UNREACHABLE:
            self.outcome = "unreachable"
        elif number != errno.ECONNRESET:
            raise OSError(number, f"{os.strerror(number or 0)}: {self.protocol} {self.peer}")
        self.finish()

    def _ready(self) -> None:
        if self.protocol == "tcp" and self.outcome == "silent":
            number = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if number:
                self._failed(number)
                return
            self.outcome = "connected"
            self.agent.watch(self.socket, self._ready)
            with suppress(OSError):
                self.socket.send(_REQUEST)
            return
        try:
            data = self.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError as error:
            self._failed(error.errno)
            return
        if self.protocol == "tcp" and data:
            self.data += data
            return
        if self.protocol == "udp":
            self.data = data.removesuffix(b" ask")
        if self.data or self.protocol == "icmp":
            self.outcome = "answered"
        self.finish()

    def finish(self) -> None:
        if self.done:
            return
        self.done = True
        if self.data:
            self.outcome = "answered"
        self.agent.unwatch(self.socket)

    def result(self) -> dict[str, str]:
        text = self.data.decode("latin-1").split("\r\n\r\n")[-1].strip()
        return {"outcome": self.outcome, "text": text}


class Agent:
    def __init__(self) -> None:
        self.home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self.spaces: dict[str, int] = {"host": self.home}
        self.selector = selectors.DefaultSelector()
        self.watched: dict[socket.socket, Callable[[], None]] = {}
        self.listeners: dict[str, list[Listener]] = {}
        self.received: dict[str, list[list[Any]]] = {}
        self.flows: dict[int, socket.socket] = {}
        self.sniffers: dict[int, socket.socket] = {}
        self.numbers = iter(range(1, 1 << 62))

    # --- the loop ------------------------------------------------------------------------------

    def watch(
        self, watched: socket.socket, ready: Callable[[], None], *, write: bool = False
    ) -> None:
        events = selectors.EVENT_WRITE if write else selectors.EVENT_READ
        if watched in self.watched:
            self.selector.modify(watched, events, ready)
        else:
            self.selector.register(watched, events, ready)
        self.watched[watched] = ready

    def unwatch(self, watched: socket.socket) -> None:
        if self.watched.pop(watched, None) is not None:
            self.selector.unregister(watched)
        watched.close()

    def turn(self, seconds: float | None) -> None:
        """Serve what is ready, waiting for it as long as this."""
        for key, _ in self.selector.select(seconds):
            if key.fileobj in self.watched or isinstance(key.fileobj, int):
                key.data()

    @contextmanager
    def inside(self, space: str) -> Iterator[None]:
        """Be in this network namespace; sockets made here stay here."""
        _setns(self.spaces[space])
        try:
            yield
        finally:
            _setns(self.home)

    # --- commands ------------------------------------------------------------------------------

    def do_new(self, key: str) -> int:
        """A new network namespace; its descriptor, for ``/proc/PID/fd/N``."""
        try:
            _check(_libc.unshare(CLONE_NEWNET))
            return self._adopt(key, "/proc/thread-self/ns/net")
        finally:
            _setns(self.home)

    def do_open(self, key: str, pid: int) -> int:
        """The network namespace of a process of this host, such as a container's."""
        self.do_drop(key)
        return self._adopt(key, f"/proc/{pid}/ns/net")

    def _adopt(self, key: str, path: str) -> int:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.spaces[key] = descriptor
        self.do_settle(key)
        return descriptor

    def do_settle(self, key: str) -> None:
        """Settings that spare the tests waiting: no duplicate address detection, ping allowed."""
        with self.inside(key):
            for name in ("all", "default"):
                self._write(f"net/ipv6/conf/{name}/accept_dad", "0")
            self._write("net/ipv4/ping_group_range", "0 0")

    def do_drop(self, key: str) -> None:
        self.do_quiet(key)
        descriptor = self.spaces.pop(key, None)
        if descriptor is not None:
            os.close(descriptor)

    def do_sysctl(self, at: str, name: str, value: str) -> None:
        with self.inside(at):
            self._write(name, value)

    @staticmethod
    def _write(name: str, value: str) -> None:
        with open(f"/proc/sys/{name}", "w", encoding="ascii") as file:  # noqa: PTH123 - no pathlib: it costs a third of the start
            file.write(value)

    def do_listen(self, at: str, name: str, ports: list[tuple[str, int]], address: str) -> None:
        for protocol, port in ports:
            listener = Listener(self, at, name, (protocol, address, port))
            self.listeners.setdefault(at, []).append(listener)

    def do_quiet(self, at: str) -> None:
        for listener in self.listeners.pop(at, []):
            listener.close()

    def do_received(self, at: str) -> list[list[Any]]:
        self.turn(0)
        return self.received.pop(at, [])

    def do_probe(self, probes: list[dict[str, Any]]) -> list[dict[str, str]]:
        """Ask everything at once; give up on each when its patience (seconds) is over."""
        now = time.monotonic()
        attempts = [Attempt(self, probe, now + probe["patience"]) for probe in probes]
        open_ones = [attempt for attempt in attempts if not attempt.done]
        while open_ones:
            wait = min(attempt.deadline for attempt in open_ones) - time.monotonic()
            self.turn(max(0.0, wait))
            # What is ready now counts, however late we are: a busy machine is no silence.
            now = time.monotonic()
            if any(attempt.deadline <= now for attempt in open_ones):
                self.turn(0)
            for attempt in open_ones:
                if attempt.deadline <= now:
                    attempt.finish()
            open_ones = [attempt for attempt in open_ones if not attempt.done]
        return [attempt.result() for attempt in attempts]

    def do_flow(
        self, at: str, protocol: str, address: str, port: int, source: str | None, patience: float
    ) -> int | None:
        """A connection that stays; None when it does not come about."""
        kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
        with self.inside(at):
            flow = socket.socket(_family(address), kind)
        if source:
            flow.bind((source, 0))
        flow.setblocking(False)
        flow.connect_ex((address, port))
        if not self._wait(flow, select.POLLOUT, patience):
            flow.close()
            return None
        number = next(self.numbers)
        self.flows[number] = flow
        return number

    def _wait(self, waited: socket.socket, event: int, patience: float) -> bool:
        """Whether the socket became ready in time and without an error; serves meanwhile."""
        poll = select.poll()
        poll.register(waited, event)
        deadline = time.monotonic() + patience
        while True:
            self.turn(0.002)
            for _, happened in poll.poll(0):
                return not happened & (select.POLLERR | select.POLLHUP)
            if time.monotonic() > deadline:
                return False

    def do_ask(self, flow: int, patience: float) -> bool:
        """Say something new on the flow; whether exactly that was answered."""
        connection = self.flows[flow]
        question = f"ask {next(self.numbers)}".encode()
        with suppress(BlockingIOError):
            while connection.recv(65536):
                pass
        try:
            connection.send(question)
        except OSError:
            return False
        deadline = time.monotonic() + patience
        heard = b""
        while question not in heard:
            if not self._wait(connection, select.POLLIN, deadline - time.monotonic()):
                return False
            try:
                data = connection.recv(65536)
            except OSError:
                return False
            if not data:
                return False
            heard += data
        return True

    def do_hang_up(self, flow: int) -> None:
        self.flows.pop(flow).close()

    def do_mac(self, at: str, interface: str) -> str:
        with self.inside(at), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            answer = ioctl(asker, _SIOCGIFHWADDR, struct.pack("256s", interface.encode()))
        return answer[18:24].hex()

    def do_forge(self, at: str, interface: str, frames: list[str]) -> None:
        with self.inside(at), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
            wire.bind((interface, 0))
            for data in frames:
                wire.send(b64decode(data))

    def do_sniff(self, at: str, interface: str) -> int:
        with self.inside(at):
            sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        sniffer.setsockopt(263, _PACKET_IGNORE_OUTGOING, 1)
        sniffer.bind((interface, _ETH_P_ALL))
        sniffer.setblocking(False)
        number = next(self.numbers)
        self.sniffers[number] = sniffer
        return number

    def do_sniffed(self, sniffer: int) -> list[str]:
        self.turn(0)
        frames = []
        with suppress(BlockingIOError):
            while True:
                frames.append(b64encode(self.sniffers[sniffer].recv(65536)).decode())
        return frames

    def do_unsniff(self, sniffer: int) -> None:
        self.sniffers.pop(sniffer).close()


def main() -> None:
    """Obey until standard input ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # process 1 has orphans to bury
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the test run, which then ends us
    agent = Agent()
    buffered = bytearray()

    def hear() -> None:
        data = os.read(0, 1 << 20)
        if not data:
            os._exit(0)
        buffered.extend(data)

    agent.selector.register(0, selectors.EVENT_READ, hear)
    while True:
        end = buffered.find(b"\n")
        if end < 0:
            agent.turn(None)
            continue
        command = json.loads(buffered[:end])
        del buffered[: end + 1]
        try:
            answer = {"ok": getattr(agent, "do_" + command.pop("do"))(**command)}
        except Exception as error:  # noqa: BLE001 - whatever it is, the test must hear of it
            answer = {"error": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
