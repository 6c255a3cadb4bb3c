"""What is open of a container, in one sentence: ``80/tcp open to any; closed: 9000/tcp published as
9000``.

Pure. What is open is asked of `Exposure`; who may reach it and which ports are said in the words of
the policy's author.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from dockerfw.model.inventory import Container, Endpoint, Inventory, PublishedPort
from dockerfw.model.policy import (
    Allow,
    BridgeSource,
    Deny,
    Policy,
    PortKeyword,
    PortRange,
    PortSpec,
    PublishedSpec,
)
from dockerfw.report.exposure import Exposure, Exposures
from dockerfw.report.labels import host_port_text
from dockerfw.text import bracketed, listed, port_text, printable


def closed_word(policy: Policy) -> str:
    """Return what is said of a port that the policy does not open."""
    return "would be closed" if policy.mode == "observe" else "closed"


def describe_exposure(exposures: Exposures, inventory: Inventory, container: Container) -> str:
    """Return the sentence; empty for a container that has nothing that is ours to close."""
    exposure = exposures.of(inventory, container)
    return _Sentence(exposures.policy, exposure, inventory, container).text()


@dataclass(frozen=True, slots=True)
class _Sentence:
    policy: Policy
    exposure: Exposure
    inventory: Inventory
    container: Container

    def text(self) -> str:
        if self.inventory.on_host_network(self.container):
            return self._on_host()
        published = self.inventory.published(self.container)
        if not published and not self.inventory.endpoints(self.container):
            return ""
        found = list(self._openings())
        clauses = [*self._by_baseline(), *_together(found)]
        held = frozenset[PublishedPort]().union(*(opening.bindings for opening in found))
        shut = published_text(b for b in published if b not in held)
        closed = closed_word(self.policy)
        if not clauses:
            return f"{closed} ({shut})" if shut else closed
        clauses += self._narrowed()
        return "; ".join([*clauses, f"{closed}: {shut}"] if shut else clauses)

    def _on_host(self) -> str:
        """P8: there only the ports of rules that name this very container are guarded."""
        statements: tuple[Allow | Deny, ...] = (*self.policy.allows, *self.policy.denies)
        if not any(_names_exactly(statement, self.container) for statement in statements):
            return "not guarded, as no rule names its ports"
        found = [
            _Opening(str(spec), _who(rule))
            for index, rule in enumerate(self.policy.allows)
            if _names_exactly(rule, self.container)
            for spec in rule.ports
            if isinstance(spec, PortRange)
            and self.exposure.opens_own_host_port(index, spec.protocol, spec.first, spec.last)
        ]
        clauses = _together(found) or [f"what rules name is {closed_word(self.policy)}"]
        return "; ".join([*clauses, *self._narrowed(), "other ports are not guarded"])

    def _by_baseline(self) -> list[str]:
        words = [str(s) for s in self.policy.baseline if not isinstance(s, BridgeSource)]
        return [f"all ports open to {listed(words)}"] if words else []

    def _openings(self) -> Iterator[_Opening]:
        for index, allow in enumerate(self.policy.allows):
            if index not in self.exposure.opened:
                continue
            endpoints = self.exposure.named_at[index]
            partly = endpoints != self.inventory.endpoints(self.container)
            who = _who(allow) + (f" at {listed(addresses_of(endpoints))}" if partly else "")
            yield from self._of_ports(index, allow, who)
            yield from self._of_host_ports(index, allow, who)

    def _of_ports(self, index: int, allow: Allow, who: str) -> Iterator[_Opening]:
        bindings = self.inventory.published(self.container)
        for spec in self._expanded(allow.ports):
            held = frozenset(b for b in bindings if _holds(spec, b))
            by_host_port = any(self.exposure.opens_host_port(index, b) for b in held)
            if by_host_port or self._opens(index, spec):
                yield _Opening(_ports_text(spec), who, held)

    def _opens(self, index: int, spec: PortSpec) -> bool:
        match spec:
            case PortRange(protocol=protocol, first=first, last=last):
                return self.exposure.opens(index, protocol, first, last)
            case PortKeyword.ICMP:
                return self.exposure.opens(index, "icmp", 0, 0)
        return self.exposure.opens(index, None, 0, 0)

    def _of_host_ports(self, index: int, allow: Allow, who: str) -> Iterator[_Opening]:
        for host_ports in allow.published:
            bindings = self.inventory.published(self.container)
            leading = [b for b in bindings if _publishes(host_ports, b)]
            # A source is of one family: the port is not called closed because of the other one.
            if any(self.exposure.opens_host_port(index, b) for b in leading):
                for binding in leading:
                    where = None if binding.wildcard else binding.host_address
                    port = port_text(binding.protocol, binding.host_port, binding.host_port)
                    text = host_port_text(host_ports.address or where, port)
                    yield _Opening(text, who, frozenset({binding}))

    def _expanded(self, ports: tuple[PortSpec, ...]) -> Iterator[PortSpec]:
        """`PUBLISHED` as the ports that it stands for."""
        for spec in ports:
            if spec is not PortKeyword.PUBLISHED:
                yield spec
                continue
            own = [(b.protocol, b.container_port) for b in self.inventory.published(self.container)]
            for protocol, port in dict.fromkeys(
                [*own, *self.inventory.network_owner(self.container).routed]
            ):
                yield PortRange(protocol, port, port)

    def _narrowed(self) -> Iterator[str]:
        """The denies that take back a part of what is open."""
        for index, deny in enumerate(self.policy.denies):
            if self.exposure.narrows_an_allow(index):
                ports = [_ports_text(spec) for spec in deny.ports]
                ports += [host_port_text(s.address, str(s.ports)) for s in deny.published]
                yield f"{listed(ports)} denied to {_who(deny)}".lstrip()


@dataclass(frozen=True, slots=True)
class _Opening:
    """Ports that a rule opens; ``bindings`` are the published ports that lead there."""

    text: str
    who: str
    bindings: frozenset[PublishedPort] = frozenset()


def _together(found: Sequence[_Opening]) -> list[str]:
    """One clause for each group of sources."""
    groups: dict[str, dict[str, None]] = {}
    for opening in found:
        groups.setdefault(opening.who, {})[opening.text] = None
    return [f"{listed(tuple(ports))} open to {who}" for who, ports in groups.items()]


def _who(rule: Allow | Deny) -> str:
    """Its sources, in the words of their author."""
    who = listed([printable(word) for word in rule.written_from or map(str, rule.sources)])
    until = rule.until if isinstance(rule, Allow) else None
    return f"{who} until {until:%Y-%m-%d %H:%M} UTC" if until else who


def _names_exactly(rule: Allow | Deny, container: Container) -> bool:
    return any(s.exact_container and s.name == container.name for s in rule.to)


def _ports_text(spec: PortSpec) -> str:
    words = {PortKeyword.ICMP: "ping", PortKeyword.ALL: "all ports"}
    words[PortKeyword.PUBLISHED] = "all published ports"
    return words[spec] if isinstance(spec, PortKeyword) else str(spec)


def _holds(spec: PortSpec, binding: PublishedPort) -> bool:
    """Whether this published port leads to container ports that are meant."""
    if isinstance(spec, PortKeyword):
        return spec is not PortKeyword.ICMP
    return spec.protocol == binding.protocol and binding.container_port in spec


def _publishes(spec: PublishedSpec, binding: PublishedPort) -> bool:
    if spec.ports.protocol != binding.protocol or binding.host_port not in spec.ports:
        return False
    if binding.wildcard:
        return spec.address is None or spec.address.version == binding.host_address.version
    return spec.address in (None, binding.host_address)


def published_text(bindings: Iterable[PublishedPort]) -> str:
    """``5432/tcp published as 5432``; both families of a wildcard binding are one."""
    found: dict[str, None] = {}
    for b in bindings:
        host = "" if b.wildcard else f"{bracketed(b.host_address)}:"
        port = port_text(b.protocol, b.container_port, b.container_port)
        found[f"{port} published as {host}{b.host_port}"] = None
    return listed(tuple(found))


def addresses_of(endpoints: Sequence[Endpoint]) -> list[str]:
    return [str(address) for endpoint in endpoints for address in endpoint.addresses]
