"""Interfaces of this host that come and go: bridges, and the ends of containers' interface pairs.

Takes notices that links have changed; reads which there are, in the thread beside the main loop.
That is about bridges: whether there is another one, and whose it is. While Docker is away, it is
about containers, too: whether one has gone, which no event reports. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dockerfw.clock import Clock
from dockerfw.daemon.edges import Background
from dockerfw.daemon.schedule import Schedule
from dockerfw.daemon.transitions import Event
from dockerfw.kernel.interface import Kernel
from dockerfw.model.host import Bridge, HostFacts
from dockerfw.model.inventory import Inventory
from dockerfw.operations.bridge_owners import BRIDGE_GRACE, by_answer, unclaimed


class Links:
    """Bridges since when, and containers' interfaces as they were when Docker was lost."""

    def __init__(
        self, kernel: Kernel, worker: Background, clock: Clock, schedule: Schedule
    ) -> None:
        self._kernel = kernel
        self._worker = worker
        self._clock = clock
        self._schedule = schedule
        self._checking = False
        self._bridges: tuple[Bridge, ...] = ()
        """As they were when everything was last compared."""
        self._since: dict[tuple[str, int], float] = {}
        """Since when each bridge, by name and index, is there and not Docker's (monotonic)."""
        self._interfaces: frozenset[str] | None = frozenset()
        """Those of containers, as they were when Docker was lost; None: they are being counted."""

    def start(self, facts: HostFacts) -> None:
        """Record the host at the start: its foreign bridges have had their time to be claimed."""
        self._bridges = facts.bridges
        old = [bridge for bridge in facts.bridges if bridge.name in facts.foreign_bridges]
        self._since = {(bridge.name, bridge.index): 0.0 for bridge in old}

    def changed(self) -> None:
        """Record that a link has come, gone, or got another name or bridge."""
        if self._interfaces is None:
            # One that goes before they are counted is not among them, so it would not be missed.
            self._schedule.happened(Event.CONTAINER_INTERFACE_GONE)
        self._schedule.happened(Event.LINKS_CHANGED)

    def check(self, *, docker_answers: bool) -> None:
        """Read which there are; one reading at a time, or snapshots would wait behind a queue."""
        if self._checking:
            self._schedule.happened(Event.CHECK_LINKS_BUSY)
        elif docker_answers:
            self._begin(self._kernel.bridges, self._bridges_seen)
        else:
            self._begin(self._read_both, self._both_seen)

    def _begin(self, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        self._checking = True
        self._worker.submit(work, then)

    def _read_both(self) -> tuple[tuple[Bridge, ...], frozenset[str]]:
        return self._kernel.bridges(), self._kernel.container_interfaces()

    def _both_seen(self, found: tuple[tuple[Bridge, ...], frozenset[str]] | Exception) -> None:
        """A bridge that comes while Docker is away is cut off: the check of everything names it."""
        bridges, interfaces = (found, found) if isinstance(found, Exception) else found
        self._bridges_seen(bridges)
        self._interfaces_seen(interfaces)

    # bridges

    def _bridges_seen(self, bridges: tuple[Bridge, ...] | Exception) -> None:
        self._checking = False
        # An error counts as another answer: the check of everything shows it where it lasts.
        if bridges != self._bridges:
            self._schedule.happened(Event.BRIDGES_CHANGED)

    def compared(self, facts: HostFacts) -> None:
        """Record the bridges that everything is compared with now."""
        self._bridges = facts.bridges

    def owned(self, facts: HostFacts, inventory: Inventory) -> HostFacts:
        """Return the facts with foreign bridges: those that Docker did not claim in their grace.

        The inventory is younger than the facts.
        """
        now = self._clock.monotonic()
        keys = {(bridge.name, bridge.index) for bridge in unclaimed(facts, inventory)}
        self._since = {key: self._since.get(key, now) for key in keys}
        grown = {name for (name, _), since in self._since.items() if since <= now - BRIDGE_GRACE}
        if len(grown) < len(keys):
            self._schedule.happened(Event.BRIDGE_UNCLAIMED)
        return by_answer(facts, inventory, among=grown)

    # interfaces of containers, while Docker is away

    def count_interfaces(self) -> None:
        """Begin to count the interfaces of containers, since Docker was lost."""
        self._interfaces = None
        self._worker.submit(self._kernel.container_interfaces, self._counted)

    def _counted(self, found: frozenset[str] | Exception) -> None:
        self._interfaces = found if isinstance(found, frozenset) else frozenset()

    def _interfaces_seen(self, found: frozenset[str] | Exception) -> None:
        """Schedule DROP_ADDRESSES if an interface of a container has gone: whose is not known.

        Another container may get its address before Docker answers again, so from here on no
        address is taken for granted. Host ports stay as they are.
        """
        self._checking = False
        if isinstance(found, Exception):
            return
        gone, self._interfaces = (self._interfaces or frozenset()) - found, found
        if gone:
            self._schedule.happened(Event.CONTAINER_INTERFACE_GONE)
