"""What holds now: the policy in force held against what runs and what stands in the kernel.

Reads everything and writes nothing; gives a `Status`.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from dockerfw.docker.engine import Refused
from dockerfw.errors import DockerfwError
from dockerfw.kernel.interface import Kernel
from dockerfw.model.denial import Denial
from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Inventory, is_interface_name
from dockerfw.model.policy import Policy
from dockerfw.operations.boot import without_addresses
from dockerfw.operations.bridge_owners import ask_docker, by_record
from dockerfw.operations.denied import started
from dockerfw.operations.policy_in_force import NOTHING_APPLIED, InForce, read_policy_in_force
from dockerfw.operations.reconcile import Observation, with_foreign_ports
from dockerfw.operations.session import Session
from dockerfw.operations.standing import chains_stand
from dockerfw.plan import planner
from dockerfw.plan.steps import Plan, Step
from dockerfw.policy.files import PolicyText, collect
from dockerfw.report import host_warnings, status, warnings as advice
from dockerfw.report.bypasses import bypasses
from dockerfw.report.denied import NOT_ASKED
from dockerfw.report.endings import ended
from dockerfw.report.lost import lost
from dockerfw.report.obstacles import published_obstacles
from dockerfw.report.traffic import counted_sets
from dockerfw.report.unfiltered import not_filtered
from dockerfw.state.daemon_record import DaemonState
from dockerfw.state.stored_policy import Applied

DAEMON_PATIENCE = 3.0
"""Seconds that ``status`` waits for a daemon that is at work."""
DOCKER_SILENT = "Docker does not answer"
PAUSE = 0.3
"""Seconds between two observations meanwhile."""


class _Snapshot(NamedTuple):
    """What runs, what stands, and why Docker does not answer (None while it does)."""

    inventory: Inventory
    observation: Observation
    silent: str | None


def read_status(session: Session, config: Path) -> status.Status:
    """Return what holds now; with Docker silent, by what was last seen of it.

    ``config`` is where the first policy is expected, as long as none was applied.
    """
    session.require_root()
    with session.phase("reading the policy in force"):
        in_force = read_policy_in_force(session.store)
    daemon_alive = session.store.daemon.alive()
    patience = DAEMON_PATIENCE if daemon_alive else 0.0
    with session.phase("comparing it with what stands"):
        found = _observe_patiently(session, in_force.policy, patience)
    daemon = session.store.daemon.read() if daemon_alive else None
    with session.phase("reading rules of others"):
        health = _health(session, in_force, found, daemon, config, daemon_alive=daemon_alive)
    ruleset = found.observation.ruleset
    with session.phase("counting packets"):
        denials = _denials(session)
        seen = status.Counted(
            session.kernel.set_counters(counted_sets(ruleset)),
            denials,
            session.store.counting.since(),
            session.clock.time(),
            NOT_ASKED if found.silent else started(session, denials, found.inventory),
        )
    facts = found.observation.facts
    return status.build(health, seen, ruleset, in_force.policy, found.inventory, facts)


def _denials(session: Session) -> tuple[Denial, ...]:
    """Return none as well where the records cannot be read: all else is told without them."""
    with suppress(DockerfwError):
        return session.kernel.denials()
    return ()


def _observe_patiently(session: Session, policy: Policy, seconds: float) -> _Snapshot:
    """Observe until all is in sync, for so many seconds at the most.

    A daemon follows a change of Docker a moment later, records a moment later what runs, and guards
    the ports of a container that is gone for a little longer.
    """
    deadline = session.clock.monotonic() + seconds
    while True:
        facts = session.kernel.facts()
        silent = None
        try:
            facts, inventory = ask_docker(session, policy, facts)
        except Refused:
            raise
        except DockerfwError as error:
            silent, inventory = str(error), session.store.last_seen.inventory()
            facts = by_record(facts, session.store.last_seen)
        observe = partial(_observe, session, policy, facts, silent, lenient=seconds > 0)
        found = observe(inventory)
        if silent and not found.observation.plan.in_sync:
            # Who has taken an address since nobody knows: boot, and a daemon that saw an interface
            # vanish, let nobody in by what was last seen.
            bare = observe(without_addresses(inventory))
            found = bare if bare.observation.plan.in_sync else found
        if found.observation.plan.in_sync or session.clock.monotonic() >= deadline:
            return found
        session.clock.sleep(PAUSE)


def _observe(
    session: Session,
    policy: Policy,
    facts: HostFacts,
    silent: str | None,
    inventory: Inventory,
    *,
    lenient: bool,
) -> _Snapshot:
    """``lenient``: host ports that are guarded for a little longer are no difference."""
    inventory = with_foreign_ports(inventory, facts)
    seen = session.reconciler.observe(policy, inventory, facts)
    if lenient and planner.only_releases_ports(seen.plan):
        seen = replace(seen, plan=Plan())
    return _Snapshot(inventory, seen, silent)


def _health(
    session: Session,
    in_force: InForce,
    found: _Snapshot,
    daemon: DaemonState | None,
    config: Path,
    *,
    daemon_alive: bool,
) -> status.Health:
    policy, text, problem = in_force
    inventory, seen, _ = found
    facts = seen.facts
    store = session.store
    applied = store.policy.applied()
    tables = session.kernel.foreign_tables(facts)
    first_step = _first_step(problem, seen, config)
    first_packet, step = _first_packet(session.kernel, seen, daemon_alive=daemon_alive)
    # What was last seen is good enough while Docker is down, and not for a socket that was named.
    unchecked = found.silent is not None and session.docker_host is not None
    return status.Health(
        enforcing=chains_stand(seen.live) and policy.mode == "enforce",
        observing=policy.mode == "observe",
        unchecked=unchecked,
        in_sync=(
            seen.plan.in_sync
            and not unchecked
            and not (problem and not store.policy.locked_down())
            and not store.confirm.overdue(session.clock.time())
        ),
        notes=_notes(session, problem, found, daemon, begun=first_step is None),
        unwritten=tuple(map(_what, seen.plan.steps)),
        first_step=first_step,
        daemon_alive=daemon_alive,
        reconciled_at=daemon.reconciled_at if daemon else None,
        healed=daemon.healed if daemon else 0,
        policy=applied.config if applied else None,
        policy_differs=_differs(applied, text),
        applied_at=applied.at if applied else None,
        seal=_seal_state(session.kernel, seen),
        flavour=facts.flavour,
        engine=inventory.engine,
        backend=facts.backend,
        backend_reported=inventory.backend,
        warnings=host_warnings.while_observing(
            policy,
            (
                *(() if found.silent else host_warnings.docker_rules_gone(inventory, facts)),
                *host_warnings.odd_bridges(facts),
                *host_warnings.overlaps(inventory, facts),
                *host_warnings.spoofing_guessed(facts),
                *host_warnings.lost_without_seal(facts),
                *host_warnings.lost_without_labels(facts),
                *host_warnings.lost_without_frames(policy, inventory, facts),
                *(
                    ()
                    if daemon_alive
                    else host_warnings.lost_without_daemon(policy, inventory, facts)
                ),
                *not_filtered(policy, inventory),
                *published_obstacles(tables, inventory),
                *bypasses(tables),
                *ended(policy, session.clock.time()),
                *advice.nameless(policy),
                *_rules_that_do_nothing(policy, found, session.clock.time()),
            ),
        ),
        unenforced=(
            *host_warnings.unenforced(policy, inventory, facts),
            *(lost(applied.given, facts) if applied else ()),
        ),
        first_packet=first_packet,
        first_packet_step=step,
        lockdown=store.policy.locked_down(),
    )


def _rules_that_do_nothing(policy: Policy, found: _Snapshot, now: float) -> tuple[str, ...]:
    """Return what is wrong with rules for what runs now; not known while Docker is silent."""
    if found.silent or policy.locked_down:
        return ()
    return advice.advise_on_rules(
        policy.without_ended(now), found.inventory, found.observation.facts
    )


def _notes(
    session: Session,
    problem: str | None,
    found: _Snapshot,
    daemon: DaemonState | None,
    *,
    begun: bool,
) -> tuple[str, ...]:
    """What is not in sync or was found broken, the most important first.

    ``begun``: a policy was applied; before that there is nothing to be in sync with.
    """
    plan = found.observation.plan
    notes = [] if problem is None or not begun else [problem]
    if found.silent:
        notes.append(f"{DOCKER_SILENT}, so this goes by what was last seen: {found.silent}")
    # Of one with an odd name there is a warning: no answer of Docker ends that.
    notes += map(host_warnings.cut_off_text, filter(is_interface_name, _cut_off(found)))
    notes += [note.text for note in plan.notes if begun]
    if daemon is not None:
        # That Docker does not answer is said once, by who has just asked.
        told = [n for n in daemon.notes if not (found.silent and n.startswith(DOCKER_SILENT))]
        notes += [note for note in told if note not in notes]
    if session.store.confirm.overdue(session.clock.time()):
        notes.append(
            "nobody confirmed the last apply in time: run dockerfw confirm, which rolls it back now"
        )
    elif session.store.confirm.pending():
        notes.append("an apply waits for dockerfw confirm")
    return tuple(notes)


def _first_step(problem: str | None, seen: Observation, config: Path) -> str | None:
    """Return the next step where no policy was ever applied and nothing of ours stands."""
    if problem != NOTHING_APPLIED or chains_stand(seen.live):
        return None
    if config.exists():
        return "dockerfw plan"
    return f"dockerfw init -o {config}, then dockerfw plan"


def _what(step: Step) -> str:
    return step.why if step.family is None else f"{step.why} (IPv{step.family})"


def _cut_off(found: _Snapshot) -> tuple[str, ...]:
    seen = found.observation
    if seen.ruleset.seal.observe:
        return ()
    return host_warnings.cut_off(seen.live.seal, found.inventory, seen.facts)


def _differs(applied: Applied | None, text: PolicyText | None) -> bool:
    """Return True if the policy file was edited since it was applied."""
    if applied is None or text is None:
        return False
    try:
        now = collect(Path(applied.config), for_kernel=False)
    except DockerfwError:
        return True
    return now != text


def _first_packet(
    kernel: Kernel, seen: Observation, *, daemon_alive: bool
) -> tuple[status.FirstPacketState, str | None]:
    """By what stands, not by what could: a seal that is missing closes nothing. And what to do."""
    proxy, wanted = seen.facts.proxy, seen.ruleset.seal
    step = host_warnings.proxy_next_step(seen.facts)
    if proxy.first_packet != "closed":
        return ("no proxy" if proxy.first_packet == "no proxy" else "open"), step
    stands = kernel.closes_proxies(seen.live.seal, wanted)
    if proxy.cgroup is not None and proxy.cgroup.unit and not daemon_alive:
        step = host_warnings.proxy_lasting_step(stands=stands)
    if not stands:
        return "open", step
    if wanted.observe:
        return "observed", step
    return ("closed" if step is None else "until restart"), step


def _seal_state(kernel: Kernel, seen: Observation) -> status.SealCondition:
    if not seen.facts.nf_tables:
        return "unavailable"
    if seen.live.seal is None or "inet" not in seen.live.seal.tables:
        return "missing"
    as_wanted = seen.plan.in_sync or seen.live.seal == kernel.identity.seal(seen.ruleset.seal)
    return "stands" if as_wanted else "differs"
