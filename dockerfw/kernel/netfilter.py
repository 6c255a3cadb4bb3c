"""iptables, ipset and nft of one host, behind the one interface.

Takes a `Runner` (which starts the tools) and a clock; reads, writes and counts through the drivers.
Decides nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace

from dockerfw.kernel import facts as host_facts, foreign, lan, ports, surroundings
from dockerfw.kernel.interface import RuleCounters, SetCounters
from dockerfw.kernel.ipset import (
    driver as ipset,
    records as ipset_records,
    render as ipset_render,
)
from dockerfw.kernel.ipset.messages import Known
from dockerfw.kernel.iptables import base_chains, driver as iptables, render as iptables_render
from dockerfw.kernel.nft import driver as nft, render as nft_render
from dockerfw.kernel.runner import Runner
from dockerfw.model.denial import Denial
from dockerfw.model.foreign import ForeignTable
from dockerfw.model.host import Bridge, BridgePort, Flavour, HostFacts, Interior, Proxy
from dockerfw.model.net import Family
from dockerfw.model.policy import Committer, LanNetworks
from dockerfw.model.surroundings import Surroundings
from dockerfw.plan.state import Identity, KernelState, SealState, SetState, TablesState
from dockerfw.plan.steps import Created, Step, WriteRules, WriteSeal, WriteSets
from dockerfw.rules.bindings import Bindings
from dockerfw.rules.names import phase_of
from dockerfw.rules.rule import Rule
from dockerfw.rules.ruleset import IPSet, Seal

_COMMIT_RULES: Mapping[Committer, Callable[[Runner, Flavour, WriteRules], None]] = {
    "iptables-restore": iptables.commit,
    "python-iptables": iptables.commit_by_python_iptables,
}


class Digests:
    """Recognises our rules by the digest in their comment."""

    def rule(self, rule: Rule, family: Family) -> str:
        return iptables_render.rule_identity(rule, family)

    def seal(self, seal: Seal) -> SealState:
        return nft_render.expected(seal)


class Netfilter:
    """The `Kernel` of this host; ``now`` gives Unix time, for elements that end.

    ``listeners`` gives the processes at Docker's socket, as far as they are known. ``ask`` asks the
    kernel of this process for ipsets; None: tools alone are asked, wherever they run.
    ``generation`` gives what is another value after every change in nf_tables: as long as it is the
    same, rules are not read again. None: not known. ``user`` gives who runs this, by number.
    """

    def __init__(
        self,
        runner: Runner,
        now: Callable[[], float],
        listeners: Callable[[], Iterable[int]] = tuple,
        ask: ipset.Ask | None = None,
        generation: Callable[[], bytes | None] = lambda: None,
        user: Callable[[], int] = os.geteuid,
    ) -> None:
        self._runner = runner
        self._now = now
        self._listeners = listeners
        self._ask = ask
        self._generation = generation
        self._user = user
        self._known_sets: dict[str, Known] = {}
        self._set_writes = 0
        self._known_rules: tuple[object, KernelState] | None = None
        self._known_facts: tuple[object, HostFacts] | None = None
        self.identity: Identity = Digests()

    # the host

    def facts(self, prefer: Flavour | None = None, noticed: int | None = None) -> HostFacts:
        about = None if noticed is None else self._facts_go_by(prefer, noticed)
        if about is not None and self._known_facts is not None and self._known_facts[0] == about:
            return self._known_facts[1]
        found = host_facts.read(self._runner, prefer, self._user, listeners=self._listeners)
        # A change meanwhile may be in what was read, or not.
        if about is not None and noticed is not None:
            same = self._facts_go_by(prefer, noticed) == about
            self._known_facts = (about, found) if same else None
        return found

    def _facts_go_by(self, prefer: Flavour | None, noticed: int) -> tuple[object, ...] | None:
        """Return what is another value when the facts may be; None: that cannot be told."""
        generation = self._generation()
        unannounced = host_facts.unannounced(self._runner, listeners=self._listeners)
        if generation is None or unannounced is None:
            return None
        return generation, unannounced, prefer, noticed

    def facts_at_hand(self, prefer: Flavour | None = None) -> HostFacts:
        return host_facts.at_hand(self._runner, prefer, listeners=self._listeners)

    def proxy(self, known: Proxy) -> Proxy:
        return host_facts.proxy(self._runner, known)

    def br_netfilter(self) -> tuple[bool, bool]:
        return host_facts.br_netfilter(self._runner)

    def bridges(self) -> tuple[Bridge, ...]:
        return host_facts.bridges(self._runner)

    def container_interfaces(self) -> frozenset[str]:
        return host_facts.container_interfaces(self._runner)

    def foreign_tables(self, facts: HostFacts) -> tuple[ForeignTable, ...]:
        return foreign.read(self._runner, facts)

    def surroundings(self) -> Surroundings:
        return surroundings.read(self._runner)

    def networks(self, interfaces: Iterable[str]) -> LanNetworks:
        return {name: lan.networks(self._runner, name) for name in interfaces}

    # what stands

    def read(
        self, facts: HostFacts, wanted: Iterable[IPSet] = (), *, headers_suffice: bool = False
    ) -> KernelState:
        sets = {s.name: s for s in wanted}
        frozen = {name: len(s.elements) for name, s in sets.items() if s.phase == "frozen"}
        writes = self._set_writes
        found = ipset.read(
            self._runner,
            lambda name, count: frozen.get(name) == count or phase_of(name) == "record",
            self._ask,
            self._known_sets,
            {name: s.elements for name, s in sets.items()},
            headers_suffice=headers_suffice,
        )
        if self._set_writes != writes:  # by the main loop of a daemon, while this thread read
            self._forget_headers()
        return replace(self.read_rules(facts), sets=found)

    def _forget_headers(self) -> None:
        """Have elements read again, whatever the headers: another one may be in the place of one
        that was there.
        """
        for name, held in list(self._known_sets.items()):
            self._known_sets[name] = held._replace(header=b"")

    def read_rules(self, facts: HostFacts, known_seal: SealState | None = None) -> KernelState:
        before = self._generation() if facts.flavour == "nft" else None
        if before is None:
            return self._read_rules(facts, known_seal)
        # What is printed depends on these as well: of a cgroup that has gone there is no name.
        about = (before, facts.families, facts.nf_tables, facts.frames, facts.proxy)
        if self._known_rules is not None and self._known_rules[0] == about:
            return self._known_rules[1]
        found = self._read_rules(facts, known_seal)
        # A change meanwhile may be in what was read, or not.
        if known_seal is None and self._generation() == before:
            self._known_rules = about, found
        return found

    def _read_rules(self, facts: HostFacts, known_seal: SealState | None) -> KernelState:
        seal = known_seal
        if known_seal is None and facts.nf_tables:
            seal = nft.read(self._runner, frames=facts.frames)
        tables = {f: iptables.read(self._runner, facts.flavour, f) for f in facts.families}
        return KernelState(tables, sets={}, seal=seal)

    def read_family(self, facts: HostFacts, family: Family) -> TablesState:
        return iptables.read(self._runner, facts.flavour, family)

    def read_set_headers(self) -> Mapping[str, SetState]:
        return ipset.read(self._runner, lambda *_: True, self._ask)

    def set_counters(self, names: Collection[str]) -> SetCounters:
        return ipset.counters(self._runner, names, self._ask)

    def rule_counters(self, facts: HostFacts, family: Family) -> RuleCounters:
        return iptables.counters(self._runner, facts.flavour, family)

    def denials(self) -> tuple[Denial, ...]:
        return ipset_records.read(self._runner, self._now())

    # writing

    def commit(self, steps: Iterable[Step], facts: HostFacts, committer: Committer) -> None:
        for step in steps:
            match step:
                case WriteSets():
                    self._write_sets(step)
                case WriteRules():
                    # python-iptables knows the legacy flavour alone.
                    which = committer if facts.flavour == "legacy" else "iptables-restore"
                    _COMMIT_RULES[which](self._runner, facts.flavour, step)
                case WriteSeal():
                    nft.commit(self._runner, step)

    def _write_sets(self, step: WriteSets) -> None:
        # Counted on both sides: a reading may begin, or end, in between.
        self._set_writes += 1
        try:
            ipset.commit(self._runner, step, self._now())
        finally:
            self._set_writes += 1
            self._forget_headers()

    def missing_base_chains(self, facts: HostFacts, live: KernelState) -> tuple[Created, ...]:
        return tuple(base_chains.missing(self._runner, facts.flavour, live))

    def remove_unused(self, facts: HostFacts, created: Collection[Created]) -> None:
        if facts.flavour != "nft":
            return
        for family in facts.families:
            mine = {c.what for c in created if c.family == family}
            state = iptables.read(self._runner, facts.flavour, family)
            base_chains.remove_unused(self._runner, state, mine)

    # which port of a bridge may send from which address

    def ports(self) -> tuple[BridgePort, ...]:
        return ports.read()

    def look_into(self, namespace: int) -> Interior | None:
        return ports.look_into(namespace)

    def bindings_stand(self, wanted: Bindings | None) -> bool:
        return nft.bindings_stand(self._runner, wanted)

    def write_bindings(self, wanted: Bindings | None) -> None:
        nft.write_bindings(self._runner, wanted)

    # pure

    def closes_proxies(self, live: SealState | None, seal: Seal) -> bool:
        return nft_render.closes_proxies(live, seal)

    def seal_document(self, seal: Seal) -> str:
        return nft_render.document(seal)

    def render(self, step: Step) -> str:
        match step:
            case WriteSets():
                return ipset_render.render(step, now=None)
            case WriteRules():
                return iptables_render.render(step)
            case WriteSeal():
                return nft_render.render(step)
