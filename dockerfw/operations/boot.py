"""What can be installed without Docker: before it starts, and wherever it does not answer."""

from __future__ import annotations

from dataclasses import replace

from dockerfw.model.host import Flavour, HostFacts
from dockerfw.model.inventory import Inventory
from dockerfw.model.policy import Policy
from dockerfw.operations.bridge_owners import by_record
from dockerfw.operations.policy_in_force import read_policy_in_force
from dockerfw.operations.reconcile import Result
from dockerfw.operations.session import Session
from dockerfw.operations.standing import chains_and_seal_stand
from dockerfw.report import host_warnings


def boot(session: Session) -> str:
    """Install all that needs no container; return what was done, as a sentence."""
    session.require_root()
    with session.store.lock(session.notify):
        return install_before_docker(session)


def install_before_docker(session: Session) -> str:
    """As `boot`; the caller holds the lock."""
    if session.store.confirm.pending():  # the host went down before anybody confirmed it
        session.store.confirm.restore_previous()
    if not session.store.policy.exists() and not session.store.policy.locked_down():
        return "no policy was ever applied: nothing to install"
    policy, _, problem = read_policy_in_force(session.store)
    # Docker's own chains, which tell its flavour of iptables, do not stand yet.
    facts = session.kernel.facts(prefer=_last_flavour(session))
    # By what was last seen: Docker's networks outlive a reboot.
    unenforced = host_warnings.unenforced(policy, session.store.last_seen.inventory(), facts)
    if chains_and_seal_stand(session.kernel.read_rules(facts), facts):
        done = "the chains stand already: nothing changed"
    else:
        install_closed(session, policy, facts)
        done = problem or "closed by the policy in force, until Docker and the next apply say more"
    return "; but NOT ON EVERY PATH: ".join([done, *unenforced])


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


def _last_flavour(session: Session) -> Flavour | None:
    applied = session.store.policy.applied()
    return applied.flavour if applied else None
