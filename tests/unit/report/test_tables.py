"""Tables for a terminal: no row that is longer than the others breaks these."""

from __future__ import annotations

import doctest

import pytest

from dockerfw.report import tables
from dockerfw.report.tables import grid, table

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
    assert lines[2].startswith(f"  + {LONG[1]}")


def test_what_is_longer_than_its_column_stands_alone_and_the_rest_below() -> None:
    assert table([*ROWS, LONG], width=60)[-2:] == [f"  + {LONG[1]}", f"{' ' * 8}{LONG[2]}"]


def test_a_grid_wraps_each_cell_in_its_column() -> None:
    rows = [
        ("container", "port", "open to", "passed"),
        ("shop-a-rather-long-name-1", "80/tcp", "office, vpn and 3 more", "1,234"),
        ("db", "5432/tcp", "nobody", ""),
    ]
    assert grid(rows, width=60) == [
        "  container            port      open to              passed",
        "  shop-a-rather-long-  80/tcp    office, vpn and 3    1,234",
        "  name-1                         more",
        "  db                   5432/tcp  nobody",
    ]
    assert grid([]) == []
