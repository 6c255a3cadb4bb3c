"""An audit: every way in to every container, who gets in by it, and which rule decides. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from dockerfw.model.foreign import ForeignTable
from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Inventory
from dockerfw.model.net import FAMILIES, Address, Family, Port
from dockerfw.model.policy import Policy
from dockerfw.model.routes import Routes
from dockerfw.model.surroundings import Surroundings
from dockerfw.report.audit.host_ways import DOCKER_PROXY, is_for_itself
from dockerfw.report.audit.judge import NOBODY, Judge, Verdict
from dockerfw.report.audit.merging import merged
from dockerfw.report.audit.policy import Allowed, PolicyJudge
from dockerfw.report.audit.row import REACHES, Audit, InForce, Row
from dockerfw.report.audit.strangers import ANYONE, MOST_NETWORKS, NEIGHBOURS, Strangers
from dockerfw.report.audit.way import Way
from dockerfw.report.audit.ways import Ways
from dockerfw.report.bypasses import bypasses
from dockerfw.report.obstacles import docker_writes
from dockerfw.text import short_port

_NOT_IN_SYNC = (
    "the kernel is not as the policy in force wants it; dockerfw status shows what differs"
)
_UFW = (
    "ufw closes ports of this host, but not what Docker publishes: such packets are led on to a "
    "container before they come to ufw's rules"
)


@dataclass(frozen=True, slots=True)
class Host:
    """What an audit goes by. ``policy`` is the one in force, where dockerfw is."""

    inventory: Inventory
    facts: HostFacts
    around: Surroundings = field(default_factory=Surroundings)
    tables: tuple[ForeignTable, ...] = ()
    in_force: InForce = "no"
    policy: Policy | None = None


def audit(host: Host) -> Audit:
    """Return every way in, the worst first."""
    return _Auditor(host).audit()


def ways_in(host: Host) -> Iterator[Way]:
    """Yield every way in to every container, each by itself, whoever gets in by it."""
    for _, ways in _Auditor(host).ways():
        yield from ways


def judge_of(host: Host) -> Judge:
    """Return who says what the rules of others make of a packet, without dockerfw's."""
    facts = host.facts
    strangers = Strangers(host.tables, host.inventory, facts.addresses, host.around.interfaces)
    return Judge(host.tables, strangers, Routes(facts.routes), host.around.early)


class _Auditor:
    def __init__(self, host: Host) -> None:
        self._host = host
        inventory, facts = host.inventory, host.facts
        self._judge = judge_of(host)
        by_nat = frozenset[Family](
            family
            for family in FAMILIES
            if docker_writes(host.tables, family) and facts.docker_rules
        )
        self._policy: PolicyJudge | None = None
        if host.policy is not None:
            self._policy = PolicyJudge(host.policy, inventory, facts)
        named = self._policy.addresses() if self._policy else frozenset[Address]()
        self._ways = Ways(inventory, facts, host.around, host.tables, by_nat, named)

    def audit(self) -> Audit:
        rows: list[Row] = []
        without: list[str] = []
        for names, ways in self.ways():
            found = [self._row(names, way) for way in ways]
            rows += merged(found)
            if not found:
                without += names
        rows.sort(key=_worst_first)
        return Audit(
            self._host.in_force, tuple(rows), tuple(without), self._own_ports(), self._notes(rows)
        )

    def ways(self) -> Iterator[tuple[tuple[str, ...], Iterator[Way]]]:
        """Yield the ways in to each container, with the names of all that share its network."""
        inventory = self._host.inventory
        for container in inventory.containers:
            if inventory.network_owner(container).id != container.id:
                continue
            together = inventory.sharing_network_with(container)
            names = (container.name, *(c.name for c in together if c.id != container.id))
            opened = self._policy.opened(container) if self._policy else ()
            yield names, self._ways.of(container, opened)

    def _row(self, names: tuple[str, ...], way: Way) -> Row:
        stands = self._judge.verdict(way)
        allowed = self._policy.allowed(way) if self._policy else None
        found, enforced = stands, ""
        if allowed is not None:
            held = _held(stands, allowed, way)
            match self._host.in_force:
                case "enforcing":
                    found = held
                case "observing":
                    enforced = "closed" if held.reach == "nobody" else f"open to {held.who}"
                case "not in sync" if held != stands:
                    found = Verdict("unknown", f"perhaps {stands.who}", _NOT_IN_SYNC)
        return Row(
            names,
            way.path,
            (way.family,),
            way.ports,
            way.host_ports,
            "" if way.at is None else str(way.at),
            found.reach,
            found.who,
            found.reason,
            enforced,
        )

    def _own_ports(self) -> tuple[tuple[str, str], ...] | None:
        """Return the ports of the host itself that others than this host may ask."""
        around, inventory = self._host.around, self._host.inventory
        if around.listeners is None:
            return None
        ids = {c.id for c in inventory.on_host()}
        published = {Port(b.protocol, b.host_port) for c in inventory.containers for b in c.ports}
        found = {
            (one.port.number, short_port(one.port.number, one.port.protocol), one.program)
            for one in around.listeners
            if not is_for_itself(one)
            and one.container not in ids
            and one.program != DOCKER_PROXY
            and one.port not in published
        }
        return tuple((text, program) for _, text, program in sorted(found))

    def _notes(self, rows: Iterable[Row]) -> tuple[str, ...]:
        tables = self._host.tables
        has_ufw = any(name.startswith("ufw") for table in tables for name in table.chains)
        past_ufw = any((row.path, row.reach) == ("published", "anyone") for row in rows)
        return (
            *((_UFW,) if has_ufw and past_ufw else ()),
            *self._unknown(),
            *bypasses(tables),
        )

    def _unknown(self) -> Iterator[str]:
        host = self._host
        for early in host.around.early:
            if early.kind == "tc unread":
                yield "unknown: filters of tc, since tc (iproute2) is not installed"
            elif early.kind == "IPVS":
                yield "unknown: what IPVS takes for its own services, past the rules"
            else:
                yield (
                    f"unknown: what {early.kind} on {early.interface} does with packets, before "
                    "any rule"
                )
        for forward in host.facts.unread_nat:
            ports = "every port" if forward.protocol is None else f"port {forward.first}"
            sent = f"what is sent to {ports} (IPv{forward.family})"
            yield f"unknown: where NAT of others leads {sent}"
        for family, count in self._judge.strangers.unlisted.items():
            if count:
                yield (
                    f"IPv{family}: rules name {count + MOST_NETWORKS} networks; the widest "
                    f"{MOST_NETWORKS} were looked at each by itself"
                )
        if host.inventory.in_swarm:
            yield "unknown: ports that a swarm publishes are not listed; see docker service ls"


def _held(stands: Verdict, allowed: Allowed, way: Way) -> Verdict:
    """Return what is left where the policy holds, and the rules of others behind it."""
    if way.closed or stands.reach == "nobody":
        return stands
    if allowed.anyone:
        who = f"{stands.who} but not {allowed.but}" if allowed.but else stands.who
        reason = stands.reason if stands.reach == "unknown" else allowed.reason
        return replace(stands, who=who, reason=reason)
    if not allowed.who:
        return Verdict("nobody", NOBODY, allowed.reason)
    if stands.reach == "unknown":
        return replace(stands, who=f"perhaps {allowed.who}")
    who = allowed.who
    if stands.who not in (ANYONE, NEIGHBOURS):
        who += f", as far as others let in {stands.who}"
    return Verdict("some", who, allowed.reason)


def _worst_first(row: Row) -> tuple[object, ...]:
    return (REACHES.index(row.reach), row.containers, row.path, row.at, str(row.ports.ranges))
