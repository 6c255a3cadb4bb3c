"""Who began a connection, with real engines: what is no answer though it travels as one.

NAT of Docker's is part of it: what a container sends is masqueraded, and answered to this host.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest

from tests.engine.scene import OFFICE, allow, apply
from tests.lab.engine import Engine, EngineContainer, Version
from tests.lab.host import HOST_V4, Host
from tests.lab.packet import Packet
from tests.lab.place import Probe, disagreements
from tests.lab.wait import until

CLIENT = "203.0.113.2"
NOBODY = "203.0.113.77"
"""No kernel there spoils the play by an answer."""


class _Shop:
    """``web`` serves 53/udp and 40000/tcp, each through the host port of the same number."""

    def __init__(self, version: Version) -> None:
        self.host = Host()
        self.engine = Engine(self.host, version)
        ports = ("-p", "53:53/udp", "-p", "40000:40000", "-p", "80:80")
        self.web: EngineContainer = self.engine.container("web", *ports)
        self.web.listen("53/udp", "40000/tcp")
        self.host.outside.listen("7/tcp", "7/udp")
        mac = ":".join(f"{byte:02x}" for byte in self.host.outside.mac("eth0"))
        self.host.ip(f"neigh replace {NOBODY} lladdr {mac} dev eth0")
        for name in ("udp_timeout", "udp_timeout_stream"):
            self.host.sysctl(f"net/netfilter/nf_conntrack_{name}", 1)

    def close(self) -> None:
        self.engine.close()
        self.host.close()

    def sends(self, *packets: Packet) -> None:
        self.web.forge(*packets, mac=self.host.mac("docker0"))

    def heard_by_udp(self, source: str, port: int) -> bool:
        """Whether an answer is heard to what ``web`` sends once no entry is left."""
        argv = ["conntrack", "-L", "-p", "udp"]
        until(lambda: f"port={port}" not in self.host.run(argv).stdout, "the entries to run out")
        self.sends(Packet("udp", self.web.address, source, 53, port, payload=b"news"))
        self.web.received()
        answer = {"source": source, "source_port": port, "patience": 0.3}
        self.host.outside.udp(HOST_V4, 53, **answer)  # type: ignore[arg-type]
        return bool(self.web.received())

    def heard_by_tcp(self, port: int, *, flags: str) -> bool:
        """Whether an answer arrives to what ``web`` sends, with these flags on both sides."""
        self.host.run(["conntrack", "-F"])
        payload = b"" if flags == "S" else b"x"
        outside = self.host.outside
        with self.web.sniff() as sniffer:
            ends = (self.web.address, NOBODY, 40000, port)
            self.sends(Packet("tcp", *ends, flags=flags, payload=payload))
            outside.forge(Packet("tcp", NOBODY, HOST_V4, port, 40000, flags, payload))
            assert outside.udp(HOST_V4, 53, source=OFFICE[0]).reached
            return any(p.source == NOBODY and p.flags == flags for p in sniffer.seen())


@pytest.fixture(scope="module", params=["20.10", "28.5"])
def shop(request: pytest.FixtureRequest) -> Iterator[_Shop]:
    shop = _Shop(cast("Version", request.param))
    try:
        yield shop
    finally:
        shop.close()


def test_who_is_withdrawn_is_not_heard_again_however_its_connection_ends(shop: _Shop) -> None:
    assert shop.heard_by_udp(CLIENT, 7000), "open without dockerfw"
    assert shop.heard_by_tcp(7001, flags="PA"), "open without dockerfw"
    assert shop.heard_by_tcp(7002, flags="S"), "open without dockerfw"
    both = 'to = "web"\nports = ["53/udp", 40000]'
    apply(shop.host, allow(both, "office", CLIENT))
    assert shop.host.outside.udp(HOST_V4, 53, source=CLIENT, source_port=7003).reached
    apply(shop.host, allow(both, "office"))
    assert not shop.heard_by_udp(CLIENT, 7003)
    assert not shop.heard_by_tcp(7004, flags="PA")
    assert not shop.heard_by_tcp(7005, flags="S")
    assert shop.heard_by_udp(OFFICE[0], 7006), "who is allowed goes on"


def test_what_a_container_asks_is_answered_and_a_flush_cuts_no_client(shop: _Shop) -> None:
    apply(shop.host, allow('to = "web"\nports = "all"', "office"))
    asked = [Probe(shop.web, "udp", CLIENT, 7), Probe(shop.web, "tcp", CLIENT, 7)]
    assert disagreements([(one, True) for one in asked]) == []
    client = shop.host.outside.flow("tcp", HOST_V4, 40000, source=OFFICE[0])
    asking = shop.web.flow("tcp", CLIENT, 7)
    shop.host.run(["conntrack", "-F"])
    assert client.ask(3)
    assert not asking.ask(1)
    assert disagreements([(one, True) for one in asked]) == []
    for flow in (client, asking):
        flow.close()
