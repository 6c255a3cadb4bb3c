"""Is the event stream silently dead? What a whole reading found and no event reported.

A stream can stay open and bring nothing any more. A whole reading that differs from what the
events reported must be followed by an event for each difference; where one does not come within
`EVENT_PATIENCE`, the stream is dead. Knows no clock: ``now`` is any time in seconds that never goes
back.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from typing import TypeVar

from dockerfw.docker.json_values import one_line
from dockerfw.model.inventory import Container, Inventory, Network

EVENT_PATIENCE = 2.0
"""Seconds within which an event has to come that explains what a whole reading found: many times
the 100 ms that an event was seen to be late, and soon enough to connect anew."""

_Item = TypeVar("_Item", Container, Network)


class MissingEvents:
    """Events that have to come yet: ids and names of what they are about."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._deadline = 0.0

    def came(self, item_id: str) -> None:
        """An event about this container or network has come."""
        self._names.pop(item_id, None)

    def came_unread(self) -> None:
        """An event has come of which nobody knows what it is about: any of these, it may be."""
        self._names.clear()

    def compare(
        self,
        reported: Inventory,
        found: Inventory,
        now: float,
        *,
        excused: Collection[str],
        swarm: bool,
    ) -> None:
        """Expect an event for each difference between what was reported and what was found.

        ``excused`` are ids about which the two may differ.
        """
        differences = _differences(reported, found, swarm=swarm)
        missing = {i: name for i, name in differences.items() if i not in excused}
        if missing:
            self._names |= missing
            self._deadline = now + EVENT_PATIENCE

    def deadline(self) -> float | None:
        """Return when the patience ends, None if no event is missing."""
        return self._deadline if self._names else None

    def overdue(self, now: float) -> tuple[str, ...]:
        """Return the names of what no event reported in time."""
        return tuple(self._names.values()) if self._names and now >= self._deadline else ()

    def __bool__(self) -> bool:
        return bool(self._names)


def _differences(reported: Inventory, found: Inventory, *, swarm: bool) -> dict[str, str]:
    """Names by id. A swarm moves endpoints and ports without an event, and its networks come from
    other nodes.
    """
    if swarm:
        return _unlike(reported.containers, found.containers, lambda c: c.name)
    return _unlike(reported.containers, found.containers, _without_image) | _unlike(
        reported.networks, found.networks, lambda n: n
    )


def _without_image(container: Container) -> Container:
    """Without what depends on its image: no event reports that a tag moved or an image is gone."""
    return replace(container, image="", labels=())


def _unlike(
    reported: Iterable[_Item], found: Iterable[_Item], essence: Callable[[_Item], object]
) -> dict[str, str]:
    before, after = {i.id: i for i in reported}, {i.id: i for i in found}
    unlike = {}
    for item_id in before.keys() | after.keys():
        old, new = before.get(item_id), after.get(item_id)
        either = new or old
        if either is None or old is new:
            continue
        if old is None or new is None or essence(old) != essence(new):
            unlike[item_id] = one_line(either.name)
    return unlike
