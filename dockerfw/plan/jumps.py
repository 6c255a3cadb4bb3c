"""The jumps into our chains: whether each stands where no packet gets past it, and how to mend it.

Pure. Takes what ``iptables-save`` showed of one family; gives faults and ``iptables-restore``
lines. A foreign rule is never edited or deleted: only our own jumps, and Docker's to DOCKER-USER,
are moved.

=============================  =================  ===============================================
jump                           where              holds when
=============================  =================  ===============================================
FORWARD → DOCKER-USER          Docker on iptables  no rule above lets a packet through
DOCKER-USER → DOCKERFW         Docker on iptables  the same, and it stands once
FORWARD → DOCKERFW             Docker on nftables  the same
INPUT → DOCKERFW-INPUT         always              the same
mangle PREROUTING → -PRE       always              it is the last rule, and stands once
=============================  =================  ===============================================
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias

from dockerfw.model.docker_names import DOCKER_USER
from dockerfw.plan.state import ChainState, TablesState
from dockerfw.rules.ruleset import INPUT, MAIN, PRE, Table

# Targets after which the packet goes on to the next rule, or nowhere at all.
_HARMLESS = frozenset(
    {
        "AUDIT", "CHECKSUM", "CLASSIFY", "CONNMARK", "CONNSECMARK", "CT", "DELUDE", "DROP",
        "DSCP", "ECN", "HL", "HMARK", "IDLETIMER", "LED", "LOG", "MARK", "NFLOG", "NOTRACK",
        "RATEEST", "REJECT", "SECMARK", "SET", "STEAL", "TARPIT", "TCPMSS", "TCPOPTSTRIP", "TEE",
        "TOS", "TRACE", "TTL", "ULOG",
    }
)  # fmt: skip

Reason: TypeAlias = Literal[
    "no chain", "missing", "twice", "bypassed", "not last", "not needed", "accepted above"
]

_WORDS: Mapping[Reason, str] = {
    "no chain": "the chain {chain} is missing",
    "missing": "{chain} does not jump to {target}",
    "twice": "{chain} jumps to {target} more than once",
    "bypassed": "rules of {chain} above the jump to {target} let packets past it",
    "not last": "rules of {chain} stand below the jump to {target}",
    "not needed": "{chain} jumps to {target}, which is reached another way now",
    "accepted above": (
        "rules of {table} {chain} above the jump to {target} end the walk: what they match is "
        "judged by its container address only"
    ),
}


@dataclass(frozen=True, slots=True)
class Jump:
    """A jump that should stand. ``ours``: dockerfw made it, so that it may stand only once."""

    table: Table
    chain: str
    target: str
    last: bool = False
    ours: bool = True

    @property
    def rule(self) -> str:
        return f"-j {self.target}"


@dataclass(frozen=True, slots=True)
class JumpFault:
    """What is wrong with the jump from ``chain`` to ``target``; ``rules`` are the offenders.

    "accepted above" is only reported; `fix_lines` mends all the others.
    """

    table: Table
    chain: str
    target: str
    reason: Reason
    rules: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = _WORDS[self.reason].format(table=self.table, chain=self.chain, target=self.target)
        if not self.rules:
            return text
        return f"{text}: {'; '.join(_printable(rule) for rule in self.rules)}"


@dataclass(frozen=True, slots=True)
class MarkWriter:
    """A foreign rule of the mangle table that writes bits of the packet mark."""

    chain: str
    rule: str


def check(state: TablesState, *, docker_user: bool) -> tuple[JumpFault, ...]:
    """Every fault of every jump; ``docker_user`` as in `HostFacts`. Empty: all hold."""
    faults: list[JumpFault] = []
    if docker_user and state.chain("filter", DOCKER_USER) is None:
        faults.append(JumpFault("filter", DOCKER_USER, MAIN, "no chain"))
    for jump in _jumps(docker_user=docker_user):
        faults += _faults(state, jump)
    if docker_user and _count(state, _DIRECT):
        faults.append(JumpFault("filter", "FORWARD", MAIN, "not needed"))
    return tuple(faults)


def fix_lines(state: TablesState, *, docker_user: bool) -> dict[Table, list[str]]:
    """The ``iptables-restore`` lines that mend all faults: table -> lines, none where none is due.

    They belong in one transaction a table, after the chains that they jump to; a line that
    begins with ``:`` creates a chain and goes to the head of it.
    """
    lines: dict[Table, list[str]] = {}
    for fault in check(state, docker_user=docker_user):
        if fault.reason == "no chain":
            lines.setdefault("filter", []).append(f":{DOCKER_USER} - [0:0]")
    for jump in _jumps(docker_user=docker_user):
        reasons = {fault.reason for fault in _faults(state, jump)} - {"accepted above"}
        if reasons:
            lines.setdefault(jump.table, []).extend(_moved(state, jump))
    if docker_user:
        stray = [f"-D {_DIRECT.chain} {_DIRECT.rule}"] * _count(state, _DIRECT)
        if stray:
            lines.setdefault("filter", []).extend(stray)
    return lines


def has_forward_jump(state: TablesState) -> bool:
    """Whether FORWARD jumps to DOCKER-USER, wherever."""
    return _count(state, _FORWARD_USER) > 0


def mark_writers(state: TablesState, mask: int) -> tuple[MarkWriter, ...]:
    """Foreign rules of the mangle table that write any bit of ``mask`` in the packet mark."""
    return tuple(
        MarkWriter(name, rule)
        for name, chain in state.tables.get("mangle", {}).items()
        if not name.startswith(MAIN)
        for rule in chain.rules
        if _written_bits(rule) & mask
    )


_FORWARD_USER = Jump("filter", "FORWARD", DOCKER_USER, ours=False)
_DIRECT = Jump("filter", "FORWARD", MAIN)
_JUDGED = frozenset({MAIN, INPUT})


def _jumps(*, docker_user: bool) -> tuple[Jump, ...]:
    forward = (_FORWARD_USER, Jump("filter", DOCKER_USER, MAIN)) if docker_user else (_DIRECT,)
    return (
        Jump("mangle", "PREROUTING", PRE, last=True),
        *forward,
        Jump("filter", "INPUT", INPUT),
    )


def _rules(state: TablesState, table: Table, chain: str) -> tuple[str, ...]:
    held = state.chain(table, chain)
    return held.rules if held else ()


def _count(state: TablesState, jump: Jump) -> int:
    return _rules(state, jump.table, jump.chain).count(jump.rule)


def _faults(state: TablesState, jump: Jump) -> Iterator[JumpFault]:
    rules = _rules(state, jump.table, jump.chain)
    found = rules.count(jump.rule)

    def fault(reason: Reason, offenders: tuple[str, ...] = ()) -> JumpFault:
        return JumpFault(jump.table, jump.chain, jump.target, reason, offenders)

    if not found:
        yield fault("missing")
        return
    if found > 1 and jump.ours:
        yield fault("twice")
    at = rules.index(jump.rule)
    walk = _Walk(state.tables.get(jump.table, {}))
    offenders = tuple(rule for rule in rules[:at] if walk.passes(rule, top=True))
    if not jump.last:
        if offenders:
            yield fault("bypassed", offenders)
        return
    below = tuple(rule for rule in rules[at + 1 :] if rule != jump.rule)
    if below:
        yield fault("not last", below)
    if offenders:
        yield fault("accepted above", offenders)


def _moved(state: TablesState, jump: Jump) -> list[str]:
    """Our jump taken out wherever it stands, and put where it belongs."""
    found = _count(state, jump)
    out = [f"-D {jump.chain} {jump.rule}"] * (found if jump.ours else min(found, 1))
    place = f"-A {jump.chain}" if jump.last else f"-I {jump.chain} 1"
    return [*out, f"{place} {jump.rule}"]


class _Walk:
    """Can a packet that meets a rule end its walk here with the rest of the chains unasked?"""

    def __init__(self, chains: Mapping[str, ChainState]) -> None:
        self._chains = chains
        self._known: dict[str, bool] = {}

    def passes(self, rule: str, *, top: bool) -> bool:
        """``top``: the rule stands in the chain of the jump itself, where RETURN is an end too."""
        option, target = _target(rule)
        if target is None or target in _HARMLESS:
            return False
        if target == "RETURN":
            return top
        if option == "-g" and top:
            return True
        if target not in self._chains:
            return True
        return self._chain_passes(target)

    def _chain_passes(self, name: str) -> bool:
        if name not in self._known:
            self._known[name] = False
            self._known[name] = any(
                self.passes(rule, top=False) for rule in self._until_judged(name)
            )
        return self._known[name]

    def _until_judged(self, name: str) -> Iterator[str]:
        for rule in self._chains[name].rules:
            if _target(rule) == ("-j", rule[3:]) and rule[3:] in _JUDGED:
                return
            yield rule


def _target(rule: str) -> tuple[str, str | None]:
    """``-j`` or ``-g`` and what it names; None for a rule that only counts."""
    words = _words(rule)
    for option, target in pairwise(words):
        if option in ("-j", "-g"):
            return option, target
    return "-j", None


def _words(rule: str) -> list[str]:
    if '"' not in rule:
        return rule.split()
    try:
        return shlex.split(rule)
    except ValueError:
        return rule.split()


def _written_bits(rule: str) -> int:
    """The bits of the packet mark that a rule, as ``iptables-save`` prints it, may change."""
    words = _words(rule)
    values = dict(pairwise(words))
    _, target = _target(rule)
    if target == "MARK":
        return _either(values.get("--set-xmark") or values.get("--set-mark") or "0xffffffff")
    if target == "CONNMARK" and "--restore-mark" in words:
        mask = values.get("--mask", "0xffffffff")
        return _number(values.get("--nfmask", mask)) | _number(values.get("--ctmask", mask))
    if target == "TPROXY" and "--tproxy-mark" in values:
        return _either(values["--tproxy-mark"])
    if target == "HMARK":
        return 0xFFFFFFFF
    return 0


def _either(mark: str) -> int:
    """``VALUE/MASK``: the mask's bits are cleared, the value's are turned over."""
    value, _, mask = mark.partition("/")
    return _number(value) | _number(mask or "0xffffffff")


def _number(text: str) -> int:
    return int(text, 0) if re.fullmatch(r"0x[0-9a-fA-F]+|\d+", text) else 0xFFFFFFFF


def _printable(rule: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in rule)
