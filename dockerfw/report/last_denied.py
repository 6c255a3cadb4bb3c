"""When somebody was last denied at a port: `Access` rows with the newest of what is recorded.

Pure. Takes rows, `Denial`s that others read and what runs. A record has the address that a packet
was sent on to: so one to a container's address is told beside every row of that port, by whatever
host port it came.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from dockerfw.model.denial import Denial
from dockerfw.model.inventory import Inventory
from dockerfw.model.net import Address, Port
from dockerfw.report.access import ANY_PORT, EVERY, Access
from dockerfw.report.labels import Labels


def with_last_denied(
    rows: Sequence[Access], denials: Iterable[Denial], inventory: Inventory
) -> tuple[Access, ...]:
    """Return the rows with the Unix time of the last denial; what is about none of them has a row
    of its container.
    """
    return _Finder(rows, inventory).told(denials)


class _Finder:
    """Rows by what denials are about."""

    def __init__(self, rows: Sequence[Access], inventory: Inventory) -> None:
        self._rows = rows
        self._labels = Labels(inventory)
        self._of: dict[str, list[int]] = defaultdict(list)
        self._at_host: dict[Port, list[int]] = defaultdict(list)
        for at, row in enumerate(rows):
            self._of[row.container].append(at)
            for one in row.host_ports:
                for number in range(one.first, one.last + 1) if one.protocol else ():
                    self._at_host[Port(str(one.protocol), number)].append(at)

    def told(self, denials: Iterable[Denial]) -> tuple[Access, ...]:
        last: dict[tuple[Address, Port], float] = {}
        for denial in denials:
            key = (denial.destination, denial.port)
            last[key] = max(denial.last, last.get(key, denial.last))
        newest: dict[int, float] = {}
        others: dict[str, float] = {}
        for (where, port), moment in last.items():
            names = self._labels.at(where)
            found = self._container(names, port) if names else self._host(where, port)
            for at in found:
                newest[at] = max(moment, newest.get(at, moment))
            if names and not found:
                name = " + ".join(names)
                others[name] = max(moment, others.get(name, moment))
        rows = [
            replace(row, denied_last=newest[at]) if at in newest else row
            for at, row in enumerate(self._rows)
        ]
        return tuple(self._with_others(rows, others))

    def _container(self, names: tuple[str, ...], port: Port) -> list[int]:
        rows = [
            at
            for at in self._of[" + ".join(names)]
            if self._rows[at].port != ANY_PORT
            and self._rows[at].ports.holds(port.protocol, port.number)
        ]
        outside = [at for at in rows if not self._is_loopback(at)]
        return outside or rows

    def _host(self, where: Address, port: Port) -> list[int]:
        found = self._at_host.get(port, ())
        exact = [at for at in found if self._rows[at].address == where]
        return exact or [at for at in found if self._rows[at].address is None]

    def _is_loopback(self, at: int) -> bool:
        address = self._rows[at].address
        return address is not None and address.is_loopback

    def _with_others(self, rows: list[Access], others: dict[str, float]) -> list[Access]:
        """Tell what was denied at ports without a row beside the container's packets."""
        for at, row in enumerate(rows):
            if row.port == ANY_PORT and row.container in others:
                rows[at] = replace(row, denied_last=others.pop(row.container))
        return rows + [
            Access(name, ANY_PORT, "", "", ports=EVERY, denied_last=moment)
            for name, moment in sorted(others.items())
        ]
