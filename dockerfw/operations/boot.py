"""What can be installed without Docker: before it starts, and wherever it does not answer."""

from __future__ import annotations

from dataclasses import replace

from dockerfw.model.host import Flavour, HostFacts
from dockerfw.model.inventory import Inventory
from dockerfw.model.policy import Policy
from dockerfw.operations.bridge_owners import by_record
from dockerfw.operations.policy_in_force import read_policy_in_force
from dockerfw.operations.reconcile import Result
from dockerfw.operations.rollback import restore
from dockerfw.operations.session import Session
from dockerfw.operations.standing import chains_and_seal_stand
from dockerfw.report import host_warnings
from dockerfw.report.lost import lost

_NOTHING = "no policy was ever applied: NOTHING IS CLOSED before the first dockerfw apply"


def boot(session: Session) -> str:
    """Install all that needs no container; return what was done, as a sentence."""
    session.require_root()
    with session.store.lock(session.notify):
        return install_before_docker(session)


def install_before_docker(session: Session) -> str:
    """As `boot`; the caller holds the lock.

    An apply that waits is rolled back when it is overdue, or when nothing stands: the host went
    down before anybody confirmed it.
    """
    store = session.store
    if not store.policy.exists() and not store.policy.locked_down():
        store.confirm.end(kept=False)  # killed before it wrote anything
        return _NOTHING
    # Docker's own chains, which tell its flavour of iptables, do not stand yet.
    facts = session.kernel.facts(prefer=last_flavour(session))
    stand = chains_and_seal_stand(session.kernel.read_rules(facts), facts)
    unconfirmed = store.confirm.pending()
    undo = unconfirmed is not None and (not stand or unconfirmed.overdue(session.clock.time()))
    if undo and not restore(store, session.reconciler, session.notify):
        return _NOTHING
    policy, _, problem = read_policy_in_force(store)
    if stand and not undo:
        done = "the chains stand already: nothing changed"
    else:
        install_closed(session, policy, facts)
        done = problem or "closed by the policy in force, until Docker and the next apply say more"
    if undo:
        store.confirm.end(kept=False)
    # By what was last seen: Docker's networks outlive a reboot.
    unenforced = host_warnings.unenforced(policy, store.last_seen.inventory(), facts)
    applied = store.policy.applied()
    gone = lost(applied.given, facts) if applied else ()
    return "; but NOT ON EVERY PATH: ".join([done, *unenforced, *gone])


def install_closed(session: Session, policy: Policy, facts: HostFacts) -> Result:
    """Commit the policy for what was last seen of Docker, less what need not be true any more."""
    last_seen = session.store.last_seen
    bare = without_addresses(last_seen.inventory())
    return session.reconciler.commit(policy, bare, by_record(facts, last_seen))


def without_addresses(inventory: Inventory) -> Inventory:
    """Return what survives a reboot: networks and host ports, but no container's address."""
    bare = tuple(
        replace(c, endpoints=tuple(replace(e, ipv4=None, ipv6=None) for e in c.endpoints))
        for c in inventory.containers
    )
    return replace(inventory, containers=bare)


def last_flavour(session: Session) -> Flavour | None:
    """Return the flavour of iptables that the last apply met; None: there was none."""
    applied = session.store.policy.applied()
    return applied.flavour if applied else None
