"""A host that is played for the daemon: its clock, its kernel, and its disk.

Nothing here starts a process or reads a clock. What the daemon plans is made to stand as a whole
(`PlayedKernel.written`); what it writes without a plan is kept as lines and documents.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from dockerfw.errors import Failed
from dockerfw.kernel.nft import driver as nft
from dockerfw.kernel.render import chain_texts, set_state
from dockerfw.kernel.runner import Completed
from dockerfw.model.host import Bridge, HostFacts
from dockerfw.model.inventory import Inventory
from dockerfw.model.policy import Committer
from dockerfw.operations.reconcile import Observation, Reconciler
from dockerfw.plan.planner import Created, Step
from dockerfw.plan.state import ChainState, KernelState, SetState, TablesState
from dockerfw.policy.files import PolicyText
from dockerfw.rules.ruleset import IPSet, Ruleset, Seal
from dockerfw.state.folder import Folder
from dockerfw.state.kernel_record import KernelRecord
from dockerfw.state.last_seen import LastSeen
from dockerfw.state.store import Store
from dockerfw.state.stored_policy import StoredPolicy
from tests.build import facts
from tests.clock import FakeClock

FACTS = facts(bridges=("br-0123456789ab",), ipv6=False)


class HostClock(FakeClock):
    """The clock of a host, which may be ``set`` by so many seconds while timers go on."""

    set = 0.0

    def time(self) -> float:
        return self.now + self.set


class PlayedKernel:
    """What stands. ``broken``: why nothing can be written."""

    def __init__(self) -> None:
        self.live = nothing()
        self.host = FACTS
        self.interfaces: frozenset[str] = frozenset()
        self.broken = ""
        self.lines: list[str] = []
        self.documents: list[str] = []
        self.tools: list[str] = []
        """Of all that was written without a plan, in order."""
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

    # as `dockerfw.daemon.kernel.Kernel`

    def facts(self) -> HostFacts:
        return self.host

    def bridges(self) -> tuple[Bridge, ...]:
        return self.host.bridges

    def container_interfaces(self) -> frozenset[str]:
        return self.interfaces

    def read(self, _facts: HostFacts, _lists: Iterable[IPSet] = ()) -> KernelState:
        return self.live

    def read_rules(self, _facts: HostFacts, known_seal: str | None = None) -> KernelState:
        seal = self.live.seal if known_seal is None else known_seal
        return replace(self.live, sets={}, seal=seal)

    def read_set_headers(self) -> Mapping[str, SetState]:
        return dict(self.live.sets)

    def expected_seal(self, seal: Seal) -> str:
        return nft.wanted(seal)

    def commit(self, steps: Iterable[Step], _facts: HostFacts, _committer: Committer) -> None:
        for step in steps:
            self._check()
            self.tools.append(step.tool)
            if step.tool == "ipset":
                self.lines += step.text.splitlines()
            else:
                self.documents.append(step.text)

    def set_counters(self, _names: Collection[str]) -> Mapping[str, Any]:
        return {}


class PlayedReconciler(Reconciler):
    """Plans as the real one does; reads and writes the played kernel."""

    def __init__(self, kernel: PlayedKernel, store: Store) -> None:
        super().__init__(Programs(), store)
        self._kernel = kernel

    def read(self, facts: HostFacts, sets: Iterable[IPSet] = ()) -> KernelState:
        return self._kernel.read(facts, sets)

    def read_rules(self, facts: HostFacts, known_seal: str | None = None) -> KernelState:
        return self._kernel.read_rules(facts, known_seal)

    def carry_out(self, look: Observation, committer: Committer) -> None:
        _ = committer
        self._kernel.execute(look)


class Programs:
    """No program does anything."""

    def run(self, *_: object, **__: object) -> Completed:
        return Completed("", "", 0)

    def read_file(self, _: str) -> str | None:
        return None


def nothing() -> KernelState:
    """A host with Docker and without dockerfw."""
    empty = {
        "mangle": {"PREROUTING": ChainState("ACCEPT", ())},
        "filter": {
            "INPUT": ChainState("ACCEPT", ()),
            "FORWARD": ChainState("ACCEPT", ("-j DOCKER-USER",)),
            "DOCKER-USER": ChainState("-", ()),
        },
    }
    return KernelState({4: TablesState(4, empty)}, {}, None)


def standing(ruleset: Ruleset) -> KernelState:
    """The same host, and this ruleset with its jumps."""
    tables: dict[str, dict[str, ChainState]] = {
        "mangle": {"PREROUTING": ChainState("ACCEPT", ("-j DOCKERFW-PRE",))},
        "filter": {
            "INPUT": ChainState("ACCEPT", ("-j DOCKERFW-INPUT",)),
            "FORWARD": ChainState("ACCEPT", ("-j DOCKER-USER",)),
            "DOCKER-USER": ChainState("-", ("-j DOCKERFW",)),
        },
    }
    for chain in ruleset.chains:
        tables[chain.table][chain.name] = ChainState("-", chain_texts(chain))
    sets: dict[str, SetState] = {s.name: set_state(s) for s in ruleset.sets}
    return KernelState({4: TablesState(4, tables)}, sets, nft.wanted(ruleset.seal))


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
