"""What is read of a line of ``ipset save``, and what is odd about it."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from dockerfw.kernel.ipset.parse import parse_count, parse_element, parse_entry, parse_headers
from dockerfw.model.net import Port
from dockerfw.plan.state import OddElement, SetState
from dockerfw.rules.ruleset import Element

HOST = ip_network("10.0.0.1")
NET = ip_network("10.0.0.0/8")


@pytest.mark.parametrize(
    "entry, kind, element",
    [
        ("10.0.0.1", "hash:ip", (HOST,)),
        ("10.0.0.0/8", "hash:net", (NET,)),
        ("2001:db8::/32", "hash:net", (ip_network("2001:db8::/32"),)),
        ("::ffff:1.2.3.4", "hash:ip", (ip_network("::ffff:1.2.3.4"),)),
        ("10.0.0.1,tcp:80", "hash:net,port", (HOST, Port("tcp", 80))),
        ("10.0.0.1,6:80", "hash:net,port", (HOST, Port("tcp", 80))),
        ("10.0.0.1,udplite:5", "hash:net,port", (HOST, Port("udplite", 5))),
        ("10.0.0.1,136:5", "hash:net,port", (HOST, Port("udplite", 5))),
        ("10.0.0.1,gre:0", "hash:net,port", (HOST, Port("47", 0))),
        ("10.0.0.1,47:0", "hash:net,port", (HOST, Port("47", 0))),
        ("10.0.0.1,unheard-of:0", "hash:net,port", (HOST, Port("unheard-of", 0))),
        ("10.0.0.1,icmp:echo-request", "hash:net,port", (HOST, Port("icmp", 0))),
        ("10.0.0.1,1:echo-request", "hash:net,port", (HOST, Port("icmp", 0))),
        (
            "::1,ipv6-icmp:echo-request",
            "hash:net,port",
            (ip_network("::1"), Port("icmp", 0)),
        ),
        ("::1,58:echo-request", "hash:net,port", (ip_network("::1"), Port("icmp", 0))),
        (
            "10.0.0.1,tcp:80,0.0.0.0/1",
            "hash:ip,port,net",
            (HOST, Port("tcp", 80), ip_network("0.0.0.0/1")),
        ),
        ("10.0.0.0/8,br-0a1b2c3d4e5f", "hash:net,iface", (NET, "br-0a1b2c3d4e5f")),
    ],
)
def test_an_entry_is_a_value(entry: str, kind: str, element: Element) -> None:
    assert parse_element(entry, kind) == element
    assert parse_entry(f"add dockerfw-x4 {entry}", kind) == element
    assert parse_entry(f"add dockerfw-x4 {entry} packets 5 bytes 300", kind) == element
    assert parse_entry(f"add dockerfw-x4 {entry} timeout 17 packets 5 bytes 300", kind) == element


@pytest.mark.parametrize(
    "entry, kind",
    [
        ("10.0.0.1,icmp:timestamp-request", "hash:net,port"),
        ("10.0.0.1,t(c)p:80", "hash:net,port"),
        ("10.0.0.0/8,br~1", "hash:net,iface"),
        ("10.0.0.0/8,gr\u00fcn", "hash:net,iface"),
        ("::1,ipv6-icmp:128/1", "hash:net,port"),
        ("10.0.0.1,tcp:http", "hash:net,port"),
        ("10.0.0.1,tcp", "hash:net,port"),
        ("10.0.0.1,tcp:80", "hash:net"),
        ("10.0.0.1", "hash:net,port"),
        ("10.0.0.1/8", "hash:net"),
        ("00:11:22:33:44:55", "hash:mac"),
    ],
)
def test_an_entry_that_no_set_of_ours_holds_is_kept_as_text(entry: str, kind: str) -> None:
    assert parse_element(entry, kind) is None
    line = f"add dockerfw-x4 {entry} packets 5 bytes 300"
    assert parse_entry(line, kind) == OddElement(entry)


@pytest.mark.parametrize(
    "options, odd",
    [
        ("nomatch packets 0 bytes 0", "nomatch"),
        ("timeout 17 nomatch packets 0 bytes 0", "nomatch"),
        ("timeout 0 packets 0 bytes 0", "timeout 0"),
        ("timeout 0 nomatch packets 0 bytes 0", "nomatch"),
    ],
)
def test_what_is_odd_about_an_entry_is_kept_beside_it(options: str, odd: str) -> None:
    found = parse_entry(f"add dockerfw-x4 10.0.0.1,tcp:80 {options}", "hash:net,port")
    assert found == OddElement("10.0.0.1,tcp:80", odd, (HOST, Port("tcp", 80)))


@pytest.mark.parametrize(
    "line, count",
    [
        ("add a4 10.0.0.1 packets 5 bytes 300", (5, 300)),
        ("add a4 10.0.0.1 timeout 9 packets 18446744073709551615 bytes 1", (2**64 - 1, 1)),
        ("add a4 10.0.0.1", (0, 0)),
    ],
)
def test_packets_and_bytes_of_an_entry(line: str, count: tuple[int, int]) -> None:
    assert parse_count(line) == count


def test_headers_are_ours_alone_and_the_entries_of_others_are_counted() -> None:
    text = (
        "Name: dockerfw-own6\nType: hash:net,iface\nRevision: 7\n"
        "Header: family inet6 hashsize 64 maxelem 70000 timeout 1 counters\n"
        "Number of entries: 2\n\n"
        "Name: theirs\nType: bitmap:port\nHeader: range 0-65535\nNumber of entries: 7\n\n"
        "Name: empty\nType: list:set\nHeader: size 8\n"
    )
    assert parse_headers(text) == (
        {
            "dockerfw-own6": SetState(
                "dockerfw-own6",
                "hash:net,iface",
                6,
                70000,
                2,
                None,
                counters=True,
                timeout=True,
                lasts=1,
            )
        },
        7,
    )
    assert parse_headers("") == ({}, 0)
