"""A DNS server for tests: on 127.0.0.1 and a port of its own, with the answers it is given.

Takes zones in words, ``{"vpn.example.org A": "300 192.0.2.7"}``; one that is not there is no such
name, ``servfail`` and ``silent`` are what they say, ``nodata`` is a name without such a record.
"""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.resolver
import dns.rrset

_MOST = 512
"""Bytes of an answer over UDP; longer ones are asked for over TCP."""


class DnsServer:
    """``zone`` may be changed at any time; ``asked`` are the questions that came, in order."""

    def __init__(self, zone: Mapping[str, str]) -> None:
        self.zone = dict(zone)
        self.asked: list[str] = []
        server = self

        class Udp(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                data, socket = self.request
                if (reply := server.reply(data, most=_MOST)) is not None:
                    socket.sendto(reply, self.client_address)

        class Tcp(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                size = int.from_bytes(self.rfile.read(2), "big")
                if (reply := server.reply(self.rfile.read(size), most=None)) is not None:
                    self.wfile.write(len(reply).to_bytes(2, "big") + reply)

        self._udp, self._tcp = _bound(Udp, Tcp)
        self.port: int = self._udp.server_address[1]

    def reply(self, data: bytes, most: int | None) -> bytes | None:
        query = dns.message.from_wire(data)
        (question,) = query.question
        kind = dns.rdatatype.to_text(question.rdtype)
        name = question.name.to_text(omit_final_dot=True).lower()
        self.asked.append(f"{name} {kind}")
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        if not self._fill(response, name, kind):
            return None
        wire = response.to_wire()
        if most is not None and len(wire) > most:
            response.answer.clear()
            response.flags |= dns.flags.TC
            wire = response.to_wire()
        return wire

    def _fill(self, response: dns.message.Message, name: str, kind: str) -> bool:
        """Return False where no answer is to be sent."""
        written = self.zone.get(f"{name} {kind}")
        if alias := self.zone.get(f"{name} CNAME"):
            ttl, target = alias.split()
            response.answer.append(dns.rrset.from_text(f"{name}.", int(ttl), "IN", "CNAME", target))
            return self._fill(response, target.rstrip("."), kind)
        match written:
            case "silent":
                return False
            case "servfail":
                response.set_rcode(dns.rcode.SERVFAIL)
            case "nodata":
                pass
            case None:
                response.set_rcode(dns.rcode.NXDOMAIN)
            case _:
                ttl, *addresses = written.split()
                rrset = dns.rrset.from_text(f"{name}.", int(ttl), "IN", kind, *addresses)
                response.answer.append(rrset)
        return True

    def start(self) -> None:
        for one in (self._udp, self._tcp):
            threading.Thread(target=one.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        for one in (self._udp, self._tcp):
            one.shutdown()
            one.server_close()

    def resolver(self) -> dns.resolver.Resolver:
        """Return a resolver that asks this server."""
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers = ["127.0.0.1"]
        resolver.port = self.port
        return resolver


def _bound(
    udp: type[socketserver.BaseRequestHandler], tcp: type[socketserver.BaseRequestHandler]
) -> tuple[socketserver.ThreadingUDPServer, socketserver.ThreadingTCPServer]:
    """Both on one port: one that is free for UDP may be taken for TCP, then it is another one."""
    while True:
        first = socketserver.ThreadingUDPServer(("127.0.0.1", 0), udp)
        try:
            return first, socketserver.ThreadingTCPServer(first.server_address, tcp)
        except OSError:
            first.server_close()


@contextmanager
def dns_server(zone: Mapping[str, str]) -> Iterator[DnsServer]:
    server = DnsServer(zone)
    server.start()
    try:
        yield server
    finally:
        server.stop()
