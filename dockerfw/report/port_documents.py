"""Ports in JSON: the one form of them in all documents. Pure.

Each is an object: ``protocol`` (null: every one), ``first`` and ``last`` (null: every port, and of
a protocol without ports), and ``others``: but those that other rows about the same target name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dockerfw.model.net import Address
from dockerfw.report.open_ports import EVERY_PORT, Ports, Range

Document = dict[str, object]
_ALL = (0, 65535)


def ports_document(ports: Ports) -> list[Document]:
    """Return ports of a container; none where they are not told, or where it has none."""
    if not ports.others:
        return [range_document(one) for one in ports.ranges]
    whole = [one for one in ports.ranges if one.protocol and one[1:] == _ALL]
    return [range_document(one, others=bool(ports.ranges)) for one in whole or [EVERY_PORT]]


def host_ports_document(ports: Iterable[Range], address: Address | None) -> list[Document]:
    """Return ports of this host, with the address that they are at: null for every one."""
    where = None if address is None else str(address)
    return [{"address": where, **range_document(one)} for one in ports]


def range_document(one: Range, *, others: bool = False) -> Document:
    numbers: Sequence[int | None] = (one.first, one.last)
    if (one.first, one.last) in (_ALL, (0, 0)):
        numbers = (None, None)
    return {"protocol": one.protocol, "first": numbers[0], "last": numbers[1], "others": others}
