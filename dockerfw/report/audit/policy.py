"""What the policy in force makes of a way in: to whom it opens it, and by which line.

Takes a policy, an inventory and facts of the host; gives an `Allowed` for each `Way`. Pure. The
verdict on a stranger is that of ``explain``, who else may come in is asked of `Exposures`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_network

from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Container, Inventory
from dockerfw.model.net import Address, Family, Port
from dockerfw.model.policy import Policy
from dockerfw.report.audit.way import Way
from dockerfw.report.explain.reasons import Reasons
from dockerfw.report.exposure import Exposure, Exposures, HostOpening, Opening
from dockerfw.report.open_ports import Range
from dockerfw.text import listed, moment, printable


@dataclass(frozen=True, slots=True)
class Allowed:
    """``anyone``: whom no line of the policy names gets in, ``but`` some. Else ``who`` are those
    whom it names, in its words; empty where it lets in nobody. ``reason`` is the line that decides.
    """

    anyone: bool
    who: str
    reason: str
    but: str = ""


class PolicyJudge:
    """Judges by the policy; what it opens of a container is worked out once, for all its ways."""

    def __init__(self, policy: Policy, inventory: Inventory, facts: HostFacts) -> None:
        self._policy = policy
        self._inventory = inventory
        self._reasons = Reasons(policy, inventory, facts, facts.addresses)
        self._exposures = Exposures(policy)
        self._of: dict[str, Exposure] = {}

    def addresses(self) -> frozenset[Address]:
        """Return the addresses of this host of which a line of the policy speaks apart."""
        return frozenset(
            spec.address
            for statement in self._policy.statements
            for spec in statement.published
            if spec.address is not None
        )

    def opened(self, container: Container) -> tuple[Range, ...]:
        """Return the ports of its own addresses that a line of the policy is about."""
        exposure = self._exposure(container)
        return tuple(
            dict.fromkeys(one for opening in exposure.openings for one in opening.ports.ranges)
        )

    def allowed(self, way: Way) -> Allowed | None:
        """Return what the policy makes of it; None: it is not about such ways."""
        if way.route is None:
            return None
        decision = self._reasons.decide(way.route)
        openings = [o for o in self._openings(way) if way.family in o.left.families]
        words = dict.fromkeys(_words(opening, way.family) for opening in openings)
        who = listed([text for text in words if text])
        if decision.allowed:
            but = dict.fromkeys(
                word for o in openings for word in o.left.excepting if _may_be(word, way.family)
            )
            return Allowed(True, who, decision.reason, listed([printable(word) for word in but]))
        lines = [self._origin(opening) for opening in openings]
        reason = f"allowed by {listed(list(dict.fromkeys(lines)))}" if lines else decision.reason
        return Allowed(False, who, reason)

    def _openings(self, way: Way) -> Iterator[Opening | HostOpening]:
        exposure = self._exposure(way.container)
        route = way.route
        if route is None:
            return
        if route.packet.host_port is None:
            here = route.packet.destination
            for opening in exposure.openings:
                at_home = any(here in endpoint.addresses for endpoint in opening.at)
                if at_home and opening.ports.holds(route.packet.protocol, route.packet.port):
                    yield opening
            return
        address, number = route.packet.host_port
        port = Port(route.packet.protocol, number)
        for host_port, openings in exposure.host_ports.items():
            if host_port.port == port and host_port.address in (None, address):
                yield from openings

    def _exposure(self, container: Container) -> Exposure:
        if container.id not in self._of:
            self._of[container.id] = self._exposures.of(self._inventory, container)
        return self._of[container.id]

    def _origin(self, opening: Opening | HostOpening) -> str:
        if opening.rule is None:
            return "the baseline"
        return str(self._policy.allows[opening.rule].origin)


def _words(opening: Opening | HostOpening, family: Family) -> str:
    left = opening.left
    text = listed([printable(word) for word in left.words if _may_be(word, family)])
    if left.until is not None:
        text += f" until {moment(left.until.timestamp())}"
    but = [printable(word) for word in left.excepting if _may_be(word, family)]
    return f"{text} but not {listed(but)}" if but else text


def _may_be(word: str, family: Family) -> bool:
    """Return False for an address, or a network, of the other family."""
    try:
        return ip_network(word, strict=False).version == family
    except ValueError:
        return True
