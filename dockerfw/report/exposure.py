"""What a policy opens of one container, and to whom: asked of what is compiled for it.

Pure. The one place for that question: log lines put the answer into words, warnings of rules that
open nothing must agree with it. It is what the *policy* opens: whether somebody listens there is
not known here. It costs what one container costs, however many others run: a selector in ``from``
has placeholders for addresses here, whoever it names now.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import get_args

from dockerfw.model.host import HostFacts
from dockerfw.model.intervals import Interval
from dockerfw.model.inventory import Container, Endpoint, Inventory, PublishedPort
from dockerfw.model.net import FAMILIES, Address
from dockerfw.model.policy import Deny, Policy, Selector
from dockerfw.report.reach import Side, SourceArithmetic, intervals_of_list
from dockerfw.rules.compiler import Compiler, statements
from dockerfw.rules.meaning import Destination, rules_by_set
from dockerfw.rules.names import Place
from dockerfw.rules.rule import NoTarget, Rule
from dockerfw.rules.ruleset import Element
from dockerfw.rules.sources import SourceTerms
from dockerfw.rules.targets import is_reachable

_NOTHING = Side({}, {}, baseline=False)
_ANY_HOST = HostFacts()


@dataclass(frozen=True, slots=True)
class Exposure:
    """What the rules of a policy do to one container.

    ``opened``: the destinations that each allow opens to anybody whom no deny turns away.
    ``denied``: those that each deny closes, whoever may reach them. Both by the rule's index in the
    policy; a rule that is missing has none. Host ports are those that lead to the container.
    ``named_at``: the endpoints at which each of these allows names it.
    """

    opened: Mapping[int, frozenset[Destination]]
    denied: Mapping[int, frozenset[Destination]]
    named_at: Mapping[int, tuple[Endpoint, ...]]

    def opens(self, rule: int, protocol: str | None, first: int, last: int) -> bool:
        """Return True if that allow opens one of these ports at the container's own address."""
        return any(
            d.place == "container" and _overlap(d, protocol, first, last)
            for d in self.opened.get(rule, ())
        )

    def opens_host_port(self, rule: int, binding: PublishedPort) -> bool:
        """Return True if that allow opens this published port, on some address of the host."""
        return any(_leads_to(d, binding) for d in self.opened.get(rule, ()))

    def opens_own_host_port(self, rule: int, protocol: str, first: int, last: int) -> bool:
        """Return True if that allow opens one of these ports of a host-network container."""
        return any(
            d.place == "host" and _overlap(d, protocol, first, last)
            for d in self.opened.get(rule, ())
        )

    def narrows_an_allow(self, deny: int) -> bool:
        """Return True if that deny closes a part of what some allow opens."""
        return any(
            _may_match_one_packet(closed, open_)
            for closed in self.denied.get(deny, ())
            for destinations in self.opened.values()
            for open_ in destinations
        )


def _overlap(found: Destination, protocol: str | None, first: int, last: int) -> bool:
    if found.protocol is None or protocol is None:
        return True
    return found.protocol == protocol and found.first <= last and first <= found.last


def _leads_to(found: Destination, binding: PublishedPort) -> bool:
    port = binding.host_port
    if found.place != "host" or not _overlap(found, binding.protocol, port, port):
        return False
    if not is_reachable(binding, found.family):
        return False
    return binding.wildcard or found.address in (None, binding.host_address)


def _may_match_one_packet(one: Destination, other: Destination) -> bool:
    """Return True if some packet is sent to both."""
    if one[:2] != other[:2] or not _overlap(one, other.protocol, other.first, other.last):
        return False
    if one.where is None or other.where is None:
        return True
    return one.where.overlaps(other.where)


def _named_at(unit: Inventory, selectors: tuple[Selector, ...]) -> tuple[Endpoint, ...]:
    """Return the endpoints of the named container that has most of them; all that share a network
    namespace are at the same addresses.
    """
    return max((endpoints for _, endpoints in unit.select(selectors)), key=len, default=())


class Exposures:
    """The exposure of containers under one policy, by both families."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._statements = statements(policy)
        self._terms = SourceTerms(self._placeholder)
        self._selectors: dict[Selector, tuple[Address, Address]] = {}
        self._intervals: dict[str, tuple[Interval, ...]] = {}
        self._arithmetic = SourceArithmetic(self._intervals.get)

    def of(self, inventory: Inventory, container: Container) -> Exposure:
        """Return the exposure of a container of this inventory.

        All that share its network are at the same addresses: rules for these count as well.
        """
        together = inventory.sharing_network_with(container)
        ids = dict.fromkeys(e.network_id for c in together for e in c.endpoints)
        networks = tuple(n for i in ids if (n := inventory.network(i)) is not None)
        unit = Inventory(together, networks)
        compiler = Compiler(self.policy, unit, _ANY_HOST, self._terms)
        allows: list[int] = []
        denies: list[int] = []
        for index, statement in enumerate(self._statements):
            if not statement.to or compiler.concerns(statement):
                (denies if isinstance(statement, Deny) else allows).append(index)
        first_allow = len(self._statements) - len(self.policy.allows) - len(self.policy.denies)
        first_deny = first_allow + len(self.policy.allows)
        bindings = [b for c in together for b in c.ports]
        opened = {
            index - first_allow: found
            for index in allows
            if index >= first_allow
            and (found := frozenset(self._opened(compiler, index, denies, bindings)))
        }
        denied = {
            index - first_deny: frozenset(self._side(compiler, (index,)).destinations("deny"))
            for index in denies
        }
        named_at = {index: _named_at(unit, self.policy.allows[index].to) for index in opened}
        return Exposure(opened, denied, named_at)

    def _opened(
        self,
        compiler: Compiler,
        index: int,
        denies: list[int],
        bindings: Iterable[PublishedPort],
    ) -> Iterator[Destination]:
        side = self._side(compiler, (index, *denies))
        for to in side.destinations("allow"):
            sources, _ = self._arithmetic.at(to, "allow", side, _NOTHING)
            names_no_container = to.place == "host" and not self._statements[index].to
            if sources and (not names_no_container or any(_leads_to(to, b) for b in bindings)):
                yield to

    def _side(self, compiler: Compiler, indexes: Iterable[int]) -> Side:
        """Return what these statements add for the container, with the rules that match it."""
        sets: dict[str, frozenset[Element]] = {}
        rules: list[Rule] = []
        for family in FAMILIES:
            buckets = compiler.buckets(family, indexes)
            for ipset in buckets.ipsets():
                if ipset.phase == "frozen":
                    if ipset.name not in self._intervals:
                        self._intervals[ipset.name] = intervals_of_list(ipset.elements)
                else:
                    sets[ipset.name] = ipset.elements
            rules += [
                Rule(rule.matches, NoTarget()) for held in buckets.rules().values() for rule in held
            ]
        side = Side(sets, rules_by_set(rules), baseline=False)
        side.fill({(f, p) for f in FAMILIES for p in get_args(Place)})
        return side

    def _placeholder(self, selector: Selector) -> tuple[Address, Address]:
        """Return addresses of both families that no container has: one pair for each selector."""
        number = len(self._selectors) + 1
        addresses = (IPv4Address(number), IPv6Address(number))
        return self._selectors.setdefault(selector, addresses)
