"""The steps of a plan, as values: each is one write, in one transaction where the kernel has those.

Pure. The drivers of ``kernel/`` turn a step into text at the very end; nothing else does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

from dockerfw.model.net import Family
from dockerfw.plan.state import LiveElement, LiveRule, SealElement
from dockerfw.rules.names import SealFamily
from dockerfw.rules.rule import Rule, Table
from dockerfw.rules.ruleset import Seal

# --- sets ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CreateSet:
    """``count``: how many elements it is to hold soon."""

    name: str
    type: str
    family: Family
    maxelem: int
    count: int
    timeout: bool


@dataclass(frozen=True, slots=True)
class AddElements:
    name: str
    elements: frozenset[LiveElement]


@dataclass(frozen=True, slots=True)
class DeleteElements:
    name: str
    elements: frozenset[LiveElement]


@dataclass(frozen=True, slots=True)
class FlushSet:
    name: str


@dataclass(frozen=True, slots=True)
class SwapSets:
    name: str
    other: str


@dataclass(frozen=True, slots=True)
class DestroySet:
    """No error where there is no such set."""

    name: str


SetWrite: TypeAlias = CreateSet | AddElements | DeleteElements | FlushSet | SwapSets | DestroySet


@dataclass(frozen=True, slots=True)
class WriteSets:
    """Carried out in order, but not as a transaction."""

    why: str
    writes: tuple[SetWrite, ...]
    tool: ClassVar[Literal["ipset"]] = "ipset"
    family: ClassVar[None] = None


# --- chains --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReplaceChain:
    """Our chain with these rules; those that stood in it are gone. It is made where it is not."""

    table: Table
    name: str
    rules: tuple[Rule | LiveRule, ...] = ()


@dataclass(frozen=True, slots=True)
class CreateChain:
    """A chain that is not ours by name and that is not there."""

    table: Table
    name: str


@dataclass(frozen=True, slots=True)
class InsertJump:
    """At the top of the chain."""

    table: Table
    chain: str
    target: str


@dataclass(frozen=True, slots=True)
class AppendJump:
    """At the end of the chain."""

    table: Table
    chain: str
    target: str


@dataclass(frozen=True, slots=True)
class DeleteJump:
    """The first jump without a match from this chain to that one."""

    table: Table
    chain: str
    target: str


@dataclass(frozen=True, slots=True)
class DeleteRule:
    table: Table
    chain: str
    rule: LiveRule


@dataclass(frozen=True, slots=True)
class DeleteChain:
    """Empty it, and take it out."""

    table: Table
    name: str


RuleWrite: TypeAlias = (
    ReplaceChain | CreateChain | InsertJump | AppendJump | DeleteJump | DeleteRule | DeleteChain
)


@dataclass(frozen=True, slots=True)
class WriteRules:
    """One transaction a table, in the order of ``TABLES``; in it chains first, then the rest."""

    why: str
    family: Family
    writes: tuple[RuleWrite, ...]
    tool: ClassVar[Literal["iptables"]] = "iptables"


# --- the seal ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReplaceSeal:
    seal: Seal


@dataclass(frozen=True, slots=True)
class ChangeSeal:
    """The elements alone: the rules keep their counters."""

    added: frozenset[SealElement] = frozenset()
    deleted: frozenset[SealElement] = frozenset()


@dataclass(frozen=True, slots=True)
class ReplaceSealRules:
    """The rules of ``inet dockerfw``, and what dockerd itself listens on: all else stays as it
    stands.
    """

    seal: Seal


@dataclass(frozen=True, slots=True)
class RemoveSeal:
    """No error where there is none of these tables."""

    tables: frozenset[SealFamily] = frozenset({"inet"})


@dataclass(frozen=True, slots=True)
class WriteSeal:
    """One transaction."""

    why: str
    write: ReplaceSeal | ChangeSeal | ReplaceSealRules | RemoveSeal
    tool: ClassVar[Literal["nft"]] = "nft"
    family: ClassVar[None] = None


# --- plans ---------------------------------------------------------------------------------------

Step: TypeAlias = WriteSets | WriteRules | WriteSeal


@dataclass(frozen=True, slots=True)
class Created:
    """What a plan makes that is not ours by name: ``remove`` takes it out again."""

    family: Family
    what: Literal[
        "DOCKER-USER",
        "FORWARD jump",
        "mangle table",
        "filter table",
        "mangle PREROUTING",
        "filter INPUT",
        "filter FORWARD",
    ]


@dataclass(frozen=True, slots=True)
class Note:
    """What was found broken and is put right: of rules, of a set or of the seal; and in words."""

    about: Literal["rules", "set", "seal"]
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps in their order; ``notes`` say what was found broken and is put right."""

    steps: tuple[Step, ...] = ()
    notes: tuple[Note, ...] = ()
    creates: tuple[Created, ...] = ()

    @property
    def in_sync(self) -> bool:
        return not self.steps

    def writes(self, kind: type[Step]) -> bool:
        """Return True if a step of this kind is among them."""
        return any(isinstance(step, kind) for step in self.steps)

    def set_writes(self) -> Iterator[SetWrite]:
        """Yield what is written to sets, in order."""
        for step in self.steps:
            if isinstance(step, WriteSets):
                yield from step.writes
