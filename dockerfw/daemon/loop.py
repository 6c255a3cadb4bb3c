"""The daemon: keeps the policy in force true while containers come and go and others write rules.

Takes a `Session` (the edges of one host), a `Watcher` (Docker), notices of the kernel and of files;
gives an exit status. One loop, in one thread, makes every decision and every write; what takes
long and writes nothing (looking at the kernel, asking Docker) happens in threads beside it. Here
is what wakes it up and in which order things are done; what is written is `Enforcer`'s.

Three ways lead to the kernel:

* an event of Docker: the ledger says which set elements change, one ``ipset restore`` writes them;
* a notice that somebody changed rules: chains, jumps and seal are looked at, and put right;
* every ``[daemon] resync`` seconds, after a reconnect, a new policy, a new bridge: a whole look.
"""

from __future__ import annotations

import re
import selectors
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from dockerfw import __version__
from dockerfw.clock import SystemClock
from dockerfw.daemon import lifecycle_lines, systemd
from dockerfw.daemon.enforcer import Enforcer, Snapshot
from dockerfw.daemon.log import Form, Log, to_stderr
from dockerfw.daemon.policy_in_force import PolicyInForce
from dockerfw.daemon.reporter import Reporter
from dockerfw.daemon.signals import signals
from dockerfw.daemon.timers import Timers
from dockerfw.daemon.worker import Worker
from dockerfw.docker.client import Docker
from dockerfw.docker.reports import Changed, Connected, Lost, Refusal, Report
from dockerfw.docker.watcher import Watcher
from dockerfw.errors import DockerfwError, Failed
from dockerfw.kernel import facts as kernel_facts
from dockerfw.kernel.notices import KernelNotices
from dockerfw.kernel.runner import SystemRunner
from dockerfw.model.host import Bridge, HostFacts
from dockerfw.model.inventory import Inventory
from dockerfw.model.policy import Needs, Policy
from dockerfw.operations.session import Session
from dockerfw.report import host_warnings
from dockerfw.state.store import Store
from dockerfw.text import counted

DOCKER_PATIENCE = 10.0
"""Seconds that one answer of Docker may take before it counts as gone."""
LOCK_RETRY = 0.02
LOOK_PAUSE = 0.1
"""Rules that change all the time are looked at this often."""
REMEMBER_DELAY = 5.0
BRIDGE_GRACE = 3.0
"""A bridge is somebody else's once Docker has had this long to claim it."""
TRIES = 5
"""A whole look that was overtaken by events is taken anew this often."""

_IPTABLES = re.compile(r"(ip6?tables|xtables)[a-z-]*\Z")
_LIGHT = frozenset({"look", "look again 0", "look again 1", "look again 2"})


def run(docker_host: str | None, form: Form) -> int:
    """The ``daemon`` command. Raises `Failed` when it cannot begin or go on."""
    log = to_stderr(form)
    clock = SystemClock()
    session = Session(SystemRunner(), Store(), clock, docker_host, log.info)
    session.require_root()

    def connect() -> Docker:
        return Docker.connect(docker_host, timeout=DOCKER_PATIENCE)

    watcher = Watcher(connect, Needs(), clock)
    with session.store.daemon.claim():
        return Daemon(session, watcher, KernelNotices(), log).run()


class Daemon:
    """One run of the daemon."""

    def __init__(
        self, session: Session, watcher: Watcher, notices: KernelNotices, log: Log
    ) -> None:
        self.session = session
        self.watcher = watcher
        self.notices = notices
        self.worker = Worker()
        self.timers = Timers()
        self.reporter = Reporter(session, log, self.worker)
        self.inforce = PolicyInForce(session)
        self.enforcer = Enforcer(session, self.reporter, self.timers)
        self.todo: set[str] = set()
        self.reports: deque[Report] = deque()
        self.looks: deque[Snapshot] = deque()
        self.stopping = False
        self.refused: str | None = None
        # Docker
        self.docker: str | None = "it was not asked yet"
        """Why there is no answer; None while there is."""
        self.lost_at: float | None = None
        self.knows = Needs()
        # looking
        self.looking = False
        self.looked_at = 0.0
        self.looking_at_links = False
        self.awaited: Snapshot | None = None
        """A look at the host that waits for Docker's answer, which has to be younger."""
        self.overtaken = 0
        self.heard: set[str] = set()
        """Who has changed rules since the last look began."""
        # the host
        self.host_seen = HostFacts()
        self.bridges_since: dict[str, float] = {}
        self.docker_ports: frozenset[str] | None = frozenset()
        """As they were when Docker was lost; None: they are being counted."""

    # --- the loop --------------------------------------------------------------------------------

    def run(self) -> int:
        """Until SIGTERM or SIGINT. Raises `Failed` when it cannot begin."""
        with self._wakers() as selector:
            self._begin()
            while not self.stopping:
                for key, _ in selector.select(self.timers.wait(time.monotonic())):
                    key.data()
                self._turn()
            self._end()
        return 0

    @contextmanager
    def _wakers(self) -> Iterator[selectors.BaseSelector]:
        """All that can wake the loop up, each with what to call then."""
        with selectors.DefaultSelector() as selector, signals(self._signalled) as (sock, heard):
            selector.register(sock, selectors.EVENT_READ, heard)
            selector.register(self.watcher.fileno(), selectors.EVENT_READ, self._reported)
            selector.register(self.worker.fileno(), selectors.EVENT_READ, self.worker.finish)
            files, names = self.inforce.files, self.inforce.resolver
            selector.register(files.fileno(), selectors.EVENT_READ, self._files_changed)
            selector.register(names.fileno(), selectors.EVENT_READ, self._names_moved)
            for handle in self.notices.filenos():
                selector.register(handle, selectors.EVENT_READ, self._noticed)
            yield selector

    def _begin(self) -> None:
        self.enforcer.facts = self.host_seen = kernel_facts.read(self.session.runner)
        self.bridges_since = {b.name: 0.0 for b in self.host_seen.bridges}
        self._read_policy()
        self.reporter.log.say(lifecycle_lines.starting(__version__, self.inforce.policy))
        self.todo.add("lists")  # they may have changed while nobody followed them
        self.watcher.start()
        self._feed_watchdog()

    def _end(self) -> None:
        systemd.stopping()
        self.watcher.stop()
        self.inforce.close()
        self.reporter.close()
        if self.enforcer.followed and self.inforce.policy is not None:
            self._attempt(lambda: self.session.store.last_seen.remember(self.enforcer.inventory))
        self.reporter.info("stopped; the rules stay as they are")

    def _turn(self) -> None:
        """Do what is due: nothing is written unless the lock of the host is ours."""
        self.todo |= self.timers.take(time.monotonic())
        if "watchdog" in self.todo:
            self._feed_watchdog()
        self._start_looks()
        if not (self.reports or self.looks or self.todo):
            return
        try:
            with self.session.store.try_lock() as ours:
                if not ours:
                    self.timers.by("lock", time.monotonic() + LOCK_RETRY)
                    return
                self._act()
        except DockerfwError as error:  # there is no lock to be had
            self._went_wrong(error)
            return
        if self.refused is not None:
            raise Failed(self.refused)
        self.reporter.tell(self.inforce.policy, self.enforcer.inventory, self.docker)

    def _act(self) -> None:
        """In this order: what holds, what runs, what is due, what others did."""
        self._feed_watchdog()  # what comes may take its time
        todo, self.todo = self.todo, set()
        if self.inforce.replaced():
            self._attempt(self._read_policy)
        while self.reports:
            self._attempt(partial(self._take, self.reports.popleft()))
        tasks: dict[str, Callable[[], None]] = {
            "bare": self._drop_addresses,
            "lists": self._read_lists,
            "names": self._read_names,
            "ends": self._end_rules,
            "expire": self._expire,
            "seal": self.enforcer.write_seal,
            "renew": self.enforcer.renew,
            "remember": self._remember,
        }
        for name, task in tasks.items():
            if name in todo and (pause := self._attempt(task)) is not None:
                self.timers.by(name, time.monotonic() + pause)
        while self.looks:
            self._attempt(partial(self._judge, self.looks.popleft()))

    def _attempt(self, part: Callable[[], None]) -> float | None:
        """One thing that fails leaves the others alone. Gives the seconds until it is due again."""
        try:
            part()
        except DockerfwError as error:
            return self._went_wrong(error)
        return None

    def _went_wrong(self, error: DockerfwError) -> float:
        """The kernel is as it was or in between, never more open: look at all of it soon."""
        pause = self.reporter.failed(error)
        self.timers.by("whole", time.monotonic() + pause)
        return pause

    def _feed_watchdog(self) -> None:
        self.todo.discard("watchdog")
        interval = systemd.watchdog_interval()
        if interval is not None:
            systemd.watchdog()
            self.timers.at("watchdog", time.monotonic() + interval / 2)

    # --- what wakes the loop up ------------------------------------------------------------------

    def _signalled(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            self.stopping = True
        else:
            self.todo.add("whole")

    def _reported(self) -> None:
        self.reports.extend(self.watcher.take())

    def _files_changed(self) -> None:
        self.todo.add("lists" if self.inforce.concerns_lists() else "policy")

    def _names_moved(self) -> None:
        if self.inforce.hear_names():
            self.todo.add("names")

    def _noticed(self) -> None:
        noticed = self.notices.read()
        now = time.monotonic()
        if noticed.rules:
            self.enforcer.record_writers(noticed.writers)
            # Notices that were lost have no names: then it may have been anybody.
            self.heard |= noticed.writers or {"somebody"}
            # At once, and again after the last notice: the kernel may be half way.
            self.timers.by("look", max(now, self.looked_at + LOOK_PAUSE))
        if noticed.links:
            if self.docker_ports is None:  # one that has gone would not be counted
                self.timers.by("bare", now)
            self.timers.by("links", now + LOOK_PAUSE)

    # --- the policy ------------------------------------------------------------------------------

    def _read_policy(self) -> None:
        before = self.inforce.whole
        self.inforce.read()
        policy, text = self.inforce.whole, self.inforce.text
        self.reporter.note("policy", self.inforce.problem)
        self.enforcer.knows_enough = self._knows_enough()
        self.enforcer.set_policy(self.inforce.policy)
        if policy is None:
            systemd.ready()
            return
        if before is not None and text is not None:
            rules = counted(len(policy.allows) + len(policy.denies), "rule")
            replaced = lifecycle_lines.policy_replaced(
                text.documents[0].name, f"{rules}, mode {policy.mode}"
            )
            self.reporter.log.say(replaced)
        self.watcher.need(policy.needs())
        self._schedule_end()
        self.timers.by("whole", time.monotonic())
        self.reporter.serve_metrics(policy)

    def _schedule_end(self) -> None:
        left = self.inforce.seconds_to_end()
        self.timers.at("ends", None if left is None else time.monotonic() + left)

    def _end_rules(self) -> None:
        if self.inforce.cut():
            self._sources_moved("a rule has ended")
        self._schedule_end()

    def _read_lists(self) -> None:
        changed, wrong = self.inforce.read_lists()
        self.reporter.note("lists", "; ".join(wrong) or None)
        if changed:
            self._sources_moved(changed)

    def _read_names(self) -> None:
        moved, remarks = self.inforce.read_names()
        for remark in remarks:
            self.reporter.info(remark)
        if moved:
            self._sources_moved("names stand for other addresses")

    def _sources_moved(self, why: str) -> None:
        if self.inforce.policy is not None:
            self.enforcer.sources_moved(self.inforce.policy, why)

    # --- Docker ----------------------------------------------------------------------------------

    def _take(self, report: Report) -> None:
        match report:
            case Connected():
                self._connected(report)
            case Changed():
                self._changed(report)
            case Lost(reason=reason):
                self._lost(reason)
            case Refusal(reason=reason):
                self.refused = reason

    def _hear(self, report: Connected | Changed) -> None:
        for warning in report.warnings:
            self.reporter.log.warning(warning)
        self.knows = report.knows
        self.enforcer.knows_enough = self._knows_enough()

    def _knows_enough(self) -> bool:
        """Whether Docker has told all of each container that the policy asks for."""
        return self.knows.covers((self.inforce.policy or Policy()).needs())

    def _connected(self, report: Connected) -> None:
        self._hear(report)
        if self.lost_at is not None:
            self.reporter.log.say(lifecycle_lines.docker_back(time.monotonic() - self.lost_at))
        self.docker = self.lost_at = None
        self.reporter.notes.pop("docker", None)
        self._follow(report)
        self.timers.by("whole", time.monotonic())

    def _lost(self, reason: str) -> None:
        if self.lost_at is None:
            self.lost_at = time.monotonic()
            self.reporter.log.say(lifecycle_lines.docker_lost(reason))
            runner, self.docker_ports = self.session.runner, None
            self.worker.submit(lambda: kernel_facts.docker_ports(runner), self._count_ports)
        self.docker = reason
        self.reporter.notes["docker"] = f"Docker does not answer: {reason}"
        self.awaited = None
        self.timers.by("whole", time.monotonic())

    def _changed(self, report: Changed) -> None:
        self._hear(report)
        look = self.awaited
        if report.whole:  # answered, whatever comes of it
            self.awaited = None
        self._follow(report)
        if report.whole and look is not None:
            self._settle(look)

    def _follow(self, report: Connected | Changed) -> None:
        before = self.enforcer.inventory
        self.enforcer.follow(
            report.inventory if self.enforcer.knows_enough else self._staying(report)
        )
        if self.enforcer.followed and self.inforce.policy is not None:
            events = report.events if isinstance(report, Changed) else ()
            self.reporter.changed(before, self.enforcer.inventory, self.inforce.policy, events)
            self.timers.by("remember", time.monotonic() + REMEMBER_DELAY)

    def _staying(self, report: Connected | Changed) -> Inventory:
        """What was known and is still so: who comes is judged once enough is known of it."""
        now = {container.id: container.endpoints for container in report.inventory.containers}
        known = self.enforcer.inventory
        stays = tuple(c for c in known.containers if now.get(c.id) == c.endpoints)
        return replace(known, containers=stays)

    def _expire(self) -> None:
        """Not while Docker is away: its containers may listen again before it answers."""
        if self.docker is None:
            self.enforcer.expire()

    def _remember(self) -> None:
        """For the next boot, and for nftables to begin with."""
        inventory, seal, facts = self.enforcer.inventory, self.enforcer.sealed, self.enforcer.facts
        if not self.enforcer.followed or self.inforce.policy is None or seal is None:
            return

        def write() -> None:
            self.session.store.last_seen.remember(inventory)
            self.session.reconciler.keep_seal(seal, facts)

        self.worker.submit(write, self._remembered)

    def _remembered(self, error: Exception | None) -> None:
        self.reporter.note("disk", None if error is None else str(error))

    def _count_ports(self, ports: frozenset[str] | Exception) -> None:
        self.docker_ports = ports if isinstance(ports, frozenset) else frozenset()

    def _ports_seen(self, ports: frozenset[str] | Exception) -> None:
        """Docker is away, and an interface of a container has gone: which one's, nobody says.

        Another container may get its address before Docker answers again, so from here on no
        address is taken for granted. Host ports stay as they are.
        """
        self.looking_at_links = False
        if isinstance(ports, Exception):
            return
        gone, self.docker_ports = (self.docker_ports or frozenset()) - ports, ports
        if gone:
            self.timers.by("bare", time.monotonic())

    def _drop_addresses(self) -> None:
        if self.docker is not None:
            self.enforcer.drop_addresses()

    # --- looking ---------------------------------------------------------------------------------

    def _schedule_whole(self) -> None:
        policy = self.inforce.policy or Policy()
        self.timers.at("whole", time.monotonic() + policy.resync)

    def _start_looks(self) -> None:
        """One look at a time; what was asked for meanwhile comes after it."""
        light, whole, links = self.todo & _LIGHT, "whole" in self.todo, "links" in self.todo
        self.todo -= _LIGHT | {"whole", "links"}
        if self.inforce.policy is None:
            return
        if links:
            self._look_at_links()
        now = time.monotonic()
        if whole and not self.looking and self.awaited is None:
            self._start_whole()
        elif whole:
            self.timers.by("whole", now + LOOK_PAUSE)
        if light and self.looking:  # a whole one has to wait for Docker's answer
            self.timers.by("look", now + LOOK_PAUSE)
        elif light and now < self.enforcer.pause:
            self.timers.by("look", self.enforcer.pause)
        elif light:
            self._start_light()

    def _start_light(self) -> None:
        reconciler, epoch, facts = self.session.reconciler, self.enforcer.epoch, self.enforcer.facts
        writers, self.heard = self.heard, set()
        # The programs of iptables touch their own tables alone: Docker's are most of all notices.
        by_iptables = writers and all(_IPTABLES.match(name) for name in writers)
        seal = self.enforcer.expected_seal() if by_iptables else None
        self.looking = True
        self.worker.submit(
            lambda: Snapshot(epoch, facts, reconciler.read_rules(facts, seal), whole=False),
            self._looked,
        )

    def _start_whole(self) -> None:
        reconciler, epoch, runner = (
            self.session.reconciler,
            self.enforcer.epoch,
            self.session.runner,
        )
        lists = self.enforcer.lists()
        self.todo.add("ends")  # the clock may have been set
        if self.inforce.unwatched:
            self.todo.add("lists")

        def look() -> Snapshot:
            facts = kernel_facts.read(runner)
            return Snapshot(epoch, facts, reconciler.read(facts, lists), whole=True)

        self.looking = True
        self.worker.submit(look, self._looked)

    def _looked(self, result: Snapshot | Exception) -> None:
        self.looking = False
        self.looked_at = time.monotonic()
        if isinstance(result, Snapshot):
            self.looks.append(result)
        elif isinstance(result, DockerfwError):
            self._went_wrong(result)
        else:
            raise result

    def _look_at_links(self) -> None:
        """Did a bridge come or go? While Docker is away: did a container?"""
        if self.looking_at_links:  # one after the other, or looks would wait behind a queue
            self.timers.by("links", time.monotonic() + LOOK_PAUSE)
            return
        self.looking_at_links = True
        runner = self.session.runner
        if self.docker is None:
            self.worker.submit(lambda: kernel_facts.bridges(runner), self._bridges_seen)
        else:
            self.worker.submit(lambda: kernel_facts.docker_ports(runner), self._ports_seen)

    def _bridges_seen(self, bridges: tuple[Bridge, ...] | Exception) -> None:
        self.looking_at_links = False
        if bridges != self.host_seen.bridges:
            self.timers.by("whole", time.monotonic())

    def _judge(self, look: Snapshot) -> None:
        if not look.whole:
            self.enforcer.check_rules(look)
        elif self.docker is None:
            self.awaited = look
            self.watcher.resync()
        else:
            self.enforcer.settle_without_docker(look)
            if self.lost_at is not None:  # else it has not had the time to answer yet
                systemd.ready()
            self._schedule_whole()

    def _settle(self, look: Snapshot) -> None:
        """A whole look, and Docker's answer."""
        if not self.enforcer.knows_enough:
            self.timers.by("whole", time.monotonic() + LOOK_PAUSE)
            return
        if look.epoch != self.enforcer.epoch and self.overtaken < TRIES:
            self.overtaken += 1
            self.timers.by("whole", time.monotonic())
            return
        if look.epoch != self.enforcer.epoch:  # nobody overtakes this one: it is taken here
            live = self.session.reconciler.read(look.facts, self.enforcer.lists())
            look = replace(look, live=live, epoch=self.enforcer.epoch)
        self.overtaken = 0
        self.host_seen = look.facts
        self.enforcer.settle(replace(look, facts=self._claimed(look.facts)))
        gone = host_warnings.docker_rules_gone(self.enforcer.inventory, look.facts)
        self.reporter.note("rules", "; ".join(gone) or None)
        self._schedule_whole()
        self.timers.by("remember", time.monotonic() + REMEMBER_DELAY)
        self.reporter.write_metrics()

    def _claimed(self, facts: HostFacts) -> HostFacts:
        """The facts without bridges that came just now and that Docker has not claimed yet.

        A bridge that is in the facts and not in the inventory is taken for somebody else's.
        """
        now = time.monotonic()
        docker = {n.bridge for n in self.enforcer.inventory.bridges()}
        first = now if self.enforcer.followed else 0.0
        self.bridges_since = {b.name: self.bridges_since.get(b.name, first) for b in facts.bridges}
        young = {
            name
            for name, since in self.bridges_since.items()
            if since > now - BRIDGE_GRACE and name not in docker
        }
        if young:
            self.timers.by("whole", now + BRIDGE_GRACE)
        return replace(facts, bridges=tuple(b for b in facts.bridges if b.name not in young))
