"""Every port of every container, a row each: whom it is open to, how much passed, how much not.

Pure. Takes a policy, what runs, and the traffic that was counted; gives `Access` rows, ready to
print. What is open is asked of `Exposures`, as the journal asks it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from dockerfw.model.inventory import Container, Inventory
from dockerfw.model.net import Address
from dockerfw.model.policy import Policy
from dockerfw.report.exposure import Exposure, Exposures, HostPort
from dockerfw.report.exposure_text import port_texts, who_text
from dockerfw.report.labels import host_port_text
from dockerfw.report.open_ports import EVERY_PORT, NO_PORTS, Ports, Range, joined
from dockerfw.report.port_documents import host_ports_document, ports_document
from dockerfw.report.traffic import NOWHERE, Traffic, TrafficPlace
from dockerfw.text import bracketed, iso_moment, listed, printable

NOBODY = "nobody"
THIS_HOST = "this host"
ANYONE = "anyone"
ANY_PORT = "any port"
"""Of a row with what is counted for a container alone, by whatever way it came."""
EVERY = Ports((EVERY_PORT,))


@dataclass(frozen=True, slots=True)
class Access:
    """One port, or some in a row. ``host_port`` is empty for the container's own address alone.

    ``passed`` and ``denied`` are packets since the sets were made, ``denied_last`` is when the last
    one was denied (Unix time; None: none is recorded). ``ports`` and, at ``address`` of this host,
    ``host_ports`` are the same ports as values.
    """

    container: str
    port: str
    host_port: str
    open_to: str
    passed: int = 0
    denied: int = 0
    ports: Ports = field(default=NO_PORTS, compare=False)
    host_ports: tuple[Range, ...] = field(default=(), compare=False)
    address: Address | None = field(default=None, compare=False)
    denied_last: float | None = None

    def to_json(self) -> dict[str, object]:
        return {
            "container": self.container,
            "port": self.port,
            "ports": ports_document(self.ports),
            "host_ports": host_ports_document(self.host_ports, self.address),
            "open_to": self.open_to,
            "passed": self.passed,
            "denied": self.denied,
            "denied_last": None if self.denied_last is None else iso_moment(self.denied_last),
        }


def access_by_policy(
    policy: Policy, inventory: Inventory, allowed: Iterable[Traffic], denied: Iterable[Traffic]
) -> tuple[Access, ...]:
    """Return a row for each port that is published, that a rule opens or that was asked for."""
    exposures = Exposures(policy)
    counts = _Counts(allowed, denied)
    rows: list[Access] = []
    for container in sorted(inventory.containers, key=lambda c: c.name):
        if inventory.network_owner(container).id == container.id:
            rows += _of_container(exposures.of(inventory, container), container, inventory, counts)
    return (*rows, *counts.rest())


def access_without_policy(inventory: Inventory) -> tuple[Access, ...]:
    """Return a row for each published port where nothing of dockerfw stands."""
    rows = dict.fromkeys(
        Access(
            printable(container.name),
            str(Range(b.protocol, b.container_port, b.container_port)),
            _at_host(
                None if b.wildcard else b.host_address, Range(b.protocol, b.host_port, b.host_port)
            ),
            THIS_HOST if b.host_address.is_loopback else ANYONE,
            ports=Ports((Range(b.protocol, b.container_port, b.container_port),)),
            host_ports=(Range(b.protocol, b.host_port, b.host_port),),
            address=None if b.wildcard else b.host_address,
        )
        for container in sorted(inventory.containers, key=lambda c: c.name)
        for b in container.ports
    )
    return tuple(rows)


class _Counts:
    """The packets of each target, each to be taken once."""

    def __init__(self, allowed: Iterable[Traffic], denied: Iterable[Traffic]) -> None:
        self._packets: dict[tuple[str, str, str], list[int]] = {}
        self._places: dict[tuple[str, str, str], TrafficPlace] = {}
        for place, rows in enumerate((allowed, denied)):
            for one in rows:
                key = (one.container, one.port, one.host_port)
                held = self._packets.setdefault(key, [0, 0])
                held[place] += one.packets
                self._places[key] = one.place

    def take(self, container: str, port: str, host_port: str = "") -> tuple[int, int]:
        passed, denied = self._packets.pop((container, port, host_port), (0, 0))
        return passed, denied

    def rest(self) -> Iterator[Access]:
        """Yield what no port of now was about."""
        for (container, port, host_port), (passed, denied) in sorted(self._packets.items()):
            if passed or denied:
                short = host_port.removeprefix("host port").removeprefix("s").strip()
                where = port or ("" if host_port else ANY_PORT)
                at = self._places.get((container, port, host_port), NOWHERE)
                own = EVERY if where == ANY_PORT else at.ports
                yield Access(container, where, short, "", passed, denied, own, *at[1:])


def _of_container(
    exposure: Exposure, container: Container, inventory: Inventory, counts: _Counts
) -> Iterator[Access]:
    together = inventory.sharing_network_with(container)
    name = " + ".join(sorted(printable(c.name) for c in together))
    found = [*_by_host_port(exposure, name, counts), *_directly(exposure, name, counts)]
    if inventory.on_host_network(container):
        others = Ports(EVERY.ranges, others=True)
        found.append(Access(name, "other ports", "", "not guarded: the host's own", ports=others))
    elif not found and not exposure.endpoints:
        found.append(Access(name, "", "", "not filtered here"))
    elif not found:
        found.append(Access(name, "all ports", "", NOBODY, ports=EVERY))
    passed, denied = counts.take(name, "")
    if passed or denied:
        found.append(Access(name, ANY_PORT, "", "", passed, denied, EVERY))
    yield from found


class _Alike(NamedTuple):
    """What ports of this host must share to be in one row. ``shift`` leads to the container's own
    number; None: the port is the container's own.
    """

    who: str
    address: Address | None
    protocol: str
    shift: int | None


def _by_host_port(exposure: Exposure, name: str, counts: _Counts) -> Iterator[Access]:
    """Yield ports of this host; those in a row that are open to the same are one."""
    groups: dict[_Alike, list[HostPort]] = {}
    for port, openings in exposure.host_ports.items():
        who = ", ".join(dict.fromkeys(who_text(opening, exposure) for opening in openings))
        if port.address is not None and port.address.is_loopback:
            who = THIS_HOST
        own = port.container_port
        shift = None if own is None else own - port.port.number
        alike = _Alike(who or NOBODY, port.address, port.port.protocol, shift)
        groups.setdefault(alike, []).append(port)
    for alike, ports in groups.items():
        for one in joined(Range(alike.protocol, p.port.number, p.port.number) for p in ports):
            mine = [p for p in ports if one.first <= p.port.number <= one.last]
            shift = alike.shift or 0
            own_ports = one._replace(first=one.first + shift, last=one.last + shift)
            passed, denied = _packets(mine, name, counts)
            at = _at_host(alike.address, one)
            values = (Ports((own_ports,)), (one,), alike.address)
            yield Access(name, str(own_ports), at, alike.who, passed, denied, *values)


def _packets(ports: Iterable[HostPort], name: str, counts: _Counts) -> tuple[int, int]:
    """Return what passed and was denied at these ports, and directly at those they lead to."""
    found = []
    for port in ports:
        one = Range(port.port.protocol, port.port.number, port.port.number)
        own = port.port.number if port.container_port is None else port.container_port
        inner = str(one._replace(first=own, last=own))
        found.append(counts.take(name, inner, host_port_text(port.address, [one])))
        found.append(counts.take(name, inner))
    return sum(passed for passed, _ in found), sum(denied for _, denied in found)


def _directly(exposure: Exposure, name: str, counts: _Counts) -> Iterator[Access]:
    """Yield ports of the container's own addresses that no port of this host stands for."""
    shown = {
        Range(port.port.protocol, port.container_port, port.container_port)
        for port in exposure.host_ports
        if port.container_port is not None and exposure.as_its_own(port)
    }
    who: dict[str, dict[str, None]] = {}
    values: dict[str, Ports] = {}
    for opening in exposure.openings:
        ports = opening.ports
        if not ports.others:
            ports = Ports(tuple(one for one in ports.ranges if one not in shown))
        called = port_texts(ports)
        if ports.others:
            text = f"all but {listed(called)}" if ports.ranges else called[0]
            texts = {text: ports}
        else:
            ranges = zip(called, ports.ranges, strict=True)
            texts = {text: Ports((one,)) for text, one in ranges}
        values |= texts
        for text in texts:
            who.setdefault(text, {})[who_text(opening, exposure)] = None
    for text, words in who.items():
        passed, denied = counts.take(name, "icmp" if text == "ping" else text)
        yield Access(name, text, "", ", ".join(words), passed, denied, values[text])


def _at_host(address: Address | None, ports: Range) -> str:
    """Return ports of this host without their protocol, which stands beside them."""
    numbers = str(ports.first) if ports.first == ports.last else f"{ports.first}-{ports.last}"
    return numbers if address is None else f"{bracketed(address)}:{numbers}"
