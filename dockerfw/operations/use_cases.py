"""What the commands do, free of the terminal: apply, roll back, boot, lock down, remove.

Each takes a `Session` (the edges of one host) and values, and gives values; errors are
`DockerfwError`. Printing and asking is ``cli/app.py``'s.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from dockerfw.dns import resolver as resolve
from dockerfw.docker.client import TIMEOUT, Docker
from dockerfw.errors import DockerfwError, Failed, PolicyError
from dockerfw.kernel import facts as kernel_facts
from dockerfw.kernel.ipset import driver as ipset
from dockerfw.kernel.iptables import driver as iptables
from dockerfw.kernel.nft import driver as seal
from dockerfw.kernel.runner import Runner
from dockerfw.model.host import Flavour, HostFacts
from dockerfw.model.inventory import Inventory
from dockerfw.model.policy import Policy
from dockerfw.operations.reconcile import Observation, Reconciler, Result, with_foreign_ports
from dockerfw.plan import jumps, planner as planning
from dockerfw.plan.state import KernelState, TablesState
from dockerfw.policy.files import PolicyText, collect
from dockerfw.report import explain, status, warnings as advice
from dockerfw.rules.compiler import compile_ruleset
from dockerfw.rules.ruleset import MAIN
from dockerfw.state.confirm import Pending
from dockerfw.state.store import Store
from dockerfw.state.stored_policy import Applied
from dockerfw.text import counted

CLOSED = Policy(baseline=())
"""What a lockdown enforces: nobody but this host reaches any container port."""

DAEMON_PATIENCE = 3.0
"""Seconds that ``status`` waits for a daemon that is at work."""

PANIC_PATIENCE = 2.0
"""Seconds that a lockdown waits for an answer of Docker: everything is open meanwhile."""

RECORDED = HostFacts(br_netfilter=(True, True))
"""The host of a recorded inventory: one that can enforce everything."""


@dataclass(frozen=True, slots=True)
class Session:
    """The edges of one host. ``say`` prints a remark for people."""

    runner: Runner
    store: Store
    docker_host: str | None
    say: Callable[[str], None]

    @property
    def reconciler(self) -> Reconciler:
        return Reconciler(self.runner, self.store)

    def require_root(self) -> None:
        if os.geteuid() != 0:
            raise Failed("only root may read and write the firewall: run it with sudo")

    def inventory(self, policy: Policy, timeout: float = TIMEOUT) -> Inventory:
        """What runs now. Images are looked at only for policies that ask for them.

        ``timeout`` is in seconds, for each answer of Docker.
        """
        docker = Docker.connect(self.docker_host, timeout=timeout)
        found = docker.read_inventory({}, policy.needs())
        docker.close()
        for warning in docker.warnings:
            self.say(f"warning: {warning}")
        return found


@dataclass(frozen=True, slots=True)
class Judged:
    """A policy held against this host: what to warn of, and what would be written."""

    text: PolicyText
    policy: Policy
    inventory: Inventory
    facts: HostFacts
    warnings: tuple[str, ...]
    unenforced: tuple[str, ...]
    observation: Observation | None = None
    hints: tuple[str, ...] = ()


def with_names(state: Store, text: PolicyText) -> PolicyText:
    """A policy with what its names stand for now; takes `resolve.IN_ALL` seconds at the most.

    A name that fails stands for what it did in the policy in force.
    """
    origins = text.parse().host_names()
    if not origins:
        return text
    try:
        in_force = state.policy.load()
    except (DockerfwError, OSError):
        in_force = None
    found = resolve.resolve(origins, in_force.names if in_force else {})
    return replace(text, names=found.names, warnings=(*text.warnings, *found.warnings(origins)))


def judge(text: PolicyText, inventory: Inventory, facts: HostFacts) -> Judged:
    """Parse, check the expectations, collect the warnings. Raises `PolicyError`."""
    policy = text.parse()
    now = time.time()
    inventory = with_foreign_ports(inventory, facts)
    broken = explain.broken_expectations(policy.without_ended(now), inventory, facts)
    if broken.errors:
        raise PolicyError(broken.errors)
    warnings = (
        *text.warnings,
        *policy.warnings,
        *broken.warnings,
        *advice.ended(policy, now),
        *advice.advise(policy.without_ended(now), inventory, facts),
    )
    unenforced = advice.unenforced(policy, inventory, facts)
    return Judged(text, policy, inventory, facts, warnings, unenforced)


def look(session: Session, text: PolicyText) -> Judged:
    """Everything that ``plan`` and ``apply`` show, with nothing written."""
    session.require_root()
    text = with_names(session.store, text)
    policy = text.parse()
    facts = kernel_facts.read(session.runner)
    judged = judge(text, session.inventory(policy), facts)
    observation = session.reconciler.observe(policy, judged.inventory, facts)
    if session.store.daemon.alive() and planning.only_lets_go(observation.plan):
        observation = replace(observation, plan=planning.Plan())
    warnings = (*judged.warnings, *_bypasses(session, observation), *_mark_writers(observation))
    if facts.stale_flavour:
        stale = (
            f"old Docker chains stand in iptables-{facts.stale_flavour} too; Docker now uses "
            f"iptables-{facts.flavour}: flush the others when nothing else needs them"
        )
        warnings += (stale,)
    hints = advice.hints(judged.inventory, facts)
    if not session.store.daemon.alive():
        hints += advice.ended_early(policy, time.time())
    return replace(judged, observation=observation, warnings=warnings, hints=hints)


def _bypasses(session: Session, seen: Observation) -> Iterator[str]:
    """Foreign rules above our jumps that accept, and what they have let through."""
    for family, tables in seen.live.tables.items():
        if tables.chain("filter", MAIN) is None:
            continue
        faults = [f for f in jumps.check(tables, docker_user=seen.facts.docker_user) if f.rules]
        if not faults:
            continue
        counters = iptables.counters(session.runner, seen.facts.flavour, family)
        for fault in faults:
            chain = tables.chain(fault.table, fault.chain)
            counts = counters.get((fault.table, fault.chain), ())
            for rule in fault.rules:
                if chain is None or rule not in chain.rules or len(counts) != len(chain.rules):
                    continue
                packets, _ = counts[chain.rules.index(rule)]
                yield (
                    f"IPv{family}: `{rule}` in {fault.table} {fault.chain} stands above dockerfw "
                    f"and has let {counted(packets, 'packet')} through"
                )


def _mark_writers(seen: Observation) -> Iterator[str]:
    """Other users of our bits of the packet mark, behind the place where we set them."""
    mask = seen.ruleset.mark_host | seen.ruleset.mark_ok
    for family, tables in seen.live.tables.items():
        for writer in jumps.mark_writers(tables, mask):
            if writer.chain != "PREROUTING":
                yield (
                    f"IPv{family}: `{writer.rule}` in mangle {writer.chain} writes bits of the "
                    f"packet mark that dockerfw uses ({mask:#x}): give that rule a mask that "
                    "leaves them out, or dockerfw two other bits with mark in [firewall]"
                )


def apply(session: Session, judged: Judged, config: Path) -> Result:
    """Put a policy in force: the copy first, then the kernel. The lock is the caller's."""
    session.store.policy.replace(
        judged.text, Applied(str(config), time.time(), judged.facts.flavour)
    )
    session.store.policy.set_lockdown(False)
    result = session.reconciler.commit(judged.policy, judged.inventory, judged.facts)
    session.store.last_seen.remember(judged.inventory)
    return result


def policy_in_force(session: Session) -> tuple[Policy, PolicyText | None, str | None]:
    """What should hold now: (policy, its text, why it is not the policy that was applied)."""
    if session.store.policy.locked_down():
        return CLOSED, None, "locked down until the next apply"
    try:
        text = session.store.policy.load()
        if text is not None:
            return text.parse(), text, None
    except DockerfwError as error:
        return Policy(), None, f"the policy in force cannot be read, all is closed: {error}"
    return Policy(), None, "no policy is in force yet"


def roll_back(session: Session) -> None:
    """Undo an apply that was not confirmed: the policy before it, or nothing of ours at all."""
    if not session.store.confirm.restore_previous():
        session.reconciler.remove()
        session.store.forget()
        return
    policy, _, _ = policy_in_force(session)
    facts = kernel_facts.read(session.runner)
    session.reconciler.commit(policy, session.inventory(policy), facts)


def roll_back_when_due(session: Session, token: str) -> None:
    """Wait until the deadline of this confirm and roll back, unless it has been confirmed."""
    while True:
        pending = session.store.confirm.pending()
        if pending is None or pending.token != token:
            return
        remaining = pending.deadline - time.time()
        if remaining <= 0:
            break
        time.sleep(min(remaining, 0.2))
    with session.store.lock(session.say):
        if session.store.confirm.pending() == pending:
            roll_back(session)


def await_confirm(session: Session, pending: Pending, ask: Callable[[float], bool | None]) -> bool:
    """True when it is kept. ``ask`` polls for an answer at the terminal (None: not yet)."""
    while True:
        now = session.store.confirm.pending()
        if now is None or now.token != pending.token:
            with session.store.lock(lambda _: None):  # until a roll-back is through
                return session.store.confirm.was_kept(pending.token)
        answer = ask(pending.deadline - time.time())
        if answer is True:
            session.store.confirm.keep()
            return True
        if answer is False:
            with session.store.lock(session.say):
                if session.store.confirm.pending() == now:
                    roll_back(session)
            return False


def boot(session: Session) -> str:
    """Install all that needs no container. Says what was done."""
    session.require_root()
    with session.store.lock(session.say):
        return _boot(session)


def _boot(session: Session) -> str:
    if session.store.confirm.pending():
        session.store.confirm.restore_previous()
    if not session.store.policy.exists() and not session.store.policy.locked_down():
        return "no policy was ever applied: nothing to install"
    policy, _, why = policy_in_force(session)
    facts = kernel_facts.read(session.runner, prefer=_last_flavour(session))
    if whole(session.reconciler.read_rules(facts), facts):
        return "the chains stand already: nothing changed"
    install_closed(session, policy, facts)
    return why or "closed by the policy in force, until Docker and the next apply say more"


def whole(live: KernelState, facts: HostFacts) -> bool:
    """Whether chains and seal stand. Sets alone may: who flushes rules leaves them."""
    sealed = live.seal is not None or not facts.nf_tables
    return sealed and all(t.chain("filter", MAIN) is not None for t in live.tables.values())


def install_closed(session: Session, policy: Policy, facts: HostFacts) -> Result:
    """The policy for what was last seen of Docker, less what need not be true any more."""
    inventory = without_addresses(session.store.last_seen.inventory())
    return session.reconciler.commit(policy, inventory, facts)


def without_addresses(inventory: Inventory) -> Inventory:
    """What survives a reboot: networks and host ports, but no container's address."""
    bare = tuple(
        replace(c, endpoints=tuple(replace(e, ipv4=None, ipv6=None) for e in c.endpoints))
        for c in inventory.containers
    )
    return replace(inventory, containers=bare)


def _last_flavour(session: Session) -> Flavour | None:
    applied = session.store.policy.applied()
    return applied.flavour if applied else None


def lock_down(session: Session) -> None:
    """Close every container port at once; with or without Docker's answer."""
    session.require_root()
    with session.store.lock(session.say):
        session.store.policy.set_lockdown(True)
        facts = kernel_facts.read(session.runner)
        try:
            inventory = session.inventory(CLOSED, PANIC_PATIENCE)
        except DockerfwError as error:
            session.say(f"Docker does not answer, going by what was last seen ({error})")
            inventory = session.store.last_seen.inventory()
        session.reconciler.commit(CLOSED, inventory, facts)


def remove(session: Session) -> None:
    """Take out all of dockerfw and forget the policy in force."""
    session.require_root()
    if session.store.daemon.alive():
        raise Failed("the daemon is running: systemctl stop dockerfw, then remove again")
    with session.store.lock(session.say):
        session.reconciler.remove()
        session.store.forget()


def opens(inventory: Inventory) -> tuple[str, ...]:
    """What `remove` opens: a line a published port."""
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


def confirm(session: Session) -> None:
    """Keep what the pending apply did."""
    session.require_root()
    with session.store.lock(session.say):
        if session.store.confirm.pending() is None:
            raise Failed("nothing waits for a confirmation")
        session.store.confirm.keep()


def against_nothing(judged: Judged) -> Judged:
    """A plan for a host on which nothing of ours stands yet."""
    empty = KernelState({f: TablesState(f) for f in judged.facts.families}, {}, None)
    policy = judged.policy.without_ended(time.time())
    ruleset = compile_ruleset(policy, judged.inventory, judged.facts)
    steps = planning.plan(empty, ruleset, judged.facts, seal.updates(None, ruleset.seal))
    return replace(judged, observation=Observation(judged.facts, ruleset, empty, steps))


def stands(live: KernelState) -> bool:
    """Whether our chains stand at all."""
    return any(tables.chain("filter", MAIN) is not None for tables in live.tables.values())


def explain_now(
    session: Session, source: str, target: str, config: Path | None, inventory: Inventory | None
) -> explain.Explanation:
    """By the policy in force, or by ``config``; for what runs, or for a recorded inventory."""
    if inventory is None:
        session.require_root()
        facts = kernel_facts.read(session.runner)
    else:
        facts = RECORDED
    if config is not None:
        policy = with_names(session.store, collect(config, for_kernel=False)).parse()
    else:
        policy, _, why = policy_in_force(session)
        if why:
            session.say(f"warning: {why}")
    if inventory is None:
        inventory = session.inventory(policy)
    inventory = with_foreign_ports(inventory, facts)
    policy = policy.without_ended(time.time())
    return explain.explain(policy, inventory, facts, source, target, facts.addresses)


def read_status(session: Session) -> status.Status:
    """What holds now, by the policy in force; with Docker silent, by what was last seen."""
    session.require_root()
    policy, text, why = policy_in_force(session)
    notes = [] if why is None else [why]
    daemon_alive = session.store.daemon.alive()
    inventory, seen, silent = _look_patiently(session, policy, DAEMON_PATIENCE * daemon_alive)
    facts = seen.facts
    if silent:
        notes.append(f"Docker does not answer, so this goes by what was last seen: {silent}")
    notes += seen.plan.notes
    notes += [f"to be written: {step.why}" for step in seen.plan.steps]
    daemon = session.store.daemon.read() if daemon_alive else None
    if daemon is not None:
        notes += [note for note in daemon.notes if note not in notes]
    if session.store.confirm.pending():
        notes.append("an apply waits for dockerfw confirm")
    applied = session.store.policy.applied()
    health = status.Health(
        enforcing=stands(seen.live) and policy.mode == "enforce",
        observing=policy.mode == "observe",
        in_sync=seen.plan.in_sync and not (why and not session.store.policy.locked_down()),
        notes=tuple(notes),
        daemon_alive=daemon_alive,
        reconciled_at=daemon.reconciled_at if daemon else None,
        healed=daemon.healed if daemon else 0,
        policy=applied.config if applied else None,
        policy_differs=_differs(applied, text),
        applied_at=applied.at if applied else None,
        seal=_seal_state(seen),
        flavour=facts.flavour,
        engine=inventory.engine,
        warnings=(
            *advice.docker_rules_gone(inventory, facts),
            *advice.lost_without_seal(facts),
            *advice.ended(policy, time.time()),
            *advice.nameless(policy),
        ),
        first_packet=_first_packet(seen),
        first_packet_step=advice.proxy_next_step(facts),
        lockdown=session.store.policy.locked_down(),
    )
    counters = ipset.counters(session.runner, status.counted_sets(seen.ruleset))
    return status.build(health, counters, seen.ruleset, inventory)


def _look_patiently(
    session: Session, policy: Policy, seconds: float
) -> tuple[Inventory, Observation, str | None]:
    """What runs, what stands, and why Docker is silent.

    A daemon that has just been told of a change gets so many seconds to follow; it guards ports
    of a container that is gone for a little longer.
    """
    deadline = time.monotonic() + seconds
    while True:
        facts = kernel_facts.read(session.runner)
        silent = None
        try:
            inventory = session.inventory(policy)
        except DockerfwError as error:
            silent, inventory = str(error), session.store.last_seen.inventory()
        inventory = with_foreign_ports(inventory, facts)
        seen = session.reconciler.observe(policy, inventory, facts)
        if seconds and planning.only_lets_go(seen.plan):
            seen = replace(seen, plan=planning.Plan())
        if seen.plan.in_sync or silent or time.monotonic() > deadline:
            return inventory, seen, silent
        time.sleep(0.3)


def _differs(applied: Applied | None, text: PolicyText | None) -> bool:
    """Whether the policy file says something else than what was applied from it."""
    if applied is None or text is None:
        return False
    try:
        now = collect(Path(applied.config), for_kernel=False)
    except DockerfwError:
        return True
    return now != text


def _first_packet(seen: Observation) -> status.FirstPacketState:
    """What stands, not what could: a seal that is missing closes nothing."""
    can = seen.facts.proxy.first_packet
    if can == "closed":
        if not seal.closes_proxies(seen.live.seal, seen.ruleset.seal):
            return "open"
        return "observed" if seen.ruleset.seal.observe else "closed"
    return "no proxy" if can == "no proxy" else "open"


def _seal_state(seen: Observation) -> status.SealState:
    if not seen.facts.nf_tables:
        return "unavailable"
    if seen.live.seal is None:
        return "missing"
    as_wanted = seen.plan.in_sync or seen.live.seal == seal.wanted(seen.ruleset.seal)
    return "stands" if as_wanted else "differs"
