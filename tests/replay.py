"""A kernel made of dictionaries that carries out the steps of a plan, one state at a time.

Takes the text of `Step`s and does what ``ipset restore -exist``, ``iptables-restore --noflush``
and ``nft -f`` would do; gives the `KernelState` to plan from, and its verdict on a packet in
whatever state it is in. Strict where the real tools are: a rule that names a set or chain that is
not there, a set destroyed while a rule names it, a full set, an unknown line are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby

from dockerfw.kernel.render import element_text, rule_text
from dockerfw.model.inventory import Inventory
from dockerfw.model.net import Address, Family, Port
from dockerfw.plan.planner import Step
from dockerfw.plan.state import ChainState, KernelState, SetState, TablesState
from dockerfw.rules.ruleset import (
    INPUT,
    MAIN,
    PRE,
    Chain,
    Element,
    Hook,
    IPSet,
    Packet,
    Rule,
    Ruleset,
    Seal,
    Table,
    _SetIndex,
)

Tables = dict[Table, dict[str, list[str]]]

_TABLES: tuple[Table, Table] = ("mangle", "filter")
_BUILT_IN = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")
_SET_NAMED = re.compile(r"--match-set (\S+)")
_CHAIN_NAMED = re.compile(rf"-[jg] ({MAIN}\S*)")
_NAME_LENGTH = 31
"""IPSET_MAXNAMELEN without the closing NUL."""
RELEASE = "release"
NO_SEAL = Seal(bit=0, observe=True, inside=True)


class Refused(Exception):
    """What the real tool would have left with an error for."""


def seal_passes(seal: Seal, inventory: Inventory, hook: Hook, packet: Packet, bit: bool) -> bool:
    """What the nft table makes of a new packet that the chains let pass, with our bit or not."""
    if seal.observe or bit:
        return True
    family = packet.source.version
    if hook == "input":
        sent_to = Port(packet.protocol, packet.port)
        return not any(
            guarded_family == family and port == sent_to and address in (None, packet.destination)
            for address, guarded_family, port in seal.guarded
        )
    subnets = [
        (network.bridge, subnet)
        for network in inventory.bridges()
        for subnet in network.subnets
        if subnet.version == family
    ]
    leaves_by = [bridge for bridge, subnet in subnets if packet.destination in subnet]
    if not leaves_by or leaves_by[0] in seal.foreign_bridges:
        return True
    own = any(bridge == packet.interface and packet.source in subnet for bridge, subnet in subnets)
    return seal.inside and own and packet.interface not in seal.mixed_bridges


@dataclass(slots=True)
class _LiveSet:
    type: str
    family: Family
    maxelem: int
    timeout: bool = False
    entries: set[str] = field(default_factory=set)
    index: _SetIndex | None = None


class Replay:
    """The kernel of one host.

    ``known`` are the rulesets whose rules and elements may turn up in steps; ``foreign`` is what
    Docker and others have put into the tables.
    """

    def __init__(
        self,
        foreign: dict[Family, Tables],
        known: Iterable[Ruleset],
        local_addresses: frozenset[Address],
    ) -> None:
        self.tables = foreign
        self.sets: dict[str, _LiveSet] = {}
        self.seal = NO_SEAL
        self.local_addresses = local_addresses
        self._rules: dict[tuple[Family, str], Rule] = {}
        self._elements: dict[tuple[Family, str], Element] = {}
        self._marks = (0, 0)
        for ruleset in known:
            self._learn(ruleset)

    def _learn(self, ruleset: Ruleset) -> None:
        self._marks = (ruleset.mark_host, ruleset.mark_ok)
        for chain in ruleset.chains:
            for rule in chain.rules:
                self._rules[chain.family, rule_text(rule, chain.family)] = rule
        for ipset in ruleset.sets:
            for element in ipset.elements:
                self._elements[ipset.family, element_text(element, ipset.family)] = element

    # what stands

    def state(self) -> KernelState:
        """As it would be read back."""
        tables = {
            family: TablesState(
                family,
                {
                    table: {
                        name: ChainState("ACCEPT" if name in _BUILT_IN else "-", tuple(rules))
                        for name, rules in chains.items()
                    }
                    for table, chains in in_family.items()
                },
            )
            for family, in_family in self.tables.items()
        }
        sets = {
            name: SetState(
                name,
                s.type,
                s.family,
                s.maxelem,
                len(s.entries),
                frozenset(s.entries),
                timeout=s.timeout,
            )
            for name, s in self.sets.items()
        }
        return KernelState(tables, sets, None)

    def foreign_rules(self) -> dict[tuple[Family, Table, str], list[str]]:
        """All rules of chains that are not ours, but for our jumps and Docker's to DOCKER-USER."""
        return {
            (family, table, name): [
                r for r in rules if not _CHAIN_NAMED.search(r) and r != "-j DOCKER-USER"
            ]
            for family, tables in self.tables.items()
            for table, chains in tables.items()
            for name, rules in chains.items()
            if not name.startswith(MAIN)
        }

    def ruleset(self) -> Ruleset:
        """What stands, as values to walk through; a chain that no jump leads to is left out."""
        chains = tuple(
            Chain(family, table, name, tuple(self._rules[family, r] for r in rules))
            for family, tables in self.tables.items()
            for table in _TABLES
            for name, rules in tables[table].items()
            if name.startswith(MAIN) and self._entered(family, name)
        )
        ruleset = Ruleset(
            chains,
            tuple(
                IPSet(name, s.type, s.family, "guard", frozenset())  # type: ignore[arg-type]
                for name, s in self.sets.items()
            ),
            self.seal,
            *self._marks,
        )
        ruleset._indexes.update({name: self._index(s) for name, s in self.sets.items()})
        return ruleset

    def _index(self, live: _LiveSet) -> _SetIndex:
        if live.index is None:
            live.index = _SetIndex([self._elements[live.family, e] for e in live.entries])
        return live.index

    def _entered(self, family: Family, name: str) -> bool:
        """Whether packets get into this chain: only the three that others jump to may lack it."""
        tables = self.tables[family]
        if name == PRE:
            return f"-j {PRE}" in tables["mangle"]["PREROUTING"]
        if name == INPUT:
            return f"-j {INPUT}" in tables["filter"]["INPUT"]
        if name == MAIN:
            forward = tables["filter"]["FORWARD"]
            by_user = f"-j {MAIN}" in tables["filter"].get("DOCKER-USER", [])
            return f"-j {MAIN}" in forward or (by_user and "-j DOCKER-USER" in forward)
        return True

    # carrying out

    def run(self, steps: Iterable[Step], seal: Seal) -> Iterator[str]:
        """Carry the steps out; stops, saying what it did last, in each state that packets meet.

        ``seal`` is what an nft step installs. Of neighbouring ipset lines that all add to (or
        all delete from) one set only the state after the last counts: for any packet the set
        changes its answer once on the way, so that both ends show all that there is to see.
        """
        for step in steps:
            if step.tool == "nft":
                released = replace(self.seal, guarded=self.seal.guarded & seal.guarded)
                self.seal = released if step.text == RELEASE else seal
                yield step.why
            elif step.tool == "ipset":
                lines = step.text.splitlines()
                for what, same in groupby(lines, key=lambda line: line.split()[:2]):
                    for line in same:
                        self._ipset(line)
                    yield f"{step.why}: {' '.join(what)}"
            elif step.family is not None:
                for block in step.text.split("COMMIT\n")[:-1]:
                    self._iptables(step.family, block.splitlines())
                    yield f"{step.why}: IPv{step.family} {block.splitlines()[0]}"

    def _ipset(self, line: str) -> None:
        verb, name, *rest = line.split()
        if verb == "create":
            options = dict(zip(rest[1::2], rest[2::2], strict=False))
            family: Family = 4 if options["family"] == "inet" else 6
            if len(name) > _NAME_LENGTH:
                raise Refused(f"name too long: {line}")
            made = _LiveSet(rest[0], family, int(options["maxelem"]), "timeout" in options)
            self.sets.setdefault(name, made)
            return
        if name not in self.sets:
            raise Refused(f"no such set: {line}")
        live = self.sets[name]
        live.index = None
        if verb == "add":
            live.entries.add(rest[0])
            if len(live.entries) > live.maxelem:
                raise Refused(f"set is full: {line}")
        elif verb == "del":
            live.entries.discard(rest[0])
        elif verb == "flush":
            live.entries.clear()
        elif verb == "swap":
            self.sets[name], self.sets[rest[0]] = self.sets[rest[0]], live
        elif verb == "destroy" and name not in self._sets_in_use():
            del self.sets[name]
        else:
            raise Refused(line)

    def _sets_in_use(self) -> set[str]:
        rules = [
            rule
            for tables in self.tables.values()
            for chains in tables.values()
            for chain in chains.values()
            for rule in chain
        ]
        return {name for rule in rules for name in _SET_NAMED.findall(rule)}

    def _iptables(self, family: Family, block: list[str]) -> None:
        table: Table = "mangle" if block[0] == "*mangle" else "filter"
        chains = self.tables[family][table]
        for line in block[1:]:
            if line.startswith(":"):
                chains[line.split()[0][1:]] = []
                continue
            verb, name, rule = line.split(" ", 2)
            if verb == "-A":
                chains[name].append(rule)
            elif verb == "-I":
                at, rule = rule.split(" ", 1)
                chains[name].insert(int(at) - 1, rule)
            elif verb == "-D" and rule in chains[name]:
                chains[name].remove(rule)
            else:
                raise Refused(line)
        missing = self._sets_in_use() - set(self.sets)
        targets = {n for rules in chains.values() for r in rules for n in _CHAIN_NAMED.findall(r)}
        if missing or targets - set(chains):
            raise Refused(f"no such set or chain: {missing | (targets - set(chains))}")
