"""Put a policy in force: checked, planned, with a way back, written.

Takes a policy file and on which terms it may be applied; gives what was planned and written, and
which confirmation it waits for. Asking for that confirmation is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dockerfw.errors import Failed, PolicyError
from dockerfw.model.history import Entry
from dockerfw.operations.confirm import under_lock
from dockerfw.operations.plan import PolicyPlan, begin_plan
from dockerfw.operations.policy_in_force import locked_down
from dockerfw.operations.session import Session
from dockerfw.policy.files import PolicyText, collect
from dockerfw.report import host_warnings
from dockerfw.report.diff import Diff
from dockerfw.report.lost import given
from dockerfw.state.confirm import Pending
from dockerfw.state.stored_policy import Applied

AGREEMENTS = 5
"""So often it is asked for one at most: what would change may be another thing each time."""
_LOCKED_DOWN = "all was locked down meanwhile: apply again, if that is meant to end"


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms a policy is applied.

    strict                 warnings refuse it
    allow_unenforced       also what cannot be enforced on every path of this host
    confirm_seconds        it is rolled back unless confirmed within so many seconds
    first_confirm_seconds  the same, for the first apply on this host, if something closes by it
    afar_confirm_seconds   the same, for each apply by which something opens or closes
    """

    strict: bool = False
    allow_unenforced: bool = False
    confirm_seconds: int | None = None
    first_confirm_seconds: int | None = None
    afar_confirm_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Act:
    """Who puts a policy in force, by which command and why: what `History` keeps of it.

    ``before`` is the number of the policy to go back to from there; None: the one that was in
    force. ``begin`` is called under the lock, before anything is written, and raises to stop it.
    """

    user: str = ""
    what: str = "apply"
    reason: str = ""
    before: int | None = None
    begin: Callable[[], None] = lambda: None


APPLY = Act()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an apply did: ``steps`` counts what was written; ``pending`` waits for `confirm`.

    ``first``: none was in force before.
    """

    planned: PolicyPlan
    steps: int
    pending: Pending | None
    first: bool = False


def apply(
    session: Session,
    config: Path,
    terms: Terms,
    start_rollback: Callable[[Pending], None],
    ask: Callable[[Session, PolicyText], Callable[[], PolicyPlan]] = begin_plan,
    agree: Callable[[PolicyPlan], None] | None = None,
    act: Act = APPLY,
) -> Outcome:
    """Put the policy of ``config`` in force; see `put_in_force`."""
    session.require_root()
    config = config.absolute()
    with session.phase("reading the policy"):
        text = collect(config, for_kernel=True)
    return put_in_force(session, text, config, terms, start_rollback, ask, agree, act)


def put_in_force(
    session: Session,
    text: PolicyText,
    config: Path,
    terms: Terms,
    start_rollback: Callable[[Pending], None],
    ask: Callable[[Session, PolicyText], Callable[[], PolicyPlan]],
    agree: Callable[[PolicyPlan], None] | None,
    act: Act,
) -> Outcome:
    """Put a policy in force that ``config`` has or had, and make the kernel match it.

    ``start_rollback`` is called before anything is written, with what may have to be undone.
    ``ask`` asks this host and Docker, and returns what plans by the answers. The lock is held
    while that plans and its plan is written, and not while Docker is waited for. ``agree`` gets
    the plan before anything is written, with the lock free, and raises where it is not agreed to;
    what is written is no other plan than that.
    Raises `PolicyError` for a policy that is refused and `Failed` for what cannot be enforced here
    or does not stay as written.
    """
    with under_lock(session):  # what is overdue is rolled back first
        lockdown = session.store.policy.lockdown_stamp()
    agreed: Diff | None = None
    for _ in range(AGREEMENTS):
        finish = ask(session, text)
        with under_lock(session):
            planned = finish()
            _refuse(planned, terms)
            with session.phase("working out what opens and closes"):
                changes = planned.changes
            if agree is None or not changes.matters or changes == agreed:
                # A lockdown that came meanwhile is meant; it waits for nobody who is slow.
                if session.store.policy.lockdown_stamp() != lockdown:
                    raise Failed(_LOCKED_DOWN)
                act.begin()
                return _put_in_force(session, planned, config, terms, start_rollback, act)
        if agreed is not None:
            session.notify("meanwhile it would change something else:")
        agree(planned)
        agreed = changes
    raise Failed("what would change is another thing each time: apply --yes asks for no agreement")


def _put_in_force(
    session: Session,
    planned: PolicyPlan,
    config: Path,
    terms: Terms,
    start_rollback: Callable[[Pending], None],
    act: Act,
) -> Outcome:
    """Write the plan, with a way back where one is wanted. The caller holds the lock."""
    before = session.store.policy.applied()
    first = before is None
    pending = _begin_confirm(session, planned, terms, start_rollback, first=first)
    steps = _write(session, planned, config, act, before.number if before is not None else 0)
    if session.store.policy.locked_down():
        closed = locked_down(session.store)
        session.reconciler.commit(closed, planned.checked.inventory, planned.checked.facts)
        raise Failed(_LOCKED_DOWN)
    if pending is None:
        # Not before: who is killed in between has kept what nobody confirmed.
        session.store.confirm.keep()
    return Outcome(planned, steps, pending, first)


def _refuse(planned: PolicyPlan, terms: Terms) -> None:
    unenforced = planned.checked.unenforced
    if unenforced and not terms.allow_unenforced:
        reasons = "; ".join(unenforced)
        raise Failed(f"this policy cannot hold here: {reasons} (or apply --allow-unenforced)")
    if terms.strict and planned.warnings:
        raise PolicyError([f"{warning} (--strict)" for warning in planned.warnings])


def _begin_confirm(
    session: Session,
    planned: PolicyPlan,
    terms: Terms,
    start_rollback: Callable[[Pending], None],
    *,
    first: bool,
) -> Pending | None:
    seconds = terms.confirm_seconds
    by_itself = terms.first_confirm_seconds if first else terms.afar_confirm_seconds
    if seconds is None and by_itself is not None and planned.changes.matters:
        seconds = by_itself
    if seconds is None:
        return None
    pending = session.store.confirm.begin(session.clock.time() + seconds)
    start_rollback(pending)
    return pending


def _write(session: Session, planned: PolicyPlan, config: Path, act: Act, current: int) -> int:
    """The copy first, then the kernel: who is killed in between has the new policy in force.

    ``current`` is the number of the policy that was in force; 0: none was.
    """
    checked = planned.checked
    number = session.store.history.number_for(checked.text, current)
    # Loaded at boot only where it was on: it changes what every bridge of the host does.
    needed = host_warnings.needs_br_netfilter(checked.policy, checked.inventory, checked.facts)
    applied = Applied(
        str(config),
        session.clock.time(),
        checked.facts.flavour,
        br_netfilter=needed and not checked.unenforced,
        given=given(checked.facts),
        number=number,
    )
    session.store.policy.replace(checked.text, applied)
    session.store.policy.set_lockdown(False)
    with session.phase("writing the rules"):
        result = session.reconciler.commit(
            checked.policy, checked.inventory, checked.facts, planned.observation
        )
    session.store.last_seen.remember(checked.inventory)
    session.store.last_seen.remember_host(checked.facts)
    entry = Entry(
        number,
        applied.at,
        act.user,
        act.what,
        act.reason,
        planned.changes.opens,
        planned.changes.closes,
        applied.config,
        before=current if act.before is None else act.before,
    )
    _keep(session, entry)
    return result.steps


def _keep(session: Session, entry: Entry) -> None:
    """A policy that cannot be kept to go back to is in force all the same."""
    try:
        session.store.history.keep(entry)
    except Failed as error:
        session.notify(f"warning: dockerfw rollback will not find this policy: {error}")
