"""What the daemon does when the policy in force, or what it stands for, is another one.

Takes what `PolicyInForce` finds; hands the policy to the enforcer, asks Docker for what it needs
to know, and schedules the end of the next rule.
"""

from __future__ import annotations

from dockerfw.clock import Clock
from dockerfw.daemon import lifecycle_lines
from dockerfw.daemon.edges import DockerReports
from dockerfw.daemon.enforcer import Enforcer
from dockerfw.daemon.policy_in_force import PolicyInForce
from dockerfw.daemon.reporter import Reporter
from dockerfw.daemon.schedule import Schedule
from dockerfw.daemon.transitions import Event
from dockerfw.daemon.unconfirmed import UnconfirmedApply
from dockerfw.text import counted


class PolicyFollower:
    """Every method is a task of the main loop, under the lock of the host."""

    def __init__(
        self,
        policy: PolicyInForce,
        enforcer: Enforcer,
        docker: DockerReports,
        reporter: Reporter,
        schedule: Schedule,
        clock: Clock,
        unconfirmed: UnconfirmedApply,
    ) -> None:
        self._policy = policy
        self._enforcer = enforcer
        self._docker = docker
        self._reporter = reporter
        self._schedule = schedule
        self._clock = clock
        self._unconfirmed = unconfirmed

    def read(self) -> None:
        """Take the policy that is in force now."""
        before = self._policy.whole
        self._policy.read()
        policy, text = self._policy.whole, self._policy.text
        self._reporter.note("policy", self._policy.problem)
        self._show_wrong_names()
        # Nothing is written yet: who put it in force has done that. It is compared soon.
        self._enforcer.set_policy(self._policy.policy)
        self._schedule_roll_back()
        if policy is None:
            # There is nothing to do until somebody applies one: that counts as started.
            self._reporter.ready()
            return
        if before is not None and text is not None:
            rules = counted(len(policy.allows) + len(policy.denies), "rule")
            what = f"{rules}, mode {policy.mode}"
            self._reporter.line(lifecycle_lines.policy_replaced(text.documents[0].name, what))
        # For the whole policy: a rule that has ended by a clock that is set back counts again.
        self._docker.need(policy.needs())
        self._schedule_end()
        self._schedule.happened(Event.POLICY_READ)
        # Last, as it may fail: then metrics are all that is missing.
        self._reporter.serve_metrics(policy)

    def roll_back(self) -> None:
        """Go back to what stood before, if the process that should have done so has not."""
        if self._unconfirmed.seconds_left() == 0:
            self._unconfirmed.restore()
            self.read()
            self._sources_moved("rolled back")
            # Only here: where the write fails, it is tried again.
            self._unconfirmed.end()
        self._schedule_roll_back()

    def end_rules(self) -> None:
        """Take out what has ended."""
        if self._policy.drop_expired():
            self._sources_moved("a rule has ended")
        self._schedule_end()

    def read_lists(self) -> None:
        """Take the list files as they are now; one that is broken keeps its last contents."""
        changed, wrong = self._policy.read_lists()
        self._reporter.note("lists", "; ".join(wrong) or None)
        if changed:
            self._sources_moved(changed)

    def read_names(self) -> None:
        """Take the addresses that host names stand for now."""
        moved, remarks = self._policy.read_names()
        for remark in remarks:
            self._reporter.info(remark)
        self._show_wrong_names()
        if moved:
            self._sources_moved("names stand for other addresses")

    def read_lans(self) -> None:
        """Take the networks that interfaces have now."""
        changed = self._policy.read_lans()
        for line in changed:
            self._reporter.info(line)
        if changed:
            self._sources_moved("interfaces have other networks")

    def _show_wrong_names(self) -> None:
        self._reporter.keep("names", "; ".join(self._policy.wrong_names) or None)

    def _sources_moved(self, why: str) -> None:
        if self._policy.policy is not None:
            self._enforcer.sources_moved(self._policy.policy, why)

    def _schedule_roll_back(self) -> None:
        left = self._unconfirmed.seconds_left()
        moment = None if left is None else self._clock.monotonic() + left
        self._schedule.happened(Event.CONFIRM_AWAITED, moment)

    def _schedule_end(self) -> None:
        left = self._policy.seconds_to_end()
        moment = None if left is None else self._clock.monotonic() + left
        self._schedule.happened(Event.NEXT_RULE_END_KNOWN, moment)
