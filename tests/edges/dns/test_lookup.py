from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path

import dns.resolver
import pytest

from dockerfw.dns.answer import LEAST_TTL, MOST_TTL, Answer
from dockerfw.dns.lookup import QUERY_TIMEOUT, System
from tests.dns_server import DnsServer, dns_server
from tests.edges.dns.systems import addresses

NAME = "vpn.example.org"
SOME = 203


def looked_up(zone: Mapping[str, str], hosts: Path, timeout: float = QUERY_TIMEOUT) -> Answer:
    with dns_server(zone) as server:
        return System(hosts, server.resolver, timeout).look_up(NAME)


@pytest.mark.parametrize(
    "zone, ipv4, ipv6, ttl",
    [
        pytest.param(
            {f"{NAME} A": "300 203.0.113.9 203.0.113.7", f"{NAME} AAAA": "60 2001:db8::7"},
            ("203.0.113.7", "203.0.113.9"),
            ("2001:db8::7",),
            60,
            id="both families, sorted, the shorter TTL",
        ),
        pytest.param(
            {f"{NAME} A": "1 203.0.113.7", f"{NAME} AAAA": "nodata"},
            ("203.0.113.7",),
            (),
            LEAST_TTL,
            id="a short TTL is asked for again after 30 s",
        ),
        pytest.param(
            {f"{NAME} A": "9999999 203.0.113.7", f"{NAME} AAAA": "9999999 2001:db8::7"},
            ("203.0.113.7",),
            ("2001:db8::7",),
            MOST_TTL,
            id="a TTL of months after a day",
        ),
        pytest.param(
            {
                f"{NAME} CNAME": "40 gw.example.net.",
                "gw.example.net CNAME": "900 pool.example.net.",
                "pool.example.net A": "900 203.0.113.7",
                "pool.example.net AAAA": "nodata",
            },
            ("203.0.113.7",),
            (),
            40,
            id="through aliases, with the shortest TTL on the way",
        ),
        pytest.param(
            {f"{NAME} A": "300 203.0.113.7", f"{NAME} AAAA": "servfail"},
            ("203.0.113.7",),
            None,
            300,
            id="a family without an answer is not one without addresses",
        ),
        pytest.param(
            {f"{NAME} A": "300 " + " ".join(f"203.0.113.{n}" for n in range(1, SOME))},
            tuple(f"203.0.113.{n}" for n in range(1, SOME)),
            (),
            300,
            id="a long answer comes over TCP",
        ),
    ],
)
def test_what_dns_says(
    zone: Mapping[str, str],
    ipv4: tuple[str, ...],
    ipv6: tuple[str, ...] | None,
    ttl: float,
    no_hosts: Path,
) -> None:
    found = looked_up(zone, no_hosts)
    assert found.ipv4 == addresses(*ipv4)
    assert found.ipv6 == (None if ipv6 is None else addresses(*ipv6))
    assert (found.ttl, found.problem) == (ttl, None)


@pytest.mark.parametrize(
    "zone, problem",
    [
        ({}, "no such name"),
        ({f"{NAME} A": "nodata", f"{NAME} AAAA": "nodata"}, "no such name"),
        ({f"{NAME} A": "servfail", f"{NAME} AAAA": "servfail"}, "DNS gives no usable answer"),
        ({f"{NAME} A": "silent", f"{NAME} AAAA": "silent"}, "DNS does not answer in time"),
        ({f"{NAME} A": "servfail", f"{NAME} AAAA": "nodata"}, "DNS gives no usable answer"),
        (
            {f"{NAME} CNAME": f"60 b.{NAME}.", f"b.{NAME} CNAME": f"60 {NAME}."},
            "DNS gives no usable answer",
        ),
        (
            {f"{NAME} A": "60 0.0.0.0", f"{NAME} AAAA": "60 ::"},
            "it has only 0.0.0.0, ::, where nobody can come from",
        ),
    ],
)
def test_a_name_that_fails_says_why(zone: dict[str, str], problem: str, no_hosts: Path) -> None:
    found = looked_up(zone, no_hosts, 0.2) if "b." + NAME not in str(zone) else circle(no_hosts)
    assert (found.ipv4, found.ipv6, found.problem) == (None, None, problem)
    assert found.ttl == LEAST_TTL


def circle(hosts: Path) -> Answer:
    """Two aliases for each other; the server says the first one and leaves the rest to us."""

    class Circle(DnsServer):
        def _fill(self, response: dns.message.Message, name: str, _kind: str) -> bool:
            other = f"b.{NAME}." if name == NAME else f"{NAME}."
            for here, there in ((f"{name}.", other), (other, f"{name}.")):
                response.answer.append(dns.rrset.from_text(here, 60, "IN", "CNAME", there))
            return True

    server = Circle({})
    server.start()
    try:
        return System(hosts, server.resolver, 0.2).look_up(NAME)
    finally:
        server.stop()


HOSTS = """\
127.0.0.1 localhost
192.0.2.55  gw VPN.example.org  # the tunnel
2001:db8::55 vpn.example.org.
192.0.2.56 vpn.example.orgs xvpn.example.org
fe80::1%eth0 vpn.example.org
not-an-address vpn.example.org
# 192.0.2.57 vpn.example.org
"""


def test_the_hosts_file_goes_before_dns(no_hosts: Path) -> None:
    no_hosts.write_text(HOSTS)
    with dns_server({f"{NAME} A": "300 203.0.113.7"}) as server:
        found = System(no_hosts, server.resolver).look_up(NAME)
    assert found.effective(()) == addresses("192.0.2.55", "2001:db8::55")
    assert found.ttl == LEAST_TTL
    assert server.asked == []


def known_to_system(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """A system that knows the name, by mdns say; what it was asked."""
    asked: list[object] = []

    def known(name: object, *_: object, **__: object) -> list[object]:
        asked.append(name)
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.60", 0)),
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::60", 0, 0, 0)),
        ]

    monkeypatch.setattr(socket, "getaddrinfo", known)
    return asked


def test_where_dns_has_no_such_name_the_system_is_asked(
    no_hosts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = known_to_system(monkeypatch)
    found = looked_up({}, no_hosts)
    assert found.effective(()) == addresses("192.0.2.60", "2001:db8::60")
    assert found.ttl == LEAST_TTL
    assert asked == [f"{NAME}."], "with a dot: search domains are nobody's affair"


def test_without_a_resolv_conf_the_system_is_asked(
    no_hosts: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    known_to_system(monkeypatch)
    missing = tmp_path / "resolv.conf"
    system = System(no_hosts, lambda: dns.resolver.Resolver(str(missing)))
    assert system.look_up(NAME).effective(()) == addresses("192.0.2.60", "2001:db8::60")


def test_nothing_that_breaks_gets_out(no_hosts: Path) -> None:
    def broken() -> dns.resolver.Resolver:
        raise RuntimeError("no luck")

    assert System(no_hosts, broken).look_up(NAME).problem == "RuntimeError: no luck"
