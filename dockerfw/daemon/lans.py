"""Networks of the interfaces of ``lan:`` sources, as they change.

Takes notices that addresses have changed; asks which networks there are, in the thread beside the
main loop, where the policy wants to know. Writes nothing: `PolicyFollower` takes what was found.
"""

from __future__ import annotations

from dockerfw.daemon.edges import Background
from dockerfw.daemon.policy_in_force import PolicyInForce
from dockerfw.daemon.schedule import Schedule
from dockerfw.daemon.transitions import Event
from dockerfw.kernel.interface import Kernel
from dockerfw.model.policy import LanNetworks


class Lans:
    """Asks, one question at a time."""

    def __init__(
        self, kernel: Kernel, worker: Background, schedule: Schedule, policy: PolicyInForce
    ) -> None:
        self._kernel = kernel
        self._worker = worker
        self._schedule = schedule
        self._policy = policy
        self._asking = False

    def changed(self) -> None:
        """Record that addresses have changed."""
        if self._policy.interfaces:
            self._schedule.happened(Event.ADDRESSES_CHANGED)

    def check(self) -> None:
        """Begin to ask; where it is asked already, once more afterwards."""
        interfaces = self._policy.interfaces
        if self._asking:
            self._schedule.happened(Event.CHECK_LANS_BUSY)
        elif interfaces:
            self._asking = True
            self._worker.submit(lambda: self._kernel.networks(interfaces), self._answered)

    def _answered(self, found: LanNetworks | Exception) -> None:
        self._asking = False
        if not isinstance(found, Exception) and self._policy.lans_found(found):
            self._schedule.happened(Event.LANS_READ)
