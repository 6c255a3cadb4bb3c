"""Who was denied lately, by the names of now.

Pure. Takes `Denial`s that others read, the policy in force and what runs; gives `Row`s. What the
policy of now makes of them is for ``report/let_in.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from types import MappingProxyType
from typing import Literal, TypeAlias

from dockerfw.model.denial import Denial
from dockerfw.model.host import HostFacts
from dockerfw.model.intervals import Intervals, interval_of
from dockerfw.model.inventory import Container, Inventory
from dockerfw.model.net import Address, IPNetwork, Port, family_of
from dockerfw.model.policy import Policy, outside_networks
from dockerfw.report.explain.reader import network_of
from dockerfw.report.labels import Labels
from dockerfw.text import bracketed, network_text, port_text, printable

Sort: TypeAlias = Literal["newest", "noisiest"]
_TO_ALL = ip_address("255.255.255.255")
NOTHING_KNOWN = HostFacts()
NOT_ASKED: Mapping[str, float] = MappingProxyType({})
"""Since when containers run: of none it is known."""


@dataclass(frozen=True, slots=True)
class Row:
    """What was denied from one source to one port, and what becomes of it now.

    names      of the source: a container, or the lists of ``[sources]`` that it is in
    container  what people call it; empty where no container can be named
    port       the container's; where that is not known, the host's
    host_port  of this host, where docker-proxy or the host's network was asked; else empty
    own        the port of the container, where that is known
    reason     what the policy of now says of it, and why no rule is proposed; empty where that was
               not asked
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
    """Puts names to denials, by the lists of one policy, by what runs now and by this host."""

    def __init__(
        self,
        policy: Policy,
        inventory: Inventory,
        facts: HostFacts = NOTHING_KNOWN,
        started: Mapping[str, float] = NOT_ASKED,
    ) -> None:
        """``started`` has since when containers run, by id: Unix time."""
        self._inventory = inventory
        self._facts = facts
        self._started = started
        self._owners: dict[Address, Container] = {}
        for container in inventory.containers:
            for endpoint in container.endpoints:
                for address in endpoint.addresses:
                    self._owners.setdefault(address, container)
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
        if not self._to_this_host(denial):
            name = "" if at is None else self._labels.label_at(denial.destination)
            return Row(denial, names, name, _port(port), "", own=port)
        name, own = self._behind(denial) if at is None else (printable(at.name), port)
        return Row(denial, names, name, _port(own or port), _port(port), own=own)

    def at(self, denial: Denial) -> Container | None:
        """Return the container that packets were for; None where they were for a host port that
        Docker publishes, or for nobody who is there now.
        """
        if self._to_this_host(denial):
            return self._host_network(denial)
        return None if self.newcomer(denial) else self._owners.get(denial.destination)

    def newcomer(self, denial: Denial) -> Container | None:
        """Return the container that has the address now and was started after the denial: Docker
        gives addresses out anew with every start, so whose it was is not known.
        """
        at = self._owners.get(denial.destination)
        return at if at is not None and self._started.get(at.id, 0) > denial.last else None

    def known(self, denial: Denial) -> bool:
        """Return True if it was for this host, or for a container that ran then and runs now."""
        return self._to_this_host(denial) or self.at(denial) is not None

    def _to_this_host(self, denial: Denial) -> bool:
        """Return True if it was for an address of this host, or for all on a link of it: not for
        a container's, nor for what was one's in a network that is gone.
        """
        to, facts = denial.destination, self._facts
        if network_of(self._inventory, to) is not None:
            return to in facts.addresses
        if not facts.addresses or to in facts.addresses:
            return True
        to_all = to.is_multicast or to == _TO_ALL
        return to_all or any(to == route.network.broadcast_address for route in facts.routes)

    def _host_network(self, denial: Denial) -> Container | None:
        """Return the one container on the host's network, where nobody publishes that port."""
        inventory = self._inventory
        alone = [c for c in inventory.containers if inventory.on_host_network(c)]
        return alone[0] if len(alone) == 1 and not self._published(denial) else None

    def _published(self, denial: Denial) -> tuple[tuple[str, int], ...]:
        family = family_of(denial.destination)
        return self._labels.behind(denial.destination, family, denial.port)

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


def asked_for(denials: Iterable[Denial], inventory: Inventory) -> tuple[str, ...]:
    """Return the ids of the containers that have the addresses of denials now."""
    where = {denial.destination for denial in denials}
    return tuple(
        container.id
        for container in inventory.containers
        if any(where.intersection(endpoint.addresses) for endpoint in container.endpoints)
    )


def packets(denials: Sequence[Denial]) -> int:
    return sum(denial.packets for denial in denials)


def sources(denials: Sequence[Denial]) -> int:
    return len({denial.source for denial in denials})


def _port(port: Port) -> str:
    return port_text(port.protocol, port.number, port.number)
