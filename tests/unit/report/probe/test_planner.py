"""Which packets a probe sends, and which it cannot."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from dockerfw.errors import UsageError
from dockerfw.model.policy import Policy
from dockerfw.report.audit import Host
from dockerfw.report.probe import Caller, Plan, plan
from tests.build import allow, container, network, policy
from tests.unit.report.audit.hosts import WEB, shop, user

ANYONE = Caller("anyone", ip_address("192.0.2.77"))
OFFICE = Caller("office", ip_address("198.51.100.130"))
ANYONE6 = Caller("anyone", ip_address("2001:db8:ffff::77"))
RULES = policy(allow("198.51.100.0/24", to="web", ports=(80,)))


def planned(
    *callers: Caller, host: Host | None = None, rules: Policy = RULES, target: str | None = None
) -> Plan:
    return plan(rules, replace(host or shop(), policy=rules), callers, target)


def sent(found: Plan) -> list[tuple[str, str, int, str, bool]]:
    return [
        (one.whom, str(one.knock.address), one.knock.port, one.knock.protocol, one.allowed)
        for one in found.tries
    ]


def test_every_way_of_an_audit_is_tried_and_explain_says_what_has_to_come_of_it() -> None:
    assert sent(planned(ANYONE, OFFICE, ANYONE6)) == [
        ("anyone", "203.0.113.1", 8080, "tcp", False),
        ("office", "203.0.113.1", 8080, "tcp", True),
        ("anyone", "2001:db8:1::1", 8080, "tcp", False),
        ("anyone", "172.18.0.2", 80, "tcp", False),
        ("office", "172.18.0.2", 80, "tcp", True),
        ("anyone", "172.18.0.2", 1, "tcp", False),
        ("office", "172.18.0.2", 1, "tcp", False),
        ("anyone", "172.18.0.2", 1, "udp", False),
        ("office", "172.18.0.2", 1, "udp", False),
    ]


def test_what_should_get_in_is_waited_for_longer() -> None:
    patience = {one.allowed: one.knock.patience for one in planned(OFFICE).tries}
    assert patience[True] > patience[False]


def test_while_it_observes_everything_has_to_get_in() -> None:
    assert all(one.allowed for one in planned(ANYONE, rules=replace(RULES, mode="observe")).tries)


@pytest.mark.parametrize(
    ("target", "ports"),
    [
        ("web", [8080, 80, 1, 1]),
        ("web:80", [8080, 80]),
        (":8080", [8080]),
        ("172.18.0.2:80", [80]),
        ("other", [1, 1]),
        ("web:81", [1]),
    ],
)
def test_a_target_is_a_container_or_what_explain_takes(target: str, ports: list[int]) -> None:
    host = shop(WEB, container("other", "front 172.18.0.3"))
    found = planned(ANYONE, host=host, target=target)
    assert [one.knock.port for one in found.tries] == ports


def test_a_target_that_does_not_run_is_refused() -> None:
    with pytest.raises(UsageError, match="did you mean web"):
        planned(ANYONE, target="wep")


def test_what_no_packet_of_this_host_can_try_is_listed_with_the_reason() -> None:
    host = shop(
        network("lan", "192.0.2.0/24", driver="macvlan"),
        container("camera", "lan 192.0.2.7"),
        container("web", "front 172.18.0.2", published="127.0.0.1:9090:80/tcp"),
        container("sctp", "front 172.18.0.3", published="203.0.113.1:5000:5000/sctp"),
    )
    rules = policy(allow("any", to="web", ports=("icmp",)))
    found = planned(ANYONE, host=host, rules=rules)
    assert {one.what: one.reason for one in found.not_tried} == {
        "camera, all ports macvlan 192.0.2.7": "no packet of this host gets there",
        "web:80 loopback 127.0.0.1:9090": "only a neighbour can send such packets, on its own link",
        "sctp:5000/sctp published 203.0.113.1:5000/sctp": "a probe sends TCP and UDP alone",
        "sctp:5000/sctp direct 172.18.0.3": "a probe sends TCP and UDP alone",
        "ping": "a probe sends TCP and UDP alone",
    }


def test_rules_of_others_for_an_interface_are_named_since_a_probe_does_not_meet_them() -> None:
    found = planned(ANYONE, host=shop(tables=user("-i eth0 -j DROP")))
    assert "rules of others for eth0" in [one.what for one in found.not_tried]


def test_without_a_policy_an_audit_says_what_has_to_come_of_it() -> None:
    rule = "-p tcp -m tcp --dport 80 -j DROP"
    found = plan(None, shop(tables=user(rule)), (ANYONE,))
    assert {(one.way.path, one.knock.port): (one.allowed, one.reason) for one in found.tries} == {
        ("published", 8080): (False, f"refused by `{rule}` in filter DOCKER-USER of iptables-nft"),
        ("direct", 80): (False, f"refused by `{rule}` in filter DOCKER-USER of iptables-nft"),
        ("direct", 1): (False, "refused by the policy (drop) of filter FORWARD of iptables-nft"),
    }
    open_ = plan(None, shop(), (ANYONE,), "web:80").tries
    assert [one.allowed for one in open_] == [True, True]


def test_what_an_audit_does_not_know_is_not_tried() -> None:
    rule = "-m mark --mark 0x7 -j DROP"
    found = plan(None, shop(tables=user(rule)), (ANYONE,), "web:80")
    assert found.tries == ()
    why = (
        f"dockerfw audit does not know whether `{rule}` in filter DOCKER-USER of iptables-nft holds"
    )
    assert {one.what: one.reason for one in found.not_tried} == {
        "web:80 published 8080": why,
        "web:80 direct 172.18.0.2": why,
    }


def test_there_is_an_end_to_it() -> None:
    found = plan(RULES, replace(shop(), policy=RULES), (ANYONE, OFFICE), most=3)
    assert len(found.tries) == 3
    assert [one.what for one in found.not_tried] == ["5 more tries"]
