"""What the rest of dockerfw asks of the kernel of one host: read, write, count, recognise.

`Netfilter` in ``kernel/netfilter.py`` is the one that real hosts have; tests bring their own. A
native nftables backend for the policy would be one more, see ``docs/architecture.md``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Protocol, TypeAlias

from dockerfw.model.denial import Denial
from dockerfw.model.foreign import ForeignTable
from dockerfw.model.host import Bridge, BridgePort, Flavour, HostFacts, Interior, Proxy
from dockerfw.model.net import Family
from dockerfw.model.policy import Committer, LanNetworks
from dockerfw.model.surroundings import Surroundings
from dockerfw.plan.state import (
    Identity,
    KernelState,
    LiveElement,
    SealState,
    SetState,
    TablesState,
)
from dockerfw.plan.steps import Created, Step
from dockerfw.rules.bindings import Bindings
from dockerfw.rules.ruleset import IPSet, Seal

Count: TypeAlias = tuple[int, int]
"""Packets and bytes."""
SetCounters: TypeAlias = Mapping[str, Mapping[LiveElement, Count]]
"""Set name -> element -> count."""
RuleCounters: TypeAlias = Mapping[tuple[str, str], tuple[Count, ...]]
"""(table, chain) -> the count of each rule, in the chain's order."""


class Kernel(Protocol):
    """The kernel of one host. All but `identity` and `closes_proxies` read or write it, and raise
    `Failed` where that cannot be done.
    """

    # the host

    def facts(self, prefer: Flavour | None = None, noticed: int | None = None) -> HostFacts:
        """Return what must be known of the host; ``prefer`` is taken where no rule tells.

        ``noticed`` is what the caller counts notices of interfaces and addresses by: as long as it
        is the same, and nothing else has changed that is quick to ask for, the answer is that of
        the last time. What kernel and tools can do is not found out again then.
        """
        ...

    def facts_at_hand(self, prefer: Flavour | None = None) -> HostFacts:
        """Return the facts as far as tools that are missing or fail allow; never raise `Failed`.

        ``prefer`` is the flavour to take where none can be told.
        """
        ...

    def proxy(self, known: Proxy) -> Proxy:
        """Return what `facts` gave of docker-proxy, with dockerd's cgroup of now; quick."""
        ...

    def br_netfilter(self) -> tuple[bool, bool]:
        """Return what `facts` does of it, in some microseconds: nobody announces its changes."""
        ...

    def bridges(self) -> tuple[Bridge, ...]:
        """Return every bridge interface, as `facts` does, by one process."""
        ...

    def container_interfaces(self) -> frozenset[str]:
        """Return the host's halves of the interface pairs of containers that run."""
        ...

    def foreign_tables(self, facts: HostFacts) -> tuple[ForeignTable, ...]:
        """Return the rules of others at the hooks of netfilter, as far as they can be read."""
        ...

    def surroundings(self) -> Surroundings:
        """Return the interfaces of the host, its sockets, and what sees packets before any rule."""
        ...

    def networks(self, interfaces: Iterable[str]) -> LanNetworks:
        """Return the networks that are connected to each of these interfaces, if there are any."""
        ...

    # what stands

    def read(
        self, facts: HostFacts, wanted: Iterable[IPSet] = (), *, headers_suffice: bool = False
    ) -> KernelState:
        """Return all that stands.

        Elements that are those of ``wanted`` are the same object; of lists there (sets that never
        change under their names) that are as long as they should be they are not read. Nor are
        they, with ``headers_suffice``, where the kernel has nothing else to say of a set than when
        its elements were read last, and nothing was written since: who takes one out and puts
        another one in may be overlooked so.
        """
        ...

    def read_rules(self, facts: HostFacts, known_seal: SealState | None = None) -> KernelState:
        """Return what stands without the sets: all that the kernel announces changes of.

        ``known_seal`` is the seal, where it is known that nobody touched it: to print a rule with
        a cgroup ``nft`` walks the whole tree of those.
        """
        ...

    def read_family(self, facts: HostFacts, family: Family) -> TablesState:
        """Return what stands of rules in one family, whatever becomes of the other one."""
        ...

    def read_set_headers(self) -> Mapping[str, SetState]:
        """Return our sets without their elements."""
        ...

    def set_counters(self, names: Collection[str]) -> SetCounters:
        """Return the counters of those of the sets that exist."""
        ...

    def rule_counters(self, facts: HostFacts, family: Family) -> RuleCounters:
        """Return the counters of every rule in the tables that dockerfw has chains in."""
        ...

    def denials(self) -> tuple[Denial, ...]:
        """Return what was denied lately, as our rules have recorded it, in no order."""
        ...

    # writing

    def commit(self, steps: Iterable[Step], facts: HostFacts, committer: Committer) -> None:
        """Write the steps in their order, each as one transaction of its tool."""
        ...

    def missing_base_chains(self, facts: HostFacts, live: KernelState) -> tuple[Created, ...]:
        """Return the base chains that writing our first jumps will bring into being."""
        ...

    def remove_unused(self, facts: HostFacts, created: Collection[Created]) -> None:
        """Take out base chains and tables that dockerfw made and that nobody has used since."""
        ...

    # which port of a bridge may send from which address

    def ports(self) -> tuple[BridgePort, ...]:
        """Return the ports of all bridges."""
        ...

    def look_into(self, namespace: int) -> Interior | None:
        """Return what is in a network namespace, by the kernel's number; None: it is gone."""
        ...

    def bindings_stand(self, wanted: Bindings | None) -> bool:
        """Return True if these, or none, stand as they would be written."""
        ...

    def write_bindings(self, wanted: Bindings | None) -> None:
        """Put these in the place of those that stand; None: of all."""
        ...

    # pure

    @property
    def identity(self) -> Identity:
        """How this backend recognises what it wrote."""
        ...

    def closes_proxies(self, live: SealState | None, seal: Seal) -> bool:
        """Return True if docker-proxy's sockets are closed by their cgroup, and that of now."""
        ...

    def seal_document(self, seal: Seal) -> str:
        """Return the seal as text for whoever loads a ruleset at boot to include."""
        ...

    def render(self, step: Step) -> str:
        """Return what `commit` hands to the step's tool, for people who ask for it."""
        ...
