"""What ``explain`` says of a path is what becomes of a packet on it, on real engines.

A packet that arrives is allowed on all paths; one that does not is denied, or somebody else is
named who may drop it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.engine.scene import OFFICE, STRANGER, apply, source_for
from tests.engine.shop import BROADCAST, ON_THE_LINK, Row, Shop
from tests.engine.test_paths import POLICY, ROWS
from tests.lab.engine import Engine
from tests.lab.host import Host

QUICK = frozenset(
    {
        "P1: office to 203.0.113.1 8080/tcp",
        "P1: stranger to 203.0.113.1 8080/tcp",
        "P2: office to web 80/tcp",
        "P2: stranger to six/6 80/tcp",
        "P3: office to 2001:db8:1::1 8080/tcp",
        "P3: stranger to 2001:db8:1::1 8080/tcp",
        "P4: web to hidden 80/tcp",
        "P5: six to web 80/tcp",
        "P5: six to 203.0.113.1 8080/tcp",
        "P6: host to hidden 80/tcp",
        "P8: stranger to 203.0.113.1 8088/tcp",
        "P8 host's own: stranger to 203.0.113.1 22/tcp",
    }
)
"""A row a path: these on every run, all others in the slow one."""
# P7 is no question about a container, and a broadcast address is refused as no address of the host.
ASKED = [r for r in ROWS if not r.path.startswith("P7") and r.target != BROADCAST]


@pytest.fixture(
    scope="module",
    params=["20.10", *(pytest.param(one, marks=pytest.mark.slow) for one in ("26.1", "28.5"))],
)
def shop(request: pytest.FixtureRequest) -> Iterator[Shop]:
    with Host() as host, Engine(host, request.param) as engine:
        shop = Shop(host, engine)
        apply(host, *POLICY)
        yield shop


def explained(shop: Shop, row: Row) -> dict[str, Any]:
    target = shop.address(row.target)
    where = f"[{target}]" if ":" in target else target
    port = "icmp" if row.protocol == "icmp" else str(row.port)
    protocol = {"udp": "/udp", "heard": "/udp", "sctp": "/sctp"}.get(row.protocol, "")
    callers = {"office": OFFICE, "stranger": STRANGER, "neighbour": ON_THE_LINK[::-1]}
    source = row.start
    if row.start in callers:
        source = f"{source_for(callers[row.start], target)}@eth0"
    asked = ("explain", "--json", source, f"{where}:{port}{protocol}")
    found: dict[str, Any] = json.loads(shop.host.dockerfw(*asked, check=False).stdout)
    return found


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, marks=() if str(row) in QUICK else (pytest.mark.slow,)) for row in ASKED],
    ids=str,
)
def test_explain_says_what_becomes_of_the_packet(shop: Shop, row: Row) -> None:
    answer = shop.answers([(row, shop.engine.version in row.after)])[str(row)]
    found = explained(shop, row)
    if answer.reached:
        assert found["verdict"] == "allowed", found
        return
    unnamed = [path for path in found["paths"] if path["allowed"] and not path["others"]]
    assert not unnamed, f"{answer}: {found}"
