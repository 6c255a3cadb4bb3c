"""Typed rules and writes -> the text of ``iptables-restore``.

Pure. Every rule of ours carries a comment ``WHAT [DIGEST]``: the digest, over the rest of the rule,
is its identity, because versions of iptables print the same rule differently.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from dockerfw.kernel.words import comment, word
from dockerfw.model.net import Family
from dockerfw.plan.state import LiveRule
from dockerfw.plan.steps import (
    AppendJump,
    CreateChain,
    DeleteChain,
    DeleteJump,
    DeleteRule,
    InsertJump,
    ReplaceChain,
    RuleWrite,
    WriteRules,
)
from dockerfw.rules.names import JUDGED_LABEL, MAIN
from dockerfw.rules.rule import (
    FIRST_EPHEMERAL,
    LOG_PREFIX,
    TABLES,
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
    Target,
    Unlabelled,
    WayBack,
)

_STRAY_PORTS = f"1:{FIRST_EPHEMERAL - 1}"
_BEGINS = "--tcp-flags FIN,SYN,RST,ACK SYN"
_CONNECTION = "-m conntrack "

# --- steps ---------------------------------------------------------------------------------------


def render(step: WriteRules) -> str:
    """Return the input of ``iptables-restore --noflush``: a transaction a table."""
    parts = []
    for table in TABLES:
        mine = [write for write in step.writes if write.table == table]
        if mine:
            lines = [*_declared(mine), *_commands(mine, step.family)]
            parts.append("\n".join([f"*{table}", *lines, "COMMIT\n"]))
    return "".join(parts)


TRY_LABELS = (
    f"*filter\n:{MAIN}-TRY - [0:0]\n-A {MAIN}-TRY -m connlabel ! --label {JUDGED_LABEL:d}\nCOMMIT\n"
)
"""A document by which ``iptables-restore --test`` tells whether labels can be matched."""


def _declared(writes: Iterable[RuleWrite]) -> Iterable[str]:
    """A chain that is declared is made where it is missing and emptied where it is not."""
    names = [w.name for w in writes if isinstance(w, ReplaceChain)]
    names += [w.name for w in writes if isinstance(w, CreateChain)]
    return (f":{word(name)} - [0:0]" for name in names)


def _commands(writes: Iterable[RuleWrite], family: Family) -> Iterable[str]:
    for write in writes:
        match write:
            case ReplaceChain(name=name, rules=rules):
                yield from (f"-A {word(name)} {_text(rule, family)}" for rule in rules)
            case InsertJump(chain=chain, target=target):
                yield f"-I {word(chain)} 1 -j {word(target)}"
            case AppendJump(chain=chain, target=target):
                yield f"-A {word(chain)} -j {word(target)}"
            case DeleteJump(chain=chain, target=target):
                yield f"-D {word(chain)} -j {word(target)}"
            case DeleteRule(chain=chain, rule=rule):
                yield f"-D {word(chain)} {rule.text}"
            case DeleteChain(name=name):
                yield f"-F {word(name)}"
                yield f"-X {word(name)}"
            case CreateChain():
                pass


def _text(rule: Rule | LiveRule, family: Family) -> str:
    return rule.text if isinstance(rule, LiveRule) else rule_text(rule, family)


# --- rules ---------------------------------------------------------------------------------------


def rule_text(rule: Rule, family: Family) -> str:
    """Return a rule without ``-A CHAIN``; without a comment it has no identity."""
    matches, target = _parts(rule, family)
    said = []
    if rule.comment:
        said = [f'-m comment --comment "{comment(rule.comment)} [{rule_identity(rule, family)}]"']
    return " ".join(part for part in (*matches, *said, target) if part)


def rule_identity(rule: Rule, family: Family) -> str:
    """Return the digest that stands in the rule's comment."""
    matches, target = _parts(rule, family)
    bare = " ".join([*matches, target]).strip()
    return sha256(bare.encode()).hexdigest()[:8]


def _parts(rule: Rule, family: Family) -> tuple[list[str], str]:
    return _match_texts(rule, family), _target_text(rule.target, family)


def _match_texts(rule: Rule, family: Family) -> list[str]:
    """Return what a rule matches; a state and a direction of a connection that follow each other
    are one match, for which the kernel makes one call.

    No negated state: where it is met by a packet without a connection, the kernel does not go on to
    the direction (xt_conntrack.c), which alone no such packet has.
    """
    texts: list[str] = []
    before: Match | None = None
    for match in rule.matches:
        text = _match_text(match, family)
        match before, match:
            case (ConnState(negated=False), Reply()) | (Reply(), ConnState(negated=False)):
                texts[-1] += " " + text.removeprefix(_CONNECTION)
                before = None  # an option cannot stand twice
            case _:
                texts.append(text)
                before = match
    return texts


def _match_text(match: Match, family: Family) -> str:  # noqa: C901, PLR0912 - one case a match
    match match:
        case InInterface(name=name, negated=negated):
            pattern = f"{name[:-1]}+" if name.endswith("*") else name
            return f"{_not(negated)}-i {word(pattern)}"
        case DestPorts(protocol=protocol, first=first, last=last):
            if (first, last) == (0, 65535):
                return f"-p {word(protocol)}"
            ports = f"{first:d}" if first == last else f"{first:d}:{last:d}"
            return f"-p {word(protocol)} -m {word(protocol)} --dport {ports}"
        case IcmpTypes(type=number):
            return _icmp_text(number, family)
        case InSet(name=name, directions=directions, negated=negated):
            text = f"-m set {_not(negated)}--match-set {word(name)} {','.join(directions)}"
            # What is in the set does not meet the rule: its entry counts nothing.
            return f"{text} ! --update-counters" if negated else text
        case Reply(negated=negated):
            return f"-m conntrack --ctdir {'ORIGINAL' if negated else 'REPLY'}"
        case NoSyn():
            return f"-p tcp -m tcp ! {_BEGINS}"
        case NotTcp():
            return "! -p tcp"
        case Unlabelled(bit=bit):
            return f"-m connlabel ! --label {bit:d}"
        case Stray():
            return f"-p tcp -m tcp --sport {_STRAY_PORTS} ! {_BEGINS} -m conntrack --ctstate NEW"
        case BridgedToOthers():
            return "-m physdev ! --physdev-out veth+ --physdev-is-bridged"
        case ConnState(name=state, negated=negated):
            return f"-m conntrack {_not(negated)}--ctstate {state}"
        case AddressType(side=side, type=kind, negated=negated):
            return f"-m addrtype {_not(negated)}--{side}-type {kind}"
        case DestNetwork(network=network, negated=negated):
            return f"{_not(negated)}-d {network}"
        case SourceNetwork(network=network):
            return f"-s {network}"
        case WayBack(negated=negated):
            return f"-m rpfilter{' --invert' if negated else ''}"
        case Marked(value=value, mask=mask, negated=negated):
            return f"-m mark {_not(negated)}--mark {value:#x}/{mask:#x}"
        case Limit(a_second=rate, burst=burst):
            return f"-m limit --limit {rate:d}/sec --limit-burst {burst:d}"


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
            return f"-g {word(chain)}"
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
        case AddToSet(name=name, directions=directions, again=again):
            text = f"-j SET --add-set {word(name)} {','.join(directions)}"
            return f"{text} --exist" if again else text
        case Log():
            return f'-j LOG --log-prefix "{LOG_PREFIX}"'
        case NoTarget():
            return ""
