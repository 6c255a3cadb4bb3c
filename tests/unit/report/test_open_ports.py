from __future__ import annotations

import pytest

from dockerfw.report.open_ports import EVERY_PORT, Partition, Ports, Range, joined, partition


def tcp(first: int, last: int | None = None) -> Range:
    return Range("tcp", first, last or first)


def test_ports_are_parted_where_other_statements_begin_and_end() -> None:
    found = partition({0: [EVERY_PORT], 1: [tcp(80, 90)], 2: [tcp(85, 99), Range("udp", 85, 85)]})
    assert found == Partition(
        (
            (tcp(80, 84), frozenset({0, 1})),
            (tcp(85, 90), frozenset({0, 1, 2})),
            (tcp(91, 99), frozenset({0, 2})),
            (Range("udp", 85, 85), frozenset({0, 2})),
        ),
        rest=frozenset({0}),
    )


def test_a_port_that_a_statement_names_twice_is_its_own_once() -> None:
    assert partition({1: [tcp(80), tcp(80, 90)]}).parts == ((tcp(80, 90), frozenset({1})),)


def test_what_touches_is_one_range() -> None:
    assert joined([tcp(82), tcp(80), tcp(81), tcp(84), Range("udp", 83, 83)]) == (
        tcp(80, 82),
        tcp(84),
        Range("udp", 83, 83),
    )


@pytest.mark.parametrize(
    ("ports", "held"),
    [
        (Ports((tcp(80, 90),)), {("tcp", 80), ("tcp", 90)}),
        (Ports((tcp(80, 90),), others=True), {("tcp", 79), ("tcp", 91), ("udp", 80)}),
        (Ports((), others=True), {("tcp", 79), ("tcp", 80), ("tcp", 90), ("tcp", 91), ("udp", 80)}),
    ],
)
def test_which_ports_are_held(ports: Ports, held: set[tuple[str, int]]) -> None:
    asked = [("tcp", 79), ("tcp", 80), ("tcp", 90), ("tcp", 91), ("udp", 80)]
    assert {one for one in asked if ports.holds(*one)} == held
