"""A check of everything: the kernel and the host as a snapshot shows them, then what Docker answers
to a question that is younger, then both against the policy.

In this order, since Docker makes interfaces and rules before its answers have them: what the
snapshot has and the younger answer has not is somebody else's. Takes snapshots and the moment of
Docker's answer; hands both to the enforcer.
"""

from __future__ import annotations

from dataclasses import replace

from dockerfw.clock import Clock
from dockerfw.daemon import memory
from dockerfw.daemon.edges import DockerReports
from dockerfw.daemon.enforcer import Enforcer
from dockerfw.daemon.links import Links
from dockerfw.daemon.reporter import Reporter
from dockerfw.daemon.schedule import Schedule
from dockerfw.daemon.snapshots import Snapshot
from dockerfw.daemon.transitions import Event
from dockerfw.kernel.interface import Kernel
from dockerfw.model.host import HostFacts
from dockerfw.model.policy import Policy
from dockerfw.operations.reconcile import with_foreign_ports
from dockerfw.report import host_warnings
from dockerfw.report.lost import lost
from dockerfw.state.store import Store

TRIES = 5
"""A snapshot that was overtaken by writes is taken anew this often, beside the loop."""


class FullCheck:
    """At most one is under way."""

    def __init__(
        self,
        kernel: Kernel,
        store: Store,
        clock: Clock,
        schedule: Schedule,
        enforcer: Enforcer,
        reporter: Reporter,
        links: Links,
        docker: DockerReports,
    ) -> None:
        self._kernel = kernel
        self._store = store
        self._clock = clock
        self._schedule = schedule
        self._enforcer = enforcer
        self._reporter = reporter
        self._links = links
        self._docker = docker
        self._awaiting: Snapshot | None = None
        """Waits for Docker's answer, which has to be younger."""
        self._overtaken = 0
        self._br_netfilter: tuple[bool, bool] | None = None

    @property
    def awaits_docker(self) -> bool:
        """Return True while Docker's answer is still to come."""
        return self._awaiting is not None

    def look_at_settings(self) -> None:
        """Have everything checked if br_netfilter was switched since that was last looked at."""
        self._schedule.happened(Event.SETTINGS_SEEN)
        before, self._br_netfilter = self._br_netfilter, self._kernel.br_netfilter()
        if before not in (None, self._br_netfilter):
            self._schedule.happened(Event.SETTINGS_CHANGED)

    def ask_docker(self, snapshot: Snapshot) -> None:
        """Ask Docker for everything, now that there is a snapshot."""
        self._awaiting = snapshot
        self._docker.resync()

    def abandon(self) -> Snapshot | None:
        """Stop waiting. Return the snapshot that waited, if any."""
        snapshot, self._awaiting = self._awaiting, None
        return snapshot

    def settle(self, snapshot: Snapshot) -> None:
        """Compare and write, now that the inventory is younger than the snapshot."""
        if not self._enforcer.knows_enough:
            self._schedule.happened(Event.CHECK_POSTPONED)
            return
        if snapshot.epoch != self._enforcer.epoch and self._overtaken < TRIES:
            self._overtaken += 1
            self._schedule.happened(Event.ALL_OVERTAKEN)
            return
        if snapshot.epoch != self._enforcer.epoch:
            # Read here, in the main loop, where nothing is written meanwhile. Events wait for it;
            # but on a host that is never quiet drift would never be found.
            live = self._kernel.read(snapshot.facts, self._enforcer.wanted_sets())
            snapshot = replace(snapshot, live=live, epoch=self._enforcer.epoch)
        self._overtaken = 0
        facts = snapshot.facts
        self._links.compared(facts)
        owned = self._links.owned(facts, self._enforcer.inventory)
        self._report_unenforced(facts)
        self._br_netfilter = facts.br_netfilter
        self._enforcer.settle(replace(snapshot, facts=owned))
        memory.forget()
        self._report_cut_off(facts)
        self._reporter.ambiguous(host_warnings.overlaps(self._enforcer.inventory, facts))
        gone = host_warnings.docker_rules_gone(self._enforcer.inventory, facts)
        self._reporter.note("rules", "; ".join(gone) or None)
        self._schedule.happened(Event.SETTLED, self._next())
        self._reporter.write_metrics()

    def settle_without_docker(self, snapshot: Snapshot) -> None:
        """Keep what stands; Docker cannot be asked."""
        self._report_unenforced(snapshot.facts)
        self._br_netfilter = snapshot.facts.br_netfilter
        self._links.compared(snapshot.facts)
        self._enforcer.settle_without_docker(snapshot)
        self._report_cut_off(snapshot.facts)
        self._schedule.happened(Event.CHECKED_WITHOUT_DOCKER, self._next())

    def _report_unenforced(self, facts: HostFacts) -> None:
        """Before anything is said to be enforced."""
        policy = self._enforcer.policy
        if policy is None:
            self._reporter.unenforced(())
        else:
            inventory = with_foreign_ports(self._enforcer.inventory, facts)
            reasons: tuple[str, ...] = host_warnings.unenforced(policy, inventory, facts)
            applied = self._store.policy.applied()
            reasons += lost(applied.given, facts) if applied else ()
            self._reporter.unenforced(reasons)

    def _report_cut_off(self, facts: HostFacts) -> None:
        """Report which bridges of the host the seal that was written last does not leave alone."""
        seal = self._enforcer.expected_seal()
        observing = self._enforcer.policy is not None and self._enforcer.policy.mode == "observe"
        names = host_warnings.cut_off(None if observing else seal, self._enforcer.inventory, facts)
        self._reporter.cut_off(names, seal.left_alone if seal else ())

    def _next(self) -> float:
        policy = self._enforcer.policy or Policy()
        return self._clock.monotonic() + policy.resync
