"""All that the daemon reports: to its log, to ``dockerfw status``, to systemd and as metrics.

Takes what happened; decides how often that is reported, and to whom. Nothing in here ends the
daemon but metrics that were asked for and cannot be had at its start.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from dockerfw.clock import Clock
from dockerfw.daemon import lifecycle_lines, log_lines
from dockerfw.daemon.drift import describe_drift, kind_of_drift
from dockerfw.daemon.edges import Background
from dockerfw.daemon.log import Log
from dockerfw.daemon.log_lines import Line
from dockerfw.daemon.metrics import Metrics, NoMetrics
from dockerfw.daemon.systemd import Systemd
from dockerfw.docker.events import Event
from dockerfw.errors import DockerfwError, Failed
from dockerfw.kernel.interface import Kernel
from dockerfw.model.inventory import Inventory
from dockerfw.model.policy import Policy
from dockerfw.operations.reconcile import Observation
from dockerfw.report import host_warnings
from dockerfw.report.exposure import Exposures
from dockerfw.report.traffic import TrafficCounts, count_traffic, counted_sets
from dockerfw.rules.ruleset import Ruleset
from dockerfw.state.daemon_record import DaemonState
from dockerfw.state.store import Store
from dockerfw.text import counted

LONGEST_PAUSE = 30.0
_SHAKEN = {"failed", "fight"}
"""With notes about these, what should stand may not stand."""
_BLIND = {"docker", "policy", "lock"}
"""With notes about these, nobody knows what should stand, or nobody writes it."""


class Reporter:
    """Keeps notes (what an administrator should see to) by what they are about, and counts."""

    def __init__(
        self,
        store: Store,
        kernel: Kernel,
        clock: Clock,
        log: Log,
        systemd: Systemd,
        worker: Background,
    ) -> None:
        self._store = store
        self._kernel = kernel
        self._clock = clock
        self._log = log
        self._systemd = systemd
        self._worker = worker
        self._notes: dict[str, str] = {}
        self._unenforced: tuple[str, ...] = ()
        self._ambiguous: tuple[str, ...] = ()
        self._entries = 0
        self._repaired = 0
        self._failures = 0
        self._reconciled_at: float | None = None
        self._last_change = clock.time()
        self._written: DaemonState | None = None
        self._status: str | None = None
        self._metrics: Metrics = NoMetrics()
        self._asked: tuple[str | None, str | None] = (None, None)
        self._stands: tuple[Ruleset, Inventory] | None = None
        self._exposures = Exposures(Policy())
        self._cut_off: tuple[str, ...] = ()

    def close(self) -> None:
        """Stop the metrics."""
        self._metrics.close()

    def line(self, line: Line) -> None:
        self._log.write(line)

    def info(self, text: str) -> None:
        self._log.info(text)

    def warning(self, text: str) -> None:
        self._log.warning(text)

    def note(self, about: str, text: str | None) -> None:
        """Log it as an error, once, and keep it for ``status`` until it is None."""
        if text is not None and self._notes.get(about) != text:
            self._log.error(text)
        self.keep(about, text)

    def keep(self, about: str, text: str | None) -> None:
        """Keep it for ``status`` until it is None; its line in the log is the caller's."""
        if text is None:
            self._notes.pop(about, None)
        else:
            self._notes[about] = text

    # what happened

    def failed(self, error: DockerfwError) -> float:
        """Report a read or write that failed; return the seconds to wait before trying again."""
        self._metrics.failed()
        self._failures += 1
        if self._failures == 1:
            # Docker may have moved its jump between reading and writing.
            self._log.write(Line("warning", f"trying again: {error}"))
        else:
            self.note("failed", str(error))
        return min(0.05 * 2.0 ** min(self._failures, 20), LONGEST_PAUSE)

    def wrote(self) -> None:
        """Count a write that the kernel has taken."""
        self._metrics.committed()

    def counted_entries(self, entries: int) -> None:
        """Record how many entries our sets have."""
        self._entries = entries

    def changed(
        self, before: Inventory, after: Inventory, policy: Policy, events: Iterable[Event]
    ) -> None:
        """Report what comes and goes, once the kernel has it; ``events`` are what Docker sent."""
        self._last_change = self._clock.time()
        latency = None
        for event in events:
            latency = max(0.0, self._last_change - event.at)
            self._metrics.followed(latency)
        if self._exposures.policy is not policy:
            self._exposures = Exposures(policy)
        for line in log_lines.changes(before, after, self._exposures):
            self._log.write(replace(line, fields={**line.fields, "latency": latency}))

    def repaired(self, seen: Observation, writers: Collection[str]) -> None:
        """Report that what others had changed was repaired."""
        self._repaired += 1
        self._metrics.repaired(kind_of_drift(seen))
        self._log.write(
            lifecycle_lines.repaired(
                "; ".join(describe_drift(seen, self._kernel.identity)), writers
            )
        )

    def unenforced(self, reasons: tuple[str, ...]) -> None:
        """Report what this host cannot hold of the policy: once, and when that is over."""
        if reasons == self._unenforced:
            return
        self._unenforced = reasons
        self._log.write(
            lifecycle_lines.unenforced(reasons) if reasons else lifecycle_lines.enforced_again()
        )

    def ambiguous(self, overlaps: tuple[str, ...]) -> None:
        """Report networks that share addresses, each when it is first seen."""
        for text in overlaps:
            if text not in self._ambiguous:
                self._log.write(lifecycle_lines.overlap(text))
        self._ambiguous = overlaps

    def cut_off(self, bridges: tuple[str, ...], left_alone: Collection[str]) -> None:
        """Report the bridges that are cut off, and those that were and are left alone now."""
        for bridge in bridges:
            if bridge not in self._cut_off:
                text = host_warnings.cut_off_text(bridge)
                self._log.write(lifecycle_lines.bridge_cut_off(bridge, text))
        for bridge in self._cut_off:
            if bridge in left_alone:
                self._log.write(lifecycle_lines.bridge_left_alone(bridge))
        self._cut_off = bridges
        self.keep("bridges", "; ".join(map(host_warnings.cut_off_text, bridges)) or None)

    def agreed(self, policy: Policy, ruleset: Ruleset, inventory: Inventory) -> None:
        """Report that kernel, policy and Docker were seen to agree."""
        first = self._reconciled_at is None
        self._reconciled_at = self._clock.time()
        self._failures = 0
        self._stands = (ruleset, inventory)
        self.note("failed", None)
        self._metrics.reconciled(self._reconciled_at)
        if first:
            held = not self._unenforced
            self._log.write(lifecycle_lines.ready(policy, inventory, self._entries, held=held))
        self.ready()

    def ready(self) -> None:
        """Report to systemd that the start is over."""
        self._systemd.ready()

    # where it is shown

    def publish(self, policy: Policy | None, inventory: Inventory, docker: str | None) -> None:
        """Bring ``status``, systemd and the metrics up to date; what is the same is not repeated.

        ``docker`` is why Docker does not answer, None while it does.
        """
        state = DaemonState(
            docker=docker,
            reconciled_at=self._reconciled_at,
            healed=self._repaired,
            notes=tuple(self._notes.values()),
        )
        line = self._status_line(policy, inventory)
        if line != self._status:
            self._status = line
            self._systemd.status(line)
        stands = self._reconciled_at is not None and not _SHAKEN & self._notes.keys()
        self._metrics.state(
            in_sync=stands and not _BLIND & self._notes.keys(),
            enforcing=stands and policy is not None and policy.mode == "enforce",
            observing=policy is not None and policy.mode == "observe",
            unenforced=len(self._unenforced),
            containers=len(inventory.containers),
            entries=self._entries,
        )
        if state != self._written:
            self._written = state
            with suppress(DockerfwError):  # a full disk must not end the watch
                self._store.daemon.write(state)

    def _status_line(self, policy: Policy | None, inventory: Inventory) -> str:
        if self._notes:
            return next(iter(self._notes.values()))
        if self._unenforced:
            return f"NOT ON EVERY PATH: {self._unenforced[0]}"
        if policy is None:
            return "waiting for the first dockerfw apply"
        containers = counted(len(inventory.containers), "container")
        last_change = datetime.fromtimestamp(self._last_change, timezone.utc)
        changed = last_change.astimezone().strftime("%H:%M:%S")
        observing = "OBSERVING, " if policy.mode == "observe" else ""
        return f"{observing}{containers}, {self._entries} entries, last change {changed}"

    # metrics

    def serve_metrics(self, policy: Policy) -> None:
        """Serve the metrics that the policy asks for. Raises `Failed` where that cannot be had."""
        asked = (policy.metrics, policy.metrics_file)
        if asked == self._asked:
            return
        self._asked = asked
        self._metrics.close()
        self._metrics = NoMetrics()
        if any(asked):
            self._metrics = Metrics(self._count_traffic, self._clock)
        if policy.metrics:
            self._metrics.serve(policy.metrics)

    def _count_traffic(self) -> TrafficCounts:
        """Read the counters, in a thread of the metrics.

        It goes by what stood when all was last seen to agree: nothing of the main loop is touched.
        """
        if self._stands is None:
            raise Failed("nothing is known of the kernel yet")
        ruleset, inventory = self._stands
        counters = self._kernel.set_counters(counted_sets(ruleset))
        return count_traffic(counters, ruleset, inventory)

    def write_metrics(self) -> None:
        """Write the text file, if the policy asks for one."""
        path, metrics = self._asked[1], self._metrics
        if path:
            self._worker.submit(lambda: metrics.write(Path(path)), self._metrics_written)

    def _metrics_written(self, error: Exception | None) -> None:
        self.note("metrics", None if error is None else str(error))
