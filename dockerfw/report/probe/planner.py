"""Which packets to send: each caller's by each way in, with what has to come of them.

Takes callers, what an audit goes by, and a target; gives a `Plan`. Pure. The ways are those of an
audit; what the policy makes of a packet is asked of `explain`, and where none is in force an audit
says what the rules of others do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_network
from typing import Literal

from dockerfw.model.docker_names import is_docker_bridge
from dockerfw.model.foreign import rules_of
from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Inventory
from dockerfw.model.knock import Knock
from dockerfw.model.policy import Policy, PortKeyword
from dockerfw.model.routes import Route
from dockerfw.report.audit.auditor import Host, judge_of, ways_in
from dockerfw.report.audit.judge import Judge
from dockerfw.report.audit.strangers import Stranger
from dockerfw.report.audit.way import Way
from dockerfw.report.explain.explainer import Explainer
from dockerfw.report.explain.explanation import Explanation
from dockerfw.report.explain.reader import ParsedTarget
from dockerfw.report.probe.callers import Caller
from dockerfw.report.probe.result import NotTried, Try
from dockerfw.report.probe.words import target_words, way_words
from dockerfw.rules.names import PROBE_LINK
from dockerfw.text import bracketed, counted, listed

MOST_TRIES = 2000
_OPEN, _CLOSED = 3.0, 1.0
"""Seconds to wait: what should get in has time for a second SYN."""
_WHY_NOT = {
    "loopback": "only a neighbour can send such packets, on its own link",
    "bridged": "a probe is in no bridge",
    "macvlan": "no packet of this host gets there",
    "ipvlan": "no packet of this host gets there",
}


NO_POLICY = Policy(baseline=())
"""Stands for one that is not in force: no rule speaks of anybody."""


@dataclass(frozen=True, slots=True)
class Plan:
    """``tries`` are to be made, ``not_tried`` cannot be."""

    tries: tuple[Try, ...]
    not_tried: tuple[NotTried, ...]


def plan(
    policy: Policy | None,
    host: Host,
    callers: Iterable[Caller],
    target: str | None = None,
    most: int = MOST_TRIES,
) -> Plan:
    """Return what to try, so many tries at ``most``; ``policy`` None: none is in force; ``target``
    None: everything.

    Raises `UsageError` as `explain` does.
    """
    return _Planner(policy, host, tuple(callers), most).plan(target)


class _Planner:
    def __init__(
        self, in_force: Policy | None, host: Host, callers: tuple[Caller, ...], most: int
    ) -> None:
        self._most = most
        policy = in_force or NO_POLICY
        self._policy = policy
        self._judge: Judge | None = judge_of(host) if in_force is None else None
        self._host = host
        self._callers = callers
        facts = _with_probe(host.facts, callers)
        self._explainer = Explainer(policy, host.inventory, facts, foreign=host.tables)

    def plan(self, target: str | None) -> Plan:
        tries: list[Try] = []
        without: dict[str, dict[str, None]] = {}
        ways = self._ways(target)
        for way in ways:
            why = self._why_not(way)
            if why:
                without.setdefault(why, {})[_named(way)] = None
        possible = [way for way in ways if not self._why_not(way)]
        # Ports of which somebody speaks come before all the others.
        possible.sort(key=lambda way: way.ports.others)
        both = [(c, w) for w in possible for c in self._callers if c.family == w.family]
        for caller, way in both[: self._most]:
            found = self._try(caller, way)
            if isinstance(found, Try):
                tries.append(found)
            else:
                without.setdefault(found, {})[_named(way)] = None
        not_tried = [NotTried(one, why) for why, what in without.items() for one in what]
        left_out = len(both) - self._most
        if left_out > 0:
            why = f"a probe makes {self._most} at most: name a container"
            not_tried.append(NotTried(counted(left_out, "more try", "more tries"), why))
        return Plan(tuple(tries), (*not_tried, *self._never()))

    def _never(self) -> Iterator[NotTried]:
        """Yield what no audit lists, and no probe tries."""
        if any(PortKeyword.ICMP in statement.ports for statement in self._policy.statements):
            yield NotTried("ping", "a probe sends TCP and UDP alone")
        if self._host.inventory.in_swarm:
            yield NotTried("ports that a swarm publishes", "see docker service ls")

        names = {
            rule.asked.in_interface.name
            for rule in rules_of(self._host.tables)
            if rule.asked.in_interface is not None
        }
        own = {"lo", *(network.bridge for network in self._host.inventory.bridges())}
        by_name = sorted(n for n in names - own if not is_docker_bridge(n))
        if by_name:
            why = f"a probe comes in by {PROBE_LINK}, so they do not meet it"
            yield NotTried(f"rules of others for {listed(by_name)}", why)

    def _why_not(self, way: Way) -> str:
        """Return why nobody can try this way; empty where that can be done."""
        if way.path in _WHY_NOT:
            return _WHY_NOT[way.path]
        if way.route is None or not way.known:
            return way.remark or "no packet of this host gets there"
        packet = way.route.packet
        if packet.protocol not in ("tcp", "udp"):
            return "a probe sends TCP and UDP alone"
        if packet.host_port is not None and packet.host_port[0] not in self._host.facts.addresses:
            return "this host has no such address"
        return ""

    def _try(self, caller: Caller, way: Way) -> Try | str:
        """Return the try, or why there is none."""
        if way.route is None:
            return ""
        packet = way.route.packet
        address, number = packet.host_port or (packet.destination, packet.port)
        protocol: Literal["tcp", "udp"] = "udp" if packet.protocol == "udp" else "tcp"
        if self._judge is None:
            expected = self._by_policy(caller, way, f"{bracketed(address)}:{number}/{protocol}")
        else:
            expected = self._by_audit(self._judge, caller, way)
        if isinstance(expected, str):
            return expected
        allowed, reason = expected
        knock = Knock(caller.address, protocol, address, number, _OPEN if allowed else _CLOSED)
        return Try(caller.whom, way, knock, allowed, reason)

    def _by_policy(self, caller: Caller, way: Way, to: str) -> tuple[bool, str] | str:
        """Return what has to come of it, and by which line; or why that cannot be said."""
        explained = self._explainer.explain(f"{caller.address}@{PROBE_LINK}", to)
        if explained.verdict == "mixed":
            return "dockerfw explain has two answers: NAT of others decides"
        if way.path == "host network" and _is_nobodys(explained):
            return "no rule names that port, so it is the host's own"
        allowed = explained.verdict == "allowed" or explained.observing
        return allowed, explained.rows[0].reason

    @staticmethod
    def _by_audit(judge: Judge, caller: Caller, way: Way) -> tuple[bool, str] | str:
        """Return the same where no policy is in force."""
        answer = judge.answer(way, Stranger((PROBE_LINK,), caller.address))
        if answer.gets_in is None:
            return f"dockerfw audit does not know {answer.reason}"
        return answer.gets_in, answer.reason

    def _ways(self, target: str | None) -> list[Way]:
        """Return the ways to the target: a container, or anything that `explain` takes.

        Raises `UsageError`.
        """
        ways = list(ways_in(self._host))
        if target is None:
            return ways
        any_port = ":" not in target
        parsed = self._explainer.reader.target(f"{target}:1" if any_port else target)
        ways = [way for way in ways if _leads_to(way, parsed, self._host.inventory)]
        if any_port or parsed.host_port:
            return ways
        listed_there = [way for way in ways if not way.ports.others]
        exactly = [way for way in listed_there if way.ports.holds(parsed.protocol, parsed.port)]
        return exactly or [way for way in ways if way.ports.others and _is_of(way, parsed.protocol)]


def _leads_to(way: Way, target: ParsedTarget, inventory: Inventory) -> bool:
    """Return True if a way leads to the target, by whatever port if that is a container's."""
    if target.host_port:
        host = way.host_ports or (way.ports.ranges[0] if way.path == "host network" else None)
        return host is not None and (
            host.protocol == target.protocol and host.first <= target.port <= host.last
        )
    if target.container is not None:
        return inventory.network_owner(target.container).id == way.container.id
    return way.at == target.address


def _is_of(way: Way, protocol: str) -> bool:
    """Return True if a way to all other ports is one to those of the protocol."""
    protocols = {one.protocol for one in way.ports.ranges if not one.first and one.several}
    return not protocols or protocol in protocols


def _with_probe(facts: HostFacts, callers: Iterable[Caller]) -> HostFacts:
    """Return the facts as they are while the probe is there: its sources are behind its link."""
    routes = tuple(Route(ip_network(caller.address), PROBE_LINK) for caller in callers)
    # Where no route of this host is known, one of the probe's would be taken for all there are.
    return replace(facts, routes=(*facts.routes, *routes)) if facts.routes else facts


def _is_nobodys(explained: Explanation) -> bool:
    return all(row.reason.startswith("allowed: no rule guards") for row in explained.rows)


def _named(way: Way) -> str:
    return f"{target_words(way)} {way_words(way)}".rstrip()
