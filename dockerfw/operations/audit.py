"""Every way in to every container of this host; needs no policy, and writes nothing."""

from __future__ import annotations

from dataclasses import replace

from dockerfw.model.policy import Policy
from dockerfw.operations.bridge_owners import ask_docker
from dockerfw.operations.policy_in_force import read_policy_in_force
from dockerfw.operations.reconcile import fitted, with_foreign_ports
from dockerfw.operations.session import Session
from dockerfw.operations.standing import chains_and_seal_stand, chains_stand
from dockerfw.operations.status import DAEMON_PATIENCE, PAUSE
from dockerfw.plan import planner
from dockerfw.report import audit as report


def audit(session: Session) -> report.Audit:
    """Return what is open now, and to whom. Raises `Failed` without root or Docker."""
    session.require_root()
    policy = read_policy_in_force(session.store).policy
    with session.phase("reading what stands"):
        host = _read_patiently(session, policy)
        tables = session.kernel.foreign_tables(host.facts)
        host = replace(host, around=session.kernel.surroundings(), tables=tables)
    with session.phase("asking who gets in where"):
        return report.audit(host)


def _read_patiently(session: Session, policy: Policy) -> report.Host:
    """Read until all is in sync; where a daemon is at work it may need a moment for that."""
    patience = DAEMON_PATIENCE if session.store.daemon.alive() else 0.0
    deadline = session.clock.monotonic() + patience
    while True:
        host = _read(session, policy)
        if host.in_force != "not in sync" or session.clock.monotonic() >= deadline:
            return host
        session.clock.sleep(PAUSE)


def _read(session: Session, policy: Policy) -> report.Host:
    """Return what runs, and how far dockerfw is in force: by what stands, not by what should."""
    facts, inventory = ask_docker(session, policy, session.kernel.facts())
    facts = fitted(facts, inventory)
    inventory = with_foreign_ports(inventory, facts)
    host = report.Host(inventory, facts)
    seen = session.reconciler.observe(policy, inventory, facts)
    if not chains_stand(seen.live):
        return host
    policy = policy.without_ended(session.clock.time())
    in_sync = seen.plan.in_sync or planner.only_releases_ports(seen.plan)
    if not in_sync or not chains_and_seal_stand(seen.live, facts):
        return replace(host, in_force="not in sync", policy=policy)
    observes = policy.mode == "observe"
    return replace(host, in_force="observing" if observes else "enforcing", policy=policy)
