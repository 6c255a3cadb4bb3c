from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

import pytest

from dockerfw.daemon.log_lines import changes
from dockerfw.model.inventory import Container, Endpoint, Inventory, Network
from dockerfw.model.policy import Policy
from dockerfw.report.exposure import Exposures
from tests.unit.report.shop import (
    BOTH,
    DB,
    LAN,
    NETWORKS,
    SHOP,
    WEB,
    allow,
    at,
    policy,
    published,
    running,
)


def messages(old: Inventory, new: Inventory, text: str = "") -> list[str]:
    return [line.message for line in changes(old, new, Exposures(policy(text)))]


def up(container: Container, text: str = "", *others: Container) -> str:
    """What is said when this container comes."""
    (said,) = messages(running(*others), running(*others, container), text)
    return said


# --- who comes, goes and moves -------------------------------------------------------------------

MOVED = replace(DB, endpoints=(at("172.18.0.7"),))
NOT_YET = replace(DB, endpoints=(Endpoint("shop", "n1"),))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (running(DB), running(), ["shop-db-1 gone"]),
        (running(DB), running(MOVED), ["shop-db-1 moved from 172.18.0.3 to 172.18.0.7"]),
        (running(DB), running(BOTH), ["shop-db-1 joined back at 172.19.0.9"]),
        (running(BOTH), running(DB), ["shop-db-1 left back"]),
        (running(NOT_YET), running(DB), ["shop-db-1 up at 172.18.0.3"]),
        (running(DB), running(NOT_YET), ["shop-db-1 no longer at 172.18.0.3"]),
        (
            running(DB),
            running(replace(MOVED, name="pg")),
            ["shop-db-1 renamed to pg, moved from 172.18.0.3 to 172.18.0.7"],
        ),
        (
            running(DB),
            running(replace(DB, ports=(published(5432, 32769),))),
            ["shop-db-1 now has 5432/tcp published as 32769: closed (5432/tcp published as 32769)"],
        ),
        (
            running(DB),
            running(replace(DB, ports=())),
            ["shop-db-1 now has no published port: closed"],
        ),
        (
            running(DB),
            running(replace(MOVED, id="again")),
            [
                "shop-db-1 gone",
                "shop-db-1 up at 172.18.0.7: closed (5432/tcp published as 5432)",
            ],
        ),
    ],
    ids=lambda value: value[0].split(":")[0] if isinstance(value, list) else "",
)
def test_a_change_is_one_line(old: Inventory, new: Inventory, said: list[str]) -> None:
    assert messages(old, new) == said


@pytest.mark.parametrize(
    "new",
    [
        running(WEB, DB),
        running(DB, WEB),
        running(replace(WEB), replace(DB, ports=tuple(reversed(DB.ports)))),
        running(WEB, replace(DB, image="postgres:17")),
    ],
    ids=["the same", "in another order", "read again", "an image that no rule names"],
)
def test_an_event_that_changed_nothing_says_nothing(new: Inventory) -> None:
    assert messages(running(WEB, DB), new, allow('"*"', "80")) == []


def test_a_new_name_that_opens_something_says_so() -> None:
    www = replace(WEB, name="www")
    text = allow('"www"', "80")
    assert messages(running(WEB), running(www), text) == [
        "shop-web-1 renamed to www: 80/tcp open to any"
    ]
    assert messages(running(www), running(WEB), text) == ["www renamed to shop-web-1: closed"]


def test_whatever_else_opens_something_is_told() -> None:
    tagged = replace(WEB, image="nginx:1.29")
    assert messages(running(WEB), running(tagged), allow('"image:nginx:*"', "80")) == [
        "shop-web-1 changed: 80/tcp open to any"
    ]


# --- what is open to whom ------------------------------------------------------------------------


def test_in_observe_mode_nothing_is_said_to_be_closed() -> None:
    text = '[firewall]\nmode = "observe"\n'
    assert up(WEB, text) == "shop-web-1 up at 172.18.0.4: would be closed"
    assert messages(running(networks=()), running(networks=(SHOP,)), text) == [
        "network shop made (br-1234, 172.18.0.0/16): would be closed"
    ]


def test_a_rule_that_ends_says_when_and_one_that_has_ended_opens_nothing() -> None:
    rules = policy(allow('"*"', "80"))
    end = datetime(2027, 1, 31, 12, tzinfo=timezone.utc)
    (rule,) = rules.allows
    ending = replace(rules, allows=(replace(rule, until=end),))
    (line,) = changes(running(), running(WEB), Exposures(ending))
    assert line.message.endswith(": 80/tcp open to any until 2027-01-31 12:00 UTC")
    ended = replace(rules, allows=(replace(rule, until=end, sources=()),))
    (line,) = changes(running(), running(WEB), Exposures(ended))
    assert line.message.endswith(": closed")


def test_a_rule_for_a_network_opens_the_address_on_it() -> None:
    text = allow('"network:back"', "80")
    assert up(BOTH, text) == (
        "shop-db-1 up at 172.18.0.3, 172.19.0.9: 80/tcp open to any at 172.19.0.9; "
        "closed: 5432/tcp published as 5432"
    )
    assert up(WEB, text) == "shop-web-1 up at 172.18.0.4: closed"


def test_both_families() -> None:
    both = replace(WEB, endpoints=(at("172.18.0.4", SHOP, "2001:db8::4"),))
    assert up(both) == "shop-web-1 up at 172.18.0.4, 2001:db8::4: closed"


def test_one_that_shares_a_network() -> None:
    side = Container("s", "side", network_owner="d")
    assert up(side, allow('"side"', "9000"), DB) == (
        "side up on the network of shop-db-1: 9000/tcp open to any; "
        "closed: 5432/tcp published as 5432"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not guarded, as no rule names its ports"),
        (allow('"*"', "80"), "not guarded, as no rule names its ports"),
        (allow('"agent"', "80"), "80/tcp open to any; other ports are not guarded"),
        (
            '[[deny]]\nto = "agent"\nports = 80\nfrom = "any"',
            "what rules name is closed; other ports are not guarded",
        ),
        (
            allow('"agent"', "80") + '[[deny]]\nto = "agent"\nfrom = "192.0.2.7"',
            "80/tcp open to any but not 192.0.2.7; other ports are not guarded",
        ),
        (
            allow('"agent"', "80") + '[[deny]]\nfrom = "any"',
            "what rules name is closed; other ports are not guarded",
        ),
        (
            allow('"agent"', '["80-90"]') + '[[deny]]\nto = "agent"\nports = 85\nfrom = "any"',
            ("80-84/tcp, 86-90/tcp open to any; closed: 85/tcp; other ports are not guarded"),
        ),
    ],
)
def test_one_on_the_network_of_the_host(text: str, said: str) -> None:
    agent = Container("a", "agent", endpoints=(Endpoint("host", "h"),), host_network=True)
    networks = (*NETWORKS, Network("h", "host", "host"))
    (line,) = changes(
        running(networks=networks), running(agent, networks=networks), Exposures(policy(text))
    )
    assert line.message == f"agent up on this host's own network: {said}"


def test_networks_that_cannot_be_filtered_are_never_called_closed() -> None:
    on_lan = at("192.0.2.9", LAN)
    assert up(replace(WEB, endpoints=(on_lan,)), allow('"other"', "80")) == (
        "shop-web-1 up on macvlan network lan (it cannot be filtered here)"
    )
    assert up(replace(WEB, endpoints=(*WEB.endpoints, on_lan))) == (
        "shop-web-1 up on macvlan network lan (it cannot be filtered here) and at 172.18.0.4: "
        "closed"
    )


def test_one_without_a_network() -> None:
    networks = (Network("n", "none", "null"),)
    alone = Container("a", "alone", endpoints=(Endpoint("none", "n"),))
    (line,) = changes(
        running(networks=networks), running(alone, networks=networks), Exposures(Policy())
    )
    assert line.message == "alone up without a network"


def test_one_without_an_address_yet() -> None:
    assert up(NOT_YET) == "shop-db-1 up without an address: closed (5432/tcp published as 5432)"


def test_a_swarm_task_has_a_published_port_and_no_bridge() -> None:
    ingress = Network("i", "ingress", "overlay")
    task = Container("t", "task", endpoints=(Endpoint("ingress", "i"),), ports=DB.ports)
    old = running(networks=(ingress,))
    (line,) = changes(
        old,
        running(task, networks=(ingress,)),
        Exposures(policy('[[allow]]\npublished = 5432\nfrom = "any"\n')),
    )
    assert line.message == "task up on overlay network ingress: host port 5432/tcp open to any"


# --- networks ------------------------------------------------------------------------------------


def test_networks_come_before_their_containers_and_are_closed() -> None:
    old, new = running(networks=()), running(WEB, networks=(SHOP, LAN))
    assert messages(old, new) == [
        "network shop made (br-1234, 172.18.0.0/16): closed",
        "network lan made (macvlan): it cannot be filtered here",
        "shop-web-1 up at 172.18.0.4: closed",
    ]
    assert messages(new, old) == [
        "shop-web-1 gone",
        "network shop removed",
        "network lan removed",
    ]


def test_a_nic_in_a_docker_bridge_is_a_warning_once() -> None:
    joined = running(networks=(replace(SHOP, foreign_ports=("eth1",)),))
    (line,) = changes(running(networks=(SHOP,)), joined, Exposures(Policy()))
    assert (line.level, line.message) == (
        "warning",
        (
            "network shop: eth1 in its bridge br-1234 is not Docker's: the bridge counts as an "
            "outside interface now"
        ),
    )
    assert messages(joined, joined) == []


# --- hostile names, fields, cost -----------------------------------------------------------------

HOSTILE = "web\n2026-01-01 db up\x1b[2J\ud800"


def test_hostile_names_are_one_printable_line() -> None:
    network = replace(SHOP, name=HOSTILE)
    container = replace(WEB, name=HOSTILE, endpoints=(at("172.18.0.4", network),))
    side = Container("s", "side", network_owner="w")
    other = replace(
        container, name="x", endpoints=(at("172.18.0.5", network), at("192.0.2.9", LAN))
    )
    old, new = running(networks=(LAN,)), running(container, side, networks=(network, LAN))
    text = allow('"*"', '"all"')
    later = running(other, networks=(network, LAN))
    said = [*messages(old, new, text), *messages(new, later, text), *messages(later, old, text)]
    assert len(said) == 7
    assert all(line.isprintable() for line in said)


def test_fields_are_for_programs() -> None:
    (line,) = changes(running(), running(DB), Exposures(policy(allow('"*"', "80", '"192.0.2.7"'))))
    assert line.level == "info"
    assert line.fields == {
        "event": "container_up",
        "container": "shop-db-1",
        "container_id": "d",
        "addresses": "172.18.0.3",
        "open": "80/tcp open to 192.0.2.7; closed: 5432/tcp published as 5432",
    }
    (line,) = changes(running(networks=()), running(networks=(SHOP,)), Exposures(Policy()))
    assert line.fields == {
        "event": "network_made",
        "network": "shop",
        "network_id": "n1",
        "bridge": "br-1234",
    }
