"""What ``dockerfw status`` shows: is it enforced, is it in sync, what passed and what did not.

Pure. Takes what others read (`Health`, counters of set elements) with the ruleset and the
inventory, gives a `Status`, ready to print. Never reads the kernel, Docker or a clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Literal, NamedTuple, TypeAlias

from dockerfw.exit_status import ExitStatus
from dockerfw.model.denial import Denial
from dockerfw.model.host import Backend, Flavour, HostFacts
from dockerfw.model.inventory import Inventory
from dockerfw.model.policy import Policy
from dockerfw.report.access import ANYONE, Access, access_by_policy, access_without_policy
from dockerfw.report.access_table import View, access_lines
from dockerfw.report.denied import NOT_ASKED, NOTHING_KNOWN, Names, Row
from dockerfw.report.last_denied import with_last_denied
from dockerfw.report.remarks import remarks
from dockerfw.report.tables import table
from dockerfw.report.traffic import NO_COUNTERS, Counters, Traffic, count_traffic
from dockerfw.rules.ruleset import Ruleset
from dockerfw.text import ago, counted, human_bytes, iso_moment, moment, paragraph, printable

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
    "missing": "MISSING: denied packets pass while others rewrite iptables",
    "differs": "DIFFERS from what it should be",
    "unavailable": "not to be had: this kernel, or this host, has no nf_tables",
}
_WELL = "PROTECTED: the policy is enforced"
_NOT_THERE = "the policy is not in the kernel: run dockerfw apply"
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
    unchecked       what runs now is not known: the engine that was named does not answer
    notes           what is not in sync, or was found broken
    unwritten       what the kernel lacks, or has too much, a part each
    daemon_alive    None: not known
    reconciled_at   when the daemon last saw kernel, policy and Docker agree (Unix time)
    healed          how often it has put right what others had changed
    policy          the file that was applied last; None: none ever was
    first_step      what to do where none was, and nothing of dockerfw stands; else None
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
    unchecked: bool = False
    notes: tuple[str, ...] = ()
    unwritten: tuple[str, ...] = ()
    daemon_alive: bool | None = None
    reconciled_at: float | None = None
    healed: int = 0
    policy: str | None = None
    first_step: str | None = None
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


class Counted(NamedTuple):
    """What the kernel counted and recorded: counters of set elements ``since`` then (None: not
    known), and ``denials``, read at ``now``; ``started`` as for `Names`. All are Unix time.
    """

    counters: Counters = NO_COUNTERS
    denials: tuple[Denial, ...] = ()
    since: float | None = None
    now: float = 0.0
    started: Mapping[str, float] = NOT_ASKED


class LastDenied(NamedTuple):
    """What was denied last, and how many seconds ago."""

    row: Row
    seconds: float


@dataclass(frozen=True, slots=True)
class Status:
    """`Health`, the traffic, see `TrafficCounts`, and every port.

    ``since`` is when counting began (None: not known), and ``now`` when all was read (Unix time).
    """

    health: Health
    allowed: tuple[Traffic, ...] = ()
    denied: tuple[Traffic, ...] = ()
    ports: tuple[Access, ...] = ()
    last: LastDenied | None = None
    since: float | None = None
    now: float = 0.0

    @property
    def exit_status(self) -> ExitStatus:
        """OK: enforcing all of the policy and in sync; NO otherwise, also in lockdown."""
        health = self.health
        held = health.enforcing and health.in_sync and not health.observing
        held = held and not health.unenforced
        return ExitStatus.OK if held and not health.lockdown else ExitStatus.NO

    def headline(self) -> str:
        """One line that says whether all is well, in capitals."""
        health = self.health
        if health.first_step is not None:
            return f"NOT PROTECTED: {self._open_to_anyone()}; next: {health.first_step}"
        if health.lockdown:
            first = "LOCKDOWN: every container port is closed until the next apply"
        elif health.observing:
            first = "OBSERVING: nothing is dropped"
        elif not health.enforcing:
            return f"NOT PROTECTED: {self._why(_NOT_THERE)}"
        else:
            first = _WELL
        if health.unenforced:
            but = ", but NOT ON EVERY PATH"
            if health.observing:
                but = "; enforced, it would NOT HOLD ON EVERY PATH"
            first = f"{first}{but}: {printable(health.unenforced[0])}"
        if health.in_sync:
            return first if health.unenforced else f"{first}, in sync"
        verdict = "NOT CHECKED" if health.unchecked else "NOT IN SYNC"
        out_of_sync = f"{verdict}: {self._why(self._differs())}"
        return out_of_sync if first == _WELL else f"{first}; {out_of_sync}"

    def _open_to_anyone(self) -> str:
        number = len({(row.host_port, row.port) for row in self.ports if row.open_to == ANYONE})
        return f"{counted(number, 'port')} open to anyone" if number else "no policy is in force"

    def _differs(self) -> str:
        who = "the daemon is at it" if self.health.daemon_alive else "dockerfw apply mends it"
        return f"dockerfw plan shows what differs, {who}"

    def _why(self, otherwise: str) -> str:
        return printable(self.health.notes[0]) if self.health.notes else otherwise

    def lines(self, width: int = 80, *, verbose: bool = False) -> list[str]:
        """Return the verdict, what is wrong, and every port; ``verbose``: all that is known."""
        rows = [*self._facts(verbose=verbose), *self._remarks(verbose=verbose)]
        view = View(
            width,
            self.health.observing,
            counted=self.health.first_step is None,
            now=self.now,
            whole=verbose,
        )
        lines = [
            *paragraph(self.headline(), width=width, rest="  "),
            *table(rows, width=width),
            *access_lines(self.ports, view),
        ]
        if verbose:
            would = "would be " if self.health.observing else ""
            lines += _traffic_lines(f"{would}allowed", self.allowed, width)
            lines += _traffic_lines(f"{would}denied", self.denied, width)
        return lines

    def _facts(self, *, verbose: bool) -> Iterator[tuple[str, str]]:
        health = self.health
        if health.first_step is None or verbose:
            yield "policy", self._policy()
            yield "daemon", self._daemon()
        if verbose or (health.seal in ("missing", "differs") and health.first_step is None):
            yield "seal", self._seal()
        unseen = health.first_packet in ("open", "until restart")
        proxy = _FIRST_PACKET_WORDS[health.first_packet]
        if unseen and health.observing:
            proxy = "its packets are not counted before dockerfw knows of a port"
        if verbose:
            step = f": {health.first_packet_step}" if health.first_packet_step else ""
            yield "proxy", f"{proxy}{step}"
        elif unseen and health.first_step is None:
            yield "proxy", f"{proxy}: see dockerfw status -v"
        if self.last is not None:
            would = "would be, " if health.observing else ""
            when, what = ago(self.last.seconds), printable(self.last.row.text)
            yield "denied", f"{would}last {when}: {what}; see dockerfw denied"
        if health.first_step is None and (verbose or self.allowed or self.denied):
            yield "counts", self._since()
        yield "host", ", ".join([*self._docker(), f"iptables-{health.flavour}"])

    def _seal(self) -> str:
        if self.health.observing and self.health.seal == "missing":
            return "MISSING: while others rewrite iptables nothing is counted"
        return _SEAL_WORDS[self.health.seal]

    def _since(self) -> str:
        if self.since is None:
            return "since when is not known"
        return f"since {_moment(self.since)}, or later where a port came later"

    def _policy(self) -> str:
        health = self.health
        policy = printable(health.policy) if health.policy else "none was applied yet"
        if health.applied_at is not None:
            policy += f", applied {_moment(health.applied_at)}"
        if health.policy_differs:
            policy += "; the file DIFFERS from what was applied: dockerfw plan shows how"
        return policy

    def _docker(self) -> Iterator[str]:
        health = self.health
        if health.engine:
            yield f"Docker {printable(health.engine)}"
        if health.backend:
            other = health.backend_reported not in (None, health.backend)
            but = f" (it reports {health.backend_reported})" if other else ""
            yield f"on {health.backend}{but}"

    def _daemon(self) -> str:
        health = self.health
        words = [_DAEMON_WORDS[health.daemon_alive]]
        if health.daemon_alive and health.reconciled_at is not None:
            words.append(f"last checked everything {_moment(health.reconciled_at)}")
        if health.daemon_alive and health.healed:
            words.append(f"has put right {counted(health.healed, 'thing')} that others changed")
        return ", ".join(words)

    def _remarks(self, *, verbose: bool) -> Iterator[tuple[str, str]]:
        unwritten = (f"to be written: {part}" for part in self.health.unwritten if verbose)
        for note in (*self.health.unenforced, *self.health.notes, *unwritten):
            if printable(note) not in self.headline():
                yield "note", printable(note)
        for warning in self.health.warnings:
            yield "warning", printable(warning)

    def to_json(self) -> dict[str, object]:
        health = self.health
        return {
            "enforcing": health.enforcing,
            "observing": health.observing,
            "in_sync": health.in_sync,
            "lockdown": health.lockdown,
            "unenforced": list(health.unenforced),
            "notes": [*health.notes, *(f"to be written: {part}" for part in health.unwritten)],
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
            "warnings": remarks(health.warnings),
            "counted_since": _iso(self.since),
            "denied_last": None if self.last is None else iso_moment(self.last.row.denial.last),
            "allowed": [row.to_json() for row in self.allowed],
            "denied": [row.to_json() for row in self.denied],
            "ports": [row.to_json() for row in self.ports],
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


def build(
    health: Health,
    seen: Counted,
    ruleset: Ruleset,
    policy: Policy,
    inventory: Inventory,
    facts: HostFacts = NOTHING_KNOWN,
) -> Status:
    """Return the status, with the counters added up as by `count_traffic`."""
    names = Names(policy, inventory, facts, seen.started)
    counts = count_traffic(seen.counters, ruleset, inventory)
    if health.first_step is None:
        ports = access_by_policy(policy, inventory, counts.allowed, counts.denied)
        ports = with_last_denied(ports, filter(names.known, seen.denials), inventory)
    else:
        ports = access_without_policy(inventory)
    last = None
    if seen.denials:
        newest = max(seen.denials, key=lambda denial: denial.last)
        last = LastDenied(names.row(newest), seen.now - newest.last)
    return Status(health, counts.allowed, counts.denied, ports, last, seen.since, seen.now)
