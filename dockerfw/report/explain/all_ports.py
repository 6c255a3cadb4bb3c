"""A target without a port: all the ports that its container publishes, or that rules name. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal

from dockerfw.exit_status import ExitStatus
from dockerfw.model.inventory import Container, Inventory
from dockerfw.model.policy import Policy, PortKeyword, PortRange
from dockerfw.report.explain.explanation import (
    NOT_IN_FORCE,
    OBSERVING,
    Explanation,
    as_observed,
)
from dockerfw.report.tables import table
from dockerfw.text import paragraph, printable, short_port


@dataclass(frozen=True, slots=True)
class PortList:
    """The answers for each port of ``target``, which was asked for without one."""

    source: str
    target: str
    answers: tuple[Explanation, ...]

    @property
    def verdict(self) -> Literal["allowed", "denied", "mixed"]:
        verdicts = {answer.verdict for answer in self.answers}
        return verdicts.pop() if len(verdicts) == 1 else "mixed"

    @property
    def exit_status(self) -> ExitStatus:
        """OK: all ports are allowed on all paths; NO: none is on any; MIXED: some are."""
        statuses = {answer.exit_status for answer in self.answers}
        return statuses.pop() if len(statuses) == 1 else ExitStatus.MIXED

    def to_json(self) -> dict[str, object]:
        """``ports`` has the document of each port."""
        first = self.answers[0]
        return {
            "source": self.source,
            "target": self.target,
            "observing": first.observing,
            "in_force": first.in_force,
            "verdict": self.verdict,
            "ports": [answer.to_json() for answer in self.answers],
        }

    def lines(self, width: int = 80) -> tuple[str, ...]:
        """Return a line for each port, and how to ask for one."""
        first = self.answers[0]
        found: list[str] = []
        for remark in (OBSERVING,) * first.observing + (NOT_IN_FORCE,) * (not first.in_force):
            found += paragraph(remark, width=width, rest="  ")
        allowed = sum(answer.verdict == "allowed" for answer in self.answers)
        would = "would be " if first.observing else ""
        number = f"{allowed} of {len(self.answers)} ports {would}allowed"
        head = f"{self.source} → {self.target}: {number}"
        found += paragraph(printable(head), width=width, rest="  ")
        rows = [(_port(answer.target), printable(_why(answer))) for answer in self.answers]
        found += table(rows, width=width)
        one = f"path by path: dockerfw explain {self.source} {first.target}"
        return (*found, *paragraph(printable(one), width=width, rest="  "))


def _port(target: str) -> str:
    return printable(target.rpartition(":")[2])


def _why(answer: Explanation) -> str:
    reasons = {row.reason for row in answer.rows}
    if len(reasons) > 1 or any(row.refused for row in answer.rows):
        return answer.words
    return as_observed(reasons.pop()) if answer.observing else reasons.pop()


def targets_of(target: str, policy: Policy, inventory: Inventory) -> tuple[str, ...]:
    """Return the target with each of its ports; none where it has a port, or is no container."""
    word = target.removeprefix("container:").removeprefix("/")
    container = next((c for c in inventory.containers if c.name == word), None)
    if container is None:
        container = _at(word, inventory)
    if container is None:
        return ()
    host = f"[{word}]" if ":" in word else word
    ports = dict.fromkeys(sorted(set(_ports(container, policy, inventory))))
    return tuple(
        f"{host}:{'icmp' if protocol == 'icmp' else short_port(number, protocol)}"
        for number, protocol in ports
    )


def _at(word: str, inventory: Inventory) -> Container | None:
    try:
        address = ip_address(word)
    except ValueError:
        return None
    for container in inventory.containers:
        if any(address in endpoint.addresses for endpoint in inventory.endpoints(container)):
            return container
    return None


def _ports(container: Container, policy: Policy, inventory: Inventory) -> Iterator[tuple[int, str]]:
    """Yield number and protocol; of a range that a rule names the first one."""
    for binding in inventory.published(container):
        yield binding.container_port, binding.protocol
    for protocol, number in inventory.network_owner(container).routed:
        yield number, protocol
    for rule in policy.statements:
        if rule.to and any(c.id == container.id for c, _ in inventory.select(rule.to)):
            for spec in rule.ports:
                if isinstance(spec, PortRange):
                    yield spec.first, spec.protocol
                elif spec is PortKeyword.ICMP:
                    yield 0, "icmp"
