"""Ports in a statement that help nobody here: host ports written as container ports, the wrong
protocol, ports that are not published, or on loopback alone.

Takes one statement, the containers that it names and the inventory; gives sentences for people,
each with what to write instead. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from dockerfw.model.host import PortForward
from dockerfw.model.inventory import Container, Inventory, PublishedPort
from dockerfw.model.policy import Allow, Deny, PortKeyword, PortRange, PublishedSpec
from dockerfw.model.remark import coded
from dockerfw.report.published_ports import PublishedPorts
from dockerfw.text import bracketed, short_port


def effect(statement: Allow | Deny) -> str:
    """Return what a statement is for, as in ``so it opens nothing``."""
    return "opens" if isinstance(statement, Allow) else "closes"


@coded("container-port")
def container_ports(
    allow: Allow, named: Collection[Container], exact: Collection[str], inventory: Inventory
) -> Iterator[str]:
    """Yield what is wrong with ``ports``.

    ``named`` are the containers that the rule is for, ``exact`` the names that ``to`` has in full.
    """
    ranges = [spec for spec in allow.ports if isinstance(spec, PortRange)]
    for container in named:
        if PortKeyword.ALL in allow.ports or inventory.on_host_network(container):
            continue
        exactly = container.name in exact
        bindings = inventory.published(container)
        helped = [b for b in bindings if _covers(ranges, b.protocol, b.container_port)]
        if PortKeyword.PUBLISHED in allow.ports:
            helped = list(bindings)
            if not bindings and exactly and not inventory.network_owner(container).routed:
                yield (
                    f'{container.name} publishes no port, so ports = ["published"] opens '
                    "nothing there: write the numbers of its ports"
                )
        yield from _on_loopback(container, helped)
        if not helped and (exactly or not _helps_any(ranges, named, inventory)):
            yield from _mistaken(container, ranges, bindings)


@coded("other-protocol")
def other_protocol(
    allow: Allow,
    named: Collection[Container],
    rules: RulesByContainer,
    inventory: Inventory,
) -> Iterator[str]:
    """Yield the ports of this allow that are published for another protocol as well.

    Not those that any of ``rules`` names in that protocol, too: whoever wrote it knows.
    """
    ranges = [spec for spec in allow.ports if isinstance(spec, PortRange)]
    for container in named:
        bindings = inventory.published(container)
        told: set[tuple[str, int]] = set()
        for binding in bindings:
            port = (binding.protocol, binding.container_port)
            if port in told or _covers(ranges, *port):
                continue
            mine = next((r for r in ranges if binding.container_port in r), None)
            if mine is None or rules.name(container, binding):
                continue
            if not _covers(_ranges(bindings), mine.protocol, binding.container_port):
                continue  # the wrong protocol was written: that is told elsewhere
            told.add(port)
            number, protocol = binding.container_port, binding.protocol
            yield (
                f"{container.name} publishes {number}/{protocol} as well as "
                f"{number}/{mine.protocol}, and no rule names it: write "
                f"ports = [{_toml(number, mine.protocol)}, {_toml(number, protocol)}] if it "
                "should be open, or a [[deny]] for it if not"
            )


class RulesByContainer:
    """All rules of a policy, found by the containers that they are about."""

    def __init__(self, rules: Iterable[Allow | Deny], inventory: Inventory) -> None:
        self._for_all: list[Allow | Deny] = []
        self._for: dict[str, list[Allow | Deny]] = {}
        for rule in rules:
            if not rule.to:
                self._for_all.append(rule)
            for container, _ in inventory.select(rule.to) if rule.to else ():
                self._for.setdefault(container.id, []).append(rule)

    def name(self, container: Container, binding: PublishedPort) -> bool:
        """Return True if a rule for this container names this port of it."""
        return any(
            _names(rule, binding) for rule in (*self._for.get(container.id, ()), *self._for_all)
        )


def _names(rule: Allow | Deny, binding: PublishedPort) -> bool:
    ranges = [spec for spec in rule.ports if isinstance(spec, PortRange)]
    if len(ranges) < len(rule.ports) or any(_leads(spec, binding) for spec in rule.published):
        return True
    return _covers(ranges, binding.protocol, binding.container_port)


@coded("host-port")
def host_ports(
    statement: Allow | Deny,
    named: Collection[Container],
    published: PublishedPorts,
    forwards: Iterable[PortForward],
) -> Iterator[str]:
    """Yield what is wrong with ``published``, for the containers that ``to`` names or, without it,
    for all; a port that NAT of others leads on (``forwards``) needs none.
    """
    ids = {container.id for container in named}
    for spec in statement.published:
        leading = [
            (container, binding)
            for container, binding in published.of_host(spec.ports)
            if (not statement.to or container.id in ids) and _leads(spec, binding)
        ]
        reached = [b for _, b in leading if not b.host_address.is_loopback]
        if not leading and not any(_takes(forward, spec) for forward in forwards):
            near = published.of_either(spec.ports)
            near = [found for found in near if not statement.to or found[0].id in ids]
            yield _unpublished(statement, spec, near)
        elif leading and not reached and isinstance(statement, Allow):
            yield _loopback_text(*leading[0])


def _takes(forward: PortForward, spec: PublishedSpec) -> bool:
    ports = spec.ports
    same = spec.address is None or forward.address in (None, spec.address)
    if not same or forward.protocol not in (None, ports.protocol):
        return False
    return forward.protocol is None or (forward.first <= ports.last and ports.first <= forward.last)


def _helps_any(
    ranges: list[PortRange], containers: Iterable[Container], inventory: Inventory
) -> bool:
    return any(
        _covers(ranges, b.protocol, b.container_port)
        for container in containers
        for b in inventory.published(container)
    )


def _mistaken(
    container: Container, ranges: list[PortRange], bindings: tuple[PublishedPort, ...]
) -> Iterator[str]:
    """Host ports written as container ports, and ports of the other protocol."""
    reported: set[PortRange] = set()
    for binding in bindings:
        for spec in ranges:
            if spec in reported:
                continue
            if spec.protocol == binding.protocol and binding.host_port in spec:
                reported.add(spec)
                inner, outer = binding.container_port, binding.host_port
                protocol = binding.protocol
                yield (
                    f"{container.name} has no port {str(spec).removesuffix('/tcp')}; it publishes "
                    f"{short_port(inner, protocol)} as {short_port(outer, protocol)}: "
                    f"write ports = [{_toml(inner, protocol)}] or "
                    f"published = [{_toml(outer, protocol)}]"
                )
            elif spec.protocol != binding.protocol and binding.container_port in spec:
                if _covers(_ranges(bindings), spec.protocol, binding.container_port):
                    continue
                reported.add(spec)
                port = f"{binding.container_port}/{binding.protocol}"
                yield (
                    f"{container.name} publishes {port} and no port {spec}: "
                    f'write ports = ["{port}"]'
                )


def _on_loopback(container: Container, bindings: list[PublishedPort]) -> Iterator[str]:
    """Ports with bindings that this host alone reaches, and no other."""
    for binding in bindings:
        port = (binding.protocol, binding.container_port)
        same = [b for b in bindings if (b.protocol, b.container_port) == port]
        if binding == same[0] and all(b.host_address.is_loopback for b in same):
            yield _loopback_text(container, binding)


def _unpublished(
    statement: Allow | Deny, spec: PublishedSpec, near: Iterable[tuple[Container, PublishedPort]]
) -> str:
    """``near``: the bindings whose host port or container port is among these ports."""
    who = "no container of to" if statement.to else "no running container"
    start = f"{who} publishes host port {spec}, so it {effect(statement)} nothing"
    for container, binding in near:
        written = _toml(binding.host_port, binding.protocol)
        if binding.host_port in spec.ports:
            return (
                f"{start}: {container.name} publishes it on {binding.host_address}; "
                f"write published = [{written}]"
            )
        return (
            f"{start}: {container.name} publishes {binding.container_port} as "
            f"{binding.host_port}; write published = [{written}]"
        )
    return f"{start}; start the container, or write a port that docker ps shows"


def _covers(ranges: Iterable[PortRange], protocol: str, port: int) -> bool:
    return any(spec.protocol == protocol and port in spec for spec in ranges)


def _ranges(bindings: Iterable[PublishedPort]) -> list[PortRange]:
    """Return the container ports that these bindings lead to."""
    return [PortRange(b.protocol, b.container_port, b.container_port) for b in bindings]


def _leads(spec: PublishedSpec, binding: PublishedPort) -> bool:
    if binding.protocol != spec.ports.protocol or binding.host_port not in spec.ports:
        return False
    if spec.address is None or spec.address == binding.host_address:
        return True
    return binding.wildcard and spec.address.version == binding.host_address.version


def _toml(port: int, protocol: str) -> str:
    """Return a port as it stands in a list of the policy: ``80``, ``"53/udp"``."""
    text = short_port(port, protocol)
    return text if protocol == "tcp" else f'"{text}"'


def _loopback_text(container: Container, binding: PublishedPort) -> str:
    port = short_port(binding.container_port, binding.protocol)
    return (
        f"{container.name} publishes {port} on {bracketed(binding.host_address)}:"
        f"{binding.host_port}, which this host alone reaches: no rule opens that host port; "
        f"publish it as {binding.host_port}:{port} if others should reach it"
    )
