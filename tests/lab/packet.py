"""Packets made and read by hand: Ethernet, IPv4 and IPv6, TCP, UDP, SCTP and ICMP echo.

Pure: bytes in, `Packet` out, and the other way round.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal, TypeAlias

Protocol: TypeAlias = Literal["tcp", "udp", "sctp", "icmp"]

_NUMBERS: dict[tuple[Protocol, int], int] = {
    ("tcp", 4): 6,
    ("tcp", 6): 6,
    ("udp", 4): 17,
    ("udp", 6): 17,
    ("sctp", 4): 132,
    ("sctp", 6): 132,
    ("icmp", 4): 1,
    ("icmp", 6): 58,
}
_NAMES = {(number, family): name for (name, family), number in _NUMBERS.items()}
_FLAGS = "FSRPAU"
_ETHERTYPES = {4: 0x0800, 6: 0x86DD}
_NEXT_MTU = 1400


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet; ``flags`` are TCP's, as letters out of FSRPAU. ICMP is an echo request.

    With ``too_big`` it is a router's word that this packet does not fit into its next link.
    """

    protocol: Protocol
    source: str
    destination: str
    source_port: int = 40000
    port: int = 0
    flags: str = "S"
    payload: bytes = b""
    sequence: int = 1000
    acknowledged: int = 0
    too_big: Packet | None = None

    @property
    def family(self) -> int:
        return 6 if ":" in self.destination else 4


def _checksum(data: bytes) -> int:
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def _segment(packet: Packet, addresses: bytes) -> bytes:
    """The part after the IP header, its checksum filled in."""
    number = _NUMBERS[packet.protocol, packet.family]
    ports = struct.pack("!HH", packet.source_port, packet.port)
    match packet.protocol:
        case "sctp":
            # An INIT chunk: what opens an association.
            chunk = struct.pack("!BBHIIHHI", 1, 0, 20, 1, 65536, 1, 1, 1)
            crc = _crc32c(ports + bytes(8) + chunk)
            return ports + bytes(4) + struct.pack("<I", crc) + chunk
        case "tcp":
            flags = sum(1 << _FLAGS.index(letter) for letter in packet.flags)
            numbers = struct.pack("!II", packet.sequence, packet.acknowledged)
            body = ports + numbers + struct.pack("!BBHHH", 5 << 4, flags, 64240, 0, 0)
            offset = 16
        case "udp":
            body = ports + struct.pack("!HH", 8 + len(packet.payload), 0)
            offset = 6
        case "icmp" if packet.too_big is not None:
            kind, code = (3, 4) if packet.family == 4 else (2, 0)
            body = struct.pack("!BBHI", kind, code, 0, _NEXT_MTU) + build(packet.too_big)
            offset = 2
        case "icmp":
            kind = 8 if packet.family == 4 else 128
            body = struct.pack("!BBHHH", kind, 0, 0, packet.source_port, 1)
            offset = 2
    body += packet.payload
    pseudo = addresses + struct.pack("!II", len(body), number)
    if packet.protocol == "icmp" and packet.family == 4:
        pseudo = b""
    checksum = _checksum(pseudo + body) or 0xFFFF
    return body[:offset] + struct.pack("!H", checksum) + body[offset + 2 :]


def build(packet: Packet) -> bytes:
    """The IP packet on the wire, without its Ethernet header."""
    addresses = ip_address(packet.source).packed + ip_address(packet.destination).packed
    segment = _segment(packet, addresses)
    number = _NUMBERS[packet.protocol, packet.family]
    if packet.family == 6:
        return struct.pack("!IHBB", 6 << 28, len(segment), number, 64) + addresses + segment
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(segment), 1, 0, 64, number, 0) + addresses
    return head[:10] + struct.pack("!H", _checksum(head)) + head[12:] + segment


def frame(packet: Packet, source_mac: bytes, destination_mac: bytes, tags: bytes = b"") -> bytes:
    """An Ethernet frame; ``tags`` are what stands before the type of the packet in it."""
    ethertype = struct.pack("!H", _ETHERTYPES[packet.family])
    return destination_mac + source_mac + tags + ethertype + build(packet)


def parse(data: bytes) -> Packet | None:
    """The packet of an Ethernet frame, or None for what is not one of ours (ARP, discovery)."""
    ethertype = int.from_bytes(data[12:14], "big")
    ip = data[14:]
    if ethertype == _ETHERTYPES[4] and len(ip) >= 20:
        family, number, header = 4, ip[9], (ip[0] & 15) * 4
        source, destination, end = ip[12:16], ip[16:20], int.from_bytes(ip[2:4], "big")
    elif ethertype == _ETHERTYPES[6] and len(ip) >= 40:
        family, number, header = 6, ip[6], 40
        source, destination, end = ip[8:24], ip[24:40], 40 + int.from_bytes(ip[4:6], "big")
    else:
        return None
    protocol = _NAMES.get((number, family))
    body = ip[header:end]
    if protocol is None or len(body) < 8:
        return None
    first, second = struct.unpack("!HH", body[:4])
    ends = (str(ip_address(source)), str(ip_address(destination)))
    match protocol:
        case "tcp":
            flags = "".join(x for bit, x in enumerate(_FLAGS) if body[13] >> bit & 1)
            sequence, acknowledged = struct.unpack("!II", body[4:12])
            payload = body[(body[12] >> 4) * 4 :]
            return Packet(protocol, *ends, first, second, flags, payload, sequence, acknowledged)
        case "udp":
            return Packet(protocol, *ends, first, second, "", body[8:])
        case "sctp":
            return Packet(protocol, *ends, first, second, "", body[12:])
        case "icmp":
            return Packet(protocol, *ends, int.from_bytes(body[4:6], "big"), 0, "", body[8:])
