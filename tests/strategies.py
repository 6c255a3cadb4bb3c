"""Random policies and inventories, small enough to collide and odd enough to hurt.

Names, networks and ports come from small pools, so that rules meet containers, CIDRs overlap with
each other and with Docker's subnets, and host ports are shared. Also how much hypothesis tries:
``DOCKERFW_PROFILE`` is ``unit`` (the default), ``ci`` or ``full``.
"""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime, timezone
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TypeVar

from hypothesis import HealthCheck, settings, strategies as st

from dockerfw.model.inventory import Container, Endpoint, Inventory, Network, PublishedPort
from dockerfw.model.net import Address, IPNetwork
from dockerfw.model.policy import (
    AddressSource,
    Allow,
    AnySource,
    BridgeSource,
    Deny,
    FileSource,
    HostSource,
    InterfaceSource,
    LanSource,
    Policy,
    PortKeyword,
    PortRange,
    PortSpec,
    Protocol,
    PublishedSpec,
    Selector,
    SelectorSource,
    Source,
    excepting,
)
from tests.build import (
    ORIGIN,
    SWARM_SERVICE,
    compose_labels,
    endpoint,
    host_name,
    network,
    port,
)
from tests.questions import OWN_ADDRESSES

_T = TypeVar("_T")
_EXAMPLES = {"unit": 5, "ci": 30, "full": 400}


def profile(share: float = 1.0) -> settings:
    """How much to try, by ``DOCKERFW_PROFILE``; ``share`` of it where an example is dear.

    A failure prints how to play it again; nothing is kept on disk.
    """
    examples = _EXAMPLES[os.environ.get("DOCKERFW_PROFILE", "unit")]
    return settings(
        max_examples=max(1, int(examples * share)),
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


_BRIDGES = (
    ("front", "172.18.0.0/24", "fd00:18::/64"),
    ("back", "172.19.0.0/24", "fd00:19::/64"),
    ("bridge", "172.17.0.0/16", "fd00:17::/64"),
    # With the LAN and a VPN in it, see ``tests/questions.py``.
    ("wide", "198.51.0.0/16", "2001:db8:10::/47"),
)
_MACVLAN = network("lan", "198.51.100.0/25", driver="macvlan")
_NAMES = ("web", "db", "shop-db-1", "cache")
_PROJECTS = ("shop", "blog")
_CONTAINER_PORTS = (80, 443, 53)
_HOST_PORTS = (80, 8080, 53)
_PROTOCOLS: tuple[Protocol, ...] = ("tcp", "tcp", "tcp", "udp", "sctp")
_BINDINGS: tuple[Address, ...] = (
    IPv4Address("0.0.0.0"),
    IPv6Address("::"),
    *OWN_ADDRESSES,
    IPv4Address("127.0.0.1"),
    IPv6Address("::1"),
)
_CIDRS = tuple(
    ip_network(text)
    for text in (
        "198.51.100.0/24",
        "198.51.100.128/25",
        "198.51.100.7/32",
        "203.0.113.0/24",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "172.18.0.0/25",
        "172.19.0.2/32",
        "192.0.2.0/24",
        "0.0.0.0/0",
        "128.0.0.0/1",
        "2001:db8:10::/48",
        "2001:db8:11::/48",
        "2001:db8:10::7/128",
        "2001:db8::/32",
        "fd00::/8",
        "fd00:18::2/128",
        "::/0",
    )
)


ENDS = (datetime(2090, 1, 1, tzinfo=timezone.utc), datetime(2091, 1, 1, tzinfo=timezone.utc))
"""When rules end, if they do: both are to come."""


# --- inventories ---------------------------------------------------------------------------------


def _sometimes(strategy: st.SearchStrategy[_T], otherwise: _T) -> st.SearchStrategy[_T]:
    """Mostly ``otherwise``, which is also what a failing example shrinks to."""
    return st.one_of(st.just(otherwise), st.just(otherwise), strategy)


@st.composite
def _bridge_networks(draw: st.DrawFn) -> tuple[Network, ...]:
    chosen = draw(st.lists(st.sampled_from(_BRIDGES), min_size=1, max_size=3, unique=True))
    found = []
    for name, subnet, subnet6 in chosen:
        subnets = (subnet, subnet6) if draw(st.booleans()) else (subnet,)
        foreign = draw(_sometimes(st.just(("eth1",)), ()))
        found.append(network(name, *subnets, foreign_ports=foreign))
    return tuple(found)


published_ports: st.SearchStrategy[PublishedPort] = st.builds(
    PublishedPort,
    host_address=st.one_of(st.sampled_from(_BINDINGS[:2]), st.sampled_from(_BINDINGS)),
    host_port=st.sampled_from(_HOST_PORTS),
    container_port=st.sampled_from(_CONTAINER_PORTS),
    protocol=st.sampled_from(_PROTOCOLS),
)


@st.composite
def _labels(draw: st.DrawFn) -> tuple[tuple[str, str], ...]:
    labels: list[tuple[str, str]] = []
    if draw(st.booleans()):
        project, service = draw(st.sampled_from(_PROJECTS)), draw(st.sampled_from(("web", "db")))
        labels += compose_labels(f"{project}/{service}")
    if draw(st.booleans()):
        labels.append(("tier", draw(st.sampled_from(("cache", "front")))))
    if draw(_sometimes(st.just(True), False)):
        labels.append((SWARM_SERVICE, "stack_web"))
    return tuple(labels)


def _endpoint(network: Network, index: int) -> Endpoint:
    """The place of the container with this index: its addresses end in ``index + 2``."""
    own = (str(subnet.network_address + index + 2) for subnet in network.subnets)
    return endpoint(" ".join((network.name, *own)))


@st.composite
def inventories(draw: st.DrawFn) -> Inventory:
    """Up to four containers: on bridges, on the host's network, on another's, on a macvlan."""
    networks = draw(_bridge_networks())
    containers: list[Container] = []
    names = draw(st.permutations(_NAMES))[: draw(st.sampled_from((3, 1, 2, 4, 0)))]
    for index, name in enumerate(names):
        kind = draw(st.sampled_from(("bridge",) * 6 + ("host", "host", "donor", "macvlan")))
        common = Container(
            id=f"{index:x}" * 12,
            name=name,
            image=draw(st.sampled_from(("nginx:1", "postgres:16"))),
            labels=draw(_labels()),
        )
        if kind == "host":
            containers.append(replace(common, host_network=True))
        elif kind == "donor" and containers:
            network_owner = draw(
                st.sampled_from([c for c in containers if c.network_owner is None])
            )
            containers.append(replace(common, network_owner=network_owner.id))
        elif kind == "macvlan":
            containers.append(replace(common, endpoints=(_endpoint(_MACVLAN, index),)))
        else:
            containers.append(draw(_on_bridges(common, networks, index)))
    return Inventory(tuple(containers), (*networks, _MACVLAN))


@st.composite
def _on_bridges(
    draw: st.DrawFn, container: Container, networks: tuple[Network, ...], index: int
) -> Container:
    joined = draw(st.lists(st.sampled_from(networks), min_size=1, max_size=2, unique=True))
    return replace(
        container,
        endpoints=tuple(_endpoint(network, index) for network in joined),
        ports=tuple(draw(st.lists(published_ports, min_size=1, max_size=4, unique=True))),
        routed=draw(_sometimes(st.just((("tcp", 8080),)), ())),
    )


# --- policies ------------------------------------------------------------------------------------


@st.composite
def _files(draw: st.DrawFn) -> FileSource:
    """A few networks, or so many that they get a list of their own, both families mixed."""
    few = st.lists(st.sampled_from(_CIDRS), min_size=0, max_size=4, unique=True)
    networks: list[IPNetwork] = list(draw(few))
    count = draw(_sometimes(st.integers(60, 200), 0))
    if count:
        start = draw(st.sampled_from(("100.64.0.0", "172.17.255.0", "10.1.0.0")))
        prefix = draw(st.sampled_from((24, 28, 32)))
        step = 2 ** (32 - prefix) * draw(st.sampled_from((1, 2, 3)))
        first = int(ip_network(f"{start}/{prefix}").network_address)
        networks += [ip_network((first + step * n, prefix)) for n in range(count)]
    return FileSource("list.netset", tuple(networks))


_HOSTS = (
    host_name("vpn.example.org", "198.51.100.7", "203.0.113.9"),
    host_name("both.example.org", "192.0.2.77", "2001:db8:10::7"),
    host_name("inner.example.org", "172.18.0.2", "10.1.0.3"),
    host_name("unknown.example.org"),
    HostSource("home.example.org", prefix=48).at([ip_address("2001:db8:10::7")]),
    LanSource("eth0", (ip_network("192.0.2.0/24"), ip_network("2001:db8:10::/64"))),
    LanSource("wg0", (ip_network("10.1.0.0/24"),)),
    LanSource("eth9"),
)
positive_selectors: st.SearchStrategy[Selector] = st.one_of(
    st.builds(Selector, st.just("container"), st.sampled_from(_NAMES)),
    st.builds(Selector, st.just("container"), st.sampled_from(_NAMES)),
    st.builds(Selector, st.just("container"), st.sampled_from((*_NAMES, "*", "shop-*", "*b*"))),
    st.builds(
        Selector,
        st.just("compose"),
        st.sampled_from((*_PROJECTS, "*")),
        st.sampled_from((None, "*", "db", "w*")),
    ),
    st.builds(Selector, st.just("label"), st.just("tier"), st.sampled_from((None, "cache", "c*"))),
    st.builds(Selector, st.just("image"), st.sampled_from(("nginx:*", "postgres:16"))),
    st.builds(Selector, st.just("network"), st.sampled_from(("front", "back", "lan"))),
    st.builds(Selector, st.just("service"), st.sampled_from(("stack_web", "none"))),
)


def _negated(selector: Selector) -> Selector:
    return Selector(selector.kind, selector.name, selector.detail, negated=True)


@st.composite
def to_lists(draw: st.DrawFn) -> tuple[Selector, ...]:
    """What may stand in ``to``."""
    wanted = draw(st.lists(positive_selectors, min_size=1, max_size=2, unique=True))
    unwanted = draw(_sometimes(positive_selectors.map(_negated).map(lambda s: [s]), []))
    return (*wanted, *unwanted)


addresses_of_outside: st.SearchStrategy[Source] = st.one_of(
    st.sampled_from(_CIDRS).map(AddressSource),
    st.just(AnySource()),
    _files(),
    st.sampled_from(_HOSTS),
)


@st.composite
def _excepting(draw: st.DrawFn, inner: st.SearchStrategy[Source]) -> Source:
    """Addresses of the outside less others; either may have exceptions of its own."""
    wanted = draw(st.lists(inner, min_size=1, max_size=3))
    unwanted = draw(st.lists(inner.filter(lambda s: s != AnySource()), min_size=1, max_size=2))
    return excepting(tuple(wanted), tuple(unwanted))


lists_of_outside: st.SearchStrategy[Source] = st.one_of(
    addresses_of_outside,
    addresses_of_outside,
    _excepting(addresses_of_outside),
    _excepting(st.one_of(addresses_of_outside, _excepting(addresses_of_outside))),
)
sources: st.SearchStrategy[Source] = st.one_of(
    lists_of_outside,
    st.sampled_from(("wg0", "wg*", "eth0", "br-*", "docker0")).map(InterfaceSource),
    st.just(BridgeSource()),
    positive_selectors.map(SelectorSource),
)


def _some_sources() -> st.SearchStrategy[tuple[Source, ...]]:
    return st.lists(sources, min_size=1, max_size=3).map(tuple)


port_ranges: st.SearchStrategy[PortRange] = st.one_of(
    st.builds(
        lambda protocol, port: PortRange(protocol, port, port),
        st.sampled_from(_PROTOCOLS),
        st.sampled_from(_CONTAINER_PORTS),
    ),
    st.sampled_from(("8000-8100", "50-60/udp", "1-65535", "443-9049", "53-9050/udp")).map(port),
)


def _port_specs() -> st.SearchStrategy[tuple[PortSpec, ...]]:
    one: st.SearchStrategy[PortSpec] = st.one_of(port_ranges, st.sampled_from(PortKeyword))
    return st.lists(one, min_size=1, max_size=3, unique=True).map(tuple)


published_specs: st.SearchStrategy[PublishedSpec] = st.builds(
    PublishedSpec,
    st.one_of(
        port_ranges,
        st.builds(
            lambda protocol, port: PortRange(protocol, port, port),
            st.sampled_from(_PROTOCOLS),
            st.sampled_from(_HOST_PORTS),
        ),
    ),
    _sometimes(st.sampled_from(OWN_ADDRESSES), None),
)


def _published_lists() -> st.SearchStrategy[tuple[PublishedSpec, ...]]:
    return st.lists(published_specs, min_size=1, max_size=3, unique=True).map(tuple)


_ends = _sometimes(st.sampled_from(ENDS), None)
allows: st.SearchStrategy[Allow] = st.one_of(
    st.builds(
        Allow, st.just(ORIGIN), _some_sources(), to=to_lists(), ports=_port_specs(), until=_ends
    ),
    st.builds(
        Allow,
        st.just(ORIGIN),
        _some_sources(),
        to=st.one_of(st.just(()), to_lists()),
        published=_published_lists(),
        until=_ends,
    ),
)
denies: st.SearchStrategy[Deny] = st.one_of(
    st.builds(Deny, st.just(ORIGIN), _some_sources(), to=to_lists(), ports=_port_specs()),
    st.builds(Deny, st.just(ORIGIN), _some_sources(), to=to_lists()),
    st.builds(
        Deny,
        st.just(ORIGIN),
        _some_sources(),
        to=st.one_of(st.just(()), to_lists()),
        published=_published_lists(),
    ),
    st.builds(Deny, st.just(ORIGIN), _some_sources()),
)
baselines: st.SearchStrategy[tuple[Source, ...]] = st.one_of(
    st.just((BridgeSource(),)),
    st.just(()),
    lists_of_outside.map(lambda source: (BridgeSource(), source)),
    sources.map(lambda source: (source,)),
)
policies: st.SearchStrategy[Policy] = st.builds(
    Policy,
    baseline=baselines,
    on_deny=st.sampled_from(("drop", "reject")),
    allows=st.lists(allows, min_size=1, max_size=4).map(tuple),
    denies=st.lists(denies, max_size=2).map(tuple),
)


@st.composite
def changed_policies(draw: st.DrawFn) -> tuple[Policy | None, Policy]:
    """Before and after: the first apply, the same, a few lines edited, or nothing shared.

    Or time has passed.
    """
    kind = draw(st.sampled_from(("edited", "edited", "edited", "same", "first", "other", "ended")))
    old = draw(policies)
    if kind == "ended":
        return old, old.without_ended(draw(st.sampled_from(ENDS)).timestamp())
    if kind == "edited":
        kept = replace(
            old,
            allows=tuple(a for a in old.allows if draw(st.booleans())),
            denies=tuple(d for d in old.denies if draw(st.booleans())),
        )
        new = draw(policies)
        return old, replace(
            kept,
            baseline=draw(st.sampled_from((old.baseline, new.baseline))),
            allows=kept.allows + new.allows[: draw(st.integers(0, 1))],
            denies=kept.denies + new.denies[: draw(st.integers(0, 1))],
        )
    if kind == "other":
        return old, draw(policies)
    return (None if kind == "first" else old), old


@st.composite
def _fitting_rules(draw: st.DrawFn, inventory: Inventory) -> Allow | Deny:
    """A rule about one container by its name, and about what it publishes."""
    container = draw(st.sampled_from(inventory.containers))
    to = (Selector("container", container.name),)
    some_sources = draw(_some_sources())
    kind = draw(st.sampled_from(("published", "ports", "everything")))
    bindings = inventory.published(container)
    if kind == "published" and bindings:
        binding = draw(st.sampled_from(bindings))
        port = PortRange(binding.protocol, binding.host_port, binding.host_port)
        family = binding.host_address.version
        own = [address for address in OWN_ADDRESSES if address.version == family]
        spec = PublishedSpec(port, draw(st.sampled_from((*own, None))))
        if draw(st.booleans()):
            return Deny(ORIGIN, some_sources, to, published=(spec,))
        return Allow(ORIGIN, some_sources, to, published=(spec,))
    if kind == "everything":
        return Deny(ORIGIN, some_sources, to)
    return Allow(ORIGIN, some_sources, to, draw(_port_specs()))


@st.composite
def fitting(draw: st.DrawFn) -> tuple[Policy, Inventory]:
    """A policy that shares nothing but the pools with its inventory, and rules made for it."""
    policy, inventory = draw(policies), draw(inventories())
    if not inventory.containers:
        return policy, inventory
    rules = draw(st.lists(_fitting_rules(inventory), max_size=3))
    return replace(
        policy,
        allows=policy.allows + tuple(r for r in rules if isinstance(r, Allow)),
        denies=policy.denies + tuple(r for r in rules if isinstance(r, Deny)),
    ), inventory
