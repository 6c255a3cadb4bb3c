"""Why there is no path, and what the user may have meant."""

from __future__ import annotations

from dockerfw.report.explain import explain
from tests import build
from tests.build import policy
from tests.unit.report.explain.scene import BRIDGED, OPEN_WEB, SHOP, paths, rows


def test_a_path_that_does_not_exist_is_denied_and_says_why() -> None:
    found = explain(policy(), SHOP, BRIDGED, "2001:db8::7", "proxy:80")
    assert rows(found) == [
        (
            "no path",
            6,
            False,
            "denied: proxy has no IPv6 address and does not publish 80 on one",
        )
    ]
    assert found.exit_status == 3


def test_a_host_port_in_place_of_the_container_port_gets_a_hint() -> None:
    found = explain(policy(), SHOP, BRIDGED, "203.0.113.7", "web:8080")
    assert found.warnings == ("web publishes 80 as 8080: write web:80 or :8080",)


def test_a_port_that_is_published_in_another_protocol_gets_a_hint() -> None:
    game = build.container("game", "front 172.18.0.9", published="27015:27015/udp")
    running = build.inventory(build.network("front", "172.18.0.0/16"), game)
    found = explain(policy(), running, BRIDGED, "203.0.113.7", "game:27015")
    assert found.warnings == ("game publishes 27015/udp: write game:27015/udp",)
    assert explain(policy(), running, BRIDGED, "203.0.113.7", "game:27015/udp").warnings == ()


def test_a_sidecar_is_reached_at_the_addresses_of_its_network_owner() -> None:
    found = explain(policy(OPEN_WEB), SHOP, BRIDGED, "198.51.100.7", "sidecar:80")
    assert "directly to 172.18.0.2" in paths(found)
    assert "sidecar is at the addresses of web" in found.warnings
