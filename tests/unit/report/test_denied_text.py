"""What ``dockerfw denied`` says beside its golden screens, and what has come between two looks."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

from dockerfw.model.denial import Denial
from dockerfw.model.net import Port
from dockerfw.report.denied import Row
from dockerfw.report.denied_text import Denied, follow_head, follow_json, newer, row_json
from tests.json_documents import holds

ONE = Denial(
    ip_network("203.0.113.9/32"), ip_address("172.18.0.3"), Port("tcp", 5432), 3, 180, 1000, 1100
)
ROW = Row(
    ONE, (), "db", "5432/tcp", "", "denied: nothing allows it", ("[[allow]]", "to = 1"), ONE.port
)


def test_observing_stands_in_the_first_line() -> None:
    found = Denied((ONE,), (ROW,), 1200.0, 86_400, observing=True)
    assert found.lines()[0].startswith("OBSERVING: would be denied, and is not: 3 packets ")
    empty = Denied((), (), 1200.0, 3600, observing=True)
    assert empty.lines() == ["OBSERVING: nothing that would be denied is recorded in the last 1 h"]
    assert follow_head(observing=True, width=80)[0].startswith("OBSERVING: ")
    assert follow_head(observing=False, width=80) == ["Denied from now on; Ctrl-C ends this"]


def test_what_was_only_observed_is_not_told_as_dropped() -> None:
    found = Denied((ONE,), (ROW,), 1200.0, 86_400, dropped_since=1140)
    assert found.lines()[1] == "Until 1 min ago the policy observed: what came before was let in"
    later = Denied((ONE,), (ROW,), 1200.0, 86_400, dropped_since=900)
    assert not any("the policy observed" in line for line in later.lines())


def test_what_is_hostile_in_a_name_is_not_printed() -> None:
    row = replace(ROW, names=("\x1b[2J",), remedy=("from = \x1b",))
    assert "\x1b" not in "".join(Denied((ONE,), (row,), 1200.0, 86_400).lines())


def test_json_has_whole_times_and_the_lines_in_one_text() -> None:
    assert row_json(ROW) == {
        "source": "203.0.113.9",
        "names": [],
        "container": "db",
        "port": "5432/tcp",
        "ports": [{"protocol": "tcp", "first": 5432, "last": 5432, "others": False}],
        "host_ports": [],
        "address": "172.18.0.3",
        "packets": 3,
        "bytes": 180,
        "first": "1970-01-01T00:16:40Z",
        "last": "1970-01-01T00:18:20Z",
        "reason": "denied: nothing allows it",
        "remedy": "[[allow]]\nto = 1",
    }
    assert Denied((ONE,), (ROW,), 1200.0, 200).to_json() == {
        "observing": False,
        "since": "1970-01-01T00:16:40Z",
        "denied": [row_json(ROW)],
    }
    holds("denied", {"schema": 1, **Denied((), (), 1200.0, 200).to_json()})
    holds("denied", {"schema": 1, **follow_json(ROW, observing=True)})


def test_between_two_looks_is_what_was_not_there_and_what_has_grown() -> None:
    other = replace(ONE, port=Port("udp", 53), last=1150)
    grown = replace(ONE, packets=5, bytes=300, last=1190)
    assert newer((ONE,), (ONE,)) == ()
    assert newer((ONE,), (grown, other)) == (
        other,
        replace(grown, packets=2, bytes=120, first=1100),
    )
    # One that was pushed out and came back counts from 1 again.
    anew = replace(ONE, packets=1, first=1180, last=1180)
    assert newer((ONE,), (anew,)) == (anew,)
