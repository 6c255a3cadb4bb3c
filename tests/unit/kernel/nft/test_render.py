"""The documents that ``nft -f`` gets."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from dockerfw.errors import Failed
from dockerfw.kernel.nft.render import closes_proxies, document, expected, render, seal_elements
from dockerfw.model.host import Cgroup
from dockerfw.model.net import Port
from dockerfw.plan.state import OddElement, SealElement
from dockerfw.plan.steps import ChangeSeal, RemoveSeal, ReplaceSeal, WriteSeal
from dockerfw.rules.names import SealFamily
from tests.unit.kernel.nft.listing import SEAL

SLICED = replace(
    SEAL, proxies=Cgroup("dockerd.slice", 1, 4711), dockerd_ports=frozenset({Port("tcp", 2375)})
)


def test_the_document_replaces_the_table_in_one_transaction() -> None:
    text = document(SEAL)
    assert text.startswith("add table inet dockerfw\ndelete table inet dockerfw\n")
    assert render(WriteSeal("the seal", ReplaceSeal(SEAL))) == text


def test_taking_out_a_table_that_is_not_there_is_no_error() -> None:
    assert (
        render(WriteSeal("remove the seal", RemoveSeal()))
        == "add table inet dockerfw\ndelete table inet dockerfw\n"
    )
    both = frozenset[SealFamily](("bridge", "inet"))
    assert render(WriteSeal("remove the seal", RemoveSeal(both))) == (
        "add table inet dockerfw\ndelete table inet dockerfw\n"
        "add table bridge dockerfw\ndelete table bridge dockerfw\n"
    )


def test_elements_alone_are_added_and_deleted_set_by_set() -> None:
    change = ChangeSeal(
        added=frozenset(
            {
                SealElement("port4", Port("udp", 53)),
                SealElement("port4", Port("tcp", 8080)),
                SealElement("addr6", (ip_address("::1:2"), Port("sctp", 9))),
            }
        ),
        deleted=frozenset(
            {
                SealElement("foreign", "virbr0"),
                SealElement("dockerd", Port("tcp", 2375)),
                SealElement("port6", OddElement("1 . 0")),
                SealElement("others", "veth0"),
            }
        ),
    )
    assert render(WriteSeal("the seal", change)) == (
        "delete element inet dockerfw dockerd { 6 . 2375 }\n"
        'delete element inet dockerfw foreign { "virbr0" }\n'
        'delete element bridge dockerfw others { "veth0" }\n'
        "delete element inet dockerfw port6 { 1 . 0 }\n"
        "add element inet dockerfw addr6 { ::0.1.0.2 . 132 . 9 }\n"
        "add element inet dockerfw port4 { 17 . 53, 6 . 8080 }\n"
    )
    assert render(WriteSeal("the seal", ChangeSeal())) == ""


def test_a_ping_is_no_port_that_a_seal_could_guard() -> None:
    assert seal_elements(SEAL) == {
        SealElement("foreign", "virbr0"),
        SealElement("port4", Port("tcp", 8080)),
        SealElement("addr6", (ip_address("2001:db8::1"), Port("udp", 53))),
    }


def test_the_rule_on_docker_proxys_cgroup_is_asked_last_after_what_meets_no_socket() -> None:
    rules = [line.strip() for line in document(SLICED).splitlines()]
    rules = [line.partition(" comment ")[0] for line in rules]
    end = rules.index(
        'meta l4proto { tcp, udp } socket cgroupv2 level 1 "dockerd.slice" counter drop'
    )
    unheard = rules.index("chain unheard {")
    assert rules[unheard + 1] == "type filter hook input priority 150; policy accept;"
    assert rules[end - 9 : end] == [
        "reject with icmpx port-unreachable",
        "}",
        "chain proxies {",
        "type filter hook input priority 151; policy accept;",
        'iifname "lo" accept',
        "meta mark & 0x20000000 == 0x20000000 accept",
        "meta l4proto . th dport @dockerd accept",
        "ct direction reply socket wildcard 0 accept",
        'meta iifkind "bridge" fib saddr . iif oif exists jump inside',
    ]
    assert rules[end + 1] == "}"
    assert "6 . 2375" in document(SLICED)
    assert SealElement("dockerd", Port("tcp", 2375)) in expected(SLICED).elements
    assert "fib saddr type local counter drop" in rules


def test_where_the_inside_is_restricted_it_passes_no_proxy_by_its_bridge() -> None:
    assert "oif exists" in document(SLICED)
    assert "oif exists" not in document(replace(SLICED, inside=False))


def test_a_seal_without_a_cgroup_has_no_such_rule() -> None:
    assert "socket" not in document(SEAL)
    assert not closes_proxies(expected(SEAL), SEAL)


def test_a_cgroup_that_was_made_anew_is_another_one() -> None:
    anew = replace(SLICED, proxies=Cgroup("dockerd.slice", 1, 4712))
    live = expected(SLICED)
    assert closes_proxies(live, SLICED)
    assert not closes_proxies(live, anew)
    assert not closes_proxies(None, SLICED)
    assert live.frame != expected(anew).frame
    assert live.elements == expected(anew).elements


def test_in_observe_mode_the_rule_on_the_cgroup_counts() -> None:
    observed = document(replace(SLICED, observe=True))
    assert '"dockerd.slice" counter comment' in observed
    assert "reject" not in observed


@pytest.mark.parametrize("path", ['a"b', "a b", "a\nb", "a\\x2db", "a;b", "", "x" * 201])
def test_a_cgroup_that_nft_cannot_write_is_refused(path: str) -> None:
    with pytest.raises(Failed, match="cannot be written"):
        document(replace(SEAL, proxies=Cgroup(path, 1, 4711)))


@pytest.mark.parametrize("name", ['br"0', "br 0", "br*", "br;0", "a-name-that-is-too-long", ""])
def test_a_bridge_name_that_nft_cannot_write_is_refused(name: str) -> None:
    with pytest.raises(Failed, match="rename it"):
        document(replace(SEAL, foreign_bridges=frozenset({name})))
    with pytest.raises(Failed, match="rename it"):
        document(replace(SEAL, bridges=frozenset({name})))
    for change in (
        ChangeSeal(added=frozenset({SealElement("foreign", name)})),
        ChangeSeal(deleted=frozenset({SealElement("mixed", name)})),
    ):
        with pytest.raises(Failed, match="rename it"):
            render(WriteSeal("the seal", change))


def test_of_a_lockdown_no_mark_counts_but_among_vms_of_a_mixed_bridge() -> None:
    marked = "meta mark & 0x30000000 == 0x30000000"
    seal = replace(SEAL, mark=0x30000000)
    usual = document(seal)
    assert usual.count(f" {marked} accept") >= 1
    assert usual.count(f" {marked} goto passed") == 1
    shut = document(replace(seal, shut=True))
    assert "passed" not in shut
    (line,) = [one for one in shut.splitlines() if f"{marked} accept" in one]
    assert line.strip().startswith(f"iifname @mixed oifname @mixed {marked} accept")
