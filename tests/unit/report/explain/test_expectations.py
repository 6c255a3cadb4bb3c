"""``[[expect]]``: what is an error, and what cannot be checked now."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from dockerfw.model.host import PortForward
from dockerfw.model.policy import Expect, Origin, Policy
from dockerfw.report.explain import broken_expectations
from tests.build import allow, policy
from tests.unit.report.explain.scene import BRIDGED, OPEN_WEB, SHOP


def expecting(source: str, target: str, *, allowed: bool) -> Policy:
    return policy(OPEN_WEB, Expect(Origin("config.toml", 30), source, target, allowed))


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


@pytest.mark.parametrize("allowed", [True, False])
def test_the_hosts_own_port_at_other_addresses_breaks_no_expectation_of_a_published_one(
    *, allowed: bool
) -> None:
    found = broken_expectations(expecting("203.0.113.7", ":9090", allowed=allowed), SHOP, BRIDGED)
    assert (len(found.errors), found.warnings) == (1 if allowed else 0, ())


@pytest.mark.parametrize("allowed", [True, False])
def test_an_expectation_that_depends_on_nat_with_unknown_conditions_is_not_checked(
    *, allowed: bool
) -> None:
    web = ip_address("172.18.0.2")
    may = PortForward(4, None, "tcp", 22, 22, web, 80, conditional=True)
    here = replace(BRIDGED, forwards=(may,))
    found = broken_expectations(expecting("203.0.113.7", ":22", allowed=allowed), SHOP, here)
    assert found.errors == ()
    (warning,) = found.warnings
    assert "NAT of others" in warning


def test_a_broken_expectation_names_path_and_line() -> None:
    found = broken_expectations(expecting("198.51.100.7", "web:80", allowed=False), SHOP, BRIDGED)
    (error,) = found.errors
    assert error == (
        "config.toml:30: expected denied, but 198.51.100.7 reaches web:80 (published 8080 → "
        "80): allowed by config.toml:3 (from office), and likewise on 1 more path"
    )
    found = broken_expectations(expecting("203.0.113.7", "web:80", allowed=True), SHOP, BRIDGED)
    assert found.errors[0].startswith(
        "config.toml:30: expected allowed, but 203.0.113.7 does not reach web:80 "
    )


def test_a_verdict_that_differs_by_path_breaks_either_expectation() -> None:
    rule = allow("any", published=8080, line=7)
    for allowed in (False, True):
        rules = replace(expecting("203.0.113.7", "web:80", allowed=allowed), allows=(rule,))
        assert len(broken_expectations(rules, SHOP, BRIDGED).errors) == 1


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
