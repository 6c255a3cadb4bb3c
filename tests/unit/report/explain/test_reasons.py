"""Which line of the policy decides, and what is denied as spoofed."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from ipaddress import ip_address

import pytest

from dockerfw.report.explain import explain
from tests.build import address_list, allow, deny, policy
from tests.unit.report.explain.scene import BLOCK, BLOCKED, BRIDGED, OFFICE, OPEN_WEB, SHOP, reasons


def test_what_nothing_allows_is_denied_on_all_paths() -> None:
    found = explain(policy(OPEN_WEB), SHOP, BRIDGED, "203.0.113.7", "web:80/tcp")
    assert reasons(found) == {"denied: nothing allows it"}
    assert found.exit_status == 3


def test_a_deny_is_named_before_the_allow_that_it_beats() -> None:
    rules = policy(OPEN_WEB, BLOCK)
    found = explain(rules, SHOP, BRIDGED, "198.51.100.66", "web:80")
    assert reasons(found) == {"denied by config.toml:20 (from blocklist)"}
    assert found.exit_status == 3


def test_the_baseline_that_decides_is_named() -> None:
    rules = policy(baseline=("bridge", OFFICE))
    found = explain(rules, SHOP, BRIDGED, "198.51.100.7", "web:80")
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
    rule = allow("203.0.113.9", OFFICE, to="web", ports=80, line=3, written_from=written)
    found = explain(policy(rule), SHOP, BRIDGED, "198.51.100.7", "web:80")
    assert reasons(found) == {f"allowed by config.toml:3 (from {said})"}


def test_a_rule_that_ends_says_when() -> None:
    rule = replace(OPEN_WEB, until=datetime(2027, 1, 31, tzinfo=timezone.utc))
    found = explain(policy(rule), SHOP, BRIDGED, "198.51.100.7", "web:80")
    assert reasons(found) == {"allowed by config.toml:3 (from office) until 2027-01-31 00:00 UTC"}


def test_a_long_list_and_a_wide_range_are_attributed_as_well() -> None:
    many = address_list("se.netset", *(f"198.51.{n}.0/24" for n in range(200)))
    rule = allow(many, to="*", ports="1-65535", line=9)
    found = explain(policy(rule), SHOP, BRIDGED, "198.51.100.7", "web:4711")
    assert reasons(found) == {"allowed by config.toml:9 (from file:se.netset)"}


def test_a_deny_without_ports_closes_the_host_ports_that_another_rule_names() -> None:
    rules = policy(
        allow("any", to="exporter", ports=9100, line=5), deny(BLOCKED, to="exporter", line=6)
    )
    found = explain(rules, SHOP, BRIDGED, "198.51.100.66", "exporter:9100")
    assert reasons(found) == {"denied by config.toml:6 (from 198.51.100.66)"}


# --- spoofed -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source", ["172.18.0.3@eth0", "172.18.0.3@br-back", "172.19.0.77@br-front"]
)
def test_an_address_of_a_docker_network_from_elsewhere_is_spoofed(source: str) -> None:
    everything = policy(allow("any", "bridge", to="web", ports=80, line=3))
    found = explain(everything, SHOP, BRIDGED, source, "web:80")
    assert all(row.reason.startswith("forged: ") for row in found.rows if row.path[:2] != "P4")
    assert not any(row.allowed for row in found.rows)


def test_this_hosts_own_address_is_spoofed_when_it_comes_in_on_an_interface() -> None:
    own = frozenset({ip_address("192.0.2.1")})
    rules = policy(allow("any", to="web", ports=80, line=3))
    found = explain(rules, SHOP, BRIDGED, "192.0.2.1@eth0", "web:80", own)
    assert not any(row.allowed for row in found.rows)
    assert all(row.reason.startswith("forged: ") for row in found.rows)


def test_spoofed_packets_are_shown_as_dropped_in_observe_too() -> None:
    found = explain(policy(mode="observe"), SHOP, BRIDGED, "172.18.0.9@eth0", "web:80")
    assert not any(row.allowed for row in found.rows)
