"""A `Seal` -> the text of nft: its two tables, their rules alone, or elements of their sets.

Pure. Each of our rules carries a comment, ``dockerfw`` and the digest of its text as we wrote it,
for ``nft`` prints a rule differently from version to version (``oif exists`` and ``check exists``).
The digest of the rule on docker-proxy's cgroup holds its inode as well: made anew under the same
name, the cgroup is not the one that the kernel's rule means, and that rule has become one that
matches nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache

from dockerfw.errors import Failed
from dockerfw.kernel.nft import beginnings, frames
from dockerfw.kernel.nft.half import Half, document_lines, frame_lines, rules_lines
from dockerfw.kernel.words import address_text
from dockerfw.model.docker_names import BRIDGE_PREFIXES, is_docker_bridge
from dockerfw.model.host import Cgroup
from dockerfw.model.net import Port
from dockerfw.model.policy import PortRange
from dockerfw.plan.state import OddElement, SealElement, SealState
from dockerfw.plan.steps import (
    ChangeSeal,
    RemoveSeal,
    ReplaceSeal,
    ReplaceSealRules,
    WriteSeal,
)
from dockerfw.rules.names import FRAMES_TABLE, SEAL_TABLE, SealFamily, SealSet
from dockerfw.rules.ruleset import Frames, GuardedPort, Seal

TABLE = " ".join(SEAL_TABLE)

PROTOCOLS: Mapping[str, int] = {"tcp": 6, "udp": 17, "sctp": 132}
SAFE_INTERFACE = re.compile(r"[A-Za-z0-9_.@+-]{1,15}")
_SAFE_CGROUP = re.compile(r"[A-Za-z0-9_.@/-]{1,200}")

_VERDICTS = ("counter", "counter drop")
"""While observing, and else."""
_FROM_INSIDE = 'meta iifkind "bridge" fib saddr . iif oif exists jump inside'
_AWAY = f"ct direction original {beginnings.MISSING}"

# What docker-proxy asks of containers and dockerd of the world, it asks from sockets that are bound
# to one address. A listener on all of them gets no answers, only packets made by hand.
_ANSWERS_TO_ONE_PEER = "ct direction reply socket wildcard 0 accept"

# What begins something, and meets no socket.
_UNHEARD = [
    'iifname "lo" accept',
    "meta l4proto != { tcp, udp } accept",
    "tcp flags & (fin | syn | rst | ack) != syn accept",
    'meta iifkind "vrf" accept',
    # A socket of any kind: a match on what a socket is fails where there is none.
    "socket transparent 0 accept",
    "socket transparent 1 accept",
    "meta l4proto tcp reject with tcp reset",
    "reject with icmpx port-unreachable",
]

# Hook and numeric priority: mangle is -150, filter is 0. Those that ask for sockets come one right
# after the other, and after IPVS (99), which takes packets that no socket waits for.
_HOOKS = {
    "prerouting": ("prerouting", -149),
    "forward": ("forward", 5),
    "input": ("input", 5),
    "output": ("output", 5),
    "unheard": ("input", 150),
    "proxies": ("input", 151),
}
_OPTIONAL = (
    "inside", "passed", "begins", "asked", "near", "midstream", "sent", "output", "unheard",
    "proxies",
)  # fmt: skip
"""Chains that some seals have and others have not."""
SET_TYPES: Mapping[SealSet, str] = {
    "foreign": "ifname",
    "mixed": "ifname",
    "ours": "ifname",
    "port4": "inet_proto . inet_service",
    "port6": "inet_proto . inet_service",
    "addr4": "ipv4_addr . inet_proto . inet_service",
    "addr6": "ipv6_addr . inet_proto . inet_service",
    "dockerd": "inet_proto . inet_service",
    **beginnings.SERVED_SETS,
}


# --- documents -----------------------------------------------------------------------------------


def render(step: WriteSeal) -> str:
    """Return the document for ``nft -f`` that carries a step out in one transaction."""
    match step.write:
        case ReplaceSeal(seal=seal):
            return document(seal)
        case ChangeSeal(added=added, deleted=deleted):
            # Deleted first: one that grows may not overlap with what it was.
            lines = [*_element_lines("delete", deleted), *_element_lines("add", added)]
            return "".join(f"{line}\n" for line in lines)
        case ReplaceSealRules(seal=seal):
            return _rules_document(seal)
        case RemoveSeal(tables=families):
            # Added first: it is no error where there is none.
            tables = [" ".join(t) for t in (SEAL_TABLE, FRAMES_TABLE) if t[0] in families]
            return "".join(f"add table {table}\ndelete table {table}\n" for table in tables)


def document(seal: Seal) -> str:
    """Return the seal as a document that replaces it in one transaction.

    Raises `Failed` for a bridge whose name cannot be written in nft's language.
    """
    elements: dict[str, list[str]] = {}
    for name, text in sorted((element.set, _text(element)) for element in seal_elements(seal)):
        elements.setdefault(name, []).append(text)
    lines: list[str] = []
    for half in _halves(seal):
        lines += document_lines(half, elements, _digests(seal))
    return "\n".join([*lines, ""])


def _rules_document(seal: Seal) -> str:
    lines = [*rules_lines(_packets(seal), _OPTIONAL, _digests(seal))]
    lines.append(f"flush set {TABLE} dockerd")
    lines += _element_lines("add", (e for e in seal_elements(seal) if e.set == "dockerd"))
    return "".join(f"{line}\n" for line in lines)


def _element_lines(verb: str, elements: Iterable[SealElement]) -> list[str]:
    by_set: dict[str, list[str]] = {}
    for name, text in sorted((element.set, _text(element)) for element in elements):
        by_set.setdefault(name, []).append(text)
    return [
        f"{verb} element {frames.TABLE if name in frames.SET_TYPES else TABLE} {name} "
        f"{{ {', '.join(found)} }}"
        for name, found in by_set.items()
    ]


# --- what stands when a seal stands --------------------------------------------------------------


@lru_cache(maxsize=2)  # the seal that stands, and the one that follows, each asked several times
def expected(seal: Seal) -> SealState:
    """Return what ``parse.py`` reads while ``seal`` stands in the kernel."""
    frame: list[str] = []
    for half in _halves(seal):
        frame += frame_lines(half, _digests(seal))
    tables = frozenset[SealFamily](("inet", "bridge") if seal.frames else ("inet",))
    return SealState(tuple(frame), seal_elements(seal), tables)


def _packets(seal: Seal) -> Half:
    return Half(TABLE, tuple(_set_types(seal).items()), _HOOKS, _rules(seal))


def _halves(seal: Seal) -> list[Half]:
    packets = _packets(seal)
    return [packets, frames.half(seal, _verdict(seal))] if seal.frames else [packets]


def closes_proxies(live: SealState | None, seal: Seal) -> bool:
    """Return True if the rule on docker-proxy's cgroup stands, and means the cgroup of now."""
    if seal.proxies is None:
        return False
    return _stands(live, f"{_by_cgroup(seal.proxies)} {_verdict(seal)}", seal.proxies)


def closes(live: SealState | None, cgroup: Cgroup) -> bool:
    """Return True if a rule on this cgroup stands, whatever else does."""
    rule = _by_cgroup(cgroup)
    return any(_stands(live, f"{rule} {verdict}", cgroup) for verdict in _VERDICTS)


def labels(live: SealState | None) -> bool:
    """Return True if a rule stands that labels connections."""
    return _stands(live, beginnings.UNBEGUN, None)


def _stands(live: SealState | None, rule: str, cgroup: Cgroup | None) -> bool:
    return live is not None and f"rule {_digest(rule, cgroup)}" in live.frame


def _digests(seal: Seal) -> Callable[[str], str]:
    return lambda rule: _digest(rule, seal.proxies)


def _digest(rule: str, cgroup: Cgroup | None) -> str:
    inode = f" {cgroup.inode}" if cgroup and " socket cgroupv2 " in rule else ""
    return f"dockerfw {hashlib.sha256((rule + inode).encode('ascii')).hexdigest()[:12]}"


# --- rules ---------------------------------------------------------------------------------------


def _rules(seal: Seal) -> dict[str, list[str]]:
    verdict = _verdict(seal)
    first = beginnings.first_packets(seal, verdict, _marked(seal), _own_name(seal))
    to_bridge = [
        # A name is dearer to look up than a bit, so what the chains let pass goes before.
        *([] if seal.shut else [f"{_marked(seal)} goto passed"]),
        "oifname @foreign accept",
        # Whoever let it pass: no container has that address.
        f'meta iifkind "bridge" {_AWAY} jump elsewhere',
        *([f"iifname @mixed oifname @mixed {_has_bit(seal)}"] if seal.shut else []),
        "ct direction reply jump answers",
        # Neighbour and listener discovery: without them no IPv6 address is ever found.
        "icmpv6 type { 130-137, 143 } accept",
        *([_FROM_INSIDE] if seal.inside else []),
        verdict,
    ]
    return {
        "prerouting": [
            f"{_marked(seal)} meta mark set meta mark & {~seal.mark & 0xFFFFFFFF:#010x}"
        ],
        "spoofed": _spoofed(seal),
        **first,
        "elsewhere": _elsewhere(),
        "closed": [f'meta oifkind "bridge" {verdict}', "jump guarded"],
        "guarded": _guarded_ports(verdict),
        **({"inside": _inside()} if seal.inside else {}),
        "answers": beginnings.answers(seal),
        "bridges": to_bridge,
        **({} if seal.shut else {"passed": _passed()}),
        "forward": [
            f"{beginnings.ON_FIRST} jump forwarded",
            # Not "!=" and accept: a NIC is of no kind, and such a rule does not match it.
            'meta oifkind "bridge" goto bridges',
        ],
        "input": [
            'iifname "lo" accept',
            f"{beginnings.ON_FIRST} jump arrived",
            # Whoever let it pass: no container has that address.
            f'meta iifkind "bridge" {_AWAY} jump elsewhere',
            *([] if seal.shut else [_has_bit(seal)]),
            "jump guarded",
        ],
        **({"output": [f"{beginnings.ON_FIRST} jump sent"]} if "sent" in first else {}),
        **_proxies(seal),
    }


def _passed() -> list[str]:
    """What the chains let pass to a bridge, but for what no container can have sent (as above)."""
    return [f'meta iifkind "bridge" {_AWAY} oifname != @foreign jump elsewhere', "accept"]


def _set_types(seal: Seal) -> Mapping[SealSet, str]:
    if seal.labels:
        return SET_TYPES
    return {n: kind for n, kind in SET_TYPES.items() if n not in beginnings.SERVED_SETS}


def _guarded_ports(verdict: str) -> list[str]:
    return [
        f"meta nfproto ipv4 meta l4proto . th dport @port4 {verdict}",
        f"meta nfproto ipv6 meta l4proto . th dport @port6 {verdict}",
        f"ip daddr . meta l4proto . th dport @addr4 {verdict}",
        f"ip6 daddr . meta l4proto . th dport @addr6 {verdict}",
    ]


def _has_bit(seal: Seal) -> str:
    return f"{_marked(seal)} accept"


def _marked(seal: Seal) -> str:
    both = f"{seal.mark:#010x}"
    return f"meta mark & {both} == {both}"


def _verdict(seal: Seal) -> str:
    return _VERDICTS[not seal.observe]


def _own_name(seal: Seal) -> list[str]:
    """Nobody else forwards through here in this host's name.

    Such a packet would make what its receiver sends to a port of docker-proxy a reply. The chains
    drop it as well; this is for while they are flushed.
    """
    if seal.proxies is None:
        return []
    return [f"fib saddr type local {_verdict(seal)}"]


def _proxies(seal: Seal) -> dict[str, list[str]]:
    """Chains that close docker-proxy without knowing a port.

    ``proxies`` is a chain of its own, so that what is accepted there is accepted by nothing but
    this: an answer, or a port of dockerd's own, that is guarded was dropped before. It judges by
    the socket of now, and a packet that meets none would be handed to one that is born in the
    next microsecond: ``unheard`` gives it the answer that the kernel would give, for good. From
    then on there is a socket to judge by. (In a VRF the kernel looks for sockets in more ways
    than nft does.)
    """
    if seal.proxies is None:
        return {}
    proxies = [
        'iifname "lo" accept',
        *([] if seal.shut else [_has_bit(seal)]),
        "meta l4proto . th dport @dockerd accept",
        _ANSWERS_TO_ONE_PEER,
        *([_FROM_INSIDE] if seal.inside else []),
        *_others_cgroups(seal.proxies),
        f"{_by_cgroup(seal.proxies)} {_verdict(seal)}",
    ]
    return {"proxies": proxies} if seal.observe else {"unheard": _UNHEARD, "proxies": proxies}


def _spoofed(seal: Seal) -> list[str]:
    """What became of packets of new connections whose way back leads elsewhere.

    Left alone such a packet plants an entry that makes the spoofer's next one a reply. The chains
    drop those that claim to come from networks that the inventory knows, while they stand; here it
    is later networks, too, by the names of their bridges: ``br-`` and hex digits, ``docker``. Of
    one whose name does not show it nobody knows yet that it is Docker's: the entry is labelled,
    and opens nothing.
    (A rule for each: nft garbles a set of several names that end in ``*``.)
    """
    others = [b for b in sorted(seal.foreign_bridges) if b.startswith(BRIDGE_PREFIXES)]
    named = [b for b in sorted(seal.bridges) if not b.startswith(BRIDGE_PREFIXES)]
    return [
        *(f"fib saddr oifname {_interface(name)} return" for name in others),
        *(f'fib saddr oifname "{prefix}*" {_verdict(seal)}' for prefix in BRIDGE_PREFIXES),
        *(f"fib saddr oifname {_interface(name)} {_verdict(seal)}" for name in named),
        *([beginnings.ABOUT_ANOTHER, beginnings.UNBEGUN] if seal.labels else []),
    ]


def _inside() -> list[str]:
    """What came in on a bridge with an address of its own passes if the bridge is Docker's.

    On a mixed bridge the chains judge, and what nobody knows is not Docker's here.
    """
    return ["iifname @mixed return", *_from_docker("accept")]


def _elsewhere() -> list[str]:
    """What came in on a bridge of Docker's, and has its way back elsewhere, is closed.

    The chains close it on the bridges that they know, while they stand; this is for late networks
    as well. On a mixed bridge
    the chains judge: it carries networks of others, too.
    """
    return ["iifname @mixed return", *_from_docker("jump closed")]


def _from_docker(verdict: str) -> list[str]:
    """The rules for what came in on a bridge of Docker's, known or by the way it is named."""
    return [
        "iifname @foreign return",
        f"iifname @ours {verdict}",
        *(f'iifname "{prefix}*" {verdict}' for prefix in BRIDGE_PREFIXES),
    ]


def _by_cgroup(cgroup: Cgroup) -> str:
    """What is sent to a socket of that cgroup. ICMP errors meet sockets, too: they pass."""
    if _SAFE_CGROUP.fullmatch(cgroup.path) is None:
        raise Failed(
            f"the cgroup {cgroup.path!r} has a name that cannot be written in nft's language"
        )
    return f'meta l4proto {{ tcp, udp }} socket cgroupv2 level {cgroup.level} "{cgroup.path}"'


def _others_cgroups(cgroup: Cgroup) -> list[str]:
    """What is below a unit is a container's that was put there, not docker-proxy's.

    (No cgroup further down has the unit's own number: so this is *any* one further down.)
    """
    if not cgroup.unit:
        return []
    below = f'socket cgroupv2 level {cgroup.level + 1} != "{cgroup.path}"'
    return [f"{_by_cgroup(cgroup)} {below} accept"]


TRY_LABELS = "".join(
    f"{line}\n"
    for line in (
        f"add table {TABLE}_try",
        *(f"add set {TABLE}_try {n} {{ type {k}; }}" for n, k in beginnings.SERVED_SETS.items()),
        f"add chain {TABLE}_try forward {{ type filter hook forward priority 5; }}",
        *(f"add rule {TABLE}_try forward {rule}" for rule in beginnings.TRY_RULES),
    )
)
"""A document by which ``nft --check`` tells whether connections can be labelled."""


def try_cgroup(cgroup: Cgroup) -> str | None:
    """Return a document by which ``nft --check`` tells whether it can match that cgroup.

    None: its name cannot be written.
    """
    if _SAFE_CGROUP.fullmatch(cgroup.path) is None:
        return None
    table = f"{TABLE}_try"
    lines = [f"add table {table}"]
    lines.append(f"add chain {table} input {{ type filter hook input priority 5; }}")
    matched = (*_others_cgroups(cgroup), f"{_by_cgroup(cgroup)} counter drop")
    rules = (*_UNHEARD, _ANSWERS_TO_ONE_PEER, *matched)
    lines += [f"add rule {table} input {rule}" for rule in rules]
    return "".join(f"{line}\n" for line in lines)


# --- elements ------------------------------------------------------------------------------------


def seal_elements(seal: Seal) -> frozenset[SealElement]:
    """Return the elements of the seal's sets."""
    return frozenset(
        {
            *(SealElement("foreign", name) for name in seal.foreign_bridges),
            *(SealElement("mixed", name) for name in seal.mixed_bridges),
            *(SealElement("ours", name) for name in seal.bridges if not is_docker_bridge(name)),
            *(SealElement("dockerd", port) for port in seal.dockerd_ports),
            *(SealElement("others", port) for port in (seal.frames or Frames()).others),
            *(_guarded(port) for port in seal.guarded if port[2].protocol in PROTOCOLS),
            *(
                SealElement(name, value)
                for name, value in beginnings.served_elements(seal.served if seal.labels else ())
            ),
        }
    )


def _guarded(guarded: GuardedPort) -> SealElement:
    address, family, port = guarded
    if address is None:
        return SealElement("port4" if family == 4 else "port6", port)
    return SealElement("addr4" if family == 4 else "addr6", (address, port))


def _text(element: SealElement) -> str:
    match element.value:
        case str() as name:
            return _interface(name)
        case Port() as port:
            return _port_text(port)
        case OddElement(text=text):
            return text
        case (address, ports):
            return f"{address_text(address)} . {_port_text(ports)}"
        case address:
            return address_text(address)


def _port_text(port: Port | PortRange) -> str:
    number = PROTOCOLS[port.protocol]
    if isinstance(port, Port):
        return f"{number} . {port.number}"
    last = "" if port.first == port.last else f"-{port.last}"
    return f"{number} . {port.first}{last}"


def _interface(name: str) -> str:
    if SAFE_INTERFACE.fullmatch(name) is None:
        raise Failed(
            f"bridge {name!r} has a name that cannot be written in nft's language: "
            "rename it with letters, digits, '.', '_' and '-'"
        )
    return f'"{name}"'
