"""What ``dockerfw status`` shows: is it enforced, is it in sync, what passed and what did not.

Pure. Takes what others read (`Health`, counters of set elements) with the ruleset and the
inventory, gives a `Status`, ready to print. Never reads the kernel, Docker or a clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Literal, TypeAlias

from dockerfw.exit_status import ExitStatus
from dockerfw.model.host import Backend, Flavour
from dockerfw.model.inventory import Inventory
from dockerfw.report.tables import table
from dockerfw.report.traffic import Counters, Traffic, count_traffic
from dockerfw.rules.ruleset import Ruleset
from dockerfw.text import counted, human_bytes, iso_moment, moment, paragraph, printable

SealCondition: TypeAlias = Literal["stands", "missing", "differs", "unavailable"]
FirstPacketState: TypeAlias = Literal["closed", "until restart", "observed", "no proxy", "open"]
_FIRST_PACKET_WORDS: Mapping[FirstPacketState, str] = {
    "closed": "closed from its first packet",
    "until restart": "closed from its first packet until Docker is restarted, and not from then on",
    "observed": "its first packets are counted, not dropped",
    "no proxy": "not in use",
    "open": "NOT closed from its first packet, but once dockerfw knows of a port",
}
_SEAL_WORDS: Mapping[SealCondition, str] = {
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
    backend         what Docker writes its rules with, by those that stand; where none do, as
                    ``backend_reported`` has it: by what it reports, or last did
    unenforced      what this host cannot hold of the policy, and the next step
    first_packet    what becomes of the first packets to a port of docker-proxy that nobody knows
                    of yet, "until restart" where no daemon follows dockerd into its next cgroup;
                    ``first_packet_step`` is what would close them for good
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
    seal: SealCondition = "stands"
    flavour: Flavour = "nft"
    engine: str = ""
    backend: Backend | None = None
    backend_reported: Backend | None = None
    warnings: tuple[str, ...] = ()
    unenforced: tuple[str, ...] = ()
    lockdown: bool = False
    first_packet: FirstPacketState = "closed"
    first_packet_step: str | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """`Health`, and the traffic since the sets were made, see `TrafficCounts`."""

    health: Health
    allowed: tuple[Traffic, ...] = ()
    denied: tuple[Traffic, ...] = ()

    @property
    def exit_status(self) -> ExitStatus:
        """OK: enforcing all of the policy and in sync; NO otherwise, also in lockdown."""
        health = self.health
        held = health.enforcing and health.in_sync and not health.observing
        held = held and not health.unenforced
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
        if health.unenforced:
            first = f"{first}, but NOT ON EVERY PATH: {printable(health.unenforced[0])}"
        if health.in_sync:
            return first if health.unenforced else f"{first}, in sync"
        out_of_sync = f"NOT IN SYNC: {self._why('dockerfw plan shows what differs')}"
        return out_of_sync if first == "enforcing" else f"{first}; {out_of_sync}"

    def _why(self, otherwise: str) -> str:
        return printable(self.health.notes[0]) if self.health.notes else otherwise

    def lines(self, width: int = 80) -> list[str]:
        """Return all of it for people, the headline first."""
        rows = [*self._facts(), *self._remarks()]
        return [
            *paragraph(self.headline(), width=width, rest="  "),
            *table(rows, width=width),
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
        if health.engine or health.backend:
            yield "Docker", ", ".join(self._docker())

    def _docker(self) -> Iterator[str]:
        health = self.health
        if health.engine:
            yield printable(health.engine)
        if health.backend:
            other = health.backend_reported not in (None, health.backend)
            but = f" (it reports {health.backend_reported})" if other else ""
            yield f"on {health.backend}{but}"

    def _daemon(self) -> str:
        health = self.health
        words = [_DAEMON_WORDS[health.daemon_alive]]
        if health.daemon_alive and health.reconciled_at is not None:
            words.append(f"saw all agree at {_moment(health.reconciled_at)}")
        if health.daemon_alive and health.healed:
            words.append(f"has put right {counted(health.healed, 'thing')} that others changed")
        return ", ".join(words)

    def _remarks(self) -> Iterator[tuple[str, str]]:
        for note in (*self.health.unenforced, *self.health.notes):
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
            "unenforced": list(health.unenforced),
            "notes": list(health.notes),
            "daemon_alive": health.daemon_alive,
            "daemon_reconciled_at": _iso(health.reconciled_at),
            "daemon_healed": health.healed,
            "policy": health.policy,
            "policy_differs": health.policy_differs,
            "applied_at": _iso(health.applied_at),
            "seal": health.seal,
            "docker_proxy_first_packet": health.first_packet,
            "docker_proxy_next_step": health.first_packet_step,
            "flavour": health.flavour,
            "engine": health.engine,
            "firewall_backend": health.backend,
            "warnings": list(health.warnings),
            "allowed": [row.to_json() for row in self.allowed],
            "denied": [row.to_json() for row in self.denied],
        }


def _moment(unix: float) -> str:
    return datetime.fromtimestamp(unix, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def _iso(unix: float | None) -> str | None:
    return None if unix is None else iso_moment(unix)


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
    target = by if row.host_port else own
    return target if row.until is None else f"{target} until {moment(row.until)}"


def build(health: Health, counters: Counters, ruleset: Ruleset, inventory: Inventory) -> Status:
    """Return the status, with the counters added up as by `count_traffic`."""
    counts = count_traffic(counters, ruleset, inventory)
    return Status(health, counts.allowed, counts.denied)
