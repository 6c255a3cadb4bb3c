"""Tables for a terminal: no row that is longer than the others breaks these."""

from __future__ import annotations

import doctest

import pytest

from dockerfw.report import tables
from dockerfw.report.tables import grid, table, two_lines

ROWS = [
    ("+", "web 80/tcp", "opens to any"),
    ("+", "db 5432/tcp", "opens to 198.51.100.0/24, 2001:db8:10::/48"),
]
LONG = ("+", "host ports 9000-9100/tcp, 9300-9400/tcp, 9500/tcp and 3 more (shop-media-1)",
        "opens to 198.51.100.0/24")  # fmt: skip


def test_the_examples_hold() -> None:
    results = doctest.testmod(tables)
    assert results.attempted
    assert not results.failed


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_one_long_row_breaks_no_other(width: int) -> None:
    lines = table([*ROWS, LONG], width=width)
    assert [line.split()[1] for line in lines[:2]] == ["web", "db"]
    assert lines[1].endswith(ROWS[1][-1])
    assert " ".join("".join(lines[2:]).split()).startswith(f"+ {LONG[1]}")
    assert max(map(len, lines)) <= width


def test_what_is_longer_than_its_column_stands_alone_and_the_rest_below() -> None:
    assert table([*ROWS, LONG], width=60)[-3:] == [
        "  + host ports 9000-9100/tcp, 9300-9400/tcp, 9500/tcp and 3",
        "      more (shop-media-1)",
        f"{' ' * 8}{LONG[2]}",
    ]


def test_a_grid_wraps_each_cell_in_its_column() -> None:
    rows = [
        ("container", "port", "open to", "passed"),
        ("shop-a-rather-long-name-1", "80/tcp", "office, vpn and 3 more", "1,234"),
        ("db", "5432/tcp", "nobody", ""),
    ]
    assert grid(rows, width=60) == [
        "  container                  port      open to        passed",
        "  shop-a-rather-long-name-1  80/tcp    office, vpn    1,234",
        "                                       and 3 more",
        "  db                         5432/tcp  nobody",
    ]
    assert grid([]) == []


SHOP = (
    ("container", "port", "open to"),
    *((f"shop-web-{n}", "80/tcp", "office, vpn but not 192.0.2.66") for n in range(3)),
)


@pytest.mark.parametrize("width", [60, 80, 120, 200])
@pytest.mark.parametrize("long", ["a" * 200, "a-name-" * 30, "198.51.100.0/24, " * 30])
@pytest.mark.parametrize("column", [0, 2])
def test_one_long_cell_breaks_no_other_row_and_its_own_row_once(
    width: int, long: str, column: int
) -> None:
    row = ["camera", "554/tcp", "any"]
    row[column] = long
    lines = grid([*SHOP, row], width=width)
    assert max(map(len, lines)) <= width
    assert len(lines) == len(SHOP) + 2
    whole = grid([*SHOP, row], width=width, whole=True)
    assert max(map(len, whole)) <= width
    assert "…" not in "".join(whole)
    assert ("…" in lines[-1]) is (len(whole) > len(lines))


def test_of_a_name_that_is_too_long_both_ends_are_shown() -> None:
    assert two_lines("a" * 30 + "-web-12", 12) == ["a" * 12, "…aaaa-web-12"]


def test_a_port_is_not_broken_into_two_numbers() -> None:
    assert two_lines("127.0.0.1:6379", 13) == ["127.0.0.1:", "6379"]
    assert two_lines("[2001:db8::1]:8080", 15) == ["[2001:db8::1]:", "8080"]
