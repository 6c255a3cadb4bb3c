"""The image on a swarm of three engines: node by node, and back where a policy is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import pytest

from tests.documents import commands
from tests.engine.containers_page import follow
from tests.engine.scene import OFFICE, SOURCES, STRANGER, allow
from tests.lab import image, process
from tests.lab.engine import Engine
from tests.lab.host import HOST_V4, Host
from tests.lab.image import FOLDER, cgroups_of_its_own
from tests.lab.wait import until

pytestmark = pytest.mark.slow

NODES = 3
MANAGER = "198.18.1.1"
STACK = "/run/lab/stack"
DEPLOY, ANOTHER, AWAY = (
    block.text for block in commands("docs/containers.md", "tests/engine/test_image_swarm.py")
)
FOR_OFFICE = SOURCES + allow('to = "db"\nports = [5432]', "office")
FOR_ALL = FOR_OFFICE.replace('["office"]', '"any"')


@dataclass(frozen=True, slots=True)
class Node:
    host: Host
    engine: Engine

    def reached(self, caller: tuple[str, str]) -> bool:
        return self.host.outside.tcp(HOST_V4, 5432, source=caller[0]).reached


class Swarm:
    def __init__(self, nodes: list[Node]) -> None:
        self.nodes = nodes
        self.manager = nodes[0].engine
        self.version = 0
        self.manager.docker("swarm", "init", "--advertise-addr", MANAGER)
        token = self.manager.docker("swarm", "join-token", "-q", "worker")
        for index, node in enumerate(nodes[1:], start=1):
            own = f"198.18.{index}.2"
            join = ["swarm", "join", "--token", token, "--advertise-addr", own]
            node.engine.docker(*join, f"{MANAGER}:2377")

    def deploy(self, policy: str) -> None:
        """``docker stack deploy`` of the policy, as another version of the config."""
        self.version += 1
        host = self.nodes[0].host
        host.write(f"{STACK}/stack.yaml", (FOLDER / "stack.yaml").read_text(encoding="utf-8"))
        host.write(f"{STACK}/config.toml", policy)
        assert ANOTHER.startswith(DEPLOY.replace("VERSION=1 ", "VERSION=2 "))
        follow(host, DEPLOY.replace("VERSION=1 ", f"VERSION={self.version} "), STACK)

    def update(self) -> str:
        """How far Docker is with the last one."""
        look = ANOTHER.partition("\n")[2]
        return follow(self.nodes[0].host, look).splitlines()[-1]

    def tasks(self) -> list[int]:
        """How many each node has had."""
        argv = ["service", "ps", "--format", "{{.Name}}", "fw_dockerfw"]
        return list(Counter(self.manager.docker(*argv).split()).values())

    def healthy(self) -> int:
        """On how many nodes the container is healthy."""
        filters = ["--filter", "health=healthy", "--filter", "name=fw_dockerfw", "-q"]
        return sum(bool(node.engine.docker("ps", *filters)) for node in self.nodes)

    def open_to(self, caller: tuple[str, str]) -> int:
        """On how many nodes the database is open to them."""
        return sum(node.reached(caller) for node in self.nodes)


def join(nodes: list[Node]) -> None:
    """A wire from the first host to each other one, which reaches the others through it."""
    first = nodes[0].host
    for index, node in enumerate(nodes[1:], start=1):
        enter = ["nsenter", f"--net={first.namespaces.network}", "ip"]
        peer = ["peer", "name", "wire", "netns", str(node.host.pid)]
        process.run([*enter, "link", "add", f"wire{index}", "type", "veth", *peer])
        first.ip(f"link set wire{index} up", f"addr add 198.18.{index}.1/24 dev wire{index}")
        node.host.ip(
            "link set wire up",
            f"addr add 198.18.{index}.2/24 dev wire",
            f"route add 198.18.0.0/16 via 198.18.{index}.1",
        )


def _is_gone(node: Node) -> bool:
    return not node.engine.docker("ps", "--all", "--quiet", "--filter", "name=fw_")


@pytest.fixture(scope="module", params=["20.10"])
def swarm(request: pytest.FixtureRequest) -> Iterator[Swarm]:
    with ExitStack() as all_of_them:
        nodes = []
        for _ in range(NODES):
            host = all_of_them.enter_context(Host())
            engine = Engine(host, request.param, cgroups_of_its_own(host))
            nodes.append(Node(host, all_of_them.enter_context(engine)))
        join(nodes)
        for node in nodes:
            image.build(node.engine)
            node.engine.container("db", "-p", "5432:5432", env={"PORT": "5432"})
        yield Swarm(nodes)


def test_a_new_policy_rolls_out_node_by_node_and_a_refused_one_is_taken_back(swarm: Swarm) -> None:
    assert swarm.open_to(STRANGER) == NODES, "all is open without it"
    swarm.deploy(FOR_OFFICE)
    until(lambda: swarm.healthy() == NODES, "all nodes to be healthy", 180)
    assert (swarm.open_to(OFFICE), swarm.open_to(STRANGER)) == (NODES, 0)

    swarm.deploy(FOR_ALL)
    until(lambda: swarm.open_to(STRANGER) == 1, "the first node to have the new policy", 120)
    until(lambda: swarm.update() == "completed", "the roll-out to be complete", 300)
    assert swarm.open_to(STRANGER) == NODES

    swarm.deploy(FOR_OFFICE + "[[allow]]\nto = 5\n")
    until(lambda: swarm.update() == "rollback_completed", "the roll-out to be taken back", 300)
    assert swarm.open_to(STRANGER) == NODES, "what was in force is in force"
    assert sorted(swarm.tasks())[:2] == [2, 2], "the other nodes have not seen it"
    until(lambda: swarm.healthy() == NODES, "all nodes to be healthy", 180)

    stack, rules = AWAY.split("\n", 1)
    follow(swarm.nodes[0].host, stack)
    for node in swarm.nodes:
        until(partial(_is_gone, node), "the task to be gone", 60)
        follow(node.host, rules)
        left = node.host.run(["sh", "-c", "iptables-save; nft list tables; ipset list -n"])
        assert "dockerfw" not in left.stdout.lower()
