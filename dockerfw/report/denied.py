"""Who was denied lately, by names, and the lines of a policy that would let them in.

Pure. Takes `Denial`s that others read, the policy in force and what runs; gives `Row`s. The verdict
of now is asked of `explain`: the policy may be another one than when a packet was denied.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from dockerfw.errors import UsageError
from dockerfw.model.denial import Denial
from dockerfw.model.host import HostFacts
from dockerfw.model.intervals import Intervals, interval_of
from dockerfw.model.inventory import Container, Inventory
from dockerfw.model.net import Address, IPNetwork, Port, family_of
from dockerfw.model.policy import Policy, outside_networks
from dockerfw.report.explain.explainer import Explainer
from dockerfw.report.explain.reader import network_of
from dockerfw.report.explain.reasons import NOTHING_ALLOWS
from dockerfw.report.explain.remedy import lines_for, word_for
from dockerfw.report.labels import Labels
from dockerfw.text import bracketed, network_text, port_text, printable, short_port

Sort: TypeAlias = Literal["newest", "noisiest"]
ALLOWED_NOW = "the policy allows it now"
GONE = "no container has this address now"
_BY_PORT = ("tcp", "udp", "sctp", "icmp")


@dataclass(frozen=True, slots=True)
class Row:
    """What was denied from one source to one port, and what becomes of it now.

    names      of the source: a container, or the lists of ``[sources]`` that it is in
    container  what people call it; empty where no container can be named
    port       the container's; where that is not known, the host's
    host_port  of this host, where docker-proxy or the host's network was asked; else empty
    own        the port of the container, where that is known
    reason     of a denial of now: the line that denies it, or that nothing allows it; empty where
               that was not asked
    remedy     the lines of an ``[[allow]]`` that would let it in; none where none would
    """

    denial: Denial
    names: tuple[str, ...]
    container: str
    port: str
    host_port: str
    reason: str = ""
    remedy: tuple[str, ...] = ()
    own: Port | None = field(default=None, compare=False)

    @property
    def text(self) -> str:
        """From whom to what, in words."""
        address = network_text(self.denial.source)
        who = f"{', '.join(self.names)} ({address})" if self.names else address
        return f"{who} → {self._target}"

    @property
    def _target(self) -> str:
        if not self.container:
            where = bracketed(self.denial.destination)
            return f"{where}:{self.host_port or self.port}"
        by = f" (host port {self.denial.port.number})" if self.host_port else ""
        return f"{self.container}:{self.port}{by}"


def since(denials: Iterable[Denial], moment: float, sort: Sort) -> tuple[Denial, ...]:
    """Return those that were denied since that Unix time, in that order."""

    def key(denial: Denial) -> tuple[float, float]:
        number = float(denial.packets)
        return (denial.last, number) if sort == "newest" else (number, denial.last)

    recent = (denial for denial in denials if denial.last >= moment)
    return tuple(sorted(recent, key=key, reverse=True))


class Names:
    """Puts names to denials, by the lists of one policy and by what runs now."""

    def __init__(self, policy: Policy, inventory: Inventory) -> None:
        self._inventory = inventory
        self._labels = Labels(inventory)
        self._lists = {
            name: [network for source in sources for network in outside_networks(source)]
            for name, sources in policy.named
        }
        self._intervals: dict[tuple[str, int], Intervals] = {}

    def row(self, denial: Denial) -> Row:
        """Return the denial with its names alone."""
        names = self._names(denial.source)
        at, port = self.at(denial), denial.port
        if network_of(self._inventory, denial.destination) is not None:
            name = "" if at is None else self._labels.label_at(denial.destination)
            return Row(denial, names, name, _port(port), "", own=port)
        name, own = self._behind(denial) if at is None else (printable(at.name), port)
        return Row(denial, names, name, _port(own or port), _port(port), own=own)

    def at(self, denial: Denial) -> Container | None:
        """Return the container that packets were for; None where they were for a host port that
        Docker publishes, or for nobody who is there now.
        """
        if network_of(self._inventory, denial.destination) is None:
            return self._host_network(denial)
        return self._at(denial.destination)

    def _host_network(self, denial: Denial) -> Container | None:
        """Return the one container on the host's network, where nobody publishes that port."""
        inventory = self._inventory
        alone = [c for c in inventory.containers if inventory.on_host_network(c)]
        return alone[0] if len(alone) == 1 and not self._published(denial) else None

    def _published(self, denial: Denial) -> tuple[tuple[str, int], ...]:
        family = family_of(denial.destination)
        return self._labels.behind(denial.destination, family, denial.port)

    def _at(self, address: Address) -> Container | None:
        for container in self._inventory.containers:
            if any(address in endpoint.addresses for endpoint in container.endpoints):
                return container
        return None

    def _behind(self, denial: Denial) -> tuple[str, Port | None]:
        """Return what people call those behind a host port, and the container's port, where it is
        one.
        """
        found = self._published(denial)
        if len(found) == 1:
            name, number = found[0]
            return name, Port(denial.port.protocol, number)
        return ", ".join(name for name, _ in found), None

    def _names(self, source: IPNetwork) -> tuple[str, ...]:
        container = self._labels.at(source.network_address)
        if source.prefixlen == source.max_prefixlen and container:
            return (" + ".join(container),)
        inside = network_of(self._inventory, source.network_address)
        if inside is not None:
            return (f"network {printable(inside.name)}",)
        return tuple(name for name in self._lists if self._holds(name, source))

    def _holds(self, name: str, source: IPNetwork) -> bool:
        key = (name, source.version)
        if key not in self._intervals:
            alike = (n for n in self._lists[name] if n.version == source.version)
            self._intervals[key] = Intervals(map(interval_of, alike))
        return self._intervals[key].holds(interval_of(source))


class Reader:
    """Puts names to denials, and asks the policy of now about them."""

    def __init__(self, policy: Policy, inventory: Inventory, facts: HostFacts) -> None:
        self._inventory = inventory
        self._names = Names(policy, inventory)
        self._explainer = Explainer(policy, inventory, facts)

    def row(self, denial: Denial) -> Row:
        """Return the denial with its names, and what the policy of now says of it."""
        row = self._names.row(denial)
        reason, remedy = self._now(row, self._names.at(denial))
        return replace(row, reason=reason, remedy=remedy)

    def _now(self, row: Row, at: Container | None) -> tuple[str, tuple[str, ...]]:
        """Return why it is denied now, and what would allow it."""
        denial, port = row.denial, row.denial.port
        if port.protocol not in _BY_PORT:
            return f"{NOTHING_ALLOWS}, and only `all` would", ()
        if at is None and not row.host_port:
            return GONE, ()
        where = "" if at is None else at.name
        number = "icmp" if port.protocol == "icmp" else short_port(port.number, port.protocol)
        source, target = self._word(denial.source), f"{where}:{number}"
        try:
            rows = self._explainer.explain(source, target).rows
        except UsageError as error:
            return str(error), ()
        denied = [row.reason for row in rows if not row.allowed]
        if not denied:
            return ALLOWED_NOW, ()
        if NOTHING_ALLOWS not in denied:
            return denied[0], ()
        return NOTHING_ALLOWS, self._remedy(denial.source, source, target)

    def _word(self, source: IPNetwork) -> str:
        """Return one address of the source as a question to `explain`. What was not spoofed came in
        on its own bridge.
        """
        inside = network_of(self._inventory, source.network_address)
        at = f"@{inside.bridge}" if inside is not None else ""
        return f"{source.network_address}{at}"

    def _remedy(self, source: IPNetwork, word: str, target: str) -> tuple[str, ...]:
        reader, inventory = self._explainer.reader, self._inventory
        inside = network_of(inventory, source.network_address)
        who: str | None
        if source.prefixlen < source.max_prefixlen:
            who = str(source) if inside is None else f"network:{inside.name}"
        else:
            who = word_for(word, reader.source(word), inventory)
        what = lines_for(reader.target(target), inventory)
        return ("[[allow]]", *what, f'from  = ["{who}"]') if who is not None and what else ()


def packets(denials: Sequence[Denial]) -> int:
    return sum(denial.packets for denial in denials)


def sources(denials: Sequence[Denial]) -> int:
    return len({denial.source for denial in denials})


def _port(port: Port) -> str:
    return port_text(port.protocol, port.number, port.number)
