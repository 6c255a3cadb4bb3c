"""Does the policy in force hold: asked by packets from a host outside, and answered by `explain`.
Where none is in force: is what `audit` says so.

Sends to this host's own containers alone, in the name of nobody whom this host has to do with, and
changes no rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dockerfw.kernel.outside import Outside
from dockerfw.model.policy import Policy
from dockerfw.operations.bridge_owners import ask_docker
from dockerfw.operations.policy_in_force import NOTHING_APPLIED, read_policy_in_force
from dockerfw.operations.reconcile import fitted, with_foreign_ports
from dockerfw.operations.session import Session
from dockerfw.operations.standing import refuse_chains_of_nobody
from dockerfw.report import audit, probe as report


def probe(
    session: Session, outside: Outside, target: str | None = None, sources: Sequence[str] = ()
) -> report.Probed:
    """Return what came of every way that could be tried.

    ``sources`` are whom to play, in place of those that the policy names. What seems to disagree is
    tried once more, with everything read anew: containers come and go. Another probe is waited for.
    Raises `Failed` without root or Docker.
    """
    session.require_root()
    policy, _, problem = read_policy_in_force(session.store)
    in_force = problem != NOTHING_APPLIED
    if problem and in_force:
        session.notify(f"warning: {problem}")
    with session.store.one_probe(session.notify):
        probing = _Probing(session, outside, policy if in_force else None, target, sources)
        found = probing.once()
        return found if found.agrees else probing.once()


class _Probing:
    """One probe; whom it plays stays the same when it is made again."""

    def __init__(
        self,
        session: Session,
        outside: Outside,
        policy: Policy | None,
        target: str | None,
        sources: Sequence[str],
    ) -> None:
        self._session = session
        self._outside = outside
        self._policy = policy
        self._target = target
        self._sources = sources
        self._callers: tuple[report.Caller, ...] = ()
        self._nobody: tuple[report.NotTried, ...] = ()

    def once(self) -> report.Probed:
        session = self._session
        in_force = self._policy and self._policy.without_ended(session.clock.time())
        policy = in_force or report.NO_POLICY
        with session.phase("reading what stands"):
            host = _host(session, in_force)
        if not self._callers:
            self._choose(policy, host)
        with session.phase("asking what has to come of it"):
            plan = report.plan(in_force, host, self._callers, self._target)
        with session.phase("sending packets from outside"):
            heard = self._outside.knock([one.knock for one in plan.tries])
        return report.judged(
            plan.tries,
            heard,
            (*self._nobody, *plan.not_tried),
            host.tables,
            on_deny=policy.on_deny,
            observing=policy.mode == "observe",
            in_force=in_force is not None,
        )

    def _choose(self, policy: Policy, host: audit.Host) -> None:
        """Decide whom to play: once, since what was sent leaves connections of theirs behind."""
        found, without = report.candidates(policy, host.inventory, host.facts, self._sources)
        without_family = self._outside.not_played()
        unlike = {one.family for one in found if one.family in without_family}
        found = tuple(one for one in found if one.family not in without_family)
        in_use = self._outside.in_use([a for one in found for a in one.addresses])
        self._callers, busy = report.chosen(found, in_use)
        left_out = (report.NotTried(f"IPv{f}", without_family[f]) for f in sorted(unlike))
        self._nobody = (*without, *left_out, *busy)


def _host(session: Session, policy: Policy | None) -> audit.Host:
    kernel = session.kernel
    facts, inventory = ask_docker(session, policy or report.NO_POLICY, kernel.facts())
    facts = fitted(facts, inventory)
    if policy is None:
        refuse_chains_of_nobody(kernel, facts)
    host = audit.Host(with_foreign_ports(inventory, facts), facts)
    around, tables = kernel.surroundings(), kernel.foreign_tables(facts)
    return replace(host, around=around, tables=tables, policy=policy)
