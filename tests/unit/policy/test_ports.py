"""Entries of ``ports`` and ``published``."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from dockerfw.model.policy import PortKeyword, PortRange, PublishedSpec
from tests.policy_text import read, refusal, rule


@pytest.mark.parametrize(
    "word, port",
    [
        ("80", PortRange("tcp", 80, 80)),
        ('"80"', PortRange("tcp", 80, 80)),
        ('"80/tcp"', PortRange("tcp", 80, 80)),
        ('"53/udp"', PortRange("udp", 53, 53)),
        ('"9/sctp"', PortRange("sctp", 9, 9)),
        ('"1-65535"', PortRange("tcp", 1, 65535)),
        ('"80-80/udp"', PortRange("udp", 80, 80)),
        ('"icmp"', PortKeyword.ICMP),
        ('"published"', PortKeyword.PUBLISHED),
        ('"all"', PortKeyword.ALL),
    ],
)
def test_a_container_port_is(word: str, port: PortRange | PortKeyword) -> None:
    assert read(rule(to='"web"', ports=word)).allows[0].ports == (port,)


@pytest.mark.parametrize(
    "word, address, ports",
    [
        ("8080", None, PortRange("tcp", 8080, 8080)),
        ('"53/udp"', None, PortRange("udp", 53, 53)),
        ('"9000-9100/tcp"', None, PortRange("tcp", 9000, 9100)),
        ('"192.0.2.10:443"', "192.0.2.10", PortRange("tcp", 443, 443)),
        ('"192.0.2.10:443-445/udp"', "192.0.2.10", PortRange("udp", 443, 445)),
        ('"[2001:db8::1]:443/tcp"', "2001:db8::1", PortRange("tcp", 443, 443)),
    ],
)
def test_a_host_port_is(word: str, address: str | None, ports: PortRange) -> None:
    expected = PublishedSpec(ports, ip_address(address) if address else None)
    assert read(rule(published=word)).allows[0].published == (expected,)


@pytest.mark.parametrize(
    "word, told",
    [
        (0, "a port is a number from 1 to 65535"),
        (65536, "a port is a number from 1 to 65535"),
        (-1, "a port is a number from 1 to 65535"),
        ("0", "a port is a number from 1 to 65535"),
        ("0/udp", "a port is a number from 1 to 65535"),
        ("65536", "a port is a number from 1 to 65535"),
        ("9" * 5000, "a port is a number from 1 to 65535"),
        ("9-2", "write `2-9/tcp`"),
        ("080", "write `80`"),
        ("8000-08001/udp", "write `8000-8001/udp`"),
        ("80/TCP", "did you mean `tcp`?"),
        ("80/icmp", "the protocol is tcp, udp or sctp"),
        ("80/", "the protocol is tcp, udp or sctp"),
        ("80/tcp/udp", "is no port"),
        ("8080:80", "write the container's port"),
        ("192.0.2.1:80", "write the container's port"),
        ("80-", "is half a range"),
        ("-80", "is half a range"),
        ("1-2-3", "is no port"),
        ("80,443", "is no port, but 2: write each by itself, `80`, `443`"),
        ("tcp/80", "is no port: write `80/tcp`"),
        ("80 udp", "is no port: write `80/udp`"),
        ("53/tcp+udp", "one protocol a word: write `53/tcp` and `53/udp`"),
        ("53/both", "one protocol a word: write `53/tcp` and `53/udp`"),
        ("udp", "is no port: write a number before it, `53/udp`, say"),
        ("icmp/tcp", "write `icmp`"),
        ("*", "write `all`"),
        ("publshed", "did you mean `published`?"),
        ("http", "is no port: write its number, `80`"),
        ("٨٠", "is no port"),
        ("", "is no port"),
        (" 80", "is no port"),
    ],
)
def test_what_is_no_container_port_is_refused_with_what_to_write(
    word: str | int, told: str
) -> None:
    assert told in refusal("ports", word)


@pytest.mark.parametrize(
    "word, told",
    [
        (0, "a port is a number from 1 to 65535"),
        ("all", "stands in `ports` only"),
        ("icmp", "stands in `ports` only"),
        ("*", "write `1-65535/tcp`"),
        ("2001:db8::1:443", "write `[2001:db8::1]:443`"),
        ("[192.0.2.1]:443", "write `192.0.2.1:443`"),
        ("[2001:db8::1]", "has no port"),
        ("0.0.0.0:80", "write `80`"),
        ("[::]:80/udp", "write `80/udp`"),
        ("192.0.2.0/24:80", "is a network: write one address"),
        ("[::ffff:192.0.2.1]:80", "write `192.0.2.1`"),
        ("[fe80::1%eth0]:80", "has a zone"),
        ("192.0.2.1:", "is no port"),
        (":80", "is no IP address"),
        ("localhost:80", "is no IP address"),
        ("8080:80", "is no IP address"),
        ("192.0.2.1:0", "a port is a number from 1 to 65535"),
    ],
)
def test_what_is_no_host_port_is_refused_with_what_to_write(word: str | int, told: str) -> None:
    assert told in refusal("published", word)
