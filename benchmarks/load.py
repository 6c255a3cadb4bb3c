"""Load for `benchmarks.packets`, made inside a lab's place: a server, and a client that counts.

``serve(port)`` accepts connections on one port for ever: it closes those whose other side hangs
up, sends back what it is sent, and answers each line on standard input with the processor time
that it has used so far, in seconds. ``load()`` reads orders from standard input, a JSON line each
(``kind``, ``address``, ``port``, ``seconds``), carries them out, and prints a JSON line for each:
what was done, and the processor time of it. Packets are carried on the time of whoever sends
them, so the two times together are what a packet costs, whatever else runs on the machine. Both
keep to one and the same core: how far two are apart is not measured. Standard library only.
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import sys
import time

_ABORT = struct.pack("ii", 1, 0)
_MESSAGE = b"x" * 64


def serve(port: int) -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    listener = socket.create_server(
        ("::", port), family=socket.AF_INET6, backlog=4096, dualstack_ipv6=True
    )
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    poll.register(sys.stdin, select.EPOLLIN)
    flows: dict[int, socket.socket] = {}
    while True:
        for number, _ in poll.poll():
            if number == listener.fileno():
                flow = listener.accept()[0]
                flow.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                flows[flow.fileno()] = flow
                poll.register(flow, select.EPOLLIN)
                continue
            if number == sys.stdin.fileno():
                sys.stdin.readline()
                print(time.process_time(), flush=True)
                continue
            try:
                heard = flows[number].recv(len(_MESSAGE))
            except OSError:
                heard = b""
            if heard:
                flows[number].sendall(heard)
            else:
                flows.pop(number).close()


def load() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    for line in sys.stdin:
        order = json.loads(line)
        work = {"connections": _connections, "requests": _requests}[order["kind"]]
        begun = time.process_time()
        done = work(order["address"], order["port"], time.perf_counter() + order["seconds"])
        print(json.dumps([done, time.process_time() - begun]), flush=True)


def _flow(address: str, port: int) -> socket.socket:
    flow = socket.create_connection((address, port), timeout=5)
    flow.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return flow


def _connections(address: str, port: int, end: float) -> int:
    """Connect, be accepted, hang up. A reset leaves no TIME_WAIT that would use up the ports."""
    done = 0
    while time.perf_counter() < end:
        with socket.create_connection((address, port), timeout=5) as flow:
            flow.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        done += 1
    return done


def _requests(address: str, port: int, end: float) -> int:
    """One connection; a small request and its answer, one after the other."""
    done = 0
    with _flow(address, port) as flow:
        while time.perf_counter() < end:
            flow.sendall(_MESSAGE)
            if not flow.recv(len(_MESSAGE)):
                raise ConnectionResetError("the server has hung up")
            done += 1
    return done
