"""What is printed, and the JSON document."""

from __future__ import annotations

import json

import pytest

from dockerfw.model.host import HostFacts
from dockerfw.report.explain import explain
from tests.build import policy
from tests.unit.report.explain.scene import BLOCK, BRIDGED, OPEN_WEB, SHOP


def test_observe_says_what_enforce_would_do() -> None:
    found = explain(policy(mode="observe"), SHOP, BRIDGED, "203.0.113.7", "web:80")
    assert found.exit_status == 3
    assert "OBSERVING" in found.lines()[0]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_lines_fit_the_terminal(width: int) -> None:
    rules = policy(OPEN_WEB, BLOCK)
    for source in ("198.51.100.7", "2001:db8::7", "proxy", "host"):
        found = explain(rules, SHOP, HostFacts(), source, "shop-db-1:5432")
        assert max(map(len, found.lines(width))) <= width


def test_the_document_has_every_row() -> None:
    found = explain(policy(OPEN_WEB), SHOP, BRIDGED, "198.51.100.7", "web:80")
    document = json.loads(json.dumps(found.to_json()))
    assert document["verdict"] == "allowed"
    assert document["paths"][0] == {
        "path": "published 8080 → 80 (DNAT)",
        "family": 4,
        "allowed": True,
        "reason": "allowed by config.toml:3 (from office)",
        "others": [],
        "refused_by": None,
        "rule": {"file": "config.toml", "line": 3},
    }
