"""A process that opens TCP connections as fast as it can, and counts those that are accepted.

``python -c 'from tests.lab.hammer import main; main()'`` in the namespace to hammer from, with
one JSON line on standard input: ``targets`` ([address, port, source or null], ...), ``seconds``
and ``tries`` (it ends at the first of the two). Each further line asks for the count so far;
standard input's end ends it. The count is a JSON line too. Standard library only.
"""

from __future__ import annotations

import errno
import json
import os
import select
import socket
import struct
import sys
import time
from collections import deque
from contextlib import suppress
from itertools import cycle
from typing import Any

_WINDOW = 256
_PATIENCE = 0.03
_IP_BIND_ADDRESS_NO_PORT = 24
_ABORT = struct.pack("ii", 1, 0)


class Hammer:
    def __init__(self, targets: list[tuple[str, int, str | None]]) -> None:
        self.targets = cycle(targets)
        self.poll = select.epoll()
        self.waiting: deque[tuple[float, socket.socket]] = deque()
        self.open: dict[int, tuple[socket.socket, str]] = {}
        self.tries = 0
        self.accepted: dict[str, int] = {}

    def _begin(self, now: float) -> None:
        address, port, source = next(self.targets)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        knock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        # Closing aborts: no TIME_WAIT that would use the ports up.
        knock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        if source:
            knock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            knock.bind((source, 0))
        self.tries += 1
        try:
            status = knock.connect_ex((address, port))
        except OSError as error:
            status = error.errno or 0
        if status != errno.EINPROGRESS:
            knock.close()
            return
        self.open[knock.fileno()] = (knock, f"{address} {port}")
        self.poll.register(knock, select.EPOLLOUT)
        self.waiting.append((now + _PATIENCE, knock))

    def _close(self, descriptor: int) -> None:
        knock, _ = self.open.pop(descriptor)
        self.poll.unregister(descriptor)
        knock.close()

    def turn(self) -> None:
        now = time.monotonic()
        while self.waiting and (self.waiting[0][0] < now or self.waiting[0][1].fileno() < 0):
            descriptor = self.waiting.popleft()[1].fileno()
            if descriptor >= 0:
                self._close(descriptor)
        while len(self.open) < _WINDOW:
            self._begin(now)
            if not self.open:
                break
        for descriptor, event in self.poll.poll(0.005):
            knock, target = self.open[descriptor]
            if not event & select.EPOLLERR and not knock.getsockopt(
                socket.SOL_SOCKET, socket.SO_ERROR
            ):
                self.accepted[target] = self.accepted.get(target, 0) + 1
            self._close(descriptor)

    def report(self) -> None:
        count = {"tries": self.tries, "accepted": self.accepted}
        sys.stdout.write(json.dumps(count) + "\n")
        sys.stdout.flush()


def main() -> None:
    line = b""
    while not line.endswith(b"\n"):
        line += os.read(0, 1)  # no further than the line's end: the next line may follow at once
    order: dict[str, Any] = json.loads(line)
    hammer = Hammer([(a, p, s) for a, p, s in order["targets"]])
    os.set_blocking(0, False)
    deadline = time.monotonic() + order["seconds"]
    while time.monotonic() < deadline and hammer.tries < order["tries"]:
        hammer.turn()
        with suppress(BlockingIOError):
            heard = os.read(0, 4096)
            if not heard:
                break
            for _ in range(heard.count(b"\n")):
                hammer.report()
    hammer.report()
