"""Compile, read, plan, commit: the one way to the kernel, for every command that writes it.

Takes a policy and an inventory, and the edges (a `Kernel`, a `Store`); gives what was done. It
never decides what the policy means, and never talks to Docker.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from dockerfw.errors import Failed
from dockerfw.kernel.interface import Kernel
from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Inventory
from dockerfw.model.policy import Committer, Policy
from dockerfw.plan import planner
from dockerfw.plan.removal import removal
from dockerfw.plan.state import KernelState
from dockerfw.plan.steps import Plan, WriteSets
from dockerfw.report.traffic import counted_sets
from dockerfw.rules.compiler import compile_ruleset
from dockerfw.rules.ruleset import Ruleset, Seal
from dockerfw.state.store import Store

ATTEMPTS = 5
"""Writes of one commit at most. After each of them all is read again, since Docker and other tools
write the same tables."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What should stand, what stands, and the way from here to there.

    ``policy`` is what ``ruleset`` was compiled from, where `Reconciler.observe` did that.
    """

    facts: HostFacts
    ruleset: Ruleset
    live: KernelState
    plan: Plan
    policy: Policy | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What a commit did: ``first`` is the observation before it, ``last`` the one after it."""

    first: Observation
    last: Observation
    steps: int
    notes: tuple[str, ...]


class Unrecorded(Failed):
    """All was written, but who made what could not be kept."""


class Reconciler:
    """Makes the kernel of one host match. ``now`` gives Unix time: a rule may have ended."""

    def __init__(self, kernel: Kernel, store: Store, now: Callable[[], float]) -> None:
        self.kernel = kernel
        self.store = store
        self._now = now

    def observe(
        self,
        policy: Policy,
        inventory: Inventory,
        facts: HostFacts | None = None,
        before: Observation | None = None,
    ) -> Observation:
        """Compile for what runs now, read what stands now, plan. Writes nothing.

        ``before`` is an observation for the same policy and inventory: its ruleset is compiled
        anew only where the host is another one by now, or a rule has ended.
        """
        facts = fitted(facts or self.kernel.facts(), inventory)
        policy = policy.without_ended(self._now())
        if before is not None and (before.policy, before.facts) == (policy, facts):
            ruleset = before.ruleset
        else:
            ruleset = compile_ruleset(policy, with_foreign_ports(inventory, facts), facts)
        seen = self.compare(ruleset, facts, self.kernel.read(facts, ruleset.sets))
        return replace(seen, policy=policy)

    def compare(self, ruleset: Ruleset, facts: HostFacts, live: KernelState) -> Observation:
        """Plan the way from a state that was read to a ruleset. Reads and writes nothing."""
        plan = planner.plan(live, ruleset, facts, self.kernel.identity)
        return Observation(facts, ruleset, live, plan)

    def commit(
        self,
        policy: Policy,
        inventory: Inventory,
        facts: HostFacts | None = None,
        seen: Observation | None = None,
    ) -> Result:
        """Make the kernel match. Raises `Failed` when it does not stay so.

        ``seen`` is what `observe` gave for the same, under the lock that is held still: then it
        begins with that.
        """
        facts = facts or self.kernel.facts()
        first = seen = seen or self.observe(policy, inventory, facts)
        steps = 0
        attempts = 0
        while not seen.plan.in_sync:
            if attempts == ATTEMPTS:
                what = ", ".join(step.why for step in seen.plan.steps)
                raise Failed(
                    f"the kernel does not stay as written ({what}): another tool seems to rewrite "
                    "the same tables; see dockerfw status"
                )
            failed = self._try(seen, policy.committer)
            steps += len(seen.plan.steps)
            attempts += 1
            tried, seen = seen.plan.steps, self.observe(policy, inventory, facts, seen)
            if failed is not None and (attempts == ATTEMPTS or seen.plan.steps == tried):
                raise failed
            if facts.proxy.homes and not seen.plan.in_sync:
                # dockerd may have been started, or stopped, meanwhile.
                facts = replace(facts, proxy=self.kernel.proxy(facts.proxy))
                seen = self.observe(policy, inventory, facts, seen)
        self.keep_seal(seen.ruleset.seal, facts)
        return Result(first, seen, steps, tuple(note.text for note in first.plan.notes))

    def _try(self, seen: Observation, committer: Committer) -> Failed | None:
        """Write the steps of a plan; return why they could not be written.

        Docker moves its jumps whenever it likes, and holds no lock of ours: a plan may be about one
        that is not there just now. Raises `Unrecorded`.
        """
        try:
            self.execute(seen, committer)
        except Unrecorded:
            raise
        except Failed as error:
            return error
        return None

    def keep_seal(self, wanted: Seal, facts: HostFacts) -> None:
        """Keep the seal on disk, for nftables to include.

        Without docker-proxy's cgroup, which need not be there yet when that is loaded, and would
        take the host's own rules with it.
        """
        if facts.nf_tables:
            document = self.kernel.seal_document(replace(wanted, proxies=None))
            self.store.kernel.keep_seal(document)

    def execute(self, seen: Observation, committer: Committer) -> None:
        """Write the steps of a plan, once. Raises `Failed` at the first that cannot be written, and
        `Unrecorded`, which is one, where all are.
        """
        unwritten = None
        try:
            # Before the kernel is written: a crash in between must not hide who made it.
            base_chains = self.kernel.missing_base_chains(seen.facts, seen.live)
            self.store.kernel.remember_created((*seen.plan.creates, *base_chains))
        except Failed as error:  # a full disk is no reason to leave anything open
            unwritten = error
        self.kernel.commit(seen.plan.steps, seen.facts, committer)
        if seen.live.sets.keys().isdisjoint(counted_sets(seen.ruleset)):
            with suppress(Failed):  # then what is shown is that nobody knows
                self.store.counting.begin(self._now())
        if unwritten is not None:
            raise Unrecorded(str(unwritten)) from unwritten

    def remove(self, facts: HostFacts | None = None) -> None:
        """Take out every object of ours: the seal, jumps and chains, then sets.

        Sets come last: one that somebody else uses cannot be destroyed, and raises `Failed`.
        """
        facts = facts or self.kernel.facts()
        created = self.store.kernel.created()
        if facts.frames and not self.kernel.bindings_stand(None):
            self.kernel.write_bindings(None)
        steps = removal(self.kernel.read(facts), created)
        sets = tuple(step for step in steps if isinstance(step, WriteSets))
        self.kernel.commit(steps[: len(steps) - len(sets)], facts, "iptables-restore")
        self.kernel.remove_unused(facts, created)
        self.kernel.commit(sets, facts, "iptables-restore")


def fitted(facts: HostFacts, inventory: Inventory) -> HostFacts:
    """Return the facts of the host, with what the inventory alone can tell of them."""
    return without_published(with_backend(facts, inventory), inventory)


def without_published(facts: HostFacts, inventory: Inventory) -> HostFacts:
    """Return the facts without NAT from one port of this host to another where a container
    publishes the first one.

    Such a rule may be for some packets alone, and the others meet that container.
    """
    published = {
        (binding.host_address.version, binding.protocol, binding.host_port)
        for container in inventory.containers
        for binding in container.ports
    }
    return replace(
        facts,
        forwards=tuple(
            forward
            for forward in facts.forwards
            if forward.to is not None
            or not any(
                version == forward.family and forward.takes(None, protocol, port)
                for version, protocol, port in published
            )
        ),
    )


def with_backend(facts: HostFacts, inventory: Inventory) -> HostFacts:
    """Return the facts; where no rule of Docker's stands, what it reports or last did counts.

    So it is after a flush, and at boot. On nftables Docker has no DOCKER-USER, and makes none.
    """
    if facts.backend is not None:
        return facts
    known = inventory.backend
    return replace(facts, backend=known, docker_user=known != "nftables")


def with_foreign_ports(inventory: Inventory, facts: HostFacts) -> Inventory:
    """Return the inventory, knowing which bridges have ports that Docker did not make."""
    foreign: Mapping[str | None, tuple[str, ...]] = {b.name: b.foreign_ports for b in facts.bridges}
    return replace(
        inventory,
        networks=tuple(
            replace(n, foreign_ports=foreign.get(n.bridge, ())) if n.driver == "bridge" else n
            for n in inventory.networks
        ),
    )
