"""Thousands of ports of one container are a line, or a few."""

from __future__ import annotations

from ipaddress import ip_address

from dockerfw.model.net import Address, Port
from dockerfw.report.guarded_ports import GuardedPort, guarded_ports


def port(
    number: int, name: str = "rtp", protocol: str = "udp", where: Address | None = None
) -> GuardedPort:
    return GuardedPort(where, Port(protocol, number), frozenset({(name, number)}))


def targets(*ports: GuardedPort) -> list[str]:
    return [change.target for change in guarded_ports("guard", ports)]


def test_ports_in_a_row_are_one_line_for_one_container() -> None:
    found = [port(number) for number in range(10000, 11500)]
    assert targets(port(80, "web", "tcp"), *found, port(443, "web", "tcp")) == [
        "host port 443/tcp (web:443)",
        "host port 80/tcp (web:80)",
        "host ports 10000-11499/udp (rtp)",
    ]


def test_many_ports_that_are_in_no_row_are_one_line_as_well() -> None:
    [change] = guarded_ports("guard", [port(number) for number in range(1000, 4004, 2)])
    assert change.target == "host ports 1000/udp, 1002/udp, 1004/udp, 1006/udp and 1,498 more (rtp)"
    assert len(change.ports) == 1502


def test_addresses_protocols_and_containers_are_kept_apart() -> None:
    address = ip_address("192.0.2.1")
    assert targets(port(1), port(2, protocol="tcp"), port(2, "a"), port(3, where=address)) == [
        "host port 1/udp (rtp:1)",
        "host port 192.0.2.1:3/udp (rtp:3)",
        "host port 2/tcp (rtp:2)",
        "host port 2/udp (a:2)",
    ]
