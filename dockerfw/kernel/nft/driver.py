"""The seal: nft table ``inet dockerfw``, which drops what reaches a container without our bit.

Takes a `Seal` and gives the text for ``nft -f``; reads the live table back in a normal form in
which a live and a wanted seal compare. Touches no other table, and lists no other one: an old
``nft`` crashes on tables that a newer one wrote.

**The normal form** says nothing of how ``nft`` prints a rule, for that differs between versions
(``oif exists`` and ``check exists``). Each of our rules carries a comment, ``dockerfw`` and the
digest of its text as we wrote it; the normal form is the chains with their hooks and priorities,
the comments in order, the sets with their types and elements, and the table's flags. A rule or
element that was deleted, added or moved by hand, a flushed chain, a dormant or missing table are
therefore seen. A rule that was replaced by another with the very same comment is not. The digest
of the rule on docker-proxy's cgroup holds its inode as well: made anew under the same name, the
cgroup is not the one that the kernel's rule means, and that rule has become one that matches
nothing. (To print that rule nft looks for the inode in the whole tree of cgroups: a tenth of a
millisecond each, when the table is read.)
"""

from __future__ import annotations

import hashlib
import re
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address

from dockerfw.errors import Failed
from dockerfw.kernel.runner import Runner, fail, require
from dockerfw.model.host import Cgroup
from dockerfw.model.net import Address, Family, Port
from dockerfw.plan.planner import SealUpdate
from dockerfw.rules.ruleset import Seal

FAMILY_TABLE = ("inet", "dockerfw")
TABLE = " ".join(FAMILY_TABLE)

REMOVE = f"add table {TABLE}\ndelete table {TABLE}\n"
"""The document that takes the table away, whether it stands or not."""

_PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}
_SAFE_INTERFACE = re.compile(r"[A-Za-z0-9_.@+-]{1,15}")
_COMMENT = re.compile(r' comment "([^"]*)"$')
_SAFE_CGROUP = re.compile(r"[A-Za-z0-9_.@/-]{1,200}")
_HOOKED = re.compile(r"type (\w+) hook (\w+) priority (-?\w+); policy (\w+);")

# Of a bridge that is not Docker's the chains judge; here it would be inside by its kind.
_FROM_INSIDE = (
    'iifname != @mixed iifname != @foreign meta iifkind "bridge" fib saddr . iif oif exists accept'
)

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
_CHAINS = {
    "prerouting": ("prerouting", -149),
    "forward": ("forward", 5),
    "input": ("input", 5),
    "unheard": ("input", 150),
    "proxies": ("input", 151),
}
_SET_TYPES = {
    "foreign": "ifname",
    "mixed": "ifname",
    "port4": "inet_proto . inet_service",
    "port6": "inet_proto . inet_service",
    "addr4": "ipv4_addr . inet_proto . inet_service",
    "addr6": "ipv6_addr . inet_proto . inet_service",
    "dockerd": "inet_proto . inet_service",
}
_GUARDING = ("port4", "port6", "addr4", "addr6")


@dataclass(frozen=True, slots=True)
class _Form:
    """The two halves of a normal form: ``frame`` in order, ``elements`` as (set, element)."""

    frame: tuple[str, ...]
    elements: frozenset[tuple[str, str]]

    def __str__(self) -> str:
        elements = sorted(f"element {name} {element}" for name, element in self.elements)
        return "".join(f"{line}\n" for line in (*self.frame, *elements))


def render(seal: Seal) -> str:
    """The whole table as a document for ``nft -f`` that replaces it in one transaction.

    Raises `Failed` for a bridge whose name cannot be written in nft's language.
    """
    elements = _elements(seal)
    lines = [f"add table {TABLE}", f"delete table {TABLE}", f"table {TABLE} {{"]
    for name, kind in _SET_TYPES.items():
        lines += [f"  set {name} {{", f"    type {kind}"]
        own = sorted(element for owner, element in elements if owner == name)
        if own:
            lines.append(f"    elements = {{ {', '.join(own)} }}")
        lines.append("  }")
    for chain, rules in _rules(seal).items():
        lines.append(f"  chain {chain} {{")
        hook, priority = _CHAINS[chain]
        lines.append(f"    type filter hook {hook} priority {priority}; policy accept;")
        lines += [f'    {rule} comment "{_digest(rule, seal)}"' for rule in rules]
        lines.append("  }")
    return "\n".join([*lines, "}", ""])


def wanted(seal: Seal) -> str:
    """The normal form that `read` gives while ``seal`` stands in the kernel."""
    return str(_wanted(seal))


def read(runner: Runner) -> str | None:
    """The normal form of the live table; None when there is none. Raises `Failed`."""
    argv = ["nft", "--stateless", "--numeric", "list", "table", *FAMILY_TABLE]
    done = runner.run(argv)
    if done.status > 0 and "No such file or directory" in done.stderr:
        return None
    if done.status != 0:
        fail(argv, done)
    return str(_parse(done.stdout))


def closes_proxies(live: str | None, seal: Seal) -> bool:
    """Whether the rule on docker-proxy's cgroup stands in ``live``, and means the one of now."""
    if seal.proxies is None:
        return False
    by_cgroup = _proxies(seal)["proxies"][-1]
    return f"rule {_digest(by_cgroup, seal)}" in (live or "").splitlines()


def updates(live: str | None, seal: Seal) -> SealUpdate:
    """The ``nft -f`` documents that turn ``live`` (from `read`) into ``seal``.

    Where only elements of sets differ, only those are written: the rules keep their counters.
    """
    want = _wanted(seal)
    if live == str(want):
        return SealUpdate()
    if live is None:
        return SealUpdate(rest=render(seal))
    lines = live.splitlines()
    frame = tuple(line for line in lines if not line.startswith("element "))
    have = {tuple(line.split(" ", 2)[1:]) for line in lines[len(frame) :]}
    gone = {(name, element) for name, element in have if (name, element) not in want.elements}
    released = {(name, element) for name, element in gone if name in _GUARDING}
    if frame != want.frame or lines[: len(frame)] != list(frame):
        return SealUpdate(_text(_element_lines("delete", released)), render(seal))
    added = _element_lines("add", want.elements - have)
    taken = _element_lines("delete", gone - released)
    return SealUpdate(_text(_element_lines("delete", released)), _text([*added, *taken]))


def _text(lines: list[str]) -> str | None:
    return "".join(f"{line}\n" for line in lines) or None


def commit(runner: Runner, document: str) -> None:
    """Hand a document to nft: one transaction, or `Failed`."""
    require(runner, ["nft", "-f", "-"], document)


def _element_lines(verb: str, elements: Iterable[tuple[str, str]]) -> list[str]:
    by_set: dict[str, list[str]] = {}
    for name, element in sorted(elements):
        by_set.setdefault(name, []).append(element)
    return [
        f"{verb} element {TABLE} {name} {{ {', '.join(found)} }}" for name, found in by_set.items()
    ]


def _rules(seal: Seal) -> dict[str, list[str]]:
    verdict = _verdict(seal)
    has_bit = _has_bit(seal)
    # Left alone it would plant an entry that makes the forger's next packet a reply. The chains
    # do this for the networks that the inventory knows; this is for later ones, by their names.
    forged = (
        "ct direction original fib saddr . iif oif missing "
        f"fib saddr oifname {{ {', '.join(_docker_names(seal))} }} {verdict}"
    )
    forward = [
        *_own_name(seal),
        forged,
        'meta oifkind != "bridge" accept',
        "oifname @foreign accept",
        has_bit,
        "ct direction reply accept",
        # Neighbour and listener discovery: without them no IPv6 address is ever found.
        "icmpv6 type { 130-137, 143 } accept",
    ]
    if seal.inside:
        forward.append(_FROM_INSIDE)
    return {
        "prerouting": [f"meta mark set meta mark & {~seal.bit & 0xFFFFFFFF:#010x}"],
        "forward": [*forward, verdict],
        "input": [
            'iifname "lo" accept',
            forged,
            has_bit,
            f"meta nfproto ipv4 meta l4proto . th dport @port4 {verdict}",
            f"meta nfproto ipv6 meta l4proto . th dport @port6 {verdict}",
            f"ip daddr . meta l4proto . th dport @addr4 {verdict}",
            f"ip6 daddr . meta l4proto . th dport @addr6 {verdict}",
        ],
        **_proxies(seal),
    }


def _has_bit(seal: Seal) -> str:
    bit = f"{seal.bit:#010x}"
    return f"meta mark & {bit} == {bit} accept"


def _verdict(seal: Seal) -> str:
    return "counter" if seal.observe else "counter drop"


def _own_name(seal: Seal) -> list[str]:
    """Nobody else forwards through here in this host's name.

    Such a packet would make what its receiver sends to a port of docker-proxy a reply. The chains
    drop it as well; this is for while they are flushed.
    """
    if seal.proxies is None:
        return []
    return [f"ct direction original fib saddr type local {_verdict(seal)}"]


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
        _has_bit(seal),
        "meta l4proto . th dport @dockerd accept",
        _ANSWERS_TO_ONE_PEER,
        *([_FROM_INSIDE] if seal.inside else []),
        f"{_by_cgroup(seal.proxies)} {_verdict(seal)}",
    ]
    return {"proxies": proxies} if seal.observe else {"unheard": _UNHEARD, "proxies": proxies}


def _docker_names(seal: Seal) -> list[str]:
    """Docker's bridges by name, those to come included: ``br-`` and hex digits, ``docker``."""
    patterns = [f"br-{digit}" for digit in "0123456789abcdef"] + ["docker"]
    named = [b for b in sorted(seal.bridges) if not b.startswith(tuple(patterns))]
    return [f'"{pattern}*"' for pattern in patterns] + [_interface(name) for name in named]


def _by_cgroup(cgroup: Cgroup) -> str:
    """What is sent to a socket of that cgroup. ICMP errors meet sockets, too: they pass."""
    if _SAFE_CGROUP.fullmatch(cgroup.path) is None:
        raise Failed(
            f"the cgroup {cgroup.path!r} has a name that cannot be written in nft's language"
        )
    return f'meta l4proto {{ tcp, udp }} socket cgroupv2 level {cgroup.level} "{cgroup.path}"'


def knows_cgroups(runner: Runner, cgroup: Cgroup) -> bool:
    """Whether this kernel and this nft can match sockets by that cgroup. Writes nothing."""
    if _SAFE_CGROUP.fullmatch(cgroup.path) is None:
        return False
    table = f"{TABLE}_try"
    document = (
        f"add table {table}\nadd chain {table} input {{ type filter hook input priority 5; }}\n"
    )
    for rule in (*_UNHEARD, _ANSWERS_TO_ONE_PEER, f"{_by_cgroup(cgroup)} counter drop"):
        document += f"add rule {table} input {rule}\n"
    return runner.run(["nft", "--check", "-f", "-"], document).status == 0


def _digest(rule: str, seal: Seal) -> str:
    inode = f" {seal.proxies.inode}" if seal.proxies and " socket cgroupv2 " in rule else ""
    return f"dockerfw {hashlib.sha256((rule + inode).encode('ascii')).hexdigest()[:12]}"


def _elements(seal: Seal) -> frozenset[tuple[str, str]]:
    guarded = {
        _guarded(address, family, port)
        for address, family, port in seal.guarded
        if port.protocol in _PROTOCOLS
    }
    foreign = {("foreign", _interface(name)) for name in seal.foreign_bridges}
    mixed = {("mixed", _interface(name)) for name in seal.mixed_bridges}
    dockerd = {
        ("dockerd", f"{_PROTOCOLS[port.protocol]} . {port.number}") for port in seal.dockerd_ports
    }
    return frozenset(guarded | foreign | mixed | dockerd)


def _guarded(address: Address | None, family: Family, port: Port) -> tuple[str, str]:
    place = f"{_PROTOCOLS[port.protocol]} . {port.number}"
    if address is None:
        return (f"port{family}", place)
    return (f"addr{family}", f"{_address_text(address)} . {place}")


def _address_text(address: Address) -> str:
    if isinstance(address, IPv6Address):
        return socket.inet_ntop(socket.AF_INET6, address.packed)
    return str(address)


def _interface(name: str) -> str:
    if _SAFE_INTERFACE.fullmatch(name) is None:
        raise Failed(
            f"bridge {name!r} has a name that cannot be written in nft's language: "
            "rename it with letters, digits, '.', '_' and '-'"
        )
    return f'"{name}"'


def _wanted(seal: Seal) -> _Form:
    frame = [f"table {TABLE}"]
    frame += [f"set {name} {_SET_TYPES[name]}" for name in sorted(_SET_TYPES)]
    rules = _rules(seal)
    for chain in sorted(rules):
        hook, priority = _CHAINS[chain]
        frame.append(f"chain {chain} filter {hook} {priority} accept")
        frame += [f"rule {_digest(rule, seal)}" for rule in rules[chain]]
    return _Form(tuple(frame), _elements(seal))


def _parse(listing: str) -> _Form:
    """The normal form of what ``nft --stateless --numeric list table`` prints."""
    flags: list[str] = []
    blocks: dict[str, list[str]] = {}
    elements: set[tuple[str, str]] = set()
    for header, body in _blocks(listing, flags):
        kind, name = header.split(" ", 1)
        if kind == "chain":
            blocks[header] = _chain_form(name, body)
        else:
            text = " ".join(body)
            declared, _, rest = text.partition("elements = {")
            blocks[header] = [" ".join(f"{kind} {name} {declared}".split()).replace(" type ", " ")]
            elements |= {(name, item) for item in _split_elements(rest)}
    ordered = [line for header in sorted(blocks, key=_set_first) for line in blocks[header]]
    return _Form((" ".join([f"table {TABLE}", *flags]), *ordered), frozenset(elements))


def _set_first(header: str) -> tuple[bool, str]:
    return (header.startswith("chain "), header)


def _blocks(listing: str, flags: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Each ``set`` and ``chain`` with its lines; lines of the table itself go to ``flags``."""
    header = ""
    body: list[str] = []
    for line in listing.splitlines()[1:]:
        text = line.strip()
        if re.match(r"\t[^\t].* \{$", line):
            header, body = text.removesuffix(" {"), []
        elif line == "\t}":
            yield header, body
            header = ""
        elif header and text:
            body.append(text)
        elif text not in ("", "}"):
            flags.append(text)


def _chain_form(name: str, body: list[str]) -> list[str]:
    hooked = _HOOKED.fullmatch(body[0]) if body else None
    where = " ".join(hooked.groups()) if hooked else "not hooked"
    rules = body[1:] if hooked else body
    return [f"chain {name} {where}", *(f"rule {_rule_form(rule)}" for rule in rules)]


def _rule_form(rule: str) -> str:
    comment = _COMMENT.search(rule)
    return comment.group(1) if comment else f"foreign {rule}"


def _split_elements(text: str) -> Iterator[str]:
    for item in text.rpartition("}")[0].split(","):
        if item.strip():
            yield item.strip()
