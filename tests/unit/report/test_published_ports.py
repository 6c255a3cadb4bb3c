"""Published ports are found by their numbers, in the order of the inventory."""

from __future__ import annotations

from dockerfw.model.policy import PortRange, Protocol
from dockerfw.report.published_ports import PublishedPorts
from tests import build

WEB = build.container("web", "front 172.18.0.2", published=("8080:80", "8443:443"))
SHOP = build.inventory(
    build.network("front", "172.18.0.0/16"),
    WEB,
    build.container("dns", "front 172.18.0.3", published=("53:5353/udp", "8079:53")),
    build.container("proxy", network_owner=WEB),
)


def found(first: int, last: int, protocol: Protocol = "tcp", *, either: bool = False) -> list[str]:
    published = PublishedPorts(SHOP)
    ports = PortRange(protocol, first, last)
    pairs = published.of_either(ports) if either else published.of_host(ports)
    return [
        f"{c.name} {b.host_port}:{b.container_port}"
        for c, b in pairs
        if b.host_address.version == 4
    ]


def test_by_host_port() -> None:
    assert found(8080, 8080) == ["web 8080:80", "proxy 8080:80"]
    assert found(8079, 8442) == ["web 8080:80", "dns 8079:53", "proxy 8080:80"]
    assert found(8081, 8442) == []
    assert found(53, 53) == []
    assert found(53, 53, "udp") == ["dns 53:5353"]


def test_by_host_port_or_container_port_each_once() -> None:
    assert found(1, 65535, either=True) == found(1, 65535)
    assert found(53, 443, either=True) == [
        "web 8080:80", "web 8443:443", "dns 8079:53", "proxy 8080:80", "proxy 8443:443",
    ]  # fmt: skip
