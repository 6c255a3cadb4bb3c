"""Walks a packet through a `Ruleset` the way netfilter would.

Pure. For ``explain``, for ``[[expect]]`` and for tests. What the rules of Docker and of others make
of a packet that passes is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from dockerfw.model.net import Address, Port, family_of
from dockerfw.rules.names import INPUT, MAIN, PRE
from dockerfw.rules.rule import (
    FIRST_EPHEMERAL,
    AddressType,
    AddToSet,
    BridgedToOthers,
    ConnState,
    DestNetwork,
    DestPorts,
    Drop,
    Goto,
    IcmpTypes,
    InInterface,
    InSet,
    Limit,
    Log,
    Marked,
    Match,
    NoSyn,
    NoTarget,
    NotTcp,
    Reject,
    Reply,
    Return,
    Rule,
    SetMark,
    SourceNetwork,
    Stray,
    Unlabelled,
    WayBack,
)
from dockerfw.rules.ruleset import Ruleset


@dataclass(frozen=True, slots=True)
class Packet:
    """What the walk needs to know of a packet that a filter hook sees.

    ``host_port`` is the address and port that it was sent to before NAT when that was this
    host's own (None: sent to the container's address directly). ``dnat`` is True if somebody's NAT
    then rewrote it to ``destination``:``port``. ``reply``: it travels in the reply direction of a
    connection; ``labels`` are the bits that this connection was given. ``begins``: a TCP packet
    of the form that begins one. ``source_port`` matters to such that do not. ``way_back``: an
    answer would leave by the interface that it came in on. ``leaves_by`` is the interface by which
    it is forwarded.
    """

    interface: str
    source: Address
    destination: Address
    protocol: str
    port: int
    host_port: tuple[Address, int] | None = None
    dnat: bool = False
    reply: bool = False
    labels: frozenset[int] = frozenset()
    begins: bool = True
    source_port: int = FIRST_EPHEMERAL
    related: bool = False
    icmp_type: int | None = None
    way_back: bool = True
    leaves_by: str = ""


Hook: TypeAlias = Literal["forward", "input"]


@dataclass(frozen=True, slots=True)
class WalkResult:
    """How the walk ended.

    ``passed``; ``has_bit``: its mark tells the seal so. ``path`` are the rules that matched the
    packet, the deciding one last.
    """

    passed: bool
    has_bit: bool
    path: tuple[Rule, ...]


def walk(
    ruleset: Ruleset,
    hook: Hook,
    packet: Packet,
    local_addresses: frozenset[Address] = frozenset(),
) -> WalkResult:
    """Return where the packet ends: mangle PREROUTING first, then the filter hook.

    ``local_addresses`` are this host's own.
    """
    state = _Walk(ruleset, packet, local_addresses)
    both = ruleset.mark_host | ruleset.mark_ok
    arrived = packet
    if packet.host_port is not None:
        address, port = packet.host_port
        arrived = replace(packet, destination=address, port=port, dnat=False)
    state.packet = arrived
    state.run(PRE)
    state.packet = packet if hook == "forward" or packet.dnat else arrived
    passed = state.run(MAIN if hook == "forward" else INPUT)
    return WalkResult(passed, state.mark & both == both, tuple(state.path))


class _Walk:
    """One packet on its way: the mark it carries and the rules that matched it."""

    def __init__(self, ruleset: Ruleset, packet: Packet, local: frozenset[Address]) -> None:
        self.ruleset = ruleset
        self.packet = packet
        self.local = local
        self.mark = 0
        self.path: list[Rule] = []

    def run(self, name: str) -> bool:
        """Return True if the packet passes the chain, False if it is dropped in it."""
        family = family_of(self.packet.source)
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
                case AddToSet() | Log() | NoTarget():
                    pass
        return True

    def _holds(self, match: Match) -> bool:  # noqa: C901, PLR0912 - one case a match
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
            case Reply(negated=negated):
                return packet.reply != negated
            case NoSyn():
                return packet.protocol == "tcp" and not packet.begins
            case NotTcp():
                return packet.protocol != "tcp"
            case Unlabelled(bit=bit):
                return bit not in packet.labels
            case Stray():
                stray = packet.protocol == "tcp" and not packet.begins and not packet.reply
                return stray and packet.source_port < FIRST_EPHEMERAL
            case BridgedToOthers():
                return False  # a `Packet` is no VM's
            case ConnState(name=state, negated=negated):
                return (packet.dnat if state == "DNAT" else packet.related) != negated
            case AddressType(side=side, type=wanted_type, negated=negated):
                address = packet.source if side == "src" else packet.destination
                return (self._address_type(address) == wanted_type) != negated
            case DestNetwork(network=network, negated=negated):
                return (packet.destination in network) != negated
            case SourceNetwork(network=network):
                return packet.source in network
            case WayBack(negated=negated):
                # To this host itself there is none but by loopback.
                own = packet.interface != "lo" and self._address_type(packet.source) == "LOCAL"
                return (packet.way_back and not own) != negated
            case Marked(value=value, mask=mask, negated=negated):
                return (self.mark & mask == value) != negated
            case Limit():
                return True

    def _in_set(self, name: str, directions: tuple[Literal["src", "dst"], ...]) -> bool:
        ipset = self.ruleset.set(name)
        if ipset is None:
            raise KeyError(name)
        if ipset.type == "list:set":
            return any(self._in_set(str(member), directions) for (member,) in ipset.elements)
        values: list[Address | Port | str] = []
        packet = self.packet
        for kind, side in zip(ipset.type.removeprefix("hash:").split(","), directions, strict=True):
            if kind == "iface":
                values.append(packet.interface if side == "src" else packet.leaves_by)
            elif kind == "port":
                values.append(Port(packet.protocol, packet.port))
            else:
                values.append(packet.source if side == "src" else packet.destination)
        return self.ruleset.contains(name, tuple(values))

    def _address_type(self, address: Address) -> str:
        if address in self.local or address.is_loopback:
            return "LOCAL"
        if address.is_multicast:
            return "MULTICAST"
        if int(address) == 0xFFFFFFFF:
            return "BROADCAST"
        return "UNICAST"


def _interface_matches(pattern: str, interface: str) -> bool:
    if pattern.endswith("*"):
        return interface.startswith(pattern[:-1])
    return interface == pattern
