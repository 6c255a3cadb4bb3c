"""What the watcher reports to the daemon's main loop."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeAlias

from dockerfw.docker.engine import EngineInfo
from dockerfw.docker.events import Event
from dockerfw.model.inventory import Inventory
from dockerfw.model.policy import NOTHING, Needs

_MOST_WARNINGS = 10
"""Of one report: more are not read by anybody, and one cause often gives hundreds."""


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection stands, and this is all that runs. Also the first report of all."""

    inventory: Inventory
    engine: EngineInfo
    warnings: tuple[str, ...] = ()
    knows: Needs = NOTHING


@dataclass(frozen=True, slots=True)
class Changed:
    """What runs now; what did not change is the same object as before.

    ``events`` are those that led here: none where a second reading, a whole reading or
    `Watcher.need` did. ``whole``: everything was read after `Watcher.resync`, and events had
    reported all of it but for ``missed``, names of what no event reported. ``knows``: what the
    inventory has of containers.
    """

    inventory: Inventory
    events: tuple[Event, ...] = ()
    warnings: tuple[str, ...] = ()
    whole: bool = False
    missed: tuple[str, ...] = ()
    knows: Needs = NOTHING

    def followed_by(self, then: Changed) -> Changed:
        """Return one report for this one and the next."""
        return replace(
            then,
            events=self.events + then.events,
            warnings=limited((*self.warnings, *then.warnings)),
            whole=self.whole or then.whole,
            missed=self.missed + then.missed,
        )


@dataclass(frozen=True, slots=True)
class Lost:
    """Docker does not answer, or its events ended; `Connected` follows some time.

    It is reported once, however many attempts to connect fail.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """An engine whose packets this kernel does not filter answers; the watch is over."""

    reason: str


Report: TypeAlias = Connected | Changed | Lost | Refusal


def limited(warnings: Iterable[str]) -> tuple[str, ...]:
    """Return each warning once, and the number of those that are too many."""
    different = tuple(dict.fromkeys(warnings))
    if len(different) <= _MOST_WARNINGS:
        return different
    more = len(different) - _MOST_WARNINGS + 1
    return (*different[: _MOST_WARNINGS - 1], f"and {more} more warnings of this kind")
