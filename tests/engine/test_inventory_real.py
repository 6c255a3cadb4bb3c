"""What real engines answer becomes the inventory that was set up on them."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from contextlib import closing
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Any

import pytest

from dockerfw.docker.client import Docker
from dockerfw.errors import Failed
from dockerfw.model.inventory import Container, Inventory, PublishedPort
from dockerfw.model.policy import Needs
from dockerfw.state.inventory_file import dump, load
from tests.lab.engine import IMAGE, VERSIONS, Engine, image
from tests.lab.host import Host
from tests.lab.wait import until

LABELLED = "labelled:1"
MOVING = "moving:1"
RUNNING = [
    "any-port",
    "db",
    "hostnet",
    "inside",
    "labelled",
    "linked",
    "media",
    "moved",
    "nowhere",
    "paused",
    "side",
    "two-ports",
    "web",
]


class Scene:
    """One engine with a container of every kind that the inventory knows."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.docker = engine.docker
        self._networks()
        self._containers()
        self._images()

    def _networks(self) -> None:
        pools = ["--subnet", "172.30.0.0/24", "--subnet", "fd00:30::/64"]
        name = "com.docker.network.bridge.name=shopback"
        self.docker("network", "create", "--ipv6", *pools, "front")
        self.docker("network", "create", "--subnet", "172.31.0.0/24", "-o", name, "back")
        self.docker("network", "create", "--internal", "--subnet", "172.29.0.0/24", "inner")

    def _containers(self) -> None:
        run = self.engine.container
        run("web", "--network", "front", "-p", "8080:80", "--label", "tier=front")
        self.docker("network", "connect", "back", "web")
        run("db", "--network", "back", "-p", "127.0.0.1:5432:5432", "--expose", "9999")
        run("media", "-p", "10000-10003:10000-10003/udp", "-p", "203.0.113.1:5000:9/udp")
        run("any-port", "--expose", "81", "-P")
        run("two-ports", "-p", "8081:80", "-p", "8082:80")
        run("linked", "--link", "media:alias")
        self._run(IMAGE, "--name", "side", "--network", "container:web", "-e", "PORT=8000")
        run("hostnet", "--network", "host", env={"PORT": "9191"})
        run("nowhere", "--network", "none")
        run("inside", "--network", "inner")
        run("paused", "-p", "8083:80")
        self.docker("pause", "paused")
        run("gone")
        self.docker("rm", "-f", "gone")
        run("stopped", "-p", "8084:80")
        self.docker("stop", "stopped")

    def _images(self) -> None:
        serve = f"CMD {json.dumps(['sleep', '1000'])}"
        baked = ["--change", "LABEL baked=yes tier=baked com.docker.compose.project=shop"]
        self._import(LABELLED, *baked, "--change", serve)
        self._run(LABELLED, "--name", "labelled", "--label", "own=1", "--label", "tier=own")
        self._import(MOVING, "--change", serve)
        self._run(MOVING, "--name", "moved")
        self._import(MOVING, "--change", serve, "--change", "ENV later=1")

    def _import(self, name: str, *options: str) -> None:
        self.engine.run(["docker", "import", *options, "-", name], stdin=image())

    def _run(self, name: str, *options: str) -> None:
        cgroup = f"/{self.engine._cgroup}"
        own = ["--pull", "never", "--stop-timeout", "1", "--cgroup-parent", cgroup]
        self.docker("run", "-d", *own, *options, name)

    def connect(self) -> Docker:
        return Docker.connect(f"unix://{self.engine.socket}")

    def read(self) -> Inventory:
        with closing(self.connect()) as docker:
            inventory = docker.read_inventory({}, Needs(images=True, labels=True))
            assert docker.warnings == ()
            return inventory


@pytest.fixture(scope="module", params=VERSIONS)
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    with Host() as host, Engine(host, request.param) as engine:
        scene = Scene(engine)
        yield scene
        scene.docker("unpause", "paused")  # a frozen process hears no SIGKILL


@pytest.fixture(scope="module")
def inventory(scene: Scene) -> Inventory:
    return scene.read()


def one(inventory: Inventory, name: str) -> Container:
    return next(c for c in inventory.containers if c.name == name)


def bindings(container: Container) -> set[str]:
    return {
        f"{p.host_address} {p.host_port} {p.container_port}/{p.protocol}" for p in container.ports
    }


def test_all_that_run_are_there_and_no_others(inventory: Inventory) -> None:
    assert [c.name for c in inventory.containers] == RUNNING


def test_the_engine_says_what_it_is(scene: Scene) -> None:
    with closing(scene.connect()) as docker:
        assert docker.engine.version.startswith(scene.engine.version)
        backend = "iptables" if scene.engine.version == "28.5" else None
        assert docker.engine.firewall_backend == backend
        assert docker.engine.swarm is None


def test_addresses_are_those_that_docker_gave(scene: Scene, inventory: Inventory) -> None:
    web = one(inventory, "web")
    told = scene.engine.inspect("web")["NetworkSettings"]["Networks"]
    assert {e.network: (str(e.ipv4), str(e.ipv6 or "")) for e in web.endpoints} == {
        name: (place["IPAddress"], place["GlobalIPv6Address"]) for name, place in told.items()
    }
    assert {e.network for e in inventory.endpoints(web)} == {"front", "back"}
    front = next(e for e in web.endpoints if e.network == "front")
    assert front.ipv6 in ip_network("fd00:30::/64")


def test_ports_are_those_that_docker_published(inventory: Inventory) -> None:
    assert bindings(one(inventory, "web")) == {"0.0.0.0 8080 80/tcp", ":: 8080 80/tcp"}
    assert bindings(one(inventory, "db")) == {"127.0.0.1 5432 5432/tcp"}
    udp = {f"{a} {p} {p}/udp" for a in ("0.0.0.0", "::") for p in range(10000, 10004)}
    assert bindings(one(inventory, "media")) == udp | {"203.0.113.1 5000 9/udp"}
    assert {p.host_port for p in one(inventory, "two-ports").ports} == {8081, 8082}
    chosen = one(inventory, "any-port").ports
    assert {p.container_port for p in chosen} == {81}
    assert all(p.wildcard and p.host_port >= 1024 for p in chosen)


def test_a_paused_container_still_has_its_address_and_port(inventory: Inventory) -> None:
    paused = one(inventory, "paused")
    assert {p.host_port for p in paused.ports} == {8083}
    assert inventory.endpoints(paused)[0].ipv4 is not None


def test_a_link_does_not_change_a_name(inventory: Inventory) -> None:
    assert one(inventory, "media").name == "media"
    assert "alias" not in {c.name for c in inventory.containers}


def test_a_sidecar_is_where_its_donor_is(inventory: Inventory) -> None:
    side, web = one(inventory, "side"), one(inventory, "web")
    assert side.network_owner == web.id
    assert inventory.endpoints(side) == inventory.endpoints(web)


def test_containers_without_an_address_of_their_own_have_none(inventory: Inventory) -> None:
    assert one(inventory, "hostnet").host_network
    for name in ("hostnet", "nowhere"):
        assert inventory.endpoints(one(inventory, name)) == ()
    assert not one(inventory, "nowhere").host_network


def test_bridges_are_the_interfaces_that_the_kernel_has(scene: Scene, inventory: Inventory) -> None:
    bridges = {n.name: n.bridge for n in inventory.bridges()}
    assert bridges["back"] == "shopback"
    assert bridges["bridge"] == "docker0"
    links = json.loads(scene.engine.host.run(["ip", "-j", "link", "show", "type", "bridge"]).stdout)
    assert set(bridges.values()) == {link["ifname"] for link in links}


def test_subnets_are_those_of_the_networks(inventory: Inventory) -> None:
    subnets = {n.name: set(n.subnets) for n in inventory.networks}
    assert subnets["front"] == {ip_network("172.30.0.0/24"), ip_network("fd00:30::/64")}
    assert subnets["back"] == {ip_network("172.31.0.0/24")}
    assert {n.name for n in inventory.networks if n.internal} == {"inner"}


def test_labels_of_the_image_do_not_count(inventory: Inventory) -> None:
    assert dict(one(inventory, "labelled").labels) == {"own": "1", "tier": "own"}
    assert dict(one(inventory, "web").labels) == {"tier": "front"}


def test_an_image_is_the_name_that_the_container_was_created_from(
    scene: Scene, inventory: Inventory
) -> None:
    assert one(inventory, "moved").image == MOVING
    assert one(inventory, "web").image == IMAGE
    with closing(scene.connect()) as docker:
        bare = docker.read_inventory({}, Needs())
    assert one(bare, "moved").image.startswith("sha256:")


def test_the_inventory_survives_its_file_and_a_second_reading(
    scene: Scene, inventory: Inventory
) -> None:
    assert load(dump(inventory)) == inventory
    assert scene.read() == inventory


@pytest.fixture
def empty(request: pytest.FixtureRequest) -> Iterator[Engine]:
    with Host() as host, Engine(host, request.param) as engine:
        yield engine


def read(engine: Engine) -> Inventory:
    with closing(Docker.connect(f"unix://{engine.socket}")) as docker:
        inventory = docker.read_inventory({}, Needs(images=True, labels=True))
        assert docker.warnings == ()
        return inventory


@pytest.mark.parametrize("empty", ["28.5"], indirect=True)
def test_routed_ports_and_ipv6_only_networks_of_newer_engines(empty: Engine) -> None:
    routed = "com.docker.network.bridge.gateway_mode_ipv4=routed"
    create = ("network", "create")
    empty.docker(*create, "--subnet", "172.30.0.0/24", "-o", routed, "routed")
    empty.docker(*create, "--ipv4=false", "--ipv6", "--subnet", "fd00:31::/64", "six")
    empty.container("plain", "--network", "routed", "-p", "80", "-p", "53:53/udp", "--expose", "9")
    empty.container("six", "--network", "six", "-p", "8080:80")
    inventory = read(empty)
    plain, six = one(inventory, "plain"), one(inventory, "six")
    assert plain.routed == (("tcp", 80), ("udp", 53))
    assert not any(p.host_address.version == 4 for p in plain.ports)
    (endpoint,) = inventory.endpoints(six)
    assert endpoint.ipv4 is None
    assert endpoint.ipv6 in ip_network("fd00:31::/64")
    assert PublishedPort(IPv6Address(0), 8080, 80, "tcp") in six.ports


def tasks_run(engine: Engine, count: int) -> None:
    def listed() -> bool:
        return len(engine.docker("ps", "-q").split()) >= count

    until(listed, f"{count} tasks to run", 60)


@pytest.mark.parametrize("empty", ["20.10", "28.5"], indirect=True)
def test_tasks_of_a_swarm_are_at_the_gateway_bridge_and_behind_the_mesh(empty: Engine) -> None:
    empty.docker("swarm", "init", "--advertise-addr", "203.0.113.1")
    create = ["service", "create", "-d", "--no-resolve-image"]
    empty.docker(*create, "--name", "api", "-p", "8080:80", "-p", "5353:53/udp", IMAGE)
    empty.docker(*create, "--name", "direct", "-p", "mode=host,target=80,published=9090", IMAGE)
    tasks_run(empty, 2)
    inventory = read(empty)
    tasks = {c.label("com.docker.swarm.service.name"): c for c in inventory.containers}
    assert bindings(tasks["api"]) == {"0.0.0.0 8080 80/tcp", "0.0.0.0 5353 53/udp"}
    assert "0.0.0.0 9090 80/tcp" in bindings(tasks["direct"])
    (gateway,) = inventory.endpoints(tasks["api"])
    told: Any = json.loads(empty.docker("network", "inspect", "docker_gwbridge"))
    place = told[0]["Containers"][tasks["api"].id]
    assert str(gateway.ipv4) == place["IPv4Address"].partition("/")[0]
    assert gateway.network == "docker_gwbridge"
    assert "docker_gwbridge" in {n.bridge for n in inventory.bridges()}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("empty", ["26.1"], indirect=True)
def test_an_inventory_follows_what_happens(empty: Engine) -> None:
    empty.docker("network", "create", "--subnet", "172.30.0.0/24", "front")
    web = empty.container("web", "-p", "8080:80")
    with closing(Docker.connect(f"unix://{empty.socket}")) as docker:

        def fresh() -> Inventory:
            return docker.read_inventory({}, Needs(images=True, labels=True))

        assert one(fresh(), "web").id == web.id
        empty.docker("network", "connect", "--ip", "172.30.0.9", "front", "web")
        places = {e.network: e.ipv4 for e in one(fresh(), "web").endpoints}
        assert places["front"] == IPv4Address("172.30.0.9")
        empty.docker("network", "disconnect", "bridge", "web")
        assert [e.network for e in one(fresh(), "web").endpoints] == ["front"]
        empty.docker("rename", "web", "www")
        assert [c.name for c in fresh().containers] == ["www"]
        empty.docker("rm", "-f", "www")
        assert fresh().containers == ()
        empty.docker("network", "rm", "front")
        assert "front" not in {n.name for n in fresh().networks}
        empty.stop()
        with pytest.raises(Failed, match="does not answer as it should"):
            fresh()
    gc.collect()  # the docker package leaves the socket open that nobody answered
    with pytest.raises(Failed, match=r"is Docker running\?"):
        read(empty)
