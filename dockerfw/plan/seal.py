"""What the seal needs on the way from the live to the wanted one. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from dockerfw.plan.state import SealState
from dockerfw.plan.steps import ChangeSeal, ReplaceSeal, WriteSeal
from dockerfw.rules.ruleset import Seal

WHY_RELEASE = "the seal: ports that nobody publishes any more"
WHY = "the seal"


@dataclass(frozen=True, slots=True)
class SealUpdate:
    """The writes that bring the seal up to date; None: nothing to do.

    ``release`` takes out the host ports that are no longer guarded. It has to come before our
    chains stop to mark what goes there; ``rest`` comes when they mark all that has to pass.
    """

    release: WriteSeal | None = None
    rest: WriteSeal | None = None


def update_seal(live: SealState | None, wanted: SealState, seal: Seal) -> SealUpdate:
    """Return the writes that turn ``live`` into ``wanted``, which is the state of ``seal``.

    Where only elements of sets differ, only those are written: the rules keep their counters.
    """
    if live == wanted:
        return SealUpdate()
    if live is None:
        return SealUpdate(rest=WriteSeal(WHY, ReplaceSeal(seal)))
    gone = live.elements - wanted.elements
    released = frozenset(element for element in gone if element.guards)
    release = WriteSeal(WHY_RELEASE, ChangeSeal(deleted=released)) if released else None
    if live.frame != wanted.frame:
        return SealUpdate(release, WriteSeal(WHY, ReplaceSeal(seal)))
    added = wanted.elements - live.elements
    change = ChangeSeal(added, gone - released)
    rest = WriteSeal(WHY, change) if change.added or change.deleted else None
    return SealUpdate(release, rest)
