"""A small shop on one host, and what the tests of ``explain`` ask of an answer."""

from __future__ import annotations

from dockerfw.report.explain import Explanation
from tests.build import allow, container, deny, facts, inventory, network

BRIDGED = facts(br_netfilter=True)
OFFICE = "198.51.100.0/24"
BLOCKED = "198.51.100.66"

WEB = container("web", "front 172.18.0.2", published=("8080:80", "127.0.0.1:9090:90"))
SHOP = inventory(
    WEB,
    container("shop-db-1", "back 172.19.0.2 fd00:19::2", published="5432:5432"),
    container("proxy", "back 172.19.0.3", "front 172.18.0.3"),
    container("exporter", host_network=True),
    container("sidecar", network_owner=WEB),
    container("camera", "lan 192.0.2.130"),
    network("front", "172.18.0.0/24"),
    network("back", "172.19.0.0/24", "fd00:19::/64"),
    network("lan", "192.0.2.128/25", driver="macvlan"),
)

OPEN_WEB = allow(OFFICE, to="web", ports=80, line=3, written_from="office")
BLOCK = deny(BLOCKED, line=20, written_from="blocklist")


def rows(explanation: Explanation) -> list[tuple[str, int, bool, str]]:
    return [(r.path, r.family, r.allowed, r.reason) for r in explanation.rows]


def paths(explanation: Explanation) -> dict[str, bool]:
    return {row.path: row.allowed for row in explanation.rows}


def reasons(explanation: Explanation) -> set[str]:
    return {row.reason for row in explanation.rows}
