"""Containers about which an event has reported more than Docker's lists may show yet.

``die`` (20.10), ``network disconnect`` and ``network connect`` are sent before the lists show what
they report, by 0.5 to 100 ms (tried on 20.10, 26.1 and 28.5). So the event counts: what it reports
as gone is taken out of every reading (`Doubts.departed`), and Docker is asked again (`Doubts.due`)
until its lists agree (`Doubts.settle`). Knows no clock: ``now`` is any time in seconds that never
goes back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from dockerfw.docker.events import Event
from dockerfw.docker.reading import Departed
from dockerfw.model.inventory import Container

_DEATH_PATIENCE = 10.0
_NETWORK_PATIENCE = 5.0
"""Seconds after which the lists count, whatever events reported before. Both are many times what
an engine under load was seen to take, and an event that was wrong does no harm for longer."""
_DEATH_PAUSE = 1.0
"""Seconds until the lists are asked about a death: its event is nearly always right, so one
question is enough, and it need not come soon."""
_NETWORK_PAUSE = 0.002
"""Seconds until the lists are asked about a network: only they have the address of a container
that joined, and most show it within these."""
_LONGEST_PAUSE = 1.0
"""Seconds between two questions at most: the pause doubles up to here."""


@dataclass(slots=True)
class _Doubt:
    """``left`` and ``joined`` are ids of networks; ``deadline`` and ``next_read`` are times."""

    deadline: float
    next_read: float
    pause: float
    died: bool = False
    left: set[str] = field(default_factory=set)
    joined: set[str] = field(default_factory=set)


class Doubts:
    """By container, until the lists agree with the events."""

    def __init__(self) -> None:
        self._doubts: dict[str, _Doubt] = {}

    def died(self, container_id: str, now: float) -> None:
        """Record that a container has died, whatever the lists still show."""
        doubt = _Doubt(now + _DEATH_PATIENCE, now + _DEATH_PAUSE, _DEATH_PAUSE, died=True)
        self._doubts[container_id] = doubt

    def started(self, container_id: str) -> None:
        """Record a start: lists after it show all of the container, so no doubt is left."""
        self._doubts.pop(container_id, None)

    def moved(self, event: Event, now: float) -> None:
        """Record that a container that runs has joined a network, or left it."""
        new = _Doubt(now + _NETWORK_PATIENCE, now + _NETWORK_PAUSE, _NETWORK_PAUSE)
        doubt = self._doubts.setdefault(event.container, new)
        came, went = (doubt.joined, doubt.left)
        if event.action == "disconnect":
            came, went = went, came
        came.add(event.id)
        went.discard(event.id)

    def containers(self) -> set[str]:
        return set(self._doubts)

    def departed(self) -> Departed:
        """Return what no reading may bring back."""
        return {i: None if d.died else frozenset(d.left) for i, d in self._doubts.items()}

    def next_read(self) -> float | None:
        """Return when Docker is to be asked again, None if there is no doubt."""
        return min((doubt.next_read for doubt in self._doubts.values()), default=None)

    def due(self, now: float) -> list[str]:
        """Return the containers to ask about now; those past their deadline are in no doubt."""
        due = [i for i, doubt in self._doubts.items() if doubt.next_read <= now]
        for container_id in due:
            if self._doubts[container_id].deadline <= now:
                del self._doubts[container_id]
        return due

    def settle(
        self, container_id: str, found: Container | None, now: float, *, stale: bool
    ) -> None:
        """End the doubt if a list agrees by now, else put the next question off.

        ``found`` is the container in the inventory after that list; ``stale`` if the list itself
        showed it as it was before.
        """
        doubt = self._doubts.get(container_id)
        if doubt is None:
            return
        if not stale and _shows_all_joined(found, doubt):
            del self._doubts[container_id]
        else:
            doubt.next_read = min(now + doubt.pause, doubt.deadline)
            doubt.pause = min(2 * doubt.pause, _LONGEST_PAUSE)


def _shows_all_joined(found: Container | None, doubt: _Doubt) -> bool:
    if found is None:  # it is gone, and so are its networks
        return True
    networks: Iterable[str] = (endpoint.network_id for endpoint in found.endpoints)
    return doubt.joined.issubset(networks)
