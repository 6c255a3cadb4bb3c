"""What ``dockerfw status`` tells: is it enforced, is it in sync, what passed and what did not.

Pure. Takes what others read (`Health`, counters of set entries) with the ruleset and the
inventory, gives a `Status` that prints itself. Never reads the kernel, Docker or a clock.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Literal, TypeAlias

from dockerfw.exit_status import ExitStatus
from dockerfw.kernel.render import chain_texts
from dockerfw.model.host import Flavour
from dockerfw.model.inventory import Inventory
from dockerfw.model.net import Family, Port
from dockerfw.report.labels import Labels, host_port_text
from dockerfw.rules.buckets import (
    Bucket,
    Target,
    read_bucket,
    read_guarded,
    read_network,
    rules_by_set,
)
from dockerfw.rules.ruleset import IPSet, Ruleset
from dockerfw.text import (
    counted,
    human_bytes,
    moment,
    paragraph,
    port_text,
    printable,
    table,
)

SealState: TypeAlias = Literal["stands", "missing", "differs", "unavailable"]
Counters: TypeAlias = Mapping[str, Mapping[str, tuple[int, int]]]
"""Set name -> entry as ``ipset save`` prints it -> (packets, bytes)."""

FirstPacketState: TypeAlias = Literal["closed", "observed", "no proxy", "open"]
_FIRST_PACKET_WORDS: Mapping[FirstPacketState, str] = {
    "closed": "closed from its first packet",
    "observed": "its first packets are counted, not dropped",
    "no proxy": "not in use",
    "open": "NOT closed from its first packet, but once dockerfw knows of a port",
}
_SEAL_WORDS: Mapping[SealState, str] = {
    "stands": "stands",
    "missing": "MISSING: run dockerfw apply",
    "differs": "DIFFERS from what it should be: run dockerfw apply",
    "unavailable": "not to be had: this kernel, or this host, has no nf_tables",
}
_DAEMON_WORDS: Mapping[bool | None, str] = {
    True: "alive",
    False: "NOT RUNNING: nobody follows containers that come, go or move",
    None: "not known",
}


@dataclass(frozen=True, slots=True)
class Health:
    """What was found, counters aside.

    enforcing       our chains stand and drop what the policy does not allow
    observing       mode ``observe``: all is judged, nothing is dropped
    in_sync         the kernel is as the policy in force and what runs now want it
    notes           what is not in sync, or was found broken
    daemon_alive    None: not known
    reconciled_at   when the daemon last saw kernel, policy and Docker agree (Unix time)
    healed          how often it has put right what others had changed
    policy          the file that was applied last; None: none ever was
    policy_differs  that file was edited since
    applied_at      Unix time
    first_packet    what becomes of the first packets to a port of docker-proxy that nobody knows
                    of yet; ``first_packet_step`` is what would close them
    """

    enforcing: bool
    observing: bool
    in_sync: bool
    notes: tuple[str, ...] = ()
    daemon_alive: bool | None = None
    reconciled_at: float | None = None
    healed: int = 0
    policy: str | None = None
    policy_differs: bool = False
    applied_at: float | None = None
    seal: SealState = "stands"
    flavour: Flavour = "nft"
    engine: str = ""
    warnings: tuple[str, ...] = ()
    lockdown: bool = False
    first_packet: FirstPacketState = "closed"
    first_packet_step: str | None = None


@dataclass(frozen=True, slots=True)
class Traffic:
    """Packets to one target.

    ``container`` is what people call it (several that share a network: ``a + b``), an address
    that no container has now, or empty when a host port leads to none. ``port`` is the
    container's, empty for all. ``host_port`` is the host port that the packets were sent to,
    empty when they came to the container's own address. ``until`` is when the last rule that
    opens it ends by itself (Unix time); None: never.
    """

    container: str
    port: str
    host_port: str
    packets: int
    bytes: int
    until: int | None = None

    def to_json(self) -> dict[str, object]:
        return {
            "container": self.container,
            "port": self.port,
            "host_port": self.host_port,
            "packets": self.packets,
            "bytes": self.bytes,
            **({} if self.until is None else {"until": _moment_or_none(self.until)}),
        }


@dataclass(frozen=True, slots=True)
class Status:
    """`Health`, and the traffic since the sets were made.

    ``allowed`` has a row a port that is open, also with no packet: they are first packets and
    all later ones of the asking side, those of answers are not in it. A packet that two rules
    allow to one host port counts with both. ``denied`` has the rows with packets alone.
    """

    health: Health
    allowed: tuple[Traffic, ...] = ()
    denied: tuple[Traffic, ...] = ()

    @property
    def exit_status(self) -> ExitStatus:
        """OK: enforcing the policy and in sync; NO otherwise, also in lockdown."""
        health = self.health
        held = health.enforcing and health.in_sync and not health.observing
        return ExitStatus.OK if held and not health.lockdown else ExitStatus.NO

    def headline(self) -> str:
        """One line that says whether all is well, in capitals where it is not."""
        health = self.health
        if health.lockdown:
            first = "LOCKDOWN: every container port is closed until the next apply"
        elif health.observing:
            first = "OBSERVING: nothing is dropped"
        elif not health.enforcing:
            return f"NOT ENFORCING: {self._why('run dockerfw apply')}"
        else:
            first = "enforcing"
        if health.in_sync:
            return f"{first}, in sync"
        out_of_sync = f"NOT IN SYNC: {self._why('dockerfw plan shows what differs')}"
        return out_of_sync if first == "enforcing" else f"{first}; {out_of_sync}"

    def _why(self, otherwise: str) -> str:
        return printable(self.health.notes[0]) if self.health.notes else otherwise

    def lines(self, width: int = 80) -> list[str]:
        said = [*self._facts(), *self._remarks()]
        return [
            *paragraph(self.headline(), width=width, rest="  "),
            *table(said, width=width),
            *_traffic_lines("allowed", self.allowed, width),
            *_traffic_lines(
                "would be denied" if self.health.observing else "denied", self.denied, width
            ),
        ]

    def _facts(self) -> Iterator[tuple[str, str]]:
        health = self.health
        policy = printable(health.policy) if health.policy else "none was applied yet"
        if health.applied_at is not None:
            policy += f", applied {_moment(health.applied_at)}"
        if health.policy_differs:
            policy += "; the file DIFFERS from what was applied: dockerfw plan shows how"
        yield "policy", policy
        yield "daemon", self._daemon()
        yield "seal", _SEAL_WORDS[health.seal]
        proxy = _FIRST_PACKET_WORDS[health.first_packet]
        step = f": {health.first_packet_step}" if health.first_packet_step else ""
        yield "proxy", f"{proxy}{step}"
        yield "iptables", health.flavour
        if health.engine:
            yield "Docker", printable(health.engine)

    def _daemon(self) -> str:
        health = self.health
        words = [_DAEMON_WORDS[health.daemon_alive]]
        if health.daemon_alive and health.reconciled_at is not None:
            words.append(f"saw all agree at {_moment(health.reconciled_at)}")
        if health.daemon_alive and health.healed:
            words.append(f"has put right {counted(health.healed, 'thing')} that others changed")
        return ", ".join(words)

    def _remarks(self) -> Iterator[tuple[str, str]]:
        for note in self.health.notes:
            if printable(note) not in self.headline():
                yield "note", printable(note)
        for warning in self.health.warnings:
            yield "warning", printable(warning)

    def to_json(self) -> dict[str, object]:
        health = self.health
        return {
            "schema": 1,
            "enforcing": health.enforcing,
            "observing": health.observing,
            "in_sync": health.in_sync,
            "lockdown": health.lockdown,
            "notes": list(health.notes),
            "daemon_alive": health.daemon_alive,
            "daemon_reconciled_at": _moment_or_none(health.reconciled_at),
            "daemon_healed": health.healed,
            "policy": health.policy,
            "policy_differs": health.policy_differs,
            "applied_at": _moment_or_none(health.applied_at),
            "seal": health.seal,
            "docker_proxy_first_packet": health.first_packet,
            "docker_proxy_next_step": health.first_packet_step,
            "flavour": health.flavour,
            "engine": health.engine,
            "warnings": list(health.warnings),
            "allowed": [row.to_json() for row in self.allowed],
            "denied": [row.to_json() for row in self.denied],
        }


def _moment(unix: float) -> str:
    return datetime.fromtimestamp(unix, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def _moment_or_none(unix: float | None) -> str | None:
    if unix is None:
        return None
    return datetime.fromtimestamp(unix, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _traffic_lines(title: str, traffic: tuple[Traffic, ...], width: int) -> list[str]:
    busy = [row for row in traffic if row.packets]
    idle = len(traffic) - len(busy)
    lines = [f"{title}:" if busy else f"{title}: no packet yet"]
    rows = [
        (f"{row.packets:,}", human_bytes(row.bytes), _target_text(row))
        for row in sorted(busy, key=lambda row: (-row.bytes, row.container, row.port))
    ]
    if rows:
        rows.insert(0, ("packets", "bytes", "to"))
    lines += table(rows, width=width, right=(0, 1))
    if idle and busy:
        lines.append(f"  {counted(idle, 'more open port')} without a packet")
    return lines


def _target_text(row: Traffic) -> str:
    own = f"{row.container} {row.port}".strip()
    by = f"{own} by {row.host_port}" if own else row.host_port
    said = by if row.host_port else own
    return said if row.until is None else f"{said} until {moment(row.until)}"


# --- counters ------------------------------------------------------------------------------------


def counted_sets(ruleset: Ruleset) -> tuple[str, ...]:
    """The names of the sets whose counters `build` asks for."""
    return tuple(s.name for s in ruleset.sets if _is_allow(s) or _is_denied_set(s) is not None)


def build(health: Health, counters: Counters, ruleset: Ruleset, inventory: Inventory) -> Status:
    """Counters by set entry, told by container port.

    Sets that ``counters`` does not hold count nothing. Entries that stand no longer for what
    runs (a container moved) are told by their address.
    """
    names = Labels(inventory)
    return Status(health, _allowed(counters, ruleset, names), _denied(counters, ruleset, names))


class _Sums:
    """Rows under construction; one target may be in many entries of many sets."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str, str], tuple[int, int]] = defaultdict(lambda: (0, 0))
        self._ends: dict[tuple[str, str, str], set[int | None]] = defaultdict(set)

    def add(
        self, key: tuple[str, str, str], count: tuple[int, int], until: int | None = None
    ) -> None:
        packets, size = self._sums[key]
        self._sums[key] = (packets + count[0], size + count[1])
        self._ends[key].add(until)

    def rows(self) -> tuple[Traffic, ...]:
        return tuple(
            Traffic(*key, *count, until=self._end(key)) for key, count in sorted(self._sums.items())
        )

    def _end(self, key: tuple[str, str, str]) -> int | None:
        ends = [end for end in self._ends[key] if end is not None]
        return max(ends) if len(ends) == len(self._ends[key]) else None


def _allowed(counters: Counters, ruleset: Ruleset, names: Labels) -> tuple[Traffic, ...]:
    rules = rules_by_set(text for chain in ruleset.chains for text in chain_texts(chain))
    sums = _Sums()
    for ipset in ruleset.sets:
        if not _is_allow(ipset):
            continue
        bucket = read_bucket(ipset.name, ipset.type, rules.get(ipset.name))
        if bucket is None:
            continue
        for target, count in _counts(bucket, counters.get(ipset.name, {})):
            sums.add(_allowed_key(target, names), count, bucket.until)
    return sums.rows()


def _counts(
    bucket: Bucket, entries: Mapping[str, tuple[int, int]]
) -> Iterator[tuple[Target, tuple[int, int]]]:
    for entry, count in entries.items():
        if (meaning := bucket.read(entry)) is not None:
            yield meaning[0], count


def _allowed_key(target: Target, names: Labels) -> tuple[str, str, str]:
    if target.place == "container" and target.where is not None:
        return names.label(target.where), target.ports, ""
    if target.protocol is None or target.first != target.last:
        return "", "", host_port_text(target.address, target.ports)
    port = Port(target.protocol, target.first)
    container, container_port = _behind(names.behind(target.address, target.family, port), port)
    return container, container_port, host_port_text(target.address, target.ports)


def _behind(pairs: Iterable[tuple[str, int]], port: Port) -> tuple[str, str]:
    """The container and its port; nothing when the host port leads to several, or to none."""
    known = set(pairs)
    if len(known) != 1:
        return "", ""
    name, number = known.pop()
    return name, port_text(port.protocol, number, number)


def _is_allow(ipset: IPSet) -> bool:
    return ipset.phase in ("allow", "inside allow")


def _is_denied_set(ipset: IPSet) -> Literal["target", "pub"] | None:
    """Sets that count what is denied: by container address, or by docker-proxy's host port."""
    if ipset.name.startswith("dockerfw-target"):
        return "target"
    return "pub" if ipset.name.startswith("dockerfw-pub") else None


def _denied(counters: Counters, ruleset: Ruleset, names: Labels) -> tuple[Traffic, ...]:
    sums = _Sums()
    for ipset in ruleset.sets:
        kind = _is_denied_set(ipset)
        for entry, count in counters.get(ipset.name, {}).items():
            key = _denied_key(kind, entry, ipset.family, names) if count[0] else None
            if key is not None:
                sums.add(key, count)
    return sums.rows()


def _denied_key(
    kind: Literal["target", "pub"] | None, entry: str, family: Family, names: Labels
) -> tuple[str, str, str] | None:
    if kind == "target":
        address = read_network(entry)
        return (names.label(address), "", "") if address is not None else None
    guarded = read_guarded(entry) if kind == "pub" else None
    if guarded is None:
        return None
    where, port = guarded
    container, container_port = _behind(names.behind(where, family, port), port)
    host_port = port_text(port.protocol, port.number, port.number)
    return container, container_port, host_port_text(where, host_port)
