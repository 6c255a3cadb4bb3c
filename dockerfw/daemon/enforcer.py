"""What should stand in the kernel and what was written there: the daemon's one way to write.

Takes a policy, what runs, and looks at the kernel; writes through `Reconciler`, or a few set
elements straight. Remembers what it wrote, so that a look tells what others have changed. All of
it happens in the main loop, under the lock of the host.
"""

from __future__ import annotations

import gc
import re
import time
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import NamedTuple

from dockerfw.daemon.drift import describe_plan
from dockerfw.daemon.reporter import Reporter
from dockerfw.daemon.timers import Timers
from dockerfw.kernel.ipset import driver as ipset
from dockerfw.kernel.nft import driver as seal
from dockerfw.model.docker_names import is_docker_bridge
from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Inventory
from dockerfw.model.policy import Policy
from dockerfw.operations.boot import install_closed, without_addresses
from dockerfw.operations.reconcile import Observation, with_foreign_ports
from dockerfw.operations.session import Session
from dockerfw.operations.standing import chains_stand
from dockerfw.plan.planner import renewals
from dockerfw.plan.state import KernelState
from dockerfw.rules.ledger import Change, Ledger
from dockerfw.rules.ruleset import IPSet, Ruleset, Seal

SEAL_DELAY = 0.2
"""The seal's own list of ports follows behind the sets by so many seconds."""
HALF_WAY_PAUSE = 0.05
"""Jumps alone are put right at the second sight, where the seal stands."""
LOOK_AGAIN = (0.1, 1.0, 5.0)
"""After a repair: Docker undoes early ones when it builds its rules anew."""
OWN_ECHO = 0.5
"""So long after a write of ours notices of it may come in."""
_OURS = re.compile(r"nft\Z|ip6?tables-(nft-)?r")
DAY = 86_400.0
WHOLE_AGAIN = 2.0
MANY_REPAIRS = 20
"""More repairs than this within a minute: another tool insists on its rules as we do on ours."""


class Epoch(NamedTuple):
    """How often was written: chains and seal, and anything at all."""

    rules: int
    all: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a look at the kernel found; ``epoch`` is the keeper's when it began.

    A look that is not ``whole`` is at what the kernel announces changes of: it has no sets.
    """

    epoch: Epoch
    facts: HostFacts
    live: KernelState
    whole: bool


class Enforcer:
    """``followed``: Docker has answered, and the kernel was brought in line with that answer.

    ``epoch`` counts what was written: a look that began in another one is no news.
    ``unsettled``: what should stand is another than what did, and was not compared since.
    ``knows_enough``: the inventory has all that the policy asks for.
    """

    def __init__(self, session: Session, reporter: Reporter, timers: Timers) -> None:
        self.session = session
        self.reconciler = session.reconciler
        self.reporter = reporter
        self.timers = timers
        self.policy: Policy | None = None
        self.facts = HostFacts()
        self.inventory = session.store.last_seen.inventory()
        self.followed = False
        self.unsettled = True
        self.knows_enough = True
        self.epoch = Epoch(0, 0)
        self._writers: set[str] = set()
        self._wrote_at = 0.0
        self.pause = 0.0
        """No repair before this moment: another tool has insisted."""
        self._ledger: Ledger | None = None
        self._frame: Ruleset | None = None
        self.sealed: Seal | None = None
        """As it was written last."""
        self._repairs: deque[float] = deque()
        self._half_way = False

    # --- what should stand -----------------------------------------------------------------------

    def record_writers(self, writers: Collection[str]) -> None:
        """Who has changed rules, by the kernel's word; it tells of our own children as well."""
        ours = time.monotonic() < self._wrote_at + OWN_ECHO
        self._writers |= {w for w in writers if not (ours and _OURS.match(w))}

    def set_policy(self, policy: Policy | None) -> None:
        """Another policy. Writes nothing: who put it in force has done that, or `settle` will."""
        self.policy = policy
        self.unsettled = True
        self._count_write()  # by somebody else: looks that began before are no news
        self._rebuild_ledger()

    def _count_write(self, *, rules: bool = True) -> None:
        self.epoch = Epoch(self.epoch.rules + rules, self.epoch.all + 1)

    def sources_moved(self, policy: Policy, why: str) -> None:
        """The same policy, which means something else now: written at once."""
        self.policy = policy
        self._rebuild_ledger()
        self._write_whole(why)

    def expected_seal(self) -> str | None:
        """The normal form of the seal that was written last."""
        return seal.wanted(self.sealed) if self.sealed and self.facts.nf_tables else None

    def lists(self) -> tuple[IPSet, ...]:
        """Sets that need not be read entry by entry, see `Reconciler.read`."""
        return self._ledger.lists() if self._ledger else ()

    def _rebuild_ledger(self) -> None:
        """A new ledger: for another policy, or another host."""
        self.inventory = with_foreign_ports(self.inventory, self.facts)
        if self.policy is None:
            self._ledger = self._frame = None
            return
        before, self._ledger = self._ledger, Ledger(self.policy, self.inventory, self.facts)
        if before is not None:
            self._ledger.inherit(before)
        ruleset = self._ledger.ruleset()
        self._frame = replace(ruleset, sets=())
        if self.sealed is None or not self.followed:
            self.sealed = ruleset.seal

    # --- what runs -------------------------------------------------------------------------------

    def follow(self, inventory: Inventory) -> None:
        """Bring the sets in line with what runs now."""
        if not self.followed:
            self.inventory = inventory
            return
        gone = _own_bridges(self.inventory) - _own_bridges(inventory)
        self.inventory = with_foreign_ports(inventory, self.facts)
        if self._ledger is None:
            return
        change = self._ledger.update(self.inventory, time.monotonic())
        if gone:
            # Not somebody else's now: Docker may make it again before the host is looked at.
            left = tuple(b for b in self.facts.bridges if b.name not in gone)
            self.facts = replace(self.facts, bridges=left)
            self._rebuild_ledger()
        if change.whole or gone:
            self._write_whole("more than elements changes")
        else:
            self._write_elements(change)

    def _write_elements(self, change: Change) -> None:
        if change.elements:
            self._count_write(rules=False)
            ipset.commit(self.session.runner, change.elements)
            self.reporter.wrote()
        if change.guarded_changed:
            self.timers.by("seal", time.monotonic() + SEAL_DELAY)
        if self._ledger is not None:
            self.timers.at("expire", self._ledger.next_expiry())

    def expire(self) -> None:
        """Guards whose container is long gone. The seal lets go of a port before the sets do."""
        if self._ledger is None:
            return
        change = self._ledger.expire(time.monotonic())
        self.write_seal()
        self._write_elements(change)

    def renew(self) -> None:
        """Rules that end later than the kernel can count: put off their end once a day."""
        self.timers.at("renew", time.monotonic() + DAY)
        lines = renewals(self._ledger.ruleset(), time.time()) if self._ledger else ""
        if lines:
            ipset.commit(self.session.runner, lines)

    def write_seal(self) -> None:
        """Let the seal follow."""
        if self._ledger is None or self.sealed is None or not self.facts.nf_tables:
            return
        wanted = self._ledger.seal()
        update = seal.updates(seal.wanted(self.sealed), wanted)
        for document in (update.release, update.rest):
            if document is not None:
                self._count_write()
                seal.commit(self.session.runner, document)
                self._wrote_at = time.monotonic()
                self.reporter.wrote()
        self.sealed = wanted

    def _write_whole(self, why: str) -> None:
        """Snapshot and write at once, everything: where the few lines of a change do not do."""
        if self._ledger is None or not self.followed:
            return
        if not self.knows_enough:  # who is not known by its labels would lose what it has
            self.unsettled = True
            self.timers.by("whole", time.monotonic())
            return
        ruleset = self._ledger.ruleset()
        live = self.reconciler.read(self.facts, ruleset.sets)
        self._bring_in_line(self.reconciler.compare(ruleset, self.facts, live), why)

    def _execute(self, seen: Observation) -> None:
        if self.policy is None:
            return
        self._count_write()
        self._wrote_at = time.monotonic()
        self.reconciler.carry_out(seen, self.policy.committer)
        self._wrote_at = time.monotonic()
        self.reporter.wrote()
        self.sealed = seen.ruleset.seal

    def _bring_in_line(self, seen: Observation, why: str) -> None:
        if seen.plan.in_sync:
            self.sealed = seen.ruleset.seal
        else:
            self.reporter.info(f"{why}: {describe_plan(seen)}")
            self._execute(seen)
        if self._ledger is not None:
            # A set that had to grow is another one now.
            self._ledger.made(ipset.read(self.session.runner, headers_only=lambda *_: True))

    # --- what stands -----------------------------------------------------------------------------

    def check_rules(self, snapshot: Snapshot) -> None:
        """Chains, jumps and seal, against what was written last."""
        if snapshot.epoch.rules != self.epoch.rules:
            self.timers.by("look", time.monotonic())
        elif self.unsettled:
            # What stands may need more than the chains that are wanted now.
            self.timers.by("whole", time.monotonic())
        elif self.sealed is not None:
            self._check_rules(snapshot, self.sealed)

    def _check_rules(self, snapshot: Snapshot, wanted: Seal) -> None:
        if self._frame is None:
            return
        live = replace(snapshot.live, sets={})
        if not self.followed and live.seal is not None:
            # Which ports it guards was told by somebody who knew more than is known here.
            live = replace(live, seal=seal.wanted(wanted))
        frame = replace(self._frame, seal=wanted)
        self._repair(self.reconciler.compare(frame, self.facts, live))

    def settle(self, snapshot: Snapshot) -> None:
        """Everything against everything: policy, Docker's answer and the kernel."""
        if ruleset_inputs(snapshot.facts) != ruleset_inputs(self.facts) or self._ledger is None:
            self.unsettled = True
        self.facts = snapshot.facts
        if self.unsettled:
            self._rebuild_ledger()
        if self._ledger is None or self.policy is None:
            return
        self.reporter.entries = sum(state.count for state in snapshot.live.sets.values())
        ruleset = self._ledger.ruleset()
        if not self.followed:
            self._first(self.reconciler.compare(ruleset, self.facts, snapshot.live))
        elif self.unsettled:
            seen = self.reconciler.compare(ruleset, self.facts, snapshot.live)
            self._bring_in_line(seen, "brought in line")
        else:
            self._ledger.made(snapshot.live.sets)
            # What the seal has to follow with is no drift.
            sealed = replace(ruleset, seal=self.sealed or ruleset.seal)
            self._repair(self.reconciler.compare(sealed, self.facts, snapshot.live))
            if sealed.seal != ruleset.seal:
                self.timers.by("seal", time.monotonic() + SEAL_DELAY)
        self.unsettled = False
        self.timers.at("expire", self._ledger.next_expiry())
        if not self._half_way:
            self.reporter.agreed(self.policy, ruleset, self.inventory)

    def _first(self, seen: Observation) -> None:
        """The first time that kernel, policy and Docker are brought together: look twice."""
        self._execute(seen)
        live = self.reconciler.read(seen.facts, seen.ruleset.sets)
        last = self.reconciler.compare(seen.ruleset, seen.facts, live)
        if not last.plan.in_sync:
            self._execute(last)
        if self._ledger is not None:
            self._ledger.made(last.live.sets)
        self.reporter.entries = sum(state.count for state in live.sets.values())
        self.followed = True
        self.renew()
        # What stands by now lasts: looking through it for garbage takes 15 to 40 ms with 1,000
        # containers, again and again, while events wait.
        gc.collect()
        gc.freeze()

    def settle_without_docker(self, snapshot: Snapshot) -> None:
        """Docker is away: chains, jumps and seal are kept, sets stay as they are.

        Where nothing of ours stands at all, or not the sets that the chains need, what boot would
        install is.
        """
        if self._ledger is None or self.policy is None:
            return
        ruleset = self._ledger.ruleset()
        if snapshot.epoch.rules != self.epoch.rules:
            self.timers.by("whole", time.monotonic())
        elif chains_stand(snapshot.live) and {s.name for s in ruleset.sets} <= {
            *snapshot.live.sets
        }:
            wanted = self.sealed if self.sealed and not self.unsettled else ruleset.seal
            if snapshot.live.seal is None:  # docker-proxy's cgroup may have gone with Docker
                proxy = snapshot.facts.proxy
                wanted = replace(wanted, proxies=proxy.cgroup, dockerd_ports=proxy.dockerd_ports)
            self._check_rules(snapshot, wanted)
        elif self._install_closed(self.policy, snapshot.facts):
            text = "nothing of dockerfw stood: closed, by what was last seen of Docker"
            self.reporter.log.warning(text)

    def _install_closed(self, policy: Policy, facts: HostFacts) -> bool:
        """Whether there was anything to do."""
        self._count_write()
        self._wrote_at = time.monotonic()
        done = install_closed(self.session, policy, facts)
        self._wrote_at = time.monotonic()
        return done.steps > 0

    def drop_addresses(self) -> None:
        """No container is known any more to have the address that it had; ports stay."""
        if self.followed:
            self.follow(without_addresses(self.inventory))
        elif self.policy is not None:
            self._install_closed(self.policy, self.facts)

    # --- what others have changed ----------------------------------------------------------------

    def _repair(self, seen: Observation) -> None:
        if seen.plan.in_sync:
            self._half_way = False
            self._writers.clear()
            if time.monotonic() > self.pause:
                self.reporter.note("fight", None)
            return
        if self.facts.nf_tables and not self._half_way and _moves_jumps_only(seen):
            # Docker puts its rules above its jump to DOCKER-USER and then moves that to the top.
            # Nothing gets past the seal meanwhile; if it stays so, it is put right.
            self._half_way = True
            self.timers.by("look", time.monotonic() + HALF_WAY_PAUSE)
            return
        self._half_way = False
        writers, self._writers = frozenset(self._writers), set()
        self._execute(seen)
        self.reporter.repaired(seen, writers)
        now = time.monotonic()
        for number, seconds in enumerate(LOOK_AGAIN):
            self.timers.at(f"look again {number}", now + seconds)
        # Who has changed rules may have changed what nobody announces.
        self.timers.by("whole", now + WHOLE_AGAIN)
        if all(step.tool != "nft" for step in seen.plan.steps):
            self._count_repair(now, writers)

    def _count_repair(self, now: float, writers: frozenset[str]) -> None:
        """Two tools that both insist would write for ever. The seal never waits."""
        self._repairs.append(now)
        while self._repairs[0] < now - 60:
            self._repairs.popleft()
        if len(self._repairs) <= MANY_REPAIRS:
            return
        pause = self.policy.resync if self.policy else 0
        self.pause = now + pause
        self.timers.at("whole", self.pause)
        self._repairs.clear()
        who = " and ".join(sorted(writers)) or "another tool"
        self.reporter.note(
            "fight",
            f"what dockerfw writes is undone by {who}, more than {MANY_REPAIRS} times a minute: "
            f"the next repair is in {pause} s{'; the seal holds meanwhile' * self.facts.nf_tables}",
        )


def _chains_and_sets_stand(live: KernelState, ruleset: Ruleset) -> bool:
    """Whether there are chains of ours, and every set that they need."""
    return chains_stand(live) and {s.name for s in ruleset.sets} <= live.sets.keys()


def _own_bridges(inventory: Inventory) -> set[str]:
    """Docker's bridges whose names do not tell that they are."""
    names = {network.bridge or "" for network in inventory.bridges()}
    return {name for name in names if name and not is_docker_bridge(name)}


def _moves_jumps_only(seen: Observation) -> bool:
    """Our chains, sets and seal are all right: it is about what stands beside our jumps."""
    return all(s.tool == "iptables" and ":DOCKERFW" not in s.text for s in seen.plan.steps)


def ruleset_inputs(facts: HostFacts) -> HostFacts:
    """What of the host decides what stands in the kernel."""
    return replace(facts, addresses=frozenset(), docker_rules=True, stale_flavour=None)
