"""Whether a packet passes, and which line of the policy decides that.

Walks the packet through the compiled ruleset of the whole policy for the verdict, then through
rulesets of parts of the policy to find the first statement, and its source, that decides. Pure.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, TypeAlias

from dockerfw.model.foreign import ForeignTable
from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Inventory
from dockerfw.model.net import Address, Family
from dockerfw.model.policy import Allow, Deny, Origin, Policy, Source
from dockerfw.report.explain.reader import network_of
from dockerfw.report.explain.routes import ANY_HOST, OUTSIDE, Route
from dockerfw.report.explain.ways import Ways
from dockerfw.report.foreign_walk import Ends, ForeignRules, Traveller
from dockerfw.report.obstacles import docker_writes
from dockerfw.rules.chains import SPOOFED_ELSE
from dockerfw.rules.compiler import compile_ruleset
from dockerfw.rules.ruleset import Ruleset
from dockerfw.rules.walk import Packet, WalkResult, walk
from dockerfw.text import moment

NOTHING_ALLOWS = "denied: nothing allows it"
LOCKED_DOWN = "denied: all is locked down until the next dockerfw apply"
_Section: TypeAlias = Literal["allows", "denies", "baseline"]
_Why: TypeAlias = tuple[str, Origin | None]
_Part: TypeAlias = tuple[_Section, int, int | None]
"""The first so many statements of a section; or, with a third number, the source of that index of
the one statement of that index."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a packet passes, and why, in words; and who may drop it all the same.

    ``refused``: the rule of others that does for certain; empty where none does.
    """

    allowed: bool
    reason: str
    others: tuple[str, ...] = ()
    refused: str = ""
    rule: Origin | None = None
    """The rule of the policy that decides it, where one does."""


class Reasons:
    """Decides on packets, and finds the line of the policy that does.

    ``local`` are this host's own addresses. A policy in mode observe is read as if it enforced.
    """

    def __init__(
        self,
        policy: Policy,
        inventory: Inventory,
        facts: HostFacts,
        local: frozenset[Address],
        foreign: tuple[ForeignTable, ...] = (),
    ) -> None:
        self.policy = replace(policy, mode="enforce")
        self.foreign = foreign
        self.inventory = inventory
        self.facts = facts
        self.local = local
        self.ways = Ways(inventory, facts)
        self._bridges = frozenset(network.bridge for network in inventory.bridges())
        self.without_sources = self._without_sources()
        self._parts: dict[_Part, Ruleset] = {}

    @cached_property
    def whole(self) -> Ruleset:
        """The ruleset of the whole policy; mostly nobody asks."""
        return self._compiled(self.policy)

    @cached_property
    def _foreign_rules(self) -> ForeignRules:
        return ForeignRules(self.foreign)

    @cached_property
    def closed(self) -> Ruleset:
        """The ruleset in which nobody from outside may reach anything."""
        return self._compiled(self.without_sources)

    def decide(self, route: Route) -> Decision:
        """Return whether a packet on this route passes, and the line of the policy that decides."""
        packet = route.packet
        comes_back = self.ways.leads_back(packet.interface, packet.source)
        from_docker = packet.interface in self._bridges
        result = self._walk(self.whole, route)
        if result.passed and result.has_bit and from_docker and not comes_back:
            return Decision(False, SPOOFED_ELSE)  # by the seal
        if result.passed:
            reason, rule = self._why_allowed(route, result)
            others, refused = self.by_others(route)
            return Decision(True, reason, others, refused, rule)
        if from_docker and not comes_back:
            return Decision(False, SPOOFED_ELSE)
        reason, rule = self._why_denied(route, result)
        return Decision(False, reason, rule=rule)

    def by_others(self, route: Route) -> tuple[tuple[str, ...], str]:
        """Return the rules of others that may drop it, and the one that does for certain."""
        ends = self._others(route)
        others = dict.fromkeys(drop for one in ends for drop in one.drops)
        return tuple(others), next((one.closing for one in ends if one.closing), "")

    def _others(self, route: Route) -> tuple[Ends, Ends]:
        """Return how it may end by the rules of others, at both hooks that it meets."""
        packet = route.packet
        home = network_of(self.inventory, packet.destination) if route.hook == "forward" else None
        here = Traveller(
            route.hook,
            None if packet.interface == OUTSIDE else packet.interface,
            None if home is None else home.bridge,
            packet.source,
            packet.destination,
            packet.protocol,
            packet.port,
            dnat=packet.dnat,
            sent_to=packet.host_port,
            local=route.hook == "input",
            not_by=self._bridges,
        )
        address, port = packet.host_port or (packet.destination, packet.port)
        arriving = replace(
            here,
            hook="prerouting",
            out_interface=None,
            destination=address,
            port=port,
            dnat=False,
            local=packet.host_port is not None,
        )
        if route.by_docker and not docker_writes(self.foreign, address.version):
            here = replace(arriving, hook="input")
        return self._foreign_rules.ends(arriving), self._foreign_rules.ends(here)

    def guards(self, family: Family, protocol: str, port: int) -> bool:
        """Return True if a rule guards this port of the host for a host-network container."""
        host = ANY_HOST[family]
        stranger: Address = host + 1
        packet = Packet(OUTSIDE, stranger, host, protocol, port, host_port=(host, port))
        return not self._walk(self.closed, Route("", "input", packet)).passed

    def _why_denied(self, route: Route, result: WalkResult) -> _Why:
        for rule in result.path:
            if rule.role == "spoofed":
                return rule.comment, None
        index = self._first("denies", len(self.policy.denies), route)
        if index is None:
            return (LOCKED_DOWN if self.policy.locked_down else NOTHING_ALLOWS), None
        deny = self.policy.denies[index]
        return f"denied by {deny.origin}{self._from('denies', index, route)}", deny.origin

    def _why_allowed(self, route: Route, result: WalkResult) -> _Why:
        if not result.has_bit:
            return "allowed: no rule guards this port of the host, dockerfw leaves it alone", None
        index = self._first("allows", len(self.policy.allows), route)
        if index is not None:
            allow = self.policy.allows[index]
            until = f" until {moment(allow.end)}" if allow.end is not None else ""
            by = f"allowed by {allow.origin}{self._from('allows', index, route)}{until}"
            return by, allow.origin
        index = self._first("baseline", len(self.policy.baseline), route)
        by = "" if index is None else f" by baseline {self.policy.baseline[index]}"
        return f"allowed{by}", None

    def _first(self, section: _Section, count: int, route: Route) -> int | None:
        """Return the index of the first statement of the section that decides this packet.

        A binary search: with more statements of the same section it stays decided.
        """
        found = bisect_left(
            range(1, count + 1), True, key=lambda stop: self._decides((section, stop, None), route)
        )
        return found if found < count else None

    def _from(self, section: Literal["allows", "denies"], index: int, route: Route) -> str:
        """Return `` (from office)``: the word of ``from``, as written, that matches this packet."""
        statement = (self.policy.denies if section == "denies" else self.policy.allows)[index]
        written, sources = statement.written_from, statement.sources
        if len(written) == 1:
            return f" (from {written[0]})"
        for number, source in enumerate(sources[:-1]):
            if self._decides((section, index, number), route):
                return f" (from {self._written(source, sources, written)})"
        return f" (from {self._written(sources[-1], sources, written)})"

    def _written(
        self, source: Source, sources: tuple[Source, ...], written: tuple[str, ...]
    ) -> str:
        """Return what the user wrote for this source: itself, or the list that it is from."""
        if str(source) in written:
            return str(source)
        literal = {str(s) for s in sources}
        lists = [word for word in written if word not in literal]
        holding = [name for name, held in self.policy.named if name in lists and source in held]
        if holding or len(lists) == 1:
            return (holding or lists)[0]
        return str(source)

    def _decides(self, part: _Part, route: Route) -> bool:
        """Return True if this part of the policy alone lets the packet pass, or denies it."""
        if part not in self._parts:
            self._parts[part] = self._compiled(self._reduced(*part))
        result = self._walk(self._parts[part], route)
        if part[0] == "denies":
            return any(rule.role == "deny" for rule in result.path)
        return result.passed and result.has_bit

    def _reduced(self, section: _Section, stop: int, number: int | None) -> Policy:
        """Return the policy with no more sources than those of this `_Part`."""
        closed = self.without_sources
        if section == "baseline":
            return replace(closed, baseline=self.policy.baseline[:stop])
        if section == "denies":
            denies = self.policy.denies[:stop]
            if number is not None:
                deny = self.policy.denies[stop]
                denies = (replace(deny, sources=(deny.sources[number],)),)
            return replace(closed, denies=(*closed.denies, *denies))
        allows = self.policy.allows[:stop]
        if number is not None:
            allow = self.policy.allows[stop]
            allows = (replace(allow, sources=(allow.sources[number],)),)
        return replace(closed, allows=(*closed.allows, *allows))

    def _without_sources(self) -> Policy:
        """Return the policy with no statement that has a source.

        Those that name host-network containers stay: which of their ports are guarded depends on
        the statements that name them, whoever these are for.
        """
        on_host = {c.name for c in self.inventory.containers if self.inventory.on_host_network(c)}

        def stays(statement: Allow | Deny) -> bool:
            return any(s.exact_container and s.name in on_host for s in statement.to)

        return replace(
            self.policy,
            baseline=(),
            allows=tuple(replace(a, sources=()) for a in self.policy.allows if stays(a)),
            denies=tuple(replace(d, sources=()) for d in self.policy.denies if stays(d)),
        )

    def _walk(self, ruleset: Ruleset, route: Route) -> WalkResult:
        local = self.local
        if route.packet.host_port is not None:
            local |= {route.packet.host_port[0]}
        packet = replace(
            route.packet,
            way_back=self.ways.leads_back(route.packet.interface, route.packet.source),
            leaves_by=self.ways.leads_out(route.packet.destination),
        )
        return walk(ruleset, route.hook, packet, local)

    def _compiled(self, policy: Policy) -> Ruleset:
        return compile_ruleset(policy, self.inventory, self.facts)
