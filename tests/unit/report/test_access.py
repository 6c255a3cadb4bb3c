"""Every port of every container is a row: open to whom, how much passed, how much did not."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from dockerfw.model.policy import Policy
from dockerfw.report.access import Access, access_by_policy, access_without_policy
from dockerfw.report.access_table import View, access_lines
from dockerfw.report.traffic import Traffic
from tests.build import allow, container, deny, inventory, network, policy

WEB = container("web", "front 172.18.0.2", published=("8080:80", "127.0.0.1:9090:90"))
SHOP = inventory(
    WEB,
    container("shop-db-1", "back 172.19.0.2", published="5432:5432"),
    container("worker", "back 172.19.0.3"),
    container("sidecar", network_owner=WEB),
    container("exporter", host_network=True),
    container("camera", "lan 192.0.2.130"),
    container("media", "back 172.19.0.4", published=tuple(f"{p}:{p}" for p in range(9000, 9004))),
    network("front", "172.18.0.0/24"),
    network("back", "172.19.0.0/24"),
    network("lan", "192.0.2.128/25", driver="macvlan"),
)
RULES = policy(
    allow("any", to="web", ports=(80, "icmp"), line=3),
    allow("198.51.100.0/24", to="shop-db-1", ports=5432, line=7, written_from="office"),
    allow("198.51.100.9", published=9001, line=12),
    allow("192.0.2.7", to="exporter", ports=9100, line=15),
    deny("198.51.100.66", to="shop-db-1", line=20, written_from="blocked"),
)


def rows(
    rules: Policy = RULES, allowed: Iterable[Traffic] = (), denied: Iterable[Traffic] = ()
) -> list[tuple[str, str, str, str]]:
    found = access_by_policy(rules, SHOP, allowed, denied)
    return [(a.container, a.port, a.host_port, a.open_to) for a in found]


def test_every_container_is_there_with_its_ports_and_whom_they_are_open_to() -> None:
    assert rows() == [
        ("camera", "", "", "not filtered here"),
        ("exporter", "9100/tcp", "9100", "192.0.2.7"),
        ("exporter", "other ports", "", "not guarded: the host's own"),
        ("media", "9000/tcp", "9000", "nobody"),
        ("media", "9002-9003/tcp", "9002-9003", "nobody"),
        ("media", "9001/tcp", "9001", "198.51.100.9"),
        ("shop-db-1", "5432/tcp", "5432", "office but not blocked"),
        ("sidecar + web", "80/tcp", "8080", "any"),
        ("sidecar + web", "90/tcp", "127.0.0.1:9090", "this host"),
        ("sidecar + web", "ping", "", "any"),
        ("worker", "all ports", "", "nobody"),
    ]


def test_packets_stand_beside_the_port_that_they_were_for() -> None:
    allowed = [
        Traffic("sidecar + web", "80/tcp", "host port 8080/tcp", 12, 600),
        Traffic("sidecar + web", "80/tcp", "", 3, 150),
        Traffic("172.19.0.99", "80/tcp", "", 4, 200),
    ]
    denied = [
        Traffic("shop-db-1", "5432/tcp", "host port 5432/tcp", 7, 350),
        Traffic("worker", "", "", 2, 100),
    ]
    found = access_by_policy(RULES, SHOP, allowed, denied)
    counted = [(a.container, a.port, a.passed, a.denied) for a in found if a.passed or a.denied]
    assert counted == [
        ("shop-db-1", "5432/tcp", 0, 7),
        ("sidecar + web", "80/tcp", 15, 0),
        ("worker", "any port", 0, 2),
        ("172.19.0.99", "80/tcp", 4, 0),
    ]


def test_without_a_policy_what_is_published_is_open_to_anyone() -> None:
    found = access_without_policy(inventory(WEB))
    assert found == (
        Access("web", "80/tcp", "8080", "anyone"),
        Access("web", "90/tcp", "127.0.0.1:9090", "this host"),
    )


def test_escape_sequences_in_names_do_not_reach_the_terminal() -> None:
    odd = inventory(container("web\x1b[2J", "front 172.18.0.2", published="8080:80"))
    for found in (access_by_policy(RULES, odd, (), ()), access_without_policy(odd)):
        assert all("\x1b" not in line for line in access_lines(found, View()))


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_table_fits_the_terminal(width: int) -> None:
    lines = access_lines(access_by_policy(RULES, SHOP, (), ()), View(width))
    assert max(map(len, lines)) <= width


def test_a_terminal_that_is_too_narrow_has_no_columns() -> None:
    wide = Access("shop-db-1", "5432/tcp", "192.0.2.10:5432", "198.51.100.0/24", 1234, 5)
    assert access_lines((wide,), View(60)) == [
        "  shop-db-1 5432/tcp by host port 192.0.2.10:5432",
        "        open to 198.51.100.0/24; 1,234 passed; 5 denied",
    ]


def test_where_nothing_runs_that_is_said() -> None:
    assert access_lines((), View()) == ["no container runs that dockerfw could filter"]


LONG_NAME = "a-project-with-a-very-long-name-" * 4 + "web-12"
MANY = "office, vpn, backup, 198.51.100.0/24, 2001:db8:10::/48 and 12 more but not blocked"


@pytest.mark.parametrize("observing", [False, True])
@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_one_long_row_breaks_no_other_and_is_two_lines_itself(width: int, observing: bool) -> None:
    short = Access("db", "5432/tcp", "5432", "office", 1204, 17, denied_last=100.0)
    long = Access(LONG_NAME, "80/tcp", "[2001:db8:10::7]:8080", MANY, 48_211, 12, denied_last=100.0)
    view = View(width, observing, now=180.0)
    alone, lines = access_lines((short,), view), access_lines((short, long), view)
    assert max(map(len, lines)) <= width
    assert len(lines) - len(alone) <= 2 + (width == 60)
    assert "web-12" in "".join("".join(lines).split())
    whole = access_lines((short, long), View(width, observing, now=180.0, whole=True))
    assert max(map(len, whole)) <= width
    assert "…" not in "".join(whole)
