"""Containers, networks, rules and hosts in few words: the one set of builders for tests.

Strings are in the language of people, that is of Docker's command line and of the policy:

>>> web = container("web", "front 172.18.0.2 fd00:18::2", published=("8080:80", "8443:443/udp"))
>>> database = container("shop-db-1", "back 172.19.0.2", compose="shop/db", image="postgres:16")
>>> agent = container("agent", host_network=True)
>>> shop = inventory(
...     network("front", "172.18.0.0/16", "fd00:18::/64"),
...     network("back", "172.19.0.0/16", foreign_ports=("eth1",)),
...     *(web, database, agent),
... )
>>> [str(port.host_address) for port in web.ports]
['0.0.0.0', '::', '0.0.0.0', '::']
>>> shop.networks[1].bridge
'br-back'

>>> rules = policy(
...     allow("198.51.100.0/24", "iface:wg0", to="web", ports=(80, "8000-8100/udp"), line=3),
...     allow("any", published="192.0.2.10:443"),
...     deny(address_list("blocked.netset", "203.0.113.0/24"), to=("compose:shop/*", "!web")),
...     baseline=("bridge", "label:tier=cache"),
... )
>>> str(rules.allows[0].origin), [str(spec) for spec in rules.allows[0].ports]
('config.toml:3', ['80/tcp', '8000-8100/udp'])
>>> [str(selector) for selector in rules.denies[0].to]
['compose:shop/*', '!web']

>>> facts("192.0.2.10", bridges=("br-front", "br-lan eth1"), br_netfilter=True).br_netfilter
(True, True)

Wherever a string may stand, the value that it means may stand too (a `Source`, a `Selector`, a
`PortRange`, …), and one may stand for a tuple of one. Pure; what no builder has a word for is set
with ``dataclasses.replace``. Nothing is checked here: that is the parser's task, and its tests'.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, TypeAlias, TypeVar, cast

from dockerfw.model.host import Bridge, Flavour, HostFacts
from dockerfw.model.inventory import Container, Endpoint, Inventory, Network, PublishedPort
from dockerfw.model.net import Address
from dockerfw.model.policy import (
    AddressSource,
    Allow,
    AnySource,
    BridgeSource,
    Deny,
    Expect,
    FileSource,
    HostSource,
    InterfaceSource,
    Mode,
    OnDeny,
    Origin,
    Policy,
    PortKeyword,
    PortRange,
    PortSpec,
    Protocol,
    PublishedSpec,
    Selector,
    SelectorKind,
    SelectorSource,
    Source,
)

_T = TypeVar("_T")
_OneOrMore: TypeAlias = _T | tuple[_T, ...]

ORIGIN = Origin("config.toml", 1)
EVERYWHERE: tuple[Address, Address] = (IPv4Address("0.0.0.0"), IPv6Address("::"))
"""The two wildcard bindings that Docker makes of a published port without an address."""
COMPOSE_PROJECT, COMPOSE_SERVICE = "com.docker.compose.project", "com.docker.compose.service"
SWARM_SERVICE = "com.docker.swarm.service.name"
_SELECTOR_KINDS = ("compose", "label", "image", "network", "service")


# --- what runs -----------------------------------------------------------------------------------


def inventory(*parts: Container | Network, engine: str = "") -> Inventory:
    """Return an inventory of these containers and networks, each kind in the order given."""
    return Inventory(
        tuple(part for part in parts if isinstance(part, Container)),
        tuple(part for part in parts if isinstance(part, Network)),
        engine,
    )


def network(
    name: str,
    *subnets: str,
    driver: str = "bridge",
    bridge: str | None = None,
    internal: bool = False,
    foreign_ports: tuple[str, ...] = (),
) -> Network:
    """Return a network with the id ``id-NAME``.

    Its bridge is ``br-NAME``, that of Docker's own network ``bridge`` is ``docker0``; other drivers
    have none.
    """
    if bridge is None and driver == "bridge":
        bridge = "docker0" if name == "bridge" else f"br-{name}"
    nets = tuple(ip_network(subnet) for subnet in subnets)
    return Network(f"id-{name}", name, driver, bridge, nets, internal, foreign_ports)


def container(
    name: str,
    *places: str | Endpoint,
    published: _OneOrMore[str] = (),
    image: str = "",
    compose: str = "",
    labels: Mapping[str, str] | None = None,
    host_network: bool = False,
    network_owner: Container | None = None,
    routed: _OneOrMore[int | str] = (),
    id: str | None = None,  # noqa: A002  the word that Docker has for it
) -> Container:
    """Return a container with the id ``id-NAME``, unless another is given.

    ``places`` are as for `endpoint`, ``published`` as for `bindings`. ``compose`` is ``PROJECT`` or
    ``PROJECT/SERVICE``, which become labels before ``labels``. ``routed`` are container ports.
    """
    return Container(
        id=f"id-{name}" if id is None else id,
        name=name,
        image=image,
        labels=(*compose_labels(compose), *(labels or {}).items()),
        endpoints=tuple(p if isinstance(p, Endpoint) else endpoint(p) for p in places),
        ports=bindings(*_several(published)),
        host_network=host_network,
        network_owner=None if network_owner is None else network_owner.id,
        routed=tuple((one.protocol, one.first) for one in map(port, _several(routed))),
    )


def endpoint(place: str) -> Endpoint:
    """``"front 172.18.0.2 fd00:18::2"``: the network's name, then addresses, if it has any."""
    name, *texts = place.split()
    own = {address.version: address for address in map(ip_address, texts)}
    ipv4, ipv6 = cast("IPv4Address | None", own.get(4)), cast("IPv6Address | None", own.get(6))
    return Endpoint(name, f"id-{name}", ipv4, ipv6)


def bindings(*published: str) -> tuple[PublishedPort, ...]:
    """As after ``docker run -p``, but that the host port always stands there.

    ``"8080:80"`` (a binding for each family), ``"192.0.2.10:53:53/udp"``, ``"[::1]:8080:80"``.
    """
    return tuple(binding for text in published for binding in _bindings(text))


def _bindings(text: str) -> tuple[PublishedPort, ...]:
    ports, _, protocol = text.partition("/")
    rest, _, inner = ports.rpartition(":")
    host, _, outer = rest.rpartition(":")
    hosts = (ip_address(host.strip("[]")),) if host else EVERYWHERE
    return tuple(PublishedPort(h, int(outer), int(inner), _protocol(protocol)) for h in hosts)


def compose_labels(compose: str) -> tuple[tuple[str, str], ...]:
    """The labels of ``"PROJECT"`` or ``"PROJECT/SERVICE"``."""
    values = compose.split("/") if compose else []
    return tuple(zip((COMPOSE_PROJECT, COMPOSE_SERVICE), values, strict=False))


# --- the policy ----------------------------------------------------------------------------------


def policy(
    *rules: Allow | Deny | Expect,
    baseline: _OneOrMore[str | Source] = "bridge",
    mode: Mode = "enforce",
    on_deny: OnDeny = "drop",
) -> Policy:
    """Return a policy of these rules, each kind in the order given."""
    return Policy(
        baseline=_sources(_several(baseline)),
        mode=mode,
        on_deny=on_deny,
        allows=tuple(rule for rule in rules if isinstance(rule, Allow)),
        denies=tuple(rule for rule in rules if isinstance(rule, Deny)),
        expects=tuple(rule for rule in rules if isinstance(rule, Expect)),
    )


def allow(
    *sources: str | Source,
    to: _OneOrMore[str | Selector] = (),
    ports: _OneOrMore[int | str | PortSpec] = (),
    published: _OneOrMore[int | str | PublishedSpec] = (),
    until: datetime | None = None,
    line: int = 1,
    written_from: _OneOrMore[str] = (),
) -> Allow:
    """Return an ``[[allow]]`` at this line of config.toml, in the words of the policy."""
    return Allow(
        Origin(ORIGIN.file, line),
        _sources(sources),
        tuple(map(selector, _several(to))),
        tuple(map(port_spec, _several(ports))),
        tuple(map(host_port, _several(published))),
        until,
        _several(written_from),
    )


def deny(
    *sources: str | Source,
    to: _OneOrMore[str | Selector] = (),
    ports: _OneOrMore[int | str | PortSpec] = (),
    published: _OneOrMore[int | str | PublishedSpec] = (),
    line: int = 1,
    written_from: _OneOrMore[str] = (),
) -> Deny:
    """Return a ``[[deny]]`` at this line of config.toml, in the words of the policy."""
    return Deny(
        Origin(ORIGIN.file, line),
        _sources(sources),
        tuple(map(selector, _several(to))),
        tuple(map(port_spec, _several(ports))),
        tuple(map(host_port, _several(published))),
        _several(written_from),
    )


def source(text: str | Source) -> Source:
    """``any``, ``bridge``, an address or a network, ``iface:``, ``host:``, or a selector's.

    ``file:`` has its contents elsewhere: see `address_list`.
    """
    if not isinstance(text, str):
        return text
    kind, _, name = text.partition(":")
    if text == "any":
        return AnySource()
    if text == "bridge":
        return BridgeSource()
    if kind == "iface":
        return InterfaceSource(name)
    if kind == "host":
        return HostSource(name)
    if kind == "container":
        return SelectorSource(selector(name))
    if kind in _SELECTOR_KINDS:
        return SelectorSource(selector(text))
    return AddressSource(ip_network(text))


def address_list(path: str, *networks: str) -> FileSource:
    """A ``file:`` source that holds these networks."""
    return FileSource(path, tuple(map(ip_network, networks)))


def long_list(path: str, *networks: str) -> FileSource:
    """A ``file:`` source that gets sets of its own: 100 networks of each family, and these."""
    filler = [f"100.64.{n}.0/25" for n in range(100)]
    filler += [f"2001:db8:f{n:x}::/48" for n in range(100)]
    return address_list(path, *filler, *networks)


def host_name(name: str, *addresses: str) -> HostSource:
    """A ``host:`` source whose name stands for these addresses."""
    return HostSource(name, tuple(map(ip_network, addresses)))


def selector(text: str | Selector) -> Selector:
    """``web``, ``!shop-*``, ``compose:shop/db``, ``label:tier=cache``, ``network:front``, …"""
    if not isinstance(text, str):
        return text
    plain = text.removeprefix("!")
    kind, _, rest = plain.partition(":")
    if kind not in _SELECTOR_KINDS:
        return Selector("container", plain, None, plain != text)
    separator = {"compose": "/", "label": "="}.get(kind)
    name, found, detail = rest.partition(separator) if separator else (rest, "", "")
    return Selector(cast("SelectorKind", kind), name, detail if found else None, plain != text)


def port_spec(text: int | str | PortSpec) -> PortSpec:
    """What may stand in ``ports``: a container port, a range, ``icmp``, ``published``, ``all``."""
    if isinstance(text, PortRange | PortKeyword):
        return text
    if text in {keyword.value for keyword in PortKeyword}:
        return PortKeyword(text)
    return port(text)


def port(text: int | str) -> PortRange:
    """``80``, ``"53/udp"``, ``"8000-8100"``; tcp where no protocol stands."""
    ports, _, protocol = str(text).partition("/")
    first, _, last = ports.partition("-")
    return PortRange(_protocol(protocol), int(first), int(last or first))


def host_port(text: int | str | PublishedSpec) -> PublishedSpec:
    """What may stand in ``published``: ``8080``, ``"192.0.2.10:443"``, ``"[::1]:53/udp"``."""
    if isinstance(text, PublishedSpec):
        return text
    host, _, ports = str(text).rpartition(":")
    return PublishedSpec(port(ports), ip_address(host.strip("[]")) if host else None)


# --- the host ------------------------------------------------------------------------------------


def facts(
    *addresses: str,
    bridges: tuple[str, ...] = (),
    br_netfilter: bool = False,
    flavour: Flavour = "nft",
    ipv6: bool = True,
    nf_tables: bool = True,
    docker_user: bool = True,
) -> HostFacts:
    """Return a host with these addresses of its own.

    ``bridges`` are ``"NAME"`` or ``"NAME PORT…"``, the ports being those that Docker did not make.
    ``br_netfilter`` is for both families.
    """
    named = (text.split() for text in bridges)
    return HostFacts(
        flavour=flavour,
        ipv6=ipv6,
        nf_tables=nf_tables,
        docker_user=docker_user,
        bridges=tuple(Bridge(name, tuple(ports)) for name, *ports in named),
        br_netfilter=(br_netfilter, br_netfilter),
        addresses=frozenset(map(ip_address, addresses)),
    )


def _several(value: object) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _sources(sources: tuple[str | Source, ...]) -> tuple[Source, ...]:
    return tuple(map(source, sources))


def _protocol(text: str) -> Protocol:
    return cast("Protocol", text or "tcp")
