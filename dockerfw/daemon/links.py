"""Interfaces of this host that come and go: bridges, and the ends of containers' interface pairs.

Takes notices that links have changed; reads which there are, in the thread beside the main loop.
That is about bridges: whether there is another one, and whose it is. While Docker is away, it is
about containers, too: whether one has gone, which no event reports. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

from dockerfw.clock import Clock
from dockerfw.daemon.edges import Background
from dockerfw.daemon.schedule import Schedule
from dockerfw.daemon.transitions import BRIDGE_GRACE, Event
from dockerfw.kernel.interface import Kernel
from dockerfw.model.host import Bridge, HostFacts


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
        self._since: dict[str, float] = {}
        """When each bridge was first seen (monotonic)."""
        self._interfaces: frozenset[str] | None = frozenset()
        """Those of containers, as they were when Docker was lost; None: they are being counted."""

    def start(self, facts: HostFacts) -> None:
        """Record the host at the start: these bridges have had their time to be claimed."""
        self._bridges = facts.bridges
        self._since = {bridge.name: 0.0 for bridge in facts.bridges}

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

    def claimed(
        self, facts: HostFacts, of_docker: Collection[str | None], *, followed: bool
    ) -> HostFacts:
        """Return the facts without bridges that came just now and that Docker has not claimed yet.

        A bridge that is in the facts and not in the inventory is taken for somebody else's, and
        is not sealed. ``of_docker`` are the names of those that Docker has claimed; ``followed``
        is False as long as kernel and Docker were never compared: what stands by then is old.
        """
        now = self._clock.monotonic()
        first = now if followed else 0.0
        self._since = {b.name: self._since.get(b.name, first) for b in facts.bridges}
        young = {
            name
            for name, since in self._since.items()
            if since > now - BRIDGE_GRACE and name not in of_docker
        }
        if young:
            self._schedule.happened(Event.BRIDGE_UNCLAIMED)
        return replace(facts, bridges=tuple(b for b in facts.bridges if b.name not in young))

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
