"""The policy as values: what the sysadmin declared, checked and with every name resolved.

Takes and gives nothing but frozen values; never reads a file, the clock or Docker.
``policy/parser.py`` makes a `Policy` out of TOML, ``rules/compiler.py`` makes a ruleset out of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from ipaddress import ip_network
from types import MappingProxyType
from typing import Literal, TypeAlias

from dockerfw.model.intervals import less
from dockerfw.model.net import Address, IPNetwork

Protocol: TypeAlias = Literal["tcp", "udp", "sctp"]

DEFAULT_MARK = 0x30000000
MOST_ADDRESSES = 64
"""So many addresses of one ``host:`` source count."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a statement stands: the file as the user wrote it, and a line that counts from 1."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True, order=True)
class PortRange:
    """``first`` to ``last`` (both included, 1 to 65535) of one protocol."""

    protocol: Protocol
    first: int
    last: int

    def __contains__(self, port: int) -> bool:
        return self.first <= port <= self.last

    def __str__(self) -> str:
        ports = str(self.first) if self.first == self.last else f"{self.first}-{self.last}"
        return f"{ports}/{self.protocol}"


class PortKeyword(Enum):
    """The words that stand in ``ports`` in place of a number."""

    ICMP = "icmp"
    PUBLISHED = "published"
    ALL = "all"

    def __str__(self) -> str:
        return self.value


PortSpec: TypeAlias = PortRange | PortKeyword


@dataclass(frozen=True, slots=True)
class PublishedSpec:
    """Host ports of ``published``; ``address`` None means on whatever address."""

    ports: PortRange
    address: Address | None = None

    def __str__(self) -> str:
        if self.address is None:
            return str(self.ports)
        host = f"[{self.address}]" if self.address.version == 6 else str(self.address)
        return f"{host}:{self.ports}"


SelectorKind: TypeAlias = Literal["container", "compose", "label", "image", "network", "service"]


@dataclass(frozen=True, slots=True)
class Selector:
    """Which containers: ``name`` and, for some kinds, ``detail``.

    ============  ==========================  =============================
    kind          name                        detail
    ============  ==========================  =============================
    container     name, ``*`` matches any      None
    compose       project, ``*`` matches any   service (``*`` any) or None: all
    label         key, exactly                 value, exactly, or None: any
    image         name, ``*`` matches any      None
    network       name, exactly                None
    service       swarm service, exactly       None
    ============  ==========================  =============================
    """

    kind: SelectorKind
    name: str
    detail: str | None = None
    negated: bool = False

    @property
    def exact_container(self) -> bool:
        """True when this names one container and no pattern (paths of P8 depend on that)."""
        return self.kind == "container" and "*" not in self.name and not self.negated

    def __str__(self) -> str:
        prefix = "" if self.kind == "container" else f"{self.kind}:"
        separator = "=" if self.kind == "label" else "/"
        detail = "" if self.detail is None else f"{separator}{self.detail}"
        return f"{'!' if self.negated else ''}{prefix}{self.name}{detail}"


@dataclass(frozen=True, slots=True)
class AnySource:
    """``any``: every outside address of both families."""

    def __str__(self) -> str:
        return "any"


@dataclass(frozen=True, slots=True)
class AddressSource:
    """One IP address or CIDR of the outside."""

    network: IPNetwork

    def __str__(self) -> str:
        net = self.network
        return str(net.network_address if net.prefixlen == net.max_prefixlen else net)


@dataclass(frozen=True, slots=True)
class FileSource:
    """``file:PATH``: the path as written and the networks that it holds."""

    path: str
    networks: tuple[IPNetwork, ...]

    def __str__(self) -> str:
        return f"file:{self.path}"


@dataclass(frozen=True, slots=True)
class HostSource:
    """``host:NAME``: the name and the addresses that it had when it was last looked up.

    ``networks`` are those of at most `MOST_ADDRESSES` addresses; empty where the name was never
    looked up or has no address: then it matches nobody. ``prefix`` is the length of the network
    around each IPv6 address; None: the address alone.
    """

    name: str
    networks: tuple[IPNetwork, ...] = ()
    prefix: int | None = None

    def at(self, addresses: Iterable[Address]) -> HostSource:
        """Return the same name with these addresses."""
        around = (ip_network((a, self._length(a)), strict=False) for a in addresses)
        return replace(self, networks=tuple(dict.fromkeys(around)))

    def _length(self, address: Address) -> int:
        alone = address.max_prefixlen
        return alone if self.prefix is None or address.version == 4 else self.prefix

    def __str__(self) -> str:
        return f"host:{self.name}" + ("" if self.prefix is None else f"/{self.prefix}")


@dataclass(frozen=True, slots=True)
class LanSource:
    """``lan:INTERFACE``: the networks that are connected to an interface of this host.

    ``networks`` are those that it had when it was last asked; empty where it has none.
    """

    interface: str
    networks: tuple[IPNetwork, ...] = ()

    def __str__(self) -> str:
        return f"lan:{self.interface}"


@dataclass(frozen=True, slots=True)
class InterfaceSource:
    """``iface:NAME``; a ``*`` at the end of the name matches any rest."""

    name: str

    def matches(self, interface: str) -> bool:
        if self.name.endswith("*"):
            return interface.startswith(self.name[:-1])
        return interface == self.name

    def __str__(self) -> str:
        return f"iface:{self.name}"


@dataclass(frozen=True, slots=True)
class BridgeSource:
    """``bridge``: came in on a Docker bridge, with an address of that bridge's subnet."""

    def __str__(self) -> str:
        return "bridge"


@dataclass(frozen=True, slots=True)
class SelectorSource:
    """The containers that a selector names, as sources, on their own bridges."""

    selector: Selector

    def __str__(self) -> str:
        prefix = "container:" if self.selector.kind == "container" else ""
        return f"{prefix}{self.selector}"


@dataclass(frozen=True, slots=True)
class ExceptingSource:
    """``sources`` less ``exceptions``, all of them addresses of the outside: see `excepting`.

    ``networks`` are the addresses that are left.
    """

    sources: tuple[Source, ...]
    exceptions: tuple[Source, ...]
    networks: tuple[IPNetwork, ...]

    def __str__(self) -> str:
        return ", ".join([*map(str, self.sources), *(f"!{e}" for e in self.exceptions)])


Source: TypeAlias = (
    AnySource
    | AddressSource
    | FileSource
    | HostSource
    | LanSource
    | InterfaceSource
    | BridgeSource
    | SelectorSource
    | ExceptingSource
)

_WHOLE: tuple[IPNetwork, IPNetwork] = (ip_network("0.0.0.0/0"), ip_network("::/0"))


def may_be_inside(source: Source) -> bool:
    """Return True if packets that came in on a Docker bridge can match this source."""
    match source:
        case InterfaceSource() | BridgeSource() | SelectorSource():
            return True
        case AnySource() | AddressSource() | FileSource() | HostSource() | LanSource():
            return False
        case ExceptingSource():
            return False


def outside_networks(source: Source) -> tuple[IPNetwork, ...]:
    """Return the addresses of the outside that a source stands for.

    None for sources that go by something else: an interface, containers.
    """
    match source:
        case AnySource():
            return _WHOLE
        case AddressSource(network=network):
            return (network,)
        case (
            FileSource(networks=networks)
            | HostSource(networks=networks)
            | LanSource(networks=networks)
            | ExceptingSource(networks=networks)
        ):
            return networks
        case InterfaceSource() | BridgeSource() | SelectorSource():
            return ()


def excepting(sources: tuple[Source, ...], exceptions: tuple[Source, ...]) -> ExceptingSource:
    """Return addresses of the outside without others."""
    networks = (n for source in sources for n in outside_networks(source))
    taken_out = [n for source in exceptions for n in outside_networks(source)]
    return ExceptingSource(sources, exceptions, less(networks, taken_out))


def parts(sources: Iterable[Source]) -> Iterator[Source]:
    """Yield these sources and, where one has exceptions, all that it is made of in its place."""
    for source in sources:
        if isinstance(source, ExceptingSource):
            yield from parts((*source.sources, *source.exceptions))
        else:
            yield source


HostAddresses: TypeAlias = Mapping[str, tuple[Address, ...]]
"""By name of a ``host:`` source, its addresses."""
LanNetworks: TypeAlias = Mapping[str, tuple[IPNetwork, ...]]
"""By interface of a ``lan:`` source, its networks."""


@dataclass(frozen=True, slots=True)
class Allow:
    """``[[allow]]``: either ``to`` with ``ports``, or ``published`` (``to`` may narrow it).

    ``to`` empty means no ``to`` was written. ``written_from`` is ``from`` as the user wrote it
    (names of lists unresolved), for people; ``sources`` is what it means. ``until`` is in UTC;
    None: it does not end.
    """

    origin: Origin
    sources: tuple[Source, ...]
    to: tuple[Selector, ...] = ()
    ports: tuple[PortSpec, ...] = ()
    published: tuple[PublishedSpec, ...] = ()
    until: datetime | None = None
    written_from: tuple[str, ...] = ()

    @property
    def end(self) -> int | None:
        """Return ``until`` as Unix time, rounded down to whole seconds; None: it does not end."""
        return None if self.until is None else int(self.until.timestamp())

    def ended(self, now: float) -> bool:
        """Return True if the rule has ended at that Unix time.

        The kernel counts whole seconds, so with less than one left it has.
        """
        return self.end is not None and self.end - now < 1


@dataclass(frozen=True, slots=True)
class Deny:
    """``[[deny]]``: as `Allow`, or with neither ``ports`` nor ``published``: everything.

    With ``to`` alone it is every port of those containers.
    """

    origin: Origin
    sources: tuple[Source, ...]
    to: tuple[Selector, ...] = ()
    ports: tuple[PortSpec, ...] = ()
    published: tuple[PublishedSpec, ...] = ()
    written_from: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Expect:
    """``[[expect]]``: ``source`` and ``target`` are in the language of ``explain``."""

    origin: Origin
    source: str
    target: str
    allowed: bool


Mode: TypeAlias = Literal["enforce", "observe"]
OnDeny: TypeAlias = Literal["drop", "reject"]
Committer: TypeAlias = Literal["iptables-restore", "python-iptables"]


@dataclass(frozen=True, slots=True)
class Needs:
    """What a policy must know of each container beyond what Docker's list calls return.

    ``images``: the name that it was created from. ``labels``: those given to the container.
    """

    images: bool = False
    labels: bool = False

    def covers(self, other: Needs) -> bool:
        """Return True if what is known for these needs is enough for ``other``."""
        return (self.images or not other.images) and (self.labels or not other.labels)


NOTHING = Needs()
"""Docker's list calls are enough."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What one policy file and its ``conf.d`` declare together.

    ``locked_down``: no file says so, a lockdown does. Nobody is let in, not even by chains of
    another policy that still stand. ``named`` are the lists of ``[sources]``, for questions: what
    holds is in the statements.
    """

    baseline: tuple[Source, ...] = (BridgeSource(),)
    mode: Mode = "enforce"
    on_deny: OnDeny = "drop"
    mark: int = DEFAULT_MARK
    committer: Committer = "iptables-restore"
    log: bool = False
    resync: int = 30
    metrics: str | None = None
    metrics_file: str | None = None
    locked_down: bool = False
    allows: tuple[Allow, ...] = ()
    denies: tuple[Deny, ...] = ()
    expects: tuple[Expect, ...] = ()
    warnings: tuple[str, ...] = field(default=(), compare=False)
    named: tuple[tuple[str, tuple[Source, ...]], ...] = field(default=(), compare=False)

    def without_ended(self, now: float) -> Policy:
        """Return the policy as it is at that Unix time: an allow that has ended opens nothing.

        The allow stays, without sources: the ports of host-network containers that it names are
        guarded because a rule names them, and must not open to all when its time is over.
        """
        if not any(allow.ended(now) for allow in self.allows):
            return self
        allows = (replace(a, sources=()) if a.ended(now) else a for a in self.allows)
        return replace(self, allows=tuple(allows))

    def next_end(self, now: float) -> datetime | None:
        """Return when the next allow ends, of those that have not; None: none will."""
        return min((a.until for a in self.allows if a.until and not a.ended(now)), default=None)

    def needs(self) -> Needs:
        """Return what the selectors of this policy must know of each container."""
        kinds = {selector.kind for selector in self._selectors()}
        return Needs("image" in kinds, bool(kinds & {"label", "compose", "service"}))

    @property
    def statements(self) -> tuple[Allow | Deny, ...]:
        return (*self.allows, *self.denies)

    def _selectors(self) -> Iterator[Selector]:
        for statement in self.statements:
            yield from statement.to
        sources = [source for statement in self.statements for source in statement.sources]
        for source in (*sources, *self.baseline):
            if isinstance(source, SelectorSource):
                yield source.selector

    def host_names(self) -> Mapping[str, Origin | None]:
        """Return the names of all ``host:`` sources, each with the first rule that has it.

        None: only the baseline has it.
        """
        return self._first_rules(lambda s: s.name if isinstance(s, HostSource) else None)

    def interfaces(self) -> Mapping[str, Origin | None]:
        """Return the interfaces of all ``lan:`` sources, as `host_names` does names."""
        return self._first_rules(lambda s: s.interface if isinstance(s, LanSource) else None)

    def _first_rules(self, key: Callable[[Source], str | None]) -> Mapping[str, Origin | None]:
        found: dict[str, Origin | None] = {}
        for rule in self.statements:
            for source in parts(rule.sources):
                if (name := key(source)) is not None:
                    found.setdefault(name, rule.origin)
        names = (key(source) for source in parts(self.baseline))
        return {**dict.fromkeys(name for name in names if name is not None), **found}

    def with_names(self, names: HostAddresses, lans: LanNetworks = MappingProxyType({})) -> Policy:
        """Return the policy with these addresses for its names, and these networks for its
        interfaces; the others have none.
        """
        if not self.host_names() and not self.interfaces():
            return self

        def now(sources: tuple[Source, ...]) -> tuple[Source, ...]:
            return tuple(_as_it_is(source, names, lans) for source in sources)

        return replace(
            self,
            baseline=now(self.baseline),
            allows=tuple(replace(a, sources=now(a.sources)) for a in self.allows),
            denies=tuple(replace(d, sources=now(d.sources)) for d in self.denies),
            named=tuple((name, now(sources)) for name, sources in self.named),
        )


def moves(sources: Iterable[Source]) -> bool:
    """Return True if what these stand for may change while the policy does not."""
    return any(isinstance(source, HostSource | LanSource) for source in parts(sources))


def _as_it_is(source: Source, names: HostAddresses, lans: LanNetworks) -> Source:
    if isinstance(source, HostSource):
        return source.at(names.get(source.name, ()))
    if isinstance(source, LanSource):
        return replace(source, networks=lans.get(source.interface, ()))
    if isinstance(source, ExceptingSource) and moves((source,)):
        return excepting(
            tuple(_as_it_is(one, names, lans) for one in source.sources),
            tuple(_as_it_is(one, names, lans) for one in source.exceptions),
        )
    return source
