"""Reads and writes dockerfw's ipsets (those named ``dockerfw-*``, no others).

Takes and gives entries in one canonical text, the one that ``ipset save`` prints on a host whose
``/etc/protocols`` names tcp, udp, udplite, sctp, icmp and ipv6-icmp; every other protocol is its
number. Knows no policy.

Facts tried with ipset 7.17, 7.22 and 7.24:

* ``add`` of an entry that stands, with ``-exist`` and no counters given, keeps its counters and
  clears a ``nomatch``; its timeout becomes the given one, or the set's default.
* ``del`` of a missing entry and ``destroy`` of a missing set are no errors with ``-exist``.
* ``create`` of a set that stands is no error with ``-exist`` when type, family, maxelem and
  extensions are the same.
* One ``ipset restore`` is *not* a transaction: what stands before a bad line may be there or not.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cache
from ipaddress import IPv6Address

from dockerfw.kernel.run import Runner, require
from dockerfw.kernelstate import SetState
from dockerfw.policy import IPNetwork
from dockerfw.ruleset import Element, Family, Port

PREFIX = "dockerfw-"
DEFAULT_MAXELEM = 65536

# Starting another ``ipset save`` costs about as much as dumping this many entries.
_ENTRIES_A_PROCESS = 500

_PROTOCOLS: Mapping[str, int] = {
    "icmp": 1, "tcp": 6, "udp": 17, "ipv6-icmp": 58, "sctp": 132, "udplite": 136,
}  # fmt: skip
_PROTOCOL_NAMES = {str(number): name for name, number in _PROTOCOLS.items()}
_WRITTEN_PROTOCOL = re.compile(r",(icmp|tcp|udp|ipv6-icmp|sctp|udplite):")
_NOMATCH = " nomatch"
_COUNTERS = re.compile(r" packets (\d+) bytes (\d+)")


def read(
    runner: Runner, headers_only: Callable[[str, int], bool] = lambda name, count: False
) -> dict[str, SetState]:
    """Our sets as they stand, by name.

    ``headers_only(name, count)`` names the sets whose entries need not be read (those named
    after their content); they come back with ``entries`` None. Raises `Failed`, also when the
    kernel has no ip_set.
    """
    states, foreign_entries = _headers(require(runner, ["ipset", "list", "-t"]))
    wanted = [s.name for s in states.values() if not headers_only(s.name, s.count)]
    filled = [name for name in wanted if states[name].count]
    unwanted = foreign_entries + sum(
        s.count for s in states.values() if s.name not in set(filled)
    )
    entries = {name: frozenset[str]() for name in wanted}
    for name, found in _dump(runner, filled, unwanted).items():
        entries[name] = frozenset(_canonical([_entry(line) for line in found], states[name].type))
    for name, found_entries in entries.items():
        states[name] = _with_entries(states[name], found_entries)
    return states


def counters(
    runner: Runner, names: Collection[str]
) -> dict[str, dict[str, tuple[int, int]]]:
    """Set name -> entry -> (packets, bytes), for the sets of ``names`` that exist."""
    states, foreign_entries = _headers(require(runner, ["ipset", "list", "-t"]))
    filled = [s.name for s in states.values() if s.name in set(names) and s.count]
    unwanted = foreign_entries + sum(s.count for s in states.values() if s.name not in filled)
    result: dict[str, dict[str, tuple[int, int]]] = {
        name: {} for name in names if name in states
    }
    for name, lines in _dump(runner, filled, unwanted).items():
        keys = _canonical([_entry(line) for line in lines], states[name].type)
        result[name] = dict(zip(keys, map(_count, lines), strict=True))
    return result


def commit(runner: Runner, lines: Iterable[str]) -> None:
    """Hand ``lines`` (``create``, ``add``, ``del``, ``destroy`` …) to one ``ipset restore -exist``.

    Lines are carried out in order, but not as a transaction. Raises `Failed` with the bad line.
    """
    text = "".join(f"{line}\n" for line in _plain_deletes(list(lines)))
    if not text:
        return
    if not _host_names_protocols():
        text = _WRITTEN_PROTOCOL.sub(lambda m: f",{_PROTOCOLS[m.group(1)]}:", text)
    require(runner, ["ipset", "restore", "-exist"], text, timeout=300)


def _plain_deletes(lines: list[str]) -> list[str]:
    """``ipset`` knows no ``del … nomatch``: a plain ``del`` takes the entry out, a plain ``add``
    makes it match again, and both together would leave nothing."""
    odd = {line for line in lines if line.startswith("del ") and line.endswith(_NOMATCH)}
    if not odd:
        return lines
    added = {line[4:] for line in lines if line.startswith("add ")}
    plain = {line: line.removesuffix(_NOMATCH) for line in odd}
    return [plain.get(line, line) for line in lines if plain.get(line, "")[4:] not in added]


def create_line(state: SetState, filled_by_packets: bool = False) -> str:
    """The ``create`` line for a set that shall hold ``state.count`` entries.

    Adding by ``ipset`` grows the hash table as needed, adding by packets (``-j SET``) cannot:
    ``filled_by_packets`` gives it room for ``maxelem`` from the start.
    """
    family = "inet" if state.family == 4 else "inet6"
    room = state.maxelem if filled_by_packets else state.count
    words = ["create", state.name, state.type, "family", family]
    words += ["hashsize", str(_power_of_two(room // 4, at_least=64))]
    words += ["maxelem", str(state.maxelem)]
    if state.timeout:
        words += ["timeout", "0"]
    if state.counters:
        words.append("counters")
    return " ".join(words)


def maxelem_for(count: int) -> int:
    """A limit that leaves a set of ``count`` entries room to double."""
    return _power_of_two(2 * count, at_least=DEFAULT_MAXELEM)


def entry_text(element: Element, family: Family) -> str:
    """An element as `read` gives it back: ``10.0.0.1,tcp:80,0.0.0.0/1``, ``2001:db8::/32,eth0``.

    >>> from ipaddress import ip_network
    >>> entry_text((ip_network("10.0.0.1/32"), Port("icmp", 0)), 4)
    '10.0.0.1,icmp:echo-request'
    """
    return ",".join(_part_text(part, family) for part in element)


def _part_text(part: IPNetwork | Port | str, family: Family) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, Port):
        return _port_text(part, family)
    if part.prefixlen == 0:
        raise ValueError(f"an ipset holds no /0: {part}")
    address = part.network_address
    text = _ipv6_text(address) if isinstance(address, IPv6Address) else str(address)
    return text if part.prefixlen == part.max_prefixlen else f"{text}/{part.prefixlen}"


def _ipv6_text(address: IPv6Address) -> str:
    # As the C library writes it: ::ffff:1.2.3.4, where Python has ::ffff:102:304.
    return socket.inet_ntop(socket.AF_INET6, address.packed)


def _port_text(port: Port, family: Family) -> str:
    if port.protocol == "icmp":
        return "icmp:echo-request" if family == 4 else "ipv6-icmp:echo-request"
    return f"{_PROTOCOL_NAMES.get(port.protocol, port.protocol)}:{port.number}"


def _power_of_two(number: int, at_least: int) -> int:
    return max(at_least, 1 << max(0, number - 1).bit_length())


def _headers(text: str) -> tuple[dict[str, SetState], int]:
    """Our sets without their entries, and how many entries all other sets have together."""
    states: dict[str, SetState] = {}
    foreign_entries = 0
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "Name" not in fields:
            continue
        count = int(fields.get("Number of entries", "0"))
        if not fields["Name"].startswith(PREFIX):
            foreign_entries += count
            continue
        states[fields["Name"]] = _header(fields, count)
    return states, foreign_entries


def _header(fields: Mapping[str, str], count: int) -> SetState:
    words = fields.get("Header", "").split()
    values = dict(zip(words, words[1:], strict=False))
    return SetState(
        name=fields["Name"],
        type=fields.get("Type", ""),
        family=6 if values.get("family") == "inet6" else 4,
        maxelem=int(values.get("maxelem", "0")),
        count=count,
        entries=None,
        counters="counters" in words,
        timeout="timeout" in words,
    )


def _with_entries(state: SetState, entries: frozenset[str]) -> SetState:
    return SetState(
        state.name,
        state.type,
        state.family,
        state.maxelem,
        len(entries),
        entries,
        state.counters,
        state.timeout,
    )


def _dump(runner: Runner, names: Collection[str], unwanted: int) -> dict[str, list[str]]:
    """The ``add`` lines of the sets ``names``, by the cheaper of two ways.

    One ``ipset save`` dumps every set of the host, ``unwanted`` entries too; one each costs a
    process each.
    """
    if not names:
        return {}
    if unwanted <= _ENTRIES_A_PROCESS * (len(names) - 1):
        texts: Iterator[str] = iter([require(runner, ["ipset", "save"])])
    else:
        texts = (require(runner, ["ipset", "save", name]) for name in names)
    found: dict[str, list[str]] = {name: [] for name in names}
    for text in texts:
        for line in text.split("\n"):
            if line.startswith("add "):
                name = line[4 : line.index(" ", 4)]
                if name in found:
                    found[name].append(line)
    return found


def _entry(line: str) -> str:
    """The entry of an ``add`` line; ``nomatch`` stays with it: only a hand writes that."""
    _, _, entry, *options = line.split(" ", 3)
    return f"{entry}{_NOMATCH}" if options and "nomatch" in options[0] else entry


def _count(line: str) -> tuple[int, int]:
    found = _COUNTERS.search(line)
    return (int(found.group(1)), int(found.group(2))) if found else (0, 0)


def _canonical(entries: list[str], set_type: str) -> list[str]:
    """The same entries with every protocol as we write it.

    ``ipset`` takes its names from ``/etc/protocols``: a host without one prints ``6:80``, one
    with one prints ``gre:0``.
    """
    if ",port" not in set_type:
        return entries
    written = {entry.split(",", 2)[1].partition(":")[0] for entry in entries}
    other = {name: _canonical_protocol(name) for name in written if name not in _PROTOCOLS}
    if not other:
        return entries
    return [_rename(entry, other) for entry in entries]


def _rename(entry: str, names: Mapping[str, str]) -> str:
    address, port, *rest = entry.split(",")
    protocol, _, number = port.partition(":")
    return ",".join([address, f"{names.get(protocol, protocol)}:{number}", *rest])


def _canonical_protocol(name: str) -> str:
    if name.isdigit():
        return _PROTOCOL_NAMES.get(name, name)
    try:
        return str(socket.getprotobyname(name))
    except OSError:
        return name


@cache
def _host_names_protocols() -> bool:
    try:
        return socket.getprotobyname("tcp") == _PROTOCOLS["tcp"]
    except OSError:
        return False
