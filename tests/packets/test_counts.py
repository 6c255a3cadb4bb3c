"""What ``status`` counts, with packets: what was let pass is not denied, and one packet is one."""

from __future__ import annotations

import pytest

from dockerfw.kernel.netfilter import Netfilter
from dockerfw.model.net import Family
from dockerfw.report.traffic import TrafficCounts, count_traffic, counted_sets
from tests.build import allow, policy
from tests.packets.runner import HostRunner
from tests.packets.scene import HOST, Scene, at

OFFICE: dict[Family, str] = {4: "203.0.113.2", 6: "2001:db8:1::2"}
STRANGER: dict[Family, str] = {4: "203.0.113.9", 6: "2001:db8:1::9"}


def counts(scene: Scene) -> TrafficCounts:
    kernel = Netfilter(HostRunner(scene.host), lambda: 0.0)
    ruleset = scene.commit(POLICY).last.ruleset
    return count_traffic(kernel.set_counters(counted_sets(ruleset)), ruleset, scene.inventory)


POLICY = policy(
    allow(*OFFICE.values(), to="web", ports=(80, "53/udp")),
    allow("container:cache", to="web", ports=(80, "53/udp")),
    baseline=(),
)


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("path", ["published", "direct"])
def test_a_denied_packet_counts_once_and_an_allowed_one_is_not_denied(
    path: str, family: Family
) -> None:
    """In IPv4 the published port is led on by NAT, in IPv6 docker-proxy answers."""
    with Scene() as scene:
        scene.commit(POLICY)
        address, udp, tcp = (HOST[family], 5353, 8080)
        if path == "direct":
            address, udp, tcp = (at("web", family), 53, 80)

        def ask(source: str, protocol: str) -> bool:
            asking = scene.outside.udp if protocol == "udp" else scene.outside.tcp
            port = udp if protocol == "udp" else tcp
            return asking(address, port, source=source, patience=0.5).reached

        for protocol in ("udp", "tcp"):
            assert ask(OFFICE[family], protocol)
        found = counts(scene)
        assert found.denied == ()
        allowed = {row.port: row.packets for row in found.allowed if row.packets}
        assert allowed["53/udp"] == 1
        assert allowed["80/tcp"] > 1

        assert not ask(STRANGER[family], "udp")
        assert [row.packets for row in counts(scene).denied] == [1]


def test_a_container_that_may_use_a_published_port_is_not_counted_as_denied() -> None:
    with Scene() as scene:
        scene.commit(POLICY)
        cache = scene.places["cache"]
        assert cache.udp(HOST[4], 5353).reached
        assert cache.tcp(HOST[6], 8080).reached
        assert counts(scene).denied == ()
