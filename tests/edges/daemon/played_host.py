"""A host that is played: its clock, its kernel, and its disk."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from dockerfw.errors import Failed
from dockerfw.kernel.interface import RuleCounters, SetCounters
from dockerfw.kernel.ipset import render as ipset_render
from dockerfw.kernel.netfilter import Digests
from dockerfw.kernel.nft import render as nft_render
from dockerfw.model.denial import Denial
from dockerfw.model.foreign import ForeignTable
from dockerfw.model.host import Bridge, BridgePort, Flavour, HostFacts, Interior, Proxy
from dockerfw.model.inventory import Inventory
from dockerfw.model.net import Family, IPNetwork
from dockerfw.model.policy import Committer, LanNetworks
from dockerfw.model.surroundings import Surroundings
from dockerfw.operations.reconcile import Observation, Reconciler
from dockerfw.plan.state import (
    ChainState,
    Identity,
    KernelState,
    LiveRule,
    SealState,
    SetState,
    TablesState,
    wanted_set,
)
from dockerfw.plan.steps import Created, Step, WriteSeal, WriteSets
from dockerfw.policy.files import PolicyText
from dockerfw.rules.bindings import Bindings
from dockerfw.rules.names import INPUT, MAIN, PRE
from dockerfw.rules.ruleset import IPSet, Ruleset, Seal
from dockerfw.state.folder import Folder
from dockerfw.state.kernel_record import KernelRecord
from dockerfw.state.last_seen import LastSeen
from dockerfw.state.store import Store
from dockerfw.state.stored_policy import StoredPolicy
from tests.build import facts
from tests.clock import FakeClock
from tests.standing import read_back

FACTS = facts(bridges=("br-0123456789ab",), ipv6=False)

# --- the host ------------------------------------------------------------------------------------


class HostClock(FakeClock):
    """The clock of a host, which may be ``set`` by so many seconds while timers go on."""

    set = 0.0

    def time(self) -> float:
        return self.now + self.set


class PlayedKernel:
    """What stands. ``broken``: why nothing can be written; ``unreadable``: nor sets be read."""

    def __init__(self) -> None:
        self.live = nothing()
        self.host = FACTS
        self.interfaces: frozenset[str] = frozenset()
        self.bridge_ports: tuple[BridgePort, ...] = ()
        self.interiors: dict[int, Interior] = {}
        self.looked_into: list[int] = []
        self.bound: Bindings | None = None
        self.bindings_written: list[Bindings | None] = []
        self.lans: dict[str, tuple[IPNetwork, ...]] = {}
        self.broken = ""
        self.unreadable = ""
        self.lines: list[str] = []
        self.documents: list[str] = []
        self.tools: list[str] = []
        self.read_by_headers: list[bool] = []
        self.noticed: list[int | None] = []
        self.written: list[Observation] = []

    def stand(self, ruleset: Ruleset) -> None:
        """Somebody has written this."""
        self.live = standing(ruleset)

    def execute(self, seen: Observation) -> None:
        """The plan of an observation is carried out."""
        self._check()
        self.written.append(seen)
        made = standing(seen.ruleset)
        only_rules = not seen.ruleset.sets
        self.live = replace(made, sets=self.live.sets) if only_rules else made

    def _check(self) -> None:
        if self.broken:
            raise Failed(self.broken)

    # as `dockerfw.kernel.interface.Kernel`

    def ports(self) -> tuple[BridgePort, ...]:
        return self.bridge_ports

    def look_into(self, namespace: int) -> Interior | None:
        self.looked_into.append(namespace)
        return self.interiors.get(namespace)

    def bindings_stand(self, wanted: Bindings | None) -> bool:
        return self.bound == wanted

    def write_bindings(self, wanted: Bindings | None) -> None:
        self._check()
        self.bound = wanted
        self.bindings_written.append(wanted)
        self.tools.append("bindings")

    def facts(self, prefer: Flavour | None = None, noticed: int | None = None) -> HostFacts:
        _ = prefer
        self.noticed.append(noticed)
        return self.host

    def facts_at_hand(self, prefer: Flavour | None = None) -> HostFacts:
        return self.facts(prefer)

    def proxy(self, known: Proxy) -> Proxy:
        now = self.host.proxy
        return replace(known, cgroup=now.cgroup, dockerd_ports=now.dockerd_ports)

    def br_netfilter(self) -> tuple[bool, bool]:
        return self.host.br_netfilter

    def bridges(self) -> tuple[Bridge, ...]:
        return self.host.bridges

    def surroundings(self) -> Surroundings:
        return Surroundings()

    def foreign_tables(self, _facts: HostFacts) -> tuple[ForeignTable, ...]:
        return ()

    def container_interfaces(self) -> frozenset[str]:
        return self.interfaces

    def networks(self, interfaces: Iterable[str]) -> LanNetworks:
        return {name: self.lans.get(name, ()) for name in interfaces}

    def read(
        self,
        _facts: HostFacts,
        _wanted: Iterable[IPSet] = (),
        *,
        headers_suffice: bool = False,
    ) -> KernelState:
        if self.unreadable:
            raise Failed(self.unreadable)
        self.read_by_headers.append(headers_suffice)
        return self.live

    def read_rules(self, _facts: HostFacts, known_seal: SealState | None = None) -> KernelState:
        seal = self.live.seal if known_seal is None else known_seal
        return replace(self.live, sets={}, seal=seal)

    def read_family(self, _facts: HostFacts, family: Family) -> TablesState:
        return self.live.tables[family]

    def read_set_headers(self) -> Mapping[str, SetState]:
        return dict(self.live.sets)

    @property
    def identity(self) -> Identity:
        return Digests()

    def commit(self, steps: Iterable[Step], _facts: HostFacts, _committer: Committer) -> None:
        for step in steps:
            self._check()
            self.tools.append(step.tool)
            if isinstance(step, WriteSets):
                self.lines += ipset_render.render(step, now=None).splitlines()
            elif isinstance(step, WriteSeal):
                self.documents.append(nft_render.render(step))

    def set_counters(self, _names: Collection[str]) -> SetCounters:
        return {}

    def denials(self) -> tuple[Denial, ...]:
        return ()

    def rule_counters(self, _facts: HostFacts, _family: Family) -> RuleCounters:
        return {}

    def missing_base_chains(self, _facts: HostFacts, _live: KernelState) -> tuple[Created, ...]:
        return ()

    def remove_unused(self, _facts: HostFacts, _created: Collection[Created]) -> None: ...

    def closes_proxies(self, live: SealState | None, seal: Seal) -> bool:
        return nft_render.closes_proxies(live, seal)

    def seal_document(self, seal: Seal) -> str:
        return nft_render.document(seal)

    def render(self, step: Step) -> str:
        raise AssertionError(f"nobody asked to see {step}")


class PlayedReconciler(Reconciler):
    """Plans as the real one does; what it executes stands at once."""

    def __init__(self, kernel: PlayedKernel, store: Store, clock: HostClock) -> None:
        super().__init__(kernel, store, clock.time)
        self._played = kernel

    def execute(self, seen: Observation, committer: Committer) -> None:
        _ = committer
        self._played.execute(seen)


def jump(target: str) -> LiveRule:
    return LiveRule(f"-j {target}", target, bare=True)


def nothing() -> KernelState:
    """A host with Docker and without dockerfw."""
    empty = {
        "mangle": {"PREROUTING": ChainState("ACCEPT", ())},
        "filter": {
            "INPUT": ChainState("ACCEPT", ()),
            "FORWARD": ChainState("ACCEPT", (jump("DOCKER-USER"),)),
            "DOCKER-USER": ChainState("-", ()),
        },
    }
    return KernelState({4: TablesState(4, empty)}, {}, None)


def standing(ruleset: Ruleset) -> KernelState:
    """The same host, and this ruleset with its jumps."""
    tables: dict[str, dict[str, ChainState]] = {
        "mangle": {"PREROUTING": ChainState("ACCEPT", (jump(PRE),))},
        "filter": {
            "INPUT": ChainState("ACCEPT", (jump(INPUT),)),
            "FORWARD": ChainState("ACCEPT", (jump("DOCKER-USER"),)),
            "DOCKER-USER": ChainState("-", (jump(MAIN),)),
        },
    }
    for chain in ruleset.chains:
        tables[chain.table][chain.name] = read_back(chain)
    sets: dict[str, SetState] = {s.name: wanted_set(s) for s in ruleset.sets}
    return KernelState({4: TablesState(4, tables)}, sets, nft_render.expected(ruleset.seal))


# --- the disk ------------------------------------------------------------------------------------


class Disk:
    """What is kept for the next boot can be written as long as it is not ``full``."""

    full = False

    def check(self) -> None:
        if self.full:
            raise Failed("cannot write: No space left on device")


class PlayedPolicy(StoredPolicy):
    def __init__(self, folder: Folder, disk: Disk) -> None:
        super().__init__(folder)
        self._disk = disk

    def remember_lists(self, text: PolicyText) -> None:
        self._disk.check()
        super().remember_lists(text)


class PlayedLastSeen(LastSeen):
    def __init__(self, folder: Folder, disk: Disk) -> None:
        super().__init__(folder)
        self._disk = disk

    def remember(self, inventory: Inventory) -> None:
        self._disk.check()
        super().remember(inventory)


class PlayedKernelRecord(KernelRecord):
    def __init__(self, folder: Folder, disk: Disk) -> None:
        super().__init__(folder)
        self._disk = disk

    def remember_created(self, created: tuple[Created, ...]) -> None:
        self._disk.check()
        super().remember_created(created)


class PlayedStore(Store):
    """The real folders, on a disk that can be full."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "lib", folder / "run")
        self.disk = Disk()
        kept = Folder(self.folder)
        self.policy = PlayedPolicy(kept, self.disk)
        self.last_seen = PlayedLastSeen(kept, self.disk)
        self.kernel = PlayedKernelRecord(kept, self.disk)
