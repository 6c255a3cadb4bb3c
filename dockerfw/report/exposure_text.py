"""What is open of a container, in one sentence: ``80/tcp open to any; closed: 9000/tcp published as
9000``.

Pure. Puts an `Exposure` into words, and asks the policy nothing. Each clause holds by itself. Ports
of a container stand for the host ports that lead to them, too, but for those that are named.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from dockerfw.model.inventory import Container, Endpoint, Inventory, PublishedPort
from dockerfw.model.net import Address
from dockerfw.model.policy import Policy
from dockerfw.report.exposure import Exposure, Exposures, HostOpening, HostPort, Opening
from dockerfw.report.labels import host_port_text
from dockerfw.report.open_ports import Ports, Range, joined
from dockerfw.report.sources_left import Left
from dockerfw.text import bracketed, listed, port_text, printable

_Open: TypeAlias = tuple[Opening | HostOpening, HostPort | None]
"""Of a `HostOpening`, with the port that it is of."""
_PING = Range("icmp", 0, 0)


def closed_word(policy: Policy) -> str:
    """Return what is said of a port that the policy does not open."""
    return "would be closed" if policy.mode == "observe" else "closed"


def describe_exposure(exposures: Exposures, inventory: Inventory, container: Container) -> str:
    """Return the sentence; empty for a container that has nothing that is ours to close."""
    exposure = exposures.of(inventory, container)
    closed = closed_word(exposures.policy)
    if inventory.on_host_network(container):
        return _on_host(exposure, closed)
    if not exposure.host_ports and not inventory.endpoints(container):
        return ""
    clauses = _clauses(exposure)
    shut = listed(tuple(dict.fromkeys(map(_published_as, _closed(exposure)))))
    if not clauses:
        return f"{closed} ({shut})" if shut else closed
    return "; ".join([*clauses, f"{closed}: {shut}"] if shut else clauses)


def _on_host(exposure: Exposure, closed: str) -> str:
    """P8: there only the ports of rules that name this very container are guarded."""
    if not exposure.host_ports:
        return "not guarded, as no rule names its ports"
    clauses = _clauses(exposure)
    if not clauses:
        return f"what rules name is {closed}; other ports are not guarded"
    shut = listed(list(_host_texts(_closed(exposure))))
    if shut:
        clauses.append(f"{closed}: {shut}")
    return "; ".join([*clauses, "other ports are not guarded"])


def _closed(exposure: Exposure) -> list[HostPort]:
    return [port for port, openings in exposure.host_ports.items() if not openings]


def _clauses(exposure: Exposure) -> list[str]:
    """Return one clause for each group of sources, in the order of the rules."""
    apart = {port for port in exposure.host_ports if not exposure.as_its_own(port)}
    # What is said of a port at every address would seem to hold where nothing else is said.
    everywhere = {port.port for port in apart if port.address is None}
    named = [p for p in exposure.host_ports if p in apart or p.port in everywhere]
    openings: list[_Open] = [(opening, None) for opening in exposure.openings]
    openings += [(opening, port) for port in named for opening in exposure.host_ports[port]]
    groups: dict[str, list[_Open]] = {}
    for opening, port in sorted(openings, key=lambda o: -1 if o[0].rule is None else o[0].rule):
        groups.setdefault(who_text(opening, exposure), []).append((opening, port))
    return [f"{ports} open to {who}" for who, group in groups.items() for ports in _together(group)]


def _together(group: Iterable[_Open]) -> Iterator[str]:
    """Yield the ports of these openings; those with an exception by themselves."""
    texts: dict[str, None] = {}
    host_ports: list[HostPort] = []
    for opening, port in group:
        if port is not None:
            host_ports.append(port)
        elif isinstance(opening, Opening) and opening.ports.others and opening.ports.ranges:
            yield f"all ports except {listed(port_texts(opening.ports))}"
        elif isinstance(opening, Opening):
            texts |= dict.fromkeys(port_texts(opening.ports))
    texts |= dict.fromkeys(_host_texts(host_ports))
    if texts:
        yield listed(tuple(texts))


def port_texts(ports: Ports) -> list[str]:
    """Return ports of a container, a text for each in a row; what all others are is one text."""
    if ports.others and not ports.ranges:
        return ["all ports"]
    return ["ping" if one == _PING else str(one) for one in ports.ranges]


def _host_texts(ports: Iterable[HostPort]) -> Iterator[str]:
    """Yield ports of the host; one that is the container's own has no other name."""
    together: dict[tuple[bool, Address | None], list[Range]] = {}
    for one in ports:
        number = one.port.number
        held = together.setdefault((one.container_port is None, one.address), [])
        held.append(Range(one.port.protocol, number, number))
    for (own, address), ranges in together.items():
        for text in joined(ranges):
            if own:
                yield str(text) if address is None else f"{bracketed(address)}:{text}"
            else:
                yield host_port_text(address, [text])


def who_text(opening: Opening | HostOpening, exposure: Exposure) -> str:
    """Return the sources, in the words of their author, and what limits them."""
    left: Left = opening.left
    who = listed([printable(word) for word in left.words])
    if left.until:
        who += f" until {left.until:%Y-%m-%d %H:%M} UTC"
    if isinstance(opening, Opening) and opening.at != exposure.endpoints:
        who += f" at {listed(addresses_of(opening.at))}"
    if left.excepting:
        who += f" but not {listed([printable(word) for word in left.excepting])}"
    return who


def _published_as(port: HostPort) -> str:
    host = "" if port.address is None else f"{bracketed(port.address)}:"
    number = port.container_port or 0
    inner = port_text(port.port.protocol, number, number)
    return f"{inner} published as {host}{port.port.number}"


def published_text(bindings: Iterable[PublishedPort]) -> str:
    """``5432/tcp published as 5432``; both families of a wildcard binding are one."""
    found: dict[str, None] = {}
    for b in bindings:
        host = "" if b.wildcard else f"{bracketed(b.host_address)}:"
        port = port_text(b.protocol, b.container_port, b.container_port)
        found[f"{port} published as {host}{b.host_port}"] = None
    return listed(tuple(found))


def addresses_of(endpoints: Sequence[Endpoint]) -> list[str]:
    return [str(address) for endpoint in endpoints for address in endpoint.addresses]
