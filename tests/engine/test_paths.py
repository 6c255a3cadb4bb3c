"""Every path that a packet can take to a container, on real engines, without and with dockerfw.

A row is one packet. It says on which engines it gets through while dockerfw is off (where it
should not, that is the leak), and on which it gets through afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.engine.scene import CONFIG, OFFICE, SOURCES, allow, apply, source_for
from tests.engine.shop import (
    ALL,
    BROADCAST,
    NONE,
    OLD,
    ON_THE_LINK,
    SECOND_V4,
    SECOND_V6,
    Row,
    Shop,
)
from tests.lab.engine import Engine, Version
from tests.lab.host import HOST_V4, HOST_V6, Host
from tests.lab.place import Answer, Probe, disagreements

POLICY = [
    allow('to = "web"\nports = [80, "9/sctp"]', "office"),
    allow('to = "dns"\nports = ["53/udp"]', "office"),
    allow('to = "six"\nports = [80, "icmp"]', "office"),
    allow("published = [8082]", "office"),
    allow(f'published = ["{HOST_V4}:8443"]', "office"),
    allow(f'published = ["[{HOST_V6}]:8444"]', "office"),
    allow('to = "range"\nports = ["8100-8102"]', "office"),
    allow('published = ["8104-8105"]', "office"),
    allow('to = ["named", "multi"]\nports = [80]', "office"),
    allow('to = "sidecar"\nports = [8000]', "office"),
    allow('to = "hostnet"\nports = [8088]', "office"),
]


ROWS = [
    # P1: a published port
    Row("P1", "office", "tcp", HOST_V4, 8080, ALL, ALL),
    Row("P1", "stranger", "tcp", HOST_V4, 8080, ALL, NONE),
    Row("P1", "office", "tcp", SECOND_V4, 8080, ALL, ALL),
    Row("P1", "stranger", "tcp", SECOND_V4, 8080, ALL, NONE),
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
    Row("P1 bound", "office", "tcp", SECOND_V4, 8443, ALL, ALL),
    Row("P1 bound", "stranger", "tcp", SECOND_V4, 8443, ALL, ALL),
    Row("P1 bound", "six", "tcp", SECOND_V4, 8443, ALL, ALL),
    # on 127.0.0.1: asked for by the neighbour, who needs the host's MAC alone
    Row("P1 on 127.0.0.1", "stranger", "syn", "127.0.0.1", 9090, OLD, NONE),
    Row("P1 on 127.0.0.1", "office", "syn", "127.0.0.1", 9090, OLD, NONE),
    # ranges: by container port, by host port, and the one between them
    Row("P1 range", "office", "tcp", HOST_V4, 8102, ALL, ALL),
    Row("P1 range", "stranger", "tcp", HOST_V4, 8102, ALL, NONE),
    Row("P1 range", "office", "tcp", HOST_V4, 8103, ALL, NONE),
    Row("P1 range", "office", "tcp", HOST_V4, 8105, ALL, ALL),
    Row("P1 range", "stranger", "tcp", HOST_V4, 8105, ALL, NONE),
    # a bridge with a name of its own, two networks, a shared network
    Row("P1 named bridge", "office", "tcp", HOST_V4, 8089, ALL, ALL),
    Row("P1 named bridge", "stranger", "tcp", HOST_V4, 8089, ALL, NONE),
    Row("P1 two networks", "office", "tcp", HOST_V4, 8090, ALL, ALL),
    Row("P1 two networks", "stranger", "tcp", HOST_V4, 8090, ALL, NONE),
    Row("P1 shared network", "office", "tcp", HOST_V4, 8087, ALL, ALL),
    Row("P1 shared network", "stranger", "tcp", HOST_V4, 8087, ALL, NONE),
    # P2: straight to the container's address
    Row("P2", "office", "tcp", "web", 80, OLD, OLD),
    Row("P2", "stranger", "tcp", "web", 80, OLD, NONE),
    Row("P2", "stranger", "udp", "dns", 53, OLD, NONE),
    Row("P2", "office", "udp", "dns", 53, OLD, OLD),
    Row("P2", "office", "sctp", "web", 9, OLD, OLD),
    Row("P2", "stranger", "sctp", "web", 9, OLD, NONE),
    Row("P2 twice", "office", "tcp", "twice", 80, OLD, NONE),
    Row("P2 never published", "stranger", "tcp", "hidden", 80, OLD, NONE),
    Row("P2 never published", "office", "tcp", "hidden", 80, OLD, NONE),
    Row("P2 never published", "office", "tcp", "sixtwo/6", 80, OLD, NONE),
    Row("P2 on 127.0.0.1", "stranger", "tcp", "local", 80, OLD, NONE),
    Row("P2 ping", "stranger", "icmp", "six", 0, OLD, NONE),
    Row("P2 ping", "office", "icmp", "six", 0, OLD, OLD),
    Row("P2", "office", "tcp", "six/6", 80, OLD, OLD),
    Row("P2", "stranger", "tcp", "six/6", 80, OLD, NONE),
    Row("P2 ping", "office", "icmp", "six/6", 0, OLD, OLD),
    Row("P2 ping", "stranger", "icmp", "six/6", 0, OLD, NONE),
    Row("P2 range", "office", "tcp", "range", 8102, OLD, OLD),
    Row("P2 range", "stranger", "tcp", "range", 8102, OLD, NONE),
    Row("P2 range", "office", "tcp", "range", 8103, OLD, NONE),
    Row("P2 range", "office", "tcp", "range", 8105, OLD, NONE),
    Row("P2 named bridge", "office", "tcp", "named", 80, OLD, OLD),
    Row("P2 named bridge", "stranger", "tcp", "named", 80, OLD, NONE),
    Row("P2 named bridge", "office", "tcp", "named/6", 80, OLD, OLD),
    Row("P2 named bridge", "stranger", "tcp", "named/6", 80, OLD, NONE),
    Row("P2 two networks", "office", "tcp", "multi@dual", 80, OLD, OLD),
    Row("P2 two networks", "stranger", "tcp", "multi@dual", 80, OLD, NONE),
    Row("P2 two networks", "office", "tcp", "multi@shop", 80, OLD, OLD),
    Row("P2 two networks", "stranger", "tcp", "multi@shop", 80, OLD, NONE),
    Row("P2 two networks", "office", "tcp", "multi@dual/6", 80, OLD, OLD),
    Row("P2 two networks", "stranger", "tcp", "multi@dual/6", 80, OLD, NONE),
    Row("P2 two networks", "office", "tcp", "multi@shop/6", 80, OLD, OLD),
    Row("P2 two networks", "stranger", "tcp", "multi@shop/6", 80, OLD, NONE),
    Row("P2 shared network", "office", "tcp", "donor", 8000, OLD, OLD),
    Row("P2 shared network", "stranger", "tcp", "donor", 8000, OLD, NONE),
    Row("P2 shared network", "office", "tcp", "donor", 80, OLD, NONE),
    # P3: docker-proxy; on the dual-stack networks Docker 28 has IPv6 NAT instead
    Row("P3", "office", "tcp", HOST_V6, 8080, ALL, ALL),
    Row("P3", "stranger", "tcp", HOST_V6, 8080, ALL, NONE),
    Row("P3", "office", "udp", HOST_V6, 5353, ALL, ALL),
    Row("P3", "stranger", "udp", HOST_V6, 5353, ALL, NONE),
    Row("P3 broadcast", "office", "heard", BROADCAST, 5353, ALL, ALL),
    Row("P3 broadcast", "stranger", "heard", BROADCAST, 5353, ALL, NONE),
    Row("P3 link-local", "neighbour", "syn", ON_THE_LINK[0], 8080, ALL, NONE),
    Row("P3 link-local", "neighbour", "syn", ON_THE_LINK[0], 8086, ALL, NONE),
    Row("P3 twice", "office", "tcp", HOST_V6, 8082, ALL, ALL),
    Row("P3 twice", "office", "tcp", HOST_V6, 8081, ALL, NONE),
    Row("P3 twice", "stranger", "tcp", HOST_V6, 8082, ALL, NONE),
    Row("P3 bound", "office", "tcp", HOST_V6, 8444, ALL, ALL),
    Row("P3 bound", "stranger", "tcp", HOST_V6, 8444, ALL, NONE),
    Row("P3 bound", "stranger", "tcp", SECOND_V6, 8444, ALL, ALL),
    Row("P3 range", "office", "tcp", HOST_V6, 8102, ALL, ALL),
    Row("P3 range", "office", "tcp", HOST_V6, 8103, ALL, NONE),
    Row("P3 range", "office", "tcp", HOST_V6, 8105, ALL, ALL),
    Row("P3 dual-stack", "office", "tcp", HOST_V6, 8086, ALL, ALL),
    Row("P3 dual-stack", "stranger", "tcp", HOST_V6, 8086, ALL, NONE),
    Row("P3 named bridge", "office", "tcp", HOST_V6, 8089, ALL, ALL),
    Row("P3 named bridge", "stranger", "tcp", HOST_V6, 8089, ALL, NONE),
    Row("P3 two networks", "office", "tcp", HOST_V6, 8090, ALL, ALL),
    Row("P3 two networks", "stranger", "tcp", HOST_V6, 8090, ALL, NONE),
    Row("P3 shared network", "office", "tcp", HOST_V6, 8087, ALL, ALL),
    Row("P3 shared network", "stranger", "tcp", HOST_V6, 8087, ALL, NONE),
    # P4: the same bridge, directly and by the host's published port
    Row("P4", "web", "tcp", "hidden", 80, ALL, ALL),
    Row("P4", "web", "icmp", "hidden", 0, ALL, ALL),
    Row("P4", "six", "tcp", "sixtwo/6", 80, ALL, ALL),
    Row("P4", "named", "tcp", "multi@shop/6", 80, ALL, ALL),
    Row("P4", "hidden", "tcp", HOST_V4, 8081, ALL, ALL),
    # P5: another bridge, directly (Docker isolates, if it has IPv6 rules) and by published port
    Row("P5", "six", "tcp", "web", 80, NONE, NONE),
    Row("P5", "six", "tcp", "named/6", 80, OLD, OLD),
    Row("P5", "six", "tcp", HOST_V4, 8080, ALL, ALL),
    Row("P5", "six", "tcp", HOST_V6, 8080, ALL, ALL),
    Row("P5", "six", "heard", HOST_V4, 5353, ALL, ALL),
    Row("P5", "named", "tcp", HOST_V6, 8081, ALL, ALL),
    # P6: this host
    Row("P6", "host", "tcp", "127.0.0.1", 8080, ALL, ALL),
    Row("P6", "host", "tcp", "::1", 8080, ALL, ALL),
    Row("P6", "host", "tcp", "::1", 8086, ALL, ALL),
    Row("P6", "host", "udp", "127.0.0.1", 5353, ALL, ALL),
    Row("P6", "host", "tcp", "127.0.0.1", 9090, ALL, ALL),
    Row("P6", "host", "tcp", HOST_V4, 8081, ALL, ALL),
    Row("P6", "host", "tcp", HOST_V6, 8081, ALL, ALL),
    Row("P6", "host", "tcp", HOST_V4, 8088, ALL, ALL),
    Row("P6", "host", "tcp", "hidden", 80, ALL, ALL),
    Row("P6", "host", "tcp", "six/6", 80, ALL, ALL),
    Row("P6", "host", "icmp", "web", 0, ALL, ALL),
    # P7: what containers ask of the world
    Row("P7", "web", "tcp", "203.0.113.2", 80, ALL, ALL),
    Row("P7", "hidden", "udp", "198.51.100.7", 53, ALL, ALL),
    Row("P7", "web", "icmp", "203.0.113.2", 0, ALL, ALL),
    Row("P7", "named", "tcp", "203.0.113.2", 80, ALL, ALL),
    Row("P7", "multi", "udp", "198.51.100.7", 53, ALL, ALL),
    Row("P7", "sidecar", "tcp", "203.0.113.2", 80, ALL, ALL),
    Row("P7", "six", "tcp", "2001:db8:1::2", 80, ALL, ALL),
    Row("P7", "six", "icmp", "2001:db8:1::2", 0, ALL, ALL),
    # P8: a container in the host's own network, and the host's own services beside it
    Row("P8", "office", "tcp", HOST_V4, 8088, ALL, ALL),
    Row("P8", "stranger", "tcp", HOST_V4, 8088, ALL, NONE),
    Row("P8", "web", "tcp", HOST_V4, 8088, ALL, NONE),
    Row("P8", "office", "tcp", HOST_V6, 8088, ALL, ALL),
    Row("P8", "stranger", "tcp", HOST_V6, 8088, ALL, NONE),
    Row("P8 host's own", "stranger", "tcp", HOST_V4, 22, ALL, ALL),
    Row("P8 host's own", "stranger", "tcp", HOST_V6, 22, ALL, ALL),
    Row("P8 host's own", "stranger", "udp", HOST_V4, 123, ALL, ALL),
    Row("P8 host's own", "web", "tcp", HOST_V4, 22, ALL, ALL),
]


@pytest.fixture(
    scope="module", params=["20.10", pytest.param("26.1", marks=pytest.mark.slow), "28.5"]
)
def shop(request: pytest.FixtureRequest) -> Iterator[Shop]:
    with Host() as host, Engine(host, request.param) as engine:
        yield Shop(host, engine)


ONCE = pytest.mark.parametrize(
    "shop",
    ["20.10", *(pytest.param(one, marks=pytest.mark.slow) for one in ("26.1", "28.5"))],
    indirect=True,
)
"""Engines differ in their paths, which `test_path` has; here one stands for the others."""


class Seen(NamedTuple):
    """All rows on one engine: without dockerfw, with it, and after its removal."""

    version: Version
    before: dict[str, Answer]
    after: dict[str, Answer]
    removed: dict[str, Answer]


@pytest.fixture(scope="module")
def seen(shop: Shop) -> Seen:
    version = shop.engine.version
    without = [(row, version in row.before) for row in ROWS]
    before = shop.answers(without)
    apply(shop.host, *POLICY)
    after = shop.answers([(row, version in row.after) for row in ROWS])
    shop.host.dockerfw("remove", "--yes")
    return Seen(version, before, after, shop.answers(without))


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_path(seen: Seen, row: Row) -> None:
    version, before, after, removed = (seen.version, *(t[str(row)] for t in seen[1:]))
    assert (before.reached, after.reached, removed.reached) == (
        version in row.before,
        version in row.after,
        version in row.before,
    ), f"without dockerfw {before}, with it {after}, after its removal {removed}"


@ONCE
def test_after_apply_all_is_in_sync_and_without_a_warning(shop: Shop) -> None:
    said = apply(shop.host, *POLICY)
    assert "warning" not in said
    assert shop.host.dockerfw("plan", check=False).returncode == 0
    assert shop.host.dockerfw("status", check=False).returncode == 0


# --- P4 where containers of one bridge are to be parted ------------------------------------------

PARTED = "[defaults]\nbaseline = []\n"
FAMILIES = ("iptables", "ip6tables")


def bridge_calls(host: Host, on: bool) -> None:
    """br_netfilter, for both families."""
    for family in FAMILIES:
        host.sysctl(f"net.bridge.bridge-nf-call-{family}", int(on))


@pytest.fixture
def bridged(shop: Shop) -> Iterator[Shop]:
    """A shop whose br_netfilter is off again afterwards."""
    yield shop
    bridge_calls(shop.host, on=False)


def same_bridge(shop: Shop, *, parted: bool) -> list[tuple[Probe, bool]]:
    """Containers of one bridge; ``named`` may ask ``multi`` whatever the baseline."""
    rows = [
        Row("P4", "web", "tcp", "hidden", 80, ALL, ALL),
        Row("P4", "web", "icmp", "hidden", 0, ALL, ALL),
        Row("P4", "six", "tcp", "sixtwo/6", 80, ALL, ALL),
    ]
    allowed = [
        Row("P4", "named", "tcp", "multi@shop", 80, ALL, ALL),
        Row("P4", "named", "tcp", "multi@shop/6", 80, ALL, ALL),
        Row("P6", "host", "tcp", "hidden", 80, ALL, ALL),
        Row("P7", "web", "tcp", "203.0.113.2", 80, ALL, ALL),
        Row("P7", "six", "tcp", "2001:db8:1::2", 80, ALL, ALL),
    ]
    return [(shop.probe(row), not parted) for row in rows] + [
        (shop.probe(row), True) for row in allowed
    ]


NAMED_MAY = allow('to = "multi"\nports = [80]', "container:named")


@ONCE
def test_parting_one_bridge_is_refused_where_the_kernel_does_not_show_its_packets(
    bridged: Shop,
) -> None:
    host = bridged.host
    apply(host, *POLICY)
    bridge_calls(host, on=False)
    host.write(CONFIG, PARTED + SOURCES + NAMED_MAY, 0o600)

    refused = host.dockerfw("apply", "--yes", check=False)

    assert refused.returncode == 1
    assert "br_netfilter" in refused.stderr
    assert "--allow-unenforced" in refused.stderr
    assert host.outside.tcp(HOST_V4, 8080, source=OFFICE[0], patience=3).text == "web", (
        "the policy before it is still in force"
    )
    host.dockerfw("apply", "--yes", "--allow-unenforced")
    assert disagreements(same_bridge(bridged, parted=False)) == []
    assert host.outside.tcp(HOST_V4, 8080, source=OFFICE[0], patience=0.3).outcome == "silent"


@ONCE
def test_one_bridge_is_parted_where_br_netfilter_is_on(bridged: Shop) -> None:
    host = bridged.host
    apply(host, *POLICY)
    bridge_calls(host, on=True)
    assert disagreements(same_bridge(bridged, parted=False)) == [], "baseline bridge"
    apply(host, PARTED, NAMED_MAY)
    assert disagreements(same_bridge(bridged, parted=True)) == []
    apply(host, *POLICY)
    assert disagreements(same_bridge(bridged, parted=False)) == []


# --- what comes after the apply ------------------------------------------------------------------


@pytest.fixture
def late(shop: Shop) -> Iterator[Shop]:
    """A shop that gets two networks, each with a published container, after an apply."""
    docker = shop.engine.docker
    apply(shop.host, *POLICY)
    docker("network", "create", "plain")
    docker("network", "create", "-o", "com.docker.network.bridge.name=latebridge", "own")
    shop.containers["late"] = shop.engine.container("late", "--network", "plain", "-p", "8091:80")
    shop.containers["later"] = shop.engine.container("later", "--network", "own", "-p", "8092:80")
    yield shop
    docker("rm", "-f", "late", "later")
    docker("network", "rm", "plain", "own")
    for name in ("late", "later"):
        del shop.containers[name]


def late_rows(caller: str) -> list[Row]:
    return [
        Row("P1", caller, "tcp", HOST_V4, 8091, ALL, NONE),
        Row("P1", caller, "tcp", HOST_V4, 8092, ALL, NONE),
        Row("P2", caller, "tcp", "late", 80, OLD, NONE),
        Row("P2", caller, "tcp", "later", 80, OLD, NONE),
    ]


LATE_BUT_FINE = [
    Row("P6", "host", "tcp", "late", 80, ALL, ALL),
    Row("P6", "host", "tcp", HOST_V4, 8091, ALL, ALL),
    Row("P6", "host", "tcp", "127.0.0.1", 8092, ALL, ALL),
    Row("P7", "late", "tcp", "203.0.113.2", 80, ALL, ALL),
    Row("P7", "later", "tcp", "203.0.113.2", 80, ALL, ALL),
    Row("P7", "later", "udp", "198.51.100.7", 53, ALL, ALL),
    Row("P7", "late", "icmp", "203.0.113.2", 0, ALL, ALL),
]
LATE_PROXIES = [
    Row("P3", "stranger", "tcp", HOST_V6, 8091, ALL, NONE),
    Row("P3", "office", "tcp", HOST_V6, 8092, ALL, NONE),
]


@ONCE
def test_networks_made_after_the_apply_are_closed_and_their_containers_get_out(late: Shop) -> None:
    version = late.engine.version
    rows = late_rows("office") + late_rows("stranger")

    def table(rows: list[Row], *, guarded: bool) -> list[tuple[Probe, bool]]:
        return [
            (late.probe(row), version in (row.after if guarded else row.before)) for row in rows
        ]

    assert disagreements(table(rows + LATE_BUT_FINE, guarded=True)) == []
    late.host.dockerfw("apply")
    assert disagreements(table(rows + LATE_BUT_FINE + LATE_PROXIES, guarded=True)) == []
    late.host.dockerfw("remove", "--yes")
    assert disagreements(table(rows + LATE_BUT_FINE + LATE_PROXIES, guarded=False)) == []


MOVE = [
    allow('to = "moved"\nports = [80]', "office"),
    allow("published = [8094]", "office"),
]
OLD_ADDRESS, NEW_ADDRESS = "172.28.0.10", "172.28.0.20"


@pytest.fixture
def moved(shop: Shop) -> Iterator[Shop]:
    """``moved`` is made again at another address after the apply; ``taker`` has its old one."""
    engine = shop.engine
    engine.docker("network", "create", "--subnet", "172.28.0.0/24", "move")

    def run(name: str, address: str, *published: str) -> None:
        at = ("--network", "move", "--ip", address)
        shop.containers[name] = engine.container(
            name, *at, *(word for port in published for word in ("-p", port))
        )

    run("moved", OLD_ADDRESS, "8093:80", "8094:80")
    apply(shop.host, *MOVE)
    engine.docker("rm", "-f", "moved")
    run("taker", OLD_ADDRESS, "8095:80")
    run("moved", NEW_ADDRESS, "8093:80", "8094:80")
    yield shop
    engine.docker("rm", "-f", "moved", "taker")
    engine.docker("network", "rm", "move")


@ONCE
def test_a_rule_by_host_port_follows_a_container_to_its_new_address_without_an_apply(
    moved: Shop,
) -> None:
    outside, version = moved.host.outside, moved.engine.version
    for address in (HOST_V4, HOST_V6):
        for port in (8093, 8094):
            source = source_for(OFFICE, address)
            answer = outside.tcp(address, port, source=source, patience=3)
            assert answer.text == "moved", (address, port)

    closed = [
        Row("P1", "stranger", "tcp", HOST_V4, 8093, ALL, NONE),
        Row("P1", "stranger", "tcp", HOST_V4, 8094, ALL, NONE),
        Row("P1 taker", "office", "tcp", HOST_V4, 8095, ALL, NONE),
        Row("P1 taker", "stranger", "tcp", HOST_V4, 8095, ALL, NONE),
        Row("P2 taker", "stranger", "tcp", OLD_ADDRESS, 80, OLD, NONE),
        Row("P2", "stranger", "tcp", NEW_ADDRESS, 80, OLD, NONE),
    ]
    assert disagreements((moved.probe(row), False) for row in closed) == []
    assert moved.host.dockerfw("status", check=False).returncode == 3, "addresses have moved"

    moved.host.dockerfw("apply")

    settled = [
        *closed,
        Row("P1", "office", "tcp", HOST_V4, 8093, ALL, ALL),
        Row("P2", "office", "tcp", NEW_ADDRESS, 80, OLD, OLD),
        Row("P2 taker", "office", "tcp", OLD_ADDRESS, 80, OLD, NONE),
        Row("P3 taker", "office", "tcp", HOST_V6, 8095, ALL, NONE),
    ]
    assert disagreements((moved.probe(row), version in row.after) for row in settled) == []
    assert moved.status()["in_sync"] is True
    moved.host.dockerfw("remove", "--yes")
    assert disagreements((moved.probe(row), version in row.before) for row in settled) == []


# --- P3 in IPv4 ----------------------------------------------------------------------------------


@pytest.fixture
def without_nat(shop: Shop) -> Iterator[Shop]:
    """Another tool has flushed the NAT rules: what they carried reaches docker-proxy."""
    saved = shop.engine.run(["iptables-save", "-t", "nat"]).stdout
    apply(shop.host, *POLICY)
    shop.engine.run(["iptables", "-t", "nat", "-F"])
    yield shop
    shop.engine.run(["iptables-restore", "-T", "nat"], stdin=saved)


@ONCE
def test_without_nat_rules_docker_proxy_is_as_closed_as_they_were(without_nat: Shop) -> None:
    rows = [
        Row("P3 no NAT", "office", "tcp", HOST_V4, 8080, ALL, ALL),
        Row("P3 no NAT", "stranger", "tcp", HOST_V4, 8080, ALL, NONE),
        Row("P3 no NAT", "office", "udp", HOST_V4, 5353, ALL, ALL),
        Row("P3 no NAT", "stranger", "udp", HOST_V4, 5353, ALL, NONE),
        Row("P3 no NAT", "office", "tcp", HOST_V4, 8081, ALL, NONE),
        Row("P3 no NAT", "office", "tcp", HOST_V4, 8443, ALL, ALL),
        Row("P3 no NAT", "stranger", "tcp", HOST_V4, 8443, ALL, NONE),
        Row("P3 no NAT", "stranger", "tcp", SECOND_V4, 8443, ALL, ALL),
        Row("P3 no NAT", "host", "tcp", HOST_V4, 8081, ALL, ALL),
        Row("P3 no NAT", "six", "tcp", HOST_V4, 8081, ALL, ALL),
    ]
    probes = [without_nat.probe(row) for row in rows]
    assert disagreements((p, bool(row.after)) for p, row in zip(probes, rows, strict=True)) == []
    without_nat.host.dockerfw("remove", "--yes")
    assert disagreements((p, bool(row.before)) for p, row in zip(probes, rows, strict=True)) == []
