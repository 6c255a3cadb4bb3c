"""The rows of an audit as questions: to packets of the lab, to ``probe`` and to ``explain``.

Takes what ``audit --json`` found on a `Street`; gives a sentence for each answer that is another
one than the row's. The lab's own packets are the judge of all three.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from tests.engine.scene import OFFICE, STRANGER, source_for
from tests.engine.street import UNPUBLISHED, Street
from tests.json_documents import ports_text
from tests.lab.host import HOST_V4, HOST_V6
from tests.lab.place import Probe, patient
from tests.lab.wait import becomes_true

Row = Mapping[str, Any]

_EXPECTED = {
    # reach: (is the office let in, is the stranger)
    "anyone": (True, True),
    "neighbours": (True, True),
    "some": (True, False),
    "nobody": (False, False),
}


class Question(NamedTuple):
    """One packet that a row is about: to this address and port."""

    row: Row
    protocol: Literal["tcp", "udp"]
    address: str
    port: int

    @property
    def answer_may_be_lost(self) -> bool:
        """Older engines answer by docker-proxy from another address than was asked. A container on
        two networks answers through one of them, and a filter of the way back may drop that.
        """
        if self.row["path"] == "docker-proxy":
            return self.protocol == "udp"
        return self.row["path"] == "direct" and self.row["container"] in ("multi", "far")

    @property
    def target(self) -> str:
        """As ``explain`` takes it."""
        if self.row["path"] == "macvlan":
            return f"{self.row['container']}:{self.port}/{self.protocol}"
        where = f"[{self.address}]" if ":" in self.address else self.address
        return f"{where}:{self.port}/{self.protocol}"


def questions(row: Row, rows: list[Row]) -> Iterator[Question]:
    """Yield the packets of a row: each port at which somebody listens, and that no other of these
    rows lists for that address.
    """
    host = {4: HOST_V4, 6: HOST_V6}
    listed = {
        one
        for other in rows
        if row["port"].startswith("all") and other is not row and other["at"] == row["at"]
        for one in _ports(other)
    }
    for family in row["families"]:
        address = row["at"] or host[family]
        for protocol, port in _ports(row):
            if (protocol, port) not in listed:
                yield Question(row, protocol, address, port)


def _ports(row: Row) -> Iterator[tuple[Literal["tcp", "udp"], int]]:
    text = ports_text(row)
    if text.startswith("all"):
        if row["path"] != "macvlan":
            if "udp ports" not in text:
                yield "tcp", UNPUBLISHED
            if "tcp ports" not in text:
                yield "udp", UNPUBLISHED
        if text == "all ports" and row["container"] not in ("dns", "range"):
            yield "tcp", 80
        return
    for part in text.split(", "):
        found = re.fullmatch(r"(\d+)(?:-(\d+))?/(tcp|udp)", part)
        assert found, row
        for number in filter(None, found.groups()[:2]):
            yield ("tcp" if found[3] == "tcp" else "udp"), int(number)


# --- packets of the lab --------------------------------------------------------------------------


def wrong_by_packets(street: Street, rows: list[Row]) -> list[str]:
    """Return a sentence for each packet with which a row does not agree."""
    table: list[tuple[Probe, bool]] = []
    by_hand: list[str] = []
    for row in rows:
        for asked in questions(row, rows) if row["reach"] != "unknown" else ():
            for caller, open_ in zip((OFFICE, STRANGER), _EXPECTED[row["reach"]], strict=True):
                source = source_for(caller, asked.address)
                if row["path"] == "loopback":
                    by_hand += _by_syn(street, asked, source, open_)
                elif asked.answer_may_be_lost:
                    if asked.protocol == "udp":
                        by_hand += _by_datagram(street, asked, source, open_)
                elif caller is STRANGER or row["path"] != "macvlan":
                    outside, protocol = street.host.outside, asked.protocol
                    one = Probe(outside, protocol, asked.address, asked.port, source)
                    table.append((one, open_))
    answers = zip(table, patient(table), strict=True)
    # Without docker-proxy older engines hold its ports themselves, and let nobody in.
    wrong = [
        f"{one}: {answer}, but should be {open_}"
        for (one, open_), answer in answers
        if (answer.outcome == "answered") != open_
    ]
    return [*wrong, *by_hand]


def _by_syn(street: Street, asked: Question, source: str, open_: bool) -> Iterator[str]:
    """To 127.0.0.1 of the host, as only a neighbour can send it."""
    patience = 3.0 if open_ else 0.3
    outside = street.host.outside
    if outside.syn(asked.address, asked.port, source=source, patience=patience) != open_:
        yield f"{source} to {asked.target} should be {open_}"


def _by_datagram(street: Street, asked: Question, source: str, open_: bool) -> Iterator[str]:
    """Whether it is heard, whatever becomes of the answer."""
    listening = street.containers[asked.row["container"]]
    listening.received()
    street.host.outside.udp(asked.address, asked.port, source=source, patience=0.2)
    came = becomes_true(lambda: bool(listening.received()), 3.0 if open_ else 0.3)
    if came != open_:
        yield f"{source} to {asked.target} should be {open_}"


# --- packets of a probe --------------------------------------------------------------------------

_NEVER_TRIED = {
    "loopback": "only a neighbour can send such packets, on its own link",
    "macvlan": "no packet of this host gets there",
}
"""By path: the one reason that there may be."""


def wrong_by_probe(
    rows: list[Row], probed: Mapping[str, Any], untold: frozenset[int] = frozenset()
) -> list[str]:
    """Return a sentence for each row that the packets of a probe do not bear out, and for each that
    it did not try, or says that it did not, but for those that may not be tried.

    ``untold``: families of whose connections the kernel keeps no account.
    """
    outcomes = {"agrees", "refused by another"}
    wrong = [
        f"{one}"
        for one in probed["tried"]
        if one["outcome"] not in outcomes and not _is_untold(one, untold)
    ]
    untried = {(one["what"], one["why"]) for one in probed["not_tried"]}
    for row in rows:
        for family in row["families"]:
            of_row = [one for one in probed["tried"] if _is_about(one, row, family)]
            wrong += [f"{one}: {row}" for one in of_row if not _bears_out(one, row, untold)]
            if "anyone" in {one["from"] for one in of_row}:
                continue
            why = _NEVER_TRIED.get(row["path"]) or _why_not(row)
            said = {one for one in untried if _names(one[0], row) and one[1] == why}
            wrong += [] if said else [f"not tried, by IPv{family}: {row}"]
    explained = {one for one in untried for row in rows if _names(one[0], row)}
    others = {what for what, _ in untried - explained}
    return wrong + [f"not tried: {what}" for what in others if not what.startswith("from bridge")]


_NO_PROXY = "no NAT of Docker's is there, and no docker-proxy listens"


def _why_not(row: Row) -> str | None:
    """The reason for a single row of a path that is tried otherwise."""
    if row["reach"] == "unknown":
        return f"dockerfw audit does not know {row['reason']}"
    if row["path"] == "host network" and row["reason"].startswith("allowed: no rule guards"):
        return "no rule names that port, so it is the host's own"
    return _NO_PROXY if (row["path"], row["reason"]) == ("docker-proxy", _NO_PROXY) else None


def _names(what: str, row: Row) -> bool:
    """Whether this way that was not tried is the row's: ``web:80 loopback 127.0.0.1:9090``."""
    name = re.split(r"[:,]", what)[0]
    return name == row["container"] and f" {row['path']}" in what and (row["at"] or "") in what


def _is_about(one: Mapping[str, Any], row: Row, family: int) -> bool:
    if (row["container"], row["path"]) != (one["container"], one["path"]):
        return False
    if one["family"] != family or family not in row["families"]:
        return False
    return row["at"] in (None, one["address"]) and _holds(ports_text(row), one)


def _holds(text: str, one: Mapping[str, Any]) -> bool:
    """Rows about all other ports hold those alone that no row lists."""
    if text == "all ports":
        return True
    if text.startswith("all other"):
        protocols = text.removesuffix(" ports").removeprefix("all other").split() or ["tcp", "udp"]
        return one["port"] == 1 and one["protocol"] in protocols
    for part in text.split(", "):
        first, _, last = part.partition("/")[0].partition("-")
        in_range = int(first) <= one["port"] <= int(last or first)
        if in_range and part.endswith(one["protocol"]):
            return True
    return False


def _is_untold(one: Mapping[str, Any], untold: frozenset[int]) -> bool:
    return (one["outcome"], one["let_in"]) == ("not told", None) and one["family"] in untold


def _bears_out(one: Mapping[str, Any], row: Row, untold: frozenset[int]) -> bool:
    """Whether what came of a try is what the row says; of what is unknown nothing is said."""
    if row["reach"] == "unknown" or _is_untold(one, untold):
        return True
    office, anyone = _EXPECTED[row["reach"]]
    return bool(one["let_in"]) == (office if one["from"] == "office" else anyone)


# --- explain -------------------------------------------------------------------------------------

_EXPLAIN = """
import json, sys
from dockerfw.cli.session import open_session
from dockerfw.operations.explain import explain

session = open_session(None)
for line in sys.stdin:
    print(json.dumps(explain(session, *line.split(), None, None).to_json()))
"""
"""Many questions in one process: what ``explain --json`` answers to each."""


def wrong_by_explain(street: Street, rows: list[Row]) -> list[str]:
    """Return a sentence for each row of which ``explain`` gives another answer for a stranger.

    It goes by rules, and does not ask whether a docker-proxy listens.
    """
    asked = [
        (row, next(questions(row, rows), None))
        for row in rows
        if row["path"] != "macvlan" and row["reach"] != "unknown" and row["reason"] != _NO_PROXY
    ]
    about = [(row, question) for row, question in asked if question is not None]
    lines = [f"{source_for(STRANGER, one.address)}@eth0 {one.target}\n" for _, one in about]
    answers = street.host.run([sys.executable, "-c", _EXPLAIN], stdin="".join(lines)).stdout
    wrong = []
    for (row, question), answer in zip(about, answers.splitlines(), strict=True):
        explained = json.loads(answer)
        if row["enforced"] is not None:
            open_ = row["enforced"] in ("open to anyone", "open to neighbours")
        else:
            open_ = row["reach"] in ("anyone", "neighbours")
        others = any(path["others"] for path in explained["paths"])
        if (explained["verdict"] == "allowed") != open_ and not (others and not open_):
            wrong.append(f"{question.target}: {row}: {explained}")
    return wrong
