"""What addresses and host ports are called."""

from __future__ import annotations

import doctest
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest

from dockerfw.model.net import Address, Port
from dockerfw.report import labels
from dockerfw.report.labels import Labels, host_port_text
from dockerfw.report.open_ports import EVERY_PORT, Range
from tests.build import container, inventory, network

BOTH = "sidecar + web"
WEB = container("web", "front 172.18.0.2", published=("8080:80", "192.0.2.10:8080:81"))
NAMES = Labels(
    inventory(WEB, container("sidecar", network_owner=WEB), network("front", "172.18.0.0/24"))
)


def test_the_examples_hold() -> None:
    results = doctest.testmod(labels)
    assert results.attempted
    assert not results.failed


def test_containers_that_share_a_network_namespace_share_a_label() -> None:
    assert NAMES.label_at(ip_address("172.18.0.2")) == BOTH
    assert NAMES.label_at(ip_address("172.18.0.3")) == "172.18.0.3"
    assert NAMES.label(ip_network("172.18.0.0/24")) == "network front"
    assert NAMES.label(ip_network("172.19.0.0/24")) == "172.19.0.0/24"


@pytest.mark.parametrize(
    "where, behind",
    [
        (None, ((BOTH, 80), (BOTH, 81))),
        (ip_address("192.0.2.10"), ((BOTH, 81),)),
        (ip_address("192.0.2.11"), ((BOTH, 80), (BOTH, 81))),
    ],
)
def test_an_address_without_a_binding_of_its_own_leads_to_all(
    where: Address | None, behind: tuple[tuple[str, int], ...]
) -> None:
    assert NAMES.behind(where, 4, Port("tcp", 8080)) == behind


HTTP, HTTPS = Range("tcp", 8080, 8080), Range("tcp", 443, 443)


@pytest.mark.parametrize(
    "where, ports, text",
    [
        (None, [HTTP], "host port 8080/tcp"),
        (None, [Range("tcp", 1, 9)], "host ports 1-9/tcp"),
        (None, [HTTP, HTTPS], "host ports 8080/tcp, 443/tcp"),
        (IPv4Address("192.0.2.10"), [HTTPS], "host port 192.0.2.10:443/tcp"),
        (IPv6Address("2001:db8::1"), [HTTPS], "host port [2001:db8::1]:443/tcp"),
        (None, [EVERY_PORT], "every published port"),
        (IPv4Address("192.0.2.10"), [EVERY_PORT], "every published port of 192.0.2.10"),
    ],
)
def test_host_ports_in_words(where: Address | None, ports: list[Range], text: str) -> None:
    assert host_port_text(where, ports) == text
