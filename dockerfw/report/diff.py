"""(live sets, wanted `Ruleset`) -> which port opens or closes to whom, in words.

Pure. ``report/reach.py`` finds the differences, this module folds them into as few lines as say
all of
it, and finds the names. Decides nothing: ``plan/planner.py`` makes the steps.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Literal, TypeAlias

from dockerfw.kernel.render import chain_texts, set_state
from dockerfw.model.inventory import Inventory
from dockerfw.model.net import Address, Family, IPNetwork, Port
from dockerfw.model.policy import HostAddresses
from dockerfw.plan.planner import Plan
from dockerfw.plan.state import SetState, TablesState
from dockerfw.report.labels import Labels, behind_text, host_port_text
from dockerfw.report.reach import (
    Difference,
    Side,
    Sources,
    Span,
    differences,
    span_of,
    spans_of_text,
)
from dockerfw.rules.buckets import (
    Inside,
    Interface,
    NetworkList,
    Place,
    Source,
    Target,
    Unknown,
    read_guarded,
    read_network,
    rules_by_set,
)
from dockerfw.rules.ruleset import INSIDE, MAIN, PRE, PRE_INSIDE, IPSet, Ruleset
from dockerfw.text import (
    counted,
    listed,
    moment,
    network_text,
    paragraph,
    port_text,
    table,
)

Kind: TypeAlias = Literal["open", "close", "deny", "lift", "end", "guard", "release"]

LISTED_IN_JSON = 100
"""So many sources of one change are listed, the rest is counted."""

EVERYONE = "every container"
_BRIDGES = "the Docker bridges"
_SIGNS: Mapping[Kind, str] = {
    "open": "+", "lift": "+", "close": "-", "deny": "-", "end": "~", "guard": "-", "release": "+",
}  # fmt: skip
_VERBS: Mapping[Kind, str] = {
    "open": "opens to",
    "close": "closes to",
    "deny": "denies",
    "lift": "no longer denies",
    "end": "stays open to",
    "guard": "closes to all that no rule allows",
    "release": "is no longer Docker's: no longer guarded",
}


# --- what people see -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Change:
    """One line: what happens to one target.

    ``target`` is what it is called, ``ports`` among it the ports. ``sources`` are all to whom it
    opens or closes, ``excepting`` those within them for whom all stays as it is. ``until`` is
    when what opens ends by itself (Unix time).
    """

    kind: Kind
    target: str
    ports: str = ""
    sources: tuple[str, ...] = ()
    excepting: tuple[str, ...] = ()
    until: int | None = None

    def sentence(self, first_apply: bool = False) -> str:
        verb = _VERBS[self.kind]
        if first_apply:
            # All was open until now.
            verb = {"open": "stays open to", "guard": "closes"}.get(self.kind, verb)
        but = f", but not to {listed(self.excepting)}" if self.excepting else ""
        said = f"{verb} {listed(self.sources)}".rstrip() + but
        if self.until is not None:
            return f"{said} until {moment(self.until)}"
        return f"{said} without an end" if self.kind == "end" else said

    def to_json(self) -> dict[str, object]:
        return {
            "change": self.kind,
            "target": self.target,
            "ports": self.ports,
            "sources": list(self.sources[:LISTED_IN_JSON]),
            "sources_in_all": len(self.sources),
            "excepting": list(self.excepting[:LISTED_IN_JSON]),
            "excepting_in_all": len(self.excepting),
            **({} if self.until is None else {"until": moment(self.until)}),
        }


@dataclass(frozen=True, slots=True)
class Diff:
    """What a commit will change, for people.

    ``first_apply``: nothing of ours stands yet, so everything closes but what is listed.
    """

    changes: tuple[Change, ...] = ()
    first_apply: bool = False
    bridges_pass: bool = True

    @property
    def empty(self) -> bool:
        return not self.changes and not self.first_apply

    @property
    def opens(self) -> int:
        return sum(c.kind in ("open", "lift", "release") for c in self.changes)

    @property
    def closes(self) -> int:
        return sum(c.kind in ("close", "deny", "guard") for c in self.changes)

    def lines(self, width: int = 80, *, plan: Plan | None = None) -> list[str]:
        """The changes, a line or more each, and a summary; ``plan`` gives its numbers."""
        lines = self._first_apply_lines(width) if self.first_apply else _rows(self.changes, width)
        return [*lines, *paragraph(self.summary(plan), width=width)]

    def summary(self, plan: Plan | None = None) -> str:
        kernel = "" if plan is None else f", kernel: {_writes(plan)}"
        opens = f"{self.opens:,} {'to stay open' if self.first_apply else 'to open'}"
        return f"Plan: {opens}, {self.closes:,} to close{kernel}"

    def _first_apply_lines(self, width: int) -> list[str]:
        beside = f" and {_BRIDGES}" if self.bridges_pass else ""
        header = f"every container port closes to all but this host{beside}"
        closing = [c for c in self.changes if c.kind == "guard"]
        others = [c for c in self.changes if c.kind != "guard"]
        lines = paragraph(f"{header}:" if closing else header, width=width)
        lines += _rows(closing, width, first_apply=True)
        return [*lines, *(["except:", *_rows(others, width, first_apply=True)] if others else [])]

    def to_json(self) -> list[dict[str, object]]:
        return [change.to_json() for change in self.changes]


def _rows(changes: Iterable[Change], width: int, *, first_apply: bool = False) -> list[str]:
    rows = [(_SIGNS[c.kind], c.target, c.sentence(first_apply)) for c in changes]
    return table(rows, width=width)


def diff(
    live_sets: Mapping[str, SetState],
    ruleset: Ruleset,
    inventory: Inventory,
    *,
    before_installed: bool,
    live_tables: Mapping[Family, TablesState] | None = None,
    host_names: HostAddresses | None = None,
) -> Diff:
    """What changes for people between what stands and what should.

    ``before_installed`` tells whether our chains stood before. ``live_tables`` tell what a set
    meant that is no longer wanted, and what the baseline was; without them such a set is shown
    by its name, and the baseline taken for unchanged. ``host_names`` are those of ``host:``
    sources: their addresses are told by them.
    """
    before = live_sets if before_installed else {}
    old, new, found = compare(before, ruleset, (live_tables or {}) if before_installed else {})
    words = _Wording(
        Labels(inventory),
        frozenset(c.family for c in ruleset.chains),
        {address: name for name, found in (host_names or {}).items() for address in found},
    )
    changes = [*_baseline_change(old, new), *words.changes(found)]
    changes += words.guarded(old, new) if before_installed else words.closing(new)
    return Diff(tuple(changes), first_apply=not before_installed, bridges_pass=new.baseline)


def compare(
    live_sets: Mapping[str, SetState],
    ruleset: Ruleset,
    live_tables: Mapping[Family, TablesState],
) -> tuple[Side, Side, list[Difference]]:
    """What stands, what should, and the differences, before anything is put into words."""
    wanted_rules = [text for c in ruleset.chains for text in chain_texts(c)]
    live_rules = list(_live_rules(live_tables))
    wanted_by_set = rules_by_set(wanted_rules)
    baseline = _baseline(wanted_rules)
    old = Side(
        live_sets,
        wanted_by_set | rules_by_set(live_rules),
        baseline=_baseline(live_rules) if live_rules else baseline,
    )
    # A list set never changes under its name: no need to spell it out in text.
    lists = {s.name: s for s in ruleset.sets if s.phase == "frozen"}
    states = {s.name: set_state(s) for s in ruleset.sets if s.name not in lists}
    new = Side(states, wanted_by_set, baseline=baseline)
    return old, new, list(differences(old, new, lambda name: _spans(name, lists, live_sets)))


def _spans(
    name: str, wanted: Mapping[str, IPSet], live: Mapping[str, SetState]
) -> tuple[Span, ...] | None:
    """What a list set holds, None when nobody knows."""
    if name in wanted:
        return tuple(
            span_of(part)
            for element in wanted[name].elements
            for part in element
            if isinstance(part, IPv4Network | IPv6Network)
        )
    entries = live[name].entries if name in live else None
    return None if entries is None else tuple(spans_of_text(entries))


def _live_rules(tables: Mapping[Family, TablesState]) -> Iterator[str]:
    for state in tables.values():
        for chains in state.tables.values():
            for name in (PRE, PRE_INSIDE, MAIN, INSIDE):
                yield from chains[name].rules if name in chains else ()


def _baseline(rules: Iterable[str]) -> bool:
    """Whether the Docker bridges pass by the baseline (see ``rules/compiler.py``)."""
    return any('"baseline bridge [' in rule for rule in rules)


def _baseline_change(old: Side, new: Side) -> list[Change]:
    if old.baseline == new.baseline:
        return []
    return [Change("open" if new.baseline else "close", "every container port", "", (_BRIDGES,))]


def _writes(plan: Plan) -> str:
    """What a plan writes: how many set entries, and whether rules and seal change."""
    lines = (line for s in plan.steps if s.tool == "ipset" for line in s.text.splitlines())
    entries = sum(line.startswith(("add ", "del ")) for line in lines)
    tools = {step.tool for step in plan.steps}
    words = [
        counted(entries, "set entry", "set entries"),
        f"rules {'change' if 'iptables' in tools else 'unchanged'}",
    ]
    return ", ".join([*words, "seal changes"] if "nft" in tools else words)


# --- words ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Item:
    """A difference at all the addresses that ``label`` stands for."""

    kind: Kind
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


@dataclass(slots=True)
class _Wording:
    names: Labels
    families: frozenset[Family]
    hosts: Mapping[Address, str]
    _said: dict[tuple[Sources, frozenset[int]], tuple[str, ...]] = field(default_factory=dict)

    def changes(self, found: Iterable[Difference]) -> list[Change]:
        """Folded: addresses and families of a container, runs of ports, all containers alike."""
        groups: dict[object, list[Difference]] = defaultdict(list)
        for one in found:
            target = one.target
            key = (one.kind, one.until, target.place, self._label(target), target[3:])
            groups[key].append(one)
        items = (item for group in groups.values() for item in self._fold(group))
        folded = _all_alike(_runs(items), self.names)
        return [self._change(item) for item in sorted(folded, key=_order)]

    def _label(self, target: Target) -> str:
        if target.place == "host":
            return "" if target.address is None else str(target.address)
        return EVERYONE if target.where is None else self.names.label(target.where)

    def _fold(self, group: list[Difference]) -> Iterator[_Item]:
        """One item if the same holds at all addresses (of a family), else one an address."""
        label = self._label(group[0].target)
        if group[0].target.place == "host":
            yield self._item(label, group)
            return
        members = self.names.members(label) or frozenset(
            f.target.where for f in group if f.target.where is not None
        )
        if _same_everywhere(group, members):
            yield self._item(label, group, frozenset(m.version for m in members))
            return
        for one in group:
            where = one.target.where
            at = f" at {network_text(where)}" if where is not None else ""
            yield self._item(label + at, [one], frozenset({one.target.family}))

    def _item(
        self, label: str, group: list[Difference], families: frozenset[int] = frozenset()
    ) -> _Item:
        first = group[0].target
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
        )

    def _host_port(self, target: Target) -> tuple[frozenset[int], tuple[tuple[str, int], ...]]:
        """In which families this host port may lead anywhere, and where to."""
        mine = self.families if target.address is None else frozenset({target.family})
        if target.protocol is None or target.first != target.last:
            return frozenset(mine), ()
        port = Port(target.protocol, target.first)
        by_family = {f: self.names.behind(target.address, f, port) for f in mine}
        leading = frozenset(f for f, pairs in by_family.items() if pairs)
        behind = {pair for pairs in by_family.values() for pair in pairs}
        return leading or frozenset(mine), tuple(sorted(behind))

    def _change(self, item: _Item) -> Change:
        ports = port_text(item.protocol, item.first, item.last)
        if item.place == "host":
            address = ip_address(item.label) if item.label else None
            target = host_port_text(address, ports) + behind_text(item.behind)
        elif item.protocol is None:
            target = f"{item.label}, {ports}"
        else:
            target = f"{item.label} {ports}"
        return Change(
            item.kind,
            target,
            ports,
            self._sources(item.sources, item.families),
            self._sources(item.excepting, item.families),
            item.until,
        )

    def _sources(self, sources: Sources, families: frozenset[int]) -> tuple[str, ...]:
        key = (sources, families)
        if key not in self._said:
            words = sorted({self._word(s, sources, families) for s in sources})
            self._said[key] = tuple(word for _, word in words)
        return self._said[key]

    def _word(
        self, source: Source, together: Sources, families: frozenset[int]
    ) -> tuple[tuple[int, int, int], str]:
        """A source in words, and where it stands in a list."""
        match source:
            case IPv4Network() | IPv6Network():
                place = (2, source.version, int(source.network_address))
                if source.prefixlen:
                    return place, self._network(source)
                whole = families <= _families_in_whole(together)
                return (0, 0, 0), "any" if whole else f"any IPv{source.version}"
            case Inside(network=network):
                if network is None:
                    return (1, 0, 0), _BRIDGES
                return (4, 0, 0), self._container(network)
            case Interface(name=name):
                return (3, 0, 0), f"iface:{name}"
            case NetworkList(name=name):
                return (5, 0, 0), f"the networks of {name}"
            case Unknown(set_name=name):
                return (5, 1, 0), f"the sources of {name}"

    def _network(self, network: IPNetwork) -> str:
        name = self.hosts.get(network.network_address)
        if name is None or network.prefixlen < network.max_prefixlen:
            return network_text(network)
        return f"host:{name} ({network.network_address})"

    def _container(self, network: IPNetwork) -> str:
        at = self.names.at(network.network_address)
        return f"container:{at[0]}" if at else f"container address {network_text(network)}"

    # topology

    def guarded(self, old: Side, new: Side) -> Iterator[Change]:
        """Networks and docker-proxy's ports that come under guard, or leave it."""
        before, after = self._guarded_targets(old), self._guarded_targets(new)
        yield from (Change("guard", t, p) for t, p in sorted(after - before))
        yield from (Change("release", t, p) for t, p in sorted(before - after))

    def closing(self, new: Side) -> Iterator[Change]:
        """Of a first apply: every published port and every container."""
        published = {t for t in self._guarded_targets(new) if t[0].startswith("host port")}
        yield from (Change("guard", t, p) for t, p in sorted(published))
        for label in sorted(self.names.container_labels):
            addresses = sorted(self.names.members(label), key=_network_order)
            said = listed([network_text(a) for a in addresses])
            yield Change("guard", f"{label} ({said})", "all ports")

    def _guarded_targets(self, side: Side) -> set[tuple[str, str]]:
        found = set()
        for family in sorted(self.families):
            for guarded in map(read_guarded, side.entries(f"dockerfw-pub{family}")):
                if guarded is not None and not (guarded[0] and guarded[0].is_loopback):
                    found.add(self._guarded_port(*guarded))
            for subnet in map(read_network, side.entries(f"dockerfw-guarded{family}")):
                if subnet is not None:
                    name = self.names.label(subnet)
                    known = subnet in self.names.subnets
                    found.add((f"{name} ({subnet})" if known else name, "all ports"))
        return found

    def _guarded_port(self, where: Address | None, port: Port) -> tuple[str, str]:
        ports = port_text(port.protocol, port.number, port.number)
        behind = {pair for f in self.families for pair in self.names.behind(where, f, port)}
        return host_port_text(where, ports) + behind_text(behind), ports


def _families_in_whole(sources: Sources) -> frozenset[int]:
    networks = (s for s in sources if isinstance(s, IPv4Network | IPv6Network))
    return frozenset(n.version for n in networks if n.prefixlen == 0)


def _same_everywhere(group: list[Difference], members: frozenset[IPNetwork]) -> bool:
    """Whether it holds at every address of those families that it is about."""
    for family in {f.target.family for f in group}:
        mine = [f for f in group if f.target.family == family]
        addresses = {m for m in members if m.version == family}
        if len({(f.sources, f.excepting) for f in mine}) > 1:
            return False
        if not addresses <= {f.target.where for f in mine}:
            return False
    return True


def _runs(items: Iterable[_Item]) -> Iterator[_Item]:
    """Neighbouring single ports of which the same is to be said become one range."""
    groups: dict[_Item, list[_Item]] = defaultdict(list)
    for item in items:
        if item.first == item.last and item.first > 0:
            groups[replace(item, first=0, last=0, behind=())].append(item)
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


def _all_alike(items: Iterable[_Item], names: Labels) -> Iterator[_Item]:
    """What holds for all containers, or on all Docker networks, is said once."""
    groups: dict[_Item, list[_Item]] = defaultdict(list)
    for item in items:
        if item.place == "host":
            yield item
        else:
            groups[replace(item, label=EVERYONE, families=frozenset())].append(item)
    everyone = (names.container_labels, names.network_labels)
    for together, group in groups.items():
        labels = {item.label for item in group}
        if len(labels) > 1 and labels in everyone:
            yield replace(together, families=frozenset(f for i in group for f in i.families))
        else:
            yield from group


def _order(item: _Item) -> tuple[object, ...]:
    host = item.place == "host"
    port = (item.protocol or "", item.first)
    return (host, item.label != EVERYONE, item.label, *port, item.kind, item.until or 0)


def _network_order(network: IPNetwork) -> tuple[int, int]:
    return (network.version, int(network.network_address))
