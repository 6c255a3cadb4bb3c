"""What Docker's lists do not show is asked once and kept."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any

import pytest

from dockerfw.model.inventory import Endpoint
from dockerfw.model.policy import Needs
from tests.edges.docker.answers import (
    DB,
    GATEWAY,
    IMAGE,
    OVERLAY,
    WEB,
    connected,
    container,
    network,
    on,
    one,
    published,
    read,
)
from tests.fakeengine import FakeEngine


def in_a_swarm(engine: FakeEngine, *, manager: bool = False) -> None:
    engine.info["Swarm"] = {"LocalNodeState": "active", "ControlAvailable": manager}
    options = {"com.docker.network.bridge.name": "docker_gwbridge"}
    pool = {"Config": [{"Subnet": "10.0.0.0/24"}]}
    engine.answers["/networks"] = [
        network(GATEWAY, "docker_gwbridge", Options=options),
        network(OVERLAY, "ingress", "overlay", IPAM=pool, Ingress=True),
    ]
    place = {"NetworkID": OVERLAY, "IPAddress": "10.0.0.3"}
    engine.answers["/containers/json"] = [
        container(
            NetworkSettings=on(ingress=place), Labels={"com.docker.swarm.service.name": "api"}
        )
    ]
    engine.answers[f"/networks/{GATEWAY}"] = {
        "Containers": {
            WEB: {"Name": "gateway_x", "IPv4Address": "172.18.0.3/16", "IPv6Address": ""},
            "ingress-sbox": {"Name": "gateway_ingress-sbox", "IPv4Address": "172.18.0.2/16"},
        }
    }
    engine.answers["/services"] = [service()]


def service(**more: Any) -> dict[str, Any]:
    ports = [
        {"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080, "PublishMode": "ingress"},
        {"Protocol": "udp", "TargetPort": 53, "PublishedPort": 5353, "PublishMode": "ingress"},
        {"Protocol": "tcp", "TargetPort": 81, "PublishedPort": 9090, "PublishMode": "host"},
        {"Protocol": "tcp", "TargetPort": 82, "PublishMode": "ingress"},
    ]
    return {"ID": "s1", "Spec": {"Name": "api"}, "Endpoint": {"Ports": ports}, **more}


MESH = (published("0.0.0.0", 8080, 80), published("0.0.0.0", 5353, 53, "udp"))


def test_a_manager_knows_the_ports_that_the_routing_mesh_publishes(engine: FakeEngine) -> None:
    in_a_swarm(engine, manager=True)
    with connected(engine) as docker:
        assert docker.engine.swarm == "manager"
        inventory = docker.read_inventory({}, Needs())
    assert one(inventory).ports == MESH


def test_a_worker_does_not_and_asks_nothing(engine: FakeEngine) -> None:
    in_a_swarm(engine)
    with connected(engine) as docker:
        assert docker.engine.swarm == "worker"
        inventory = docker.read_inventory({}, Needs())
    assert one(inventory).ports == ()
    assert engine.asked["/services"] == 0


def test_a_container_that_claims_to_be_a_task_gets_no_port_of_the_mesh(
    engine: FakeEngine,
) -> None:
    in_a_swarm(engine, manager=True)
    label = {"com.docker.swarm.service.name": "api"}
    engine.answers["/containers/json"].append(container(DB, "db", Labels=label))
    assert one(read(engine), "db").ports == ()


def test_in_a_swarm_without_a_leader_the_last_ports_known_count(engine: FakeEngine) -> None:
    in_a_swarm(engine, manager=True)
    with connected(engine) as docker:
        docker.read_inventory({}, Needs())
        del engine.answers["/services"]
        inventory = docker.read_inventory({}, Needs())
        assert "the last ones known count" in docker.warnings[0]
    assert one(inventory).ports == MESH


def test_a_broken_service_is_left_out_and_the_others_are_served(engine: FakeEngine) -> None:
    in_a_swarm(engine, manager=True)
    port = {"Protocol": "tcp", "TargetPort": 0, "PublishedPort": 80, "PublishMode": "ingress"}
    broken = {"ID": "s2", "Spec": {"Name": "b"}, "Endpoint": {"Ports": [port]}}
    engine.answers["/services"] = [7, broken, service()]
    assert one(read(engine, warned=True)).ports == MESH


def test_a_task_is_also_at_its_address_on_the_gateway_bridge(engine: FakeEngine) -> None:
    in_a_swarm(engine)
    inventory = read(engine)
    assert inventory.endpoints(one(inventory)) == (
        Endpoint("docker_gwbridge", GATEWAY, IPv4Address("172.18.0.3"), None),
    )


def test_a_container_on_the_gateway_bridge_itself_is_there_once(engine: FakeEngine) -> None:
    in_a_swarm(engine)
    place = {"NetworkID": GATEWAY, "IPAddress": "172.18.0.3"}
    engine.answers["/containers/json"] = [container(NetworkSettings=on(docker_gwbridge=place))]
    inventory = read(engine)
    assert inventory.endpoints(one(inventory)) == (
        Endpoint("docker_gwbridge", GATEWAY, IPv4Address("172.18.0.3"), None),
    )


def test_the_gateway_bridge_may_vanish_after_it_was_listed(engine: FakeEngine) -> None:
    in_a_swarm(engine)
    del engine.answers[f"/networks/{GATEWAY}"]
    inventory = read(engine)
    assert inventory.endpoints(one(inventory)) == ()


def test_an_image_whose_tag_moved_is_known_by_the_name_it_was_created_from(
    engine: FakeEngine,
) -> None:
    engine.answers["/containers/json"] = [container(Image=IMAGE)]
    engine.answers[f"/containers/{WEB}/json"] = {"Config": {"Image": "registry:5000/nginx:1"}}
    with connected(engine) as docker:
        for _ in range(3):
            inventory = docker.read_inventory({}, Needs(images=True))
            assert one(inventory).image == "registry:5000/nginx:1"
    assert engine.asked[f"/containers/{WEB}/json"] == 1


LABELS = {
    "given to the container": ({"tier": "cache"}, {}, {"tier": "cache"}),
    "baked into the image": ({"tier": "cache"}, {"tier": "cache"}, {}),
    "baked in, then overridden": ({"tier": "db"}, {"tier": "cache"}, {"tier": "db"}),
    "some of each": ({"a": "1", "b": "2"}, {"b": "2", "c": "3"}, {"a": "1"}),
    "an image that claims to be of a project": (
        {"com.docker.compose.project": "shop"},
        {"com.docker.compose.project": "shop"},
        {},
    ),
}


@pytest.mark.parametrize("case", LABELS)
def test_labels_of_the_image_do_not_count(engine: FakeEngine, case: str) -> None:
    labels, of_image, expected = LABELS[case]
    engine.answers["/containers/json"] = [container(Labels=labels)]
    engine.answers[f"/images/{IMAGE}/json"] = {"Config": {"Labels": of_image}}
    assert dict(one(read(engine, labels=True)).labels) == expected


@pytest.mark.parametrize("answer", [{}, {"Config": None}, {"Config": {"Labels": None}}])
def test_an_image_without_labels_takes_none_away(
    engine: FakeEngine, answer: dict[str, Any]
) -> None:
    engine.answers["/containers/json"] = [container(Labels={"tier": "cache"})]
    engine.answers[f"/images/{IMAGE}/json"] = answer
    assert one(read(engine, labels=True)).label("tier") == "cache"


def test_when_the_image_is_gone_no_label_counts_and_that_is_said(engine: FakeEngine) -> None:
    engine.answers["/containers/json"] = [container(Labels={"tier": "cache"})]
    engine.answers[f"/images/{IMAGE}/json"] = 404
    assert one(read(engine, labels=True, warned=True)).labels == ()


def test_a_port_published_in_routed_mode_is_asked_for_once(engine: FakeEngine) -> None:
    mode = {"com.docker.network.bridge.gateway_mode_ipv4": "routed"}
    engine.answers["/networks"] = [network(Options=mode)]
    engine.answers["/containers/json"] = [container()]
    engine.answers[f"/containers/{WEB}/json"] = {
        "NetworkSettings": {
            "Ports": {
                "80/tcp": [{"HostIp": "", "HostPort": ""}],
                "53/udp": [{"HostIp": "::", "HostPort": "53"}, {"HostIp": "", "HostPort": ""}],
                "443/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8443"}],
                "9999/tcp": None,
            }
        }
    }
    with connected(engine) as docker:
        for _ in range(2):
            inventory = docker.read_inventory({}, Needs())
            assert one(inventory).routed == (("tcp", 80), ("udp", 53))
    assert engine.asked[f"/containers/{WEB}/json"] == 1


def test_a_container_that_waits_for_its_next_start_has_the_ports_that_it_will_have(
    engine: FakeEngine,
) -> None:
    """Those that nobody can tell before are not among them."""
    engine.answers["/containers/json"] = [container(State="restarting")]
    engine.answers[f"/containers/{WEB}/json"] = {
        "HostConfig": {
            "PortBindings": {
                "80/tcp": [{"HostIp": "", "HostPort": "8080"}],
                "53/udp": [{"HostIp": "192.0.2.1", "HostPort": "53"}, {"HostPort": ""}],
                "81/tcp": [{"HostIp": "", "HostPort": "8100-8110"}],
                "82/tcp": None,
            }
        }
    }
    assert one(read(engine)).ports == (
        published("0.0.0.0", 8080, 80),
        published("::", 8080, 80),
        published("192.0.2.1", 53, 53, "udp"),
    )


def test_what_is_kept_of_a_container_is_forgotten_with_it(engine: FakeEngine) -> None:
    mode = {"com.docker.network.bridge.gateway_mode_ipv4": "routed"}
    engine.answers["/networks"] = [network(Options=mode)]
    engine.answers["/containers/json"] = [container(Image=IMAGE, Labels={"a": "b"})]
    engine.answers[f"/images/{IMAGE}/json"] = {}
    engine.answers[f"/containers/{WEB}/json"] = {"Config": {"Image": "nginx:1"}}
    with connected(engine) as docker:
        details = docker._details
        docker.read_inventory({}, Needs(images=True, labels=True))
        assert [len(kept) for kept in (details._image_names, details._image_labels)] == [1, 1]
        assert len(details._routed) == 1
        engine.answers["/containers/json"] = []
        docker.read_inventory({}, Needs(images=True, labels=True))
        assert [details._image_names, details._image_labels, details._routed] == [{}, {}, {}]


def test_an_image_described_in_a_strange_way_costs_only_its_own_containers_their_labels(
    engine: FakeEngine,
) -> None:
    other = "sha256:" + "9" * 64
    engine.answers["/containers/json"] = [
        container(Labels={"tier": "cache"}),
        container(DB, "db", Labels={"tier": "db"}, ImageID=other),
    ]
    engine.answers[f"/images/{IMAGE}/json"] = {"Config": {"Labels": ["tier=cache"]}}
    engine.answers[f"/images/{other}/json"] = {"Config": {}}
    inventory = read(engine, labels=True, warned=True)
    assert {c.name: dict(c.labels) for c in inventory.containers} == {
        "web": {},
        "db": {"tier": "db"},
    }
