"""An inventory survives its file, whatever its names; a file written by hand is checked."""

from __future__ import annotations

import json
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_network
from typing import Any

import pytest
from hypothesis import given, strategies as st

from dockerfw.errors import UsageError
from dockerfw.model.host import Backend
from dockerfw.model.inventory import Container, Endpoint, Inventory, Network, PublishedPort
from dockerfw.state.inventory_file import dump, load
from tests.strategies import profile

HOSTILE = "\n*filter\n-A INPUT -j ACCEPT\nCOMMIT\"'`$(reboot)\\\x00\x1b[2J\u2028\u202e\U0001f4a5"

texts = st.text(max_size=20) | st.just(HOSTILE)
ports = st.integers(1, 65535)
protocols = st.sampled_from(["tcp", "udp", "sctp"])
# An address with a zone (fe80::1%eth0) is none that Docker gives to a container.
ipv6 = st.ip_addresses(v=6).map(lambda a: IPv6Address(int(a)))
ipv4 = st.ip_addresses(v=4)
interfaces = st.from_regex(r"[a-z][a-z0-9.:@+_-]{0,14}", fullmatch=True)


subnets = st.builds(
    lambda a, n: ip_network(f"{a}/{n}", strict=False), ipv4, st.integers(0, 32)
) | st.builds(lambda a, n: IPv6Network(f"{a}/{n}", strict=False), ipv6, st.integers(0, 128))

endpoints = st.builds(Endpoint, texts, texts, st.none() | ipv4, st.none() | ipv6)
bindings = st.builds(PublishedPort, ipv4 | ipv6, ports, ports, protocols)
containers = st.builds(
    Container,
    id=texts,
    name=texts,
    image=texts,
    labels=st.dictionaries(texts, texts, max_size=3).map(lambda d: tuple(d.items())),
    endpoints=st.lists(endpoints, max_size=3).map(tuple),
    ports=st.lists(bindings, max_size=3).map(tuple),
    host_network=st.booleans(),
    network_owner=st.none() | texts,
    routed=st.lists(st.tuples(protocols, ports), max_size=2).map(tuple),
)
networks = st.builds(
    Network,
    id=texts,
    name=texts,
    driver=texts,
    bridge=st.none() | interfaces,
    subnets=st.lists(subnets, max_size=3).map(tuple),
    internal=st.booleans(),
    foreign_ports=st.lists(texts, max_size=2).map(tuple),
)
inventories = st.builds(
    Inventory,
    st.lists(containers, max_size=3).map(tuple),
    st.lists(networks, max_size=3).map(tuple),
    texts,
)


@profile(2)
@given(inventories)
def test_what_was_written_comes_back_as_it_was(inventory: Inventory) -> None:
    assert load(dump(inventory)) == inventory


@pytest.mark.parametrize("backend", ["iptables", "nftables", None])
def test_what_docker_writes_its_rules_with_is_kept(backend: Backend | None) -> None:
    inventory = Inventory(engine="29.0.4", backend=backend)
    assert load(dump(inventory)) == inventory


@profile(2)
@given(inventories)
def test_a_file_is_plain_ascii_with_a_schema_and_a_newline_at_its_end(
    inventory: Inventory,
) -> None:
    text = dump(inventory)
    assert text.isascii()
    assert text.endswith("}\n")
    assert not any(ord(letter) < 32 and letter != "\n" for letter in text)
    assert json.loads(text)["schema"] == 1


def test_names_and_labels_of_any_size_survive() -> None:
    long = HOSTILE + "x" * 65536
    container = Container("1", long, long, ((long, long),))
    assert load(dump(Inventory((container,)))).containers == (container,)


# --- files written by hand -----------------------------------------------------------------------


def sample() -> dict[str, Any]:
    container = Container(
        "1",
        "web",
        "nginx",
        (("a", "b"),),
        (Endpoint("n", "2", IPv4Address("172.18.0.2"), IPv6Address("fd00::2")),),
        (PublishedPort(IPv4Address(0), 8080, 80, "tcp"),),
        routed=(("tcp", 81),),
    )
    network = Network("2", "n", "bridge", "br-n", (ip_network("172.18.0.0/16"),))
    document: dict[str, Any] = json.loads(dump(Inventory((container,), (network,))))
    return document


def test_a_file_by_hand_may_leave_out_what_it_does_not_know() -> None:
    text = json.dumps(
        {
            "schema": 1,
            "containers": [{"id": "1", "name": "web"}],
            "networks": [{"id": "2", "name": "n", "driver": "bridge"}],
        }
    )
    assert load(text) == Inventory((Container("1", "web"),), (Network("2", "n", "bridge"),))
    assert load('{"schema": 1}') == Inventory()


Edit = Callable[[dict[str, Any]], object]


def container(key: str, value: object) -> Edit:
    return lambda document: document["containers"][0].update({key: value})


def endpoint(key: str, value: object) -> Edit:
    return lambda document: document["containers"][0]["endpoints"][0].update({key: value})


def port(key: str, value: object) -> Edit:
    return lambda document: document["containers"][0]["ports"][0].update({key: value})


def network(key: str, value: object) -> Edit:
    return lambda document: document["networks"][0].update({key: value})


def top(key: str, value: object) -> Edit:
    return lambda document: document.update({key: value})


FIRST = "inventory.containers[0]"
WRONG: dict[str, tuple[Edit, str]] = {
    "no schema": (top("schema", None), 'no "schema": 1'),
    "a later schema": (top("schema", 2), 'no "schema": 1'),
    "true is no schema": (top("schema", True), 'no "schema": 1'),
    "an unknown field": (top("container", []), "inventory: unknown field 'container'"),
    "another backend": (
        top("firewall_backend", "ebtables"),
        "inventory.firewall_backend must be iptables or nftables",
    ),
    "an engine that is a number": (top("engine", 29), "inventory.engine must be text"),
    "containers that are none": (top("containers", {}), "inventory.containers must be a list"),
    "a container that is none": (top("containers", ["web"]), f"{FIRST} must be an object"),
    "no id": (container("id", None), f"{FIRST}.id must be text"),
    "a name that is a number": (container("name", 7), f"{FIRST}.name must be text"),
    "half a letter": (container("name", "\ud800"), f"{FIRST}.name must be text"),
    "an unknown field of a container": (container("port", 1), f"{FIRST}: unknown field 'port'"),
    "labels that are a list": (container("labels", ["a"]), f"{FIRST}.labels must be an object"),
    "a label that is a number": (container("labels", {"a": 1}), f"{FIRST}.labels must be text"),
    "a flag that is text": (
        container("host_network", "yes"),
        f"{FIRST}.host_network must be true or false",
    ),
    "a donor that is a number": (
        container("donor", 1),
        f"{FIRST}.donor must be text",
    ),
    "routed ports without a protocol": (
        container("routed", [{"container_port": 80}]),
        f"{FIRST}.routed[0].protocol must be tcp, udp or sctp",
    ),
    "an IPv6 address for an IPv4 one": (
        endpoint("ipv4", "::1"),
        f"{FIRST}.endpoints[0].ipv4 must be an IPv4 address",
    ),
    "an IPv4 address for an IPv6 one": (
        endpoint("ipv6", "192.0.2.1"),
        f"{FIRST}.endpoints[0].ipv6 must be an IPv6 address",
    ),
    "an address with a zone": (
        endpoint("ipv6", "fe80::1%a\n-j ACCEPT"),
        f"{FIRST}.endpoints[0].ipv6 must be an IP address",
    ),
    "an address that is a number": (
        endpoint("ipv4", 7),
        f"{FIRST}.endpoints[0].ipv4 must be an IP address",
    ),
    "no host address": (
        port("host_address", None),
        f"{FIRST}.ports[0].host_address must be an IP address",
    ),
    "port 0": (port("host_port", 0), f"{FIRST}.ports[0].host_port must be a port from 1 to"),
    "port 65536": (port("host_port", 65536), f"{FIRST}.ports[0].host_port must be a port"),
    "a port that is text": (port("host_port", "80"), f"{FIRST}.ports[0].host_port must be a port"),
    "a port that is true": (
        port("container_port", True),
        f"{FIRST}.ports[0].container_port must be a port",
    ),
    "a protocol of its own": (
        port("protocol", "quic"),
        f"{FIRST}.ports[0].protocol must be tcp, udp or sctp",
    ),
    "a protocol that is a list": (
        port("protocol", ["tcp"]),
        f"{FIRST}.ports[0].protocol must be tcp, udp or sctp",
    ),
    "a bridge that is no interface": (
        network("bridge", 'a" accept'),
        "inventory.networks[0].bridge must be the name of an interface",
    ),
    "a subnet with host bits": (
        network("subnets", ["172.18.0.0/16", "172.18.0.1/16"]),
        "inventory.networks[0].subnets[1] must be a subnet without host bits",
    ),
    "a subnet with a zone": (
        network("subnets", ["fe80::%x/64"]),
        "inventory.networks[0].subnets[0] must be a subnet",
    ),
    "a subnet that is a number": (
        network("subnets", [7]),
        "inventory.networks[0].subnets[0] must be a subnet",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_field_is_refused_by_its_name(case: str) -> None:
    edit, expected = WRONG[case]
    document = sample()
    edit(document)
    with pytest.raises(UsageError) as caught:
        load(json.dumps(document))
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


NO_JSON = {
    "nothing": "",
    "half a file": '{"schema": 1, "containers": [',
    "a BOM": '\ufeff{"schema": 1}',
    "a very deep file": "[" * 200_000,
    "a very long number": '{"schema": 1' + "0" * 10_000 + "}",
    "a list": "[]",
    "text": '"inventory"',
    "a number that is none": "NaN",
}


@pytest.mark.parametrize("case", NO_JSON)
def test_what_is_no_inventory_at_all_is_one_sentence(case: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(NO_JSON[case])
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@profile(4)
@given(st.data())
def test_whatever_stands_in_one_place_it_is_read_or_refused_in_one_sentence(
    data: st.DataObject,
) -> None:
    document = sample()
    place: Any = document
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if not place[key] or not isinstance(place[key], dict | list) or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(json_values)
    try:
        again = load(json.dumps(document))
    except UsageError as refused:
        sentence = str(refused)
    else:
        sentence = ""
        assert load(dump(again)) == again
    assert "\n" not in sentence
