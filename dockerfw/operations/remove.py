"""Take dockerfw out of the kernel and forget the policy in force."""

from __future__ import annotations

from dockerfw.errors import DockerfwError, Failed
from dockerfw.model.inventory import Inventory
from dockerfw.operations.policy_in_force import CLOSED, read_policy_in_force
from dockerfw.operations.session import Session


def remove(session: Session) -> None:
    """Take out all of dockerfw and nothing else. Raises `Failed` while the daemon runs."""
    refuse_while_daemon_runs(session)
    with session.store.lock(session.notify):
        with session.phase("taking the rules out"):
            session.reconciler.remove()
        session.store.forget()


def refuse_while_daemon_runs(session: Session) -> None:
    """Raise `Failed` where `remove` would: before anybody is asked."""
    session.require_root()
    if session.store.daemon.alive():
        raise Failed("the daemon is running: systemctl stop dockerfw, then remove again")


def what_opens(session: Session) -> tuple[str, ...]:
    """Return what `remove` opens, a line a published port; Docker silent, by what was last seen.

    Nothing while observing: all is open already.
    """
    in_force = read_policy_in_force(session.store)
    if in_force.problem is None and in_force.policy.mode == "observe":
        return ()
    try:
        return _published(session.inventory(CLOSED))
    except DockerfwError:
        return _published(session.store.last_seen.inventory())


def _published(inventory: Inventory) -> tuple[str, ...]:
    lines = []
    for container in inventory.containers:
        for binding in container.ports:
            if binding.host_address.is_loopback:
                continue
            where = "" if binding.wildcard else f"{binding.host_address} "
            family = f"IPv{binding.host_address.version}"
            lines.append(
                f"{where}port {binding.host_port}/{binding.protocol} ({family}): "
                f"{container.name}:{binding.container_port}"
            )
    return tuple(sorted(lines))
