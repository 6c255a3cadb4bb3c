"""What should stand in the kernel, as values: chains of rules, sets of elements, the seal.

``rules/compiler.py`` makes a `Ruleset`; ``kernel/render.py`` turns it into kernel text;
`Ruleset.walk` walks a
packet through it the way netfilter would, for ``explain``, for ``[[expect]]`` and for tests.
Never holds kernel text: names, numbers and addresses only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from re import compile as compile_regex
from typing import Literal, TypeAlias

from dockerfw.model.host import Cgroup
from dockerfw.model.net import Address, Family, IPNetwork, Port

Table: TypeAlias = Literal["filter", "mangle"]

MAIN = "DOCKERFW"
INSIDE = "DOCKERFW-IN"
VERDICT = "DOCKERFW-END"
OK = "DOCKERFW-OK"
DENY = "DOCKERFW-DENY"
INPUT = "DOCKERFW-INPUT"
PRE = "DOCKERFW-PRE"
PRE_INSIDE = "DOCKERFW-PRE-IN"

SetType: TypeAlias = Literal[
    "hash:ip", "hash:net", "hash:net,port", "hash:ip,port,net", "hash:net,iface"
]


LONGEST_TIMEOUT = 2_147_483
"""Seconds, some 24 days: the kernel ends no entry of a set later than that."""
_ENDS = compile_regex(r"-u([0-9a-f]{8})$")
_LAST_END = 0xFFFFFFFF


def ending(name: str, until: int | None) -> str:
    """The name of a set whose entries end by themselves at that time (Unix time); None: never.

    What lies beyond the year 2106 ends then: a name has 31 letters.
    """
    return name if until is None else f"{name}-u{min(max(until, 0), _LAST_END):08x}"


def end_of(name: str) -> int | None:
    """When the entries of the set with this name end by themselves, as `ending` has it."""
    found = _ENDS.search(name)
    return int(found[1], 16) if found else None


def family_of(name: str) -> Family:
    """The family of a set of ours: its name says so, before its end."""
    return 4 if _ENDS.sub("", name).endswith("4") else 6


Element: TypeAlias = tuple[IPNetwork | Port | str, ...]
"""One entry of a set: a network (a host is a /32 or /128), a `Port`, an interface name, in the
order of the set's type."""


Phase: TypeAlias = Literal[
    "deny", "own", "claimed", "inside allow", "inside", "allow", "guard", "frozen"
]
"""When a set may grow and shrink: see ``plan/planner.py``."""


@dataclass(frozen=True, slots=True)
class IPSet:
    """An ipset and all its elements.

    ``phase`` says what the set is for, and so when it may change: the policy's ``deny``,
    ``allow`` and ``inside allow``; topology: what is ``own`` to a bridge and so not forged,
    which sources are ``claimed`` by Docker's networks, what is ``inside``, what is a ``guard``.
    A ``frozen`` set never changes under its name.
    """

    name: str
    type: SetType
    family: Family
    phase: Phase
    elements: frozenset[Element]


# --- matches -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class InInterface:
    """Came in on this interface; a ``*`` at the end matches any rest."""

    name: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class DestPorts:
    """Protocol and destination port, ``first`` to ``last``."""

    protocol: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class IcmpTypes:
    """ICMP (ICMPv6 in family 6); ``type`` None is any."""

    type: int | None = None


@dataclass(frozen=True, slots=True)
class InSet:
    """Is in the set ``name``; ``directions`` has ``src`` or ``dst`` for each dimension."""

    name: str
    directions: tuple[Literal["src", "dst"], ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """Travels in the reply direction of its connection."""


@dataclass(frozen=True, slots=True)
class Stray:
    """TCP from a server's port (below 32768) that belongs to no connection and begins none."""


@dataclass(frozen=True, slots=True)
class ConnState:
    """Connection state: ``RELATED`` or ``DNAT``."""

    name: Literal["RELATED", "DNAT"]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class AddressType:
    """The kernel's idea of the source's or destination's address."""

    side: Literal["src", "dst"]
    type: Literal["LOCAL", "UNICAST"]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Destination:
    """Sent to an address of this network."""

    network: IPNetwork
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Marked:
    """The packet mark has ``value`` under ``mask``."""

    value: int
    mask: int


Match: TypeAlias = (
    InInterface
    | DestPorts
    | IcmpTypes
    | InSet
    | Reply
    | Stray
    | ConnState
    | AddressType
    | Destination
    | Marked
)


# --- targets -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Goto:
    """Go on in another chain; its RETURN goes back to our caller."""

    chain: str


@dataclass(frozen=True, slots=True)
class Return:
    """Back to the caller."""


@dataclass(frozen=True, slots=True)
class Drop:
    """Silently."""


@dataclass(frozen=True, slots=True)
class Reject:
    """With a TCP reset (``tcp_reset``) or an ICMP port-unreachable."""

    tcp_reset: bool = False


@dataclass(frozen=True, slots=True)
class SetMark:
    """Set the bits of ``mask`` to ``value`` and go on with the next rule."""

    value: int
    mask: int


@dataclass(frozen=True, slots=True)
class Count:
    """No target: the rule (and the set element that it met) counts, the walk goes on."""


Target: TypeAlias = Goto | Return | Drop | Reject | SetMark | Count


Role: TypeAlias = Literal["fixed", "spoofed", "baseline", "allow", "deny"]
"""What a rule is for: ``allow`` and ``deny`` are the buckets' rules, ``baseline`` lets Docker's
bridges in, ``spoofed`` drops packets that claim an address which is not theirs; ``fixed``: rest."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Every match has to hold; ``comment`` is ours alone (never text from outside).

    ``role`` says what the rule is for, to who reads a walk or plans a change; it is not written
    to the kernel.
    """

    matches: tuple[Match, ...]
    target: Target
    comment: str = ""
    role: Role = field(default="fixed", compare=False)


@dataclass(frozen=True, slots=True)
class Chain:
    """One of our chains in one table of one family.

    ``deny_at`` and ``allow_at`` are the indexes at which further deny and allow buckets may be
    put without a change of meaning (None: the chain has no such place).
    """

    family: Family
    table: Table
    name: str
    rules: tuple[Rule, ...]
    deny_at: int | None = None
    allow_at: int | None = None


@dataclass(frozen=True, slots=True)
class Seal:
    """The nft table ``inet dockerfw``: drops what reaches a container without our second bit.

    ``guarded`` elements are host ports of docker-proxy and of named host-network containers:
    ``(address or None for every address of that family, family, port)``. ``inside`` tells
    whether a bridge's own subnet may pass without the bit (the policy restricts nothing there).
    ``bridges`` are Docker's, as far as they are known. ``proxies`` is where docker-proxy's
    sockets live, so that a port which nobody knows of yet is closed, too; ``dockerd_ports`` are
    those that dockerd itself listens on there (a container's is closed by ``guarded`` before).
    """

    bit: int
    observe: bool
    inside: bool
    bridges: frozenset[str] = frozenset()
    foreign_bridges: frozenset[str] = frozenset()
    mixed_bridges: frozenset[str] = frozenset()
    guarded: frozenset[tuple[Address | None, Family, Port]] = frozenset()
    proxies: Cgroup | None = None
    dockerd_ports: frozenset[Port] = frozenset()


@dataclass(frozen=True, slots=True)
class Packet:
    """What the walk needs to know of a packet that a filter hook sees.

    ``host_port`` is the address and port that it was sent to before NAT when that was this
    host's own (None: sent to the container's address directly). ``dnat`` tells whether Docker's
    NAT then rewrote it to ``destination``:``port``.
    """

    interface: str
    source: Address
    destination: Address
    protocol: str
    port: int
    host_port: tuple[Address, int] | None = None
    dnat: bool = False
    reply: bool = False
    related: bool = False
    icmp_type: int | None = None


Hook: TypeAlias = Literal["forward", "input"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where the walk ended: ``passed`` (with our second bit, ``sealed_ok``) and through what.

    ``path`` are the rules that sent the packet on its way, the deciding one last.
    """

    passed: bool
    has_bit: bool
    path: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Ruleset:
    """Everything that should stand in the kernel."""

    chains: tuple[Chain, ...]
    sets: tuple[IPSet, ...]
    seal: Seal
    mark_host: int
    mark_ok: int
    _indexes: dict[str, _SetIndex] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def chain(self, family: Family, name: str) -> Chain | None:
        return next((c for c in self.chains if c.family == family and c.name == name), None)

    def set(self, name: str) -> IPSet | None:
        return next((s for s in self.sets if s.name == name), None)

    def walk(
        self, hook: Hook, packet: Packet, local_addresses: frozenset[Address] = frozenset()
    ) -> Outcome:
        """Walk a packet the way netfilter would: mangle PREROUTING, then the filter hook.

        ``local_addresses`` are this host's own. What Docker's and other rules make of a packet
        that passes is not looked at.
        """
        walk = _Walk(self, packet, local_addresses)
        arrived = packet
        if packet.host_port is not None:
            address, port = packet.host_port
            arrived = replace(packet, destination=address, port=port, dnat=False)
        walk.packet = arrived
        walk.run(PRE)
        walk.packet = packet if hook == "forward" else arrived
        passed = walk.run(MAIN if hook == "forward" else INPUT)
        return Outcome(passed, bool(walk.mark & self.mark_ok), tuple(walk.path))

    def contains(self, name: str, values: tuple[Address | Port | str, ...]) -> bool:
        """Whether a set of this ruleset holds these values."""
        index = self._indexes.get(name)
        if index is None:
            ipset = self.set(name)
            if ipset is None:
                raise KeyError(name)
            index = self._indexes[name] = _SetIndex(ipset.elements)
        return index.contains(values)


class _SetIndex:
    """Looks values up in a set in as many steps as it has combinations of prefix lengths."""

    def __init__(self, elements: Iterable[Element]) -> None:
        self._shapes: dict[tuple[int | None, ...], set[tuple[object, ...]]] = {}
        for element in elements:
            shape = tuple(p if isinstance(p, Port | str) else p.prefixlen for p in element)
            lengths = tuple(s if isinstance(s, int) else None for s in shape)
            key = tuple(p if isinstance(p, Port | str) else int(p.network_address) for p in element)
            self._shapes.setdefault(lengths, set()).add(key)

    def contains(self, values: tuple[Address | Port | str, ...]) -> bool:
        return any(
            tuple(map(_masked, values, shape)) in keys for shape, keys in self._shapes.items()
        )


def _masked(value: Address | Port | str, prefix_length: int | None) -> object:
    if prefix_length is None or isinstance(value, Port | str):
        return value
    shift = value.max_prefixlen - prefix_length
    return int(value) >> shift << shift


class _Walk:
    """One packet on its way: the mark it carries and the rules that it met."""

    def __init__(self, ruleset: Ruleset, packet: Packet, local: frozenset[Address]) -> None:
        self.ruleset = ruleset
        self.packet = packet
        self.local = local
        self.mark = 0
        self.path: list[Rule] = []

    def run(self, name: str) -> bool:
        """True when the packet passes the chain, False when it is dropped in it."""
        family: Family = 4 if self.packet.source.version == 4 else 6
        chain = self.ruleset.chain(family, name)
        for rule in chain.rules if chain else ():
            if not all(self._holds(match) for match in rule.matches):
                continue
            self.path.append(rule)
            match rule.target:
                case Goto(chain=other):
                    return self.run(other)
                case Return():
                    return True
                case Drop() | Reject():
                    return False
                case SetMark(value=value, mask=mask):
                    self.mark = (self.mark & ~mask) | value
                case Count():
                    pass
        return True

    def _holds(self, match: Match) -> bool:  # noqa: C901 - one case a match
        packet = self.packet
        match match:
            case InInterface(name=name, negated=negated):
                return _interface_matches(name, packet.interface) != negated
            case DestPorts(protocol=protocol, first=first, last=last):
                return packet.protocol == protocol and first <= packet.port <= last
            case IcmpTypes(type=wanted):
                return packet.protocol == "icmp" and wanted in (None, packet.icmp_type)
            case InSet(name=name, directions=directions, negated=negated):
                return self._in_set(name, directions) != negated
            case Reply():
                return packet.reply
            case Stray():
                return False  # a `Packet` begins a connection or answers one
            case ConnState(name=state, negated=negated):
                return (packet.dnat if state == "DNAT" else packet.related) != negated
            case AddressType(side=side, type=wanted_type, negated=negated):
                address = packet.source if side == "src" else packet.destination
                return (self._address_type(address) == wanted_type) != negated
            case Destination(network=network, negated=negated):
                return (packet.destination in network) != negated
            case Marked(value=value, mask=mask):
                return self.mark & mask == value

    def _in_set(self, name: str, directions: tuple[Literal["src", "dst"], ...]) -> bool:
        ipset = self.ruleset.set(name)
        if ipset is None:
            raise KeyError(name)
        values: list[Address | Port | str] = []
        packet = self.packet
        for kind, side in zip(ipset.type.removeprefix("hash:").split(","), directions, strict=True):
            if kind == "iface":
                values.append(packet.interface)
            elif kind == "port":
                values.append(Port(packet.protocol, packet.port))
            else:
                values.append(packet.source if side == "src" else packet.destination)
        return self.ruleset.contains(name, tuple(values))

    def _address_type(self, address: Address) -> str:
        if address in self.local or address.is_loopback:
            return "LOCAL"
        if address.is_multicast or int(address) == 0xFFFFFFFF:
            return "MULTICAST"
        return "UNICAST"


def _interface_matches(pattern: str, interface: str) -> bool:
    if pattern.endswith("*"):
        return interface.startswith(pattern[:-1])
    return interface == pattern
