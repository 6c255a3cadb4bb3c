"""The kernel as the daemon uses it: one seam for all that it reads and for the few lines that it
writes without a plan.

`Kernel` is what the daemon asks for; `HostKernel` is this host's, by the programs of netfilter.
Plans are executed by `Reconciler`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Protocol, TypeAlias

from dockerfw.kernel import facts as kernel_facts
from dockerfw.kernel.ipset import driver as ipset
from dockerfw.kernel.nft import driver as nft
from dockerfw.kernel.runner import Runner
from dockerfw.model.host import Bridge, HostFacts
from dockerfw.model.policy import Committer
from dockerfw.operations.reconcile import Reconciler
from dockerfw.plan.planner import Step
from dockerfw.plan.state import KernelState, SetState
from dockerfw.rules.ruleset import IPSet, Seal

SealState: TypeAlias = str
"""A seal in its normal form."""
Counters: TypeAlias = Mapping[str, Mapping[str, tuple[int, int]]]
"""Packets and bytes of each entry, by the name of its set."""


class Kernel(Protocol):
    """Every method may take long, and may raise `Failed`; all but `commit` only read."""

    def facts(self) -> HostFacts: ...

    def bridges(self) -> tuple[Bridge, ...]: ...

    def container_interfaces(self) -> frozenset[str]:
        """Return the host's halves of the interface pairs of containers that run now."""
        ...

    def read(self, facts: HostFacts, lists: Iterable[IPSet] = ()) -> KernelState:
        """Return all that stands; ``lists`` that are as long as they should be are not dumped."""
        ...

    def read_rules(self, facts: HostFacts, known_seal: SealState | None = None) -> KernelState:
        """Return what stands but for sets; ``known_seal`` where nobody has touched the seal."""
        ...

    def read_set_headers(self) -> Mapping[str, SetState]:
        """Return the sets of ours without their entries."""
        ...

    def expected_seal(self, seal: Seal) -> SealState:
        """Return the normal form in which this seal is read back. Reads nothing."""
        ...

    def commit(self, steps: Iterable[Step], facts: HostFacts, committer: Committer) -> None:
        """Write the steps, each as one transaction of its tool."""
        ...

    def set_counters(self, names: Collection[str]) -> Counters: ...


class HostKernel:
    """The kernel of the current network namespace."""

    def __init__(self, runner: Runner, reconciler: Reconciler) -> None:
        self._runner = runner
        self._reconciler = reconciler

    def facts(self) -> HostFacts:
        return kernel_facts.read(self._runner)

    def bridges(self) -> tuple[Bridge, ...]:
        return kernel_facts.bridges(self._runner)

    def container_interfaces(self) -> frozenset[str]:
        return kernel_facts.docker_ports(self._runner)

    def read(self, facts: HostFacts, lists: Iterable[IPSet] = ()) -> KernelState:
        return self._reconciler.read(facts, lists)

    def read_rules(self, facts: HostFacts, known_seal: SealState | None = None) -> KernelState:
        return self._reconciler.read_rules(facts, known_seal)

    def read_set_headers(self) -> Mapping[str, SetState]:
        return ipset.read(self._runner, headers_only=lambda *_: True)

    def expected_seal(self, seal: Seal) -> SealState:
        return nft.wanted(seal)

    def commit(self, steps: Iterable[Step], facts: HostFacts, committer: Committer) -> None:
        for step in steps:
            self._reconciler.write(step, facts, committer)

    def set_counters(self, names: Collection[str]) -> Counters:
        return ipset.counters(self._runner, names)


def seal_steps(before: Seal, after: Seal) -> tuple[Step, ...]:
    """Return the steps from one seal to another: first what is no longer guarded, then the rest."""
    update = nft.updates(nft.wanted(before), after)
    documents = (update.release, update.rest)
    return tuple(Step("nft", text, "the seal's ports") for text in documents if text is not None)
