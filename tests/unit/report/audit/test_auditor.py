"""Who gets in by which way, and why."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from dockerfw.model.host import PortForward
from dockerfw.model.net import Port
from dockerfw.model.surroundings import Early, Listener, Surroundings
from dockerfw.report.audit import audit
from dockerfw.report.open_ports import Range
from tests.build import allow, container, deny, inventory, network, policy
from tests.unit.report.audit.hosts import AROUND, FACTS, FRONT, WEB, answer, docker, row, shop, user

STANDS = "of iptables-nft"


def test_what_docker_publishes_is_open_to_anyone_by_its_own_rule() -> None:
    found = row(audit(shop()), "published")
    assert (found.reach, found.who, found.host_ports) == (
        "anyone",
        "anyone",
        Range("tcp", 8080, 8080),
    )
    assert found.reason == (
        "let in by `-d 172.18.0.2/32 ! -i br-front -o br-front -p tcp -m tcp --dport 80 -j ACCEPT` "
        f"in filter DOCKER {STANDS}"
    )


def test_an_address_of_this_host_of_which_rules_speak_apart_has_a_row_of_its_own() -> None:
    two = replace(FACTS, addresses=FACTS.addresses | {ip_address("203.0.113.3")})
    host = replace(shop(tables=docker("-A INPUT -d 203.0.113.3 -j DROP")), facts=two)
    rows = [one for one in audit(host).rows if one.path == "published"]
    assert [(one.at, one.reach) for one in rows] == [("", "anyone")], "as at all others"
    proxied = replace(host, facts=replace(two, docker_rules=False))
    rows = [one for one in audit(proxied).rows if one.path == "docker-proxy" and 4 in one.families]
    assert [(one.at, one.reach) for one in rows] == [("", "anyone"), ("203.0.113.3", "nobody")]


def test_the_policy_may_speak_of_an_address_apart_too() -> None:
    rules = policy(allow("any", published="203.0.113.3:8080"))
    two = replace(FACTS, addresses=FACTS.addresses | {ip_address("203.0.113.3")})
    host = replace(shop(), facts=two, in_force="enforcing", policy=rules)
    rows = [one for one in audit(host).rows if one.path == "published"]
    assert [(one.at, one.reach) for one in rows] == [("203.0.113.3", "anyone"), ("", "nobody")]


def test_a_very_wide_network_is_the_world() -> None:
    halves = ("-s 0.0.0.0/1 -j RETURN", "-s 128.0.0.0/1 -j RETURN", "-j DROP")
    tables = docker(*(f"-A DOCKER-USER {rule}" for rule in halves))
    assert answer(shop(tables=tables)) == ("anyone", "0.0.0.0/1, 128.0.0.0/1")


def test_without_an_address_of_that_family_docker_proxy_answers() -> None:
    found = row(audit(shop()), "docker-proxy", 6)
    assert (found.reach, found.reason) == (
        "anyone",
        "docker-proxy listens there, and no rule refuses it",
    )


def test_where_no_docker_proxy_listens_nobody_gets_in() -> None:
    host = replace(shop(), around=replace(AROUND, listeners=()))
    assert answer(host, "docker-proxy", 6) == ("nobody", "nobody")


def test_the_own_address_is_for_neighbours_as_far_as_the_rules_let_them() -> None:
    found = audit(shop())
    own = {one.ports.others: one for one in found.rows if one.path == "direct"}
    assert (own[False].reach, own[False].who) == ("neighbours", "neighbours")
    assert own[True].reach == "nobody"
    assert own[True].reason == f"refused by the policy (drop) of filter FORWARD {STANDS}"


def test_all_ports_of_an_address_are_one_row_where_the_answer_is_one() -> None:
    (own,) = [
        one for one in audit(shop(tables=docker(forward="ACCEPT"))).rows if one.path == "direct"
    ]
    assert (own.ports.others, own.ports.ranges) == (True, ())


@pytest.mark.parametrize(
    "rule, reach, who",
    [
        ("-j DROP", "nobody", "nobody"),
        ("! -s 198.51.100.0/24 -j DROP", "some", "198.51.100.0/24"),
        ("-s 198.51.100.0/24 -j DROP", "anyone", "anyone but not 198.51.100.0/24"),
        ("-i eth0 -j DROP", "some", "anyone by wg0"),
        ("-i wg0 -j DROP", "anyone", "anyone by eth0"),
        ("-i eth0 ! -s 10.0.0.0/8 -j DROP", "some", "10.0.0.0/8 by eth0; anyone by wg0"),
        ("-m mark --mark 0x1 -j DROP", "unknown", "perhaps anyone"),
        # A source within Docker's own networks is no stranger's.
        ("-s 172.18.0.0/16 -j RETURN", "anyone", "anyone"),
        ("-m conntrack --ctorigdstport 8080 --ctdir ORIGINAL -j DROP", "nobody", "nobody"),
    ],
)
def test_rules_in_docker_user_say_who_gets_in(rule: str, reach: str, who: str) -> None:
    assert answer(shop(tables=user(rule))) == (reach, who)


def test_what_sees_packets_before_the_rules_makes_it_unknown() -> None:
    host = replace(shop(), around=replace(AROUND, early=(Early("XDP", "eth0"),)))
    found = audit(host)
    assert row(found, "published").reason == (
        "what it does with them: XDP on eth0 sees packets before any rule"
    )
    assert "unknown: what XDP on eth0 does with packets, before any rule" in found.notes
    assert found.may_be_open


def test_a_port_of_loopback_is_for_neighbours_where_nat_stands() -> None:
    local = container("web", "front 172.18.0.2", published="127.0.0.1:9090:80")
    assert answer(shop(local), "loopback") == ("neighbours", "neighbours")
    assert answer(shop(local, tables=()), "loopback") == ("nobody", "nobody")


def test_a_container_on_the_hosts_network_is_found_by_its_sockets() -> None:
    agent = container("web", host_network=True)
    listeners = (
        Listener(Port("tcp", 9100), None, (4, 6), "agent", agent.id),
        Listener(Port("tcp", 9101), ip_address("127.0.0.1"), (4,), "agent", agent.id),
    )
    host = replace(shop(agent), around=replace(AROUND, listeners=listeners))
    assert [(one.path, str(one.ports.ranges[0])) for one in audit(host).rows] == [
        ("host network", "9100/tcp")
    ]
    blind = replace(shop(agent), around=replace(AROUND, listeners=None))
    assert {one.reach for one in audit(blind).rows} == {"unknown"}
    assert audit(blind).own_ports is None


def test_no_rule_sees_macvlan() -> None:
    lan = network("lan", "192.168.7.0/24", driver="macvlan")
    found = row(audit(shop(container("web", "lan 192.168.7.9"), lan)), "macvlan")
    assert (found.reach, found.reason) == ("neighbours", "no rule of this host sees its packets")


def test_a_network_of_another_driver_is_not_known() -> None:
    odd = network("odd", "192.168.7.0/24", driver="weave")
    found = row(audit(shop(container("web", "odd 192.168.7.9"), odd)), "other network")
    assert (found.reach, found.reason) == ("unknown", "what the network driver weave lets in")


def test_over_its_bridge_a_foreign_interface_is_a_way_in() -> None:
    mixed = replace(FRONT, foreign_ports=("eth1",))
    host = replace(shop(), inventory=inventory(mixed, WEB))
    assert answer(host, "bridged") == ("neighbours", "neighbours")
    seen = replace(host, facts=replace(FACTS, br_netfilter=(True, True)))
    assert answer(seen, "bridged") == ("unknown", "perhaps neighbours")


def test_nat_of_others_leads_to_a_container() -> None:
    forward = PortForward(4, None, "tcp", 9443, 9443, ip_address("172.18.0.2"), 80)
    host = replace(shop(), facts=replace(FACTS, forwards=(forward,)))
    assert answer(host, "forwarded") == ("anyone", "anyone")
    conditional = replace(forward, conditional=True)
    host = replace(shop(), facts=replace(FACTS, forwards=(conditional,)))
    assert answer(host, "forwarded") == ("unknown", "perhaps anyone")


def test_what_a_host_does_not_forward_is_closed() -> None:
    host = replace(shop(), around=replace(AROUND, forwarding=(6,)))
    assert answer(host) == ("nobody", "nobody")
    assert answer(host, "direct") == ("nobody", "nobody")


def test_neighbouring_ports_are_one_row() -> None:
    ports = ("8100:8100", "8101:8101", "8102:8102", "9000:90")
    found = audit(
        shop(container("web", "front 172.18.0.2", published=ports), tables=docker(forward="ACCEPT"))
    )
    rows = [one for one in found.rows if one.path == "published"]
    assert [str(one.host_ports) for one in rows] == ["8100-8102/tcp", "9000/tcp"]


def test_containers_that_share_a_network_are_one_row() -> None:
    sidecar = container("sidecar", network_owner=WEB)
    assert row(audit(shop(WEB, sidecar)), "published").containers == ("web", "sidecar")


def test_what_has_no_way_in_is_named() -> None:
    worker = container("worker")
    assert audit(shop(WEB, worker)).no_way_in == ("worker",)


def test_ports_of_the_host_itself_are_counted_apart() -> None:
    assert audit(shop()).own_ports == (("22", "sshd"),)


def test_ufw_does_not_see_what_docker_publishes() -> None:
    tables = docker(":ufw-user-input - [0:0]")
    assert [note for note in audit(shop(tables=tables)).notes if "ufw" in note]
    assert not [note for note in audit(shop()).notes if "ufw" in note]


# --- with dockerfw -------------------------------------------------------------------------------

RULES = policy(allow("198.51.100.0/24", to="web", ports=(80,), line=7))


def test_enforcing_the_policy_says_who_gets_in() -> None:
    host = replace(shop(), in_force="enforcing", policy=RULES)
    found = row(audit(host), "published")
    assert (found.reach, found.who, found.reason) == (
        "some",
        "198.51.100.0/24",
        "allowed by config.toml:7",
    )
    proxied = row(audit(host), "docker-proxy", 6)
    assert (proxied.reach, proxied.reason) == ("nobody", "denied: nothing allows it")


def test_what_the_policy_lets_pass_others_may_refuse() -> None:
    host = replace(shop(tables=user("-j DROP")), in_force="enforcing", policy=RULES)
    assert (
        row(audit(host), "published").reason
        == f"refused by `-j DROP` in filter DOCKER-USER {STANDS}"
    )


def test_whom_the_policy_lets_in_others_may_let_in_in_part() -> None:
    tables = user("! -s 10.0.0.0/8 -j DROP")
    host = replace(shop(tables=tables), in_force="enforcing", policy=RULES)
    assert answer(host) == ("some", "198.51.100.0/24, as far as others let in 10.0.0.0/8")


def test_who_is_denied_is_taken_out_of_anyone() -> None:
    rules = policy(allow("any", to="web", ports=(80,)), deny("203.0.113.0/24"))
    host = replace(shop(), in_force="enforcing", policy=rules)
    assert answer(host) == ("anyone", "anyone but not 203.0.113.0/24")


def test_observing_all_is_as_it_stands_with_what_enforcing_would_make_of_it() -> None:
    rules = replace(RULES, mode="observe")
    found = audit(replace(shop(), in_force="observing", policy=rules))
    published, proxied = row(found, "published"), row(found, "docker-proxy", 6)
    assert (published.reach, published.enforced) == ("anyone", "open to 198.51.100.0/24")
    assert (proxied.reach, proxied.enforced) == ("anyone", "closed")


def test_out_of_sync_nothing_is_called_closed_that_the_policy_alone_closes() -> None:
    host = replace(shop(), in_force="not in sync", policy=RULES)
    found = row(audit(host), "docker-proxy", 6)
    assert (found.reach, found.who) == ("unknown", "perhaps anyone")
    assert "dockerfw status" in found.reason


def test_a_host_without_containers_has_nothing_open() -> None:
    found = audit(replace(shop(), inventory=inventory(FRONT), around=Surroundings()))
    assert (found.rows, found.may_be_open) == ((), False)
