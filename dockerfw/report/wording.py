"""Differences -> `Change`s: as few lines as can be, with the names of containers and networks.

Pure. Folds together what reads as one: the addresses and both families of a container, ports in a
row, all containers alike.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network, IPv6Network, ip_address

from dockerfw.model.net import Address, Family, IPNetwork, Port
from dockerfw.report.change import Change
from dockerfw.report.guarded_ports import GuardedPort, guarded_ports
from dockerfw.report.labels import Labels, behind_text, host_port_text
from dockerfw.report.open_ports import EVERY_PORT, Range
from dockerfw.report.reach import Difference, DifferenceKind, Side, Sources
from dockerfw.rules.meaning import (
    Destination,
    Inside,
    Interface,
    NetworkList,
    SourceMatch,
    Unknown,
    read_guarded,
    read_network,
)
from dockerfw.rules.names import Place, topology_set
from dockerfw.text import listed, network_text, port_text

BRIDGES = "the Docker bridges"
_EVERY_CONTAINER = "every container"


@dataclass(frozen=True, slots=True)
class _Item:
    """A difference at all the addresses that ``label`` stands for.

    ``behind`` are the containers that a host port leads to, each with its port; ``names`` are those
    whose own port it is.
    """

    kind: DifferenceKind
    place: Place
    label: str
    protocol: str | None
    first: int
    last: int
    sources: Sources
    excepting: Sources
    families: frozenset[int]
    until: int | None
    behind: tuple[tuple[str, int], ...] = ()
    idle: bool = False
    names: frozenset[str] = frozenset()

    @property
    def alike(self) -> tuple[object, ...]:
        """What items have in common that are put together, where names and ports go together."""
        what = (self.kind, self.place, self.protocol, self.until)
        return (*what, self.sources, self.excepting)


@dataclass(slots=True)
class Wording:
    """Puts what differs into words.

    ``families`` are those that the wanted ruleset has chains for; ``host_names`` has the name of a
    ``host:`` source by address, ``worded`` what sources are called together. ``leads`` tells
    whether anybody is behind a port of this host.
    """

    labels: Labels
    families: frozenset[Family]
    host_names: Mapping[Address, str]
    worded: Mapping[frozenset[IPNetwork], str] = field(default_factory=dict)
    leads: Callable[[Port], bool] = lambda _port: True
    _texts: dict[tuple[Sources, frozenset[int]], tuple[str, ...]] = field(default_factory=dict)

    def changes(self, found: Iterable[Difference]) -> list[Change]:
        """Return the changes that these differences are, in the order in which they are shown."""
        groups: dict[object, list[Difference]] = defaultdict(list)
        for one in found:
            to = one.destination
            key = (one.kind, one.until, to.place, self._label(to), to[3:])
            groups[key].append(one)
        items = (item for group in groups.values() for item in self._fold(group))
        folded = _all_alike(_runs(items), self.labels)
        return [self._change(item) for item in sorted(folded, key=_order)]

    def _label(self, to: Destination) -> str:
        if to.place == "host":
            return "" if to.address is None else str(to.address)
        return _EVERY_CONTAINER if to.where is None else self.labels.label(to.where)

    def _fold(self, group: list[Difference]) -> Iterator[_Item]:
        """Yield one item if the same holds at all addresses of a label, else one an address."""
        label = self._label(group[0].destination)
        if group[0].destination.place == "host":
            yield self._item(label, group)
            return
        members = self.labels.members(label) or frozenset(
            f.destination.where for f in group if f.destination.where is not None
        )
        if _same_everywhere(group, members):
            yield self._item(label, group, frozenset(m.version for m in members))
            return
        for one in group:
            where = one.destination.where
            at = f" at {network_text(where)}" if where is not None else ""
            yield self._item(label + at, [one], frozenset({one.destination.family}))

    def _item(
        self, label: str, group: list[Difference], families: frozenset[int] = frozenset()
    ) -> _Item:
        first = group[0].destination
        behind: tuple[tuple[str, int], ...] = ()
        if first.place == "host":
            families, behind = self._host_port(first)
        return _Item(
            kind=group[0].kind,
            place=first.place,
            label=label,
            protocol=first.protocol,
            first=first.first,
            last=first.last,
            sources=frozenset().union(*(f.sources for f in group)),
            excepting=frozenset().union(*(f.excepting for f in group)),
            families=families,
            until=group[0].until,
            behind=behind,
            idle=group[0].kind == "open" and self._idle(first),
            names=self._names(group),
        )

    def _names(self, group: list[Difference]) -> frozenset[str]:
        networks = {one.destination.where for one in group if one.destination.place != "host"}
        return frozenset(
            name
            for one in networks
            if one is not None
            for name in self.labels.at(one.network_address)
        )

    def _idle(self, to: Destination) -> bool:
        if to.place != "host" or to.protocol is None or to.first != to.last:
            return False
        return not self.leads(Port(to.protocol, to.first))

    def _host_port(self, to: Destination) -> tuple[frozenset[int], tuple[tuple[str, int], ...]]:
        """Return the families in which this host port leads to a container, and these containers.

        With no such container, all families that it may be about.
        """
        mine = self.families if to.address is None else frozenset({to.family})
        if to.protocol is None or to.first != to.last:
            return frozenset(mine), ()
        port = Port(to.protocol, to.first)
        by_family = {f: self.labels.behind(to.address, f, port) for f in mine}
        leading = frozenset(f for f, pairs in by_family.items() if pairs)
        behind = {pair for pairs in by_family.values() for pair in pairs}
        return leading or frozenset(mine), tuple(sorted(behind))

    def _change(self, item: _Item) -> Change:
        ports = port_text(item.protocol, item.first, item.last)
        found = Range(item.protocol, item.first, item.last) if item.protocol else EVERY_PORT
        address = ip_address(item.label) if item.place == "host" and item.label else None
        if item.place == "host":
            target = host_port_text(address, [found]) + behind_text(item.behind)
        elif item.protocol is None:
            target = f"{item.label}, {ports}"
        else:
            target = f"{item.label} {ports}"
        return Change(
            item.kind,
            target,
            (found,),
            self._sources(item.sources, item.families),
            self._sources(item.excepting, item.families),
            item.until,
            item.idle,
            item.place,
            address,
            tuple(sorted(item.names | {name for name, _ in item.behind})),
        )

    def _sources(self, sources: Sources, families: frozenset[int]) -> tuple[str, ...]:
        key = (sources, families)
        if key not in self._texts:
            together = {}
            for known, word in self.worded.items():
                mine = frozenset[SourceMatch](n for n in known if n.version in families)
                if len(mine) > 1 and mine <= sources:
                    together[word] = mine
            rest = sources.difference(*together.values())
            words = sorted({self._word(s, sources, families) for s in rest})
            self._texts[key] = (*sorted(together), *(word for _, word in words))
        return self._texts[key]

    def _word(
        self, source: SourceMatch, together: Sources, families: frozenset[int]
    ) -> tuple[tuple[int, int, int], str]:
        """Return a key to sort by, and the words for one of the sources ``together``."""
        match source:
            case IPv4Network() | IPv6Network():
                place = (2, source.version, int(source.network_address))
                if source.prefixlen:
                    return place, self._network(source)
                whole = families <= _families_in_whole(together)
                return (0, 0, 0), "any" if whole else f"any IPv{source.version}"
            case Inside(network=network):
                if network is None:
                    return (1, 0, 0), BRIDGES
                return (4, 0, 0), self._container(network)
            case Interface(name=name):
                return (3, 0, 0), f"iface:{name}"
            case NetworkList(name=name):
                return (5, 0, 0), f"the networks of {name}"
            case Unknown(set_name=name):
                return (5, 1, 0), f"the sources of {name}"

    def _network(self, network: IPNetwork) -> str:
        name = self.host_names.get(network.network_address)
        if name is None or network.prefixlen < network.max_prefixlen:
            return network_text(network)
        return f"host:{name} ({network.network_address})"

    def _container(self, network: IPNetwork) -> str:
        at = self.labels.at(network.network_address)
        return f"container:{at[0]}" if at else f"container address {network_text(network)}"

    # topology

    def guarded(self, old: Side, new: Side) -> Iterator[Change]:
        """Yield the networks and docker-proxy's ports that are guarded now, or no longer."""
        names = [topology_set(topic, f) for topic in ("pub", "guarded") for f in self.families]
        if all(old.elements(name) == new.elements(name) for name in names):
            return
        ports_before, ports_after = self._guarded_ports(old), self._guarded_ports(new)
        before, after = self._guarded_networks(old), self._guarded_networks(new)
        yield from guarded_ports("guard", ports_after - ports_before)
        yield from (Change("guard", name, (EVERY_PORT,)) for name in sorted(after - before))
        yield from guarded_ports("release", ports_before - ports_after)
        yield from (Change("release", name, (EVERY_PORT,)) for name in sorted(before - after))

    def closing(self, new: Side) -> Iterator[Change]:
        """Yield every published port and every container, for a first apply."""
        yield from guarded_ports("guard", self._guarded_ports(new))
        for label in sorted(self.labels.container_labels):
            addresses = sorted(self.labels.members(label), key=_network_order)
            texts = listed([network_text(a) for a in addresses])
            names = {name for a in addresses for name in self.labels.at(a.network_address)}
            yield Change(
                "guard", f"{label} ({texts})", (EVERY_PORT,), containers=tuple(sorted(names))
            )

    def _guarded_networks(self, side: Side) -> set[str]:
        """Return the Docker networks that are guarded, as they are called."""
        found = set()
        for family in sorted(self.families):
            for subnet in map(read_network, side.elements(topology_set("guarded", family))):
                if subnet is not None:
                    name = self.labels.label(subnet)
                    found.add(f"{name} ({subnet})" if subnet in self.labels.subnets else name)
        return found

    def _guarded_ports(self, side: Side) -> set[GuardedPort]:
        found = {
            guarded
            for family in self.families
            for guarded in map(read_guarded, side.elements(topology_set("pub", family)))
            if guarded is not None and not (guarded[0] and guarded[0].is_loopback)
        }
        return {self._guarded_port(*guarded) for guarded in found}

    def _guarded_port(self, where: Address | None, port: Port) -> GuardedPort:
        behind = {pair for f in self.families for pair in self.labels.behind(where, f, port)}
        return GuardedPort(where, port, frozenset(behind))


def _families_in_whole(sources: Sources) -> frozenset[int]:
    networks = (s for s in sources if isinstance(s, IPv4Network | IPv6Network))
    return frozenset(n.version for n in networks if n.prefixlen == 0)


def _same_everywhere(group: list[Difference], members: frozenset[IPNetwork]) -> bool:
    """Return True if the same holds at all ``members`` of each family that the group is about."""
    for family in {f.destination.family for f in group}:
        mine = [f for f in group if f.destination.family == family]
        addresses = {m for m in members if m.version == family}
        if len({(f.sources, f.excepting) for f in mine}) > 1:
            return False
        if not addresses <= {f.destination.where for f in mine}:
            return False
    return True


def _runs(items: Iterable[_Item]) -> Iterator[_Item]:
    """Join neighbouring single ports that differ in the same way to one range."""
    groups: dict[object, list[_Item]] = defaultdict(list)
    for item in items:
        if item.first == item.last and item.first > 0:
            groups[item.alike, item.label, item.families].append(item)
        else:
            yield item
    for group in groups.values():
        run: list[_Item] = []
        for item in sorted(group, key=lambda i: i.first):
            if run and item.first != run[-1].last + 1:
                yield _joined(run)
                run = []
            run.append(item)
        yield _joined(run)


def _joined(run: list[_Item]) -> _Item:
    behind = tuple(pair for item in run for pair in item.behind)
    return replace(run[0], last=run[-1].last, behind=behind)


def _all_alike(items: Iterable[_Item], labels: Labels) -> Iterator[_Item]:
    """Make one item of what holds for all containers, or on all Docker networks."""
    groups: dict[object, list[_Item]] = defaultdict(list)
    for item in items:
        if item.place == "host":
            yield item
        else:
            groups[item.alike, item.first, item.last, item.behind].append(item)
    complete = (labels.container_labels, labels.network_labels)
    for group in groups.values():
        alike = {item.label for item in group}
        if len(alike) > 1 and alike in complete:
            families = frozenset(f for item in group for f in item.families)
            names = frozenset(name for item in group for name in item.names)
            yield replace(group[0], label=_EVERY_CONTAINER, families=families, names=names)
        else:
            yield from group


def _order(item: _Item) -> tuple[object, ...]:
    host = item.place == "host"
    port = (item.protocol or "", item.first)
    return (host, item.label != _EVERY_CONTAINER, item.label, *port, item.kind, item.until or 0)


def _network_order(network: IPNetwork) -> tuple[int, int]:
    return (network.version, int(network.network_address))
