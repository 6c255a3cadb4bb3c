"""SOURCE and TARGET of a question, from what the user wrote.

Takes their text; gives `ParsedSource` and `ParsedTarget`, by the containers and networks of the
inventory and this host's addresses. Raises `UsageError` with what to write instead. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address, ip_network
from itertools import islice
from re import compile as compile_regex
from types import MappingProxyType

from dockerfw.errors import UsageError
from dockerfw.model.inventory import Container, Inventory, Network
from dockerfw.model.net import FAMILIES, Address, Family, IPNetwork
from dockerfw.model.policy import InterfaceSource, SelectorSource, Source, outside_networks
from dockerfw.report.explain.routes import OUTSIDE, Sender
from dockerfw.report.explain.ways import Ways, first_host
from dockerfw.text import listed, short_port, similar_words


class UnknownContainer(UsageError):
    """No running container has that name."""


@dataclass(frozen=True, slots=True)
class ParsedSource:
    """``host`` is this host itself; a container sends from each of its bridges, and (``nameless``)
    from link-local addresses on those that speak IPv6. ``several``: they are those of a list.
    """

    senders: tuple[Sender, ...] = ()
    nameless: tuple[Sender, ...] = ()
    container: Container | None = None
    host: bool = False
    several: bool = False


@dataclass(frozen=True, slots=True)
class ParsedTarget:
    """A container's port, a container address with a port, or (``host_port``) a host port."""

    protocol: str
    port: int
    container: Container | None = None
    address: Address | None = None
    host_port: bool = False


_TARGET_HELP = (
    "write NAME:PORT[/PROTOCOL], NAME:icmp, :PORT (a port of this host) or ADDRESS:PORT, "
    "an IPv6 address in brackets"
)
_HELP = {
    "source": (
        "write an IP address, ADDRESS@INTERFACE, the name of a container, of a list in [sources], "
        "or host"
    ),
    "target": _TARGET_HELP,
}
_LINK_LOCAL = IPv6Address("fe80::1")
"""Stands for that of a container, which nobody knows."""
_NETWORKS_ASKED = 8
"""Of a list: so many networks of each family stand for all."""
_STRANGERS: Mapping[Family, Address] = {
    4: IPv4Address("203.0.113.7"),
    6: IPv6Address("2001:db8::7"),
}
"""Of the blocks for documentation: they stand for anybody."""
_NAME = compile_regex(r"/?[A-Za-z0-9][A-Za-z0-9_.-]*")


class Reader:
    """Reads questions about one inventory; ``local`` are this host's own addresses."""

    def __init__(
        self,
        inventory: Inventory,
        local: frozenset[Address],
        ways: Ways,
        named: Mapping[str, tuple[Source, ...]] = MappingProxyType({}),
    ) -> None:
        self.inventory = inventory
        self.local = local
        self.ways = ways
        self.named = named

    def source(self, text: str) -> ParsedSource:
        """Return the source.

        Raises `UsageError` if it cannot be read, `UnknownContainer` if nothing has that name.
        """
        name, at, interface = text.partition("@")
        if at:
            _check_interface(interface, text)
        address = _address(name, "source")
        if address is not None:
            return self._source_address(address, interface)
        _refuse_networks(name, "source")
        if at:
            raise UsageError(
                f'source "{text}": packets of a container come from its own bridges: write {name}'
            )
        if name == "host":
            return ParsedSource(host=True)
        if name in self.named and name not in self._names():
            return self._source_named(name)
        return self._source_container(self._container(name, "source"))

    def _source_address(self, address: Address, interface: str) -> ParsedSource:
        if not interface and (address in self.local or address.is_loopback):
            return ParsedSource(host=True)
        if interface:
            bridges = (n for n in self.inventory.bridges() if n.bridge == interface)
            return ParsedSource((Sender(address, interface, next(bridges, None)),))
        out = self.ways.leads_out(address)
        for network in self.inventory.bridges():
            if network.bridge == out:
                return ParsedSource((Sender(address, out, network),))
        # By loopback leads what this host has no way to.
        known = out not in ("", "lo")
        return ParsedSource((Sender(address, out if known else OUTSIDE, None),))

    def _source_named(self, name: str) -> ParsedSource:
        """Return who stands for a list of ``[sources]``: some of its addresses, its containers."""
        senders: dict[Sender, None] = {}
        nameless: dict[Sender, None] = {}
        for source in self.named[name]:
            found = ParsedSource()
            if isinstance(source, SelectorSource):
                for container, _ in self.inventory.select([source.selector]):
                    found = self._source_container(container)
                    senders |= dict.fromkeys(found.senders)
                    nameless |= dict.fromkeys(found.nameless)
            elif isinstance(source, InterfaceSource):
                address = self.ways.somebody_behind(source.name)
                if address is not None:
                    senders[self._source_address(address, source.name).senders[0]] = None
            for address in some_addresses(outside_networks(source)):
                senders |= dict.fromkeys(self._source_address(address, "").senders)
        if not senders:
            raise UsageError(
                f'source "{name}" is a list of nobody whom dockerfw could ask for here: write '
                "one address, as ADDRESS or ADDRESS@INTERFACE"
            )
        return ParsedSource(tuple(senders), tuple(nameless), several=True)

    def _source_container(self, container: Container) -> ParsedSource:
        if self.inventory.on_host_network(container):
            return ParsedSource(host=True, container=container)
        senders: list[Sender] = []
        nameless: list[Sender] = []
        for endpoint in self.inventory.endpoints(container):
            network = self.inventory.network(endpoint.network_id)
            if network is not None and network.bridge:
                senders += [Sender(a, network.bridge, network) for a in endpoint.addresses]
                if endpoint.ipv6 is not None:
                    nameless.append(Sender(_LINK_LOCAL, network.bridge, network))
        return ParsedSource(tuple(senders), tuple(nameless), container)

    def target(self, text: str) -> ParsedTarget:
        """Return the target; raises as `source` does."""
        if text.startswith("["):
            host, bracket, port_text = text[1:].partition("]")
            if not bracket or not port_text.startswith(":"):
                raise UsageError(f'target "{text}": {_TARGET_HELP}')
            return self._target_address(host, port_text[1:], text)
        name, colon, port_text = text.removeprefix("container:").rpartition(":")
        if colon and not name:
            return self._target_host_port(None, port_text, text)
        if text.count(":") > 1 and _is_ipv6(text.partition("/")[0]):
            raise UsageError(f'target "{text}": write an IPv6 address as [ADDRESS]:PORT')
        if not colon:
            raise UsageError(self._which_port(text))
        if _seems_ipv4(name):
            return self._target_address(name, port_text, text)
        container = self._container(name, "target")
        protocol, port = _port_of(port_text, text)
        return ParsedTarget(protocol, port, container=container)

    def _target_address(self, host: str, port_text: str, text: str) -> ParsedTarget:
        address = _address(host, "target")
        if address is None:
            _refuse_networks(host, "target")
            raise UsageError(f'target "{text}": "{host}" is no IP address; {_TARGET_HELP}')
        if address.is_unspecified:
            raise UsageError(f'target "{text}": a port of every address is written :{port_text}')
        if network_of(self.inventory, address) is None or address in self.local:
            return self._target_host_port(address, port_text, text)
        protocol, port = _port_of(port_text, text)
        return ParsedTarget(protocol, port, address=address)

    def _target_host_port(self, address: Address | None, port_text: str, text: str) -> ParsedTarget:
        protocol, port = _port_of(port_text, text)
        if protocol == "icmp":
            raise UsageError(
                f'target "{text}": ping of this host is not dockerfw\'s; write NAME:icmp'
            )
        if address is not None and not self._may_be_ours(address):
            raise UsageError(
                f'target "{text}": {address} is no address of this host nor of a Docker '
                "network on it"
            )
        return ParsedTarget(protocol, port, address=address, host_port=True)

    def _may_be_ours(self, address: Address) -> bool:
        """Return True as well if the addresses of this host are not known."""
        bound = (b.host_address for c in self.inventory.containers for b in c.ports)
        return not self.local or address.is_loopback or address in self.local or address in bound

    def _names(self) -> dict[str, Container]:
        return {c.name: c for c in self.inventory.containers}

    def _container(self, written: str, what: str) -> Container:
        name = written.removeprefix("container:")
        kind, colon, _ = name.partition(":")
        if colon and kind in ("compose", "label", "image", "network", "service"):
            raise UsageError(f'{what} "{written}": write the name of one container, no selector')
        if "*" in name:
            raise UsageError(f'{what} "{written}": write the name of one container, no pattern')
        found = self._names().get(name.removeprefix("/"))
        if found is not None:
            return found
        if name == "any" or not _NAME.fullmatch(name) or not name.strip("0123456789."):
            raise UsageError(f'{what} "{written}": {_HELP[what]}')
        known = {**self._names(), **(self.named if what == "source" else {})}
        near = similar_words(name, known)
        hint = f"did you mean {listed(near)}?" if near else "see docker ps for the names"
        lists = ", and no list in [sources]" if what == "source" and self.named else ""
        raise UnknownContainer(f'no running container is called "{name}"{lists}: {hint}')

    def _which_port(self, text: str) -> str:
        """Return what to write in place of a target without a port."""
        name = text.removeprefix("container:")
        if name.isascii() and name.isdigit():
            return (
                f'target "{text}" is a port alone: write :{name} for that port of '
                f"this host, NAME:{name} for that of a container"
            )
        if _seems_ipv4(name):
            return f'target "{text}" has no port: write {name}:80, say'
        container = self._container(name, "target")
        bindings = self.inventory.published(container)
        ports = sorted({short_port(b.container_port, b.protocol) for b in bindings})
        more = "9100" if self.inventory.on_host_network(container) else "icmp"
        examples = [f"{name}:{port}" for port in (*ports[:3], more)]
        return f'target "{text}" has no port: write {" or ".join(examples)}'


def some_addresses(networks: Iterable[IPNetwork]) -> Iterator[Address]:
    """Yield the first and the last address of the first networks of each family."""
    for family in FAMILIES:
        for network in islice((n for n in networks if n.version == family), _NETWORKS_ASKED):
            if network.prefixlen == 0:
                yield _STRANGERS[family]
            else:
                yield first_host(network)
                yield network[-1] if network.num_addresses <= 2 else network[-2]


def network_of(inventory: Inventory, address: Address) -> Network | None:
    """Return the Docker bridge network that this address belongs to."""
    for network in inventory.bridges():
        if any(address in s for s in network.subnets if s.version == address.version):
            return network
    return None


def _address(text: str, what: str) -> Address | None:
    """Return the address that this text is, None if it is none. Raises `UsageError`."""
    if "%" in text:
        bare, _, zone = text.partition("%")
        raise UsageError(f'{what} "{text}": write the interface as {bare}@{zone}')
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        raise UsageError(f'{what} "{text}" is an IPv4 address: write {address.ipv4_mapped}')
    return address


def _refuse_networks(text: str, what: str) -> None:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        return
    first = network.network_address + (1 if network.num_addresses > 1 else 0)
    raise UsageError(f'{what} "{text}" is a network: write one address of it, such as {first}')


def _port_of(text: str, target: str) -> tuple[str, int]:
    """Return protocol and port; ``icmp`` is port 0."""
    if text == "icmp":
        return "icmp", 0
    number, slash, protocol = text.partition("/")
    if not slash:
        protocol = "tcp"
    if protocol not in ("tcp", "udp", "sctp"):
        raise UsageError(f'target "{target}": the protocol is tcp, udp or sctp')
    if "-" in number:
        raise UsageError(f'target "{target}": one port, not a range: write {number.split("-")[0]}')
    if not (number.isascii() and number.isdigit()) or not 0 < int(number[:6]) < 65536:
        raise UsageError(
            f'target "{target}": "{number}" is no port from 1 to 65535; {_TARGET_HELP}'
        )
    return protocol, int(number)


def _check_interface(interface: str, text: str) -> None:
    bad = not interface or len(interface) > 15 or "/" in interface or ":" in interface
    if bad or any(c.isspace() for c in interface) or not interface.isprintable():
        raise UsageError(
            f'source "{text}": what stands after @ is the name of an interface, of 1 to 15 '
            "characters, such as eth0"
        )


def _seems_ipv4(text: str) -> bool:
    return bool(text) and all(c in "0123456789./" for c in text)


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return True
