"""Reports of the watcher -> the inventory that is enforced, and whether Docker answers at all.

Takes `Report`s in their order; hands inventories to the enforcer, and what comes and goes to the
reporter. What is done while Docker is away is decided elsewhere, by `DockerFollower.state`.
"""

from __future__ import annotations

from dataclasses import replace

from dockerfw.clock import Clock
from dockerfw.daemon import lifecycle_lines
from dockerfw.daemon.enforcer import Enforcer
from dockerfw.daemon.full_check import FullCheck
from dockerfw.daemon.links import Links
from dockerfw.daemon.reporter import Reporter
from dockerfw.daemon.schedule import Schedule
from dockerfw.daemon.transitions import Event, State
from dockerfw.docker.reports import Changed, Connected, Lost, Refusal, Report
from dockerfw.model.inventory import Inventory


class DockerFollower:
    """``silent`` is why Docker does not answer, None while it does.

    ``refused`` is why this engine cannot be followed at all; then the daemon ends.
    """

    def __init__(
        self,
        clock: Clock,
        schedule: Schedule,
        enforcer: Enforcer,
        reporter: Reporter,
        links: Links,
        full_check: FullCheck,
    ) -> None:
        self._clock = clock
        self._schedule = schedule
        self._enforcer = enforcer
        self._reporter = reporter
        self._links = links
        self._full_check = full_check
        self._lost_at: float | None = None
        self.silent: str | None = "it was not asked yet"
        self.refused: str | None = None

    @property
    def state(self) -> State:
        """Return which of the three states about Docker holds."""
        if self.silent is None:
            return State.FOLLOWING
        return State.STARTING if self._lost_at is None else State.AWAY

    def take(self, report: Report) -> None:
        """Follow one report. A write that fails raises `DockerfwError`; the report counts."""
        match report:
            case Connected():
                self._connected(report)
            case Changed():
                self._changed(report)
            case Lost(reason=reason):
                self._lost(reason)
            case Refusal(reason=reason):
                self.refused = reason

    def _connected(self, report: Connected) -> None:
        self._learn(report)
        if self._lost_at is not None:
            away = self._clock.monotonic() - self._lost_at
            self._reporter.line(lifecycle_lines.docker_back(away))
        # Before anything is written, which may fail: Docker answers all the same.
        self.silent = self._lost_at = None
        self._reporter.keep("docker", None)
        self._follow(report)
        self._schedule.happened(Event.DOCKER_CONNECTED)

    def _lost(self, reason: str) -> None:
        if self._lost_at is None:
            self._lost_at = self._clock.monotonic()
            self._reporter.line(lifecycle_lines.docker_lost(reason))
            self._links.count_interfaces()
        self.silent = reason
        self._reporter.keep("docker", f"Docker does not answer: {reason}")
        # What Docker has to be restarted for is not known while it is away.
        self._reporter.keep("rules", None)
        self._full_check.abandon()
        self._schedule.happened(Event.DOCKER_LOST)

    def _changed(self, report: Changed) -> None:
        self._learn(report)
        # Before anything is written, which may fail: the question is answered, and a check that
        # went on waiting would keep the next one from beginning.
        snapshot = self._full_check.abandon() if report.whole else None
        self._follow(report)
        if snapshot is not None:
            self._full_check.settle(snapshot)

    def _learn(self, report: Connected | Changed) -> None:
        for warning in report.warnings:
            self._reporter.warning(warning)
        self._enforcer.set_known(report.knows)

    def _follow(self, report: Connected | Changed) -> None:
        before = self._enforcer.inventory
        complete = self._enforcer.knows_enough
        self._enforcer.follow(report.inventory if complete else self._staying(report))
        if self._enforcer.followed and self._enforcer.policy is not None:
            events = report.events if isinstance(report, Changed) else ()
            after, policy = self._enforcer.inventory, self._enforcer.policy
            self._reporter.changed(before, after, policy, events)
            self._schedule.happened(Event.INVENTORY_FOLLOWED)

    def _staying(self, report: Connected | Changed) -> Inventory:
        """Return what was known and is still so.

        Who has come is let in, or kept out, once enough is known of it: until then nobody is let
        in whom a deny by label would keep out.
        """
        now = {container.id: container.endpoints for container in report.inventory.containers}
        known = self._enforcer.inventory
        stays = tuple(c for c in known.containers if now.get(c.id) == c.endpoints)
        return replace(known, containers=stays)
