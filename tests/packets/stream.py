"""A process that sends datagrams without a pause and counts those that nobody answers.

``python -c 'from tests.packets.stream import main; main()'`` in the namespace to send from, with
one JSON line on standard input: ``ways`` ([address, port, source], ...). By each way goes one
flow that stays, and every few datagrams a new one from a port of its own. Datagrams are not sent
again: a single lost one is a gap. Each further line asks for the count so far; standard input's
end ends it. The count is a JSON line: ``sent``, and ``lost`` as ``ADDRESS PORT old|new`` -> how
many. Standard library only.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import time
from contextlib import suppress

_PAUSE = 0.001
_PATIENCE = 2.0
_NEW_EVERY = 4


class _Flow:
    """One socket and what it still waits for: text -> when it was sent."""

    def __init__(self, way: list[str | int], name: str) -> None:
        address, port, source = str(way[0]), int(way[1]), str(way[2])
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.name = name
        self.waiting: dict[bytes, float] = {}
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind((source, 0))
        self.socket.connect((address, port))

    def send(self, number: int, now: float) -> None:
        text = f"{number:x}".encode()
        self.waiting[text] = now
        # A refusal heard of now belongs to a datagram before, which is counted as lost.
        with suppress(OSError):
            self.socket.send(text)

    def hear(self) -> None:
        with suppress(OSError):
            while True:
                self.waiting.pop(self.socket.recv(2048).rpartition(b" ")[2], None)

    def give_up(self, before: float) -> int:
        late = [text for text, sent in self.waiting.items() if sent < before]
        for text in late:
            del self.waiting[text]
        return len(late)


class Stream:
    def __init__(self, ways: list[list[str | int]]) -> None:
        self.ways = ways
        self.poll = select.epoll()
        self.flows: dict[int, _Flow] = {}
        self.old = [self._open(way, "old") for way in ways]
        self.sent = 0
        self.lost: dict[str, int] = {}

    def _open(self, way: list[str | int], kind: str) -> _Flow:
        flow = _Flow(way, f"{way[0]} {way[1]} {kind}")
        self.flows[flow.socket.fileno()] = flow
        self.poll.register(flow.socket, select.EPOLLIN)
        return flow

    def _send(self, flow: _Flow) -> None:
        self.sent += 1
        flow.send(self.sent, time.monotonic())

    def turn(self, number: int) -> None:
        for flow in self.old:
            self._send(flow)
        if number % _NEW_EVERY == 0:
            self._send(self._open(self.ways[number // _NEW_EVERY % len(self.ways)], "new"))
        end = time.monotonic() + _PAUSE
        while (left := end - time.monotonic()) > 0:
            self.hear(left)
        if number % 100 == 0:
            self.give_up(time.monotonic() - _PATIENCE)

    def hear(self, seconds: float) -> None:
        for descriptor, _ in self.poll.poll(seconds):
            flow = self.flows[descriptor]
            flow.hear()
            if flow.name.endswith("new") and not flow.waiting:
                self._close(flow)

    def give_up(self, before: float) -> None:
        for flow in list(self.flows.values()):
            late = flow.give_up(before)
            if late:
                self.lost[flow.name] = self.lost.get(flow.name, 0) + late
                if flow.name.endswith("new"):
                    self._close(flow)

    def _close(self, flow: _Flow) -> None:
        del self.flows[flow.socket.fileno()]
        self.poll.unregister(flow.socket)
        flow.socket.close()

    def settle(self) -> None:
        """Wait for what is still on its way; the rest is lost."""
        deadline = time.monotonic() + _PATIENCE
        while any(f.waiting for f in self.flows.values()) and time.monotonic() < deadline:
            self.hear(0.01)
        self.give_up(time.monotonic())

    def report(self) -> None:
        sys.stdout.write(json.dumps({"sent": self.sent, "lost": self.lost}) + "\n")
        sys.stdout.flush()


def main() -> None:
    stream = Stream(json.loads(sys.stdin.readline())["ways"])
    os.set_blocking(0, False)
    number = 0
    while True:
        number += 1
        stream.turn(number)
        with suppress(BlockingIOError):
            heard = os.read(0, 4096)
            stream.settle()
            stream.report()
            if not heard:
                return
