"""What a valid policy gets wrong for what runs here: rules that match nobody, end, or are for
containers that are somewhere else.

Takes a policy, an inventory and facts of the host; gives sentences for people, each with the
next step, and with ``FILE:LINE`` where a statement is concerned. `advise` adds what
``port_warnings`` and ``host_warnings`` find. Never changes a verdict, never reads anything.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from typing import TypeAlias

from dockerfw.model.docker_names import (
    COMPOSE_PROJECT_LABEL,
    COMPOSE_SERVICE_LABEL,
    SWARM_SERVICE_LABEL,
)
from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Container, Inventory, Network
from dockerfw.model.policy import (
    AddressSource,
    Allow,
    Deny,
    HostSource,
    InterfaceSource,
    LanSource,
    Policy,
    Selector,
    SelectorSource,
    Source,
    outside_networks,
    parts,
)
from dockerfw.model.remark import Remark, coded
from dockerfw.model.routes import Routes
from dockerfw.model.supernets import Supernets
from dockerfw.report import host_warnings, port_warnings
from dockerfw.report.covered import Covering
from dockerfw.report.labels import meant_interface
from dockerfw.report.port_warnings import effect
from dockerfw.report.published_ports import PublishedPorts
from dockerfw.report.unfiltered import guarded_on_host_network
from dockerfw.rules.ruleset import LONGEST_TIMEOUT
from dockerfw.rules.targets import SPAN_OVER, guards_host_ports
from dockerfw.text import listed, moment, printable, similar_words

Statement: TypeAlias = Allow | Deny
_UNFILTERED = ("macvlan", "ipvlan", "overlay")


def advise(policy: Policy, inventory: Inventory, facts: HostFacts) -> tuple[str, ...]:
    """Return warnings in the order of the policy, then those on the host; none twice."""
    found = [*advise_on_rules(policy, inventory, facts)]
    found += host_warnings.foreign_ports(inventory, facts)
    found += host_warnings.odd_bridges(facts)
    found += host_warnings.overlaps(inventory, facts)
    found += host_warnings.spoofing_guessed(facts)
    found += host_warnings.lost_without_seal(facts)
    found += host_warnings.lost_without_labels(facts)
    found += host_warnings.lost_without_frames(policy, inventory, facts)
    return tuple(dict.fromkeys(found))


def advise_on_rules(policy: Policy, inventory: Inventory, facts: HostFacts) -> tuple[str, ...]:
    """Return the warnings on the rules alone, in the order of the policy; none twice."""
    checks = _StatementChecks(policy, inventory, facts)
    found = (
        Remark(f"{statement.origin}: {printable(sentence)}", sentence.code)
        for statement in sorted(policy.statements, key=lambda s: (s.origin.file, s.origin.line))
        for sentence in checks.warnings(statement)
    )
    return tuple(dict.fromkeys(found))


@coded("until-cut-short")
def ended_early(policy: Policy, now: float) -> tuple[str, ...]:
    """Return a warning for each allow that lasts longer than the kernel counts.

    The daemon renews them, nobody else does.
    """
    counts_to = int(now) + LONGEST_TIMEOUT
    return tuple(
        f"{allow.origin}: this rule lasts until {moment(allow.end)}, but the kernel counts no "
        f"further than {moment(counts_to)} and ends it then: run the daemon"
        for allow in policy.allows
        if allow.end is not None and allow.end > counts_to
    )


@coded("nobody-by-name")
def nameless(policy: Policy) -> tuple[str, ...]:
    """Return a warning for each ``host:`` or ``lan:`` source without an address."""
    sources = [source for rule in policy.statements for source in rule.sources]
    return tuple(
        dict.fromkeys(
            f"{source} has no {'network' if isinstance(source, LanSource) else 'address'}, so it "
            "opens nothing until it has one"
            for source in parts((*policy.baseline, *sources))
            if isinstance(source, HostSource | LanSource) and not source.networks
        )
    )


_MOST_SUGGESTIONS = 20
"""Each is looked for among all names; where more names are unknown, a whole project is stopped."""


# --- one statement -------------------------------------------------------------------------------


class _StatementChecks:
    """Checks statements one by one against what runs; ``policy`` is the whole of which they are."""

    def __init__(self, policy: Policy, inventory: Inventory, facts: HostFacts) -> None:
        self.inventory = inventory
        self.routes = Routes(facts.routes)
        self.interfaces = facts.interfaces
        self.subnets = Supernets(
            (subnet, place)
            for place, network in enumerate(inventory.bridges())
            for subnet in network.subnets
        )
        self.forwards = facts.forwards
        self.guarded = guarded_on_host_network(policy)
        self.covering = Covering(policy.denies, inventory)
        self.published = PublishedPorts(inventory)
        self._suggestions = 0
        # A swarm's published ports are in no inventory.
        self.in_swarm = inventory.in_swarm
        self.rules = port_warnings.RulesByContainer(policy.statements, inventory)

    def warnings(self, statement: Statement) -> Iterator[Remark]:
        yield from self._sources(statement)
        exact = _exact_names(statement.to)
        named = [container for container, _ in self.inventory.select(statement.to)]
        if statement.to:
            yield from self._selectors(statement, named)
        for container in named if statement.to else ():
            if container.name in exact:
                yield from self._sidecar(statement, container)
            yield from self._host_network(statement, container)
            yield from self._elsewhere(statement, container)
        if isinstance(statement, Allow) and statement.ports:
            yield from port_warnings.container_ports(statement, named, exact, self.inventory)
            yield from port_warnings.other_protocol(statement, named, self.rules, self.inventory)
        if statement.published and not self.in_swarm and (named or not statement.to):
            yield from port_warnings.host_ports(statement, named, self.published, self.forwards)
        if isinstance(statement, Allow):
            yield from self.covering.warnings(statement)

    # rules that match nobody

    @coded("source-without-effect")
    def _sources(self, statement: Statement) -> Iterator[str]:
        for source in statement.sources:
            if (network := self._docker_network(source)) is not None:
                yield (
                    f"from {source} is in the Docker network {network.name}, and addresses are "
                    f"those of the outside, so it {effect(statement)} nothing; write "
                    f"network:{network.name}, or bridge for all of them"
                )
            if isinstance(source, InterfaceSource):
                yield from self._no_interface(source, statement)
            if isinstance(source, SelectorSource) and not self.inventory.select([source.selector]):
                yield (
                    f"from {source} matches no running container, so it "
                    f"{effect(statement)} nothing; {self._meant(source.selector)}"
                )

    @coded("no-interface")
    def _no_interface(self, source: InterfaceSource, statement: Statement) -> Iterator[str]:
        if not self.interfaces or any(map(source.matches, self.interfaces)):
            return
        meant = meant_interface(source.name.removesuffix("*"), self.interfaces)
        yield (
            f"from {source}: this host has no such interface now, so it {effect(statement)} "
            f"nothing until there is one; {meant}"
        )

    def _docker_network(self, source: Source) -> Network | None:
        """Return the bridge network that this address, or all of these networks, lie in.

        None where this host reaches them another way: then they do come from outside.
        """
        if not isinstance(source, AddressSource | LanSource):
            return None
        networks = outside_networks(source)
        holding = [set(self.subnets.of(network)) for network in networks]
        places = sorted(set.intersection(*holding)) if holding else []
        if not places:
            return None
        out = {self.routes.way_out(network.network_address) for network in networks}
        bridges = self.inventory.bridges()
        return next((bridges[p] for p in places if out <= {None, bridges[p].bridge}), None)

    @coded("matches-nothing")
    def _selectors(self, statement: Statement, named: Collection[Container]) -> Iterator[str]:
        missing = False
        for selector in statement.to:
            if self.inventory.select([replace(selector, negated=False)]):
                continue
            missing = missing or not selector.negated
            if selector.negated:
                yield f"{selector} takes no container out; {self._meant(selector)}"
            else:
                yield (
                    f"{selector} matches no running container, so it {effect(statement)} "
                    f"nothing; {self._meant(selector)}"
                )
        if not named and not missing:
            yield f"no container is left after the ! in to: the rule {effect(statement)} nothing"

    def _meant(self, selector: Selector) -> str:
        """Return the next step for a selector that matches nothing."""
        self._suggestions += 1
        near: tuple[str, ...] = ()
        if self._suggestions <= _MOST_SUGGESTIONS:
            by_kind = self._services if selector.kind == "compose" else self._similar
            near = by_kind(selector)
        if near:
            return f"did you mean {listed([printable(word) for word in near])}?"
        return "start it, or correct it by docker ps"

    def _services(self, selector: Selector) -> tuple[str, ...]:
        """Return projects and services of compose that are near, as they stand in a policy."""
        pairs = {
            (project, service)
            for c in self.inventory.containers
            if (project := c.label(COMPOSE_PROJECT_LABEL)) is not None
            and (service := c.label(COMPOSE_SERVICE_LABEL)) is not None
        }
        project, service = selector.name, selector.detail
        own = sorted(s for p, s in pairs if p == project)
        if service and own:
            return tuple(f"compose:{project}/{s}" for s in similar_words(service, own) or own)
        named = tuple(f"compose:{p}/{s}" for p, s in sorted(pairs) if s == project)
        near = similar_words(project, self._words(selector))
        return named or tuple(f"compose:{p}/{service}" if service else f"compose:{p}" for p in near)

    def _similar(self, selector: Selector) -> tuple[str, ...]:
        return similar_words(selector.name, self._words(selector))

    def _words(self, selector: Selector) -> set[str]:
        """Return what a selector of this kind could name here."""
        containers = self.inventory.containers
        match selector.kind:
            case "container":
                return {c.name for c in containers}
            case "compose":
                return self._label_values(COMPOSE_PROJECT_LABEL)
            case "label":
                return {key for c in containers for key, _ in c.labels}
            case "image":
                return {c.image for c in containers}
            case "network":
                return {n.name for n in self.inventory.networks}
            case "service":
                return self._label_values(SWARM_SERVICE_LABEL)

    def _label_values(self, key: str) -> set[str]:
        return {value for c in self.inventory.containers if (value := c.label(key)) is not None}

    # containers that are somewhere else

    @coded("shared-network")
    def _sidecar(self, statement: Statement, container: Container) -> Iterator[str]:
        owner = self.inventory.network_owner(container)
        if owner.id == container.id:
            return
        if any(c.id == owner.id for c, _ in self.inventory.select(statement.to)):
            return
        yield (
            f"{container.name} is at the addresses of {owner.name}: the rule is for "
            f"both; name {owner.name} in to as well"
        )

    @coded("host-network")
    def _host_network(self, statement: Statement, container: Container) -> Iterator[str]:
        """P8: only exact names with port numbers count there."""
        if not self.inventory.on_host_network(container) or statement.published:
            return
        name = container.name
        named = name in _exact_names(statement.to)
        void = [spec for spec in statement.ports if not guards_host_ports(spec)]
        if name in self.guarded and named and void:
            yield (
                f"{name} is on the host's network, where {listed([str(spec) for spec in void])} "
                f"{effect(statement)} nothing; write the numbers that {name} listens on, in ranges "
                f"of up to {SPAN_OVER:,} ports"
            )
        # An allow for more than these may be meant for the others; a deny must not be missed.
        if name in self.guarded and (named or isinstance(statement, Allow)):
            return
        yield (
            f"{name} is on the host's network, where a rule guards only the port numbers that it "
            f"writes for that very name, in ranges of up to {SPAN_OVER:,} ports: write "
            f'to = "{name}" with ports, such as ports = [9100]'
        )

    @coded("not-filtered-here")
    def _elsewhere(self, statement: Statement, container: Container) -> Iterator[str]:
        """P9: on no network that this host's kernel filters."""
        owner = self.inventory.network_owner(container)
        if owner.host_network or self.inventory.endpoints(owner):
            return
        networks = [self.inventory.network(e.network_id) for e in owner.endpoints]
        unfiltered = [
            f"{network.driver} network {network.name}"
            for network in networks
            if network is not None and network.driver in _UNFILTERED
        ]
        if unfiltered:
            yield (
                f"{container.name} is only on the {listed(unfiltered)}, which cannot be filtered "
                f"here: the rule {effect(statement)} nothing; filter it where that network ends, "
                "or move it to a bridge network"
            )


def _exact_names(selectors: Iterable[Selector]) -> frozenset[str]:
    return frozenset(s.name for s in selectors if s.exact_container)
