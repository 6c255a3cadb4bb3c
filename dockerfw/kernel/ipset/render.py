"""Typed writes -> the lines of ``ipset restore -exist``.

Pure. Facts tried with ipset 7.17, 7.22 and 7.24:

* ``add`` of an entry that stands, with ``-exist`` and no counters given, keeps its counters and
  clears a ``nomatch``; its timeout becomes the given one, or the set's default.
* ``del`` of a missing entry and ``destroy`` of a missing set are no errors with ``-exist``.
* ``create`` of a set that stands is no error with ``-exist`` when type, family, maxelem and
  extensions are the same.
* ``del`` knows no options: a plain ``del`` takes an odd entry out, a plain ``add`` makes it what it
  should be, and both together would leave nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network

from dockerfw.kernel.words import address_text, word
from dockerfw.model.net import Family, IPNetwork, Port
from dockerfw.plan.state import LiveElement, OddElement
from dockerfw.plan.steps import (
    AddElements,
    CreateSet,
    DeleteElements,
    DestroySet,
    FlushSet,
    SetWrite,
    SwapSets,
    WriteSets,
)
from dockerfw.rules.names import end_of, phase_of
from dockerfw.rules.ruleset import LONGEST_TIMEOUT, RECORDED_FOR, RECORDS, Element

_PROTOCOL_NUMBERS = {
    "icmp": 1, "tcp": 6, "udp": 17, "ipv6-icmp": 58, "sctp": 132, "udplite": 136,
}  # fmt: skip


def render(step: WriteSets, now: float | None, *, by_number: bool = False) -> str:
    """Return the lines of a step.

    An entry that ends gets the seconds that are left at ``now`` (Unix time), `LONGEST_TIMEOUT` at
    most; with less than one it is left out: it must not live on. ``now`` None: for people, without
    ends. ``by_number``: this host has no
    ``/etc/protocols``, so that ipset knows protocols by number alone.
    """
    writer = _Writer(now, by_number=by_number)
    return "".join(f"{line}\n" for line in writer.lines(step.writes))


class _Writer:
    def __init__(self, now: float | None, *, by_number: bool) -> None:
        self._now = now
        self._by_number = by_number

    def lines(self, writes: Iterable[SetWrite]) -> Iterator[str]:
        added: dict[str, set[LiveElement]] = {}
        for write in writes:
            if isinstance(write, AddElements):
                added.setdefault(write.name, set()).update(write.elements)
        for write in writes:
            match write:
                case CreateSet():
                    yield _created(write)
                case AddElements(name=name, elements=elements):
                    yield from self._added(name, elements)
                case DeleteElements(name=name, elements=elements):
                    yield from self._deleted(name, elements, added.get(name, set()))
                case FlushSet(name=name):
                    yield f"flush {word(name)}"
                case SwapSets(name=name, other=other):
                    yield f"swap {word(name)} {word(other)}"
                case DestroySet(name=name):
                    yield f"destroy {word(name)}"

    def _added(self, name: str, elements: Iterable[LiveElement]) -> Iterator[str]:
        end = end_of(name)
        # What a record begins with stays.
        suffix = " timeout 0" if phase_of(name) == "record" else ""
        if end is not None and self._now is not None:
            left = int(end - self._now)
            if left <= 0:
                return
            suffix = f" timeout {min(left, LONGEST_TIMEOUT)}"
        for text in self._texts(elements):
            yield f"add {word(name)} {text}{suffix}"

    def _deleted(
        self, name: str, elements: Iterable[LiveElement], added: set[LiveElement]
    ) -> Iterator[str]:
        gone = (e for e in elements if not (isinstance(e, OddElement) and e.plain in added))
        return (f"del {word(name)} {text}" for text in self._texts(gone))

    def _texts(self, elements: Iterable[LiveElement]) -> list[str]:
        """In the order of their text, so that the same step is always the same text."""
        return sorted(self._text(element) for element in elements)

    def _text(self, element: LiveElement) -> str:
        if isinstance(element, OddElement):
            if element.plain is None:
                return element.text
            element = element.plain
        return element_text(element, by_number=self._by_number)


def _created(write: CreateSet) -> str:
    """With a size that fits.

    Where elements end each is written with its own end; one without must not stay for ever. To a
    record packets add, in whose path the kernel makes no set larger, and pushes an element out of a
    full one only where the new one falls beside others: so it has few buckets for its size.
    """
    if write.type == "list:set":
        return f"create {word(write.name)} list:set size {write.count} counters"
    inet = "inet" if write.family == 4 else "inet6"
    if phase_of(write.name) == "record":
        return (
            f"create {word(write.name)} {write.type} family {inet} hashsize {RECORDS // 8} "
            f"maxelem {write.maxelem} timeout {RECORDED_FOR} counters forceadd"
        )
    timeout = " timeout 1" if write.timeout else ""
    hashsize = max(64, min(1 << 20, 1 << (write.count // 4).bit_length()))
    return (
        f"create {word(write.name)} {write.type} family {inet} "
        f"hashsize {hashsize} maxelem {write.maxelem}{timeout} counters"
    )


def element_text(element: Element, *, by_number: bool = False) -> str:
    """Return an element as ``ipset save`` prints it: ``0.0.0.0/1,tcp:80``."""
    # Every element has a network in it. The name of the set would not do: while a set grows its
    # elements stand in one whose name tells no family.
    ipv4 = any(isinstance(part, IPv4Network) for part in element)
    return ",".join([_part_text(part, 4 if ipv4 else 6, by_number=by_number) for part in element])


def _part_text(part: IPNetwork | Port | str, family: Family, *, by_number: bool) -> str:
    if isinstance(part, Port):
        protocol = part.protocol
        number = f"{part.number:d}"
        if protocol == "icmp":
            protocol = "icmp" if family == 4 else "ipv6-icmp"
            number = "echo-request"
        if by_number:
            protocol = str(_PROTOCOL_NUMBERS.get(protocol, protocol))
        return f"{word(protocol)}:{number}"
    if isinstance(part, str):
        return word(part)
    address = address_text(part.network_address)
    return address if part.prefixlen == part.max_prefixlen else f"{address}/{part.prefixlen}"
