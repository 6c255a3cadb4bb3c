"""All that the daemon tells: its log, ``dockerfw status``, systemd and the metrics.

Takes what happened; decides how often and to whom it is said. Nothing in here ends the daemon but
metrics that were asked for and cannot be had at its start.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from dockerfw.daemon import lifecycle_lines, log_lines, systemd
from dockerfw.daemon.drift import describe_drift, kind_of_drift
from dockerfw.daemon.log import Log
from dockerfw.daemon.log_lines import Line
from dockerfw.daemon.metrics import Metrics, NoMetrics
from dockerfw.daemon.worker import Worker
from dockerfw.docker.events import Event
from dockerfw.errors import DockerfwError, Failed
from dockerfw.kernel.ipset import driver as ipset
from dockerfw.model.inventory import Inventory
from dockerfw.model.policy import Policy
from dockerfw.operations.reconcile import Observation
from dockerfw.operations.session import Session
from dockerfw.report import status
from dockerfw.rules.ruleset import Ruleset
from dockerfw.state.daemon_record import DaemonState
from dockerfw.text import counted

LONGEST_PAUSE = 30.0
_SHAKEN = {"failed", "fight"}
"""Notes about these say that what should stand may not stand."""
_BLIND = {"docker", "policy"}
"""Notes about these say that nobody knows what should stand."""


class Reporter:
    """``notes`` are what somebody should look at, by what they are about."""

    def __init__(self, session: Session, log: Log, worker: Worker) -> None:
        self.session = session
        self.log = log
        self.worker = worker
        self.notes: dict[str, str] = {}
        self.entries = 0
        self._healed = 0
        self._failures = 0
        self._reconciled_at: float | None = None
        self._last_change = time.time()
        self._told: DaemonState | None = None
        self._said: str | None = None
        self._metrics: Metrics = NoMetrics()
        self._asked: tuple[str | None, str | None] = (None, None)
        self._stands: tuple[Ruleset, Inventory] | None = None

    def close(self) -> None:
        self._metrics.close()

    def info(self, text: str) -> None:
        self.log.say(Line("info", text))

    def note(self, about: str, text: str | None) -> None:
        """Say it once, and keep it for ``status`` until it is None."""
        if text is None:
            self.notes.pop(about, None)
        elif self.notes.get(about) != text:
            self.notes[about] = text
            self.log.error(text)

    # what happened

    def failed(self, error: DockerfwError) -> float:
        """Something could not be read or written. Gives the seconds to wait before trying again."""
        self._metrics.failed()
        self._failures += 1
        if self._failures == 1:
            # Docker may have moved its jump between the look and the write.
            self.log.say(Line("warning", f"trying again: {error}"))
        else:
            self.note("failed", str(error))
        return min(0.05 * 2.0 ** min(self._failures, 20), LONGEST_PAUSE)

    def wrote(self) -> None:
        """The kernel has taken what was written."""
        self._metrics.committed()

    def changed(
        self, before: Inventory, after: Inventory, policy: Policy, events: Iterable[Event]
    ) -> None:
        """Other containers run; the kernel knows by now."""
        self._last_change = time.time()
        latency = None
        for event in events:
            latency = max(0.0, self._last_change - event.at)
            self._metrics.followed(latency)
        for line in log_lines.changes(before, after, policy):
            self.log.say(replace(line, fields={**line.fields, "latency": latency}))

    def repaired(self, seen: Observation, writers: Collection[str]) -> None:
        """What others had changed was put right."""
        self._healed += 1
        self._metrics.healed(kind_of_drift(seen))
        self.log.say(lifecycle_lines.repaired("; ".join(describe_drift(seen)), writers))

    def agreed(self, policy: Policy, ruleset: Ruleset, inventory: Inventory) -> None:
        """Kernel, policy and Docker were seen to agree."""
        first = self._reconciled_at is None
        self._reconciled_at = time.time()
        self._failures = 0
        self._stands = (ruleset, inventory)
        self.note("failed", None)
        self._metrics.reconciled(self._reconciled_at)
        if first:
            self.log.say(lifecycle_lines.ready(policy, inventory, self.entries))
        systemd.ready()

    # where it is told

    def tell(self, policy: Policy | None, inventory: Inventory, docker: str | None) -> None:
        """To ``status``, systemd and the metrics; nothing where nothing changed."""
        state = DaemonState(
            docker=docker,
            reconciled_at=self._reconciled_at,
            healed=self._healed,
            notes=tuple(self.notes.values()),
        )
        line = self._status_line(policy, inventory)
        if line != self._said:
            self._said = line
            systemd.status(line)
        stands = self._reconciled_at is not None and not _SHAKEN & self.notes.keys()
        self._metrics.state(
            in_sync=stands and not _BLIND & self.notes.keys(),
            enforcing=stands and policy is not None and policy.mode == "enforce",
            observing=policy is not None and policy.mode == "observe",
            containers=len(inventory.containers),
            entries=self.entries,
        )
        if state != self._told:
            self._told = state
            with suppress(DockerfwError):  # a full disk must not end the watch
                self.session.store.daemon.write(state)

    def _status_line(self, policy: Policy | None, inventory: Inventory) -> str:
        if self.notes:
            return next(iter(self.notes.values()))
        if policy is None:
            return "waiting for the first dockerfw apply"
        containers = counted(len(inventory.containers), "container")
        changed = time.strftime("%H:%M:%S", time.localtime(self._last_change))
        observing = "OBSERVING, " if policy.mode == "observe" else ""
        return f"{observing}{containers}, {self.entries} entries, last change {changed}"

    # metrics

    def serve_metrics(self, policy: Policy) -> None:
        """As the policy asks for. Raises `Failed` where that cannot be had."""
        asked = (policy.metrics, policy.metrics_file)
        if asked == self._asked:
            return
        self._asked = asked
        self._metrics.close()
        self._metrics = NoMetrics()
        if any(asked):
            self._metrics = Metrics(self._count_traffic)
        if policy.metrics:
            self._metrics.serve(policy.metrics)

    def _count_traffic(self) -> status.Status:
        """In a thread of the metrics: it goes by what stood when all was last seen to agree."""
        if self._stands is None:
            raise Failed("nothing is known of the kernel yet")
        ruleset, inventory = self._stands
        counters = ipset.counters(self.session.runner, status.counted_sets(ruleset))
        health = status.Health(enforcing=True, observing=False, in_sync=True)
        return status.build(health, counters, ruleset, inventory)

    def write_metrics(self) -> None:
        """The text file, if there is to be one."""
        path, metrics = self._asked[1], self._metrics
        if path:
            self.worker.submit(lambda: metrics.write(Path(path)), self._metrics_written)

    def _metrics_written(self, error: Exception | None) -> None:
        self.note("metrics", None if error is None else str(error))
