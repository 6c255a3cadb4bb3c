"""A policy held against a host and what runs there."""

from __future__ import annotations

import pytest

from dockerfw.errors import PolicyError
from dockerfw.operations.check import RECORDED, check
from dockerfw.policy.document import Document
from dockerfw.policy.files import PolicyText
from tests import build
from tests.clock import NOW

SHOP = build.inventory(
    build.network("front", "172.18.0.0/16"),
    build.container("web", "front 172.18.0.2", published="8080:80"),
)
ENDS = """
[[allow]]
to = "web"
ports = [80]
from = ["203.0.113.7"]
until = 2027-01-15T12:00:00Z
"""
EXPECTED = ENDS + '[[expect]]\nfrom = "203.0.113.7"\nto = "web:80"\nis = "allowed"\n'
ENDED = NOW + 86_400.0
"""After 2027-01-15, on which `NOW` is in the morning."""


def text(policy: str) -> PolicyText:
    return PolicyText((Document("config.toml", policy.encode()),))


def test_an_expectation_that_holds_is_no_warning() -> None:
    checked = check(text(EXPECTED), SHOP, RECORDED, NOW)
    assert (checked.warnings, checked.unenforced) == ((), ())


def test_a_rule_that_has_ended_meets_no_expectation() -> None:
    with pytest.raises(PolicyError) as refused:
        check(text(EXPECTED), SHOP, RECORDED, ENDED)
    (finding,) = refused.value.findings
    assert finding.startswith("config.toml:7: ")


def test_a_rule_that_has_ended_is_a_warning() -> None:
    (warning,) = check(text(ENDS), SHOP, RECORDED, ENDED).warnings
    assert warning.startswith("config.toml:2: ")


def test_the_bridges_ports_of_others_come_with_the_facts() -> None:
    facts = build.facts("192.0.2.10", bridges=("br-front eth1",), br_netfilter=True)
    (network,) = check(text(ENDS), SHOP, facts, NOW).inventory.networks
    assert network.foreign_ports == ("eth1",)
