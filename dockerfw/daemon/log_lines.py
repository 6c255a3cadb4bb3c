"""What happened, in one line a change that a person can read.

Pure. Takes two inventories and the policy, or what the daemon found; gives `Line` values: a
sentence, how bad it is, and the same as fields for programs. What is open to whom is asked of the
policy for the one container that a line is about, so that a line costs the same however many
others run. It tells what the *policy* opens: whether somebody listens there is not known here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from dockerfw.model.inventory import Container, Endpoint, Inventory, Network, PublishedPort
from dockerfw.model.policy import (
    Allow,
    AnySource,
    BridgeSource,
    Deny,
    FileSource,
    HostSource,
    InterfaceSource,
    Policy,
    PortKeyword,
    PortRange,
    PortSpec,
    PublishedSpec,
    Selector,
    SelectorSource,
    Source,
)
from dockerfw.report.labels import host_port_text
from dockerfw.text import listed, network_text, port_text, printable

Level: TypeAlias = Literal["info", "warning", "error"]
Value: TypeAlias = str | int | float | bool | None
_UNFILTERED = ("macvlan", "ipvlan")
_NOWHERE = ("host", "none", "null")


@dataclass(frozen=True, slots=True)
class Line:
    """One entry of the log. ``fields`` have names in lower case, as a program wants them."""

    level: Level
    message: str
    fields: Mapping[str, Value] = field(default_factory=dict)


# --- containers and networks ---------------------------------------------------------------------


def changes(old: Inventory, new: Inventory, policy: Policy) -> Iterator[Line]:
    """What is not the same: what has gone first, what has come last. Nothing for nothing."""
    teller = _Teller(new, policy)
    yield from _containers_gone(old, new)
    yield from teller.networks(old)
    before = {container.id: container for container in old.containers}
    for container in new.containers:
        known = before.get(container.id)
        if known is None:
            yield teller.up(container)
        elif known is not container and known != container:
            yield from teller.changed(old, known, container)


def _containers_gone(old: Inventory, new: Inventory) -> Iterator[Line]:
    stay = {container.id for container in new.containers}
    for container in old.containers:
        if container.id not in stay:
            fields = _fields("container_gone", old, container)
            yield Line("info", f"{printable(container.name)} gone", fields)


class _Teller:
    """Tells of containers and networks as they are now."""

    def __init__(self, inventory: Inventory, policy: Policy) -> None:
        self.inventory = inventory
        self.policy = policy
        self.closed = "would be closed" if policy.mode == "observe" else "closed"

    # networks

    def networks(self, old: Inventory) -> Iterator[Line]:
        before = {network.id: network for network in old.networks}
        stay = {network.id for network in self.inventory.networks}
        for network in old.networks:
            if network.id not in stay:
                name = printable(network.name)
                yield Line("info", f"network {name} removed", _of(network, "network_removed"))
        for network in self.inventory.networks:
            known = before.get(network.id)
            if known is None:
                yield self._made(network)
            if network.foreign_ports and (
                not known or known.foreign_ports != network.foreign_ports
            ):
                yield _foreign(network)

    def _made(self, network: Network) -> Line:
        name = printable(network.name)
        if network.driver == "bridge" and network.bridge:
            what = [network.bridge, *(network_text(subnet) for subnet in network.subnets)]
            text = f"network {name} made ({', '.join(what)}): {self.closed}"
        elif network.driver in _UNFILTERED:
            text = f"network {name} made ({network.driver}): it cannot be filtered here"
        else:
            text = f"network {name} made ({printable(network.driver)})"
        return Line("info", text, _of(network, "network_made"))

    # containers

    def up(self, container: Container) -> Line:
        text = f"{printable(container.name)} up {self._where(container)}"
        opened = self.opened(container)
        return self._line("container_up", container, f"{text}: {opened}" if opened else text)

    def changed(self, old: Inventory, was: Container, now: Container) -> Iterator[Line]:
        """Its name, its addresses, its ports; and what is open, where that is not the same."""
        news = list(_news(was, now))
        after = self.opened(now)
        told = _Teller(old, self.policy).opened(was) == after
        if told and not news:
            return
        text = f"{printable(was.name)} {', '.join(news) or 'changed'}"
        yield self._line(
            "container_changed", now, text if told or not after else f"{text}: {after}"
        )

    def _line(self, event: str, container: Container, text: str) -> Line:
        fields = _fields(event, self.inventory, container)
        return Line("info", text, {**fields, "open": self.opened(container)})

    def _where(self, container: Container) -> str:
        network_owner = self.inventory.network_owner(container)
        if network_owner.host_network:
            return "on this host's own network"
        if network_owner.id != container.id:
            return f"on the network of {printable(network_owner.name)}"
        at = _addresses(self.inventory.endpoints(container))
        past = [printable(n) for n in self._past_us(network_owner)]
        words = ([f"on {listed(past)}"] if past else []) + ([f"at {listed(at)}"] if at else [])
        none = "an address" if self.inventory.endpoints(container) else "a network"
        return " and ".join(words) or f"without {none}"

    def _past_us(self, container: Container) -> Iterator[str]:
        """Its networks that are no bridges of this host: ``macvlan network lan``."""
        bridges = {endpoint.network_id for endpoint in self.inventory.endpoints(container)}
        for endpoint in container.endpoints:
            network = self.inventory.network(endpoint.network_id)
            if network and endpoint.network_id not in bridges and network.driver not in _NOWHERE:
                hint = " (it cannot be filtered here)" if network.driver in _UNFILTERED else ""
                yield f"{network.driver} network {network.name}{hint}"

    # what is open to whom

    def opened(self, container: Container) -> str:
        """``80/tcp open to any; closed: 9000/tcp published as 9000``, or ``closed``.

        Empty for a container that has nothing that is ours to close.
        """
        if self.inventory.on_host_network(container):
            return self._open_on_host(container)
        published = self.inventory.published(container)
        if not published and not self.inventory.endpoints(container):
            return ""
        found = list(self._openings(container))
        said = [*self._by_baseline(), *_together(found)]
        held = frozenset[PublishedPort]().union(*(opening.bindings for opening in found))
        shut = _published_text(b for b in published if b not in held)
        if not said:
            return f"{self.closed} ({shut})" if shut else self.closed
        said += self._taken_back(container, found)
        return "; ".join([*said, f"{self.closed}: {shut}"] if shut else said)

    def _open_on_host(self, container: Container) -> str:
        """P8: there only the ports of rules that name this very container are looked at."""
        rules = [a for a in self.policy.allows if _names_exactly(a, container)]
        found = [
            _Opening(str(spec), _who(rule), spec)
            for rule in rules
            if self._named(container, rule.to) is not None and _opens(rule)
            for spec in rule.ports
            if isinstance(spec, PortRange)
            and not self._shut(container, rule, _Opening("", "", spec))
        ]
        if not rules and not any(_names_exactly(d, container) for d in self.policy.denies):
            return "not guarded, as no rule names its ports"
        said = _together(found) or [f"what rules name is {self.closed}"]
        return "; ".join(
            [*said, *self._taken_back(container, found), "other ports are not guarded"]
        )

    def _by_baseline(self) -> list[str]:
        words = [str(s) for s in self.policy.baseline if not isinstance(s, BridgeSource)]
        return [f"all ports open to {listed(words)}"] if words else []

    def _openings(self, container: Container) -> Iterator[_Opening]:
        for allow in self.policy.allows:
            endpoints = self._named(container, allow.to)
            if endpoints is None or not _opens(allow):
                continue
            partly = endpoints != self.inventory.endpoints(container)
            who = _who(allow) + (f" at {listed(_addresses(endpoints))}" if partly else "")
            for opening in self._of_rule(allow, container, who):
                if not self._shut(container, allow, opening):
                    yield opening

    def _of_rule(self, allow: Allow, container: Container, who: str) -> Iterator[_Opening]:
        bindings = self.inventory.published(container)
        for spec in self._expanded(allow.ports, container):
            held = frozenset(b for b in bindings if _holds(spec, b))
            yield _Opening(_ports_text(spec), who, spec, held)
        for host_ports in allow.published:
            for binding in bindings:
                if _publishes(host_ports, binding):
                    where = None if binding.wildcard else binding.host_address
                    port = port_text(binding.protocol, binding.host_port, binding.host_port)
                    text = host_port_text(host_ports.address or where, port)
                    yield _Opening(text, who, None, frozenset({binding}))

    def _expanded(self, ports: tuple[PortSpec, ...], container: Container) -> Iterator[PortSpec]:
        """`PUBLISHED` as the ports that it stands for."""
        for spec in ports:
            if spec is not PortKeyword.PUBLISHED:
                yield spec
                continue
            own = [(b.protocol, b.container_port) for b in self.inventory.published(container)]
            for protocol, port in dict.fromkeys(
                [*own, *self.inventory.network_owner(container).routed]
            ):
                yield PortRange(protocol, port, port)

    def _shut(self, container: Container, allow: Allow, opening: _Opening) -> bool:
        """Whether one deny takes back all of it."""
        return any(
            _covers(deny, opening)
            and all(_denied(source, deny) for source in allow.sources)
            and self._named(container, deny.to) is not None
            for deny in self.policy.denies
        )

    def _taken_back(self, container: Container, found: Sequence[_Opening]) -> Iterator[str]:
        """Denies that take back a part of what is open."""
        for deny in self.policy.denies:
            if self._named(container, deny.to) is None or not any(_touches(deny, o) for o in found):
                continue
            ports = [_ports_text(spec) for spec in deny.ports]
            ports += [host_port_text(s.address, str(s.ports)) for s in deny.published]
            yield f"{listed(ports)} denied to {_who(deny)}".lstrip()

    def _named(
        self, container: Container, selectors: tuple[Selector, ...]
    ) -> tuple[Endpoint, ...] | None:
        """Where a ``to`` names this container (see `Inventory.select`), None: it does not."""
        wanted = [s for s in selectors if not s.negated]
        named_by = [s for s in wanted if self.inventory.matches(container, s)]
        if wanted and not named_by:
            return None
        if any(s.negated and self.inventory.matches(container, s) for s in selectors):
            return None
        endpoints = self.inventory.endpoints(container)
        if not named_by or any(s.kind != "network" for s in named_by):
            return endpoints
        networks = {s.name for s in named_by}
        return tuple(e for e in endpoints if e.network in networks)


@dataclass(frozen=True, slots=True)
class _Opening:
    """Ports that a rule opens: ``spec`` of the container, None for a host port.

    ``who`` is for people; ``bindings`` are the published ports that lead there.
    """

    text: str
    who: str
    spec: PortSpec | None
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


def _opens(allow: Allow) -> bool:
    """Whether there is anybody to open to: not once it has ended, nor by empty lists."""
    return any(not isinstance(s, FileSource | HostSource) or s.networks for s in allow.sources)


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


def _denied(source: Source, deny: Deny) -> bool:
    """Whether the deny is for all of this source. Addresses are the outside, and so is any."""
    if source in deny.sources:
        return True
    outside = not isinstance(source, BridgeSource | SelectorSource | InterfaceSource)
    return outside and AnySource() in deny.sources


def _covers(deny: Deny, opening: _Opening) -> bool:
    """Whether the ports of the deny hold all of these."""
    if deny.published:
        whole = [s for s in deny.published if s.address is None]
        return opening.spec is None and all(
            any(_publishes(s, b) for s in whole) for b in opening.bindings
        )
    if not deny.ports:
        return True
    if opening.spec is None:
        return all(any(_holds(spec, b) for spec in deny.ports) for b in opening.bindings)
    return any(_within(opening, spec) for spec in deny.ports)


def _within(opening: _Opening, wide: PortSpec) -> bool:
    spec = opening.spec
    if wide is PortKeyword.ALL or spec == wide:
        return True
    if not isinstance(spec, PortRange):
        return False
    if isinstance(wide, PortKeyword):
        return wide is PortKeyword.PUBLISHED and spec.first == spec.last and bool(opening.bindings)
    return spec.protocol == wide.protocol and wide.first <= spec.first and spec.last <= wide.last


def _touches(deny: Deny, opening: _Opening) -> bool:
    """Whether the ports of the deny hold one of these."""
    if deny.published:
        return any(_publishes(s, b) for s in deny.published for b in opening.bindings)
    if not deny.ports or opening.spec is PortKeyword.ALL or PortKeyword.ALL in deny.ports:
        return True
    if any(_holds(spec, b) for spec in deny.ports for b in opening.bindings):
        return True
    return opening.spec is not None and any(_overlap(opening.spec, spec) for spec in deny.ports)


def _overlap(one: PortSpec, other: PortSpec) -> bool:
    if isinstance(one, PortKeyword) or isinstance(other, PortKeyword):
        return one == other
    return one.protocol == other.protocol and one.first <= other.last and other.first <= one.last


def _published_text(bindings: Iterator[PublishedPort]) -> str:
    """``5432/tcp published as 5432``; both families of a wildcard binding are one."""
    found: dict[str, None] = {}
    for b in bindings:
        host = "" if b.wildcard else f"{b.host_address}:"
        if host and b.host_address.version == 6:
            host = f"[{b.host_address}]:"
        port = port_text(b.protocol, b.container_port, b.container_port)
        found[f"{port} published as {host}{b.host_port}"] = None
    return listed(tuple(found))


# --- what is not the same ------------------------------------------------------------------------


def _news(was: Container, now: Container) -> Iterator[str]:
    """``moved from 172.18.0.3 to 172.18.0.7``, ``renamed to www``, and so on."""
    if was.name != now.name:
        yield f"renamed to {printable(now.name)}"
    before = {endpoint.network_id: endpoint for endpoint in was.endpoints}
    after = {endpoint.network_id: endpoint for endpoint in now.endpoints}
    for network_id, endpoint in before.items():
        if network_id not in after:
            yield f"left {printable(endpoint.network)}"
    for network_id, endpoint in after.items():
        known = before.get(network_id)
        at = listed(_addresses([endpoint]))
        if known is None:
            yield f"joined {printable(endpoint.network)}" + (f" at {at}" if at else "")
        elif known.addresses != endpoint.addresses:
            yield _moved(listed(_addresses([known])), at)
    if set(was.ports) != set(now.ports):
        yield f"now has {_published_text(iter(now.ports)) or 'no published port'}"


def _moved(before: str, after: str) -> str:
    if not before:
        return f"up at {after}"
    return f"moved from {before} to {after}" if after else f"no longer at {before}"


def _addresses(endpoints: Sequence[Endpoint]) -> list[str]:
    return [str(address) for endpoint in endpoints for address in endpoint.addresses]


def _foreign(network: Network) -> Line:
    ports = [printable(port) for port in network.foreign_ports]
    text = (
        f"network {printable(network.name)}: {listed(ports)} in its bridge {network.bridge} "
        f"{'is' if len(ports) == 1 else 'are'} not Docker's: the bridge counts as an outside "
        "interface now"
    )
    return Line("warning", text, _of(network, "network_foreign"))


def _of(network: Network, event: str) -> Mapping[str, Value]:
    return {
        "event": event,
        "network": network.name,
        "network_id": network.id,
        "bridge": network.bridge,
    }


def _fields(event: str, inventory: Inventory, container: Container) -> Mapping[str, Value]:
    return {
        "event": event,
        "container": container.name,
        "container_id": container.id,
        "addresses": " ".join(_addresses(inventory.endpoints(container))),
    }
