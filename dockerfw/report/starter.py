"""What runs -> a first policy for it, as the text of a config.toml.

Pure. Everything is closed in it, and each container has the lines that would open it, commented
out; with ``keep_open`` they stand, for everybody, so that a policy begins where the host is now.
Never guesses who may come: that is what people add.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from dockerfw.model.denial import Denial
from dockerfw.model.docker_names import COMPOSE_PROJECT_LABEL, COMPOSE_SERVICE_LABEL
from dockerfw.model.inventory import Container, Inventory, PublishedPort
from dockerfw.model.net import Port
from dockerfw.model.policy import Mode
from dockerfw.text import (
    bracketed,
    listed,
    network_text,
    paragraph,
    port_list,
    printable,
    short_port,
)

_WIDTH = 80
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\Z")
"""What may stand in ``compose:`` without another meaning."""
_STORES = frozenset(
    {1433, 1521, 2379, 3306, 5432, 5984, 6379, 7687, 8086, 9042, 9200, 11211, 27017}
)
"""Ports at which data is kept, and which nobody opens to the world on purpose."""
_STRANGERS = tuple(map(IPv4Address, ("203.0.113.7", "198.51.100.7", "192.0.2.7")))
"""Of the networks for documentation: for expectations, somebody of whom no rule knows."""
_EXPECT = "[[expect]]"
_EXPECTED = (
    "A test of this policy, as is each block like it: were a rule to let a stranger in here,"
    " `dockerfw apply` would refuse the policy."
)
_NOT_FILTERED = "Not filtered here (macvlan, ipvlan, no network): no rule opens or closes it."


@dataclass(frozen=True, slots=True)
class _Group:
    """Containers that one word of ``to`` names."""

    word: str
    containers: tuple[Container, ...]


def beginning(inventory: Inventory) -> Mode:
    """Return the mode to begin with: where a port is published at more than loopback addresses,
    somebody may be using it.
    """
    ports = (port for container in inventory.containers for port in container.ports)
    return "enforce" if all(port.host_address.is_loopback for port in ports) else "observe"


def starter(
    inventory: Inventory, mode: Mode, *, keep_open: bool, seen: Sequence[Denial] = ()
) -> str:
    """Return the text of a policy for what runs; ends with a newline.

    ``seen`` is what no policy before this one allowed.
    """
    lines = [*_head(mode, keep_open=keep_open)]
    for group in _groups(inventory):
        lines += ["", *_section(group, inventory, seen, keep_open=keep_open)]
    if _EXPECT in lines:
        at = lines.index(_EXPECT)
        lines[at:at] = _comment(_EXPECTED)
    return "\n".join(lines) + "\n"


def _head(mode: Mode, *, keep_open: bool) -> Iterator[str]:
    when = ", once its mode is enforce" if mode == "observe" else ""
    yield from _comment(
        "A first policy for what runs on this host, written by `dockerfw init`. What nothing here"
        f" allows is denied{when}; containers reach each other as before."
    )
    if keep_open:
        yield from _comment(
            "Each published port is open to anyone, as it is now: narrow `from`, rule by rule."
        )
    else:
        yield from _comment(
            "No rule opens anything yet: take the # off those that you need, and say who may come."
        )
    yield from (
        "#",
        "#     dockerfw check        is it valid?",
        "#     dockerfw plan         which port would open or close to whom?",
        "#     dockerfw apply        put it in force",
        "",
        "[firewall]",
    )
    if mode == "observe":
        yield '# Judge, count and show everything, drop nothing. Then: mode = "enforce"'
    yield f'mode = "{mode}"'
    yield from (
        "",
        "# Lists with a name of their own, for use in `from`. Put your networks here.",
        "[sources]",
        '# office = ["198.51.100.0/24", "2001:db8:10::/48"]',
    )


def _section(
    group: _Group, inventory: Inventory, seen: Sequence[Denial], *, keep_open: bool
) -> Iterator[str]:
    names = sorted(printable(c.name) for c in group.containers)
    images = sorted({printable(c.image) for c in group.containers if c.image})
    title = listed(names) + (f" ({listed(images)})" if images else "")
    yield f"# --- {title} ---"
    if not any(inventory.endpoints(c) for c in group.containers):
        yield from _comment(_elsewhere(group, inventory))
        return
    published, routed = _published(group, inventory), _routed(group)
    for line in (*_today(published, routed), *_asked(group, inventory, published, seen)):
        yield from _comment(line)
    published = [port for port in published if not port.host_address.is_loopback]
    if keep_open:
        for rule in _kept(group.word, published, routed):
            yield from ("[[allow]]", *rule, 'from = ["any"]')
    elif published or routed:
        own = port_list(_own_ports(published, routed))
        rule = (
            "[[allow]]",
            f'to = "{group.word}"',
            f"ports = {own}",
            'from = ["office"]',
        )
        yield from (f"# {line}" for line in rule)
        yield from _expectations(group, published, inventory)


def _kept(
    word: str, published: Iterable[PublishedPort], routed: Iterable[Port]
) -> Iterator[tuple[str, ...]]:
    """Yield what each rule is about. A port that is published at one address of this host stays
    open there alone.
    """
    wide = _own_ports((p for p in published if p.wildcard), routed)
    if wide:
        yield f'to = "{word}"', f"ports = {port_list(wide)}"
    narrow = dict.fromkeys(_host_port(port) for port in published if not port.wildcard)
    if narrow:
        yield (f"published = {port_list(narrow)}",)


def _own_ports(published: Iterable[PublishedPort], routed: Iterable[Port]) -> list[str]:
    own = {Port(port.protocol, port.container_port) for port in published} | set(routed)
    return [short_port(port.number, port.protocol) for port in sorted(own)]


def _expectations(
    group: _Group, published: Iterable[PublishedPort], inventory: Inventory
) -> Iterator[str]:
    """Yield an expectation for each port at which data is kept; where a stranger has no address
    that is nobody's here, none.
    """
    subnets = [subnet for network in inventory.networks for subnet in network.subnets]
    free = (a for a in _STRANGERS if not any(a in s for s in subnets if s.version == a.version))
    stranger = next(free, None)
    stores = sorted({p.container_port for p in published if p.container_port in _STORES})
    if stranger is None:
        return
    for container in group.containers:
        if not inventory.endpoints(container):
            continue
        for port in stores:
            yield from (
                _EXPECT,
                f'from = "{stranger}"',
                f'to = "{container.name}:{port}"',
                'is = "denied"',
            )


# --- what is so today ----------------------------------------------------------------------------


def _groups(inventory: Inventory) -> list[_Group]:
    """Return the containers by the words that name them, in the order of these."""
    found: dict[str, list[Container]] = {}
    for container in inventory.containers:
        if inventory.network_owner(container).id == container.id:
            found.setdefault(_word(container), []).append(container)
    return [_Group(word, tuple(found[word])) for word in sorted(found)]


def _word(container: Container) -> str:
    project, service = map(container.label, (COMPOSE_PROJECT_LABEL, COMPOSE_SERVICE_LABEL))
    if project and service and _PLAIN_NAME.match(project) and _PLAIN_NAME.match(service):
        return f"compose:{project}/{service}"
    return container.name


def _published(group: _Group, inventory: Inventory) -> list[PublishedPort]:
    """Return what leads to these containers, each port and address once, in order."""
    found = {port for c in group.containers for port in inventory.published(c)}
    return sorted(found, key=lambda p: (p.protocol, p.container_port, p.host_port, str(p)))


def _routed(group: _Group) -> list[Port]:
    return sorted({Port(*routed) for c in group.containers for routed in c.routed})


def _today(published: Iterable[PublishedPort], routed: Iterable[Port]) -> list[str]:
    """Return a line for each port of the container."""
    places: dict[str, list[str]] = {}
    for port in published:
        places.setdefault(short_port(port.container_port, port.protocol), []).append(_place(port))
    for own in routed:
        places.setdefault(short_port(own.number, own.protocol), []).append(
            "its own address, open to anyone who is routed there"
        )
    lines = [f"Port {own}: {listed(list(dict.fromkeys(at)))}." for own, at in places.items()]
    return lines or ["Publishes no port."]


def _asked(
    group: _Group,
    inventory: Inventory,
    published: Iterable[PublishedPort],
    seen: Sequence[Denial],
) -> Iterator[str]:
    """Yield a line for each port at which somebody was denied lately: who, the noisiest first."""
    own = {a for c in group.containers for e in inventory.endpoints(c) for a in e.addresses}
    led_on = {Port(p.protocol, p.host_port): Port(p.protocol, p.container_port) for p in published}
    here = {a for c in inventory.containers for e in inventory.endpoints(c) for a in e.addresses}
    sources: dict[Port, dict[str, int]] = {}
    for denial in seen:
        direct = denial.destination in own
        port = denial.port if direct else led_on.get(denial.port)
        if port is not None and (direct or denial.destination not in here):
            who = sources.setdefault(port, {})
            source = network_text(denial.source)
            who[source] = who.get(source, 0) + denial.packets
    for port in sorted(sources):
        noisiest = sorted(sources[port], key=lambda source: -sources[port][source])
        number = "icmp" if port.protocol == "icmp" else short_port(port.number, port.protocol)
        yield f"Asked for {number} in the last day, and allowed by no rule: {listed(noisiest)}."


def _place(port: PublishedPort) -> str:
    if port.wildcard:
        return f"host port {short_port(port.host_port, port.protocol)}, open to anyone"
    if port.host_address.is_loopback:
        return f"{_host_port(port)}, for this host alone"
    return f"{_host_port(port)}, open to anyone who reaches that address"


def _host_port(port: PublishedPort) -> str:
    number = short_port(port.host_port, port.protocol)
    return number if port.wildcard else f"{bracketed(port.host_address)}:{number}"


def _elsewhere(group: _Group, inventory: Inventory) -> str:
    if all(map(inventory.on_host_network, group.containers)):
        return (
            "On this host's own network: dockerfw filters those of its ports that a rule names,"
            f' as with: to = "{group.word}", ports = [80].'
        )
    return _NOT_FILTERED


def _comment(text: str) -> list[str]:
    return paragraph(text, width=_WIDTH, first="# ", rest="# ")
