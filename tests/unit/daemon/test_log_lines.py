from __future__ import annotations

from dataclasses import fields, replace
from datetime import datetime, timezone
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest

from dockerfw.daemon.log_lines import changes
from dockerfw.model.inventory import Container, Endpoint, Inventory, Network, PublishedPort
from dockerfw.model.policy import Policy
from dockerfw.policy.document import Document
from dockerfw.policy.parser import parse
from dockerfw.report.exposure import Exposures

SHOP = Network("n1", "shop", "bridge", "br-1234", (ip_network("172.18.0.0/16"),))
BACK = Network("n2", "back", "bridge", "br-5678", (ip_network("172.19.0.0/16"),))
LAN = Network("n3", "lan", "macvlan", None, (ip_network("192.0.2.0/24"),))
NETWORKS = (SHOP, BACK, LAN)
LISTS = {"block.netset": "203.0.113.0/24\n", "empty.netset": "\n"}


def at(address: str, network: Network = SHOP, ipv6: str | None = None) -> Endpoint:
    six = IPv6Address(ipv6) if ipv6 else None
    return Endpoint(network.name, network.id, IPv4Address(address), six)


def published(
    port: int, host_port: int, host: str = "0.0.0.0", protocol: str = "tcp"
) -> PublishedPort:
    return PublishedPort(ip_address(host), host_port, port, protocol)  # type: ignore[arg-type]


WEB = Container("w", "shop-web-1", endpoints=(at("172.18.0.4"),))
DB = Container(
    "d",
    "shop-db-1",
    endpoints=(at("172.18.0.3"),),
    ports=(published(5432, 5432), published(5432, 5432, "::")),
)


def running(*containers: Container, networks: tuple[Network, ...] = NETWORKS) -> Inventory:
    return Inventory(containers, networks)


def policy(text: str) -> Policy:
    def read_file(_document: str, path: str) -> bytes:
        return LISTS[path].encode()

    return parse([Document("config.toml", text.encode())], read_file)


def allow(to: str, ports: str, source: str = '"any"') -> str:
    return f"[[allow]]\nto = {to}\nports = {ports}\nfrom = {source}\n"


def messages(old: Inventory, new: Inventory, text: str = "") -> list[str]:
    return [line.message for line in changes(old, new, Exposures(policy(text)))]


def up(container: Container, text: str = "", *others: Container) -> str:
    """What is said when this container comes."""
    (said,) = messages(running(*others), running(*others, container), text)
    return said


# --- who comes, goes and moves -------------------------------------------------------------------

MOVED = replace(DB, endpoints=(at("172.18.0.7"),))
BOTH = replace(DB, endpoints=(*DB.endpoints, at("172.19.0.9", BACK)))
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

OFFICE = '[sources]\noffice = ["198.51.100.0/24"]\n'
ALLOW_PUBLISHED = '[[allow]]\npublished = 5432\nfrom = "any"\n'
DENY_PUBLISHED = '[[deny]]\npublished = "5000-6000"\nfrom = "any"'
EXPOSED = replace(
    WEB,
    ports=(published(80, 8080), published(80, 8080, "::"), published(9000, 9000, "127.0.0.1")),
)


@pytest.mark.parametrize(
    ("container", "text", "said"),
    [
        (WEB, "", "closed"),
        (DB, "", "closed (5432/tcp published as 5432)"),
        (WEB, allow('"shop-web-1"', "80"), "80/tcp open to any"),
        (WEB, allow('"shop-*"', '[80, "443/udp"]'), "80/tcp, 443/udp open to any"),
        (WEB, allow('["*", "!shop-web-*"]', "80"), "closed"),
        (WEB, allow('"other"', "80"), "closed"),
        (WEB, allow('"*"', '["icmp", "all"]'), "ping, all ports open to any"),
        (WEB, allow('"*"', '"published"'), "closed"),
        (
            EXPOSED,
            allow('"*"', '"published"'),
            "80/tcp, 9000/tcp open to any",
        ),
        (
            EXPOSED,
            allow('"*"', "80"),
            "80/tcp open to any; closed: 9000/tcp published as 127.0.0.1:9000",
        ),
        (
            WEB,
            OFFICE
            + allow('"*"', "80")
            + allow('"*"', '"8000-8100"', '["office", "iface:wg0"]')
            + allow('"*"', "443"),
            "80/tcp, 443/tcp open to any; 8000-8100/tcp open to office, iface:wg0",
        ),
        (
            DB,
            '[[allow]]\npublished = 5432\nfrom = "192.0.2.7"',
            "host port 5432/tcp open to 192.0.2.7",
        ),
        (
            DB,
            '[[allow]]\npublished = "198.51.100.1:5432"\nfrom = "any"',
            "host port 198.51.100.1:5432/tcp open to any; closed: 5432/tcp published as 5432",
        ),
        (
            DB,
            '[[allow]]\npublished = 5432\nto = "web"\nfrom = "any"',
            "closed (5432/tcp published as 5432)",
        ),
        (WEB, '[[allow]]\npublished = 8080\nfrom = "any"', "closed"),
        (
            WEB,
            '[defaults]\nbaseline = ["bridge", "192.0.2.7"]',
            "all ports open to 192.0.2.7",
        ),
        (WEB, allow('"*"', "80", '"file:empty.netset"'), "closed"),
        (
            WEB,
            allow('"*"', "80") + '[[deny]]\nfrom = "file:block.netset"',
            "80/tcp open to any; denied to file:block.netset",
        ),
        (
            WEB,
            allow('"*"', "80") + '[[deny]]\nto = "*"\nports = ["443", "80-90"]\nfrom = "192.0.2.7"',
            "80/tcp open to any; 443/tcp, 80-90/tcp denied to 192.0.2.7",
        ),
        (
            WEB,
            allow('"*"', "80") + '[[deny]]\nto = "*"\nports = 443\nfrom = "192.0.2.7"',
            "80/tcp open to any",
        ),
        (
            WEB,
            allow('"*"', "80") + '[[deny]]\nto = "other"\nfrom = "192.0.2.7"',
            "80/tcp open to any",
        ),
        (WEB, allow('"*"', "80", '"192.0.2.7"') + '[[deny]]\nfrom = "any"', "closed"),
        (
            WEB,
            allow('"*"', "80", '["192.0.2.7", "iface:wg0"]') + '[[deny]]\nfrom = "any"',
            "80/tcp open to 192.0.2.7, iface:wg0; denied to any",
        ),
        (
            EXPOSED,
            allow('"*"', '["80", "443"]') + '[[deny]]\nto = "*"\nports = "1-100"\nfrom = "any"',
            (
                "443/tcp open to any; closed: 80/tcp published as 8080, "
                "9000/tcp published as 127.0.0.1:9000"
            ),
        ),
        (
            EXPOSED,
            allow('"*"', '["80", "443"]') + '[[deny]]\nto = "*"\nports = "published"\nfrom = "any"',
            (
                "443/tcp open to any; closed: 80/tcp published as 8080, "
                "9000/tcp published as 127.0.0.1:9000"
            ),
        ),
        (
            EXPOSED,
            allow('"*"', "80") + '[[deny]]\npublished = 8080\nfrom = "192.0.2.7"',
            (
                "80/tcp open to any; host port 8080/tcp denied to 192.0.2.7; "
                "closed: 9000/tcp published as 127.0.0.1:9000"
            ),
        ),
        (
            DB,
            ALLOW_PUBLISHED + DENY_PUBLISHED,
            "closed (5432/tcp published as 5432)",
        ),
    ],
)
def test_the_line_says_what_is_open_to_whom(container: Container, text: str, said: str) -> None:
    address = container.endpoints[0].ipv4
    assert up(container, text) == f"{container.name} up at {address}: {said}"


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
            "80/tcp open to any; denied to 192.0.2.7; other ports are not guarded",
        ),
        (
            allow('"agent"', "80") + '[[deny]]\nfrom = "any"',
            "what rules name is closed; other ports are not guarded",
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
    (line,) = changes(old, running(task, networks=(ingress,)), Exposures(policy(ALLOW_PUBLISHED)))
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


def labels_asked(others: int) -> int:
    """How often a container is asked for a label, for a new one beside so many that stay."""
    asked = 0

    class Counting(Container):
        def label(self, key: str) -> str | None:
            nonlocal asked
            asked += 1
            return super().label(key)

    def counting(container: Container, name: str) -> Container:
        values = {field.name: getattr(container, field.name) for field in fields(container)}
        return Counting(**{**values, "id": name, "name": name})

    crowd = tuple(counting(WEB, f"c{n}") for n in range(others))
    rules = policy(allow('"shop-*"', "80") + allow('["compose:a", "!web"]', '"published"'))
    new = counting(DB, DB.name)
    list(changes(running(*crowd), running(*crowd, new), Exposures(rules)))
    return asked


def test_a_line_costs_the_same_however_many_others_run() -> None:
    assert labels_asked(200) == labels_asked(0) > 0
