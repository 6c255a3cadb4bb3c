from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest

from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Container, Endpoint, Inventory, Network, PublishedPort
from dockerfw.model.policy import (
    AddressSource,
    Allow,
    AnySource,
    BridgeSource,
    Deny,
    InterfaceSource,
    Origin,
    Policy,
    PortKeyword,
    PortRange,
    PortSpec,
    PublishedSpec,
    Selector,
    SelectorSource,
    Source,
)
from tests.intervals import NOTHING, IntervalSet
from tests.oracle import Question, allowed_sources

HERE = Origin("config.toml", 1)
HOST, HOST6 = "192.0.2.10", "2001:db8:f::10"
FACTS = HostFacts(
    addresses=frozenset(map(ip_address, (HOST, "192.0.2.11", HOST6, "172.18.0.1", "172.19.0.1")))
)
OFFICE = AddressSource(ip_network("198.51.100.0/24"))
BLOCKED = AddressSource(ip_network("0.0.0.0/0"))


def port(number: int, last: int | None = None) -> PortRange:
    return PortRange("tcp", number, last or number)


def container(name: str, *places: str, **more: object) -> Container:
    """``places`` are ``network address``."""
    endpoints = tuple(
        Endpoint(network, f"id-{network}", IPv4Address(address))
        for network, address in (place.split() for place in places)
    )
    return Container(id=f"id-{name}", name=name, endpoints=endpoints, **more)  # type: ignore[arg-type]


def binding(host: str, host_port: int, container_port: int) -> PublishedPort:
    return PublishedPort(ip_address(host), host_port, container_port, "tcp")


COMPOSE = "com.docker.compose."
DB_LABELS = ((f"{COMPOSE}project", "shop"), (f"{COMPOSE}service", "db"))
INVENTORY = Inventory(
    (
        container(
            "web",
            "front 172.18.0.2",
            ports=(binding("0.0.0.0", 8080, 80), binding("::", 8080, 80)),
        ),
        container(
            "shop-db-1",
            "back 172.19.0.2",
            labels=DB_LABELS,
            ports=(binding("192.0.2.10", 5432, 5432), binding("127.0.0.1", 9090, 80)),
        ),
        container("sidecar", network_owner="id-web"),
        container("agent", host_network=True),
    ),
    (
        Network("id-front", "front", "bridge", "br-front", (ip_network("172.18.0.0/24"),)),
        Network("id-back", "back", "bridge", "br-back", (ip_network("172.19.0.0/24"),)),
    ),
)
MIXED = Inventory(
    INVENTORY.containers,
    (
        INVENTORY.networks[0],
        Network(
            "id-back", "back", "bridge", "br-back", (ip_network("172.19.0.0/24"),), False, ("eth1",)
        ),
    ),
)


def allow(source: Source, to: str, *ports: PortSpec) -> Policy:
    return Policy(allows=(Allow(HERE, (source,), (Selector("container", to),), ports),))


def opened(source: Source, *published: PublishedSpec, to: str | None = None) -> Policy:
    named = () if to is None else (Selector("container", to),)
    return Policy(allows=(Allow(HERE, (source,), named, published=published),))


def passes(
    policy: Policy,
    source: str,
    target: str,
    interface: str = "eth0",
    inventory: Inventory = INVENTORY,
) -> bool:
    """``target`` is ``host|direct address protocol port``."""
    path, address, protocol, number = target.split()
    question = Question(
        "host" if path == "host" else "direct",
        interface,
        ip_address(address),
        protocol,
        int(number),
    )
    return ip_address(source) in allowed_sources(policy, inventory, FACTS, question)


WEB_80 = allow(OFFICE, "web", port(80))
DENY_ALL = Policy(allows=WEB_80.allows, denies=(Deny(HERE, (BLOCKED,)),))
AGENT = allow(OFFICE, "agent", port(9100))
DENY_AGENT = Policy(
    allows=AGENT.allows, denies=(Deny(HERE, (BLOCKED,), (Selector("container", "agent"),)),)
)
CLOSED = Policy(baseline=())

OFFICE_HOST, STRANGER = "198.51.100.7", "203.0.113.7"
HOST_8080, DIRECT_80 = f"host {HOST} tcp 8080", "direct 172.18.0.2 tcp 80"
FROM_OUTSIDE = [
    ("closed by default", Policy(), STRANGER, HOST_8080, False),
    ("a container port is open by its host port", WEB_80, OFFICE_HOST, HOST_8080, True),
    ("and over IPv6 for nobody of IPv4", WEB_80, "2001:db8::1", f"host {HOST6} tcp 8080", False),
    ("and directly", WEB_80, OFFICE_HOST, DIRECT_80, True),
    ("not to the rest of the world", WEB_80, STRANGER, HOST_8080, False),
    ("not another port", WEB_80, OFFICE_HOST, "direct 172.18.0.2 tcp 443", False),
    ("not another container", WEB_80, OFFICE_HOST, "direct 172.19.0.2 tcp 80", False),
    ("not another protocol", WEB_80, OFFICE_HOST, "direct 172.18.0.2 udp 80", False),
    (
        "one that shares its network is there too",
        allow(OFFICE, "sidecar", port(80)),
        OFFICE_HOST,
        HOST_8080,
        True,
    ),
    (
        "any is both families",
        allow(AnySource(), "web", port(80)),
        "2001:db8::1",
        f"host {HOST6} tcp 8080",
        True,
    ),
    ("a specific binding guards its address", Policy(), STRANGER, f"host {HOST} tcp 5432", False),
    ("and no other", Policy(), STRANGER, "host 192.0.2.11 tcp 5432", True),
    ("the host's own ports are not ours", Policy(), STRANGER, f"host {HOST} tcp 22", True),
    (
        "a broadcast meets wildcard bindings",
        Policy(),
        STRANGER,
        "host 255.255.255.255 tcp 8080",
        False,
    ),
    (
        "a loopback binding guards nothing",
        allow(AnySource(), "shop-db-1", port(80)),
        STRANGER,
        f"host {HOST} tcp 9090",
        True,
    ),
    (
        "published opens its host port",
        opened(OFFICE, PublishedSpec(port(8080))),
        OFFICE_HOST,
        HOST_8080,
        True,
    ),
    ("and nothing else", opened(OFFICE, PublishedSpec(port(8080))), OFFICE_HOST, DIRECT_80, False),
    (
        "at one address only",
        opened(OFFICE, PublishedSpec(port(8080), ip_address("192.0.2.11"))),
        OFFICE_HOST,
        HOST_8080,
        False,
    ),
    (
        "to narrows it",
        opened(OFFICE, PublishedSpec(port(8080)), to="shop-db-1"),
        OFFICE_HOST,
        HOST_8080,
        False,
    ),
    (
        "icmp is ping",
        allow(OFFICE, "web", PortKeyword.ICMP),
        OFFICE_HOST,
        "direct 172.18.0.2 icmp 0",
        True,
    ),
    ("icmp is no port", allow(OFFICE, "web", PortKeyword.ICMP), OFFICE_HOST, HOST_8080, False),
    (
        "all is every protocol",
        allow(OFFICE, "web", PortKeyword.ALL),
        OFFICE_HOST,
        "direct 172.18.0.2 esp 0",
        True,
    ),
    (
        "published is what it publishes",
        allow(OFFICE, "web", PortKeyword.PUBLISHED),
        OFFICE_HOST,
        DIRECT_80,
        True,
    ),
    (
        "published is not the rest",
        allow(OFFICE, "web", PortKeyword.PUBLISHED),
        OFFICE_HOST,
        "direct 172.18.0.2 tcp 81",
        False,
    ),
    ("a deny beats an allow", DENY_ALL, OFFICE_HOST, HOST_8080, False),
    ("it leaves the host's own ports alone", DENY_ALL, OFFICE_HOST, f"host {HOST} tcp 22", True),
    ("a named host-network port is guarded", AGENT, STRANGER, f"host {HOST} tcp 9100", False),
    ("and open as the rule says", AGENT, OFFICE_HOST, f"host {HOST} tcp 9100", True),
    (
        "a wildcard name guards none",
        allow(OFFICE, "agen*", port(9100)),
        STRANGER,
        f"host {HOST} tcp 9100",
        True,
    ),
    (
        "a deny of it closes what rules name",
        DENY_AGENT,
        OFFICE_HOST,
        f"host {HOST} tcp 9100",
        False,
    ),
    ("and not ssh", DENY_AGENT, OFFICE_HOST, f"host {HOST} tcp 22", True),
    (
        "a container's address is forged",
        allow(AnySource(), "web", port(80)),
        "172.19.0.2",
        HOST_8080,
        False,
    ),
    ("wherever it goes", Policy(), "172.19.0.2", "direct 203.0.113.9 tcp 80", False),
    ("this host's own as well", allow(AnySource(), "web", port(80)), HOST, DIRECT_80, False),
    (
        "routed traffic of others is not ours",
        Policy(),
        STRANGER,
        "direct 198.51.100.9 tcp 80",
        True,
    ),
    (
        "an address no container has is closed",
        allow(AnySource(), "*", PortKeyword.ALL),
        STRANGER,
        "direct 172.18.0.9 tcp 80",
        False,
    ),
]


@pytest.mark.parametrize(
    "policy, source, target, expected",
    [row[1:] for row in FROM_OUTSIDE],
    ids=[row[0] for row in FROM_OUTSIDE],
)
def test_from_outside(policy: Policy, source: str, target: str, expected: bool) -> None:
    assert passes(policy, source, target) is expected


WEB_TO_DB = allow(SelectorSource(Selector("container", "web")), "shop-db-1", port(5432))
BY_BRIDGE = allow(InterfaceSource("br-*"), "shop-db-1", port(5432))
NO_BRIDGE = Policy(
    denies=(Deny(HERE, (BridgeSource(),), (Selector("compose", "shop", "db"),), (port(5432),)),)
)


@pytest.mark.parametrize(
    "policy, source, target, expected",
    [
        (Policy(), "172.18.0.2", "direct 172.19.0.2 tcp 5432", True),
        (Policy(), "172.18.0.9", f"host {HOST} tcp 5432", True),
        (Policy(), "172.18.0.2", "direct 172.19.0.9 tcp 80", True),
        (CLOSED, "172.18.0.2", "direct 172.19.0.2 tcp 5432", False),
        (CLOSED, "172.18.0.2", f"host {HOST} tcp 22", True),
        (AGENT, "172.18.0.2", f"host {HOST} tcp 9100", False),
        (Policy((), allows=WEB_TO_DB.allows), "172.18.0.2", "direct 172.19.0.2 tcp 5432", True),
        (Policy((), allows=WEB_TO_DB.allows), "172.18.0.3", "direct 172.19.0.2 tcp 5432", False),
        (Policy((), allows=BY_BRIDGE.allows), "172.18.0.3", "direct 172.19.0.2 tcp 5432", True),
        (DENY_ALL, "172.18.0.2", "direct 172.19.0.2 tcp 5432", True),
        (NO_BRIDGE, "172.18.0.2", "direct 172.19.0.2 tcp 5432", False),
        (NO_BRIDGE, "172.18.0.2", f"host {HOST} tcp 5432", False),
        (NO_BRIDGE, "172.18.0.2", "direct 172.19.0.2 tcp 80", True),
        (Policy(), "172.19.0.2", "direct 172.18.0.2 tcp 80", False),
    ],
)
def test_from_a_container(policy: Policy, source: str, target: str, expected: bool) -> None:
    assert passes(policy, source, target, "br-front") is expected


@pytest.mark.parametrize(
    "source, expected",
    [("172.19.0.2", True), ("172.19.0.7", False), ("203.0.113.7", False)],
)
def test_on_a_bridge_with_a_foreign_port_only_containers_are_inside(
    source: str, expected: bool
) -> None:
    assert passes(Policy(), source, "direct 172.18.0.2 tcp 80", "br-back", MIXED) is expected


def test_network_names_the_address_there_and_a_negated_selector_takes_the_container_out() -> None:
    both = Inventory((container("web", "front 172.18.0.2", "back 172.19.0.2"),), INVENTORY.networks)
    at_back = Selector("network", "back")
    not_web = Selector("container", "web", negated=True)
    for to, front, back in (
        ((at_back,), False, True),
        ((at_back, Selector("image", "*")), True, True),
        ((at_back, not_web), False, False),
    ):
        policy = Policy(allows=(Allow(HERE, (OFFICE,), to, (port(80),)),))
        for address, expected in (("172.18.0.2", front), ("172.19.0.2", back)):
            target = f"direct {address} tcp 80"
            assert passes(policy, "198.51.100.7", target, inventory=both) is expected


def test_interval_sets_add_subtract_and_intersect() -> None:
    low, high = IntervalSet.of([(0, 4), (5, 9)]), IntervalSet.of([(8, 12)])
    assert low.intervals == ((0, 9),)
    assert (low | high).intervals == ((0, 12),)
    assert (low - high).intervals == ((0, 7),)
    assert (low & high).intervals == ((8, 9),)
    assert (low - low) == NOTHING
    assert IntervalSet.of([(0, 9)]) - IntervalSet.of([(3, 4), (6, 6)]) == IntervalSet.of(
        [(0, 2), (5, 5), (7, 9)]
    )
    assert IPv6Address(9) in low
    assert IPv6Address(10) not in low
