"""Docker's JSON of containers becomes containers."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address, ip_network

import pytest

from dockerfw.model.inventory import Endpoint
from tests.edges.docker.answers import (
    DB,
    HOSTNET,
    IMAGE,
    NET,
    SIDE,
    WEB,
    container,
    network,
    on,
    one,
    read,
)
from tests.fakeengine import FakeEngine


@pytest.mark.parametrize(
    "names", [["/db/alias", "/web", "/x/y/z"], ["/web"], ["/web", "/api/backend"]]
)
def test_the_name_is_the_one_with_one_slash(engine: FakeEngine, names: list[str]) -> None:
    engine.answers["/containers/json"] = [container(Names=names)]
    assert one(read(engine)).name == "web"


@pytest.mark.parametrize("names", [None, [], ["/a/b"]])
def test_without_a_name_of_its_own_it_has_the_beginning_of_its_id(
    engine: FakeEngine, names: list[str] | None
) -> None:
    engine.answers["/containers/json"] = [container(Names=names)]
    assert [c.name for c in read(engine).containers] == [WEB[:12]]


@pytest.mark.parametrize(
    "reference", [WEB, "web", WEB[:12]], ids=["by id", "by name", "by the beginning of its id"]
)
def test_a_donor_is_found(engine: FakeEngine, reference: str) -> None:
    sidecar = container(SIDE, "side", f"container:{reference}", NetworkSettings=on())
    engine.answers["/containers/json"] = [sidecar, container()]
    engine.answers["/networks"] = [network()]
    inventory = read(engine)
    assert one(inventory, "side").network_owner == WEB
    assert inventory.endpoints(one(inventory, "side")) == one(inventory).endpoints


def test_a_donor_that_does_not_run_leaves_no_address(engine: FakeEngine) -> None:
    sidecar = container(SIDE, "side", f"container:{DB}", NetworkSettings=on())
    engine.answers["/containers/json"] = [sidecar]
    engine.answers["/networks"] = [network()]
    inventory = read(engine)
    assert one(inventory, "side").network_owner == DB
    assert inventory.endpoints(one(inventory, "side")) == ()


def test_an_ipv6_only_container_has_no_ipv4_address(engine: FakeEngine) -> None:
    place = {"NetworkID": NET, "IPAddress": "", "GlobalIPv6Address": "fd00:18::2"}
    engine.answers["/networks"] = [network(IPAM={"Config": [{"Subnet": "fd00:18::/64"}]})]
    engine.answers["/containers/json"] = [container(NetworkSettings=on(shop=place))]
    inventory = read(engine)
    assert inventory.endpoints(one(inventory)) == (
        Endpoint("shop", NET, None, IPv6Address("fd00:18::2")),
    )
    assert inventory.networks[0].subnets == (ip_network("fd00:18::/64"),)


@pytest.mark.parametrize("state", ["paused", "restarting"])
def test_a_container_that_is_paused_or_restarting_counts(engine: FakeEngine, state: str) -> None:
    engine.answers["/containers/json"] = [container(State=state)]
    assert one(read(engine)).endpoints[0].ipv4 == ip_address("172.18.0.2")


def test_a_swarm_task_on_the_host_network_is_known_by_the_network(engine: FakeEngine) -> None:
    engine.answers["/networks"] = [network(HOSTNET, "host", "host", IPAM={"Config": None})]
    place = {"NetworkID": HOSTNET, "IPAddress": ""}
    engine.answers["/containers/json"] = [container(mode="default", NetworkSettings=on(host=place))]
    assert one(read(engine)).host_network


def test_an_endpoint_has_the_name_of_its_network_and_not_of_its_key(engine: FakeEngine) -> None:
    engine.answers["/networks"] = [network()]
    place = {"NetworkID": NET, "IPAddress": "172.18.0.2"}
    engine.answers["/containers/json"] = [container(NetworkSettings={"Networks": {NET: place}})]
    assert [e.network for e in one(read(engine)).endpoints] == ["shop"]


def test_hostile_names_and_labels_are_carried_as_they_are(engine: FakeEngine) -> None:
    hostile = "\n-A INPUT -j ACCEPT\"'`$(id)\x1b[2J\u202e" + "x" * 65536
    engine.answers["/containers/json"] = [
        container(Names=["/" + hostile], Labels={hostile: hostile}, Image=hostile)
    ]
    engine.answers[f"/images/{IMAGE}/json"] = {}
    only = one(read(engine, labels=True), hostile)
    assert only.labels == ((hostile, hostile),)
    assert only.image == hostile
