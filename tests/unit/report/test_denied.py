"""Denials by the names of now, and what would let them in."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from dockerfw.model.denial import Denial
from dockerfw.model.host import HostFacts
from dockerfw.model.net import Port
from dockerfw.report.denied import ALLOWED_NOW, GONE, Reader, Row, since
from dockerfw.report.explain.reasons import NOTHING_ALLOWS
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
    addresses=frozenset({ip_address("203.0.113.1"), ip_address("2001:db8:1::1")}),
)


def denial(source: str, to: str, port: Port, *, packets: int = 1, last: float = 100) -> Denial:
    return Denial(ip_network(source), ip_address(to), port, packets, 60, 90, last)


def row(source: str, to: str, port: str) -> Row:
    number, _, protocol = port.partition("/")
    return Reader(POLICY, SHOP, FACTS).row(denial(source, to, Port(protocol, int(number))))


@pytest.mark.parametrize(
    "source, to, port, who, target, what",
    [
        (
            "203.0.113.9", "172.18.0.3", "5432/tcp",
            "203.0.113.9", "db:5432/tcp", ('to    = "db"', "ports = [5432]"),
        ),
        (
            "198.51.100.7", "172.18.0.2", "53/udp",
            "office, staff (198.51.100.7)", "web:53/udp", ('to    = "web"', 'ports = ["53/udp"]'),
        ),
        (
            "203.0.113.9", "172.18.0.2", "0/icmp",
            "203.0.113.9", "web:icmp", ('to    = "web"', 'ports = ["icmp"]'),
        ),
        (
            "203.0.113.9", "203.0.113.1", "8080/tcp",
            "203.0.113.9", "web:80/tcp (host port 8080)", ("published = [8080]",),
        ),
    ],
)  # fmt: skip
def test_a_denial_has_names_and_the_lines_that_would_let_it_in(
    source: str, to: str, port: str, who: str, target: str, what: tuple[str, ...]
) -> None:
    found = row(source, to, port)
    assert (found.text, found.reason) == (f"{who} → {target}", NOTHING_ALLOWS)
    assert found.remedy == ("[[allow]]", *what, f'from  = ["{source}"]')


def test_an_ipv6_source_is_let_in_as_its_network() -> None:
    found = row("2001:db8:7::/64", "fd00:18::3", "5432/tcp")
    assert found.text.startswith("2001:db8:7::/64 → ")
    assert found.remedy[-1] == 'from  = ["2001:db8:7::/64"]'
    assert row("2001:db8:10:5::/64", "fd00:18::3", "5432/tcp").names == ("office", "staff")


def test_a_container_is_called_by_its_name_and_a_network_of_some_by_its() -> None:
    found = row("172.18.0.2", "172.18.0.3", "5432/tcp")
    assert found.text.startswith("web (172.18.0.2) → ")
    assert found.remedy[-1] == 'from  = ["container:web"]'
    found = row("fd00:18::/64", "fd00:18::3", "5432/tcp")
    assert found.text.startswith("network front (fd00:18::/64) → ")
    assert found.remedy[-1] == 'from  = ["network:front"]'


def test_where_no_rule_would_help_the_reason_is_told() -> None:
    assert row("192.0.2.66", "172.18.0.2", "80/tcp").reason == (
        "denied by config.toml:11 (from 192.0.2.66)"
    )
    assert row("198.51.100.7", "172.18.0.2", "80/tcp").reason == ALLOWED_NOW
    assert row("203.0.113.9", "172.18.0.77", "80/tcp").reason == GONE
    assert row("203.0.113.9", "172.18.0.2", "0/47").remedy == ()
    assert row("192.0.2.66", "172.18.0.2", "80/tcp").remedy == ()
    assert row("203.0.113.9", "172.18.0.77", "80/tcp").remedy == ()


def test_what_was_a_containers_is_called_by_its_address() -> None:
    assert row("203.0.113.9", "172.18.0.77", "80/tcp").text.endswith(" → 172.18.0.77:80/tcp")
    assert row("2001:db8:7::/64", "fd00:18::77", "80/tcp").text.endswith(" → [fd00:18::77]:80/tcp")


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
