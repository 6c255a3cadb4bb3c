"""Would SOURCE reach TARGET: a verdict for each path that the packet could take, and the line of
the policy that decides it. Serves ``dockerfw explain`` and ``[[expect]]``.

Takes a policy, an inventory and facts of the host; gives an `Explanation`. The verdict always
comes from walking the compiled ruleset of the whole policy; which line decides is found by
walking the same packet through rulesets of parts of the policy. Never reads the kernel, and never
looks at what Docker's own or other rules refuse after us.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address, ip_network
from re import compile as compile_regex
from typing import Literal, TypeAlias

from dockerfw.errors import UsageError
from dockerfw.exit_status import ExitStatus
from dockerfw.model.docker_names import GATEWAY_BRIDGE
from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Container, Inventory, Network, PublishedPort
from dockerfw.model.net import Address, Family
from dockerfw.model.policy import Allow, AnySource, Deny, Expect, HostSource, Policy, Source
from dockerfw.rules.compiler import compile_ruleset
from dockerfw.rules.ruleset import Hook, InSet, Outcome, Packet, Ruleset
from dockerfw.text import counted, listed, moment, paragraph, printable

_OUTSIDE = "/"
"""The interface that a packet comes in on when nobody says: a name that no interface can have."""
_ANY_HOST: dict[Family, Address] = {4: IPv4Address("192.0.0.8"), 6: IPv6Address("100::1")}
"""Stands for an address of this host where none is known (RFC 7600 dummy, RFC 6666 discard)."""
_HOST_ITSELF = "this host's own port"
_ECHO_REQUEST: dict[Family, int] = {4: 8, 6: 128}
_UNFILTERED = ("macvlan", "ipvlan")

_Part: TypeAlias = Literal["allows", "denies", "baseline"]
_Key: TypeAlias = tuple[_Part, int, int | None]


class UnknownContainer(UsageError):
    """No running container bears that name."""


# --- what comes out ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    """One path of one family: ``path`` as in ``P1 published 8080 → 80 (DNAT)``."""

    path: str
    family: Family
    allowed: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Every path from ``source`` to ``target``, at least one row.

    ``observing``: the mode is observe, and the rows say what enforce would do. ``warnings`` are
    remarks on the question itself.
    """

    source: str
    target: str
    rows: tuple[Row, ...]
    observing: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def verdict(self) -> Literal["allowed", "denied", "mixed"]:
        allowed = {row.allowed for row in self.rows}
        if len(allowed) > 1:
            return "mixed"
        return "allowed" if True in allowed else "denied"

    @property
    def exit_status(self) -> ExitStatus:
        """OK: allowed on all paths; NO: denied on all; MIXED: allowed on some."""
        by_verdict = {
            "allowed": ExitStatus.OK,
            "denied": ExitStatus.NO,
            "mixed": ExitStatus.MIXED,
        }
        return by_verdict[self.verdict]

    def to_json(self) -> dict[str, object]:
        """``paths`` has ``path``, ``family`` (4 or 6), ``allowed`` and ``reason`` a row."""
        return {
            "schema": 1,
            "source": self.source,
            "target": self.target,
            "observing": self.observing,
            "verdict": self.verdict,
            "paths": [
                {"path": r.path, "family": r.family, "allowed": r.allowed, "reason": r.reason}
                for r in self.rows
            ],
            "warnings": list(self.warnings),
        }

    def lines(self, width: int = 80) -> tuple[str, ...]:
        """For a terminal; only a word that is longer than the line sticks out."""
        found: list[str] = []
        if self.observing:
            found.append("OBSERVING: nothing is dropped now; this is what enforce would do")
        where = {
            "allowed": "allowed on all paths",
            "denied": "denied on all paths",
            "mixed": "allowed on some paths, denied on others",
        }[self.verdict]
        head = f"{self.source} → {self.target}: {where}"
        found += paragraph(printable(head), width=width, rest="  ")
        for row in self.rows:
            said = "allowed" if row.allowed else "denied "
            first, rest = f"  IPv{row.family} {said}  ", " " * 16
            found += paragraph(printable(row.path), width=width, first=first, rest=rest)
            found += paragraph(printable(row.reason), width=width, first=rest, rest=rest)
        for warning in self.warnings:
            found += paragraph(printable(f"note: {warning}"), width=width, rest="  ")
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Expectations:
    """``errors``: expectations that do not hold. ``warnings``: those that cannot be checked now."""

    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def explain(
    policy: Policy,
    inventory: Inventory,
    facts: HostFacts,
    source: str,
    target: str,
    local_addresses: frozenset[Address] = frozenset(),
) -> Explanation:
    """``local_addresses`` are this host's own, besides those in ``facts``.

    Raises `UsageError` when source or target cannot be read, `UnknownContainer` when no
    container of that name runs.
    """
    return _Explainer(policy, inventory, facts, local_addresses).explain(source, target)


def broken_expectations(policy: Policy, inventory: Inventory, facts: HostFacts) -> Expectations:
    """Hold every ``[[expect]]`` against the whole policy.

    ``denied`` holds when all paths are denied, ``allowed`` when all are allowed. What is said
    of a container or a host port that is not there now cannot be checked: a warning. Nor can
    what would be allowed if a name had an address that has none now.
    """
    explainer = _Explainer(policy, inventory, facts, frozenset())
    at_most = _with_every_name(policy)
    errors: list[str] = []
    warnings: list[str] = []
    for expect in policy.expects:
        try:
            found = explainer.explain(expect.source, expect.target)
        except UnknownContainer as error:
            warnings.append(f"{expect.origin}: not checked: {error}")
            continue
        except UsageError as error:
            errors.append(f"{expect.origin}: {error}")
            continue
        wrong = [row for row in found.rows if row.allowed != expect.allowed]
        if wrong and wrong[0].path == _HOST_ITSELF:
            warnings.append(
                f"{expect.origin}: not checked: no container publishes {expect.target} now; "
                "start it, then run dockerfw plan"
            )
        elif wrong and expect.allowed and _may_hold(at_most, inventory, facts, expect):
            warnings.append(
                f"{expect.origin}: not checked: it depends on a host: name, which has "
                "no address now"
            )
        elif wrong:
            errors.append(f"{expect.origin}: {_surprise(found, expect.allowed, wrong)}")
    return Expectations(tuple(errors), tuple(warnings))


def _with_every_name(policy: Policy) -> Policy | None:
    """The policy with every address for names that have none; None: all have one."""

    def widened(sources: tuple[Source, ...]) -> tuple[Source, ...]:
        return tuple(
            AnySource() if isinstance(s, HostSource) and not s.networks else s for s in sources
        )

    wide = replace(
        policy,
        baseline=widened(policy.baseline),
        allows=tuple(replace(a, sources=widened(a.sources)) for a in policy.allows),
    )
    return None if wide == policy else wide


def _may_hold(
    at_most: Policy | None, inventory: Inventory, facts: HostFacts, expect: Expect
) -> bool:
    if at_most is None:
        return False
    explainer = _Explainer(at_most, inventory, facts, frozenset())
    return all(row.allowed for row in explainer.explain(expect.source, expect.target).rows)


def _surprise(found: Explanation, expected: bool, wrong: list[Row]) -> str:
    verb = "does not reach" if expected else "reaches"
    path = wrong[0].path.removesuffix(" (DNAT)")
    more = f", and likewise on {counted(len(wrong) - 1, 'more path')}" if len(wrong) > 1 else ""
    return (
        f"expected {'allowed' if expected else 'denied'}, but {found.source} {verb} "
        f"{found.target} ({path}): {wrong[0].reason}{more}"
    )


def nearest(word: str, words: Iterable[str], limit: int = 3) -> tuple[str, ...]:
    """The words that somebody who wrote ``word`` may have meant, best first."""
    known = sorted(set(words))
    close = get_close_matches(word, known, limit, 0.6)
    close += [w for w in known if len(word) > 1 and word.lower() in w.lower() and w not in close]
    return tuple(close[:limit])


# --- source and target as written ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Sender:
    """``bridge`` is the Docker network whose bridge the packet comes in on, if it is one."""

    address: Address
    interface: str
    bridge: Network | None

    @property
    def family(self) -> Family:
        return 4 if self.address.version == 4 else 6


@dataclass(frozen=True, slots=True)
class _Source:
    """``host`` is this host itself; a container sends from each of its bridges."""

    senders: tuple[_Sender, ...] = ()
    container: Container | None = None
    host: bool = False


@dataclass(frozen=True, slots=True)
class _Target:
    """A container's port, a container address with a port, or (``host_port``) a host port."""

    protocol: str
    port: int
    container: Container | None = None
    address: Address | None = None
    host_port: bool = False

    @property
    def port_text(self) -> str:
        return "icmp" if self.protocol == "icmp" else f"{self.port}/{self.protocol}"


_TARGET_HELP = (
    "write NAME:PORT[/PROTOCOL], NAME:icmp, :PORT (a port of this host) or ADDRESS:PORT, "
    "an IPv6 address in brackets"
)
_HELP = {
    "source": "write an IP address, ADDRESS@INTERFACE, the name of a container, or host",
    "target": _TARGET_HELP,
}
_NAME = compile_regex(r"/?[A-Za-z0-9][A-Za-z0-9_.-]*")


def _address(text: str, what: str) -> Address | None:
    """The address that this text is, None when it looks like none. Raises `UsageError`."""
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
    """Protocol and port; ``icmp`` is port 0."""
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


class _Reader:
    """Reads SOURCE and TARGET in the light of what runs here."""

    def __init__(self, inventory: Inventory, local: frozenset[Address]) -> None:
        self.inventory = inventory
        self.local = local

    def source(self, text: str) -> _Source:
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
            return _Source(host=True)
        return self._source_container(self._container(name, "source"))

    def _source_address(self, address: Address, interface: str) -> _Source:
        if not interface and (address in self.local or address.is_loopback):
            return _Source(host=True)
        if interface:
            bridges = (n for n in self.inventory.bridges() if n.bridge == interface)
            return _Source((_Sender(address, interface, next(bridges, None)),))
        home = self.network_of(address)
        if home is not None and home.bridge:
            return _Source((_Sender(address, home.bridge, home),))
        return _Source((_Sender(address, _OUTSIDE, None),))

    def _source_container(self, container: Container) -> _Source:
        if self.inventory.on_host_network(container):
            return _Source(host=True, container=container)
        senders = []
        for endpoint in self.inventory.endpoints(container):
            network = self.inventory.network(endpoint.network_id)
            if network is not None and network.bridge:
                senders += [_Sender(a, network.bridge, network) for a in endpoint.addresses]
        return _Source(tuple(senders), container)

    def target(self, text: str) -> _Target:
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
        if _looks_like_ipv4(name):
            return self._target_address(name, port_text, text)
        container = self._container(name, "target")
        protocol, port = _port_of(port_text, text)
        return _Target(protocol, port, container=container)

    def _target_address(self, host: str, port_text: str, text: str) -> _Target:
        address = _address(host, "target")
        if address is None:
            _refuse_networks(host, "target")
            raise UsageError(f'target "{text}": "{host}" is no IP address; {_TARGET_HELP}')
        if address.is_unspecified:
            raise UsageError(f'target "{text}": a port of every address is written :{port_text}')
        if self.network_of(address) is None or address in self.local:
            return self._target_host_port(address, port_text, text)
        protocol, port = _port_of(port_text, text)
        return _Target(protocol, port, address=address)

    def _target_host_port(self, address: Address | None, port_text: str, text: str) -> _Target:
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
        return _Target(protocol, port, address=address, host_port=True)

    def _may_be_ours(self, address: Address) -> bool:
        """True as well where nobody has told us the addresses of this host."""
        bound = (b.host_address for c in self.inventory.containers for b in c.ports)
        return not self.local or address.is_loopback or address in self.local or address in bound

    def network_of(self, address: Address) -> Network | None:
        """The Docker bridge network that this address belongs to."""
        for network in self.inventory.bridges():
            if any(address in s for s in network.subnets if s.version == address.version):
                return network
        return None

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
        near = nearest(name, self._names())
        hint = f"did you mean {listed(near)}?" if near else "see docker ps for the names"
        raise UnknownContainer(f'no running container is called "{name}": {hint}')

    def _which_port(self, text: str) -> str:
        """What to write in place of a target without a port."""
        name = text.removeprefix("container:")
        if _looks_like_ipv4(name):
            return f'target "{text}" has no port: write {name}:80, say'
        container = self._container(name, "target")
        bindings = self.inventory.published(container)
        ports = sorted({_numbered(b.container_port, b.protocol) for b in bindings})
        examples = [f"{name}:{port}" for port in (*ports[:3], "icmp")]
        return f'target "{text}" has no port: write {" or ".join(examples)}'


def _check_interface(interface: str, text: str) -> None:
    bad = not interface or len(interface) > 15 or "/" in interface or ":" in interface
    if bad or any(c.isspace() for c in interface) or not interface.isprintable():
        raise UsageError(
            f'source "{text}": what stands after @ is the name of an interface, of 1 to 15 '
            "characters, such as eth0"
        )


def _looks_like_ipv4(text: str) -> bool:
    return bool(text) and all(c in "0123456789./" for c in text)


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return True


def _numbered(port: int, protocol: str) -> str:
    return str(port) if protocol == "tcp" else f"{port}/{protocol}"


def _bracketed(address: Address) -> str:
    return f"[{address}]" if address.version == 6 else str(address)


# --- the packets of each path --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Way:
    """One hook that a packet may meet on a path."""

    suffix: str
    hook: Hook
    packet: Packet


class _Explainer:
    def __init__(
        self, policy: Policy, inventory: Inventory, facts: HostFacts, local: frozenset[Address]
    ) -> None:
        self.policy = policy
        self.inventory = inventory
        self.facts = facts
        self.local = local | facts.addresses
        self.reader = _Reader(inventory, self.local)
        self.judge = _Judge(policy, inventory, facts, self.local)

    def explain(self, source: str, target: str) -> Explanation:
        sender = self.reader.source(source)
        goal = self.reader.target(target)
        rows = dict.fromkeys(self._rows(sender, goal))
        if not rows and not sender.senders:
            raise UsageError(
                f'source "{source}" has no address on a Docker bridge of this host: write the '
                "address that its packets come from"
            )
        return Explanation(
            source,
            target,
            tuple(rows) or self._no_path(sender, goal),
            self.policy.mode == "observe",
            tuple(self._warnings(goal)),
        )

    def _rows(self, source: _Source, target: _Target) -> Iterator[Row]:
        if source.host:
            yield from self._from_host(target)
            return
        if self._together(source.container, target.container):
            yield Row("inside one container's network", 4, True, "allowed: no packet leaves it")
            return
        yield from self._past_us(source, target)
        for sender in source.senders:
            if sender.family in self.facts.families:
                yield from self._from(sender, target)

    def _together(self, one: Container | None, other: Container | None) -> bool:
        if one is None or other is None:
            return False
        return self.inventory.network_owner(one).id == self.inventory.network_owner(other).id

    def _from_host(self, target: _Target) -> Iterator[Row]:
        """P6: nothing of ours stands in OUTPUT."""
        addresses = [target.address] if target.address else []
        if target.container:
            addresses += [
                a for e in self.inventory.endpoints(target.container) for a in e.addresses
            ]
        families = sorted({a.version for a in addresses}) or [4]
        for version in families:
            family: Family = 4 if version == 4 else 6
            yield Row("P6 this host", family, True, "allowed: this host reaches its containers")

    def _past_us(self, source: _Source, target: _Target) -> Iterator[Row]:
        """P9: networks that this host's kernel does not forward."""
        if target.container is None:
            return
        ours: set[str] = set()
        if source.container is not None:
            ours = {e.network_id for e in self.inventory.network_owner(source.container).endpoints}
        families = {s.family for s in source.senders}
        for endpoint in self.inventory.network_owner(target.container).endpoints:
            network = self.inventory.network(endpoint.network_id)
            if network is None or network.driver in ("bridge", "host", "none", "null"):
                continue
            same = network.id in ours
            for address in endpoint.addresses:
                family: Family = 4 if address.version == 4 else 6
                if same or (family in families and network.driver in _UNFILTERED):
                    yield Row(
                        f"P9 {network.driver} network {network.name}, to {address}",
                        family,
                        True,
                        f"allowed: {network.driver} networks cannot be filtered here",
                    )

    def _from(self, sender: _Sender, target: _Target) -> Iterator[Row]:
        container = target.container
        if target.host_port:
            yield from self._to_host_port(sender, target)
        elif target.address is not None:
            yield from self._directly(sender, target.address, target)
        elif container is not None and self.inventory.on_host_network(container):
            yield from self._to_host_itself(_host_network_label(target), sender, target)
        elif container is not None:
            for binding in self.inventory.published(container):
                if (binding.container_port, binding.protocol) == (target.port, target.protocol):
                    yield from self._published(sender, binding, container, target)
            for endpoint in self.inventory.endpoints(container):
                for address in endpoint.addresses:
                    yield from self._directly(sender, address, target)

    def _directly(self, sender: _Sender, address: Address, target: _Target) -> Iterator[Row]:
        """P2, P4, P5: to the container's own address."""
        family = sender.family
        if address.version != family:
            return
        home = self.reader.network_of(address)
        if sender.bridge is None:
            if sender.address.is_link_local and family == 6:
                return  # the kernel never forwards these
            label = f"P2 directly to {address}"
        elif home is None or home.id != sender.bridge.id:
            label = f"P5 other bridge, directly to {address}"
        else:
            label = f"P4 same bridge, to {address}"
            if not self.facts.br_netfilter[0 if family == 4 else 1]:
                reason = "allowed: the kernel does not show it (br_netfilter is off)"
                yield Row(label, family, True, reason)
                return
        icmp_type = _ECHO_REQUEST[family] if target.protocol == "icmp" else None
        packet = Packet(
            sender.interface,
            sender.address,
            address,
            target.protocol,
            target.port,
            icmp_type=icmp_type,
        )
        yield Row(label, family, *self.judge.verdict(_Way("", "forward", packet)))

    def _published(
        self, sender: _Sender, binding: PublishedPort, container: Container, target: _Target
    ) -> Iterator[Row]:
        """P1, P3, and P5 by published port: one binding, on each host address that matters."""
        family, bound = sender.family, binding.host_address
        if bound.version != family or bound.is_loopback:
            return
        if not binding.wildcard and target.address not in (None, bound):
            return
        inner = self._behind(container, sender)
        number = _numbered(binding.host_port, binding.protocol)
        at = f"{_bracketed(bound)}:{number}"
        behind = f"{container.name}:" if target.host_port else ""
        leads = f"{number if binding.wildcard else at} → {behind}{binding.container_port}"
        if sender.bridge is not None:
            label = f"P5 {self._nearness(sender.bridge, container)}, by published port {leads}"
        elif inner is None:
            label = f"P3 by docker-proxy {at}"
        else:
            label = f"P1 published {leads} (DNAT)"
        where = target.address if binding.wildcard else bound

        def ways(address: Address) -> tuple[_Way, ...]:
            to_host = (address, binding.host_port)
            return _ways(sender, to_host, binding.protocol, inner, binding.container_port)

        port = (binding.protocol, binding.host_port)
        yield from self._at_host(label, sender, port, where, ways)

    def _nearness(self, bridge: Network, container: Container) -> str:
        near = any(e.network_id == bridge.id for e in self.inventory.endpoints(container))
        return "same bridge" if near else "other bridge"

    def _behind(self, container: Container, sender: _Sender) -> Address | None:
        """Where Docker's NAT sends this family; None: docker-proxy answers it on the host.

        Docker publishes on one network, mostly the first by name; its DNAT leaves out link-local
        IPv6 sources (moby: DNAT rules have ``! -s fe80::/10``).
        """
        if sender.family == 6 and sender.address.is_link_local:
            return None
        by_name = sorted(self.inventory.endpoints(container), key=lambda e: e.network)
        addresses = (a for e in by_name for a in e.addresses if a.version == sender.family)
        return next(addresses, None)

    def _at_host(
        self,
        label: str,
        sender: _Sender,
        port: tuple[str, int],
        where: Address | None,
        ways: Callable[[Address], tuple[_Way, ...]],
    ) -> Iterator[Row]:
        """The rows of one host port; addresses that the policy names get one if they differ."""
        addresses = [where] if where is not None else self._host_addresses(sender, port)
        first: set[tuple[bool, str]] = set()
        for address in addresses:
            found = [(way.suffix, self.judge.verdict(way)) for way in ways(address)]
            verdicts = {verdict for _, verdict in found}
            if verdicts == first:
                continue
            at = f" at {address}" if first else ""
            first = first or verdicts
            if len(verdicts) == 1:
                yield Row(f"{label}{at}", sender.family, *found[0][1])
                continue
            for suffix, verdict in found:
                yield Row(f"{label}{suffix}{at}", sender.family, *verdict)

    def _host_addresses(self, sender: _Sender, port: tuple[str, int]) -> list[Address]:
        """One address of this host for all that the policy does not name, then the named ones."""
        statements: tuple[Allow | Deny, ...] = (*self.policy.allows, *self.policy.denies)
        named = {
            spec.address
            for statement in statements
            for spec in statement.published
            if spec.address is not None
            and spec.address.version == sender.family
            and (spec.ports.protocol, port[1] in spec.ports) == (port[0], True)
        }
        own = {
            a
            for a in self.local
            if a.version == sender.family and not (a.is_loopback or a.is_link_local)
        }
        others = sorted(own - named, key=lambda a: (self.reader.network_of(a) is not None, int(a)))
        here = sorted(named & own if own else named, key=int)
        if others or not here or not own:
            return [others[0] if others else _ANY_HOST[sender.family], *here]
        return here

    def _to_host_port(self, sender: _Sender, target: _Target) -> Iterator[Row]:
        if target.address is not None:
            if target.address.version != sender.family:
                return
            if target.address.is_loopback:
                yield Row(
                    f"to {_bracketed(target.address)}:{target.port}",
                    sender.family,
                    False,
                    "denied: only this host itself reaches it",
                )
                return
        bindings = [
            (container, binding)
            for container in self.inventory.containers
            for binding in container.ports
            if (binding.host_port, binding.protocol) == (target.port, target.protocol)
        ]
        for container, binding in bindings:
            yield from self._published(sender, binding, container, target)
        if not bindings:
            yield from self._unpublished(sender, target)

    def _unpublished(self, sender: _Sender, target: _Target) -> Iterator[Row]:
        """P8 and P10: host ports that no binding leads to; else the port is the host's own."""
        gateway = next((n for n in self.inventory.bridges() if n.name == GATEWAY_BRIDGE), None)
        subnets = [s for s in gateway.subnets if s.version == sender.family] if gateway else []
        if self.judge.guards(sender.family, target.protocol, target.port):
            yield from self._to_host_itself(_host_network_label(target), sender, target)
        elif subnets:
            inner: Address = subnets[0].network_address + 2

            def ways(address: Address) -> tuple[_Way, ...]:
                to_host = (address, target.port)
                return _ways(sender, to_host, target.protocol, inner, target.port)[:1]

            label = f"P10 swarm published {_numbered(target.port, target.protocol)}"
            port = (target.protocol, target.port)
            yield from self._at_host(label, sender, port, target.address, ways)
        else:
            yield from self._to_host_itself(_HOST_ITSELF, sender, target)

    def _to_host_itself(self, label: str, sender: _Sender, target: _Target) -> Iterator[Row]:
        def ways(address: Address) -> tuple[_Way, ...]:
            return _ways(sender, (address, target.port), target.protocol, None, target.port)

        port = (target.protocol, target.port)
        yield from self._at_host(label, sender, port, target.address, ways)

    # what else is to be said

    def _no_path(self, source: _Source, target: _Target) -> tuple[Row, ...]:
        families = dict.fromkeys(s.family for s in source.senders)
        return tuple(
            Row("no path", family, False, f"denied: {self._why_no_path(family, target)}")
            for family in families
        )

    def _why_no_path(self, family: Family, target: _Target) -> str:
        if family not in self.facts.families:
            return f"this host has no IPv{family}"
        if target.address is not None and target.address.version != family:
            return f"{target.address} is no IPv{family} address"
        if target.container is None:
            return (
                f"no container publishes {target.port_text} on an IPv{family} address that others "
                "than this host reach"
            )
        name = target.container.name
        if target.protocol == "icmp":
            return f"{name} has no IPv{family} address"
        return f"{name} has no IPv{family} address and does not publish {target.port} on one"

    def _warnings(self, target: _Target) -> Iterator[str]:
        container = target.container
        if container is None or target.protocol == "icmp":
            return
        bindings = self.inventory.published(container)
        mine = [b for b in bindings if b.protocol == target.protocol]
        behind = sorted({b.container_port for b in mine if b.host_port == target.port})
        if behind and all(b.container_port != target.port for b in mine):
            yield (
                f"{container.name} publishes {behind[0]} as {target.port}: "
                f"write {container.name}:{_numbered(behind[0], target.protocol)} or "
                f":{_numbered(target.port, target.protocol)}"
            )
        loopback = [b for b in mine if b.container_port == target.port]
        if loopback and all(b.host_address.is_loopback for b in loopback):
            yield (
                f"{container.name} publishes {target.port} on {loopback[0].host_address} alone: "
                "that host port is for this host itself"
            )
        network_owner = self.inventory.network_owner(container)
        if network_owner.id != container.id:
            yield f"{container.name} is at the addresses of {network_owner.name}"


def _host_network_label(target: _Target) -> str:
    if target.protocol == "icmp":
        return "P8 host network, ping"
    return f"P8 host network, port {_numbered(target.port, target.protocol)}"


def _ways(
    sender: _Sender,
    host: tuple[Address, int],
    protocol: str,
    inner: Address | None,
    inner_port: int,
) -> tuple[_Way, ...]:
    """The hooks that a packet to this host's own address may meet.

    From a container the engine decides: up to 28 most go to docker-proxy, from 29 on through NAT.
    """
    address, port = host
    to_host = Packet(sender.interface, sender.address, address, protocol, port, host_port=host)
    proxied = _Way(" (docker-proxy)", "input", to_host)
    if inner is None:
        return (proxied,)
    behind_nat = replace(to_host, destination=inner, port=inner_port, dnat=True)
    nat = _Way(" (DNAT)", "forward", behind_nat)
    return (nat,) if sender.bridge is None else (nat, proxied)


# --- verdicts and the lines that decide ----------------------------------------------------------


class _Judge:
    """Walks packets through the whole policy, and through parts of it to find what decides."""

    def __init__(
        self, policy: Policy, inventory: Inventory, facts: HostFacts, local: frozenset[Address]
    ) -> None:
        self.policy = replace(policy, mode="enforce")
        self.inventory = inventory
        self.facts = facts
        self.local = local
        self.whole = self._compiled(self.policy)
        self.silent = self._silent()
        self._parts: dict[_Key, Ruleset] = {}

    @cached_property
    def closed(self) -> Ruleset:
        """As `silent`, compiled: nobody from outside may reach anything."""
        return self._compiled(self.silent)

    def verdict(self, way: _Way) -> tuple[bool, str]:
        """Whether it passes, and why."""
        outcome = self._walk(self.whole, way)
        if outcome.passed:
            return True, self._why_allowed(way, outcome)
        return False, self._why_denied(way, outcome)

    def guards(self, family: Family, protocol: str, port: int) -> bool:
        """Whether a rule makes this port of the host ours, as one of a host-network container."""
        host = _ANY_HOST[family]
        stranger: Address = host + 1
        packet = Packet(_OUTSIDE, stranger, host, protocol, port, host_port=(host, port))
        return not self._walk(self.closed, _Way("", "input", packet)).passed

    def _why_denied(self, way: _Way, outcome: Outcome) -> str:
        last = outcome.path[-1].comment
        if last.startswith("forged"):
            return last
        index = self._first("denies", len(self.policy.denies), way)
        if index is None:
            return "denied: nothing allows it"
        deny = self.policy.denies[index]
        return f"denied by {deny.origin}{self._from('denies', index, way)}"

    def _why_allowed(self, way: _Way, outcome: Outcome) -> str:
        if not outcome.has_bit:
            return "allowed: no rule guards this port of the host, dockerfw leaves it alone"
        index = self._first("allows", len(self.policy.allows), way)
        if index is not None:
            allow = self.policy.allows[index]
            until = f" until {moment(allow.end)}" if allow.end is not None else ""
            return f"allowed by {allow.origin}{self._from('allows', index, way)}{until}"
        index = self._first("baseline", len(self.policy.baseline), way)
        return "allowed" if index is None else f"allowed by baseline {self.policy.baseline[index]}"

    def _first(self, part: _Part, count: int, way: _Way) -> int | None:
        """The first statement that decides this packet: with more of them it stays decided."""
        found = bisect_left(
            range(1, count + 1), True, key=lambda stop: self._decides((part, stop, None), way)
        )
        return found if found < count else None

    def _from(self, part: Literal["allows", "denies"], index: int, way: _Way) -> str:
        """`` (from office)``: the word of ``from``, as written, that matches this packet."""
        statement = (self.policy.denies if part == "denies" else self.policy.allows)[index]
        written, sources = statement.written_from, statement.sources
        if len(written) == 1:
            return f" (from {written[0]})"
        for number, source in enumerate(sources[:-1]):
            if self._decides((part, index, number), way):
                return f" (from {_written(source, sources, written)})"
        return f" (from {_written(sources[-1], sources, written)})"

    def _decides(self, key: _Key, way: _Way) -> bool:
        """Whether this part of the policy alone lets the packet pass, or turns it away."""
        if key not in self._parts:
            self._parts[key] = self._compiled(self._part(*key))
        ruleset = self._parts[key]
        outcome = self._walk(ruleset, way)
        if key[0] != "denies":
            return outcome.passed and outcome.has_bit
        sets = (
            ruleset.set(match.name)
            for rule in outcome.path
            for match in rule.matches
            if isinstance(match, InSet)
        )
        return any(ipset is not None and ipset.phase == "deny" for ipset in sets)

    def _part(self, part: _Part, stop: int, number: int | None) -> Policy:
        """The first ``stop`` statements alone; or, with ``number``, one source of that index."""
        silent = self.silent
        if part == "baseline":
            return replace(silent, baseline=self.policy.baseline[:stop])
        if part == "denies":
            denies = self.policy.denies[:stop]
            if number is not None:
                deny = self.policy.denies[stop]
                denies = (replace(deny, sources=(deny.sources[number],)),)
            return replace(silent, denies=(*silent.denies, *denies))
        allows = self.policy.allows[:stop]
        if number is not None:
            allow = self.policy.allows[stop]
            allows = (replace(allow, sources=(allow.sources[number],)),)
        return replace(silent, allows=(*silent.allows, *allows))

    def _silent(self) -> Policy:
        """No statement has a source.

        Those that name host-network containers stay: they say which ports of theirs are guarded.
        """
        on_host = {c.name for c in self.inventory.containers if self.inventory.on_host_network(c)}

        def stays(statement: Allow | Deny) -> bool:
            return any(s.exact_container and s.name in on_host for s in statement.to)

        return replace(
            self.policy,
            baseline=(),
            allows=tuple(replace(a, sources=()) for a in self.policy.allows if stays(a)),
            denies=tuple(replace(d, sources=()) for d in self.policy.denies if stays(d)),
        )

    def _walk(self, ruleset: Ruleset, way: _Way) -> Outcome:
        local = self.local
        if way.packet.host_port is not None:
            local |= {way.packet.host_port[0]}
        return ruleset.walk(way.hook, way.packet, local)

    def _compiled(self, policy: Policy) -> Ruleset:
        return compile_ruleset(policy, self.inventory, self.facts)


def _written(source: Source, sources: tuple[Source, ...], written: tuple[str, ...]) -> str:
    """What the user wrote for this source: itself, or the one list that it can be from."""
    literal = {str(s) for s in sources}
    if str(source) in written:
        return str(source)
    lists = [word for word in written if word not in literal]
    return lists[0] if len(lists) == 1 else str(source)
