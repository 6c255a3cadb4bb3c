"""Docker's answers become an inventory; engines that are not ours are refused in one sentence.

The answers come from a small HTTP server on a unix socket: those of engine 29 as recorded in
``tests/fixtures``, others written here in the shapes of engines 20.10 to 29.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any

import pytest

from dockerfw.docker.client import Docker
from dockerfw.errors import Failed
from dockerfw.model.inventory import Container, Endpoint, Inventory, PublishedPort
from dockerfw.model.policy import Needs
from tests.paths import FIXTURES

RECORDED = ("engine-29-iptables", "engine-29-nftables")
WEB, DB, SIDE = "1" * 64, "2" * 64, "3" * 64
NET, BACK, OVERLAY, GATEWAY, HOSTNET = "a" * 64, "b" * 64, "c" * 64, "d" * 64, "e" * 64
IMAGE = "sha256:" + "f" * 64


class Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing: what counts is what the client makes of a broken connection."""


class FakeEngine:
    """An engine whose answers are the test's: path without version -> JSON, or text as it is."""

    def __init__(self, path: Path) -> None:
        self.url = f"unix://{path}"
        self.asked: Counter[str] = Counter()
        self.before: Callable[[str], None] = lambda _: None
        self.answers: dict[str, Any] = {
            "/version": {"Version": "26.1.5", "ApiVersion": "1.45", "Os": "linux"},
            "/info": {
                "OSType": "linux",
                "KernelVersion": os.uname().release,
                "SecurityOptions": ["name=seccomp,profile=builtin"],
            },
            "/containers/json": [],
            "/networks": [],
        }
        self.server = Server(str(path), self._handler())
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def play(self, recorded: str) -> None:
        folder = FIXTURES / recorded
        for path, name in (
            ("/version", "version"),
            ("/info", "info"),
            ("/containers/json", "containers"),
            ("/networks", "networks"),
        ):
            self.answers[path] = json.loads((folder / f"{name}.json").read_text())
        self.answers["/info"]["KernelVersion"] = os.uname().release

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        engine = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                if path.startswith("/v1."):
                    path = path[path.index("/", 1) :]
                engine.asked[path] += 1
                engine.before(path)
                answer = engine.answers.get(path)
                body = answer if isinstance(answer, str) else json.dumps(answer)
                if answer is None:
                    body = json.dumps({"message": "no such thing"})
                self.send_response(404 if answer is None else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body.encode())))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: object) -> None:
                pass

        return Handler


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[FakeEngine]:
    # A socket's path is short: pytest's own folders may be too deep.
    fake = FakeEngine(tmp_path / "s")
    yield fake
    fake.close()


@pytest.fixture(autouse=True)
def no_docker_of_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))


@contextmanager
def connected(engine: FakeEngine) -> Iterator[Docker]:
    docker = Docker.connect(engine.url, timeout=10)
    try:
        yield docker
    finally:
        docker.close()


def read(
    engine: FakeEngine, *, images: bool = False, labels: bool = False, warned: bool = False
) -> Inventory:
    with connected(engine) as docker:
        inventory = docker.read_inventory({}, Needs(images=images, labels=labels))
        assert bool(docker.warnings) == warned, docker.warnings
        return inventory


def attempt(act: Callable[[], Inventory]) -> Inventory | str:
    """What came out, or the sentence of why nothing did; any other error is a bug."""
    try:
        return act()
    except Failed as error:
        return str(error)


def network(
    network_id: str = NET, name: str = "shop", driver: str = "bridge", **more: Any
) -> dict[str, Any]:
    config = [{"Subnet": "172.18.0.0/16", "Gateway": "172.18.0.1"}]
    return {
        "Name": name,
        "Id": network_id,
        "Driver": driver,
        "IPAM": {"Config": config},
        "Internal": False,
        "Options": {},
        **more,
    }


def container(
    container_id: str = WEB, name: str = "web", mode: str = "shop", **more: Any
) -> dict[str, Any]:
    place = {"NetworkID": NET, "EndpointID": "ep-" + name, "IPAddress": "172.18.0.2"}
    return {
        "Id": container_id,
        "Names": ["/" + name],
        "Image": "nginx:1",
        "ImageID": IMAGE,
        "Labels": {},
        "State": "running",
        "Ports": [],
        "HostConfig": {"NetworkMode": mode},
        "NetworkSettings": {"Networks": {"shop": place}},
        **more,
    }


def with_ports(*entries: dict[str, Any]) -> dict[str, Any]:
    return container(Ports=list(entries))


def on(**places: dict[str, Any]) -> dict[str, Any]:
    return {"Networks": places}


def published(address: str, host: int, inner: int, protocol: Any = "tcp") -> PublishedPort:
    return PublishedPort(ip_address(address), host, inner, protocol)


def one(inventory: Inventory, name: str = "web") -> Container:
    return next(c for c in inventory.containers if c.name == name)


# --- engine 29, as recorded ----------------------------------------------------------------------


@pytest.mark.parametrize("recorded", RECORDED)
class TestEngine29:
    @pytest.fixture
    def inventory(self, engine: FakeEngine, recorded: str) -> Inventory:
        engine.play(recorded)
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


@pytest.mark.parametrize(
    ("recorded", "backend"), [(RECORDED[0], "iptables"), (RECORDED[1], "nftables")]
)
def test_what_engine_29_says_of_itself(engine: FakeEngine, recorded: str, backend: str) -> None:
    engine.play(recorded)
    with connected(engine) as docker:
        info = docker.engine
    assert (info.version, info.api_version, info.firewall_backend) == (
        "29.9.0-dev",
        "1.56",
        backend,
    )
    assert info.swarm is None
    assert not info.live_restore


def test_an_engine_before_28_1_has_no_label_for_its_firewall(engine: FakeEngine) -> None:
    engine.answers["/info"]["LiveRestoreEnabled"] = True
    with connected(engine) as docker:
        assert docker.engine.firewall_backend is None
        assert docker.engine.live_restore


# --- ports ---------------------------------------------------------------------------------------

PORTS = {
    "one address": (
        [{"IP": "192.0.2.10", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"}],
        [("192.0.2.10", 8080, 80, "tcp")],
    ),
    "no address at all is both wildcards": (
        [{"PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"}],
        [("0.0.0.0", 8080, 80, "tcp"), ("::", 8080, 80, "tcp")],
    ),
    "an empty address is both wildcards": (
        [{"IP": "", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"}],
        [("0.0.0.0", 8080, 80, "tcp"), ("::", 8080, 80, "tcp")],
    ),
    "exposed only, engines to 28": ([{"PrivatePort": 9999, "Type": "tcp"}], []),
    "exposed only, engine 29": ([{"IP": "", "PrivatePort": 9999, "Type": "tcp"}], []),
    "routed mode, engines to 28": (
        [{"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 0, "Type": "tcp"}],
        [],
    ),
    "the same port twice": (
        [{"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"}] * 2,
        [("0.0.0.0", 8080, 80, "tcp")],
    ),
    "udp and sctp": (
        [
            {"IP": "::", "PrivatePort": 53, "PublicPort": 53, "Type": "udp"},
            {"IP": "0.0.0.0", "PrivatePort": 9, "PublicPort": 49153, "Type": "sctp"},
        ],
        [("0.0.0.0", 49153, 9, "sctp"), ("::", 53, 53, "udp")],
    ),
    "two host ports of one container port": (
        [
            {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8081, "Type": "tcp"},
            {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
        ],
        [("0.0.0.0", 8080, 80, "tcp"), ("0.0.0.0", 8081, 80, "tcp")],
    ),
    "null instead of a list": (None, []),
}


@pytest.mark.parametrize("case", PORTS)
def test_published_ports(engine: FakeEngine, case: str) -> None:
    entries, expected = PORTS[case]
    engine.answers["/containers/json"] = [container(Ports=entries)]
    assert one(read(engine)).ports == tuple(published(*port) for port in expected)


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


# --- names, networks, owners of networks ---------------------------------------------------------


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


def test_an_endpoint_has_the_name_of_its_network_and_not_of_its_key(engine: FakeEngine) -> None:
    engine.answers["/networks"] = [network()]
    place = {"NetworkID": NET, "IPAddress": "172.18.0.2"}
    engine.answers["/containers/json"] = [container(NetworkSettings={"Networks": {NET: place}})]
    assert [e.network for e in one(read(engine)).endpoints] == ["shop"]


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


# --- swarm ---------------------------------------------------------------------------------------


def in_a_swarm(engine: FakeEngine, *, manager: bool = False) -> None:
    engine.answers["/info"]["Swarm"] = {"LocalNodeState": "active", "ControlAvailable": manager}
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


# --- images and labels ---------------------------------------------------------------------------


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
    assert one(read(engine, labels=True, warned=True)).labels == ()


def test_hostile_names_and_labels_are_carried_as_they_are(engine: FakeEngine) -> None:
    hostile = "\n-A INPUT -j ACCEPT\"'`$(id)\x1b[2J\u202e" + "x" * 65536
    engine.answers["/containers/json"] = [
        container(Names=["/" + hostile], Labels={hostile: hostile}, Image=hostile)
    ]
    engine.answers[f"/images/{IMAGE}/json"] = {}
    only = one(read(engine, labels=True), hostile)
    assert only.labels == ((hostile, hostile),)
    assert only.image == hostile


# --- how much is asked ---------------------------------------------------------------------------


def test_three_calls_serve_five_hundred_containers(engine: FakeEngine) -> None:
    engine.answers["/networks"] = [network()]
    engine.answers["/containers/json"] = [
        container(f"{n:064x}", f"web-{n}", Labels={"n": str(n)}) for n in range(500)
    ]
    engine.answers[f"/images/{IMAGE}/json"] = {"Config": {}}
    with connected(engine) as docker:
        engine.asked.clear()
        docker.read_inventory({}, Needs(images=True, labels=True))
        lists = {"/info": 1, "/containers/json": 1, "/networks": 1}
        assert engine.asked == {**lists, f"/images/{IMAGE}/json": 1}
        engine.asked.clear()
        inventory = docker.read_inventory({}, Needs(images=True, labels=True))
        assert engine.asked == lists
    assert len(inventory.containers) == 500


def test_what_is_kept_of_a_container_is_forgotten_with_it(engine: FakeEngine) -> None:
    mode = {"com.docker.network.bridge.gateway_mode_ipv4": "routed"}
    engine.answers["/networks"] = [network(Options=mode)]
    engine.answers["/containers/json"] = [container(Image=IMAGE, Labels={"a": "b"})]
    engine.answers[f"/images/{IMAGE}/json"] = {}
    engine.answers[f"/containers/{WEB}/json"] = {"Config": {"Image": "nginx:1"}}
    with connected(engine) as docker:
        docker.read_inventory({}, Needs(images=True, labels=True))
        assert [len(kept) for kept in (docker._image_names, docker._image_labels)] == [1, 1]
        assert len(docker._routed) == 1
        engine.answers["/containers/json"] = []
        docker.read_inventory({}, Needs(images=True, labels=True))
        assert [docker._image_names, docker._image_labels, docker._routed] == [{}, {}, {}]


def test_what_is_not_needed_is_not_asked_for(engine: FakeEngine) -> None:
    engine.answers["/networks"] = [network()]
    engine.answers["/containers/json"] = [container(Image=IMAGE, Labels={"tier": "cache"})]
    read(engine)
    assert set(engine.asked) == {"/version", "/info", "/containers/json", "/networks"}


# --- a world that changes, and answers that make no sense ----------------------------------------


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


# --- which engine --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("api", "minimum"), [("1.41", "1.12"), ("1.45", "1.24"), ("1.52", "1.44"), ("1.55", "1.40")]
)
def test_every_engine_is_spoken_to_in_a_version_that_it_knows(
    engine: FakeEngine, api: str, minimum: str
) -> None:
    engine.answers["/version"].update(ApiVersion=api, MinAPIVersion=minimum)
    with connected(engine) as docker:
        assert docker.engine.api_version == api
        docker.read_inventory({}, Needs())
    assert engine.asked["/networks"] == 1


def test_the_socket_is_the_one_of_the_option_then_of_the_environment(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", engine.url)
    Docker.connect().close()
    Docker.connect("").close()
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2375")
    Docker.connect(engine.url).close()
    with pytest.raises(Failed, match="remote"):
        Docker.connect()


@pytest.mark.parametrize(
    "url", ["tcp://192.0.2.1:2376", "ssh://ops@docker.example", "https://192.0.2.1:2376"]
)
def test_a_remote_engine_is_refused(url: str) -> None:
    with pytest.raises(Failed, match=r"remote engine.*dockerfw -H .* inventory"):
        Docker.connect(url)


def test_a_remote_engine_may_be_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "tcp://docker.example:2376"
    asked: list[dict[str, Any]] = []

    class Client:
        def __init__(self, **options: Any) -> None:
            asked.append(options)

        def close(self) -> None:
            asked.clear()

        def version(self) -> dict[str, Any]:
            return {"Version": "28.5.2", "ApiVersion": "1.51", "Os": "linux"}

        def info(self) -> dict[str, Any]:
            return {"OSType": "linux", "KernelVersion": "2.6.32"}

    monkeypatch.setattr("dockerfw.docker.client.APIClient", Client)
    assert Docker.connect(url, remote_ok=True).engine.version == "28.5.2"
    assert asked[0]["base_url"] == url
    assert asked[0]["version"] == "auto"
    monkeypatch.setattr(Client, "info", lambda _: {"SecurityOptions": ["name=rootless"]})
    with pytest.raises(Failed, match="rootless"):
        Docker.connect(url, remote_ok=True)
    assert asked == [], "the connection to a refused engine stays open"


@pytest.mark.parametrize(
    "url",
    [
        "garbage",
        "/run/docker.sock",
        "unix://",
        "unix://docker.sock",
        "npipe:////./pipe/docker_engine",
        "fd://",
        "tcp://",
        "tcp://[",
        "tcp://192.0.2.1:port",
        "://",
        " ",
        "docker\n.sock",
    ],
)
@pytest.mark.parametrize("remote_ok", [False, True])
def test_an_address_that_is_none_is_refused_with_what_to_write(
    url: str, *, remote_ok: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", url)
    with pytest.raises(Failed, match="is no address of Docker: write -H unix:") as caught:
        Docker.connect(remote_ok=remote_ok)
    assert "\n" not in str(caught.value)


def test_broken_certificates_are_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", "/nonexistent")
    with pytest.raises(Failed, match="DOCKER_CERT_PATH"):
        Docker.connect("tcp://192.0.2.1:2376", remote_ok=True)


def test_an_engine_over_ssh_needs_a_package_that_may_be_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dockerfw.docker.client.find_spec", lambda _: None)
    with pytest.raises(Failed, match="needs the Python package paramiko: install it"):
        Docker.connect("ssh://ops@docker.example", remote_ok=True)


def test_a_socket_that_is_forwarded_from_elsewhere_may_be_recorded(engine: FakeEngine) -> None:
    engine.answers["/info"]["KernelVersion"] = "2.6.32"
    Docker.connect(engine.url, remote_ok=True).close()
    with pytest.raises(Failed, match="another kernel"):
        Docker.connect(engine.url)


def test_a_missing_socket_says_how_to_start_docker(tmp_path: Path) -> None:
    with pytest.raises(Failed, match=r"is Docker running\? .*systemctl start docker"):
        Docker.connect(f"unix://{tmp_path}/none.sock")


@pytest.mark.parametrize("kind", ["a file", "a dead socket", "a path too long"])
def test_nobody_behind_a_socket_is_one_sentence(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "s"
    if kind == "a file":
        path.touch()
    elif kind == "a dead socket":
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
    else:
        path = tmp_path / ("x" * 200)
    with pytest.raises(Failed, match="nobody answers at") as caught:
        Docker.connect(f"unix://{path}")
    assert "\n" not in str(caught.value)


def test_no_permission_says_who_may(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("socket.socket.connect", refuse)
    with pytest.raises(Failed, match="run as root, or as a member of the group docker"):
        Docker.connect(engine.url)


STRANGERS = {
    "rootless Docker": (
        "rootless",
        {},
        {"SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless"]},
    ),
    "rootless Docker with more to say": (
        "rootless",
        {},
        {"SecurityOptions": ["name=rootless,profile=x"]},
    ),
    "Podman": ("Podman", {"Components": [{"Name": "Podman Engine", "Version": "4.9.4"}]}, {}),
    "Podman by its information": ("Podman", {}, {"BuildahVersion": "1.33.7"}),
    "Windows containers": ("Windows", {"Os": "windows"}, {"OSType": "windows"}),
    "Docker in a virtual machine": (
        "another kernel",
        {},
        {"KernelVersion": "3.10.0-linuxkit", "OperatingSystem": "Docker Desktop"},
    ),
}


@pytest.mark.parametrize("case", STRANGERS)
def test_an_engine_whose_packets_do_not_pass_here_is_refused(engine: FakeEngine, case: str) -> None:
    word, version, info = STRANGERS[case]
    engine.answers["/version"].update(version)
    engine.answers["/info"].update(info)
    with pytest.raises(Failed, match=word) as caught:
        Docker.connect(engine.url)
    assert engine.url in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_engine_that_came_back_as_another_kind_is_refused_too(engine: FakeEngine) -> None:
    with connected(engine) as docker:
        engine.answers["/info"]["SecurityOptions"] = ["name=rootless"]
        with pytest.raises(Failed, match="rootless"):
            docker.read_inventory({}, Needs())


@pytest.mark.parametrize(
    ("release", "theirs"), [("6.8-rc1", "6.8.0-rc1"), ("6.18.44-custom+", "6.18.44-custom+")]
)
def test_a_kernel_is_the_same_however_docker_writes_it(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, release: str, theirs: str
) -> None:
    uname = os.uname()
    fields = [uname.sysname, uname.nodename, release, uname.version, uname.machine]
    monkeypatch.setattr("os.uname", lambda: os.uname_result(fields))
    engine.answers["/info"]["KernelVersion"] = theirs
    Docker.connect(engine.url).close()


@pytest.mark.parametrize("text", ["[]", "{", '{"proxies": 7}', '{"HttpHeaders": []}'])
def test_a_broken_configuration_of_the_docker_command_is_no_traceback(
    engine: FakeEngine, tmp_path: Path, text: str
) -> None:
    (tmp_path / "config.json").write_text(text)
    outcome = attempt(lambda: read(engine))
    assert isinstance(outcome, Inventory) or "\n" not in outcome


def test_proxies_of_the_environment_are_not_used_for_a_socket(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://192.0.2.1:3128")
    read(engine)
    assert engine.asked["/networks"] == 1
