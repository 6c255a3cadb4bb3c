"""Who reaches what, on which path, and which line says so."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timezone
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import assume, given, strategies as st

from dockerfw.errors import UsageError
from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Container, Endpoint, Inventory, Network, PublishedPort
from dockerfw.model.net import Address
from dockerfw.model.policy import (
    AddressSource,
    Allow,
    AnySource,
    BridgeSource,
    Deny,
    Expect,
    FileSource,
    InterfaceSource,
    Origin,
    Policy,
    PortKeyword,
    PortRange,
    PublishedSpec,
    Selector,
    SelectorSource,
)
from dockerfw.report.explain import Explanation, UnknownContainer, broken_expectations, explain
from tests.oracle import Question, allowed_sources
from tests.questions import facts_for
from tests.strategies import inventories, policies, profile

EVERYWHERE = (IPv4Address("0.0.0.0"), IPv6Address("::"))
BRIDGED = HostFacts(br_netfilter=(True, True))
OFFICE = AddressSource(ip_network("198.51.100.0/24"))
BLOCKED = AddressSource(ip_network("198.51.100.66/32"))
HTTP = PortRange("tcp", 80, 80)


def line(number: int) -> Origin:
    return Origin("config.toml", number)


def endpoint(network: str, *addresses: str) -> Endpoint:
    ipv4 = next((IPv4Address(a) for a in addresses if "." in a), None)
    ipv6 = next((IPv6Address(a) for a in addresses if ":" in a), None)
    return Endpoint(network, f"id-{network}", ipv4, ipv6)


def published(host_port: int, container_port: int, *on: str) -> tuple[PublishedPort, ...]:
    hosts: Iterable[Address] = map(ip_address, on) if on else EVERYWHERE
    return tuple(PublishedPort(host, host_port, container_port, "tcp") for host in hosts)


def bridge(name: str, *subnets: str) -> Network:
    nets = tuple(ip_network(s) for s in subnets)
    return Network(f"id-{name}", name, "bridge", f"br-{name}", nets)


WEB = Container(
    "1",
    "web",
    endpoints=(endpoint("front", "172.18.0.2"),),
    ports=published(8080, 80) + published(9090, 90, "127.0.0.1"),
)
DB = Container(
    "2",
    "shop-db-1",
    endpoints=(endpoint("back", "172.19.0.2", "fd00:19::2"),),
    ports=published(5432, 5432),
)
PROXY = Container(
    "3", "proxy", endpoints=(endpoint("back", "172.19.0.3"), endpoint("front", "172.18.0.3"))
)
EXPORTER = Container("4", "exporter", host_network=True)
SIDECAR = Container("5", "sidecar", network_owner="1")
CAMERA = Container("6", "camera", endpoints=(endpoint("lan", "192.0.2.130"),))
NETWORKS = (
    bridge("front", "172.18.0.0/24"),
    bridge("back", "172.19.0.0/24", "fd00:19::/64"),
    Network("id-lan", "lan", "macvlan", None, (ip_network("192.0.2.128/25"),)),
)
SHOP = Inventory((WEB, DB, PROXY, EXPORTER, SIDECAR, CAMERA), NETWORKS)

OPEN_WEB = Allow(
    line(3), (OFFICE,), to=(Selector("container", "web"),), ports=(HTTP,), written_from=("office",)
)
BLOCK = Deny(line(20), (BLOCKED,), written_from=("blocklist",))
PARTED = Policy(baseline=())


def rows(explanation: Explanation) -> list[tuple[str, int, bool, str]]:
    return [(r.path, r.family, r.allowed, r.reason) for r in explanation.rows]


def paths(explanation: Explanation) -> dict[str, bool]:
    return {row.path: row.allowed for row in explanation.rows}


def reasons(explanation: Explanation) -> set[str]:
    return {row.reason for row in explanation.rows}


# --- from outside --------------------------------------------------------------------------------


def test_an_outside_source_is_judged_by_published_port_and_directly() -> None:
    found = explain(Policy(allows=(OPEN_WEB,)), SHOP, BRIDGED, "198.51.100.7", "web:80")
    assert rows(found) == [
        ("P1 published 8080 → 80 (DNAT)", 4, True, "allowed by config.toml:3 (from office)"),
        ("P2 directly to 172.18.0.2", 4, True, "allowed by config.toml:3 (from office)"),
    ]
    assert found.exit_status == 0


def test_what_nothing_allows_is_denied_on_all_paths() -> None:
    found = explain(Policy(allows=(OPEN_WEB,)), SHOP, BRIDGED, "203.0.113.7", "web:80/tcp")
    assert reasons(found) == {"denied: nothing allows it"}
    assert found.exit_status == 3


def test_a_deny_is_named_before_the_allow_that_it_beats() -> None:
    policy = Policy(allows=(OPEN_WEB,), denies=(BLOCK,))
    found = explain(policy, SHOP, BRIDGED, "198.51.100.66", "web:80")
    assert reasons(found) == {"denied by config.toml:20 (from blocklist)"}
    assert found.exit_status == 3


def test_a_rule_by_host_port_opens_no_other_path_so_the_verdict_is_mixed() -> None:
    rule = Allow(line(7), (AnySource(),), published=(PublishedSpec(PortRange("tcp", 8080, 8080)),))
    policy = Policy(allows=(rule,))
    found = explain(policy, SHOP, BRIDGED, "203.0.113.7", "web:80")
    assert paths(found) == {
        "P1 published 8080 → 80 (DNAT)": True,
        "P2 directly to 172.18.0.2": False,
    }
    assert found.exit_status == 4
    by_host_port = explain(policy, SHOP, BRIDGED, "203.0.113.7", ":8080/tcp")
    assert paths(by_host_port) == {"P1 published 8080 → web:80 (DNAT)": True}
    assert by_host_port.exit_status == 0


def test_a_rule_for_one_host_address_gets_a_row_of_its_own() -> None:
    here = PublishedSpec(PortRange("tcp", 8080, 8080), IPv4Address("192.0.2.10"))
    policy = Policy(allows=(Allow(line(7), (AnySource(),), published=(here,)),))
    found = explain(policy, SHOP, BRIDGED, "203.0.113.7", ":8080")
    assert paths(found) == {
        "P1 published 8080 → web:80 (DNAT)": False,
        "P1 published 8080 → web:80 (DNAT) at 192.0.2.10": True,
    }
    assert explain(policy, SHOP, BRIDGED, "203.0.113.7", "192.0.2.10:8080").exit_status == 0
    assert explain(policy, SHOP, BRIDGED, "203.0.113.7", "192.0.2.11:8080").exit_status == 3


@pytest.mark.parametrize(
    "target, path",
    [
        ("web:80", "P3 by docker-proxy [::]:8080"),
        ("shop-db-1:5432", "P1 published 5432 → 5432 (DNAT)"),
        ("shop-db-1:5432", "P2 directly to fd00:19::2"),
    ],
)
def test_ipv6_goes_through_docker_proxy_where_the_container_has_none(
    target: str, path: str
) -> None:
    found = explain(Policy(), SHOP, BRIDGED, "2001:db8::7", target)
    assert (path, 6, False, "denied: nothing allows it") in rows(found)


def test_a_link_local_source_is_never_forwarded() -> None:
    found = explain(Policy(), SHOP, BRIDGED, "fe80::1@eth0", "shop-db-1:5432")
    assert paths(found) == {"P3 by docker-proxy [::]:5432": False}


def test_ping_has_no_published_path() -> None:
    rule = replace(OPEN_WEB, ports=(PortKeyword.ICMP,))
    found = explain(Policy(allows=(rule,)), SHOP, BRIDGED, "198.51.100.7", "web:icmp")
    assert paths(found) == {"P2 directly to 172.18.0.2": True}


def test_a_path_that_does_not_exist_is_denied_and_says_why() -> None:
    found = explain(Policy(), SHOP, BRIDGED, "2001:db8::7", "proxy:80")
    assert rows(found) == [
        (
            "no path",
            6,
            False,
            "denied: proxy has no IPv6 address and does not publish 80 on one",
        )
    ]
    assert found.exit_status == 3


def test_a_host_port_bound_to_loopback_is_no_path_for_others() -> None:
    rule = Allow(line(7), (AnySource(),), published=(PublishedSpec(PortRange("tcp", 9090, 9090)),))
    found = explain(Policy(allows=(rule,)), SHOP, BRIDGED, "203.0.113.7", ":9090")
    assert [(r.path, r.allowed) for r in found.rows] == [("no path", False)]


def test_an_interface_after_the_at_sign_meets_rules_by_interface() -> None:
    rule = replace(OPEN_WEB, sources=(InterfaceSource("wg*"),), written_from=("vpn",))
    policy = Policy(allows=(rule,))
    assert explain(policy, SHOP, BRIDGED, "203.0.113.7@wg0", "web:80").exit_status == 0
    assert explain(policy, SHOP, BRIDGED, "203.0.113.7@eth0", "web:80").exit_status == 3
    assert explain(policy, SHOP, BRIDGED, "203.0.113.7", "web:80").exit_status == 3


def test_the_baseline_that_decides_is_named() -> None:
    policy = Policy(baseline=(BridgeSource(), OFFICE))
    found = explain(policy, SHOP, BRIDGED, "198.51.100.7", "web:80")
    assert reasons(found) == {"allowed by baseline 198.51.100.0/24"}


@pytest.mark.parametrize(
    "written, said",
    [
        (("office", "203.0.113.9"), "office"),
        (("198.51.100.0/24", "203.0.113.9"), "198.51.100.0/24"),
        (("office", "lab"), "198.51.100.0/24"),
    ],
)
def test_the_word_of_from_that_matches_is_named(written: tuple[str, ...], said: str) -> None:
    other = AddressSource(ip_network("203.0.113.9/32"))
    rule = replace(OPEN_WEB, sources=(other, OFFICE), written_from=written)
    found = explain(Policy(allows=(rule,)), SHOP, BRIDGED, "198.51.100.7", "web:80")
    assert reasons(found) == {f"allowed by config.toml:3 (from {said})"}


def test_a_rule_that_ends_says_when() -> None:
    rule = replace(OPEN_WEB, until=datetime(2027, 1, 31, tzinfo=timezone.utc))
    found = explain(Policy(allows=(rule,)), SHOP, BRIDGED, "198.51.100.7", "web:80")
    assert reasons(found) == {"allowed by config.toml:3 (from office) until 2027-01-31 00:00 UTC"}


def test_a_long_list_and_a_wide_range_are_attributed_as_well() -> None:
    many = FileSource("se.netset", tuple(ip_network(f"198.51.{n}.0/24") for n in range(200)))
    rule = Allow(
        line(9), (many,), to=(Selector("container", "*"),), ports=(PortRange("tcp", 1, 65535),)
    )
    found = explain(Policy(allows=(rule,)), SHOP, BRIDGED, "198.51.100.7", "web:4711")
    assert reasons(found) == {"allowed by config.toml:9 (from file:se.netset)"}


# --- forged, and this host -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "source", ["172.18.0.3@eth0", "172.18.0.3@br-back", "172.19.0.77@br-front"]
)
def test_an_address_of_a_docker_network_from_elsewhere_is_forged(source: str) -> None:
    everything = Policy(allows=(replace(OPEN_WEB, sources=(AnySource(), BridgeSource())),))
    found = explain(everything, SHOP, BRIDGED, source, "web:80")
    assert all(row.reason.startswith("forged: ") for row in found.rows if row.path[:2] != "P4")
    assert not any(row.allowed for row in found.rows)


def test_this_hosts_own_address_is_forged_when_it_comes_in_on_an_interface() -> None:
    own = frozenset({ip_address("192.0.2.1")})
    policy = Policy(allows=(replace(OPEN_WEB, sources=(AnySource(),)),))
    found = explain(policy, SHOP, BRIDGED, "192.0.2.1@eth0", "web:80", own)
    assert not any(row.allowed for row in found.rows)
    assert all(row.reason.startswith("forged: ") for row in found.rows)


@pytest.mark.parametrize("source", ["host", "127.0.0.1", "::1", "192.0.2.1", "exporter"])
@pytest.mark.parametrize("target", ["web:80", ":8080", "172.18.0.2:80", "exporter:9100"])
def test_this_host_always_reaches_its_containers(source: str, target: str) -> None:
    own = frozenset({ip_address("192.0.2.1")})
    closed = Policy(baseline=(), denies=(replace(BLOCK, sources=(AnySource(), BridgeSource())),))
    found = explain(closed, SHOP, BRIDGED, source, target, own)
    assert set(paths(found)) == {"P6 this host"}
    assert found.exit_status == 0


# --- between containers --------------------------------------------------------------------------


def test_containers_of_one_bridge_need_br_netfilter_to_be_parted() -> None:
    seen = explain(PARTED, SHOP, BRIDGED, "web", "proxy:80")
    assert ("P4 same bridge, to 172.18.0.3", 4, False, "denied: nothing allows it") in rows(seen)
    unseen = explain(PARTED, SHOP, HostFacts(br_netfilter=(False, True)), "web", "proxy:80")
    assert (
        "P4 same bridge, to 172.18.0.3",
        4,
        True,
        "allowed: the kernel does not show it (br_netfilter is off)",
    ) in rows(unseen)


def test_containers_reach_each_other_by_the_baseline_on_every_path() -> None:
    found = explain(Policy(), SHOP, BRIDGED, "proxy", "web:80")
    assert paths(found) == {
        "P5 other bridge, by published port 8080 → 80": True,
        "P5 other bridge, directly to 172.18.0.2": True,
        "P5 same bridge, by published port 8080 → 80": True,
        "P4 same bridge, to 172.18.0.2": True,
    }
    assert reasons(found) == {"allowed by baseline bridge"}


def test_a_deny_between_containers_closes_published_ports_too() -> None:
    deny = Deny(
        line(20),
        (SelectorSource(Selector("container", "shop-db-1")),),
        to=(Selector("container", "web"),),
    )
    found = explain(Policy(denies=(deny,)), SHOP, BRIDGED, "shop-db-1", "web:80")
    assert set(paths(found).values()) == {False}
    assert reasons(found) == {"denied by config.toml:20 (from container:shop-db-1)"}


def test_an_address_of_a_bridge_comes_from_that_bridge_unless_told_otherwise() -> None:
    found = explain(Policy(), SHOP, BRIDGED, "172.18.0.77", "web:80")
    assert "P4 same bridge, to 172.18.0.2" in paths(found)
    assert found.exit_status == 0


def test_containers_that_share_a_network_meet_nobody() -> None:
    found = explain(PARTED, SHOP, BRIDGED, "web", "sidecar:80")
    assert found.exit_status == 0
    assert len(found.rows) == 1


def test_a_sidecar_is_judged_at_the_addresses_of_its_network_owner_id() -> None:
    found = explain(Policy(allows=(OPEN_WEB,)), SHOP, BRIDGED, "198.51.100.7", "sidecar:80")
    assert "P2 directly to 172.18.0.2" in paths(found)
    assert "sidecar is at the addresses of web" in found.warnings


# --- the rest of the paths -----------------------------------------------------------------------


def test_a_host_network_container_is_guarded_at_the_ports_of_rules_that_name_it() -> None:
    rule = Allow(
        line(5), (OFFICE,), to=(Selector("container", "exporter"),),
        ports=(PortRange("tcp", 9100, 9100),),
    )  # fmt: skip
    policy = Policy(allows=(rule,))
    assert rows(explain(policy, SHOP, BRIDGED, "198.51.100.7", "exporter:9100")) == [
        (
            "P8 host network, port 9100",
            4,
            True,
            "allowed by config.toml:5 (from 198.51.100.0/24)",
        )
    ]
    for target in ("exporter:9100", ":9100"):
        assert explain(policy, SHOP, BRIDGED, "203.0.113.7", target).exit_status == 3
        assert explain(policy, SHOP, BRIDGED, "web", target).exit_status == 3
    unguarded = explain(policy, SHOP, BRIDGED, "203.0.113.7", "exporter:22")
    assert reasons(unguarded) == {
        "allowed: no rule guards this port of the host, dockerfw leaves it alone"
    }


def test_a_deny_without_ports_closes_the_host_ports_that_another_rule_names() -> None:
    to = (Selector("container", "exporter"),)
    allow = Allow(line(5), (AnySource(),), to=to, ports=(PortRange("tcp", 9100, 9100),))
    policy = Policy(allows=(allow,), denies=(Deny(line(6), (BLOCKED,), to=to),))
    found = explain(policy, SHOP, BRIDGED, "198.51.100.66", "exporter:9100")
    assert reasons(found) == {"denied by config.toml:6 (from 198.51.100.66)"}


def test_a_macvlan_network_is_passed_over_by_us_and_said_so() -> None:
    found = explain(PARTED, SHOP, BRIDGED, "203.0.113.7", "camera:80")
    assert rows(found) == [
        (
            "P9 macvlan network lan, to 192.0.2.130",
            4,
            True,
            "allowed: macvlan networks cannot be filtered here",
        )
    ]


def test_a_swarm_published_port_is_judged_by_host_port() -> None:
    gateway = Network(
        "id-gw", "docker_gwbridge", "bridge", "docker_gwbridge", (ip_network("172.20.0.0/16"),)
    )
    swarm = replace(SHOP, networks=(*NETWORKS, gateway))
    rule = Allow(line(7), (OFFICE,), published=(PublishedSpec(PortRange("tcp", 8443, 8443)),))
    policy = Policy(allows=(rule,))
    assert paths(explain(policy, swarm, BRIDGED, "198.51.100.7", ":8443")) == {
        "P10 swarm published 8443": True
    }
    assert paths(explain(policy, swarm, BRIDGED, "203.0.113.7", ":8443")) == {
        "P10 swarm published 8443": False
    }


def test_a_port_of_the_host_itself_is_left_alone() -> None:
    found = explain(PARTED, SHOP, BRIDGED, "203.0.113.7", ":22")
    assert paths(found) == {"this host's own port": True}


def test_an_address_without_a_container_is_guarded_all_the_same() -> None:
    found = explain(Policy(), SHOP, BRIDGED, "203.0.113.7", "172.18.0.200:80")
    assert paths(found) == {"P2 directly to 172.18.0.200": False}


def test_a_gateway_of_a_docker_network_is_an_address_of_this_host() -> None:
    facts = replace(BRIDGED, addresses=frozenset({ip_address("172.18.0.1")}))
    found = explain(Policy(), SHOP, facts, "203.0.113.7", "172.18.0.1:8080")
    assert paths(found) == {"P1 published 8080 → web:80 (DNAT)": False}


def test_a_host_port_in_place_of_the_container_port_gets_a_hint() -> None:
    found = explain(Policy(), SHOP, BRIDGED, "203.0.113.7", "web:8080")
    assert found.warnings == ("web publishes 80 as 8080: write web:80 or :8080",)


# --- what is printed -----------------------------------------------------------------------------


def test_observe_says_what_enforce_would_do() -> None:
    found = explain(Policy(mode="observe"), SHOP, BRIDGED, "203.0.113.7", "web:80")
    assert found.exit_status == 3
    assert "OBSERVING" in found.lines()[0]


def test_forged_packets_are_shown_as_dropped_in_observe_too() -> None:
    found = explain(Policy(mode="observe"), SHOP, BRIDGED, "172.18.0.9@eth0", "web:80")
    assert not any(row.allowed for row in found.rows)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_lines_fit_the_terminal(width: int) -> None:
    policy = Policy(allows=(OPEN_WEB,), denies=(BLOCK,))
    for source in ("198.51.100.7", "2001:db8::7", "proxy", "host"):
        found = explain(policy, SHOP, HostFacts(), source, "shop-db-1:5432")
        assert max(map(len, found.lines(width))) <= width


def test_the_document_has_every_row() -> None:
    found = explain(Policy(allows=(OPEN_WEB,)), SHOP, BRIDGED, "198.51.100.7", "web:80")
    document = json.loads(json.dumps(found.to_json()))
    assert document["schema"] == 1
    assert document["verdict"] == "allowed"
    assert document["paths"][0] == {
        "path": "P1 published 8080 → 80 (DNAT)",
        "family": 4,
        "allowed": True,
        "reason": "allowed by config.toml:3 (from office)",
    }


# --- what cannot be read -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source, target, said",
    [
        ("203.0.113.0/24", "web:80", "203.0.113.1"),
        ("::ffff:192.0.2.1", "web:80", "192.0.2.1"),
        ("fe80::1%eth0", "web:80", "fe80::1@eth0"),
        ("iface:wg0", "web:80", "ADDRESS@INTERFACE"),
        ("any", "web:80", "IP address"),
        ("203.0.113", "web:80", "IP address"),
        ("compose:shop", "web:80", "one container"),
        ("203.0.113.7@", "web:80", "interface"),
        ("203.0.113.7@a-name-of-17-chars", "web:80", "15 characters"),
        ("web@eth0", "web:80", "write web"),
        ("", "web:80", "write an IP address"),
        ("203.0.113.7", "web", "web:80"),
        ("203.0.113.7", "container:web", "web:80"),
        ("203.0.113.7", "172.18.0.2", "172.18.0.2:80"),
        ("203.0.113.7", "2001:db8::1:80", "[ADDRESS]:PORT"),
        ("203.0.113.7", "[2001:db8::1]", "in brackets"),
        ("203.0.113.7", "[zzz]:80", "no IP address"),
        ("203.0.113.7", "172.18.0.0/24:80", "one address"),
        ("203.0.113.7", "compose:shop/db:80", "one container"),
        ("203.0.113.7", "shop-*:80", "no pattern"),
        ("203.0.113.7", "web:0", "1 to 65535"),
        ("203.0.113.7", "web:65536", "1 to 65535"),
        ("203.0.113.7", "web:²", "1 to 65535"),
        ("203.0.113.7", "web:http", "1 to 65535"),
        ("203.0.113.7", "web:80-90", "write 80"),
        ("203.0.113.7", "web:80/dccp", "tcp, udp or sctp"),
        ("203.0.113.7", "web:80/", "tcp, udp or sctp"),
        ("203.0.113.7", ":icmp", "NAME:icmp"),
        ("203.0.113.7", "0.0.0.0:80", ":80"),
        ("203.0.113.7", "", "NAME:PORT"),
        ("203.0.113.7", ":", "1 to 65535"),
        ("camera", "web:80", "no address on a Docker bridge"),
    ],
)
def test_what_cannot_be_read_says_what_to_write(source: str, target: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        explain(Policy(), SHOP, BRIDGED, source, target)
    assert said in str(caught.value)
    assert not isinstance(caught.value, UnknownContainer)


def test_an_address_that_is_not_this_hosts_is_refused() -> None:
    own = frozenset({ip_address("192.0.2.1")})
    with pytest.raises(UsageError, match="no address of this host"):
        explain(Policy(), SHOP, BRIDGED, "203.0.113.7", "192.0.2.99:8080", own)


@pytest.mark.parametrize("name, near", [("wbe", "web"), ("db", "shop-db-1"), ("Proxy", "proxy")])
def test_an_unknown_container_brings_up_the_nearest_names(name: str, near: str) -> None:
    with pytest.raises(UnknownContainer, match=f"did you mean {near}"):
        explain(Policy(), SHOP, BRIDGED, "203.0.113.7", f"{name}:80")
    with pytest.raises(UnknownContainer, match=f"did you mean {near}"):
        explain(Policy(), SHOP, BRIDGED, name, "web:80")


# --- expectations --------------------------------------------------------------------------------


def expecting(source: str, target: str, *, allowed: bool) -> Policy:
    return Policy(allows=(OPEN_WEB,), expects=(Expect(line(30), source, target, allowed),))


@pytest.mark.parametrize(
    "source, target, allowed",
    [
        ("198.51.100.7", "web:80", True),
        ("203.0.113.7", "web:80", False),
        ("2001:db8::7", "proxy:80", False),
        ("203.0.113.7", ":22", True),
        ("proxy", "web:80", True),
    ],
)
def test_an_expectation_that_holds_says_nothing(source: str, target: str, allowed: bool) -> None:
    found = broken_expectations(expecting(source, target, allowed=allowed), SHOP, BRIDGED)
    assert (found.errors, found.warnings) == ((), ())


def test_a_broken_expectation_names_path_and_line() -> None:
    found = broken_expectations(expecting("198.51.100.7", "web:80", allowed=False), SHOP, BRIDGED)
    (error,) = found.errors
    assert error == (
        "config.toml:30: expected denied, but 198.51.100.7 reaches web:80 (P1 published 8080 → "
        "80): allowed by config.toml:3 (from office), and likewise on 1 more path"
    )
    found = broken_expectations(expecting("203.0.113.7", "web:80", allowed=True), SHOP, BRIDGED)
    assert found.errors[0].startswith(
        "config.toml:30: expected allowed, but 203.0.113.7 does not reach web:80 "
    )


def test_denied_is_broken_by_one_open_path_alone() -> None:
    rule = Allow(line(7), (AnySource(),), published=(PublishedSpec(PortRange("tcp", 8080, 8080)),))
    policy = replace(expecting("203.0.113.7", "web:80", allowed=False), allows=(rule,))
    assert len(broken_expectations(policy, SHOP, BRIDGED).errors) == 1
    both = replace(policy, expects=(Expect(line(30), "203.0.113.7", "web:80", allowed=True),))
    assert len(broken_expectations(both, SHOP, BRIDGED).errors) == 1


@pytest.mark.parametrize("source, target", [("203.0.113.7", "gone:80"), ("gone", "web:80")])
@pytest.mark.parametrize("allowed", [True, False])
def test_a_container_that_does_not_run_is_a_warning(
    source: str, target: str, allowed: bool
) -> None:
    found = broken_expectations(expecting(source, target, allowed=allowed), SHOP, BRIDGED)
    assert found.errors == ()
    assert len(found.warnings) == 1
    assert found.warnings[0].startswith("config.toml:30: not checked: ")


def test_a_host_port_that_nobody_publishes_now_is_a_warning() -> None:
    found = broken_expectations(expecting("203.0.113.7", ":8000", allowed=False), SHOP, BRIDGED)
    assert found.errors == ()
    assert len(found.warnings) == 1


def test_an_expectation_that_cannot_be_read_is_an_error() -> None:
    found = broken_expectations(expecting("203.0.113", "web:80", allowed=False), SHOP, BRIDGED)
    assert len(found.errors) == 1
    assert found.errors[0].startswith("config.toml:30: ")


# --- for any policy ------------------------------------------------------------------------------

SOURCES = {
    4: ("198.51.100.7", "203.0.113.9", "172.18.0.2", "172.19.0.3"),
    6: ("2001:db8:10::7", "2001:db8:20::7", "fd00:18::2"),
}
INTERFACES = ("eth0", "wg0", "br-front", "docker0")


def numbered(policy: Policy) -> Policy:
    """Every statement on a line of its own."""
    allows = tuple(replace(a, origin=line(n)) for n, a in enumerate(policy.allows))
    denies = tuple(replace(d, origin=line(100 + n)) for n, d in enumerate(policy.denies))
    return replace(policy, allows=allows, denies=denies)


def small(policy: Policy, inventory: Inventory) -> bool:
    """Whether no rule names all ports of a host-network container: those stand one by one."""
    on_host = {c.name for c in inventory.containers if inventory.on_host_network(c)}
    statements: tuple[Allow | Deny, ...] = (*policy.allows, *policy.denies)
    return not any(
        isinstance(spec, PortRange) and spec.last - spec.first > 1000 and selector.name in on_host
        for statement in statements
        for spec in statement.ports
        for selector in statement.to
    )


def judged_alone(policy: Policy, reason: str) -> Policy:
    """The policy with the one statement that ``reason`` names."""
    number = int(reason.partition("config.toml:")[2].split(" ")[0])
    if number < 100:
        return Policy(baseline=(), allows=(policy.allows[number],))
    return Policy(baseline=(BridgeSource(), AnySource()), denies=(policy.denies[number - 100],))


@profile()
@given(policies, inventories(), st.data())
def test_direct_rows_agree_with_the_meaning_of_the_policy_and_name_a_line_that_decides(
    policy: Policy, inventory: Inventory, data: st.DataObject
) -> None:
    assume(small(policy, inventory))
    policy = numbered(policy)
    facts = replace(facts_for(inventory), br_netfilter=(True, True))
    endpoints = [e for c in inventory.containers for e in inventory.endpoints(c)]
    for address in {a: None for e in endpoints for a in e.addresses}:
        source = data.draw(st.sampled_from(SOURCES[address.version]))
        interface = data.draw(st.sampled_from(INTERFACES))
        port = data.draw(st.sampled_from((80, 443, 5432, 8080)))
        target = f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"
        found = explain(policy, inventory, facts, f"{source}@{interface}", target)
        question = Question("direct", interface, address, "tcp", port)
        meant = ip_address(source) in allowed_sources(policy, inventory, facts, question)
        assert [row.allowed for row in found.rows] == [meant], found.rows
        reason = found.rows[0].reason
        assert reason not in ("allowed", "denied")
        if "config.toml:" in reason:
            alone = judged_alone(policy, reason)
            sources = allowed_sources(alone, inventory, facts, question)
            assert (ip_address(source) in sources) == meant, reason


@profile()
@given(policies, inventories(), st.data())
def test_host_port_rows_agree_with_the_meaning_of_the_policy(
    policy: Policy, inventory: Inventory, data: st.DataObject
) -> None:
    assume(small(policy, inventory))
    policy = numbered(policy)
    facts = replace(facts_for(inventory), br_netfilter=(True, True))
    hosts = sorted((a for a in facts.addresses if a.version == 4), key=int)
    for _ in range(4):
        address = data.draw(st.sampled_from(hosts))
        source = data.draw(st.sampled_from(SOURCES[4]))
        interface = data.draw(st.sampled_from(INTERFACES))
        port = data.draw(st.sampled_from((80, 443, 53, 8080, 9050)))
        found = explain(policy, inventory, facts, f"{source}@{interface}", f"{address}:{port}")
        if found.rows[0].path == "no path":
            continue
        question = Question("host", interface, address, "tcp", port)
        meant = ip_address(source) in allowed_sources(policy, inventory, facts, question)
        assert {row.allowed for row in found.rows} == {meant}, found.rows
        assert "allowed" not in reasons(found)
