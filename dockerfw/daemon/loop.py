"""The daemon: keeps the policy in force true while containers come and go and others write rules.

Takes the `Edges` of a host; gives an exit status. One loop, in one thread, makes every decision and
every write; what takes long and writes nothing (reading the kernel, asking Docker) happens in
threads beside it. Here is what wakes the loop, and in which order things are done; what an event
schedules stands in ``transitions.py``, and what is written is the `Enforcer`'s.

Three ways lead to the kernel:

* an event of Docker: the ledger has the set elements that change, one ``ipset restore`` writes
  them;
* a notice that somebody changed rules: chains, jumps and seal are read, and repaired;
* every ``[daemon] resync`` seconds, after a reconnect, a new policy, a new bridge: a check of
  everything.
"""

from __future__ import annotations

import selectors
import signal
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from dockerfw import __version__
from dockerfw.daemon import lifecycle_lines
from dockerfw.daemon.bindings import PortBindings
from dockerfw.daemon.docker_follower import DockerFollower
from dockerfw.daemon.dockerd_home import DockerdHome
from dockerfw.daemon.edges import Edges
from dockerfw.daemon.enforcer import Enforcer
from dockerfw.daemon.full_check import FullCheck
from dockerfw.daemon.lans import Lans
from dockerfw.daemon.links import Links
from dockerfw.daemon.policy_follower import PolicyFollower
from dockerfw.daemon.policy_in_force import PolicyInForce
from dockerfw.daemon.repairs import Repairs
from dockerfw.daemon.reporter import Reporter
from dockerfw.daemon.schedule import Schedule
from dockerfw.daemon.signals import signals
from dockerfw.daemon.snapshots import Snapshot, Snapshots, written_by_iptables
from dockerfw.daemon.timers import Task
from dockerfw.daemon.transitions import (
    CHECK_PAUSE,
    CHECKED_WITH_DOCKER,
    CHECKS,
    CHECKS_OF_ALL,
    CHECKS_OF_RULES,
    READY_WITHOUT_DOCKER,
    Event,
    State,
    is_dropped,
    is_held_back,
)
from dockerfw.daemon.unconfirmed import UnconfirmedApply
from dockerfw.docker.reports import Report
from dockerfw.errors import DockerfwError, Failed
from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Inventory
from dockerfw.model.policy import Policy
from dockerfw.report import completion
from dockerfw.rules.ruleset import Seal

LOCK_PATIENCE = 5.0
"""Seconds that another process may have the lock before people are told: a roll-back that asks
Docker whose a new bridge is takes 3."""

RECORD_ANEW = 600.0
"""Seconds after which what is on the disk is compared though nothing new is known: to put a
thousand containers down as text takes as long as all the rest of a check."""


class Daemon:
    """One run of the daemon: puts its parts together, and turns."""

    def __init__(self, edges: Edges) -> None:
        clock, kernel, worker, store = edges.clock, edges.kernel, edges.worker, edges.store
        self._edges = edges
        self.schedule = Schedule(clock)
        self.reporter = Reporter(store, kernel, clock, edges.log, edges.systemd, worker)
        self.repairs = Repairs(clock, self.schedule, self.reporter)
        self.bindings = PortBindings(kernel, worker, self.reporter)
        self.enforcer = Enforcer(
            kernel,
            edges.reconciler,
            store,
            clock,
            self.schedule,
            self.reporter,
            self.repairs,
            self.bindings,
        )
        self.policy = PolicyInForce(store, clock, edges.files, edges.names)
        self.policy_follower = PolicyFollower(
            self.policy,
            self.enforcer,
            edges.docker,
            self.reporter,
            self.schedule,
            clock,
            UnconfirmedApply(store, edges.reconciler, clock, self.reporter),
        )
        self.snapshots = Snapshots(kernel, worker, clock, self._failed)
        self.links = Links(kernel, worker, clock, self.schedule)
        self.dockerd = DockerdHome(
            kernel, edges.dockerd, self.schedule, self.enforcer, self.reporter
        )
        self.lans = Lans(kernel, worker, self.schedule, self.policy)
        self.full_check = FullCheck(
            kernel,
            store,
            clock,
            self.schedule,
            self.enforcer,
            self.reporter,
            self.links,
            edges.docker,
        )
        self.docker = DockerFollower(
            clock, self.schedule, self.enforcer, self.reporter, self.links, self.full_check
        )
        self._due: set[Task] = set()
        """Tasks that are due and not done yet: another process may have the lock."""
        self._reports: deque[Report] = deque()
        self._held_up_since: float | None = None
        """Since when another process has the lock (monotonic); None: it was ours the last time."""
        self._recorded: tuple[Inventory, Seal, HostFacts, Policy] | None = None
        """What the record for the next boot has."""
        self._record_again_at = 0.0
        """When it is compared with the files, whatever was written (monotonic)."""
        self._stopping = False
        self._tasks: Mapping[Task, Callable[[], None]] = {
            # First what can only close, then what the policy means, then what follows from both.
            Task.FOLLOW_DOCKERD: self.dockerd.follow,
            Task.DROP_ADDRESSES: self.enforcer.drop_addresses,
            Task.ROLL_BACK: self.policy_follower.roll_back,
            Task.READ_LISTS: self.policy_follower.read_lists,
            Task.READ_NAMES: self.policy_follower.read_names,
            Task.READ_LANS: self.policy_follower.read_lans,
            Task.END_RULES: self.policy_follower.end_rules,
            Task.EXPIRE_GUARDS: self.enforcer.expire,
            Task.WRITE_SEAL: self.enforcer.write_seal,
            Task.RENEW_TIMEOUTS: self.enforcer.renew,
            Task.REMEMBER: self._remember,
        }

    def states(self) -> frozenset[State]:
        """Return the states that the daemon is in, see `State`."""
        states = {self.docker.state}
        if self.policy.policy is None:
            states.add(State.WAITING)
        if self.repairs.paused:
            states.add(State.PAUSED)
        return frozenset(states)

    # --- the loop --------------------------------------------------------------------------------

    def run(self) -> int:
        """Turn until SIGTERM or SIGINT. Raises `Failed` when it cannot begin or go on."""
        with self._wakers() as selector:
            self.begin()
            while not self._stopping:
                for key, _ in selector.select(self.schedule.wait()):
                    key.data()
                self.turn()
            self.end()
        return 0

    @contextmanager
    def _wakers(self) -> Iterator[selectors.BaseSelector]:
        """Give all that can wake the loop, each with what to call then."""
        edges = self._edges
        with selectors.DefaultSelector() as selector, signals(self.signalled) as (wakeup, received):
            selector.register(wakeup, selectors.EVENT_READ, received)
            selector.register(edges.docker.fileno(), selectors.EVENT_READ, self.docker_reported)
            selector.register(edges.worker.fileno(), selectors.EVENT_READ, edges.worker.finish)
            selector.register(edges.files.fileno(), selectors.EVENT_READ, self.files_changed)
            selector.register(
                edges.docker_socket.fileno(), selectors.EVENT_READ, self.docker_socket_changed
            )
            selector.register(edges.dockerd.fileno(), selectors.EVENT_READ, self.dockerd.noticed)
            selector.register(edges.names.fileno(), selectors.EVENT_READ, self.names_moved)
            selector.register(
                edges.addresses.fileno(), selectors.EVENT_READ, self.addresses_noticed
            )
            for handle in edges.notices.filenos():
                selector.register(handle, selectors.EVENT_READ, self.kernel_noticed)
            yield selector

    def begin(self) -> None:
        """Read the host and the policy; start to follow Docker. Raises `Failed`."""
        facts = self._edges.kernel.facts()
        self.enforcer.start(facts)
        self.links.start(self.enforcer.facts)
        self.dockerd.watch()
        self.policy_follower.read()
        self.reporter.line(lifecycle_lines.starting(__version__, self.policy.policy))
        self.schedule.happened(Event.STARTED)
        self._edges.docker.start()
        self._feed_watchdog()

    def end(self) -> None:
        """Let go of everything but the rules."""
        self._edges.systemd.stopping()
        self._edges.docker.stop()
        self._edges.files.close()
        self._edges.docker_socket.close()
        self._edges.dockerd.close()
        self._edges.names.stop()
        self.reporter.close()
        if self.enforcer.followed and self.policy.policy is not None:
            last_seen = self._edges.store.last_seen
            self._attempt(lambda: last_seen.remember(self.enforcer.inventory))
            self._attempt(lambda: last_seen.remember_host(self.enforcer.facts))
        self.reporter.info("stopped; the rules stay as they are")

    def turn(self) -> None:
        """Do what is due. Nothing is written unless the lock of the host is ours."""
        self._due |= self.schedule.take()
        if Task.FEED_WATCHDOG in self._due:
            self._feed_watchdog()
        self._begin_checks()
        if not (self._reports or self.snapshots.waiting or self._due):
            return
        try:
            with self._edges.store.try_lock() as ours:
                if not ours:
                    # Not waited for: the loop goes on to take notices and to feed the watchdog.
                    self.schedule.happened(Event.LOCK_IS_TAKEN)
                    self._held_up()
                    return
                self._held_up_since = None
                self.reporter.note("lock", None)
                self._act()
        except DockerfwError as error:  # there is no lock to be had
            self._failed(error)
            return
        if self.docker.refused is not None:
            raise Failed(self.docker.refused)
        self.reporter.publish(self.policy.policy, self.enforcer.inventory, self.docker.silent)

    def _held_up(self) -> None:
        """Report that nothing is written for long: by an apply that hangs, or that was stopped."""
        now = self._edges.clock.monotonic()
        if self._held_up_since is None:
            self._held_up_since = now
        if now - self._held_up_since > LOCK_PATIENCE:
            self.reporter.note("lock", lifecycle_lines.HELD_UP)
            self.reporter.publish(self.policy.policy, self.enforcer.inventory, self.docker.silent)

    def _act(self) -> None:
        """Do, in this order: the policy, what Docker reports, what is due, what others changed.

        The policy first, since everything else is done by it. Snapshots last, since all that went
        before shows in them as too old, by its epoch, and is not taken for drift.
        """
        self._feed_watchdog()  # what comes may take its time
        due, self._due = self._due, set()
        if self.policy.replaced():
            self._attempt(self.policy_follower.read)
        while self._reports:
            self._attempt(partial(self.docker.take, self._reports.popleft()))
        for task, do in self._tasks.items():
            if task not in due or is_dropped(task, self.states()):
                continue
            again_at = self._attempt(do)
            if again_at is not None:
                self.schedule.happened(Event.TASK_FAILED, again_at, task)
        while (snapshot := self.snapshots.next()) is not None:
            self._attempt(partial(self._compare, snapshot))
        self.dockerd.watch()

    def _attempt(self, part: Callable[[], None]) -> float | None:
        """Do one thing; if it fails the others are done all the same.

        Return None, or the moment (monotonic) to try it again at.
        """
        try:
            part()
        except DockerfwError as error:
            return self._failed(error)
        return None

    def _failed(self, error: DockerfwError) -> float:
        again_at = self._edges.clock.monotonic() + self.reporter.failed(error)
        self.schedule.happened(Event.FAILED, again_at)
        return again_at

    def _feed_watchdog(self) -> None:
        self._due.discard(Task.FEED_WATCHDOG)
        interval = self._edges.systemd.watchdog_interval()
        if interval is not None:
            self._edges.systemd.watchdog()
            moment = self._edges.clock.monotonic() + interval / 2
            self.schedule.happened(Event.WATCHDOG_FED, moment)

    # --- what wakes the loop ---------------------------------------------------------------------

    def signalled(self, number: int) -> None:
        """Handle SIGTERM, SIGINT or SIGHUP."""
        if number in (signal.SIGTERM, signal.SIGINT):
            self._stopping = True
        else:
            self.snapshots.read_anew()
            self.schedule.happened(Event.SIGHUP)

    def docker_reported(self) -> None:
        """Take the watcher's reports; they wait for the lock of the host."""
        self._reports.extend(self._edges.docker.take())

    def docker_socket_changed(self) -> None:
        """Take the notice that Docker's socket has come or gone."""
        if self._edges.docker_socket.read():
            self._edges.docker.connect_now()

    def files_changed(self) -> None:
        """Take notices about the policy in force and its lists."""
        lists = self.policy.list_files_changed()
        self.schedule.happened(Event.LIST_FILES_CHANGED if lists else Event.POLICY_FILES_CHANGED)

    def names_moved(self) -> None:
        """Take the resolver's answers."""
        if self.policy.take_names():
            self.schedule.happened(Event.NAMES_MOVED)

    def kernel_noticed(self) -> None:
        """Take notices about rules and links."""
        noticed = self._edges.notices.read()
        if noticed.rules:
            self.repairs.record_writers(noticed.writers)
            self.snapshots.record_writers(noticed.writers)
            now = self._edges.clock.monotonic()
            moment = max(now, self.snapshots.finished_at + CHECK_PAUSE)
            self.schedule.happened(Event.RULES_CHANGED, moment)
            if not written_by_iptables(noticed.writers):
                self.bindings.check()
        if noticed.links or noticed.carriers:
            self.bindings.ports_changed()
        if noticed.links:
            self.snapshots.record_host()
            self.links.changed()

    def addresses_noticed(self) -> None:
        """Take notices about addresses."""
        if self._edges.addresses.read():
            self.snapshots.record_host()
            self.lans.changed()

    # --- checks ----------------------------------------------------------------------------------

    def _begin_checks(self) -> None:
        """Begin what only reads: without the lock, one snapshot at a time."""
        checks = self._due & CHECKS
        self._due -= checks
        states = self.states()
        checks = {task for task in checks if not is_dropped(task, states)}
        if Task.CHECK_LINKS in checks:
            self.links.check(docker_answers=self.docker.silent is None)
        if Task.LOOK_AT_SETTINGS in checks:
            self._attempt(self.full_check.look_at_settings)
        if Task.CHECK_LANS in checks:
            self.lans.check()
        # Everything first: it has the rules in it.
        if checks & CHECKS_OF_ALL:
            self._begin_check_of_all()
        rules = checks & CHECKS_OF_RULES
        if rules:
            held_back = any(is_held_back(task, states) for task in rules)
            self._begin_check_of_rules(held_back=held_back)

    def _begin_check_of_all(self) -> None:
        if self.snapshots.busy or self.full_check.awaits_docker:
            self.schedule.happened(Event.CHECK_ALL_BUSY)
            return
        self.schedule.happened(Event.CHECK_ALL_STARTED)
        self.bindings.check()
        if self.policy.unwatched:
            self.schedule.happened(Event.LISTS_UNWATCHED)
        self.snapshots.take_all(self.enforcer.epoch, self.enforcer.wanted_sets())

    def _begin_check_of_rules(self, *, held_back: bool) -> None:
        if self.snapshots.busy:
            # Also where that is one of everything: it has to wait for Docker's answer, which rules
            # need not.
            self.schedule.happened(Event.CHECK_RULES_BUSY)
        elif held_back:
            self.schedule.happened(Event.CHECK_RULES_HELD_BACK, self.repairs.paused_until)
        else:
            enforcer = self.enforcer
            self.snapshots.take_rules(enforcer.epoch, enforcer.facts, enforcer.expected_seal())

    def _compare(self, snapshot: Snapshot) -> None:
        if not snapshot.whole:
            self.enforcer.check_rules(snapshot)
            return
        states = self.states()
        if states & CHECKED_WITH_DOCKER:
            self.full_check.ask_docker(snapshot)
            return
        self.full_check.settle_without_docker(snapshot)
        if states & READY_WITHOUT_DOCKER:
            self.reporter.ready()

    # --- the record for the next boot ------------------------------------------------------------

    def _remember(self) -> None:
        """Record what runs and the seal, for boot and for nftables to begin with."""
        inventory, seal, facts = self.enforcer.inventory, self.enforcer.sealed, self.enforcer.facts
        if not self.enforcer.followed or seal is None:  # nothing is known that was not before
            return
        store, reconciler = self._edges.store, self._edges.reconciler
        policy = self.policy.policy or Policy()
        record = (inventory, seal, facts, policy)
        now = self._edges.clock.monotonic()
        if record == self._recorded and now < self._record_again_at:
            return
        self._record_again_at = now + RECORD_ANEW

        def write() -> None:
            store.completion.remember(completion.names(policy, inventory))
            store.last_seen.remember(inventory)
            store.last_seen.remember_host(facts)
            reconciler.keep_seal(seal, facts)

        def written(error: Exception | None) -> None:
            self._recorded = record if error is None else None
            self.reporter.note("disk", None if error is None else str(error))

        # Beside the loop: a slow disk must not hold up events.
        self._edges.worker.submit(write, written)
