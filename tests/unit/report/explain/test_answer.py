"""What is asked besides one address and one port: lists, interfaces, no policy at all."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest

from dockerfw.errors import UsageError
from dockerfw.model.foreign import ForeignTable
from dockerfw.model.policy import Policy
from dockerfw.model.routes import Route
from dockerfw.report.explain import Explanation, PortList, answer, open_to_all
from dockerfw.report.explain.explanation import Row
from tests.build import container, facts, inventory, network
from tests.policy_text import read
from tests.unit.report.audit.hosts import docker, user
from tests.unit.report.explain.scene import BRIDGED, OPEN_WEB, SHOP, paths, reasons

NAMED = """
[sources]
office = ["198.51.100.0/24", "2001:db8:10::/48"]
vpn = ["iface:wg0"]
team = ["container:proxy"]
both = ["198.51.100.0/24", "192.0.2.0/24"]

[[allow]]
to = "web"
ports = [80]
from = ["office", "vpn"]
"""


def asked(source: str, target: str = "web:80", policy: Policy | None = None) -> Explanation:
    found = answer(policy or read(NAMED), SHOP, BRIDGED, source, target)
    assert isinstance(found, Explanation)
    return found


def test_a_list_of_sources_is_a_source() -> None:
    found = asked("office")
    assert found.verdict == "allowed"
    assert reasons(found) == {"allowed by config.toml:8 (from office)"}
    assert asked("office", "shop-db-1:5432").verdict == "denied"


def test_where_a_list_is_let_in_in_part_its_addresses_are_told_apart() -> None:
    found = asked("both")
    assert found.verdict == "mixed"
    assert paths(found)["directly to 172.18.0.2, from 198.51.100.1"]
    assert not paths(found)["directly to 172.18.0.2, from 192.0.2.1"]


def test_a_list_of_containers_asks_as_these() -> None:
    assert {row.path.split(",")[0] for row in asked("team").rows} >= {"same bridge"}


def test_a_list_of_an_interface_asks_as_somebody_behind_it() -> None:
    routed = replace(BRIDGED, routes=(Route(ip_network("10.8.0.0/24"), "wg0"),))
    found = answer(read(NAMED), SHOP, routed, "vpn", "web:80")
    assert found.verdict == "allowed"
    with pytest.raises(UsageError, match="ADDRESS@INTERFACE"):
        asked("vpn")


def test_an_interface_that_is_not_there_is_refused_with_the_nearest() -> None:
    known = replace(BRIDGED, interfaces=frozenset({"eth0", "wg0"}))
    rules = read(NAMED)
    with pytest.raises(UsageError, match=r"no interface wgo; did you mean wg0\?"):
        answer(rules, SHOP, known, "10.8.0.2@wgo", "web:80")
    assert answer(rules, SHOP, known, "10.8.0.2@wg0", "web:80").verdict == "allowed"
    assert answer(rules, SHOP, BRIDGED, "10.8.0.2@wgo", "web:80").verdict == "denied", (
        "of a recorded inventory nobody knows the interfaces"
    )


@pytest.mark.parametrize("source", ["203.0.113.7", "proxy", "172.18.0.99"])
def test_without_a_policy_everything_is_open(source: str) -> None:
    found = open_to_all(SHOP, BRIDGED, source, "web:80")
    assert isinstance(found, Explanation)
    assert (found.verdict, found.exit_status) == ("allowed", 0)
    assert found.lines()[0] == "NOT PROTECTED: no policy is in force, so dockerfw filters nothing"
    assert found.lines()[1] == f"{source} → web:80: OPEN on all paths"
    assert found.to_json()["in_force"] is False
    assert found.remedy == ()


def test_what_only_this_host_reaches_is_not_open_without_a_policy_either() -> None:
    found = open_to_all(SHOP, facts("203.0.113.1"), "203.0.113.7", "127.0.0.1:9090")
    assert found.verdict == "denied"


def test_without_a_policy_dockers_nat_leads_neighbours_to_a_port_of_127_0_0_1() -> None:
    local = inventory(
        network("front", "172.18.0.0/16"),
        container("web", "front 172.18.0.2", published="127.0.0.1:9090:80"),
    )

    def row(tables: tuple[ForeignTable, ...]) -> Row:
        asked = ("203.0.113.7@eth0", "127.0.0.1:9090")
        found = open_to_all(local, facts("203.0.113.1"), *asked, tables)
        assert isinstance(found, Explanation)
        (row,) = found.rows
        assert row.path == "published 127.0.0.1:9090 → web:80 (DNAT), from a neighbour"
        assert (row.allowed, row.rule) == (True, None)
        return row

    assert row(docker()).others == ()
    refused = row(user("-m conntrack --ctorigdstport 9090 --ctdir ORIGINAL -j DROP")).others
    assert [text.partition("`")[2].partition(" -j")[0] for text in refused] == [
        "-m conntrack --ctorigdstport 9090 --ctdir ORIGINAL"
    ]


def test_without_a_policy_every_port_of_a_container_is_listed() -> None:
    found = open_to_all(SHOP, BRIDGED, "203.0.113.7", "shop-db-1")
    assert isinstance(found, PortList)
    assert found.lines()[1:3] == (
        "203.0.113.7 → shop-db-1: 1 of 1 ports allowed",
        "  5432  open: no policy is in force",
    )


def test_a_policy_in_force_says_so() -> None:
    found = asked("203.0.113.7", policy=replace(Policy(), allows=(OPEN_WEB,)))
    assert found.in_force
    assert found.verdict == "denied"
