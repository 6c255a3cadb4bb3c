"""Ruleset -> kernel text that compares: rules in the form of ``iptables-save``, set entries in
that of ``ipset save``.

Pure. Text is made of typed values only; `_word` asserts it once more, since a quote or a newline
would be enough to inject a rule. Every rule carries a comment ``WHAT [DIGEST]``: the digest, over
the rest of the rule, is what `digest_of` compares, because versions of iptables print the same
rule differently.
"""

from __future__ import annotations

from hashlib import sha256
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from re import compile as compile_regex
from socket import AF_INET6, inet_ntop

from dockerfw.model.net import Family, Port
from dockerfw.plan.state import SetState
from dockerfw.rules.ruleset import (
    AddressType,
    Chain,
    ConnState,
    Count,
    Destination,
    DestPorts,
    Drop,
    Element,
    Goto,
    IcmpTypes,
    InInterface,
    InSet,
    IPSet,
    Marked,
    Match,
    Reject,
    Reply,
    Return,
    Rule,
    SetMark,
    Stray,
    Target,
    end_of,
)

_SAFE = compile_regex(r"[A-Za-z0-9_.:/@+,-]+")
_COMMENT = compile_regex(r"[A-Za-z0-9 _.:/@+*,-]*")
_DIGEST = compile_regex(r"\[([0-9a-f]{8})\]")

DEFAULT_MAXELEM = 65536


def _word(text: str) -> str:
    if not _SAFE.fullmatch(text):
        raise ValueError(f"not fit for the kernel: {text!r}")
    return text


def rule_text(rule: Rule, family: Family) -> str:
    """A rule without ``-A CHAIN``."""
    if not _COMMENT.fullmatch(rule.comment):
        raise ValueError(f"not fit for a comment: {rule.comment!r}")
    matches = [_match_text(match, family) for match in rule.matches]
    target = _target_text(rule.target, family)
    bare = " ".join([*matches, target]).strip()
    digest = sha256(bare.encode()).hexdigest()[:8]
    comment = f'-m comment --comment "{rule.comment} [{digest}]"'
    return " ".join(part for part in (*matches, comment, target) if part)


def digest_of(rule: str) -> str | None:
    """The digest in a rule of ours as ``iptables-save`` prints it; None: not one of ours."""
    found = _DIGEST.search(rule)
    return found.group(1) if found else None


def chain_texts(chain: Chain) -> tuple[str, ...]:
    """All rules of a chain, in order."""
    return tuple(rule_text(rule, chain.family) for rule in chain.rules)


def _match_text(match: Match, family: Family) -> str:  # noqa: C901 - one case a match
    match match:
        case InInterface(name=name, negated=negated):
            pattern = f"{name[:-1]}+" if name.endswith("*") else name
            return f"{_not(negated)}-i {_word(pattern)}"
        case DestPorts(protocol=protocol, first=first, last=last):
            if (first, last) == (0, 65535):
                return f"-p {_word(protocol)}"
            ports = f"{first:d}" if first == last else f"{first:d}:{last:d}"
            return f"-p {_word(protocol)} -m {_word(protocol)} --dport {ports}"
        case IcmpTypes(type=number):
            return _icmp_text(number, family)
        case InSet(name=name, directions=directions, negated=negated):
            return f"-m set {_not(negated)}--match-set {_word(name)} {','.join(directions)}"
        case Reply():
            return "-m conntrack --ctdir REPLY"
        case Stray():
            begins = "--tcp-flags FIN,SYN,RST,ACK SYN"
            return f"-p tcp -m tcp --sport 1:32767 ! {begins} -m conntrack --ctstate NEW"
        case ConnState(name=state, negated=negated):
            return f"-m conntrack {_not(negated)}--ctstate {state}"
        case AddressType(side=side, type=kind, negated=negated):
            return f"-m addrtype {_not(negated)}--{side}-type {kind}"
        case Destination(network=network, negated=negated):
            return f"{_not(negated)}-d {network}"
        case Marked(value=value, mask=mask):
            return f"-m mark --mark {value:#x}/{mask:#x}"


def _not(negated: bool) -> str:
    return "! " if negated else ""


def _icmp_text(number: int | None, family: Family) -> str:
    protocol, module, option = (
        ("icmp", "icmp", "icmp-type") if family == 4 else ("ipv6-icmp", "icmp6", "icmpv6-type")
    )
    if number is None:
        return f"-p {protocol}"
    return f"-p {protocol} -m {module} --{option} {number:d}"


def _target_text(target: Target, family: Family) -> str:
    match target:
        case Goto(chain=chain):
            return f"-g {_word(chain)}"
        case Return():
            return "-j RETURN"
        case Drop():
            return "-j DROP"
        case Reject(tcp_reset=True):
            return "-j REJECT --reject-with tcp-reset"
        case Reject():
            kind = "icmp-port-unreachable" if family == 4 else "icmp6-port-unreachable"
            return f"-j REJECT --reject-with {kind}"
        case SetMark(value=value, mask=mask):
            return f"-j MARK --set-xmark {value:#x}/{mask:#x}"
        case Count():
            return ""


def set_state(ipset: IPSet) -> SetState:
    """The set as it should stand in the kernel, its size fit for what it holds."""
    entries = frozenset(element_text(element, ipset.family) for element in ipset.elements)
    return SetState(
        name=_word(ipset.name),
        type=ipset.type,
        family=ipset.family,
        maxelem=max(DEFAULT_MAXELEM, 1 << (2 * len(entries)).bit_length()),
        count=len(entries),
        entries=entries,
        timeout=end_of(ipset.name) is not None,
    )


def element_text(element: Element, family: Family) -> str:
    """An entry as ``ipset save`` prints it: ``0.0.0.0/1,tcp:80``."""
    return ",".join(_part_text(part, family) for part in element)


def _part_text(part: IPv4Network | IPv6Network | Port | str, family: Family) -> str:
    if isinstance(part, Port):
        if part.protocol == "icmp":
            return f"{'icmp' if family == 4 else 'ipv6-icmp'}:echo-request"
        return f"{_word(part.protocol)}:{part.number:d}"
    if isinstance(part, str):
        return _word(part)
    address = _address_text(part.network_address)
    return address if part.prefixlen == part.max_prefixlen else f"{address}/{part.prefixlen}"


def _address_text(address: IPv4Address | IPv6Address) -> str:
    """As the C library writes it: Python's ``::1:2`` is its ``::0.1.0.2``."""
    if address.version == 4:
        return str(address)
    return inet_ntop(AF_INET6, address.packed)
