"""What the daemon has to do later: tasks and their moments.

`Timers` reads no clock: moments are the caller's, in seconds of any clock that only goes forward.
Which event sets which timer stands in ``transitions.py``.
"""

from __future__ import annotations

from enum import Enum

LONGEST_WAIT = 3600.0
"""Seconds. No selector waits for years, and a rule may end in years."""


class Task(Enum):
    """Everything that the main loop does at its time. The value says what that is."""

    FEED_WATCHDOG = "report to systemd that the loop turns"
    RETRY_LOCK = "try again to get the lock of the host"
    READ_POLICY = "read the policy in force, if it was replaced"
    FOLLOW_DOCKERD = "close docker-proxy in the cgroup that dockerd is in now"
    DROP_ADDRESSES = "stop trusting that containers have the addresses that they had"
    ROLL_BACK = "go back to what stood before an apply that nobody has confirmed"
    READ_LISTS = "read the list files of the policy in force again"
    READ_NAMES = "use the addresses that host names stand for now"
    READ_LANS = "use the networks that interfaces have now"
    END_RULES = "take out the rules that have ended"
    EXPIRE_GUARDS = "stop guarding host ports whose container has been gone for long"
    WRITE_SEAL = "bring the seal's own list of ports in line with the sets"
    RENEW_TIMEOUTS = "put off the end of entries that end later than the kernel can count"
    REMEMBER = "record what runs for the next boot"
    CHECK_RULES = "compare chains, jumps and seal with what was written"
    CHECK_RULES_AGAIN_1 = "the same, soon after a repair"
    CHECK_RULES_AGAIN_2 = "the same, a second after a repair"
    CHECK_RULES_AGAIN_3 = "the same, some seconds after a repair"
    CHECK_ALL = "compare policy, Docker's answer and everything in the kernel"
    CHECK_ALL_AGAIN = "the same, after a repair"
    LOOK_AT_SETTINGS = "see whether br_netfilter was switched"
    CHECK_LINKS = "see which bridges, or which interfaces of containers, there are"
    CHECK_LANS = "see which networks the interfaces of lan: sources have"


class Timers:
    """Each task is due once; asked for again, the earlier moment wins."""

    def __init__(self) -> None:
        self._due: dict[Task, float] = {}

    def by(self, task: Task, moment: float) -> None:
        """Do the task at that moment, or before it if that was asked for already."""
        self._due[task] = min(moment, self._due.get(task, moment))

    def at(self, task: Task, moment: float | None) -> None:
        """Do the task at that moment, whatever was asked for before; None: not at all."""
        self._due.pop(task, None)
        if moment is not None:
            self._due[task] = moment

    def take(self, now: float) -> set[Task]:
        """Return the tasks that are due, and forget them."""
        due = {task for task, moment in self._due.items() if moment <= now}
        for task in due:
            del self._due[task]
        return due

    def pending(self) -> dict[Task, float]:
        """Return the moment of each task that is not due yet, or was not taken."""
        return dict(self._due)

    def wait(self, now: float) -> float | None:
        """Return the seconds until a task may be due; None: there is none."""
        if not self._due:
            return None
        return min(max(0.0, min(self._due.values()) - now), LONGEST_WAIT)
