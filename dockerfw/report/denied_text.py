"""What ``dockerfw denied`` prints: lines for a terminal, and JSON. Pure.

Takes rows of ``report/denied.py``, and the time of now; prints nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dockerfw.model.denial import Denial
from dockerfw.model.net import Port
from dockerfw.report.denied import Row, Sort, packets, sources
from dockerfw.report.open_ports import Range
from dockerfw.report.port_documents import host_ports_document, range_document
from dockerfw.text import ago, counted, iso_moment, network_text, paragraph, printable, span_text

_WHEN = 12
_WORTH_SAYING = 60
"""Seconds: fewer are a moment."""
_DEEP = " " * (2 + _WHEN)


@dataclass(frozen=True, slots=True)
class Denied:
    """All that was denied in the last ``seconds``, in the order of ``sort``.

    ``denials`` are all, ``rows`` the first of them. ``observing``: nothing is dropped. ``now`` and
    ``dropped_since`` are Unix time: what came before that was counted and let in; 0: nothing was.
    """

    denials: tuple[Denial, ...]
    rows: tuple[Row, ...]
    now: float
    seconds: int
    sort: Sort = "newest"
    observing: bool = False
    dropped_since: float = 0

    def lines(self, width: int = 80) -> list[str]:
        """Return lines for a terminal; only a word longer than ``width`` makes one longer."""
        found = paragraph(self._head(), width=width, rest="  ")
        if any(one.first < self.dropped_since for one in self.denials):
            until = ago(self.now - self.dropped_since)
            observed = f"Until {until} the policy observed: what came before was let in"
            found += paragraph(observed, width=width, rest="  ")
        for row in self.rows:
            found += row_lines(row, ago(self.now - row.denial.last), width)
        more = len(self.denials) - len(self.rows)
        if more:
            found += paragraph(f"and {more:,} more: dockerfw denied -v", width=width, rest="  ")
        if any(row.remedy for row in self.rows):
            text = "To let one in, write its lines into the policy, then run dockerfw plan"
            found += paragraph(text, width=width, rest="  ")
        return found

    def _head(self) -> str:
        within = f"in the last {span_text(self.seconds)}"
        if not self.denials:
            if self.observing:
                return f"OBSERVING: nothing that would be denied is recorded {within}"
            return f"No denial is recorded {within}"
        number = f"{counted(packets(self.denials), 'packet')} {within}"
        text = f"{number}, from {counted(sources(self.denials), 'source')}, the {self.sort} first"
        if self.observing:
            return f"OBSERVING: would be denied, and is not: {text}"
        return f"Denied: {text}"

    def to_json(self) -> dict[str, object]:
        """``denied`` has all rows, in order."""
        return _document(self.rows, self.now - self.seconds, observing=self.observing)


def follow_head(*, observing: bool, width: int) -> list[str]:
    """Return what stands above rows that are printed as they come."""
    end = "Ctrl-C ends this"
    text = f"Denied from now on; {end}"
    if observing:
        text = f"OBSERVING: from now on, what would be denied, and is not; {end}"
    return paragraph(text, width=width, rest="  ")


def follow_json(row: Row, *, observing: bool) -> dict[str, object]:
    """Return a document as `Denied.to_json` has it, of one row."""
    return _document([row], row.denial.first, observing=observing)


def _document(rows: Iterable[Row], began: float, *, observing: bool) -> dict[str, object]:
    return {
        "observing": observing,
        "since": iso_moment(began),
        "denied": [row_json(row) for row in rows],
    }


def row_lines(row: Row, when: str, width: int) -> list[str]:
    """Return one row: when, who, whereto, how often, and what would let it in."""
    first = f"  {when.ljust(_WHEN)}"
    text = printable(f"{row.text}, {_often(row.denial)}")
    rest = min(len(_DEEP) + 2, max(0, width - max(map(len, text.split()))))
    found = paragraph(text, width=width, first=first, rest=" " * rest)
    return [*found, *_advice(row, width)]


def _often(denial: Denial) -> str:
    number = counted(denial.packets, "packet")
    took = denial.last - denial.first
    return f"{number} in {span_text(took)}" if took >= _WORTH_SAYING else number


def _advice(row: Row, width: int) -> Iterator[str]:
    if not row.remedy:
        yield from paragraph(printable(row.reason), width=width, first=_DEEP, rest=_DEEP)
    # Lines of a policy are not broken, and no further in than they fit.
    deep = min(len(_DEEP), max(0, width - max(map(len, row.remedy), default=0)))
    for line in row.remedy:
        yield f"{' ' * deep}{printable(line)}"


def row_json(row: Row) -> Mapping[str, object]:
    denial, where = row.denial, row.denial.destination
    return {
        "source": network_text(denial.source),
        "names": list(row.names),
        "container": row.container,
        "port": row.port,
        "ports": [] if row.own is None else [_port(row.own)],
        "host_ports": host_ports_document([_range(denial.port)] if row.host_port else (), where),
        "address": str(where),
        "packets": denial.packets,
        "bytes": denial.bytes,
        "first": iso_moment(denial.first),
        "last": iso_moment(denial.last),
        "reason": row.reason,
        "remedy": "\n".join(row.remedy),
    }


def _port(port: Port) -> Mapping[str, object]:
    return range_document(_range(port))


def _range(port: Port) -> Range:
    return Range(port.protocol, port.number, port.number)


def newer(before: Sequence[Denial], after: Sequence[Denial]) -> tuple[Denial, ...]:
    """Return what was denied between two readings, the oldest first, with what came in between."""
    known = {(d.source, d.destination, d.port): d for d in before}
    found = []
    for denial in after:
        old = known.get((denial.source, denial.destination, denial.port))
        counted_anew = old is not None and denial.packets < old.packets
        if old is None or counted_anew:
            found.append(denial)
        elif denial.packets > old.packets:
            found.append(_less(denial, old))
    return tuple(sorted(found, key=lambda d: d.last))


def _less(denial: Denial, old: Denial) -> Denial:
    return Denial(
        denial.source,
        denial.destination,
        denial.port,
        denial.packets - old.packets,
        denial.bytes - old.bytes,
        old.last,
        max(denial.last, old.last),
    )
