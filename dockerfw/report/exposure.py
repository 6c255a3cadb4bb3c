"""What a policy opens of one container, and to whom: asked of what is compiled for it.

Pure. The one place for that question: port by port of its own addresses and of this host, who is
left of each allow and of the baseline after the denies. Log lines put the answer into words. It is
what the *policy* opens: whether somebody listens there is not known here. It costs what the
statements about one container cost, however many others run or are written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from dockerfw.model.inventory import Container, Endpoint, Inventory
from dockerfw.model.net import FAMILIES, Address, Family, IPNetwork, Port, family_of
from dockerfw.model.policy import Policy
from dockerfw.report.open_ports import EVERY_PORT, Ports, Range, joined, partition
from dockerfw.report.sources_left import Left, SourcesLeft
from dockerfw.rules.compiler import statements
from dockerfw.rules.names import Place
from dockerfw.rules.statement_index import StatementIndex
from dockerfw.rules.targets import Span, TargetFinder, Targets

# --- the answer ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Opening:
    """Ports of the container's own addresses at these endpoints, and who may reach them.

    ``rule`` is the index of the allow in the policy; None: it is the baseline.
    """

    rule: int | None
    left: Left
    ports: Ports
    at: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class HostPort:
    """A port of this host that leads to the container, or is the container's own.

    ``address`` None is every address that has no `HostPort` of its own. ``container_port`` is where
    it leads to; None: the container is on the host's network. ``families`` are those in which
    packets from elsewhere get there; none for a loopback address.
    """

    address: Address | None
    port: Port
    container_port: int | None
    families: frozenset[Family]


@dataclass(frozen=True, slots=True)
class HostOpening:
    """Who may use a port of this host; ``rule`` as of `Opening`."""

    rule: int | None
    left: Left


@dataclass(frozen=True, slots=True)
class Exposure:
    """What is open of one container; of what is in here all else is closed.

    The baseline's ``bridge`` is left out: what it lets in is the same for all. ``endpoints`` are
    those where the container has an address. ``host_ports`` are all at which Docker publishes it,
    open or not. Host ports that NAT of others leads on to it are left out, too: a rule with
    ``ports`` stands in the line by the container's own port.
    Openings are in the order of the rules.
    """

    endpoints: tuple[Endpoint, ...]
    openings: tuple[Opening, ...]
    host_ports: Mapping[HostPort, tuple[HostOpening, ...]]

    def as_its_own(self, port: HostPort) -> bool:
        """Return True if whoever may use this host port may reach the port that it leads to, at
        each of the container's addresses, and the other way round; by the same rules.
        """
        if port.container_port is None:
            return False
        protocol, number = port.port.protocol, port.container_port
        own = {
            (opening.rule, opening.left)
            for opening in self.openings
            if opening.at == self.endpoints and opening.ports.holds(protocol, number)
        }
        return own == {(opening.rule, opening.left) for opening in self.host_ports[port]}


# --- how it is found -----------------------------------------------------------------------------

_Found: TypeAlias = Mapping[int, Mapping[Family, Mapping[Place, Targets]]]
"""By the index of a statement, what it is about."""
_NOTHING = Targets()
_BOTH = frozenset(FAMILIES)


@dataclass(frozen=True, slots=True)
class _HostNetwork:
    """What rules say of ports of this host by naming containers on its network.

    ``named``: container id -> the ports that are guarded for it. ``about``: port -> the indexes of
    the statements that are about it.
    """

    containers: tuple[Container, ...] = ()
    named: Mapping[str, frozenset[Port]] = field(default_factory=dict)
    about: Mapping[Port, frozenset[int]] = field(default_factory=dict)


class Exposures:
    """The exposure of containers under one policy, by both families."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._statements = statements(policy)
        self._index = StatementIndex(self._statements)
        self._left = SourcesLeft(self._statements)
        self._first_allow = len(self._statements) - len(policy.allows) - len(policy.denies)
        count = len(self._statements)
        self._denies = frozenset(range(self._first_allow + len(policy.allows), count))
        self._exact = tuple(
            index
            for index, statement in enumerate(self._statements)
            if any(selector.exact_container for selector in statement.to)
        )
        self._on_host: tuple[_HostNetwork, ...] = (_HostNetwork(),)

    def of(self, inventory: Inventory, container: Container) -> Exposure:
        """Return the exposure of a container of this inventory.

        All that share its network are at the same addresses: rules for these count as well.
        """
        on_host = self._host_network(inventory)
        together = inventory.sharing_network_with(container)
        endpoints = tuple(e for e in inventory.endpoints(container) if e.addresses)
        ports = list(_host_ports(inventory, container))
        if inventory.on_host_network(container):
            named = frozenset[Port]().union(*(on_host.named.get(c.id, ()) for c in together))
            ports += [HostPort(None, port, None, _BOTH) for port in sorted(named)]
        found = self._found(inventory, container, together, ports)
        host_ports = dict(self._host_openings(found, ports, on_host))
        # At an address where nothing is different, it is as at all the others.
        apart = {
            port: openings
            for port, openings in host_ports.items()
            if port.address is None
            or openings != host_ports.get(replace(port, address=None, families=_BOTH))
        }
        return Exposure(endpoints, tuple(self._openings(found, endpoints)), apart)

    def _found(
        self,
        inventory: Inventory,
        container: Container,
        together: tuple[Container, ...],
        ports: Iterable[HostPort],
    ) -> _Found:
        """Return what each statement that may be about this container is about."""
        joined_networks = inventory.network_owner(container).endpoints
        networks = (inventory.network(e.network_id) for e in joined_networks)
        unit = Inventory(together, tuple(n for n in networks if n is not None))
        finder = TargetFinder((), unit)
        indexes = self._index.about(
            together, (e.network for e in joined_networks), (p.port for p in ports)
        )
        return {
            index: {family: finder.find(family, self._statements[index]) for family in FAMILIES}
            for index in indexes
        }

    def _rule(self, index: int) -> int | None:
        return index - self._first_allow if index >= self._first_allow else None

    # the container's own addresses

    def _openings(self, found: _Found, endpoints: tuple[Endpoint, ...]) -> Iterator[Opening]:
        places: dict[tuple[int, Left, Ports], list[Endpoint]] = {}
        for endpoint in endpoints:
            for index, left, ports in self._at(found, endpoint):
                places.setdefault((index, left, ports), []).append(endpoint)
        for (index, left, ports), at in sorted(places.items(), key=lambda item: item[0][0]):
            yield Opening(self._rule(index), left, ports, tuple(at))

    def _at(self, found: _Found, endpoint: Endpoint) -> Iterator[tuple[int, Left, Ports]]:
        """Yield who may reach which ports at one endpoint, by the index of the allow."""
        ranges = {
            index: {
                one
                for targets in by_family.values()
                for one in _ranges(targets.get("container", _NOTHING), endpoint.addresses)
            }
            for index, by_family in found.items()
        }
        families = _families(endpoint.addresses)
        split = partition(ranges)
        parts: dict[int, dict[Left | None, list[Range]]] = {}
        for part, about in split.parts:
            for index in about - self._denies:
                left = self._left_of(index, about, families)
                parts.setdefault(index, {}).setdefault(left, []).append(part)
        for index in sorted(parts.keys() | (split.rest - self._denies)):
            groups = parts.get(index, {})
            rest = self._left_of(index, split.rest, families) if index in split.rest else None
            if rest is not None:
                others = [one for left, held in groups.items() if left != rest for one in held]
                yield index, rest, Ports(joined(others), others=True)
            for left, held in groups.items():
                if left is not None and left != rest:
                    yield index, left, Ports(joined(held))

    def _left_of(
        self, index: int, about: frozenset[int], families: frozenset[Family]
    ) -> Left | None:
        """Return who is left of this allow where these statements hold."""
        left = self._left.left(index, about & self._denies)
        return left if left is not None and left.families & families else None

    # ports of the host

    def _host_openings(
        self, found: _Found, ports: Iterable[HostPort], on_host: _HostNetwork
    ) -> Iterator[tuple[HostPort, tuple[HostOpening, ...]]]:
        targets = _HostTargets(found)
        for port in ports:
            for each in (port, *targets.at_named_addresses(port)):
                about = targets.about(each) | on_host.about.get(port.port, frozenset())
                left = (
                    (index, self._left_of(index, about, each.families))
                    for index in sorted(about - self._denies)
                )
                yield (
                    each,
                    tuple(HostOpening(self._rule(i), who) for i, who in left if who is not None),
                )

    def _host_network(self, inventory: Inventory) -> _HostNetwork:
        """Return what rules say of containers on the host's network; found again when these change.

        A rule for one of them may be about a host port of any container.
        """
        containers = inventory.on_host()
        for known in self._on_host:
            if known.containers == containers:
                return known
        found = self._find_host_network(containers)
        # An event is about two inventories by turns: before and after.
        self._on_host = (found, self._on_host[0])
        return found

    def _find_host_network(self, containers: tuple[Container, ...]) -> _HostNetwork:
        exact = [self._statements[index] for index in self._exact]
        finder = TargetFinder(exact, Inventory(containers))
        about: dict[Port, set[int]] = {}
        for index, statement in zip(self._exact, exact, strict=True):
            # All these are at every address, in both families alike.
            for _, port in finder.find(4, statement)["host"].exact:
                about.setdefault(port, set()).add(index)
        return _HostNetwork(
            containers,
            finder.named_host_ports,
            {port: frozenset(indexes) for port, indexes in about.items()},
        )


def _host_ports(inventory: Inventory, container: Container) -> Iterator[HostPort]:
    """Yield the host ports of its bindings; both families of a wildcard binding are one."""
    found: dict[tuple[Address | None, Port, int], set[Family]] = {}
    for binding in inventory.published(container):
        address = binding.host_address
        where = None if binding.wildcard else address
        port = Port(binding.protocol, binding.host_port)
        families = found.setdefault((where, port, binding.container_port), set())
        families |= set() if address.is_loopback else _families([address])
    for (where, port, container_port), families in found.items():
        yield HostPort(where, port, container_port, frozenset(families))


class _HostTargets:
    """Which statements are about a port of this host, and the addresses that they name with it."""

    def __init__(self, found: _Found) -> None:
        self._exact: dict[tuple[Family, Port], dict[Address | None, set[int]]] = {}
        self._spans: dict[Family, list[tuple[Address | None, Span, int]]] = {4: [], 6: []}
        for index, by_family in found.items():
            for family, targets in by_family.items():
                self._add(index, family, targets.get("host", _NOTHING))

    def _add(self, index: int, family: Family, targets: Targets) -> None:
        for address, port in targets.exact:
            by_address = self._exact.setdefault((family, port), {})
            by_address.setdefault(address, set()).add(index)
        for where, span in targets.spans:
            if where is None or isinstance(where, Address):
                self._spans[family].append((where, span, index))

    def about(self, port: HostPort) -> frozenset[int]:
        """Return the indexes of the statements."""
        found: set[int] = set()
        for family in port.families:
            by_address = self._exact.get((family, port.port), {})
            for where in {None, port.address}:
                found |= by_address.get(where, set())
                found |= {
                    index
                    for at, span, index in self._spans[family]
                    if at == where and _in_span(span, port.port)
                }
        return frozenset(found)

    def at_named_addresses(self, port: HostPort) -> Iterator[HostPort]:
        """Yield a port of every address at each that is named with it: others may use it there."""
        if port.address is not None:
            return
        named: set[Address] = set()
        for family in port.families:
            spans = self._spans[family]
            at = {where for where, span, _ in spans if _in_span(span, port.port)}
            at |= self._exact.get((family, port.port), {}).keys()
            named |= {where for where in at if where is not None and not where.is_loopback}
        for address in sorted(named, key=lambda a: (a.version, int(a))):
            yield replace(port, address=address, families=_families([address]))


def _ranges(targets: Targets, addresses: tuple[Address, ...]) -> Iterator[Range]:
    """Yield the ports of one of these addresses that the targets are about."""
    for address, port in targets.exact:
        if address in addresses:
            yield Range(port.protocol, port.number, port.number)
    for where, span in targets.spans:
        if any(_lies_in(address, where) for address in addresses):
            one = Range(span.protocol, span.first, span.last)
            yield EVERY_PORT if span.protocol is None else one


def _lies_in(address: Address, where: Address | IPNetwork | None) -> bool:
    if where is None or isinstance(where, Address):
        return where in (None, address)
    return address in where


def _in_span(span: Span, port: Port) -> bool:
    if span.protocol is None:
        return True
    return span.protocol == port.protocol and span.first <= port.number <= span.last


def _families(addresses: Iterable[Address]) -> frozenset[Family]:
    return frozenset(map(family_of, addresses))
