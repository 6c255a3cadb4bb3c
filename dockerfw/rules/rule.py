"""One rule of iptables as a value: what it matches, what it does then; and chains of rules.

Pure. Never holds kernel text: ``kernel/iptables/render.py`` writes it, ``parse.py`` beside it reads
it back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from dockerfw.model.net import Family, IPNetwork

Table: TypeAlias = Literal["filter", "mangle"]
TABLES: tuple[Table, Table] = ("mangle", "filter")
"""In the order in which they are written: a mark is set before it is asked for."""


FIRST_EPHEMERAL = 32768
"""Kernels take ports from here on for those who ask; below are servers, and who chose a port."""

LOG_PREFIX = "dockerfw denied: "

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

    negated: bool = False


@dataclass(frozen=True, slots=True)
class NoSyn:
    """TCP, and not the packet that begins a connection."""


@dataclass(frozen=True, slots=True)
class NotTcp:
    """Any protocol but TCP."""


@dataclass(frozen=True, slots=True)
class Unlabelled:
    """The label of its connection lacks this bit."""

    bit: int


@dataclass(frozen=True, slots=True)
class Stray:
    """TCP from a server's port (below `FIRST_EPHEMERAL`) that belongs to no connection and begins
    none.
    """


@dataclass(frozen=True, slots=True)
class BridgedToOthers:
    """Is bridged to a port of the bridge that Docker did not make, by its name: no ``veth``."""


@dataclass(frozen=True, slots=True)
class ConnState:
    """Connection state: ``RELATED`` or ``DNAT``."""

    name: Literal["RELATED", "DNAT"]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class AddressType:
    """The kernel's idea of the source's or destination's address."""

    side: Literal["src", "dst"]
    type: Literal["LOCAL", "UNICAST", "BROADCAST"]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class DestNetwork:
    """Sent to an address of this network."""

    network: IPNetwork
    negated: bool = False


@dataclass(frozen=True, slots=True)
class SourceNetwork:
    """Comes from an address of this network."""

    network: IPNetwork


@dataclass(frozen=True, slots=True)
class WayBack:
    """An answer would leave by the interface that the packet came in on.

    For table ``mangle`` alone, and chains that PREROUTING leads to.
    """

    negated: bool = False


@dataclass(frozen=True, slots=True)
class Marked:
    """The packet mark has ``value`` under ``mask``."""

    value: int
    mask: int
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Limit:
    """No more than so many packets a second, all senders together, after a first ``burst``."""

    a_second: int
    burst: int


Match: TypeAlias = (
    InInterface
    | DestPorts
    | IcmpTypes
    | InSet
    | Reply
    | NoSyn
    | NotTcp
    | Unlabelled
    | Stray
    | BridgedToOthers
    | ConnState
    | AddressType
    | DestNetwork
    | SourceNetwork
    | WayBack
    | Marked
    | Limit
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
class AddToSet:
    """Put the packet's addresses and port into a set, and go on with the next rule.

    ``again``: what is in it already begins its time, and its count, anew.
    """

    name: str
    directions: tuple[Literal["src", "dst"], ...]
    again: bool = False


@dataclass(frozen=True, slots=True)
class Log:
    """Write a line to the kernel's log that begins with `LOG_PREFIX`; go on with the next rule."""


@dataclass(frozen=True, slots=True)
class NoTarget:
    """The rule (and the set element that it matched) counts, and the next rule follows."""


Target: TypeAlias = Goto | Return | Drop | Reject | SetMark | AddToSet | Log | NoTarget


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
