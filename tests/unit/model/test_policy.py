"""The names in a policy, and the addresses that they are given."""

from __future__ import annotations

from ipaddress import ip_address

from dockerfw.model.net import Address
from dockerfw.model.policy import BridgeSource, HostSource, Origin, Policy
from tests.build import allow, host_name

VPN, GW = "vpn.example.org", "gw.example.org"


def addresses(*texts: str) -> tuple[Address, ...]:
    return tuple(map(ip_address, texts))


def test_every_name_is_known_with_the_first_line_that_has_it() -> None:
    policy = Policy(
        baseline=(BridgeSource(), host_name("only.example.org"), host_name(VPN)),
        allows=(allow(host_name(GW), line=3), allow(host_name(VPN), host_name(GW), line=7)),
    )
    assert policy.host_names() == {
        GW: Origin("config.toml", 3),
        VPN: Origin("config.toml", 7),
        "only.example.org": None,
    }


def test_names_are_given_addresses_everywhere_and_lose_those_that_they_had() -> None:
    policy = Policy(
        baseline=(BridgeSource(), host_name(VPN)),
        allows=(allow(host_name(VPN), host_name(GW, "192.0.2.1")),),
    )
    named = policy.with_names({VPN: addresses("203.0.113.7", "2001:db8::7")})
    assert named.baseline == (BridgeSource(), host_name(VPN, "203.0.113.7", "2001:db8::7"))
    assert named.allows[0].sources == (host_name(VPN, "203.0.113.7", "2001:db8::7"), host_name(GW))


def test_the_network_around_an_address_is_of_ipv6_alone() -> None:
    home = HostSource("home.example.org", prefix=64)
    found = home.at(addresses("203.0.113.7", "2001:db8:1::7", "2001:db8:1::8", "2001:db8:2::7"))
    assert [str(network) for network in found.networks] == [
        "203.0.113.7/32",
        "2001:db8:1::/64",
        "2001:db8:2::/64",
    ]
