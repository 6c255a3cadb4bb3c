"""A process that sends a datagram from each of many forged sources, as fast as it can.

``python -c 'from tests.lab.flood import main; main()'`` in the namespace to send from, with one
JSON line on standard input: ``address`` and ``port`` to send to, the ``first`` source, and the
``count`` of those that follow it (in steps of ``step``, 1 without: with 0 all are from the first).
Prints the processor time in seconds: sending carries a packet
all the way to where it is dropped. IPv4 alone. Standard library only.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import time
from ipaddress import IPv4Address

_UDP = 17
_PAYLOAD = b"x" * 18


def main() -> None:
    order = json.loads(sys.stdin.readline())
    to = IPv4Address(order["address"]).packed
    first = int(IPv4Address(order["first"]))
    datagram = struct.pack("!HHHH", 40000, order["port"], 8 + len(_PAYLOAD), 0) + _PAYLOAD
    # The kernel fills in the length and the checksum of the header.
    head = struct.pack("!BBHHHBBH", 0x45, 0, 0, 0, 0, 64, _UDP, 0)
    end = to + datagram
    wire = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    target = (order["address"], 0)
    began = time.process_time()
    for number in range(order["count"]):
        source = first + number * order.get("step", 1)
        wire.sendto(head + source.to_bytes(4, "big") + end, target)
    sys.stdout.write(f"{time.process_time() - began}\n")
