"""Denials by the names of now."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from dockerfw.model.denial import Denial
from dockerfw.model.host import HostFacts
from dockerfw.model.net import Port
from dockerfw.model.routes import Route
from dockerfw.report.denied import Names, Row, since
from tests import build
from tests.unit.report.shop import policy

SHOP = build.inventory(
    build.network("front", "172.18.0.0/16", "fd00:18::/64"),
    build.container("web", "front 172.18.0.2 fd00:18::2", published=("8080:80", "8443:443")),
    build.container("db", "front 172.18.0.3 fd00:18::3"),
    build.container("agent", host_network=True),
)
POLICY = policy(
    """
    [defaults]
    baseline = []
    [sources]
    office = ["198.51.100.0/24", "2001:db8:10::/48"]
    staff = ["office", "iface:wg0"]
    [[allow]]
    to = "web"
    ports = 80
    from = "office"
    [[deny]]
    from = "192.0.2.66"
    """
)
FACTS = HostFacts(
    br_netfilter=(True, True),
    addresses=frozenset(map(ip_address, ("203.0.113.1", "172.18.0.1", "2001:db8:1::1"))),
    routes=(Route(ip_network("203.0.113.0/24"), "eth0"),),
)


def denial(source: str, to: str, port: Port, *, packets: int = 1, last: float = 100) -> Denial:
    return Denial(ip_network(source), ip_address(to), port, packets, 60, 90, last)


def row(source: str, to: str, port: str) -> Row:
    number, _, protocol = port.partition("/")
    return Names(POLICY, SHOP, FACTS).row(denial(source, to, Port(protocol, int(number))))


@pytest.mark.parametrize(
    "source, to, port, text",
    [
        ("203.0.113.9", "172.18.0.3", "5432/tcp", "203.0.113.9 → db:5432/tcp"),
        ("198.51.100.7", "172.18.0.2", "53/udp", "office, staff (198.51.100.7) → web:53/udp"),
        ("203.0.113.9", "172.18.0.2", "0/icmp", "203.0.113.9 → web:icmp"),
        (
            "203.0.113.9", "203.0.113.1", "8080/tcp",
            "203.0.113.9 → web:80/tcp (host port 8080)",
        ),
        ("172.18.0.2", "172.18.0.3", "5432/tcp", "web (172.18.0.2) → db:5432/tcp"),
        # docker-proxy, asked by a container at its gateway; and by all on a link of this host.
        ("172.18.0.3", "172.18.0.1", "8080/tcp", "db (172.18.0.3) → web:80/tcp (host port 8080)"),
        ("203.0.113.9", "203.0.113.255", "8080/tcp", "203.0.113.9 → web:80/tcp (host port 8080)"),
    ],
)  # fmt: skip
def test_a_denial_has_names(source: str, to: str, port: str, text: str) -> None:
    assert row(source, to, port).text == text


def test_networks_have_names_as_well() -> None:
    found = row("fd00:18::/64", "fd00:18::3", "5432/tcp")
    assert found.text.startswith("network front (fd00:18::/64) → ")
    assert row("2001:db8:10:5::/64", "fd00:18::3", "5432/tcp").names == ("office", "staff")


def test_what_was_a_containers_is_called_by_its_address() -> None:
    assert row("203.0.113.9", "172.18.0.77", "80/tcp").text.endswith(" → 172.18.0.77:80/tcp")
    assert row("2001:db8:7::/64", "fd00:18::77", "80/tcp").text.endswith(" → [fd00:18::77]:80/tcp")


def test_what_was_in_a_network_that_is_gone_is_no_port_of_this_host() -> None:
    found = row("203.0.113.9", "172.30.0.2", "8080/tcp")
    assert (found.container, found.host_port) == ("", "")
    assert found.text.endswith(" → 172.30.0.2:8080/tcp")


def test_the_only_container_on_the_hosts_network_has_the_port_that_nobody_publishes() -> None:
    assert row("203.0.113.9", "203.0.113.1", "9100/tcp").text.endswith(
        " → agent:9100/tcp (host port 9100)"
    )


def test_the_newest_or_the_noisiest_come_first_and_old_ones_not_at_all() -> None:
    web = Port("tcp", 80)
    old = denial("192.0.2.1", "172.18.0.2", web, packets=9, last=10)
    noisy = denial("192.0.2.2", "172.18.0.2", web, packets=5, last=50)
    new = denial("192.0.2.3", "172.18.0.2", web, packets=2, last=60)
    assert since([old, noisy, new], 50, "newest") == (new, noisy)
    assert since([old, new, noisy], 0, "noisiest") == (old, noisy, new)
