"""The jumps into our chains: whether each stands where no packet gets past it, and how to mend it.

Pure. Takes what stands in one family's tables; gives faults and the writes that mend them. A
foreign rule is never edited or deleted: only our own jumps, and Docker's to DOCKER-USER, are moved.

=============================  =================  ===============================================
jump                           where              holds when
=============================  =================  ===============================================
FORWARD → DOCKER-USER          Docker on iptables  no rule above lets a packet through
DOCKER-USER → MAIN             Docker on iptables  the same, and it stands once
FORWARD → MAIN                 Docker on nftables  the same
INPUT → INPUT of ours          always              the same
mangle PREROUTING → PRE        always              it is the last rule, and stands once
=============================  =================  ===============================================
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from dockerfw.model.docker_names import DOCKER_USER
from dockerfw.plan.state import ChainState, LiveRule, TablesState
from dockerfw.plan.steps import AppendJump, CreateChain, DeleteJump, InsertJump, RuleWrite
from dockerfw.rules.names import INPUT, MAIN, PRE, is_our_chain
from dockerfw.rules.rule import Table
from dockerfw.text import printable

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


@dataclass(frozen=True, slots=True)
class JumpFault:
    """What is wrong with the jump from ``chain`` to ``target``; ``rules`` are the offenders.

    "accepted above" is only reported; `fixes` mends all the others.
    """

    table: Table
    chain: str
    target: str
    reason: Reason
    rules: tuple[LiveRule, ...] = ()

    def __str__(self) -> str:
        text = _WORDS[self.reason].format(table=self.table, chain=self.chain, target=self.target)
        if not self.rules:
            return text
        return f"{text}: {'; '.join(printable(rule.text) for rule in self.rules)}"


@dataclass(frozen=True, slots=True)
class MarkWriter:
    """A foreign rule of the mangle table that writes bits of the packet mark."""

    chain: str
    rule: LiveRule


def check(state: TablesState, *, docker_user: bool) -> tuple[JumpFault, ...]:
    """Return every fault of every jump; ``docker_user`` as in `HostFacts`. Empty: all hold."""
    faults: list[JumpFault] = []
    if docker_user and state.chain("filter", DOCKER_USER) is None:
        faults.append(JumpFault("filter", DOCKER_USER, MAIN, "no chain"))
    for jump in _jumps(docker_user=docker_user):
        faults += _faults(state, jump)
    if docker_user and _count(state, _DIRECT):
        faults.append(JumpFault("filter", "FORWARD", MAIN, "not needed"))
    return tuple(faults)


def fixes(state: TablesState, *, docker_user: bool) -> tuple[RuleWrite, ...]:
    """Return the writes that mend all faults; none where none is due.

    They belong in one transaction a table, after the chains that they jump to.
    """
    writes: list[RuleWrite] = []
    if docker_user and state.chain("filter", DOCKER_USER) is None:
        writes.append(CreateChain("filter", DOCKER_USER))
    for jump in _jumps(docker_user=docker_user):
        if {fault.reason for fault in _faults(state, jump)} - {"accepted above"}:
            writes += _moved(state, jump)
    if docker_user:
        writes += [_taken_out(_DIRECT)] * _count(state, _DIRECT)
    return tuple(writes)


def has_forward_jump(state: TablesState) -> bool:
    """Return True if FORWARD jumps to DOCKER-USER, wherever."""
    return _count(state, _FORWARD_USER) > 0


def mark_writers(state: TablesState, mask: int) -> tuple[MarkWriter, ...]:
    """Return the foreign rules of the mangle table that write any bit of ``mask``."""
    return tuple(
        MarkWriter(name, rule)
        for name, chain in state.tables.get("mangle", {}).items()
        if not is_our_chain(name)
        for rule in chain.rules
        if rule.mark_bits & mask
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


def _places(state: TablesState, jump: Jump) -> list[int]:
    """Where in its chain the jump stands."""
    rules = state.rules(jump.table, jump.chain)
    return [place for place, rule in enumerate(rules) if rule.is_jump(jump.target)]


def _count(state: TablesState, jump: Jump) -> int:
    return len(_places(state, jump))


def _faults(state: TablesState, jump: Jump) -> Iterator[JumpFault]:
    rules = state.rules(jump.table, jump.chain)
    places = _places(state, jump)

    def fault(reason: Reason, offenders: tuple[LiveRule, ...] = ()) -> JumpFault:
        return JumpFault(jump.table, jump.chain, jump.target, reason, offenders)

    if not places:
        yield fault("missing")
        return
    if len(places) > 1 and jump.ours:
        yield fault("twice")
    walk = _Walk(state.tables.get(jump.table, {}))
    offenders = tuple(rule for rule in rules[: places[0]] if walk.passes(rule, top=True))
    if not jump.last:
        if offenders:
            yield fault("bypassed", offenders)
        return
    below = tuple(r for r in rules[places[0] + 1 :] if not r.is_jump(jump.target))
    if below:
        yield fault("not last", below)
    if offenders:
        yield fault("accepted above", offenders)


def _moved(state: TablesState, jump: Jump) -> list[RuleWrite]:
    """The jump taken out wherever it stands (of Docker's, once), and put where it belongs."""
    found = _count(state, jump)
    out: list[RuleWrite] = [_taken_out(jump)] * (found if jump.ours else min(found, 1))
    put = AppendJump if jump.last else InsertJump
    return [*out, put(jump.table, jump.chain, jump.target)]


def _taken_out(jump: Jump) -> DeleteJump:
    return DeleteJump(jump.table, jump.chain, jump.target)


class _Walk:
    """Can a packet that meets a rule end its walk here with the rest of the chains unasked?"""

    def __init__(self, chains: Mapping[str, ChainState]) -> None:
        self._chains = chains
        self._known: dict[str, bool] = {}

    def passes(self, rule: LiveRule, *, top: bool) -> bool:
        """``top``: the rule stands in the chain of the jump itself, where RETURN is an end too."""
        target = rule.target
        if target is None or target in _HARMLESS:
            return False
        if target == "RETURN":
            return top
        if rule.goto and top:
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

    def _until_judged(self, name: str) -> Iterator[LiveRule]:
        for rule in self._chains[name].rules:
            if rule.target in _JUDGED and rule.is_jump(rule.target):
                return
            yield rule
