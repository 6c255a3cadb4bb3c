"""What an answer means beside what the policy says."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from dockerfw.model.foreign import ForeignTable
from dockerfw.model.knock import Answer, Heard
from dockerfw.model.policy import OnDeny
from dockerfw.report.probe import Caller, Probed, judged, plan
from tests.build import allow, policy
from tests.unit.report.audit.hosts import docker, shop

CALLER = Caller("anyone", ip_address("192.0.2.77"))
OPEN = policy(allow("any", to="web", ports=(80,)))
CLOSED = policy()
QUIET = docker(forward="ACCEPT")


def told(
    heard: Heard,
    *,
    allowed: bool = False,
    tables: tuple[ForeignTable, ...] = QUIET,
    on_deny: OnDeny = "drop",
) -> Probed:
    rules = OPEN if allowed else CLOSED
    host = replace(shop(tables=tables), policy=rules)
    tries = plan(rules, host, [CALLER], ":8080").tries
    return judged(tries, [heard], (), tables, on_deny=on_deny)


@pytest.mark.parametrize(
    ("answer", "passed", "allowed", "outcome", "found"),
    [
        ("answered", True, True, "agrees", "answered"),
        ("refused", True, True, "agrees", "let in, no one listens"),
        ("silent", True, True, "agrees", "let in, no answer"),
        ("silent", False, False, "agrees", "no answer"),
        ("refused", False, False, "agrees", "refused"),
        ("answered", True, False, "disagrees", "answered"),
        ("refused", True, False, "disagrees", "let in, no one listens"),
        ("silent", True, False, "disagrees", "let in, no answer"),
        ("silent", False, True, "disagrees", "no answer"),
        # Where nobody listens the seal answers so, in the kernel's place.
        ("refused", False, True, "not told", "refused"),
        ("silent", None, False, "not told", "no answer"),
        # An answer is an answer, whatever the kernel has told.
        ("answered", None, False, "disagrees", "answered"),
        ("answered", False, True, "agrees", "answered"),
    ],
)
def test_whether_it_got_in_decides(
    answer: Answer, passed: bool | None, allowed: bool, outcome: str, found: str
) -> None:
    (row,) = told(Heard(answer, passed), allowed=allowed).rows
    assert (row.outcome, row.found) == (outcome, found)


def test_a_reset_is_dockerfws_own_where_it_rejects() -> None:
    found = told(Heard("refused", False), allowed=True, on_deny="reject")
    assert not found.agrees


@pytest.mark.parametrize(
    ("rule", "by"),
    [
        ("-A DOCKER-USER -s 192.0.2.0/24 -j DROP", "`-s 192.0.2.0/24 -j DROP` in filter "),
        ("-A DOCKER-USER -m mark --mark 0x1 -j DROP", "another, perhaps `-m mark --mark 0x1 -j "),
    ],
)
def test_what_a_rule_of_others_drops_is_refused_by_another(rule: str, by: str) -> None:
    tables = docker(rule, forward="ACCEPT")
    (row,) = told(Heard("silent", False), allowed=True, tables=tables).rows
    assert row.outcome == "refused by another"
    assert row.by.startswith(by)


def test_a_rule_for_another_interface_explains_nothing() -> None:
    tables = docker("-A DOCKER-USER -i eth0 -j DROP", forward="ACCEPT")
    assert not told(Heard("silent", False), allowed=True, tables=tables).agrees
