"""Every path that a packet can take to a container, on real engines, without and with dockerfw.

A row is one packet. It says on which engines it gets through while dockerfw is off (where it
should not, that is the leak), and on which it gets through afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import pytest

from tests.engine.scene import OFFICE, STRANGER, allow, apply, source_for
from tests.lab.engine import VERSIONS, Engine, Version
from tests.lab.host import HOST_V4, HOST_V6, Host
from tests.lab.place import Answer, Place, Probe, patient

ALL = frozenset(VERSIONS)
OLD = frozenset({"20.10", "26.1"})  # from 28 on Docker itself refuses what is routed directly
NONE: frozenset[str] = frozenset()
SECOND_V4 = "203.0.113.3"
BROADCAST = "203.0.113.255"

POLICY = [
    allow('to = "web"\nports = [80]', "office"),
    allow('to = "dns"\nports = ["53/udp"]', "office"),
    allow('to = "six"\nports = [80, "icmp"]', "office"),
    allow("published = [8082]", "office"),
    allow(f'published = ["{HOST_V4}:8443"]', "office"),
    allow('to = "hostnet"\nports = [8088]', "office"),
]


@dataclass(frozen=True, slots=True)
class Row:
    """``target`` may be ``{web}`` or ``{six:6}``: a container's own address."""

    path: str
    start: str
    protocol: Literal["tcp", "udp", "icmp"]
    target: str
    port: int
    before: frozenset[str]
    after: frozenset[str]

    def __str__(self) -> str:
        where = self.target.strip("{}").replace(":6}", " IPv6")
        return f"{self.path}: {self.start} to {where} {self.port}/{self.protocol}"


ROWS = [
    # P1: a published port
    Row("P1", "office", "tcp", HOST_V4, 8080, ALL, ALL),
    Row("P1", "stranger", "tcp", HOST_V4, 8080, ALL, NONE),
    Row("P1", "office", "udp", HOST_V4, 5353, ALL, ALL),
    Row("P1", "stranger", "udp", HOST_V4, 5353, ALL, NONE),
    # one container port, published twice, of which one is open
    Row("P1 twice", "office", "tcp", HOST_V4, 8082, ALL, ALL),
    Row("P1 twice", "office", "tcp", HOST_V4, 8081, ALL, NONE),
    Row("P1 twice", "stranger", "tcp", HOST_V4, 8082, ALL, NONE),
    Row("P1 twice", "stranger", "tcp", HOST_V4, 8081, ALL, NONE),
    # published on one address of the host; on the other one the same port is the host's own
    Row("P1 bound", "office", "tcp", HOST_V4, 8443, ALL, ALL),
    Row("P1 bound", "stranger", "tcp", HOST_V4, 8443, ALL, NONE),
    Row("P1 bound", "stranger", "tcp", SECOND_V4, 8443, ALL, ALL),
    # P2: straight to the container's address
    Row("P2", "office", "tcp", "{web}", 80, OLD, OLD),
    Row("P2", "stranger", "tcp", "{web}", 80, OLD, NONE),
    Row("P2", "stranger", "udp", "{dns}", 53, OLD, NONE),
    Row("P2", "office", "udp", "{dns}", 53, OLD, OLD),
    Row("P2 twice", "office", "tcp", "{twice}", 80, OLD, NONE),
    Row("P2 never published", "stranger", "tcp", "{hidden}", 80, OLD, NONE),
    Row("P2 never published", "office", "tcp", "{hidden}", 80, OLD, NONE),
    Row("P2 on 127.0.0.1", "stranger", "tcp", "{local}", 80, OLD, NONE),
    Row("P2 ping", "stranger", "icmp", "{six}", 0, OLD, NONE),
    Row("P2 ping", "office", "icmp", "{six}", 0, OLD, OLD),
    Row("P2", "office", "tcp", "{six:6}", 80, OLD, OLD),
    Row("P2", "stranger", "tcp", "{six:6}", 80, OLD, NONE),
    Row("P2 ping", "office", "icmp", "{six:6}", 0, OLD, OLD),
    Row("P2 ping", "stranger", "icmp", "{six:6}", 0, OLD, NONE),
    # P3: docker-proxy; on the dual-stack network Docker 28 has IPv6 NAT instead
    Row("P3", "office", "tcp", HOST_V6, 8080, ALL, ALL),
    Row("P3", "stranger", "tcp", HOST_V6, 8080, ALL, NONE),
    Row("P3", "office", "udp", HOST_V6, 5353, ALL, ALL),
    Row("P3", "stranger", "udp", HOST_V6, 5353, ALL, NONE),
    Row("P3 twice", "office", "tcp", HOST_V6, 8082, ALL, ALL),
    Row("P3 twice", "office", "tcp", HOST_V6, 8081, ALL, NONE),
    Row("P3 twice", "stranger", "tcp", HOST_V6, 8082, ALL, NONE),
    Row("P3 dual-stack", "office", "tcp", HOST_V6, 8086, ALL, ALL),
    Row("P3 dual-stack", "stranger", "tcp", HOST_V6, 8086, ALL, NONE),
    # P4: the same bridge
    Row("P4", "web", "tcp", "{hidden}", 80, ALL, ALL),
    Row("P4", "six", "tcp", "{sixtwo:6}", 80, ALL, ALL),
    # P5: another bridge, directly (Docker isolates) and by the host's published port
    Row("P5", "six", "tcp", "{web}", 80, NONE, NONE),
    Row("P5", "six", "tcp", HOST_V4, 8080, ALL, ALL),
    Row("P5", "hidden", "tcp", HOST_V4, 8081, ALL, ALL),
    # P6: this host
    Row("P6", "host", "tcp", "127.0.0.1", 8080, ALL, ALL),
    Row("P6", "host", "tcp", "::1", 8080, ALL, ALL),
    Row("P6", "host", "tcp", "127.0.0.1", 9090, ALL, ALL),
    Row("P6", "host", "tcp", HOST_V4, 8081, ALL, ALL),
    Row("P6", "host", "tcp", "{hidden}", 80, ALL, ALL),
    Row("P6", "host", "tcp", "{six:6}", 80, ALL, ALL),
    Row("P6", "host", "icmp", "{web}", 0, ALL, ALL),
    # P7: what containers ask of the world
    Row("P7", "web", "tcp", "203.0.113.2", 80, ALL, ALL),
    Row("P7", "hidden", "udp", "198.51.100.7", 53, ALL, ALL),
    Row("P7", "web", "icmp", "203.0.113.2", 0, ALL, ALL),
    Row("P7", "six", "tcp", "2001:db8:1::2", 80, ALL, ALL),
    # P8: a container in the host's own network, and the host's own service beside it
    Row("P8", "office", "tcp", HOST_V4, 8088, ALL, ALL),
    Row("P8", "stranger", "tcp", HOST_V4, 8088, ALL, NONE),
    Row("P8", "office", "tcp", HOST_V6, 8088, ALL, ALL),
    Row("P8", "stranger", "tcp", HOST_V6, 8088, ALL, NONE),
    Row("P8 host's own", "stranger", "tcp", HOST_V4, 22, ALL, ALL),
    Row("P8 host's own", "stranger", "tcp", HOST_V6, 22, ALL, ALL),
]


class Shop:
    """One engine with a container for each kind of path."""

    def __init__(self, host: Host, engine: Engine) -> None:
        self.host = host
        self.engine = engine
        host.ip(f"addr add {SECOND_V4}/24 dev eth0")
        engine.docker("network", "create", "--ipv6", "--subnet", "fd00:6::/64", "dual")
        publish = "-p"
        self.containers = {
            "web": engine.container("web", publish, "8080:80"),
            "dns": engine.container("dns", publish, "5353:53/udp"),
            "twice": engine.container("twice", publish, "8081:80", publish, "8082:80"),
            "bound": engine.container("bound", publish, f"{HOST_V4}:8443:80"),
            "hidden": engine.container("hidden"),
            "local": engine.container("local", publish, "127.0.0.1:9090:80"),
            "six": engine.container("six", "--network", "dual", publish, "8086:80"),
            "sixtwo": engine.container("sixtwo", "--network", "dual"),
            "hostnet": engine.container("hostnet", "--network", "host", env={"PORT": "8088"}),
        }
        self.containers["dns"].listen("53/udp")
        host.listen("22/tcp")
        host.listen("8443/tcp", address=SECOND_V4)
        host.outside.listen("80/tcp", "53/udp")

    def probe(self, row: Row) -> Probe:
        target = row.target.format_map(_Addresses(self))
        place, source = self._start(row.start, target)
        return Probe(place, row.protocol, target, row.port, source)

    def _start(self, start: str, target: str) -> tuple[Place, str | None]:
        callers = {"office": OFFICE, "stranger": STRANGER}
        if start in callers:
            return self.host.outside, source_for(callers[start], target)
        return (self.host if start == "host" else self.containers[start]), None


class _Address:
    def __init__(self, place: object) -> None:
        self._place = place

    def __format__(self, family: str) -> str:
        addresses: list[str] = getattr(self._place, "ipv6" if family == "6" else "ipv4")
        return addresses[0]


class _Addresses(dict[str, _Address]):
    def __init__(self, shop: Shop) -> None:
        super().__init__({name: _Address(c) for name, c in shop.containers.items()})


def look(shop: Shop, engines: list[frozenset[str]]) -> dict[str, Answer]:
    """What became of each row; the second argument is on which engines it should be reached."""
    table = [
        (shop.probe(row), shop.engine.version in open_)
        for row, open_ in zip(ROWS, engines, strict=True)
    ]
    return {str(row): a for row, a in zip(ROWS, patient(table), strict=True)}


class Seen(NamedTuple):
    """All rows on one engine: without dockerfw and with it."""

    version: Version
    before: dict[str, Answer]
    after: dict[str, Answer]


@pytest.fixture(scope="module", params=VERSIONS)
def seen(request: pytest.FixtureRequest) -> Iterator[Seen]:
    with Host() as host, Engine(host, request.param) as engine:
        shop = Shop(host, engine)
        before = look(shop, [row.before for row in ROWS])
        apply(host, *POLICY)
        yield Seen(request.param, before, look(shop, [row.after for row in ROWS]))


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_path(seen: Seen, row: Row) -> None:
    version, before, after = seen
    assert (before[str(row)].reached, after[str(row)].reached) == (
        version in row.before,
        version in row.after,
    ), f"without dockerfw {before[str(row)]}, with it {after[str(row)]}"
