"""Desired and last-written kernel state: the daemon's only writer.

Takes a policy, what runs, and snapshots of the kernel; writes plans through `Reconciler`, and a few
set elements or ports of the seal straight to the `Kernel`. It remembers what it wrote, so that a
snapshot shows what others have changed. All of it happens in the main loop, under the lock of the
host. When which of it is done is for the loop and `transitions.py` to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from dockerfw.clock import Clock
from dockerfw.daemon.bindings import PortBindings
from dockerfw.daemon.drift import describe_plan
from dockerfw.daemon.memory import settle_down
from dockerfw.daemon.repairs import Repairs
from dockerfw.daemon.reporter import Reporter
from dockerfw.daemon.schedule import Schedule
from dockerfw.daemon.snapshots import Epoch, Snapshot
from dockerfw.daemon.transitions import Event
from dockerfw.kernel.interface import Kernel
from dockerfw.model.host import HostFacts, Proxy
from dockerfw.model.inventory import Inventory
from dockerfw.model.policy import Needs, Policy
from dockerfw.operations.boot import without_addresses
from dockerfw.operations.bridge_owners import by_record
from dockerfw.operations.reconcile import Observation, Reconciler, fitted, with_foreign_ports
from dockerfw.operations.standing import chains_stand
from dockerfw.plan.order import element_writes
from dockerfw.plan.planner import renewals
from dockerfw.plan.seal import update_seal
from dockerfw.plan.state import KernelState, SealState, SetState
from dockerfw.plan.steps import ReplaceSealRules, Step, WriteSeal, WriteSets
from dockerfw.rules.ledger import Ledger, Update
from dockerfw.rules.names import phase_of
from dockerfw.rules.ruleset import IPSet, Ruleset, Seal
from dockerfw.state.store import Store


class Enforcer:
    """What should stand, and what was written last. Others read the attributes, and set none.

    ``policy``        that is in force and has not ended; None: none was ever applied
    ``facts``         the host, as it was when everything was last compared
    ``inventory``     what runs; before Docker's first answer what ran when it was last seen
    ``followed``      Docker has answered, and the kernel was brought in line with that answer
    ``knows_enough``  the inventory has all of each container that the policy asks for
    ``epoch``         counts what was written: a snapshot that began in another one is too old
    ``sealed``        the seal as it was written last; None: there was no policy yet
    """

    def __init__(
        self,
        kernel: Kernel,
        reconciler: Reconciler,
        store: Store,
        clock: Clock,
        schedule: Schedule,
        reporter: Reporter,
        repairs: Repairs,
        bindings: PortBindings,
    ) -> None:
        self._kernel = kernel
        self._reconciler = reconciler
        self._store = store
        self._clock = clock
        self._schedule = schedule
        self._reporter = reporter
        self._repairs = repairs
        self._bindings = bindings
        self.policy: Policy | None = None
        self.facts = HostFacts()
        self.inventory = store.last_seen.inventory()
        self.followed = False
        self.knows_enough = True
        self.epoch = Epoch(0, 0)
        self.sealed: Seal | None = None
        self._known = Needs()
        self._unsettled = True
        """What should stand is another than what did, and was not compared since."""
        self._seen: Observation | None = None
        """The last one of everything that was no repair's."""
        self._ledger: Ledger | None = None
        self._frame: Ruleset | None = None
        """The ruleset without its sets: what a check of rules is compared with."""

    def start(self, facts: HostFacts) -> None:
        """Take the host as it is at the start."""
        known = fitted(facts, self.inventory)
        self.facts = by_record(known, self._store.last_seen)

    # --- what should stand -----------------------------------------------------------------------

    def set_policy(self, policy: Policy | None) -> None:
        """Enforce another policy. Writes nothing: who put it in force did, or `settle` will."""
        self.policy = policy
        self._compare_needs()
        self._unsettled = True
        # Counted all the same: somebody else has written the kernel, so that a snapshot that began
        # before shows rules of before; to compare with it would undo what they wrote.
        self._count_write()
        self._rebuild_ledger()

    def set_known(self, known: Needs) -> None:
        """Record what the inventory tells of containers."""
        self._known = known
        self._compare_needs()

    def _compare_needs(self) -> None:
        self.knows_enough = self._known.covers((self.policy or Policy()).needs())

    def sources_moved(self, policy: Policy, why: str) -> None:
        """Write at once what the same policy means now; ``why`` is for the log."""
        self.policy = policy
        self._rebuild_ledger()
        self._write_everything(why)

    def expected_seal(self) -> SealState | None:
        """Return the seal that was written last, as it is read back; None: this host has none."""
        if self.sealed is None or not self.facts.nf_tables:
            return None
        return self._expected(self.sealed)

    def wanted_sets(self) -> tuple[IPSet, ...]:
        """Return the sets that should stand, as far as they are at hand: events wait meanwhile."""
        return self._ledger.sets_at_hand() if self._ledger else ()

    def _rebuild_ledger(self) -> None:
        """Compile everything anew: for another policy, or another host."""
        self.inventory = with_foreign_ports(self.inventory, self.facts)
        if self.policy is None:
            self._ledger = self._frame = None
            return
        rest = self._ledger.rest() if self._ledger else None
        self._ledger = self._seen = None  # gone before there is another one
        self._ledger = Ledger(self.policy, self.inventory, self.facts)
        if rest is not None:
            # Ports of containers that went just now stay guarded, whatever the policy.
            self._ledger.inherit(rest)
        ruleset = self._ledger.ruleset()
        self._frame = replace(ruleset, sets=())
        # Later on it changes with each write, and only then.
        if self.sealed is None or not self.followed:
            self.sealed = ruleset.seal

    # --- what runs -------------------------------------------------------------------------------

    def follow(self, inventory: Inventory) -> None:
        """Bring the sets in line with what runs now.

        Before kernel, policy and Docker were compared for the first time it is only recorded:
        nobody knows yet what stands, so a few elements would say nothing.
        """
        if not self.followed:
            self.inventory = inventory
            return
        # First: whoever is let in by its address is the only one who can claim it by then.
        seen = with_foreign_ports(inventory, self.facts)
        self._bindings.follow(seen, self.sealed, self.facts.addresses)
        taken = self.facts.foreign_bridges & {n.bridge for n in inventory.bridges()}
        self.inventory = seen
        if self._ledger is None:
            return
        change = self._ledger.update(self.inventory, self._clock.monotonic())
        if taken:
            # For good: once Docker has let go of it, it may make it again before the host is read.
            left = self.facts.foreign_bridges - taken
            self.facts = replace(self.facts, foreign_bridges=left)
            self._rebuild_ledger()
        if change.whole or taken:
            self._write_everything("more than elements changes")
        else:
            self._write_elements(change)

    def _write_elements(self, change: Update) -> None:
        """Write the sets first, and let the seal follow: nothing is let in by the seal alone."""
        if change.elements_changed:
            # Before the write: one that fails may have written a part.
            self._count_write(rules=False)
            writes = element_writes(change.added, change.removed)
            self._commit(WriteSets("what runs", writes))
            self._reporter.wrote()
        if change.seal_changed:
            self._schedule.happened(Event.GUARDED_PORTS_CHANGED)
        self._schedule_expiry()

    def expire(self) -> None:
        """Stop guarding ports whose container is long gone.

        The seal lets go of a port before the sets do: once our chains no longer mark what goes
        there, the seal would drop it, and the port may belong to a program of the host by now.
        """
        if self._ledger is None:
            return
        change = self._ledger.expire(self._clock.monotonic())
        self.write_seal()
        self._write_elements(change)

    def renew(self) -> None:
        """Put off the end of rules that end later than the kernel can count; once a day."""
        self._schedule.happened(Event.TIMEOUTS_RENEWED)
        writes = renewals(self._ledger.ruleset(), self._clock.time()) if self._ledger else ()
        if writes:
            self._commit(WriteSets("rules that end late", writes))

    def write_seal(self) -> None:
        """Bring the seal's own list of ports in line with the sets."""
        if self._ledger is None or self.sealed is None or not self.facts.nf_tables:
            return
        wanted = self._ledger.seal()
        update = update_seal(self._expected(self.sealed), self._expected(wanted), wanted)
        for step in (update.release, update.rest):
            if step is not None:
                self._count_write()
                self._commit(step)
                # Only afterwards: the notice of it comes with the write itself.
                self._repairs.record_write()
                self._reporter.wrote()
        self.sealed = wanted

    def follow_dockerd(self, proxy: Proxy) -> bool:
        """Close docker-proxy in another cgroup, and spare other ports of dockerd's own.

        Elements stay as they stand: before the first answer of Docker whoever wrote them knew more
        of what runs. Return True if there was anything to write.
        """
        self.facts = replace(self.facts, proxy=proxy)
        if self._ledger is None or self.sealed is None:
            return False
        self._ledger.set_proxy(proxy)
        # Where another policy was put in force, its rules stand already.
        stands = self._ledger.seal() if self._unsettled else self.sealed
        before, self.sealed = self.sealed, self.sealed.with_proxy(proxy)
        if before == self.sealed or not self.facts.nf_tables:
            return False
        self._count_write()
        self._repairs.record_write()
        self._commit(WriteSeal("dockerd's cgroup", ReplaceSealRules(stands.with_proxy(proxy))))
        self._repairs.record_write()
        self._reporter.wrote()
        return True

    def _write_everything(self, why: str) -> None:
        """Read, compare and write at once: where the few lines of a change do not suffice.

        A snapshot from the thread beside would be older than what has just changed.
        """
        if self._ledger is None or not self.followed:
            return
        if not self.knows_enough:
            # Who is not known by its labels would lose what it has, or a deny by label would not
            # reach it.
            self._unsettled = True
            self._schedule.happened(Event.WRITE_POSTPONED)
            return
        ruleset = self._ledger.ruleset()
        live = self._kernel.read(self.facts, ruleset.sets)
        self._bring_in_line(self._reconciler.compare(ruleset, self.facts, live), why)

    # --- what stands -----------------------------------------------------------------------------

    def check_rules(self, snapshot: Snapshot) -> None:
        """Compare chains, jumps and seal with what was written last, and repair them."""
        if snapshot.epoch.rules != self.epoch.rules:
            # Ours would look like drift. Writes of elements alone do not matter here: while
            # containers come and go all the time rules are repaired all the same.
            self._schedule.happened(Event.RULES_OVERTAKEN)
        elif self._unsettled:
            # What stands may need other chains, or more, than those that are wanted now.
            self._schedule.happened(Event.UNSETTLED)
        elif self.sealed is not None:
            self._check_rules(snapshot, self.sealed)

    def _check_rules(self, snapshot: Snapshot, wanted: Seal) -> None:
        """``wanted`` is the seal as it was written: what it has yet to follow with is no drift."""
        if self._frame is None:
            return
        live = replace(snapshot.live, sets={})
        if not self.followed and live.seal is not None:
            # It was written by somebody who knew what ran: more than is known here.
            live = replace(live, seal=self._expected(wanted))
        frame = replace(self._frame, seal=wanted)
        self._repair(self._reconciler.compare(frame, self.facts, live))

    def settle(self, snapshot: Snapshot) -> None:
        """Bring policy, Docker's answer and the kernel together; the inventory is that answer."""
        facts = fitted(snapshot.facts, self.inventory)
        if _ruleset_inputs(facts) != _ruleset_inputs(self.facts) or self._ledger is None:
            self._unsettled = True
        self.facts = facts
        if self._unsettled:
            self._rebuild_ledger()
        if self._ledger is None or self.policy is None:
            return
        self._reporter.counted_entries(_entries(snapshot.live))
        ruleset = self._ledger.ruleset()
        # Before any address is let in, and before the last rule goes that parts containers.
        self._bindings.follow(self.inventory, ruleset.seal, self.facts.addresses)
        if not self.followed:
            self._settle_first(self._reconciler.compare(ruleset, self.facts, snapshot.live))
        elif self._unsettled:
            seen = self._reconciler.compare(ruleset, self.facts, snapshot.live)
            self._bring_in_line(seen, "brought in line")
        else:
            # Before anything else: sizes of sets that others have made anew.
            self._ledger.set_room(_sizes(snapshot.live.sets))
            sealed = replace(ruleset, seal=self.sealed or ruleset.seal)
            self._repair(self._compared(sealed, snapshot.live))
            if sealed.seal != ruleset.seal:
                self._schedule.happened(Event.GUARDED_PORTS_CHANGED)
        # Only here: where a write fails, everything has to be compared once more.
        self._unsettled = False
        self._schedule_expiry()
        if not self._repairs.half_way:
            self._reporter.agreed(self.policy, ruleset, self.inventory)

    def _compared(self, ruleset: Ruleset, live: KernelState) -> Observation:
        """Return the way from what stands to what should: the one of the last time, where both are
        as they were. At rest their elements are the same objects, so that is found at once.
        """
        seen, asked = self._seen, (ruleset, self.facts, live)
        if seen is None or (seen.ruleset, seen.facts, seen.live) != asked:
            seen = self._seen = self._reconciler.compare(*asked)
        return seen

    def _settle_first(self, seen: Observation) -> None:
        """Write, and read once more: at such times Docker often starts as well, and moves its jumps
        between our reading and our writing.
        """
        self._execute(seen)
        live = self._kernel.read(seen.facts, seen.ruleset.sets)
        last = self._reconciler.compare(seen.ruleset, seen.facts, live)
        if not last.plan.in_sync:
            self._execute(last)
        if self._ledger is not None:
            self._ledger.set_room(_sizes(last.live.sets))
        self._reporter.counted_entries(_entries(live))
        self.followed = True
        self.renew()
        settle_down()

    def settle_without_docker(self, snapshot: Snapshot) -> None:
        """Keep chains, jumps and seal while Docker is away; sets stay as they are.

        Where nothing of ours stands at all, or not the sets that the chains need, install what
        ``dockerfw boot`` would.
        """
        if self._ledger is None or self.policy is None:
            return
        ruleset = self._ledger.ruleset()
        if snapshot.epoch.rules != self.epoch.rules:
            self._schedule.happened(Event.ALL_OVERTAKEN)
        elif _chains_and_sets_stand(snapshot.live, ruleset):
            # The seal of another policy (a lockdown, an apply without Docker) is not the one that
            # we wrote last.
            wanted = self.sealed if self.sealed and not self._unsettled else ruleset.seal
            if snapshot.live.seal is None:  # docker-proxy's cgroup may have gone with Docker
                wanted = wanted.with_proxy(by_record(snapshot.facts, self._store.last_seen).proxy)
            self._check_rules(snapshot, wanted)
        elif self._install_closed(self.policy, snapshot.facts):
            text = "nothing of dockerfw stood: closed, by what was last seen of Docker"
            self._reporter.warning(text)

    def drop_addresses(self) -> None:
        """Stop trusting that any container has the address that it had; ports stay as they are."""
        if self.followed:
            self.follow(without_addresses(self.inventory))
        elif self.policy is not None:
            self._install_closed(self.policy, self.facts)

    # --- writing ---------------------------------------------------------------------------------

    def _repair(self, seen: Observation) -> None:
        """Undo what others have changed, if it is time for that."""
        writers = self._repairs.begin(seen)
        if writers is None:
            return
        self._execute(seen)
        self._repairs.done(seen, writers, self.policy.resync if self.policy else 0)

    def _bring_in_line(self, seen: Observation, why: str) -> None:
        """Write what the policy or Docker asks for, which is no repair."""
        if seen.plan.in_sync:
            self.sealed = seen.ruleset.seal
        else:
            self._reporter.info(f"{why}: {describe_plan(seen)}")
            self._execute(seen)
        if self._ledger is not None:
            # A set that had to grow is another one now.
            self._ledger.set_room(_sizes(self._kernel.read_set_headers()))

    def _execute(self, seen: Observation) -> None:
        if self.policy is None:
            return
        self._count_write()
        # Before and after: notices come while it is written, and some time later.
        self._repairs.record_write()
        self._reconciler.execute(seen, self.policy.committer)
        self._repairs.record_write()
        self._reporter.wrote()
        self.sealed = seen.ruleset.seal

    def _install_closed(self, policy: Policy, facts: HostFacts) -> bool:
        """Return True if there was anything to write."""
        self._count_write()
        self._repairs.record_write()
        last_seen = self._store.last_seen
        bare = without_addresses(last_seen.inventory())
        done = self._reconciler.commit(policy, bare, by_record(facts, last_seen))
        self._repairs.record_write()
        return done.steps > 0

    def _expected(self, seal: Seal) -> SealState:
        return self._kernel.identity.seal(seal)

    def _commit(self, step: Step) -> None:
        committer = (self.policy or Policy()).committer
        self._kernel.commit([step], self.facts, committer)

    def _count_write(self, *, rules: bool = True) -> None:
        self.epoch = Epoch(self.epoch.rules + rules, self.epoch.all + 1)

    def _schedule_expiry(self) -> None:
        if self._ledger is not None:
            self._schedule.happened(Event.NEXT_EXPIRY_KNOWN, self._ledger.next_expiry())


def _sizes(sets: Mapping[str, SetState]) -> dict[str, int]:
    """Return how many elements each set was made for."""
    return {name: state.maxelem for name, state in sets.items()}


def _entries(live: KernelState) -> int:
    """Return how many entries are in force; what packets have put into records is not."""
    return sum(s.count for s in live.sets.values() if phase_of(s.name) != "record")


def _chains_and_sets_stand(live: KernelState, ruleset: Ruleset) -> bool:
    """Return True if there are chains of ours, and every set that they need."""
    return chains_stand(live) and {s.name for s in ruleset.sets} <= live.sets.keys()


def _ruleset_inputs(facts: HostFacts) -> HostFacts:
    """Return what of the host decides what should stand in the kernel."""
    return replace(
        facts,
        addresses=frozenset(),
        routes=(),
        docker_rules=True,
        stale_flavour=None,
        named_by_docker=frozenset(),
        backend=None,  # `docker_user` is what counts of it
    )
