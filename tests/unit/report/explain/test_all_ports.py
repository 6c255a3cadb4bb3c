"""A target without a port has a line for each port that is known of it."""

from __future__ import annotations

import json

import pytest

from dockerfw.report.explain import PortList, answer
from tests.build import allow, policy
from tests.unit.report.explain.scene import BRIDGED, OFFICE, OPEN_WEB, SHOP

RULES = policy(OPEN_WEB, allow(OFFICE, to="web", ports=("8000-8100/udp", "icmp"), line=7))


def listed(source: str, target: str) -> PortList:
    found = answer(RULES, SHOP, BRIDGED, source, target)
    assert isinstance(found, PortList)
    return found


@pytest.mark.parametrize("target", ["web", "container:web", "/web", "172.18.0.2"])
def test_ports_that_are_published_and_ports_of_rules_are_listed(target: str) -> None:
    found = listed("198.51.100.7", target)
    ports = [answer.target.rpartition(":")[2] for answer in found.answers]
    assert ports == ["icmp", "80", "90", "8000/udp"]
    assert (found.verdict, found.exit_status) == ("mixed", 4)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_there_is_a_line_a_port_and_the_way_to_the_paths(width: int) -> None:
    lines = listed("198.51.100.7", "web").lines(width)
    assert lines == (
        "198.51.100.7 → web: 3 of 4 ports allowed",
        "  icmp      allowed by config.toml:7 (from 198.51.100.0/24)",
        "  80        allowed by config.toml:3 (from office)",
        "  90        denied: nothing allows it",
        "  8000/udp  allowed by config.toml:7 (from 198.51.100.0/24)",
        "path by path: dockerfw explain 198.51.100.7 web:icmp",
    )


def test_all_denied_is_3_and_all_allowed_is_0() -> None:
    assert listed("203.0.113.7", "shop-db-1").exit_status == 3
    assert listed("host", "web").exit_status == 0


def test_the_document_has_the_answer_for_each_port() -> None:
    document = json.loads(json.dumps(listed("198.51.100.7", "web").to_json()))
    assert [port["target"] for port in document["ports"]] == [
        "web:icmp", "web:80", "web:90", "web:8000/udp",
    ]  # fmt: skip
    assert (document["verdict"], document["in_force"]) == ("mixed", True)
