"""Docker's JSON of networks becomes networks."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from dockerfw.model.policy import Needs
from tests.edges.docker.answers import (
    BACK,
    NET,
    connected,
    network,
    read,
)
from tests.fakeengine import FakeEngine

BRIDGES = {
    "by its id": (network(), "br-" + NET[:12]),
    "by its option": (
        network(Options={"com.docker.network.bridge.name": "shopfront0"}),
        "shopfront0",
    ),
    "no options at all": (network(Options=None), "br-" + NET[:12]),
    "a template for others": (network(ConfigOnly=True), None),
    "macvlan": (network(driver="macvlan"), None),
    "overlay": (network(driver="overlay"), None),
}


@pytest.mark.parametrize("case", BRIDGES)
def test_the_bridge_of_a_network(engine: FakeEngine, case: str) -> None:
    answer, bridge = BRIDGES[case]
    engine.answers["/networks"] = [answer]
    assert read(engine).networks[0].bridge == bridge


def test_a_network_knows_the_ports_of_its_bridge_that_are_not_dockers(
    engine: FakeEngine,
) -> None:
    engine.answers["/networks"] = [network(), network(BACK, "back")]
    with connected(engine) as docker:
        foreign = {"br-" + NET[:12]: ("tap0", "eth1")}
        networks = docker.read_inventory(foreign, Needs()).networks
    assert {n.name: n.foreign_ports for n in networks} == {
        "shop": ("eth1", "tap0"),
        "back": (),
    }


def test_a_subnet_is_the_one_that_the_bridge_has(engine: FakeEngine) -> None:
    pools = [{"Subnet": "172.18.5.1/16"}, {"Gateway": "172.18.0.1"}]
    engine.answers["/networks"] = [network(IPAM={"Config": pools}, Internal=True)]
    only = read(engine).networks[0]
    assert only.subnets == (ip_network("172.18.0.0/16"),)
    assert only.internal
