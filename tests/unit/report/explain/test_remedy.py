"""A denial ends with the rule that would allow it, and that rule does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dockerfw.report.explain import Explanation, answer
from dockerfw.report.explain.reasons import LOCKED_DOWN
from tests.policy_text import read
from tests.unit.report.explain.scene import BRIDGED, SHOP

LISTS = '[sources]\noffice = ["198.51.100.0/24"]\n'
NO_BASELINE = "[defaults]\nbaseline = []\n"


def asked(text: str, source: str, target: str) -> Explanation:
    found = answer(read(text), SHOP, BRIDGED, source, target)
    assert isinstance(found, Explanation)
    return found


@pytest.mark.parametrize(
    "source, target, lines",
    [
        ("203.0.113.7", "shop-db-1:5432", ('to    = "shop-db-1"', "ports = [5432]")),
        ("2001:db8::7", "shop-db-1:5432", ('from  = ["2001:db8::7"]',)),
        ("203.0.113.7", "web:53/udp", ('ports = ["53/udp"]',)),
        ("203.0.113.7", "web:icmp", ('ports = ["icmp"]',)),
        ("203.0.113.7", ":8080", ("published = [8080]",)),
        ("203.0.113.7", "172.18.0.2:80", ('to    = "web"',)),
        ("proxy", "shop-db-1:5432", ('from  = ["container:proxy"]',)),
        ("172.19.0.3", "shop-db-1:5432", ('from  = ["container:proxy"]',)),
        ("office", "web:80", ('from  = ["office"]',)),
    ],
)
def test_the_rule_that_is_shown_lets_it_in(
    source: str, target: str, lines: tuple[str, ...]
) -> None:
    found = asked(NO_BASELINE + LISTS, source, target)
    assert found.verdict == "denied"
    assert found.lines()[-len(found.remedy) - 1].startswith("To allow it")
    assert set(lines) <= set(found.remedy)
    rule = "\n".join(found.remedy)
    assert asked(f"{NO_BASELINE}{LISTS}{rule}\n", source, target).verdict == "allowed"


@pytest.mark.parametrize(
    "text, source, target",
    [
        ('[[deny]]\nfrom = ["203.0.113.0/24"]\n', "203.0.113.7", "web:80"),
        ("", "172.18.0.99@eth0", "web:80"),
        ("", "203.0.113.7", "camera:80"),
        ("", "203.0.113.7", "127.0.0.1:9090"),
        ("", "proxy", "web:80"),
        ('[[allow]]\nto = "web"\nports = [80]\nfrom = ["any"]\n', "203.0.113.7", "web:80"),
    ],
    ids=["denied by a rule", "spoofed", "not here", "loopback", "allowed", "allowed too"],
)
def test_where_no_rule_would_do_none_is_shown(text: str, source: str, target: str) -> None:
    assert asked(text, source, target).remedy == ()


def test_while_all_is_locked_down_no_rule_would_do_and_the_next_step_is_told() -> None:
    locked = replace(read(NO_BASELINE), locked_down=True)
    found = answer(locked, SHOP, BRIDGED, "203.0.113.7", "web:80")
    assert isinstance(found, Explanation)
    assert {row.reason for row in found.rows} == {LOCKED_DOWN}
    assert found.remedy == ()
