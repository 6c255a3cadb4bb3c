"""(Policy, Inventory, HostFacts) -> Ruleset: what the policy means for what runs here, now.

Pure, and total: any policy and any inventory compile. See ``docs/architecture.md`` for the
kernel state, the two places of judgement (*host*: ``mangle PREROUTING``; *container*: ``filter
FORWARD``), the two classes of source (*inside*, *outside*) and the buckets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import ip_network
from typing import TypeAlias, get_args

from dockerfw.model.docker_names import is_docker_bridge
from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Container, Endpoint, Inventory, PublishedPort
from dockerfw.model.net import FAMILIES, Address, Family, IPNetwork, Port
from dockerfw.model.policy import (
    AddressSource,
    Allow,
    AnySource,
    BridgeSource,
    Deny,
    FileSource,
    HostSource,
    InterfaceSource,
    Origin,
    Policy,
    PortKeyword,
    PortRange,
    PublishedSpec,
    Selector,
    SelectorSource,
    Source,
)
from dockerfw.rules.chains import BucketRule, Buckets, Class, Place, Skeleton, Verdict
from dockerfw.rules.ruleset import (
    Chain,
    DestPorts,
    Element,
    InInterface,
    InSet,
    IPSet,
    Match,
    Phase,
    Ruleset,
    Seal,
    SetType,
    ending,
)

LIST_OVER = 64
"""A source list with more networks than this gets a set of its own."""
PRODUCT_OVER = 4096
"""So does a list whose networks times ports are more than this."""
SPAN_OVER = 1024
"""A range with more ports than this is matched as a range and not expanded."""


def halves(family: Family) -> tuple[IPNetwork, IPNetwork]:
    """The whole address space, as ipset takes it: a /0 it refuses."""
    if family == 4:
        return (ip_network("0.0.0.0/1"), ip_network("128.0.0.0/1"))
    return (ip_network("::/1"), ip_network("8000::/1"))


def host_net(address: Address) -> IPNetwork:
    """One address as a network."""
    return ip_network(address)


# --- where a statement's sources may come from ---------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Keyed:
    """A short list: each network stands in the target set's own key."""

    networks: tuple[IPNetwork, ...]


@dataclass(frozen=True, slots=True)
class _Listed:
    """A long list: a set of its own, named after its content."""

    name: str
    networks: tuple[IPNetwork, ...]


@dataclass(frozen=True, slots=True)
class _Interface:
    name: str


@dataclass(frozen=True, slots=True)
class _Everyone:
    """No match at all: all that this class of source has."""


_Term: TypeAlias = _Keyed | _Listed | _Interface | _Everyone


# --- what a statement is about -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Span:
    """``all`` (protocol None) or a wide range of ports."""

    protocol: str | None = None
    first: int = 0
    last: int = 0


@dataclass(frozen=True, slots=True)
class _Targets:
    """What a statement opens or closes in one place: ``address`` None is every address.

    ``spans_meant`` are the spans that the *policy* names, whether or not a target has turned
    up: rules depend on the policy, elements on the inventory.
    """

    exact: frozenset[tuple[Address | None, Port]]
    spans: frozenset[tuple[Address | IPNetwork | None, _Span]]
    spans_meant: frozenset[_Span]


@dataclass(frozen=True, slots=True)
class _Bucket:
    """One rule with one target set; ``name`` says all of it, so it may serve as the key."""

    name: str
    type: SetType
    place: Place
    cls: Class
    rule: BucketRule


class _Sets:
    """The sets of one family under construction, and the buckets in the order of their names."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self.elements: dict[str, set[Element]] = {}
        self.buckets: dict[str, _Bucket] = {}
        self.lists: dict[str, _Listed] = {}

    def bucket(self, bucket: _Bucket) -> set[Element]:
        self.buckets[bucket.name] = bucket
        return self.elements.setdefault(bucket.name, set())

    def by_place(self) -> Buckets:
        """The rules of all buckets, by where they stand, in the order of their names."""
        places: dict[tuple[Place, Class], tuple[BucketRule, ...]] = {}
        for place in get_args(Place):
            for cls in get_args(Class):
                places[place, cls] = tuple(
                    bucket.rule
                    for _, bucket in sorted(self.buckets.items())
                    if (bucket.place, bucket.cls) == (place, cls)
                )
        return places


_NOWHERE = Origin("", 0)
_EVERY_CONTAINER = (Selector("container", "*"),)


# --- the compiler --------------------------------------------------------------------------------


def compile_ruleset(policy: Policy, inventory: Inventory, facts: HostFacts) -> Ruleset:
    """Everything that should stand in the kernel for this policy and this inventory."""

    def named(selector: Selector) -> Iterable[Address]:
        return addresses_named(inventory, selector)

    return Compiler(policy, inventory, facts, Sources(named)).ruleset()


def addresses_named(inventory: Inventory, selector: Selector) -> frozenset[Address]:
    """Where the containers live that a selector names as a source."""
    return frozenset(
        address
        for _, endpoints in inventory.select([selector])
        for endpoint in endpoints
        for address in endpoint.addresses
    )


class Sources:
    """Where the sources of a policy's statements are, each found once.

    ``named`` gives the addresses of the containers that a selector names. Compilers for parts of
    an inventory share one of these: a source may be anywhere in the whole of it.
    """

    def __init__(self, named: Callable[[Selector], Iterable[Address]]) -> None:
        self.named = named
        self._terms: dict[tuple[int, Family], dict[Class, list[_Term]]] = {}

    def terms(
        self, statement: int, family: Family, find: Callable[[], dict[Class, list[_Term]]]
    ) -> dict[Class, list[_Term]]:
        """What is known of this statement, or else what ``find`` finds."""
        known = self._terms.get((statement, family))
        if known is None:
            known = self._terms[statement, family] = find()
        return known

    def forget(self, statement: int) -> None:
        """The containers that this statement names as sources have moved."""
        for family in FAMILIES:
            self._terms.pop((statement, family), None)


class Compiler:
    """All of a ruleset, or what a part of the inventory adds to its sets.

    A set holds what the policy adds to it by itself (compiled for an empty inventory), each
    network by itself, and each container together with those that share its network and with
    its networks; ``hostnet`` alone is not such a sum. `Ledger` builds on that.
    """

    def __init__(
        self, policy: Policy, inventory: Inventory, facts: HostFacts, sources: Sources
    ) -> None:
        self.policy = policy
        self.inventory = inventory
        self.facts = facts
        self.sources = sources
        self.statements = statements(policy)
        self.host_bit = policy.mark & -policy.mark
        self.ok_bit = policy.mark ^ self.host_bit
        self.observe = policy.mode == "observe"
        self.bridge_baseline = any(isinstance(s, BridgeSource) for s in policy.baseline)
        self.named_host_ports = self._named_host_ports()
        # Even of containers that do not run: rules depend on the policy.
        self.inside_denied = any(
            isinstance(s, BridgeSource | InterfaceSource | SelectorSource)
            for deny in policy.denies
            for s in deny.sources
        )

    def ruleset(self) -> Ruleset:
        chains: list[Chain] = []
        sets: list[IPSet] = []
        for family in self.facts.families:
            built = self._buckets(family, range(len(self.statements)))
            topology = self.topology(family)
            chains += self._skeleton().chains(family, built.by_place())
            sets += topology + _ipsets(built)
        return Ruleset(
            chains=tuple(chains),
            sets=tuple(sorted(sets, key=lambda s: s.name)),
            seal=self.seal(),
            mark_host=self.host_bit,
            mark_ok=self.ok_bit,
        )

    # the statements, as buckets

    def added(self, family: Family, indexes: Iterable[int]) -> Mapping[str, set[Element]]:
        """What these statements add, by the names of the sets."""
        return self._buckets(family, indexes).elements

    def concerns(self, statement: Allow | Deny) -> bool:
        """Whether a statement names a container of this inventory; one without ``to`` none."""
        return bool(statement.to) and bool(self.inventory.select(statement.to))

    def _buckets(self, family: Family, indexes: Iterable[int]) -> _Sets:
        sets = _Sets(family)
        for index in indexes:
            self._fill(sets, index, self.statements[index])
        return sets

    def _fill(self, sets: _Sets, index: int, statement: Allow | Deny) -> None:
        family = sets.family
        verdict: Verdict = "deny" if isinstance(statement, Deny) else "allow"
        targets = self._targets(family, statement)
        terms = self.sources.terms(index, family, lambda: self._terms(family, statement))
        until = None if isinstance(statement, Deny) else statement.end
        for cls, class_terms in terms.items():
            for term in class_terms:
                for place, there in targets.items():
                    _put(sets, place, cls, verdict, term, there, until)

    def _terms(self, family: Family, statement: Allow | Deny) -> dict[Class, list[_Term]]:
        ports = sum(s.last - s.first + 1 for s in statement.ports if isinstance(s, PortRange))
        ports += sum(s.ports.last - s.ports.first + 1 for s in statement.published)
        return {
            "outside": self._outside_terms(family, statement.sources, ports),
            "inside": self._inside_terms(family, statement.sources),
        }

    def _outside_terms(
        self, family: Family, sources: tuple[Source, ...], ports: int
    ) -> list[_Term]:
        interfaces = _interface_terms(sources)
        if any(isinstance(s, AnySource) for s in sources):
            return [_Keyed(halves(family)), *interfaces]
        short: list[IPNetwork] = []
        terms: list[_Term] = []
        for source in sources:
            networks = _networks(source, family)
            if len(networks) > LIST_OVER:
                terms.append(_listed(_distinct(networks, family), family))
            else:
                short += networks
        if short:
            together = _distinct(short, family)
            large = len(together) > LIST_OVER or len(together) * ports > PRODUCT_OVER
            terms.append(_listed(together, family) if large else _Keyed(together))
        return terms + interfaces

    def _inside_terms(self, family: Family, sources: tuple[Source, ...]) -> list[_Term]:
        terms = _interface_terms(sources)
        if any(isinstance(s, BridgeSource) for s in sources):
            return [_Everyone(), *terms]
        selectors = tuple(s.selector for s in sources if isinstance(s, SelectorSource))
        addresses = {
            host_net(address)
            for selector in selectors
            for address in self.sources.named(selector)
            if address.version == family
        }
        if selectors:
            terms.append(_Keyed(tuple(sorted(addresses))))
        return terms

    # what a statement is about

    def _targets(self, family: Family, statement: Allow | Deny) -> dict[Place, _Targets]:
        if statement.published:
            return {"host": self._published_targets(family, statement)}
        if not statement.to:
            return self._targets_of_everything(family)
        host: set[tuple[Address | None, Port]] = set()
        exact: set[tuple[Address | None, Port]] = set()
        spans: set[tuple[Address | IPNetwork | None, _Span]] = set()
        ports = statement.ports or (PortKeyword.ALL,)
        meant = frozenset(_spans(ports))
        for container, endpoints in self.inventory.select(statement.to):
            published = self.inventory.published(container)
            host |= _bindings(family, published, ports)
            addresses = [a for e in endpoints for a in e.addresses if a.version == family]
            for address in addresses:
                exact |= {(address, port) for port in _ports(ports, published)}
                if PortKeyword.PUBLISHED in ports:
                    routed = self.inventory.network_owner(container).routed
                    exact |= {(address, Port(*port)) for port in routed}
                spans |= {(address, span) for span in meant}
        named = {
            (None, port)
            for container in self._named_exactly(statement)
            for port in self._host_network_ports(container, statement)
        }
        return {
            "host": _Targets(frozenset(host | named), frozenset(), frozenset()),
            "container": _Targets(frozenset(exact), frozenset(spans), meant),
        }

    def _targets_of_everything(self, family: Family) -> dict[Place, _Targets]:
        """Of a deny that names nothing: all subnets of Docker, and every host port."""
        span = _Span()
        subnets = frozenset((subnet, span) for _, subnet in self._subnets(family))
        return {
            "host": _Targets(frozenset(), frozenset({(None, span)}), frozenset({span})),
            "container": _Targets(frozenset(), subnets, frozenset({span})),
        }

    def _published_targets(self, family: Family, statement: Allow | Deny) -> _Targets:
        exact: set[tuple[Address | None, Port]] = set()
        spans: set[tuple[Address | IPNetwork | None, _Span]] = set()
        meant: set[_Span] = set()
        for spec in statement.published:
            if spec.address is not None and spec.address.version != family:
                continue
            if statement.to:
                exact |= self._narrowed(family, statement, spec)
            elif _wide(spec.ports):
                span = _Span(spec.ports.protocol, spec.ports.first, spec.ports.last)
                spans.add((spec.address, span))
                meant.add(span)
            else:
                exact |= {(spec.address, port) for port in _expanded(spec.ports)}
        return _Targets(frozenset(exact), frozenset(spans), frozenset(meant))

    def _narrowed(
        self, family: Family, statement: Allow | Deny, spec: PublishedSpec
    ) -> set[tuple[Address | None, Port]]:
        """The bindings of the containers in ``to`` that ``published`` names."""
        found: set[tuple[Address | None, Port]] = set()
        for container, _ in self.inventory.select(statement.to):
            for binding in self.inventory.published(container):
                if not _usable(binding, family) or binding.protocol != spec.ports.protocol:
                    continue
                if binding.host_port not in spec.ports:
                    continue
                if binding.wildcard:
                    found.add((spec.address, Port(binding.protocol, binding.host_port)))
                elif spec.address in (None, binding.host_address):
                    found.add((binding.host_address, Port(binding.protocol, binding.host_port)))
        return found

    # host-network containers that a rule names exactly (P8)

    def _named_exactly(self, statement: Allow | Deny) -> list[Container]:
        names = {s.name for s in statement.to if s.exact_container}
        if not names:
            return []
        return [
            container
            for container, _ in self.inventory.select(statement.to)
            if container.name in names and self.inventory.on_host_network(container)
        ]

    def _named_host_ports(self) -> dict[str, frozenset[Port]]:
        """Container id -> the ports of all rules that name this host-network container."""
        found: dict[str, set[Port]] = {}
        statements: tuple[Allow | Deny, ...] = (*self.policy.allows, *self.policy.denies)
        for statement in statements:
            for container in self._named_exactly(statement):
                found.setdefault(container.id, set()).update(_named_ports(statement))
        return {name: frozenset(ports) for name, ports in found.items()}

    def _host_network_ports(self, container: Container, statement: Allow | Deny) -> frozenset[Port]:
        if isinstance(statement, Deny) and not statement.ports:
            return self.named_host_ports.get(container.id, frozenset())
        return _named_ports(statement)

    # topology: what the inventory alone decides

    def _subnets(self, family: Family) -> Iterator[tuple[str, IPNetwork]]:
        for network in self.inventory.bridges():
            for subnet in network.subnets:
                if subnet.version == family and network.bridge:
                    yield network.bridge, subnet

    def topology(self, family: Family) -> list[IPSet]:
        own = {(subnet, bridge) for bridge, subnet in self._subnets(family)}
        guarded = {(subnet,) for _, subnet in self._subnets(family)}
        targets = {
            (host_net(address),)
            for _, endpoint in self._endpoints()
            for address in endpoint.addresses
            if address.version == family
        }
        published: set[Element] = set()
        for address, guarded_family, port in self.guarded_ports():
            if guarded_family == family:
                where = halves(family) if address is None else (host_net(address),)
                published |= {(net, port) for net in where}
        inside = frozenset(self._inside(family))
        subnets = frozenset(guarded)
        topology: list[tuple[str, SetType, Phase, frozenset[Element]]] = [
            ("own", "hash:net,iface", "own", frozenset(own)),
            ("claimed", "hash:net", "claimed", subnets),
            ("inside", "hash:net,iface", "inside", inside),
            ("guarded", "hash:net", "guard", subnets),
            ("target", "hash:ip", "guard", frozenset(targets)),
            ("pub", "hash:net,port", "guard", frozenset(published)),
            ("hostnet", "hash:net,port", "guard", frozenset(self._host_network(family))),
        ]
        return [
            IPSet(f"dockerfw-{name}{family}", kind, family, phase, elements)
            for name, kind, phase, elements in topology
        ]

    def _host_network(self, family: Family) -> Iterator[Element]:
        """The named ports of host-network containers, where no other container publishes them.

        A rule may name a range with somebody else's host port in it.
        """
        taken: dict[Port, list[IPNetwork]] = {}
        for network, port in self.taken(family):
            taken.setdefault(port, []).append(network)
        for port in frozenset().union(*self.named_host_ports.values()):
            yield from host_network_port(family, port, taken.get(port, ()))

    def taken(self, family: Family) -> Iterator[tuple[IPNetwork, Port]]:
        """Where on this host containers on bridges publish ports."""
        for container in self.inventory.containers:
            if not self.inventory.endpoints(container):
                continue
            for binding in self.inventory.published(container):
                if _usable(binding, family):
                    address = None if binding.wildcard else binding.host_address
                    for network in _where(address, family):
                        yield network, Port(binding.protocol, binding.host_port)

    def _endpoints(self) -> Iterator[tuple[Container, Endpoint]]:
        for container in self.inventory.containers:
            for endpoint in self.inventory.endpoints(container):
                yield container, endpoint

    def _inside(self, family: Family) -> Iterator[tuple[IPNetwork, str]]:
        """A pure bridge is inside with its subnet, one with foreign ports with its containers."""
        mixed = {n.id: n for n in self.inventory.bridges() if n.foreign_ports}
        for network in self.inventory.bridges():
            if network.id not in mixed and network.bridge:
                for subnet in network.subnets:
                    if subnet.version == family:
                        yield subnet, network.bridge
        for _, endpoint in self._endpoints():
            network_of = mixed.get(endpoint.network_id)
            for address in endpoint.addresses:
                if network_of and network_of.bridge and address.version == family:
                    yield host_net(address), network_of.bridge

    def guarded_ports(self) -> set[tuple[Address | None, Family, Port]]:
        guarded: set[tuple[Address | None, Family, Port]] = set()
        for container in self.inventory.containers:
            for binding in container.ports:
                address = None if binding.wildcard else binding.host_address
                family: Family = 4 if binding.host_address.version == 4 else 6
                guarded.add((address, family, Port(binding.protocol, binding.host_port)))
        for ports in self.named_host_ports.values():
            for port in ports:
                guarded |= {(None, 4, port), (None, 6, port)}
        return guarded

    # chains and seal

    def seal(self) -> Seal:
        docker = {n.bridge for n in self.inventory.bridges()}
        return Seal(
            bit=self.ok_bit,
            observe=self.observe,
            inside=self.bridge_baseline and not self.inside_denied,
            bridges=frozenset(name for name in docker if name),
            foreign_bridges=frozenset(
                b.name
                for b in self.facts.bridges
                if b.name not in docker and not is_docker_bridge(b.name)
            ),
            mixed_bridges=frozenset(
                n.bridge for n in self.inventory.bridges() if n.foreign_ports and n.bridge
            ),
            guarded=frozenset(g for g in self.guarded_ports() if g[1] in self.facts.families),
            proxies=self.facts.proxy.cgroup,
            dockerd_ports=self.facts.proxy.dockerd_ports,
        )

    def _skeleton(self) -> Skeleton:
        return Skeleton(
            host_bit=self.host_bit,
            ok_bit=self.ok_bit,
            observe=self.observe,
            on_deny=self.policy.on_deny,
            bridge_baseline=self.bridge_baseline,
            inside_denied=self.inside_denied,
        )


# --- pieces --------------------------------------------------------------------------------------


def _ipsets(built: _Sets) -> list[IPSet]:
    family = built.family
    targets = [
        IPSet(b.name, b.type, family, _phase(b), frozenset(built.elements[b.name]))
        for b in built.buckets.values()
    ]
    lists = [
        IPSet(listed.name, "hash:net", family, "frozen", frozenset((n,) for n in listed.networks))
        for listed in built.lists.values()
    ]
    return targets + lists


def statements(policy: Policy) -> tuple[Allow | Deny, ...]:
    """What the policy says of sources and targets: the baseline, but for ``bridge``, is one."""
    beyond_bridge = tuple(s for s in policy.baseline if not isinstance(s, BridgeSource))
    baseline = (Allow(_NOWHERE, beyond_bridge, _EVERY_CONTAINER),) if beyond_bridge else ()
    return (*baseline, *policy.allows, *policy.denies)


def host_network_port(
    family: Family, port: Port, taken: Iterable[IPNetwork]
) -> Iterator[tuple[IPNetwork, Port]]:
    """Where a named port of a host-network container is its own; the order does not matter."""
    for network in _without(halves(family), taken):
        yield network, port


def _listed(networks: tuple[IPNetwork, ...], family: Family) -> _Listed:
    packed = b"".join(n.network_address.packed + bytes([n.prefixlen]) for n in networks)
    return _Listed(f"dockerfw-list-{sha256(packed).hexdigest()[:12]}-{family}", networks)


def _phase(bucket: _Bucket) -> Phase:
    if bucket.rule.verdict == "deny":
        return "deny"
    return "inside allow" if bucket.cls == "inside" else "allow"


def _interface_terms(sources: tuple[Source, ...]) -> list[_Term]:
    return [_Interface(s.name) for s in sources if isinstance(s, InterfaceSource)]


def _networks(source: Source, family: Family) -> tuple[IPNetwork, ...]:
    match source:
        case AddressSource(network=network):
            return (network,) if network.version == family else ()
        case FileSource(networks=networks) | HostSource(networks=networks):
            return tuple(n for n in networks if n.version == family)
    return ()


def _distinct(networks: Iterable[IPNetwork], family: Family) -> tuple[IPNetwork, ...]:
    """Each once, sorted, and with no /0. Overlaps may stay: a set finds either."""
    once = set(networks)
    if any(network.prefixlen == 0 for network in once):
        return halves(family)
    return tuple(sorted(once, key=lambda n: (int(n.network_address), n.prefixlen)))


def _without(networks: Iterable[IPNetwork], taken: Iterable[IPNetwork]) -> tuple[IPNetwork, ...]:
    """The networks with some of their own parts, or all of them, taken out."""
    left = tuple(networks)
    for part in taken:
        left = tuple(piece for network in left for piece in _excluded(network, part))
    return left


def _excluded(network: IPNetwork, part: IPNetwork) -> tuple[IPNetwork, ...]:
    if not part.overlaps(network):
        return (network,)
    if part.prefixlen <= network.prefixlen:
        return ()
    return tuple(network.address_exclude(part))  # type: ignore[arg-type]


def _wide(ports: PortRange) -> bool:
    return ports.last - ports.first >= SPAN_OVER


def _expanded(ports: PortRange) -> Iterator[Port]:
    return (Port(ports.protocol, number) for number in range(ports.first, ports.last + 1))


def _named_ports(statement: Allow | Deny) -> frozenset[Port]:
    """The ports that a rule on a host-network container guards.

    A range too wide to be expanded guards none: it would close the host's own services.
    """
    ranges = [s for s in statement.ports if isinstance(s, PortRange) and not _wide(s)]
    return frozenset(port for one in ranges for port in _expanded(one))


def _spans(ports: Iterable[PortRange | PortKeyword]) -> Iterator[_Span]:
    for spec in ports:
        if spec is PortKeyword.ALL:
            yield _Span()
        elif isinstance(spec, PortRange) and _wide(spec):
            yield _Span(spec.protocol, spec.first, spec.last)


def _ports(
    ports: Iterable[PortRange | PortKeyword], published: tuple[PublishedPort, ...]
) -> Iterator[Port]:
    """The ports of a container's own address that stand in a set one by one."""
    for spec in ports:
        if spec is PortKeyword.ICMP:
            yield Port("icmp", 0)
        elif spec is PortKeyword.PUBLISHED:
            yield from (Port(b.protocol, b.container_port) for b in published)
        elif isinstance(spec, PortRange) and not _wide(spec):
            yield from _expanded(spec)


def _usable(binding: PublishedPort, family: Family) -> bool:
    """A binding to loopback is this host's own affair: nothing from outside is let in there."""
    return binding.host_address.version == family and not binding.host_address.is_loopback


def _bindings(
    family: Family,
    published: tuple[PublishedPort, ...],
    ports: Iterable[PortRange | PortKeyword],
) -> set[tuple[Address | None, Port]]:
    """The host ports that lead to these container ports."""
    specs = tuple(ports)
    everything = any(s in (PortKeyword.ALL, PortKeyword.PUBLISHED) for s in specs)
    ranges = [s for s in specs if isinstance(s, PortRange)]
    return {
        (None if b.wildcard else b.host_address, Port(b.protocol, b.host_port))
        for b in published
        if _usable(b, family)
        and (everything or any(r.protocol == b.protocol and b.container_port in r for r in ranges))
    }


# --- buckets -------------------------------------------------------------------------------------


def _put(
    sets: _Sets,
    place: Place,
    cls: Class,
    verdict: Verdict,
    term: _Term,
    targets: _Targets,
    until: int | None,
) -> None:
    """Add a statement's targets, for one term of its sources, to the buckets they belong to."""
    if isinstance(term, _Keyed):
        _put_keyed(sets, place, cls, verdict, term, targets, until)
        if not targets.spans_meant:
            return
        spanning = _spanning_term(term, cls, sets.family)
    else:
        elements = sets.bucket(_term_bucket(sets, place, cls, verdict, term, None, until))
        for address, port in targets.exact:
            elements |= {(net, port) for net in _where(address, sets.family)}
        spanning = term
    for span in targets.spans_meant:
        elements = sets.bucket(_term_bucket(sets, place, cls, verdict, spanning, span, until))
        for address_or_net, target_span in targets.spans:
            if target_span == span:
                elements |= {(net,) for net in _where(address_or_net, sets.family)}


def _spanning_term(term: _Keyed, cls: Class, family: Family) -> _Term:
    """A span has no room for a source in its key: `any` needs none, the rest gets a list."""
    if cls == "outside" and term.networks == halves(family):
        return _Everyone()
    return _listed(term.networks, family)


def _where(address: Address | IPNetwork | None, family: Family) -> tuple[IPNetwork, ...]:
    if address is None:
        return halves(family)
    return (ip_network(address),)


def _put_keyed(
    sets: _Sets,
    place: Place,
    cls: Class,
    verdict: Verdict,
    term: _Keyed,
    targets: _Targets,
    until: int | None,
) -> None:
    by_address = sets.bucket(_keyed_bucket(sets.family, place, cls, verdict, until, wildcard=False))
    by_address.update(
        (host_net(address), port, net)
        for address, port in targets.exact
        if address is not None
        for net in term.networks
    )
    if place == "container":
        return
    by_port = sets.bucket(_keyed_bucket(sets.family, place, cls, verdict, until, wildcard=True))
    by_port.update(
        (net, port) for address, port in targets.exact if address is None for net in term.networks
    )


def _keyed_bucket(
    family: Family,
    place: Place,
    cls: Class,
    verdict: Verdict,
    until: int | None,
    *,
    wildcard: bool,
) -> _Bucket:
    inside = "in-" if cls == "inside" else ""
    what: str = verdict
    if place == "host":
        what = ("deny-" if verdict == "deny" else "") + ("port" if wildcard else "addr")
    name = ending(f"dockerfw-{inside}{what}{family}", until)
    match: Match
    if wildcard:
        set_type: SetType = "hash:net,port"
        match = InSet(name, ("src", "dst"))
    else:
        set_type = "hash:ip,port,net"
        match = InSet(name, ("dst", "dst", "src"))
    return _Bucket(name, set_type, place, cls, BucketRule(verdict, (match,), verdict))


def _term_bucket(
    sets: _Sets,
    place: Place,
    cls: Class,
    verdict: Verdict,
    term: _Term,
    span: _Span | None,
    until: int | None,
) -> _Bucket:
    """A bucket whose rule matches the source; the set holds targets alone."""
    matches: list[Match] = []
    match term:
        case _Interface(name=interface):
            matches.append(InInterface(interface))
            said = f"from iface:{interface}"
        case _Listed(name=list_name):
            sets.lists[list_name] = term
            matches.append(InSet(list_name, ("src",)))
            said = f"from {list_name}"
        case _:
            said = "from everyone"
    if span is not None and span.protocol is not None:
        matches.append(DestPorts(span.protocol, span.first, span.last))
        said += f" {span.protocol} {span.first}-{span.last}"
    elif span is not None:
        said += " all ports"
    digest = sha256(f"{place} {cls} {verdict} {said}".encode()).hexdigest()
    letters = place[0] + cls[0] + verdict[0]
    # Names have 31 letters: an end takes the place of some.
    short = digest[: 10 if until is None else 6]
    name = ending(f"dockerfw-{letters}-{short}-{sets.family}", until)
    if span is None:
        matches.append(InSet(name, ("dst", "dst")))
    else:
        matches.append(InSet(name, ("dst",)))
    return _Bucket(
        name,
        "hash:net,port" if span is None else "hash:net",
        place,
        cls,
        BucketRule(verdict, tuple(matches), f"{verdict} {said}"),
    )
