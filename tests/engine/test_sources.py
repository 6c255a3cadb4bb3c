"""Sources that containers claim or have by nature, and networks inside Docker's; real engines."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.engine.scene import OFFICE, allow, apply
from tests.lab.daemon import Daemon
from tests.lab.engine import Engine, EngineContainer, Version
from tests.lab.host import HOST_V4, Host
from tests.lab.packet import Packet
from tests.lab.place import Place
from tests.lab.wait import becomes_true

VERSIONS = [pytest.param("20.10"), pytest.param("28.5", marks=pytest.mark.slow)]
CLOSED = "[defaults]\nbaseline = []"
BRIDGE = "br-0123456789ab"
CONNECT = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 1) as found:
    found.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
    sys.exit(not found.recv(1))
"""


@pytest.fixture(params=VERSIONS)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    version: Version = request.param
    with Host(bridge_calls=True, rp_filter=0) as host, Engine(host, version) as engine:
        yield engine


def neighbours(engine: Engine) -> tuple[EngineContainer, EngineContainer]:
    """Two on one network that speaks IPv6; db is published as 5432."""
    name = ("-o", f"com.docker.network.bridge.name={BRIDGE}")
    subnets = ("--ipv6", "--subnet", "172.29.0.0/16", "--subnet", "fd00:29::/64")
    engine.docker("network", "create", *name, *subnets, "six")
    evil = engine.container("evil", "--network", "six")
    return evil, engine.container("db", "--network", "six", "-p", "5432:80")


def link_local_reaches(host: Host, evil: Place) -> bool:
    show = ["ip", "-6", "-o", "addr", "show", "dev", BRIDGE, "scope", "link"]
    address = host.run(show).stdout.split()[3].partition("/")[0]
    argv = [sys.executable, "-c", CONNECT, f"{address}%eth0", "5432"]
    return evil.run(argv, check=False).returncode == 0


def claims(host: Host, evil: Place, db: EngineContainer) -> tuple[bool, bool]:
    """Evil as the office: whether its packets reach db's host port, and db itself."""
    mac = host.mac(BRIDGE)
    with host.outside.sniff() as office:
        evil.forge(Packet("tcp", OFFICE[0], HOST_V4, 7777, 5432, flags="S"), mac=mac)
        by_host = becomes_true(lambda: any(p.source_port == 5432 for p in office.seen()), 0.7)
    with db.sniff() as sniffer:
        evil.forge(Packet("tcp", OFFICE[0], db.address, 7777, 80, flags="S"), mac=db.mac("eth0"))
        ends = (OFFICE[0], 80)
        directly = becomes_true(
            lambda: any((p.source, p.port) == ends for p in sniffer.seen()), 0.7
        )
    return by_host, directly


def test_a_container_is_nobody_else_whatever_source_it_claims(engine: Engine) -> None:
    host = engine.host
    evil, db = neighbours(engine)
    # Until duplicate address detection is over there is no link-local address.
    assert becomes_true(lambda: link_local_reaches(host, evil)), "open without dockerfw"
    assert claims(host, evil, db) == (True, True), "open without dockerfw"

    apply(host, allow('to = "db"\nports = [80]', "any"), CLOSED)
    assert not link_local_reaches(host, evil)
    assert claims(host, evil, db) == (False, False)
    apply(
        host,
        allow('to = "db"\nports = [80]', "any"),
        '[[deny]]\nto = "db"\nfrom = ["container:evil"]',
    )
    assert not link_local_reaches(host, evil)
    apply(host, allow('to = "db"\nports = [80]', "office"))
    assert link_local_reaches(host, evil), "as every container, by the baseline"
    assert claims(host, evil, db) == (False, False)
    assert host.outside.tcp(HOST_V4, 5432, source=OFFICE[0]).reached


def test_a_docker_network_that_contains_the_lan_cuts_nobody_off(engine: Engine) -> None:
    """Made under the daemon; then applied and booted with."""
    host, outside = engine.host, engine.host.outside
    host.listen("22/tcp")
    engine.container("web", "-p", "8080:80")
    lan = "203.0.113.0/24"
    apply(host, allow('to = "web"\nports = [80]', lan), CLOSED)

    def nobody_is_cut_off() -> list[bool]:
        return [
            session.ask(),
            outside.tcp(HOST_V4, 22).reached,
            outside.tcp(HOST_V4, 8080).reached,
            not outside.tcp(HOST_V4, 8080, source=OFFICE[0], patience=0.5).reached,
        ]

    with Daemon(host) as daemon:
        session = outside.flow("tcp", HOST_V4, 22)
        engine.docker("network", "create", "--subnet", "203.0.112.0/20", "wide")
        daemon.until_said("network wide made")
        assert all(nobody_is_cut_off()), daemon.log()
        daemon.until_said(f"contains {lan}, which this host reaches by eth0")
        assert all(nobody_is_cut_off()), daemon.log()
    assert f"contains {lan}" in host.dockerfw("status", check=False).stdout
    host.dockerfw("apply", "--yes")
    assert all(nobody_is_cut_off())
    host.run(["nft", "delete", "table", "inet", "dockerfw"])
    for table in ("filter", "mangle"):
        host.run(["iptables", "-t", table, "-F"])
    host.dockerfw("boot")
    assert nobody_is_cut_off()[:2] == [True, True]


def test_clients_of_a_vpn_container_are_the_outside_by_its_bridge(engine: Engine) -> None:
    host = engine.host
    vpn = engine.container("vpn")
    engine.container("web", "-p", "8080:80")
    client = "10.66.0.7"
    vpn.ip(f"addr add {client}/32 dev lo")

    def reached() -> bool:
        return vpn.tcp(HOST_V4, 8080, source=client, patience=0.7).reached

    apply(host, allow('to = "web"\nports = [80]', "10.66.0.0/24"))
    assert not reached(), "nobody said that it lives there"
    host.ip(f"route add {client} via {vpn.address}")
    assert reached()
    apply(host, allow('to = "web"\nports = [80]', "office"))
    assert not reached()
