"""A line of Docker's event stream -> `Event`.

Pure: takes one line as it came, gives the event, None for one that changes nothing here, or a
`Misread` with a sentence about what is wrong with it. It never raises and never asks Docker.

Which events matter: a container's addresses and ports change when it starts or dies, and when it
joins or leaves a network while it runs. Health checks alone make three events each (``exec_*``),
so Docker is asked for those of `FILTERS` only.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal, TypeAlias

from dockerfw.docker.json_values import Json, MalformedError, as_object, as_text, one_line

Kind: TypeAlias = Literal["container", "network", "daemon"]

_KINDS: dict[str, Kind] = {"container": "container", "network": "network", "daemon": "daemon"}
_IGNORED_KINDS = frozenset({"builder", "config", "image", "node", "plugin", "secret", "service"})
_IGNORED_KINDS |= {"volume", "snapshotter"}
_ACTED_ON: dict[Kind, frozenset[str]] = {
    "container": frozenset({"start", "die", "destroy", "rename"}),
    "network": frozenset({"connect", "disconnect", "create", "update", "remove", "destroy"}),
    "daemon": frozenset({"reload"}),
}
_IGNORED_ACTIONS: dict[Kind, frozenset[str]] = {
    "container": frozenset(
        {
            "archive-path",
            "attach",
            "checkpoint",
            "commit",
            "copy",
            "create",
            "detach",
            "exec_create",
            "exec_detach",
            "exec_die",
            "exec_start",
            "export",
            "extract-to-dir",
            "health_status",
            "kill",
            "oom",
            "pause",
            "prune",
            "resize",
            "restart",
            "stop",
            "top",
            "unpause",
            "update",
        }
    ),
    "network": frozenset({"prune"}),
    "daemon": frozenset(),
}
"""Known and of no effect here. What is in neither table is new: it is reported, so that it is
noticed, and everything is read."""

FILTERS: dict[str, list[str]] = {
    "type": list(_KINDS),
    "event": sorted(frozenset[str]().union(*_ACTED_ON.values())),
}
"""What to ask of ``GET /events``."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened in Docker.

    ``id`` is the container's or the network's; ``container`` is the id of the container that a
    network event is about. ``at`` is Docker's own time of it, in Unix seconds; 0 if it gave none.
    """

    kind: Kind
    action: str
    id: str = ""
    name: str = ""
    container: str = ""
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Misread:
    """An event that is malformed, or of a kind that is not known here, as a sentence."""

    sentence: str


def read_event(line: bytes) -> Event | Misread | None:
    """Return what one line of ``GET /events`` means; None if it changes nothing here.

    Engines to 28 send ``status``, ``id`` and ``from`` as well; API 1.52 and later leaves them out.
    """
    try:
        return _event(as_object(json.loads(line)))
    except (ValueError, RecursionError) as error:  # broken JSON and MalformedError are ValueErrors
        shown = one_line(line.decode(errors="replace"))
        return Misread(f"an event of Docker makes no sense ({one_line(error)}): {shown}")


def _event(entry: Json) -> Event | Misread | None:
    kind_given, action = as_text(entry.get("Type")), as_text(entry.get("Action"))
    if not kind_given or not action:
        raise MalformedError("it has no type or no action")
    if kind_given in _IGNORED_KINDS:
        return None
    kind = _KINDS.get(kind_given)
    action = action.partition(":")[0]  # exec_start: COMMAND, health_status: healthy
    if kind is not None and action in _IGNORED_ACTIONS[kind]:
        return None
    if kind is None or action not in _ACTED_ON[kind]:
        return Misread(f"Docker tells of something new: {one_line(f'{kind_given} {action}')}")
    actor = as_object(entry.get("Actor"))
    attributes = as_object(actor.get("Attributes"))
    event = Event(
        kind=kind,
        action=action,
        id=as_text(actor.get("ID")),
        name=as_text(attributes.get("name")),
        container=as_text(attributes.get("container")) if kind == "network" else "",
        at=_time(entry),
    )
    if kind != "daemon" and not event.id:
        raise MalformedError("it has no id")
    return event


def _time(entry: Json) -> float:
    """``timeNano``, else ``time``: whole nanoseconds, whole seconds."""
    for key, unit in (("timeNano", 1e9), ("time", 1.0)):
        value = entry.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 63:
            return value / unit
    return 0.0
