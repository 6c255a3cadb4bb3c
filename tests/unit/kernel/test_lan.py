"""The networks of an interface, by what ``ip`` prints of it."""

from __future__ import annotations

import json

from dockerfw.kernel.lan import networks
from tests.unit.kernel.fake_runner import FakeRunner, broken


def printed(
    addresses: list[dict[str, object]],
    routes4: list[dict[str, object]] | None = None,
    routes6: list[dict[str, object]] | None = None,
) -> FakeRunner:
    link = {"ifname": "eth0", "addr_info": addresses}
    return FakeRunner(
        {
            # iproute2 leaves empty objects where a filter matched nothing.
            "ip -json address show dev eth0": json.dumps([{}, link]),
            "ip -json -4 route show dev eth0 table main": json.dumps(routes4 or []),
            "ip -json -6 route show dev eth0 table main": json.dumps(routes6 or []),
        }
    )


def address(text: str, length: int, scope: str = "global", **more: str) -> dict[str, object]:
    return {"local": text, "prefixlen": length, "scope": scope, **more}


def found(runner: FakeRunner) -> list[str]:
    return [str(network) for network in networks(runner, "eth0")]


def test_both_families_without_link_local() -> None:
    assert found(
        printed(
            [
                address("192.168.3.7", 24),
                address("192.168.3.8", 24),
                address("10.9.0.1", 16),
                address("2001:db8:1::7", 64),
                address("fd00::7", 64),
                address("fe80::1", 64, "link"),
                address("169.254.9.9", 16, "link"),
            ]
        )
    ) == ["10.9.0.0/16", "192.168.3.0/24", "2001:db8:1::/64", "fd00::/64"]


def test_the_other_end_of_a_point_to_point_link_is_its_network() -> None:
    assert found(printed([address("10.0.0.1", 32, address="10.0.0.2")])) == ["10.0.0.2/32"]


def test_where_addresses_have_no_network_the_routes_on_the_link_do() -> None:
    runner = printed(
        [address("192.168.3.7", 32), address("2001:db8:1::7", 128)],
        [
            {"dst": "192.168.3.0/24", "protocol": "dhcp"},
            {"dst": "default", "protocol": "dhcp", "gateway": "192.168.3.1"},
            {"dst": "10.0.0.0/8", "protocol": "static", "gateway": "192.168.3.1"},
            {"dst": "10.20.0.0/16", "protocol": "boot"},
        ],
        [
            {"dst": "2001:db8:1::/64", "protocol": "ra"},
            {"dst": "2001:db8:1::7", "protocol": "kernel"},
            {"dst": "2001:db8:2::/48", "protocol": "ra", "gateway": "fe80::1"},
            {"dst": "fe80::/64", "protocol": "kernel"},
        ],
    )
    assert found(runner) == ["192.168.3.0/24", "2001:db8:1::/64"]


def test_what_is_too_wide_for_a_link_is_nobodys_lan() -> None:
    runner = printed([address("192.0.2.1", 4)], [], [{"dst": "2000::/3", "protocol": "ra"}])
    assert found(runner) == []


def test_an_interface_that_is_not_there_has_no_network() -> None:
    gone = broken('Device "eth0" does not exist.')
    runner = printed([])
    runner.answers = dict.fromkeys(runner.answers, gone)
    assert found(runner) == []
