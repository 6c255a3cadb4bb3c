"""Who began a connection: asked once, of its first packet, and kept in the label of its entry.

Pure. Gives the chains of the seal that see first packets alone, and the one that takes answers.
Memory is negative, for entries from before dockerfw have no room for a label: a bit is set where
nobody properly began, and an entry without it is answered.

What is forwarded from elsewhere than a bridge, or comes in from there, was begun by no container:
the seal takes no answer to it for one (`ANSWERLESS_LABEL`). That holds for networks that are made
later, too. What a container sends may be the rest of a connection whose entry is gone: TCP that
begins nothing, and a datagram from a port that the container serves. There the receiver's answers
are judged as if it began (`JUDGED_LABEL`).

A rule on ``iifkind`` or ``oifkind`` has to name the kind that it is for: a NIC has none, and no
rule that compares kinds matches it, ``!=`` included.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dockerfw.model.docker_names import BRIDGE_PREFIXES
from dockerfw.model.net import Address
from dockerfw.model.policy import PortRange, Protocol
from dockerfw.rules.names import (
    ABROAD_LABEL,
    ANSWERLESS_LABEL,
    JUDGED_LABEL,
    NEAR_LABEL,
    SealSet,
)
from dockerfw.rules.rule import FIRST_EPHEMERAL
from dockerfw.rules.ruleset import Seal, ServedPorts

UNBEGUN = f"ct label set {ANSWERLESS_LABEL} ct label set {JUDGED_LABEL}"
ON_FIRST = "ct state new,related"
"""Also of connections that a helper expects, and of ICMP errors: see `ABOUT_ANOTHER`."""
ABOUT_ANOTHER = "ct state related meta l4proto { icmp, ipv6-icmp } return"
"""An ICMP error has no entry of its own: what it labelled would be the connection that it is about,
whoever sent it."""
MISSING = "fib saddr . iif oif missing"
FROM_ELSEWHERE = f"{MISSING} jump spoofed"
_DATAGRAMS = "{ udp, udplite, dccp }"
SERVED_SETS: dict[SealSet, str] = {
    "served4": "ipv4_addr . inet_proto . inet_service; flags interval",
    "served6": "ipv6_addr . inet_proto . inet_service; flags interval",
    "open4": "ipv4_addr",
    "open6": "ipv6_addr",
}
_FROM_CONTAINER = 'meta iifkind "bridge" iifname != @foreign'
_BEGINS_TCP = "tcp flags & (fin | syn | rst | ack) == syn"
_BEGINS_NO_TCP = "tcp flags & (fin | syn | rst | ack) != syn"
# No other packet of SCTP has the tag 0.
_BEGINS_SCTP = "sctp vtag 0"
_BEGINS_NO_SCTP = "sctp vtag != 0"


# --- rules ---------------------------------------------------------------------------------------


def first_packets(
    seal: Seal, verdict: str, marked: str, own_name: list[str]
) -> dict[str, list[str]]:
    """Return the chains that see the first packets of connections alone.

    ``verdict`` is what becomes of what nobody may send, ``marked`` matches what the chains let
    pass, ``own_name`` are the rules for what is forwarded in this host's name.
    """
    if not seal.labels:
        return {"arrived": [], "forwarded": [*own_name, FROM_ELSEWHERE]}
    outside = ['meta iifkind "vrf" return', f"ct label set {ANSWERLESS_LABEL}"]
    return {
        # Nothing is dropped of what is sent to this host's own ports.
        "arrived": [
            ABOUT_ANOTHER,
            f"{MISSING} {UNBEGUN}",
            f"{_FROM_CONTAINER} return",
            *outside,
        ],
        "forwarded": [
            *own_name,
            FROM_ELSEWHERE,
            ABOUT_ANOTHER,
            f"{_FROM_CONTAINER} goto begins",
            *outside,
        ],
        "begins": _begins(),
        "asked": _asked(),
        "near": _near(),
        "midstream": _midstream(verdict, marked, observe=seal.observe),
        **({"sent": _sent()} if seal.host_network else {}),
    }


def answers(seal: Seal) -> list[str]:
    """Return what is accepted as an answer. What comes back from here is judged like the rest.

    What would begin a connection answers none: where it crosses another one like it, both sides
    open, whoever sent that.
    """
    begins = [f"{_BEGINS_TCP} return", f"{_BEGINS_SCTP} return"]
    if not seal.labels:
        return [*begins, "accept"]
    # Of entries from before dockerfw, which have no label, it is still true that nobody asks from
    # there. (Not of `open4`: its containers may well have asked from a low port then.)
    to_servers = (f"meta l4proto {_DATAGRAMS} {served} return" for served in _served("d"))
    return [
        f"ct label {ANSWERLESS_LABEL} return",
        *begins,
        *to_servers,
        f"ct label {NEAR_LABEL} goto near",
        f"ct label {ABROAD_LABEL} {_FROM_CONTAINER} return",
        "accept",
    ]


def _near() -> list[str]:
    """The answer to what a container asked through a bridge of Docker's, and perhaps, while nobody
    answered, by another way as well.
    """
    return [f"{_FROM_CONTAINER} accept", f"ct label {ABROAD_LABEL} accept"]


def _asked() -> list[str]:
    """Where the first packet of a container goes. Whose a bridge is must be known for sure: of one
    that nobody knows yet nothing is remembered.
    """
    near = f"ct label set {NEAR_LABEL} return"
    return [
        "oifname @foreign return",
        f"oifname @ours {near}",
        *(f'oifname "{prefix}*" {near}' for prefix in BRIDGE_PREFIXES),
        'meta oifkind "bridge" return',
        f"ct label set {ABROAD_LABEL}",
    ]


def _begins() -> list[str]:
    """The first packet of a container: a datagram from a port that it serves begins nothing."""
    return [
        "jump asked",
        f"{_BEGINS_NO_TCP} goto midstream",
        f"{_BEGINS_NO_SCTP} goto midstream",
        "meta l4proto { tcp, sctp, icmp, ipv6-icmp } return",
        *(f"{served} {UNBEGUN} return" for served in _served("s")),
        f"meta l4proto {_DATAGRAMS} th sport >= {FIRST_EPHEMERAL} return",
        *(f"{family} saddr @{name} {UNBEGUN}" for family, name in _OPEN),
    ]


def _midstream(verdict: str, marked: str, *, observe: bool) -> list[str]:
    """TCP and SCTP in the middle of a connection that has no entry.

    From a server's port it is dropped: the client's next packet is judged, and has the NAT that
    belongs to it. To a server's port of another container it was judged by the chains. A client
    of the world is reset, and begins anew; its server's answers would go to nobody. What a mixed
    bridge carries to a port of others may be a VM's: it passes, and answers are judged.
    """
    return [
        *(f"{served} {UNBEGUN} {verdict}" for served in _served("s")),
        f"iifname @mixed oifname @mixed {marked} {UNBEGUN} return",
        f"tcp sport < {FIRST_EPHEMERAL} {UNBEGUN} {verdict}",
        *(f"{served} return" for served in _served("d")),
        *(f"th dport < {FIRST_EPHEMERAL} {family} daddr @{name} return" for family, name in _OPEN),
        f'meta oifkind "bridge" oifname != @foreign {UNBEGUN} return',
        *([] if observe else _resets()),
        UNBEGUN,
    ]


def _resets() -> list[str]:
    """On bridges of Docker's alone, known or by the way they are named: one that nobody knows yet
    may be that of a VM which has moved here, and is cut off for a moment only.
    """
    names = ("@ours", *(f'"{prefix}*"' for prefix in BRIDGE_PREFIXES))
    return [f"iifname {name} meta l4proto tcp reject with tcp reset" for name in names]


def _sent() -> list[str]:
    """The first packet that this host sends, from a port of a host-network container."""
    return [
        f"{_BEGINS_TCP} return",
        f"{_BEGINS_SCTP} return",
        f"meta nfproto ipv4 meta l4proto . th sport @port4 {UNBEGUN}",
        f"meta nfproto ipv6 meta l4proto . th sport @port6 {UNBEGUN}",
        f"ip saddr . meta l4proto . th sport @addr4 {UNBEGUN}",
        f"ip6 saddr . meta l4proto . th sport @addr6 {UNBEGUN}",
    ]


_OPEN = (("ip", "open4"), ("ip6", "open6"))


def _served(side: str) -> list[str]:
    return [
        f"ip {side}addr . meta l4proto . th {side}port @served4",
        f"ip6 {side}addr . meta l4proto . th {side}port @served6",
    ]


TRY_RULES = (
    f"ct label {ANSWERLESS_LABEL} return",
    f"{_BEGINS_NO_SCTP} {UNBEGUN}",
    *(f"{served} return" for served in _served("s")),
    "meta l4proto tcp reject with tcp reset",
)
"""Rules by which a kernel and a nft show that they know enough to label connections."""


# --- elements ------------------------------------------------------------------------------------


def served_elements(
    served: Iterable[ServedPorts],
) -> Iterator[tuple[SealSet, Address | tuple[Address, PortRange]]]:
    """Yield the elements of the sets of served ports: no two of one set overlap."""
    ranges: dict[tuple[Address, Protocol], list[tuple[int, int]]] = {}
    for address, ports in served:
        if ports is None:
            yield ("open4" if address.version == 4 else "open6"), address
        else:
            key = address, ports.protocol
            ranges.setdefault(key, []).append((ports.first, ports.last))
    for (address, protocol), spans in ranges.items():
        for first, last in _joined(spans):
            name: SealSet = "served4" if address.version == 4 else "served6"
            yield name, (address, PortRange(protocol, first, last))


def _joined(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return found
