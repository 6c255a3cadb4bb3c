"""Beside each port stands when somebody was last denied there."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from dockerfw.model.denial import Denial
from dockerfw.model.net import Port
from dockerfw.report.access import Access, access_by_policy
from dockerfw.report.last_denied import with_last_denied
from dockerfw.report.traffic import Traffic
from tests.build import allow, container, inventory, network, policy

RUNNING = inventory(
    container("web", "front 172.18.0.2", published=("8080:80", "127.0.0.1:9090:80")),
    container("db", "front 172.18.0.3"),
    container("exporter", host_network=True),
    network("front", "172.18.0.0/24"),
)
RULES = policy(
    allow("198.51.100.0/24", to="web", ports=80),
    allow("192.0.2.7", to="db", ports=("5432", "6000-6010")),
    allow("192.0.2.7", to="exporter", ports=9100),
)


def denial(to: str, port: str, last: float, source: str = "203.0.113.9/32") -> Denial:
    number, _, protocol = port.partition("/")
    at = Port(protocol, int(number))
    return Denial(ip_network(source), ip_address(to), at, 1, 60, last, last)


def told(*denials: Denial, rows: tuple[Access, ...] | None = None) -> dict[tuple[str, str], float]:
    rows = rows if rows is not None else access_by_policy(RULES, RUNNING, (), ())
    return {
        (row.container, row.host_port or row.port): row.denied_last
        for row in with_last_denied(rows, denials, RUNNING)
        if row.denied_last is not None
    }


@pytest.mark.parametrize(
    ("to", "port", "row"),
    [
        ("172.18.0.2", "80/tcp", ("web", "8080")),
        ("203.0.113.1", "8080/tcp", ("web", "8080")),
        ("172.18.0.3", "5432/tcp", ("db", "5432/tcp")),
        ("172.18.0.3", "6005/tcp", ("db", "6000-6010/tcp")),
        ("172.18.0.3", "5432/udp", ("db", "any port")),
        ("203.0.113.1", "9100/tcp", ("exporter", "9100")),
    ],
)
def test_a_denial_stands_beside_the_port_that_it_was_for(
    to: str, port: str, row: tuple[str, str]
) -> None:
    assert told(denial(to, port, 100.0)) == {row: 100.0}


def test_of_several_the_newest_is_told() -> None:
    many = [denial("172.18.0.3", "5432/tcp", at, f"203.0.113.{at}/32") for at in (5, 9, 7)]
    assert told(*many) == {("db", "5432/tcp"): 9}


def test_a_denial_for_nobody_who_is_there_now_is_about_no_row() -> None:
    assert told(denial("172.18.0.99", "80/tcp", 3), denial("203.0.113.1", "81/tcp", 4)) == {}


def test_the_row_of_what_is_counted_for_a_whole_container_is_not_made_twice() -> None:
    rows = access_by_policy(RULES, RUNNING, (), (Traffic("db", "", "", 4, 240),))
    found = with_last_denied(rows, [denial("172.18.0.3", "22/tcp", 8.0)], RUNNING)
    assert [(r.denied, r.denied_last) for r in found if r.port == "any port"] == [(4, 8.0)]
