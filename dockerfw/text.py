"""What people read: tables for a terminal, numbers, and what addresses and ports are called.

Takes values and an `Inventory`, gives lines of text without a newline. Knows no command, prints
nothing, and asks the terminal nothing: the width is passed in.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timezone
from ipaddress import ip_network
from textwrap import wrap

from dockerfw.model.inventory import Inventory, PublishedPort
from dockerfw.model.net import Address, Family, IPNetwork, Port

LEAST_LAST_COLUMN = 24
"""A last column narrower than this is no column: its text goes to lines of its own."""


UNKNOWN_PROTOCOL = "?"
"""Where not even the protocol is known."""


def printable(text: str) -> str:
    """Text from outside, fit for a terminal: no escape sequence, no line break."""
    return "".join(c if c.isprintable() else "?" for c in text)


def table(
    rows: Sequence[Sequence[str]],
    *,
    width: int = 80,
    indent: str = "  ",
    right: Collection[int] = (),
) -> list[str]:
    """Rows of equally many cells, as lines of at most ``width`` where the words allow it.

    A column is as wide as its longest cell, up to what leaves the last one room; the last one is
    wrapped. ``right`` are the columns that are set flush right.

    >>> table([["+", "web 80/tcp", "opens to any"], ["-", "db", "closes"]])
    ['  + web 80/tcp  opens to any', '  - db          closes']
    """
    if not rows:
        return []
    room = width - len(indent) - LEAST_LAST_COLUMN
    columns = range(len(rows[0]) - 1)
    widths = [min(max(len(row[c]) for row in rows), room) for c in columns]
    return [line for row in rows for line in _row(row, widths, width, indent, right)]


def _row(
    row: Sequence[str], widths: Sequence[int], width: int, indent: str, right: Collection[int]
) -> list[str]:
    head = indent
    for column, size in enumerate(widths):
        cell = row[column].rjust(size) if column in right else row[column].ljust(size)
        head += cell + (" " if size == 1 else "  ")
    start = len(indent) + sum(size + (1 if size == 1 else 2) for size in widths)
    if len(head) > start or width - start < LEAST_LAST_COLUMN:
        deeper = indent + " " * 6
        return [head.rstrip(), *_wrapped(row[-1], deeper, deeper, width)]
    return _wrapped(row[-1], head, " " * start, width)


def _wrapped(text: str, first: str, rest: str, width: int) -> list[str]:
    lines = wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return lines or [first.rstrip()]


def paragraph(text: str, *, width: int = 80, first: str = "", rest: str = "") -> list[str]:
    """One sentence or more, wrapped; names and addresses are not torn."""
    return _wrapped(text, first, rest, width)


def listed(words: Sequence[str], limit: int = 4) -> str:
    """The first ``limit`` words, and how many there are besides.

    >>> listed(["a", "b", "c"], limit=2)
    'a, b and 1 more'
    """
    shown = ", ".join(words[:limit])
    more = len(words) - limit
    return f"{shown} and {more:,} more" if more > 0 else shown


def counted(number: int, singular: str, plural: str | None = None) -> str:
    """A number with its noun.

    >>> counted(1, "rule"), counted(1200, "entry", "entries")
    ('1 rule', '1,200 entries')
    """
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def moment(unix: float) -> str:
    """A Unix time for people, with seconds where there are any.

    >>> moment(1801353600), moment(1801353605)
    ('2027-01-31 00:00 UTC', '2027-01-31 00:00:05 UTC')
    """
    when = datetime.fromtimestamp(unix, timezone.utc)
    return when.strftime("%Y-%m-%d %H:%M:%S UTC" if when.second else "%Y-%m-%d %H:%M UTC")


def human_bytes(number: int) -> str:
    """In units of 1,024.

    >>> human_bytes(999), human_bytes(1536), human_bytes(5 * 2**30)
    ('999 B', '1.5 KiB', '5.0 GiB')
    """
    if number < 1024:
        return f"{number} B"
    size = float(number)
    for unit in ("KiB", "MiB", "GiB"):
        size /= 1024
        if size < 1024:
            return f"{size:.1f} {unit}"
    return f"{size / 1024:,.1f} TiB"


def network_text(network: IPNetwork) -> str:
    """A network, or the bare address of one host."""
    whole = network.prefixlen == network.max_prefixlen
    return str(network.network_address) if whole else str(network)


def port_text(protocol: str | None, first: int, last: int) -> str:
    """``80/tcp``, ``8000-8100/tcp``, ``icmp``; no protocol: ``all ports``."""
    if protocol is None:
        return "all ports"
    if protocol == UNKNOWN_PROTOCOL:
        return "some ports"
    if first == last:
        return f"{first}/{protocol}" if first else protocol
    return f"{first}-{last}/{protocol}"


class Labels:
    """What lives at an address, behind a host port or in a subnet, by the names people know."""

    def __init__(self, inventory: Inventory) -> None:
        self._at: dict[Address, list[str]] = {}
        self._behind: dict[tuple[Address | None, Family, Port], dict[int, list[str]]] = {}
        self.subnets: dict[IPNetwork, str] = {
            subnet: printable(n.name) for n in inventory.bridges() for subnet in n.subnets
        }
        for container in inventory.containers:
            name = printable(container.name)
            for endpoint in inventory.endpoints(container):
                for address in endpoint.addresses:
                    self._at.setdefault(address, []).append(name)
            for binding in inventory.published(container):
                self._publish(name, binding)
        self._members: dict[str, set[IPNetwork]] = {}
        for address in self._at:
            self._members.setdefault(self.label_at(address), set()).add(ip_network(address))
        for subnet, network in self.subnets.items():
            self._members.setdefault(_network_label(network), set()).add(subnet)

    def _publish(self, name: str, binding: PublishedPort) -> None:
        family: Family = 4 if binding.host_address.version == 4 else 6
        where = None if binding.wildcard else binding.host_address
        port = Port(binding.protocol, binding.host_port)
        # A rule for the port on whatever address covers a binding to one address as well.
        for bound in {where, None}:
            ports = self._behind.setdefault((bound, family, port), {})
            ports.setdefault(binding.container_port, []).append(name)

    def at(self, address: Address) -> tuple[str, ...]:
        """The containers at this address: several when they share one network namespace."""
        return tuple(sorted(set(self._at.get(address, ()))))

    def label_at(self, address: Address) -> str:
        """The containers at this address, else the address itself."""
        return " + ".join(self.at(address)) or str(address)

    def label(self, where: IPNetwork) -> str:
        """As `label_at`, for a network of one host; for a subnet the Docker network it is of."""
        if where.prefixlen == where.max_prefixlen:
            return self.label_at(where.network_address)
        return _network_label(self.subnets[where]) if where in self.subnets else str(where)

    def members(self, label: str) -> frozenset[IPNetwork]:
        """All addresses (of a network: subnets) that bear this label."""
        return frozenset(self._members.get(label, ()))

    @property
    def container_labels(self) -> frozenset[str]:
        """The labels of all containers that have an address of their own."""
        return frozenset(self.label_at(address) for address in self._at)

    @property
    def network_labels(self) -> frozenset[str]:
        """The labels of all Docker networks that have a subnet."""
        return frozenset(map(_network_label, self.subnets.values()))

    def behind(
        self, where: Address | None, family: Family, port: Port
    ) -> tuple[tuple[str, int], ...]:
        """The containers, and their ports, that a host port leads to.

        ``where`` None asks for all bindings of the port; one address for the bindings to it,
        and where it has none, for all.
        """
        found = self._behind.get((where, family, port)) or self._behind.get((None, family, port))
        ports = found or {}
        return tuple((" + ".join(sorted(set(n))), p) for p, n in sorted(ports.items()))


def _network_label(name: str) -> str:
    return f"network {name}"


def host_port_text(where: Address | None, ports: str) -> str:
    """``host port 8080/tcp``, ``host port [2001:db8::1]:443/tcp``, ``host ports 1-9/tcp``."""
    if ports == "all ports":
        return "every published port" if where is None else f"every published port of {where}"
    plural = "s" if "-" in ports.partition("/")[0] else ""
    if where is None:
        return f"host port{plural} {ports}"
    host = f"[{where}]" if where.version == 6 else str(where)
    return f"host port{plural} {host}:{ports}"


def behind_text(pairs: Iterable[tuple[str, int]]) -> str:
    """What a host port leads to, in brackets and after a space; nothing when that is unknown.

    >>> behind_text([("web", 80)]), behind_text([])
    (' (web:80)', '')
    """
    together = sorted(set(pairs))
    if not together:
        return ""
    if len(together) <= 2:
        return f" ({', '.join(f'{name}:{port}' for name, port in together)})"
    return f" ({listed(sorted({name for name, _ in together}), limit=3)})"
