"""The daemon as one table: what can happen, which task that leads to, and when.

Pure data. `SCHEDULED` has a row for every event: what it schedules does not hang on the state that
the daemon is in. What is done with a task that is due does: `DROPPED` has the tasks that a state
drops, `HELD_BACK` those that wait until repairs go on, and `CHECKED_WITH_DOCKER` and
`READY_WITHOUT_DOCKER` are about the end of a check of everything. No timer is set but by these
tables, and no other place tells states apart; a task that is done may still find that there is
nothing to do. `docs/architecture.md` explains the tables.

Of `State.STARTING`, `State.FOLLOWING` and `State.AWAY` exactly one holds at any time;
`State.WAITING` and `State.PAUSED` may hold besides.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum

from dockerfw.daemon.timers import Task
from dockerfw.operations.bridge_owners import BRIDGE_GRACE

LOCK_RETRY = 0.02
"""Another process writes: it takes some ten milliseconds."""
CHECK_PAUSE = 0.1
"""Seconds between two readings of rules, or of links, that change all the time."""
REMEMBER_DELAY = 5.0
"""Containers come and go in crowds: one record for all of them is enough."""
SEAL_DELAY = 0.2
"""The seal's own list of ports follows behind the sets: ``nft`` may take longer than all the rest,
and the sets guard the port meanwhile."""
DOCKERD_PAUSE = 1.0
"""dockerd's cgroup goes and comes when Docker is restarted; one that has gone matches nothing."""
SETTINGS_PAUSE = 2.0
"""Nobody announces that br_netfilter was switched; to look takes 0.1 ms."""
HALF_WAY_PAUSE = 0.05
"""Jumps alone are repaired when they are wrong twice: Docker takes its own out and puts it back."""
AGAIN = (0.1, 1.0, 5.0)
"""After a repair: Docker undoes early ones when it builds its rules anew."""
ALL_AGAIN = 2.0
"""After a repair: whoever changed rules may have changed what nobody announces."""
DAY = 86_400.0


class State(Enum):
    STARTING = "Docker has not answered yet"
    FOLLOWING = "Docker answers"
    AWAY = "Docker does not answer any more"
    WAITING = "no policy was ever applied"
    PAUSED = "repairs are paused, since another tool undoes them"


class Event(Enum):
    """Everything that schedules a task. The value says what has happened."""

    # The process and its host.
    STARTED = "the daemon has started"
    WATCHDOG_FED = "systemd was told that the loop turns"
    SIGHUP = "SIGHUP came"
    LOCK_IS_TAKEN = "another process has the lock of the host"
    FAILED = "something could not be read or written"
    TASK_FAILED = "that was a task, which comes with the event"

    # The policy.
    POLICY_FILES_CHANGED = "the files of the policy in force have changed"
    POLICY_READ = "another policy is in force"
    CONFIRM_AWAITED = "it is known whether, and until when, an apply waits to be confirmed"
    NEXT_RULE_END_KNOWN = "it is known when the next rule ends"
    LIST_FILES_CHANGED = "a list file has changed"
    LISTS_UNWATCHED = "a check of everything begins, and there are list files without notices"
    NAMES_MOVED = "host names stand for other addresses"
    ADDRESSES_CHANGED = "an interface has got or lost an address or a route"
    CHECK_LANS_BUSY = "a check of networks is due while another is under way"
    LANS_READ = "it is known which networks the interfaces of lan: sources have"
    TIMEOUTS_RENEWED = "ends that the kernel cannot count up to were put off"

    # Docker.
    DOCKER_CONNECTED = "Docker answers, for the first time or again"
    DOCKER_LOST = "Docker does not answer"
    DOCKERD_GONE = "dockerd's cgroup has gone, for the first time"
    DOCKERD_MOVED = "dockerd's cgroup has come or gone, or it listens on other ports itself"
    INVENTORY_FOLLOWED = "containers or networks have changed, and the kernel has that"
    GUARDED_PORTS_CHANGED = "the seal does not guard the ports that the sets do"
    NEXT_EXPIRY_KNOWN = "it is known when the next port is no longer guarded"
    WRITE_POSTPONED = "more than elements has to be written, and too little is known of containers"

    # What others have changed.
    RULES_CHANGED = "somebody has written rules"
    LINKS_CHANGED = "an interface has come, gone or moved"
    BRIDGES_CHANGED = "there are other bridges than those that were compared"
    CONTAINER_INTERFACE_GONE = "an interface of a container has gone while Docker is away"

    # Checks.
    CHECK_ALL_STARTED = "a check of everything begins"
    CHECK_ALL_BUSY = "a check of everything is due while another check is under way"
    SETTINGS_SEEN = "it was looked whether br_netfilter was switched"
    SETTINGS_CHANGED = "br_netfilter was switched on or off"
    CHECK_RULES_BUSY = "a check of rules is due while a snapshot is taken"
    CHECK_LINKS_BUSY = "a check of links is due while another is under way"
    CHECK_RULES_HELD_BACK = "a check of rules is due while repairs are paused"
    RULES_OVERTAKEN = "rules were written while a snapshot of rules was taken"
    ALL_OVERTAKEN = "something was written while a snapshot of everything was taken"
    UNSETTLED = "a snapshot of rules is there, and what should stand was not compared yet"
    CHECK_POSTPONED = "a check of everything is due, and too little is known of containers"
    BRIDGE_UNCLAIMED = "there is a new bridge that Docker has not claimed yet"
    SETTLED = "everything is compared, and written where it differs"
    CHECKED_WITHOUT_DOCKER = "chains and seal are compared, without an answer of Docker"

    # Repairs.
    HALF_WAY = "jumps alone are wrong, for the first time"
    REPAIRED = "what others had changed was repaired"
    REPAIRS_PAUSED = "another tool undoes repairs again and again"


@dataclass(frozen=True, slots=True)
class Due:
    """A task, ``after`` so many seconds; None: the task or the moment that comes with the event.

    ``exact``: at that moment and no other, whatever was asked for before; a moment of None
    cancels the task. Else the earlier moment wins.
    """

    task: Task | None
    after: float | None = 0.0
    exact: bool = False


SCHEDULED: Mapping[Event, tuple[Due, ...]] = {
    # Lists may have changed while nobody followed them.
    Event.STARTED: (Due(Task.READ_LISTS),),
    # The moment: half of the interval that systemd grants.
    Event.WATCHDOG_FED: (Due(Task.FEED_WATCHDOG, None, exact=True),),
    Event.SIGHUP: (Due(Task.CHECK_ALL),),
    Event.LOCK_IS_TAKEN: (Due(Task.RETRY_LOCK, LOCK_RETRY),),
    # The moment: after a pause that doubles with each failure in a row. The kernel may be half
    # way, never more open: all of it has to be compared.
    Event.FAILED: (Due(Task.CHECK_ALL, None),),
    # The moment: the same. A check alone does not do what the task was for.
    Event.TASK_FAILED: (Due(None, None),),
    # Only wakes the loop: it compares the stamp of the policy before anything else it does.
    Event.POLICY_FILES_CHANGED: (Due(Task.READ_POLICY),),
    # The networks of its interfaces may have changed while nobody followed them.
    Event.POLICY_READ: (Due(Task.CHECK_ALL), Due(Task.CHECK_LANS)),
    # The moment: a little after the deadline, which is the business of another process unless that
    # was killed; None where no apply waits.
    Event.CONFIRM_AWAITED: (Due(Task.ROLL_BACK, None, exact=True),),
    # The moment: when the next rule ends; None where none does.
    Event.NEXT_RULE_END_KNOWN: (Due(Task.END_RULES, None, exact=True),),
    Event.LIST_FILES_CHANGED: (Due(Task.READ_LISTS),),
    # With every check of everything, where the kernel does not announce changes of files.
    Event.LISTS_UNWATCHED: (Due(Task.READ_LISTS),),
    Event.NAMES_MOVED: (Due(Task.READ_NAMES),),
    # One address brings several notices, and its routes follow.
    Event.ADDRESSES_CHANGED: (Due(Task.CHECK_LANS, CHECK_PAUSE),),
    Event.CHECK_LANS_BUSY: (Due(Task.CHECK_LANS, CHECK_PAUSE),),
    Event.LANS_READ: (Due(Task.READ_LANS),),
    Event.TIMEOUTS_RENEWED: (Due(Task.RENEW_TIMEOUTS, DAY, exact=True),),
    Event.DOCKER_CONNECTED: (Due(Task.CHECK_ALL),),
    # From here on ``status`` goes by what was recorded.
    Event.DOCKER_LOST: (Due(Task.CHECK_ALL), Due(Task.REMEMBER)),
    Event.DOCKERD_GONE: (Due(Task.FOLLOW_DOCKERD, DOCKERD_PAUSE),),
    # dockerd needs some 100 ms more until it starts the first docker-proxy.
    Event.DOCKERD_MOVED: (Due(Task.FOLLOW_DOCKERD),),
    Event.INVENTORY_FOLLOWED: (Due(Task.REMEMBER, REMEMBER_DELAY),),
    Event.GUARDED_PORTS_CHANGED: (Due(Task.WRITE_SEAL, SEAL_DELAY),),
    # The moment: when the first port that lingers is let go; None where none does.
    Event.NEXT_EXPIRY_KNOWN: (Due(Task.EXPIRE_GUARDS, None, exact=True),),
    # More than elements has to be written; what is known of containers does not suffice for that.
    Event.WRITE_POSTPONED: (Due(Task.CHECK_ALL),),
    # The moment: at once, but not before `CHECK_PAUSE` has passed since the last snapshot. So
    # there is one check at the first notice and one after the last: the kernel may be half way.
    Event.RULES_CHANGED: (Due(Task.CHECK_RULES, None),),
    Event.LINKS_CHANGED: (Due(Task.CHECK_LINKS, CHECK_PAUSE),),
    Event.BRIDGES_CHANGED: (Due(Task.CHECK_ALL),),
    Event.CONTAINER_INTERFACE_GONE: (Due(Task.DROP_ADDRESSES),),
    # The clock may have been set.
    Event.CHECK_ALL_STARTED: (
        Due(Task.END_RULES),
        Due(Task.LOOK_AT_SETTINGS, SETTINGS_PAUSE),
    ),
    Event.SETTINGS_SEEN: (Due(Task.LOOK_AT_SETTINGS, SETTINGS_PAUSE),),
    Event.SETTINGS_CHANGED: (Due(Task.CHECK_ALL),),
    # One snapshot at a time, and one wait for Docker's answer.
    Event.CHECK_ALL_BUSY: (Due(Task.CHECK_ALL, CHECK_PAUSE),),
    Event.CHECK_RULES_BUSY: (Due(Task.CHECK_RULES, CHECK_PAUSE),),
    Event.CHECK_LINKS_BUSY: (Due(Task.CHECK_LINKS, CHECK_PAUSE),),
    # The moment: when repairs go on.
    Event.CHECK_RULES_HELD_BACK: (Due(Task.CHECK_RULES, None),),
    # Something was written while the snapshot was taken.
    Event.RULES_OVERTAKEN: (Due(Task.CHECK_RULES),),
    Event.ALL_OVERTAKEN: (Due(Task.CHECK_ALL),),
    # What should stand is not what was last compared: rules alone cannot be compared with it.
    Event.UNSETTLED: (Due(Task.CHECK_ALL),),
    # What is known of containers does not suffice to compare; Docker is being asked for more.
    Event.CHECK_POSTPONED: (Due(Task.CHECK_ALL, CHECK_PAUSE),),
    Event.BRIDGE_UNCLAIMED: (Due(Task.CHECK_ALL, BRIDGE_GRACE),),
    # The moment: after ``[daemon] resync``. Never later than what was asked for since its snapshot
    # began, which that snapshot may not show: a new bridge, a repair, SIGHUP.
    Event.SETTLED: (
        Due(Task.CHECK_ALL, None),
        Due(Task.REMEMBER, REMEMBER_DELAY),
    ),
    # As above.
    Event.CHECKED_WITHOUT_DOCKER: (Due(Task.CHECK_ALL, None),),
    Event.HALF_WAY: (Due(Task.CHECK_RULES, HALF_WAY_PAUSE),),
    Event.REPAIRED: (
        Due(Task.CHECK_RULES_AGAIN_1, AGAIN[0], exact=True),
        Due(Task.CHECK_RULES_AGAIN_2, AGAIN[1], exact=True),
        Due(Task.CHECK_RULES_AGAIN_3, AGAIN[2], exact=True),
        Due(Task.CHECK_ALL_AGAIN, ALL_AGAIN),
    ),
    # The moment: when repairs go on. What repairs alone have asked for waits until then.
    Event.REPAIRS_PAUSED: (Due(Task.CHECK_ALL_AGAIN, None, exact=True),),
}

CHECKS_OF_RULES = frozenset(
    {
        Task.CHECK_RULES,
        Task.CHECK_RULES_AGAIN_1,
        Task.CHECK_RULES_AGAIN_2,
        Task.CHECK_RULES_AGAIN_3,
    }
)
CHECKS_OF_ALL = frozenset({Task.CHECK_ALL, Task.CHECK_ALL_AGAIN})
CHECKS = (
    CHECKS_OF_RULES | CHECKS_OF_ALL | {Task.CHECK_LINKS, Task.LOOK_AT_SETTINGS, Task.CHECK_LANS}
)
"""Tasks that only read: they begin without the lock of the host, in a thread of their own."""

DROPPED: Mapping[State, frozenset[Task]] = {
    # A container that is gone by the ledger may listen again before Docker answers.
    State.STARTING: frozenset({Task.EXPIRE_GUARDS}),
    # Docker's answers have by now who has which address.
    State.FOLLOWING: frozenset({Task.DROP_ADDRESSES}),
    State.AWAY: frozenset({Task.EXPIRE_GUARDS}),
    # There is nothing to compare the kernel with, and nothing that a boot would install.
    State.WAITING: CHECKS | {Task.REMEMBER},
    State.PAUSED: frozenset(),
}
"""What is not done, nor done later, if it is due in this state."""

CHECKED_WITH_DOCKER = frozenset({State.FOLLOWING})
"""In these states a check of everything asks Docker, and ends with its answer."""
READY_WITHOUT_DOCKER = frozenset({State.AWAY})
"""In these systemd is told after a check without Docker that the daemon is ready. Not in
`State.STARTING`: Docker has not had the time to answer yet."""

HELD_BACK = CHECKS_OF_RULES
"""What is put off in `State.PAUSED`, by `Event.CHECK_RULES_HELD_BACK`. A check of everything is
not: it is rare, and what the policy or Docker asks for must not wait for another tool."""


def is_dropped(task: Task, states: Collection[State]) -> bool:
    """Return True if a task that is due in these states is passed over."""
    return any(task in DROPPED[state] for state in states)


def is_held_back(task: Task, states: Collection[State]) -> bool:
    """Return True if a task that is due in these states has to wait until repairs go on."""
    return State.PAUSED in states and task in HELD_BACK
