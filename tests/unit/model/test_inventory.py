"""Which containers a selector names, at which addresses, and where a container's network is."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given, strategies as st

from dockerfw.model.inventory import (
    Container,
    Endpoint,
    Inventory,
    Network,
    PublishedPort,
    is_interface_name,
)
from dockerfw.model.policy import Selector, SelectorKind
from tests.strategies import profile

FRONT = Network("f", "front", "bridge", "br-front", (ip_network("172.18.0.0/16"),))
BACK = Network("b", "back", "bridge", "br-back", (ip_network("172.19.0.0/16"),))
LAN = Network("m", "lan", "macvlan", None)
HOST = Network("h", "host", "host", None)


def labels(**values: str) -> tuple[tuple[str, str], ...]:
    return tuple((key.replace("_", "."), value) for key, value in values.items())


def compose(project: str, service: str | None = None) -> tuple[tuple[str, str], ...]:
    found = [("com.docker.compose.project", project)]
    if service is not None:
        found.append(("com.docker.compose.service", service))
    return tuple(found)


AT_FRONT = Endpoint("front", "f", IPv4Address("172.18.0.2"), IPv6Address("fd00:18::2"))
AT_BACK = Endpoint("back", "b", IPv4Address("172.19.0.2"))
AT_LAN = Endpoint("lan", "m", IPv4Address("192.0.2.50"))

WEB = Container(
    "1",
    "shop-web-1",
    "registry:5000/nginx:1.27",
    compose("shop", "web") + labels(tier="front"),
    (AT_BACK, AT_FRONT, AT_LAN),
    (PublishedPort(IPv4Address(0), 8080, 80, "tcp"),),
)
DB = Container(
    "2",
    "shop-db-1",
    "postgres:16",
    compose("shop", "db") + labels(tier="data"),
    (Endpoint("back", "b", IPv4Address("172.19.0.3")),),
)
TASK = Container(
    "3",
    "api.1.xyz",
    "api@sha256:" + "0" * 64,
    (("com.docker.swarm.service.name", "api"),),
    (Endpoint("back", "b", IPv4Address("172.19.0.4")),),
)
HOSTNET = Container("4", "dns", endpoints=(Endpoint("host", "h"),), host_network=True)
SIDE = Container("5", "side", "tool", network_owner="1")
ODD = Container("6", "a[b]?c", "x/y", compose("lonely"))
ALL = Inventory((WEB, DB, TASK, HOSTNET, SIDE, ODD), (FRONT, BACK, LAN, HOST))


def chosen(*selectors: Selector) -> list[str]:
    return [container.name for container, _ in ALL.select(selectors)]


NAMED: dict[str, tuple[SelectorKind, str, str | None, list[str]]] = {
    "a name": ("container", "shop-db-1", None, ["shop-db-1"]),
    "a name is not a prefix": ("container", "shop-db", None, []),
    "a name is not a suffix": ("container", "db-1", None, []),
    "a name minds its case": ("container", "Shop-db-1", None, []),
    "a wildcard": ("container", "shop-*-1", None, ["shop-web-1", "shop-db-1"]),
    "all": ("container", "*", None, [c.name for c in ALL.containers]),
    "brackets and question marks are ordinary": ("container", "a[b]?c", None, ["a[b]?c"]),
    "a question mark is no wildcard": ("container", "shop-db-?", None, []),
    "brackets are no wildcard": ("container", "shop-db-[0-9]", None, []),
    "a dot is a dot": ("container", "api.1*xyz", None, ["api.1.xyz"]),
    "a project": ("compose", "shop", None, ["shop-web-1", "shop-db-1"]),
    "a service of a project": ("compose", "shop", "db", ["shop-db-1"]),
    "all services of a project": ("compose", "shop", "*", ["shop-web-1", "shop-db-1"]),
    "a service of any project": ("compose", "*", "web", ["shop-web-1"]),
    "a project without a service has no service of that name": ("compose", "lonely", "web", []),
    "a project without a service": ("compose", "lonely", None, ["a[b]?c"]),
    "a label": ("label", "tier", None, ["shop-web-1", "shop-db-1"]),
    "a label with its value": ("label", "tier", "data", ["shop-db-1"]),
    "a label with an empty value": ("label", "tier", "", []),
    "a label is no wildcard": ("label", "tie*", None, []),
    "the value of a label is no wildcard": ("label", "tier", "*", []),
    "an image": ("image", "postgres:16", None, ["shop-db-1"]),
    "an image of whatever tag": ("image", "postgres:*", None, ["shop-db-1"]),
    "an image of a registry": ("image", "registry:5000/*", None, ["shop-web-1"]),
    "an image without its tag": ("image", "postgres", None, []),
    "a network": ("network", "back", None, ["shop-web-1", "shop-db-1", "api.1.xyz", "side"]),
    "a network is no wildcard": ("network", "ba*", None, []),
    "a service of the swarm": ("service", "api", None, ["api.1.xyz"]),
}


@pytest.mark.parametrize("case", NAMED)
def test_a_selector_names(case: str) -> None:
    kind, name, detail, expected = NAMED[case]
    assert chosen(Selector(kind, name, detail)) == expected


def test_plain_selectors_add_up_and_negated_ones_take_out_whatever_their_order() -> None:
    shop, web, task = Selector("compose", "shop"), Selector("container", "*web*"), TASK.name
    without_web = replace(web, negated=True)
    expected = ["shop-db-1", "api.1.xyz"]
    assert chosen(shop, without_web, Selector("container", task)) == expected
    assert chosen(without_web, Selector("container", task), shop) == expected


def test_negated_selectors_alone_start_from_all_containers() -> None:
    everyone_else = [c.name for c in ALL.containers if c is not DB]
    assert chosen(Selector("container", DB.name, negated=True)) == everyone_else
    assert chosen() == [c.name for c in ALL.containers]


def at(container: Container, *selectors: Selector) -> tuple[Endpoint, ...]:
    return dict(ALL.select(selectors))[container]


def test_a_network_names_a_container_at_its_address_there_and_no_other() -> None:
    assert at(WEB, Selector("network", "front")) == (AT_FRONT,)
    assert at(WEB, Selector("network", "front"), Selector("network", "back")) == (
        AT_BACK,
        AT_FRONT,
    )


def test_any_other_selector_names_a_container_at_all_its_bridges() -> None:
    assert at(WEB, Selector("container", "shop-web-1")) == (AT_BACK, AT_FRONT)
    assert at(WEB, Selector("network", "front"), Selector("label", "tier")) == (AT_BACK, AT_FRONT)


def test_an_address_on_macvlan_is_not_ours_to_filter() -> None:
    assert AT_LAN not in ALL.endpoints(WEB)
    assert at(WEB, Selector("network", "lan")) == ()


def test_a_container_in_anothers_network_is_at_the_donors_addresses_and_ports() -> None:
    assert ALL.endpoints(SIDE) == ALL.endpoints(WEB)
    assert ALL.published(SIDE) == WEB.ports
    assert at(SIDE, Selector("network", "front")) == (AT_FRONT,)
    assert at(SIDE, Selector("container", "side")) == ALL.endpoints(WEB)


def test_a_donor_may_share_a_network_in_turn() -> None:
    third = Container("7", "third", network_owner="5")
    inventory = replace(ALL, containers=(*ALL.containers, third))
    assert inventory.network_owner(third) is WEB
    assert inventory.endpoints(third) == inventory.endpoints(WEB)


def test_a_donor_on_the_host_network_shares_that() -> None:
    side = Container("7", "side", network_owner=HOSTNET.id)
    inventory = replace(ALL, containers=(*ALL.containers, side))
    assert inventory.on_host_network(side)
    assert inventory.on_host_network(HOSTNET)
    assert not inventory.on_host_network(WEB)
    assert inventory.endpoints(side) == ()


@pytest.mark.parametrize("network_owner", ["nobody", "8", "9"])
def test_without_a_donor_that_runs_there_is_no_address(network_owner: str) -> None:
    ring = (
        Container("8", "x", network_owner=network_owner),
        Container("9", "y", network_owner="8"),
    )
    inventory = Inventory(ring, (FRONT,))
    assert [inventory.endpoints(c) for c in ring] == [(), ()]


def test_bridges_are_networks_with_an_interface_that_the_kernel_filters() -> None:
    template = Network("t", "template", "bridge", None)
    outside = Network("o", "outside", "macvlan", "eth0")
    assert Inventory((), (FRONT, LAN, HOST, template, outside)).bridges() == (FRONT,)


def test_a_network_is_found_by_its_id() -> None:
    assert ALL.network("b") is BACK
    assert ALL.network("back") is None


def test_what_is_kept_for_looking_up_is_no_part_of_the_value() -> None:
    same = Inventory(ALL.containers, ALL.networks)
    assert same == ALL
    assert hash(same) == hash(ALL)
    assert "_index" not in repr(ALL)
    assert replace(ALL, networks=()).bridges() == ()


@pytest.mark.parametrize("address", ["0.0.0.0", "::"])
def test_an_unspecified_address_is_a_wildcard(address: str) -> None:
    host = IPv4Address(address) if "." in address else IPv6Address(address)
    assert PublishedPort(host, 80, 80, "tcp").wildcard


@profile(4)
@given(st.text(), st.text())
def test_without_a_star_a_pattern_names_exactly_itself(pattern: str, name: str) -> None:
    pattern = pattern.replace("*", "+")
    inventory = Inventory((Container("1", name), Container("2", pattern)))
    expected = [c for c in inventory.containers if c.name == pattern]
    assert [c for c, _ in inventory.select([Selector("container", pattern)])] == expected


@profile(4)
@given(st.lists(st.text(alphabet="ab*[]?!^-.\n\\", max_size=4), min_size=1, max_size=4))
def test_a_star_stands_for_any_text(parts: list[str]) -> None:
    parts = [part.replace("*", "") for part in parts]
    name, pattern = "\n[x]".join(parts), "*".join(parts)
    inventory = Inventory((Container("1", name),))
    assert len(inventory.select([Selector("container", pattern)])) == 1


@pytest.mark.parametrize("name", ["eth0", "br-0123456789ab", "docker_gwbridge", "wg0.7", "a@b:c+d"])
def test_plain_interface_names_may_stand_in_kernel_text(name: str) -> None:
    assert is_interface_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "x" * 16,
        "a b",
        "a/b",
        "eth0\n",
        "\neth0",
        'a"',
        "a'b",
        "a,b",
        "a;b",
        "brücke",
    ],
)
def test_no_other_text_may_stand_for_an_interface(name: str) -> None:
    assert not is_interface_name(name)
