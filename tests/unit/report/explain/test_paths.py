"""Which paths a question means, P1 to P10, and the verdict on each."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from dockerfw.model.host import HostFacts, PortForward
from dockerfw.model.routes import Route
from dockerfw.report.explain import explain
from tests.build import allow, container, deny, facts, inventory, network, policy
from tests.unit.report.explain.scene import BRIDGED, OFFICE, OPEN_WEB, SHOP, paths, reasons, rows


def test_an_outside_source_has_a_path_by_published_port_and_one_directly() -> None:
    found = explain(policy(OPEN_WEB), SHOP, BRIDGED, "198.51.100.7", "web:80")
    assert rows(found) == [
        ("published 8080 → 80 (DNAT)", 4, True, "allowed by config.toml:3 (from office)"),
        ("directly to 172.18.0.2", 4, True, "allowed by config.toml:3 (from office)"),
    ]
    assert found.exit_status == 0


def test_a_rule_by_host_port_opens_no_other_path_so_the_verdict_is_mixed() -> None:
    rule = allow("any", published=8080, line=7)
    rules = policy(rule)
    found = explain(rules, SHOP, BRIDGED, "203.0.113.7", "web:80")
    assert paths(found) == {
        "published 8080 → 80 (DNAT)": True,
        "directly to 172.18.0.2": False,
    }
    assert found.exit_status == 4
    by_host_port = explain(rules, SHOP, BRIDGED, "203.0.113.7", ":8080/tcp")
    assert paths(by_host_port) == {"published 8080 → web:80 (DNAT)": True}
    assert by_host_port.exit_status == 0


def test_a_rule_for_one_host_address_gets_a_row_of_its_own() -> None:
    rules = policy(allow("any", published="192.0.2.10:8080", line=7))
    found = explain(rules, SHOP, BRIDGED, "203.0.113.7", ":8080")
    assert paths(found) == {
        "published 8080 → web:80 (DNAT)": False,
        "published 8080 → web:80 (DNAT) at 192.0.2.10": True,
    }
    assert explain(rules, SHOP, BRIDGED, "203.0.113.7", "192.0.2.10:8080").exit_status == 0
    assert explain(rules, SHOP, BRIDGED, "203.0.113.7", "192.0.2.11:8080").exit_status == 3


@pytest.mark.parametrize(
    "target, path",
    [
        ("web:80", "by docker-proxy [::]:8080"),
        ("shop-db-1:5432", "published 5432 → 5432 (DNAT)"),
        ("shop-db-1:5432", "directly to fd00:19::2"),
    ],
)
def test_ipv6_goes_through_docker_proxy_where_the_container_has_none(
    target: str, path: str
) -> None:
    found = explain(policy(), SHOP, BRIDGED, "2001:db8::7", target)
    assert (path, 6, False, "denied: nothing allows it") in rows(found)


def test_a_link_local_source_is_never_forwarded() -> None:
    found = explain(policy(), SHOP, BRIDGED, "fe80::1@eth0", "shop-db-1:5432")
    assert paths(found) == {"by docker-proxy [::]:5432": False}


def test_ping_has_no_published_path() -> None:
    rule = allow(OFFICE, to="web", ports="icmp", line=3)
    found = explain(policy(rule), SHOP, BRIDGED, "198.51.100.7", "web:icmp")
    assert paths(found) == {"directly to 172.18.0.2": True}


def test_a_host_port_bound_to_loopback_is_no_path_for_others() -> None:
    rule = allow("any", published=9090, line=7)
    found = explain(policy(rule), SHOP, BRIDGED, "203.0.113.7", ":9090")
    assert paths(found) == {"no path": False, ELSEWHERE: True}


ELSEWHERE = "this host's own port, at its other addresses"
BOUND = inventory(
    container("web", "front 172.18.0.2", published="192.0.2.1:8443:443"),
    network("front", "172.18.0.0/24"),
)


@pytest.mark.parametrize(
    ("own", "elsewhere"),
    [((), True), (("192.0.2.1",), False), (("192.0.2.1", "192.0.2.2"), True)],
)
def test_a_port_bound_to_one_address_is_the_hosts_own_at_its_others(
    own: tuple[str, ...], *, elsewhere: bool
) -> None:
    here = facts(*own, br_netfilter=True)
    found = paths(explain(policy(), BOUND, here, "203.0.113.7", ":8443"))
    at_one = {"published 192.0.2.1:8443 → web:443 (DNAT)": False}
    assert found == at_one | ({ELSEWHERE: True} if elsewhere else {})
    for address, path in (("192.0.2.1", [*at_one]), ("192.0.2.2", ["this host's own port"])):
        if address in own:
            told = explain(policy(), BOUND, here, "203.0.113.7", f"{address}:8443")
            assert [*paths(told)] == path


def test_a_port_that_is_published_in_one_family_is_the_hosts_own_in_the_other() -> None:
    only_6 = inventory(container("web", "front 172.18.0.2", published="[::]:8443:443"))
    found = explain(policy(), only_6, BRIDGED, "203.0.113.7", ":8443")
    assert paths(found) == {"no path": False, ELSEWHERE: True}


def test_an_interface_after_the_at_sign_meets_rules_by_interface() -> None:
    rule = allow("iface:wg*", to="web", ports=80, line=3, written_from="vpn")
    rules = policy(rule)
    assert explain(rules, SHOP, BRIDGED, "203.0.113.7@wg0", "web:80").exit_status == 0
    assert explain(rules, SHOP, BRIDGED, "203.0.113.7@eth0", "web:80").exit_status == 3
    assert explain(rules, SHOP, BRIDGED, "203.0.113.7", "web:80").exit_status == 3


@pytest.mark.parametrize(
    ("source", "reaches"),
    [("203.0.113.7", True), ("203.0.113.7@eth0", False), ("192.0.2.7", False)],
)
def test_without_one_an_address_comes_from_where_the_route_to_it_leads(
    source: str, *, reaches: bool
) -> None:
    routes = (
        Route(ip_network("0.0.0.0/0"), "eth0"),
        Route(ip_network("203.0.113.0/24"), "wg0"),
        Route(ip_network("198.51.100.0/24"), "lo"),
    )
    here = replace(BRIDGED, routes=routes)
    by_interface = policy(allow("iface:wg*", to="web", ports=80))
    assert (explain(by_interface, SHOP, here, source, "web:80").exit_status == 0) is reaches
    nowhere = explain(policy(), SHOP, here, "198.51.100.7", "web:80")
    assert nowhere.exit_status == 3, "loopback is no way in"


# --- from this host, and between containers ------------------------------------------------------


@pytest.mark.parametrize("source", ["host", "127.0.0.1", "::1", "192.0.2.1", "exporter"])
@pytest.mark.parametrize("target", ["web:80", ":8080", "172.18.0.2:80", "exporter:9100"])
def test_this_host_always_reaches_its_containers(source: str, target: str) -> None:
    own = frozenset({ip_address("192.0.2.1")})
    closed = policy(deny("any", "bridge", line=20), baseline=())
    found = explain(closed, SHOP, BRIDGED, source, target, own)
    assert set(paths(found)) == {"from this host"}
    assert found.exit_status == 0


def test_containers_of_one_bridge_need_br_netfilter_to_be_separated() -> None:
    seen = explain(policy(baseline=()), SHOP, BRIDGED, "web", "proxy:80")
    assert ("same bridge, to 172.18.0.3", 4, False, "denied: nothing allows it") in rows(seen)
    unseen = explain(
        policy(baseline=()), SHOP, HostFacts(br_netfilter=(False, True)), "web", "proxy:80"
    )
    assert (
        "same bridge, to 172.18.0.3",
        4,
        True,
        "allowed: the kernel does not show it (br_netfilter is off)",
    ) in rows(unseen)


def test_containers_reach_each_other_by_the_baseline_on_every_path() -> None:
    found = explain(policy(), SHOP, BRIDGED, "proxy", "web:80")
    assert paths(found) == {
        "other bridge, by published port 8080 → 80": True,
        "other bridge, directly to 172.18.0.2": True,
        "same bridge, by published port 8080 → 80": True,
        "same bridge, to 172.18.0.2": True,
    }
    assert reasons(found) == {"allowed by baseline bridge"}


def test_a_deny_between_containers_closes_published_ports_too() -> None:
    closed = deny("container:shop-db-1", to="web", line=20)
    found = explain(policy(closed), SHOP, BRIDGED, "shop-db-1", "web:80")
    assert set(paths(found).values()) == {False}
    assert reasons(found) == {"denied by config.toml:20 (from container:shop-db-1)"}


def test_an_address_of_a_bridge_comes_from_that_bridge_unless_told_otherwise() -> None:
    found = explain(policy(), SHOP, BRIDGED, "172.18.0.77", "web:80")
    assert "same bridge, to 172.18.0.2" in paths(found)
    assert found.exit_status == 0


def test_containers_that_share_a_network_meet_nobody() -> None:
    found = explain(policy(baseline=()), SHOP, BRIDGED, "web", "sidecar:80")
    assert found.exit_status == 0
    assert len(found.rows) == 1


# --- the rest of the paths -----------------------------------------------------------------------


def test_a_host_network_container_is_guarded_at_the_ports_of_rules_that_name_it() -> None:
    rule = allow(OFFICE, to="exporter", ports=9100, line=5)
    rules = policy(rule)
    assert rows(explain(rules, SHOP, BRIDGED, "198.51.100.7", "exporter:9100")) == [
        (
            "host network, port 9100",
            4,
            True,
            "allowed by config.toml:5 (from 198.51.100.0/24)",
        )
    ]
    for target in ("exporter:9100", ":9100"):
        assert explain(rules, SHOP, BRIDGED, "203.0.113.7", target).exit_status == 3
        assert explain(rules, SHOP, BRIDGED, "web", target).exit_status == 3
    unguarded = explain(rules, SHOP, BRIDGED, "203.0.113.7", "exporter:22")
    assert reasons(unguarded) == {
        "allowed: no rule guards this port of the host, dockerfw leaves it alone"
    }


def test_a_macvlan_network_is_not_filtered_and_the_row_says_so() -> None:
    found = explain(policy(baseline=()), SHOP, BRIDGED, "203.0.113.7", "camera:80")
    assert rows(found) == [
        (
            "macvlan network lan, to 192.0.2.130",
            4,
            True,
            "allowed: macvlan networks cannot be filtered here",
        )
    ]


def test_a_swarm_published_port_is_allowed_by_host_port() -> None:
    gateway = network("docker_gwbridge", "172.20.0.0/16", bridge="docker_gwbridge")
    swarm = replace(SHOP, networks=(*SHOP.networks, gateway))
    rule = allow(OFFICE, published=8443, line=7)
    rules = policy(rule)
    assert paths(explain(rules, swarm, BRIDGED, "198.51.100.7", ":8443")) == {
        "swarm published 8443": True
    }
    assert paths(explain(rules, swarm, BRIDGED, "203.0.113.7", ":8443")) == {
        "swarm published 8443": False
    }


def test_a_port_of_the_host_itself_is_left_alone() -> None:
    found = explain(policy(baseline=()), SHOP, BRIDGED, "203.0.113.7", ":22")
    assert paths(found) == {"this host's own port": True}


def test_an_address_without_a_container_is_guarded_all_the_same() -> None:
    found = explain(policy(), SHOP, BRIDGED, "203.0.113.7", "172.18.0.200:80")
    assert paths(found) == {"directly to 172.18.0.200": False}


def test_a_gateway_of_a_docker_network_is_an_address_of_this_host() -> None:
    host = facts("172.18.0.1", br_netfilter=True)
    found = explain(policy(), SHOP, host, "203.0.113.7", "172.18.0.1:8080")
    assert paths(found) == {"published 8080 → web:80 (DNAT)": False}


# --- NAT that Docker did not make ----------------------------------------------------------------

WEB_4 = ip_address("172.18.0.2")
LED_ON = replace(
    BRIDGED,
    forwards=(
        PortForward(4, None, "tcp", 9999, 9999, WEB_4, 80),
        PortForward(4, None, "tcp", 81, 81, None, 8080),
        PortForward(4, None, "tcp", 82, 82, None, 22),
    ),
)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (":9999", "NAT of others 9999 → 172.18.0.2:80"),
        ("web:80", "NAT of others 9999 → 172.18.0.2:80"),
        (":81", "NAT of others 81 → this host:8080"),
    ],
)
def test_nat_of_others_is_judged_by_where_it_leads(target: str, path: str) -> None:
    verdicts = [
        paths(explain(policy(OPEN_WEB), SHOP, LED_ON, source, target))[path]
        for source in ("198.51.100.7", "203.0.113.7")
    ]
    assert verdicts == [True, False]


def test_nat_that_may_not_apply_leaves_the_port_to_the_host_or_to_who_publishes_it() -> None:
    may = replace(PortForward(4, None, "tcp", 22, 22, WEB_4, 80), conditional=True)
    here = replace(BRIDGED, forwards=(may, replace(may, first=8080, last=8080)))
    led = "NAT of others {} → 172.18.0.2:80, where it applies"
    own = "this host's own port, where NAT of others does not apply"
    found = explain(policy(OPEN_WEB), SHOP, here, "203.0.113.7", ":22")
    assert paths(found) == {led.format(22): False, own: True}
    assert found.verdict == "mixed"
    published = explain(policy(OPEN_WEB), SHOP, here, "203.0.113.7", ":8080")
    assert paths(published) == {
        led.format(8080): False,
        "published 8080 → web:80 (DNAT)": False,
    }


def test_nat_that_cannot_be_read_may_lead_a_port_on() -> None:
    may = PortForward(4, None, "tcp", 9000, 9000, None, conditional=True)
    here = replace(BRIDGED, unread_nat=(may,))
    found = explain(policy(OPEN_WEB), SHOP, here, "203.0.113.7", ":9000")
    assert paths(found) == {
        "NAT of others 9000 → where dockerfw cannot tell, where it applies": False,
        "this host's own port, where NAT of others does not apply": True,
    }
    assert explain(policy(OPEN_WEB), SHOP, here, "203.0.113.7", ":9001").exit_status == 0


def test_nat_for_one_address_leaves_the_port_to_the_host_at_its_others() -> None:
    one = PortForward(4, ip_address("192.0.2.1"), "tcp", 22, 22, WEB_4, 80)
    here = replace(facts("192.0.2.1", "192.0.2.2", br_netfilter=True), forwards=(one,))
    found = explain(policy(OPEN_WEB), SHOP, here, "203.0.113.7", ":22")
    assert paths(found) == {"NAT of others 22 → 172.18.0.2:80": False, ELSEWHERE: True}


def test_nat_of_others_to_the_hosts_own_port_is_left_alone() -> None:
    found = explain(policy(OPEN_WEB), SHOP, LED_ON, "203.0.113.7", ":82")
    assert reasons(found) == {
        "allowed: no rule guards this port of the host, dockerfw leaves it alone"
    }
