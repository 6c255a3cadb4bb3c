"""Where a jump to our chains stands twice, what passed passes all the same, and nothing else does.

Docker puts in its own jump to DOCKER-USER when it starts, whether or not dockerfw has just done so.
"""

from __future__ import annotations

from dockerfw.model.net import FAMILIES
from tests.build import allow, policy
from tests.lab.place import Probe, disagreements
from tests.packets.scene import HOST, Scene

FRIEND = ("198.51.100.7", "2001:db8:10::7")
STRANGER = ("203.0.113.9", "2001:db8:1::9")
POLICY = policy(allow("198.51.100.0/24", "2001:db8:10::/48", published=(8080, 5432)))


def test_what_a_host_port_opens_is_open_where_jumps_stand_twice() -> None:
    # Without NAT in IPv6 docker-proxy carries it, by INPUT.
    with Scene() as scene:
        scene.commit(POLICY)
        table = [
            (Probe(scene.outside, "tcp", HOST[family], port, who[n]), who == FRIEND)
            for n, family in enumerate(FAMILIES)
            for port in (8080, 5432)
            for who in (FRIEND, STRANGER)
        ]
        assert disagreements(table) == []
        for family in FAMILIES:
            scene.iptables(family, "-I", "FORWARD", "-j", "DOCKER-USER")
            scene.iptables(family, "-I", "INPUT", "-j", "DOCKERFW-INPUT")
        assert disagreements(table) == []
