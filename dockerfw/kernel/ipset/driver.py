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
* An entry without a timeout in a set that has them (``timeout 0``) stands for ever. Of all
  others ``save`` prints what they have left, 1 at the least.
* One ``ipset restore`` is *not* a transaction: what stands before a bad line may be there or not.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from functools import cache
from itertools import pairwise

from dockerfw.kernel.runner import Runner, require
from dockerfw.plan.state import SetState
from dockerfw.rules.ruleset import LONGEST_TIMEOUT, end_of

PREFIX = "dockerfw-"

# Starting another ``ipset save`` costs about as much as dumping this many entries.
_ENTRIES_A_PROCESS = 500

_PROTOCOLS: Mapping[str, int] = {
    "icmp": 1, "tcp": 6, "udp": 17, "ipv6-icmp": 58, "sctp": 132, "udplite": 136,
}  # fmt: skip
_PROTOCOL_NAMES = {str(number): name for name, number in _PROTOCOLS.items()}
_WRITTEN_PROTOCOL = re.compile(r",(icmp|tcp|udp|ipv6-icmp|sctp|udplite):")
_NOMATCH = " nomatch"
_FOR_EVER = " timeout 0"
_ADD_THAT_ENDS = re.compile(r"^add (\S+-u[0-9a-f]{8}) (\S+)\n", re.MULTILINE)
_COUNTERS = re.compile(r" packets (\d+) bytes (\d+)")


def read(
    runner: Runner, headers_only: Callable[[str, int], bool] | None = None
) -> dict[str, SetState]:
    """Our sets as they stand, by name.

    ``headers_only(name, count)`` names the sets whose entries need not be read (those named
    after their content); they come back with ``entries`` None. Raises `Failed`, also when the
    kernel has no ip_set.
    """
    states, foreign_entries = _headers(require(runner, ["ipset", "list", "-t"]))
    skip = headers_only or (lambda _name, _count: False)
    wanted = {s.name for s in states.values() if not skip(s.name, s.count)}
    for name, lines in _dump(runner, states, wanted, foreign_entries).items():
        entries = frozenset(_canonical([_entry(line) for line in lines], states[name].type))
        states[name] = replace(states[name], count=len(entries), entries=entries)
    return states


def counters(runner: Runner, names: Collection[str]) -> dict[str, dict[str, tuple[int, int]]]:
    """Set name -> entry -> (packets, bytes), for the sets of ``names`` that exist."""
    states, foreign_entries = _headers(require(runner, ["ipset", "list", "-t"]))
    result: dict[str, dict[str, tuple[int, int]]] = {}
    for name, lines in _dump(runner, states, set(names) & set(states), foreign_entries).items():
        keys = _canonical([_entry(line) for line in lines], states[name].type)
        result[name] = dict(zip(keys, map(_count, lines), strict=True))
    return result


def commit(runner: Runner, text: str, clock: Callable[[], float] = time.time) -> None:
    """Hand lines (``create``, ``add``, ``del``, ``destroy`` …) to one ``ipset restore -exist``.

    They are carried out in order, but not as a transaction. What is added to a set whose name
    says when its entries end gets the seconds that are left until then. Raises `Failed` with the
    bad line.
    """
    for option in (_NOMATCH, _FOR_EVER):
        if option in text:
            text = _plain_deletes(text, option)
    text = with_timeouts(text, clock())
    if not _host_names_protocols():
        text = _WRITTEN_PROTOCOL.sub(lambda m: f",{_PROTOCOLS[m.group(1)]}:", text)
    require(runner, ["ipset", "restore", "-exist"], text, timeout=300)


def with_timeouts(text: str, now: float) -> str:
    """The lines with the seconds left (`LONGEST_TIMEOUT` at most) on each entry that ends.

    One with less than a second left is not added any more: it must not live on.
    """

    def ended(found: re.Match[str]) -> str:
        left = int((end_of(found[1]) or 0) - now)
        timeout = min(left, LONGEST_TIMEOUT)
        return f"add {found[1]} {found[2]} timeout {timeout}\n" if left > 0 else ""

    return _ADD_THAT_ENDS.sub(ended, text)


def _plain_deletes(text: str, option: str) -> str:
    """``ipset`` knows no ``del`` with options: a plain ``del`` takes the entry out, a plain
    ``add`` makes it what it should be, and both together would leave nothing.
    """
    lines = text.splitlines()
    added = {line.removeprefix("add ") for line in lines if line.startswith("add ")}
    kept = []
    for line in lines:
        plain = line.removesuffix(option)
        if plain == line or plain.removeprefix("del ") not in added:
            kept.append(plain)
    return "".join(f"{line}\n" for line in kept)


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
    values = dict(pairwise(words))
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


def _dump(
    runner: Runner, states: Mapping[str, SetState], names: Collection[str], foreign_entries: int
) -> dict[str, list[str]]:
    """The ``add`` lines of the sets ``names``, by the cheaper of two ways.

    One ``ipset save`` dumps every set of the host, unwanted entries too; one each costs a
    process each.
    """
    filled = sorted(name for name in names if states[name].count)
    others = foreign_entries + sum(s.count for s in states.values() if s.name not in filled)
    texts: Iterator[str] = (require(runner, ["ipset", "save", name]) for name in filled)
    if len(filled) > 1 and others <= _ENTRIES_A_PROCESS * (len(filled) - 1):
        texts = iter([require(runner, ["ipset", "save"])])
    found: dict[str, list[str]] = {name: [] for name in names}
    for text in texts:
        for line in text.split("\n"):
            if line.startswith("add "):
                name = line[4 : line.index(" ", 4)]
                if name in found:
                    found[name].append(line)
    return found


def _entry(line: str) -> str:
    """The entry of an ``add`` line; what only a hand writes stays with it: ``nomatch``, and in
    a set whose entries end one that does not.
    """
    _, _, entry, *options = line.split(" ", 3)
    if not options:
        return entry
    if "nomatch" in options[0]:
        return f"{entry}{_NOMATCH}"
    return f"{entry}{_FOR_EVER}" if options[0].startswith("timeout 0") else entry


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
