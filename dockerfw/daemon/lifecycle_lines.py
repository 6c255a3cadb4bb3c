"""Lines about the daemon itself: its start, repairs, the policy in force, Docker lost and back.

Pure. Takes what happened; gives a `Line` each, with an ``event`` among its fields.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from dockerfw.daemon.log_lines import Line, Value
from dockerfw.model.host import Cgroup
from dockerfw.model.inventory import Inventory
from dockerfw.model.policy import Policy
from dockerfw.text import counted, printable

HELD_UP = (
    "another dockerfw has been at work for over 5 s, an apply that waits or was stopped: nothing "
    "is written meanwhile, so a container that gets another one's address has what was allowed "
    "there"
)
"""An error while somebody else has the lock of the host."""


def starting(version: str, policy: Policy | None) -> Line:
    """Return the line for a start, the first one: with OBSERVING where nothing is dropped."""
    fields: dict[str, Value] = {"event": "starting", "version": version}
    if policy is None:
        text = f"dockerfw {version} starts; no policy was applied yet: run dockerfw apply"
        return Line("warning", text, fields)
    fields["mode"] = policy.mode
    observing = "OBSERVING: nothing is dropped; " if policy.mode == "observe" else ""
    return Line("info", f"{observing}dockerfw {version} starts", fields)


def ready(policy: Policy, inventory: Inventory, entries: int, *, held: bool = True) -> Line:
    """Return the line for when kernel, policy and Docker agree for the first time.

    ``held``: the policy holds on every path.
    """
    containers = len(inventory.containers)
    mode = "OBSERVING: nothing is dropped" if policy.mode == "observe" else "enforcing"
    mode += "" if held else " (NOT ON EVERY PATH)"
    text = (
        f"ready, {mode}: {counted(containers, 'container')}, "
        f"{counted(entries, 'set entry', 'set entries')}"
    )
    fields: dict[str, Value] = {"event": "ready", "mode": policy.mode}
    return Line("info", text, {**fields, "containers": containers, "entries": entries})


def repaired(what: str, writers: Collection[str] = ()) -> Line:
    """Return the line for a repair.

    ``what`` others had changed; ``writers`` are the processes that wrote rules.
    """
    by = ", ".join(sorted(printable(name) for name in writers))
    text = f"put right: {what}" + (f" (rules were written by {by})" if by else "")
    return Line("warning", text, {"event": "healed", "found": what, "by": by or None})


def policy_replaced(file: str, what: str) -> Line:
    """Return the line for another policy in force.

    It was read from ``file``; ``what`` it changed is empty for nothing.
    """
    text = f"policy replaced by {file}: {what or 'nothing opens or closes'}"
    return Line("info", text, {"event": "policy_replaced", "policy": file})


def unenforced(reasons: Sequence[str]) -> Line:
    """Return the line for when the policy does not hold on every path, or not any more."""
    text = f"the policy does NOT hold on every path: {'; '.join(reasons)}"
    return Line("error", text, {"event": "unenforced"})


def enforced_again() -> Line:
    """Return the line for when it does again."""
    return Line("info", "the policy holds on every path again", {"event": "enforced_again"})


def overlap(text: str) -> Line:
    """``text`` names the networks that share addresses."""
    return Line("warning", text, {"event": "overlap"})


def bridge_cut_off(bridge: str, text: str) -> Line:
    """``text`` says what becomes of it."""
    return Line("warning", text, {"event": "bridge_cut_off", "bridge": bridge})


def bridge_left_alone(bridge: str) -> Line:
    text = f"bridge {printable(bridge)} is not Docker's: left alone"
    return Line("info", text, {"event": "bridge_left_alone", "bridge": bridge})


def docker_lost(reason: str) -> Line:
    """Return the line for when Docker does not answer any more."""
    text = f"Docker does not answer, the rules stay as they are: {reason}"
    return Line("warning", text, {"event": "docker_lost"})


def docker_back(seconds: float) -> Line:
    """Return the line for when Docker answers again, after so many seconds without it."""
    text = f"Docker answers again after {seconds:.1f} s: looking at everything"
    return Line("info", text, {"event": "docker_back", "seconds": round(seconds, 3)})


def dockerd_moved(cgroup: Cgroup | None) -> Line:
    """Return the line for when dockerd's cgroup is a new one; None: it has gone."""
    if cgroup is None:
        text = "dockerd's cgroup has gone: the seal goes by ports alone until there is a new one"
        return Line("info", text, {"event": "dockerd_moved", "cgroup": None})
    text = f"dockerd's cgroup {printable(cgroup.path)} is a new one: the seal goes by it"
    return Line("info", text, {"event": "dockerd_moved", "cgroup": cgroup.path})
