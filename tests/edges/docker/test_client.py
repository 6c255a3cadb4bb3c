"""Docker's answers become an inventory.

The answers come from a small HTTP server on a unix socket: those of engine 29 as recorded in
``tests/fixtures``, others written in the tests in the shapes of engines 20.10 to 29.
"""

from __future__ import annotations

import socket
from ipaddress import ip_network
from pathlib import Path

import pytest

from dockerfw.docker.client import Docker
from dockerfw.errors import Failed
from dockerfw.model.inventory import Inventory
from dockerfw.model.policy import Needs
from tests.edges.docker.answers import (
    BACK,
    DB,
    IMAGE,
    RECORDED,
    SIDE,
    WEB,
    attempt,
    connected,
    container,
    network,
    one,
    play,
    published,
    read,
)
from tests.fakeengine import FakeEngine


@pytest.mark.parametrize("recorded", RECORDED)
class TestEngine29:
    @pytest.fixture
    def inventory(self, engine: FakeEngine, recorded: str) -> Inventory:
        play(engine, recorded)
        image = engine.answers["/containers/json"][0]["ImageID"]
        engine.answers[f"/images/{image}/json"] = {"Config": {"Labels": None}}
        return read(engine, images=True, labels=True)

    def test_all_six_containers_are_there_by_name(self, inventory: Inventory) -> None:
        names = [c.name for c in inventory.containers]
        assert names == ["hostnet", "media", "plain", "shop-db-1", "shop-web-1", "sidecar"]

    def test_a_container_on_two_networks_has_an_endpoint_on_each(
        self, inventory: Inventory
    ) -> None:
        web = one(inventory, "shop-web-1")
        places = {(e.network, str(e.ipv4), str(e.ipv6)) for e in web.endpoints}
        assert places == {
            ("shop_back", "172.18.0.2", "None"),
            ("shop_front", "172.30.0.2", "fd00:30::2"),
        }

    def test_bindings_are_by_address_and_exposed_ports_are_none(self, inventory: Inventory) -> None:
        assert one(inventory, "shop-db-1").ports == (published("127.0.0.1", 5432, 5432),)
        assert one(inventory, "shop-web-1").ports == (
            published("0.0.0.0", 8080, 80),
            published("::", 8080, 80),
        )

    def test_a_range_is_a_port_each(self, inventory: Inventory) -> None:
        media = {p.host_port for p in one(inventory, "media").ports if p.protocol == "udp"}
        assert media == {10000, 10001, 10002, 10003}

    def test_bridges_have_their_real_names_and_subnets_of_both_families(
        self, inventory: Inventory
    ) -> None:
        front = next(n for n in inventory.networks if n.name == "shop_front")
        bridges = {n.name: n.bridge for n in inventory.bridges()}
        assert bridges == {
            "bridge": "docker0",
            "shop_back": "shopback",
            "shop_front": f"br-{front.id[:12]}",
        }
        assert front.subnets == (ip_network("172.30.0.0/24"), ip_network("fd00:30::/64"))

    def test_a_sidecar_is_at_the_addresses_of_the_owner(self, inventory: Inventory) -> None:
        sidecar, web = one(inventory, "sidecar"), one(inventory, "shop-web-1")
        assert sidecar.network_owner == web.id
        assert inventory.endpoints(sidecar) == inventory.endpoints(web) != ()
        assert inventory.published(sidecar) == web.ports

    def test_the_host_network_has_no_address_of_its_own(self, inventory: Inventory) -> None:
        hostnet = one(inventory, "hostnet")
        assert hostnet.host_network
        assert inventory.endpoints(hostnet) == ()

    def test_labels_are_those_given_to_the_container(self, inventory: Inventory) -> None:
        assert one(inventory, "shop-db-1").label("com.docker.compose.service") == "db"


def test_two_readings_of_a_shuffled_answer_are_equal(engine: FakeEngine) -> None:
    ports = [
        {"IP": address, "PrivatePort": port, "PublicPort": port, "Type": protocol}
        for address in ("0.0.0.0", "::")
        for port in (80, 53)
        for protocol in ("tcp", "udp")
    ]
    containers = [container(Ports=ports), container(DB, "db")]
    networks = [network(), network(BACK, "back")]
    engine.answers.update({"/containers/json": containers, "/networks": networks})
    first = read(engine)
    for answer in (ports, containers, networks):
        answer.reverse()
    assert read(engine) == first


def test_three_calls_serve_five_hundred_containers(engine: FakeEngine) -> None:
    engine.answers["/networks"] = [network()]
    engine.answers["/containers/json"] = [
        container(f"{n:064x}", f"web-{n}", Labels={"n": str(n)}) for n in range(500)
    ]
    engine.answers[f"/images/{IMAGE}/json"] = {"Config": {}}
    with connected(engine) as docker:
        engine.calls.clear()
        docker.read_inventory({}, Needs(images=True, labels=True))
        lists = {"/info": 1, "/containers/json": 1, "/networks": 1}
        assert engine.asked == {**lists, f"/images/{IMAGE}/json": 1}
        engine.calls.clear()
        inventory = docker.read_inventory({}, Needs(images=True, labels=True))
        assert engine.asked == lists
    assert len(inventory.containers) == 500


def test_what_is_not_needed_is_not_asked_for(engine: FakeEngine) -> None:
    engine.answers["/networks"] = [network()]
    engine.answers["/containers/json"] = [container(Image=IMAGE, Labels={"tier": "cache"})]
    read(engine)
    assert set(engine.asked) == {"/version", "/info", "/containers/json", "/networks"}


NONSENSE = ["", "<html>", "[1, 2", "7", '{"a": 1}', "null"]


@pytest.mark.parametrize("answer", NONSENSE)
@pytest.mark.parametrize("path", ["/version", "/info", "/containers/json", "/networks"])
def test_whatever_is_answered_there_is_an_inventory_or_one_sentence(
    engine: FakeEngine, path: str, answer: str
) -> None:
    engine.answers[path] = answer
    outcome = attempt(lambda: read(engine))
    if isinstance(outcome, Inventory):
        assert outcome.containers == ()
    else:
        assert engine.url in outcome
        assert "\n" not in outcome


def test_an_engine_that_goes_away_in_between_is_one_sentence(engine: FakeEngine) -> None:
    def vanish(path: str) -> None:
        if path == "/networks":
            raise ConnectionResetError

    engine.before = vanish
    with connected(engine) as docker, pytest.raises(Failed, match="does not answer as it should"):
        docker.read_inventory({}, Needs())


def test_an_engine_that_never_answers_is_one_sentence(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "s"))
        silent.listen()
        with pytest.raises(Failed, match="takes too long to answer"):
            Docker.connect(f"unix://{tmp_path}/s", timeout=0.2)


def test_since_when_a_container_runs_is_asked_for_and_who_does_not_tell_is_left_out(
    engine: FakeEngine,
) -> None:
    state = {"State": {"StartedAt": "2026-11-28T07:31:00.123456789Z"}}
    engine.answers[f"/containers/{WEB}/json"] = state
    engine.answers[f"/containers/{SIDE}/json"] = {"State": {"StartedAt": ""}}
    engine.answers[f"/containers/{DB}/json"] = 404
    with connected(engine) as docker:
        assert docker.started([WEB, SIDE, DB]) == {WEB: 1795851060.0}
