"""Observe, compile, plan, commit: the one way to the kernel, for every command that writes it.

Takes a policy and an inventory, and the edges (a runner, a state folder); gives what was done.
It never decides what the policy means, and never talks to Docker.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from dockerfw.errors import Failed
from dockerfw.kernel import facts as kernel_facts
from dockerfw.kernel.ipset import driver as ipset
from dockerfw.kernel.iptables import driver as iptables
from dockerfw.kernel.nft import driver as seal
from dockerfw.kernel.runner import Runner
from dockerfw.model.docker_names import DOCKER_USER
from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Inventory
from dockerfw.model.net import Family
from dockerfw.model.policy import Committer, Policy
from dockerfw.plan import planner as planning
from dockerfw.plan.planner import Created, Plan, SealUpdate, Step
from dockerfw.plan.state import KernelState
from dockerfw.rules.compiler import compile_ruleset
from dockerfw.rules.ruleset import INPUT, MAIN, PRE, IPSet, Ruleset, Seal, Table
from dockerfw.state.store import Store

ATTEMPTS = 5
"""Docker and other tools write the same tables: look again after each commit, this often."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One look: what should stand, what stands, and the way from here to there."""

    facts: HostFacts
    ruleset: Ruleset
    live: KernelState
    plan: Plan


@dataclass(frozen=True, slots=True)
class Result:
    """What a commit did: ``first`` is the look before it, ``last`` the one after it."""

    first: Observation
    last: Observation
    steps: int
    notes: tuple[str, ...]


class Reconciler:
    """The kernel edge of one host."""

    def __init__(self, runner: Runner, store: Store) -> None:
        self.runner = runner
        self.store = store

    def observe(
        self, policy: Policy, inventory: Inventory, facts: HostFacts | None = None
    ) -> Observation:
        """Compile for what runs now, read what stands now, plan. Writes nothing."""
        facts = facts or kernel_facts.read(self.runner)
        inventory = with_foreign_ports(inventory, facts)
        ruleset = compile_ruleset(policy.without_ended(time.time()), inventory, facts)
        return self.compare(ruleset, facts, self.read(facts, ruleset.sets))

    def compare(self, ruleset: Ruleset, facts: HostFacts, live: KernelState) -> Observation:
        """Plan the way from a state that was read to a ruleset. Reads and writes nothing."""
        sealing = seal.updates(live.seal, ruleset.seal) if facts.nf_tables else SealUpdate()
        return Observation(facts, ruleset, live, planning.plan(live, ruleset, facts, sealing))

    def read(self, facts: HostFacts, sets: Iterable[IPSet] = ()) -> KernelState:
        """The live state; lists of ``sets`` that are as long as they should be are not dumped."""
        frozen = {s.name: len(s.elements) for s in sets if s.phase == "frozen"}
        found = ipset.read(self.runner, headers_only=lambda name, count: frozen.get(name) == count)
        return replace(self.read_rules(facts), sets=found)

    def read_rules(self, facts: HostFacts, known_seal: str | None = None) -> KernelState:
        """The live state without its sets: all that the kernel announces changes of.

        ``known_seal`` is the seal's normal form, where it is known that nobody touched it: to
        print a rule with a cgroup ``nft`` walks the whole tree of them.
        """
        stands = known_seal
        if known_seal is None and facts.nf_tables:
            stands = seal.read(self.runner)
        return KernelState(
            tables={f: iptables.read(self.runner, facts.flavour, f) for f in facts.families},
            sets={},
            seal=stands,
        )

    def commit(
        self, policy: Policy, inventory: Inventory, facts: HostFacts | None = None
    ) -> Result:
        """Make the kernel match. Raises `Failed` when it does not stay so.

        ``facts`` should be older than the inventory: a bridge that is in the facts and not in
        the inventory is taken for someone else's, and is not sealed.
        """
        facts = facts or kernel_facts.read(self.runner)
        first = look = self.observe(policy, inventory, facts)
        steps = 0
        notes = list(first.plan.notes)
        for _ in range(ATTEMPTS):
            if look.plan.in_sync:
                self.keep_seal(look.ruleset.seal, facts)
                return Result(first, look, steps, tuple(notes))
            self.carry_out(look, policy.committer)
            steps += len(look.plan.steps)
            look = self.observe(policy, inventory, facts)
        if look.plan.in_sync:
            return Result(first, look, steps, tuple(notes))
        what = ", ".join(step.why for step in look.plan.steps)
        raise Failed(
            f"the kernel does not stay as written ({what}): another tool seems to rewrite the "
            "same tables; see dockerfw status"
        )

    def keep_seal(self, wanted: Seal, facts: HostFacts) -> None:
        """Keep the seal on disk, for nftables to include: without docker-proxy's cgroup, which
        need not be there yet when that is loaded, and would take the host's own rules with it.
        """
        if facts.nf_tables:
            self.store.kernel.keep_seal(seal.render(replace(wanted, proxies=None)))

    def carry_out(self, look: Observation, committer: Committer) -> None:
        """Write the steps of a plan, once. Raises `Failed` at the first that cannot be written."""
        unwritten = None
        try:
            self.store.kernel.remember_created(
                (*look.plan.creates, *self._base_chains_to_come(look))
            )
        except Failed as error:  # a full disk is no reason to leave anything open
            unwritten = error
        for step in look.plan.steps:
            self.write(step, look.facts, committer)
        if unwritten is not None:
            raise unwritten

    def _base_chains_to_come(self, look: Observation) -> Iterator[Created]:
        """The base chains that our first jumps bring into being.

        iptables-nft makes a base chain when it is first written to, and ``iptables-save`` prints
        those that are not there yet all the same.
        """
        new = [f for f, tables in look.live.tables.items() if not tables.chain("filter", MAIN)]
        if look.facts.flavour != "nft" or not new:
            return
        listed = self.runner.run(["nft", "list", "chains"])
        if listed.status != 0:
            return
        there = set(_listed_chains(listed.stdout))
        for family in new:
            for what in _BASE_CHAINS:
                if f"{_INET[family]} {what}" not in there:
                    yield Created(family, what)

    def write(self, step: Step, facts: HostFacts, committer: Committer) -> None:
        """One step, as one transaction of its tool."""
        if step.tool == "ipset":
            ipset.commit(self.runner, step.text)
        elif step.tool == "nft":
            seal.commit(self.runner, step.text)
        elif step.family is not None:
            python = committer == "python-iptables" and facts.flavour == "legacy"
            write = iptables.commit_by_python_iptables if python else iptables.commit
            write(self.runner, facts.flavour, step.family, step.text)

    # taking everything out

    def remove(self, facts: HostFacts | None = None) -> None:
        """Take out every object of ours: the seal, jumps and chains, then sets."""
        facts = facts or kernel_facts.read(self.runner)
        live = self.read(facts)
        if live.seal is not None:
            seal.commit(self.runner, seal.REMOVE)
        created = self.store.kernel.created()
        for family in live.tables:
            mine: set[str] = {c.what for c in created if c.family == family}
            text = removal_text(live, family, mine)
            if text:
                iptables.commit(self.runner, facts.flavour, family, text)
            if facts.flavour == "nft":
                self._remove_empty_tables(facts, family, mine)
        if live.sets:
            ipset.commit(self.runner, "".join(f"destroy {name}\n" for name in sorted(live.sets)))

    def _remove_empty_tables(self, facts: HostFacts, family: Family, created: set[str]) -> None:
        """Base chains and tables that dockerfw made and that nobody has used since.

        The chains are deleted by name first: that fails where one has got a rule in the
        meantime, and nothing is lost.
        """
        state = iptables.read(self.runner, facts.flavour, family)
        for what in sorted(created.intersection(_BASE_CHAINS)):
            table, _, name = what.partition(" ")
            chain = state.tables.get(table, {}).get(name)
            if chain is not None and chain.policy == "ACCEPT" and not chain.rules:
                self.runner.run(["nft", "delete", "chain", _INET[family], table, name])
        for table, chains in state.tables.items():
            unused = all(c.policy == "ACCEPT" and not c.rules for c in chains.values())
            if f"{table} table" in created and unused:
                self.runner.run(["nft", "delete", "table", _INET[family], table])


_INET: Mapping[Family, str] = {4: "ip", 6: "ip6"}
_BASE_CHAINS: tuple[
    Literal["mangle PREROUTING"], Literal["filter INPUT"], Literal["filter FORWARD"]
] = ("mangle PREROUTING", "filter INPUT", "filter FORWARD")


def _listed_chains(text: str) -> Iterator[str]:
    """``ip filter INPUT``, … out of ``nft list chains``."""
    table = ""
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["table"]:
            table = " ".join(words[1:3])
        elif words[:1] == ["chain"]:
            yield f"{table} {words[1]}"


def with_foreign_ports(inventory: Inventory, facts: HostFacts) -> Inventory:
    """The inventory, knowing which bridges have ports that Docker did not make."""
    foreign: Mapping[str | None, tuple[str, ...]] = {b.name: b.foreign_ports for b in facts.bridges}
    return replace(
        inventory,
        networks=tuple(
            replace(n, foreign_ports=foreign.get(n.bridge, ())) if n.driver == "bridge" else n
            for n in inventory.networks
        ),
    )


_JUMPS: tuple[tuple[Table, str, str], ...] = (
    ("mangle", "PREROUTING", PRE),
    ("filter", "FORWARD", MAIN),
    ("filter", DOCKER_USER, MAIN),
    ("filter", "INPUT", INPUT),
)


def removal_text(live: KernelState, family: Family, created: set[str]) -> str:
    """One ``iptables-restore`` input that takes our jumps and chains out of both tables.

    A DOCKER-USER chain and its jump that dockerfw made go too, unless somebody has put a rule
    in, or jumps there, by now.
    """
    state = live.tables[family]
    parts = []
    for table in ("mangle", "filter"):
        ours = sorted(n for n in state.tables.get(table, {}) if n.startswith(MAIN))
        lines = [f":{name} - [0:0]" for name in ours]
        for jump_table, chain, target in _JUMPS:
            held = state.chain(jump_table, chain)
            if jump_table == table and held:
                lines += [f"-D {chain} {rule}" for rule in held.rules if rule.split()[-1] == target]
        if table == "filter":
            lines += _created_lines(live, family, created)
        lines += [f"-X {name}" for name in ours]
        if lines:
            parts.append("\n".join([f"*{table}", *lines, "COMMIT\n"]))
    return "".join(parts)


def _created_lines(live: KernelState, family: Family, created: set[str]) -> list[str]:
    state = live.tables[family]
    user = state.chain("filter", DOCKER_USER)
    if user is None or not created:
        return []
    used = [r for r in user.rules if r.split()[-1] != MAIN and r != "-j RETURN"]
    docker = any(
        name.startswith("DOCKER") and name != DOCKER_USER and not name.startswith(MAIN)
        for name in state.tables.get("filter", {})
    )
    if used or docker:
        return []
    lines = []
    if "FORWARD jump" in created:
        lines.append(f"-D FORWARD -j {DOCKER_USER}")
    if "DOCKER-USER" in created:
        lines += [f"-F {DOCKER_USER}", f"-X {DOCKER_USER}"]
    return lines
