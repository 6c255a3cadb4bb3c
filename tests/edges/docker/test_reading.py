"""What makes no sense in Docker's answers is left out, and the rest is served."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from dockerfw.model.policy import Needs
from tests.edges.docker.answers import (
    BACK,
    DB,
    IMAGE,
    NET,
    connected,
    container,
    network,
    on,
    read,
    with_ports,
)
from tests.fakeengine import FakeEngine


@pytest.mark.parametrize("need", ["images", "routed"])
def test_a_container_that_vanishes_between_two_calls_is_not_there(
    engine: FakeEngine, need: str
) -> None:
    routed = {"com.docker.network.bridge.gateway_mode_ipv6": "routed"}
    engine.answers["/networks"] = [network(Options=routed if need == "routed" else {})]
    engine.answers["/containers/json"] = [container(Image=IMAGE), container(DB, "db")]
    engine.answers[f"/containers/{DB}/json"] = {"NetworkSettings": {"Ports": {}}}
    inventory = read(engine, images=need == "images")
    assert [c.name for c in inventory.containers] == ["db"]


BROKEN_CONTAINERS = {
    "not an object": "web",
    "without an id": container(Id=None),
    "an id that is a number": container(Id=7),
    "names that are numbers": container(Names=[7]),
    "a port beyond 65535": with_ports({"PrivatePort": 80, "PublicPort": 65536, "Type": "tcp"}),
    "a port that is text": with_ports({"PrivatePort": 80, "PublicPort": "80", "Type": "tcp"}),
    "a port that is true": with_ports({"PrivatePort": 80, "PublicPort": True, "Type": "tcp"}),
    "no private port": with_ports({"PublicPort": 80, "Type": "tcp"}),
    "an unknown protocol": with_ports({"PrivatePort": 80, "PublicPort": 80, "Type": "quic"}),
    "a host address that is none": with_ports({"IP": "x", "PrivatePort": 1, "PublicPort": 1}),
    "a zone in an address": container(
        NetworkSettings=on(shop={"NetworkID": NET, "GlobalIPv6Address": "fe80::1%a\n-j ACCEPT"})
    ),
    "an IPv6 address for an IPv4 one": container(
        NetworkSettings=on(shop={"NetworkID": NET, "IPAddress": "::1"})
    ),
    "an IPv4 address for an IPv6 one": container(
        NetworkSettings=on(shop={"NetworkID": NET, "GlobalIPv6Address": "192.0.2.1"})
    ),
    "networks that are a list": container(NetworkSettings={"Networks": ["shop"]}),
    "a place that is text": container(NetworkSettings={"Networks": {"shop": "here"}}),
    "labels that are a list": container(Labels=["a=b"]),
    "a label that is a number": container(Labels={"a": 1}),
    "half a letter": container(Image="\ud800"),
}


@pytest.mark.parametrize("case", BROKEN_CONTAINERS)
def test_a_broken_container_is_left_out_and_named_and_the_others_are_served(
    engine: FakeEngine, case: str
) -> None:
    engine.answers["/containers/json"] = [BROKEN_CONTAINERS[case], container(DB, "db")]
    with connected(engine) as docker:
        inventory = docker.read_inventory({}, Needs(images=True))
        (warning,) = docker.warnings
        engine.answers["/containers/json"] = [container(DB, "db")]
        docker.read_inventory({}, Needs(images=True))
        assert docker.warnings == ()
    assert [c.name for c in inventory.containers] == ["db"]
    assert warning.startswith("left out container ")
    assert "\n" not in warning


BROKEN_NETWORKS = {
    "not an object": 7,
    "without an id": network(Id=""),
    "a bridge name that is none": network(
        Options={"com.docker.network.bridge.name": 'a" accept; #'}
    ),
    "a bridge name too long": network(Options={"com.docker.network.bridge.name": "x" * 16}),
}


@pytest.mark.parametrize("case", BROKEN_NETWORKS)
def test_a_broken_network_is_left_out_and_the_others_are_served(
    engine: FakeEngine, case: str
) -> None:
    engine.answers["/networks"] = [BROKEN_NETWORKS[case], network(BACK, "back")]
    assert [n.name for n in read(engine, warned=True).networks] == ["back"]


@pytest.mark.parametrize("subnet", ["172.18.0.0", "fe80::%x/64", "172.18.0.0/33", "here"])
def test_a_broken_subnet_is_left_out_and_its_network_stays(engine: FakeEngine, subnet: str) -> None:
    pools = [{"Subnet": subnet}, {"Subnet": "fd00:18::/64"}]
    engine.answers["/networks"] = [network(IPAM={"Config": pools})]
    assert read(engine, warned=True).networks[0].subnets == (ip_network("fd00:18::/64"),)
