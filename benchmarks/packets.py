"""What a packet costs: hosts side by side, measured in turns, as ratios to a host without dockerfw.

Prints figures and asserts nothing. Run as root from the root of the repository::

    python -m benchmarks.packets [--rounds N]

Each host is a throwaway one with bridges and rules as Docker writes them (`tests.packets.scene`).
In each round each host has some tenths of a second for each kind of load, in an order that
changes; what counts is the processor time of both ends and of all that is between them. A ratio
compares two hosts in the same round: 0.95 is 95 % of the connections in the same time. Printed
are the median of the ratios, and between which two the median of all lies with 95 % certainty.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from ipaddress import IPv4Address, ip_network
from typing import NamedTuple

from benchmarks.figures import Figure, median, share
from dockerfw.model.inventory import Inventory, PublishedPort
from dockerfw.model.policy import Policy
from dockerfw.operations.bridge_owners import by_answer
from tests import build
from tests.lab.guard import LabError
from tests.lab.host import HOST_V4
from tests.lab.place import Place
from tests.lab.wait import until
from tests.packets.scene import Scene, at

SECTION = "packets"
SLICE = 0.2
SERVER_PORT = 8050
PUBLISHED = 18050
GUEST_BRIDGE = "virbr0"
GUEST = "10.77.0.2"
_ALONE = "Docker alone"


class Load(NamedTuple):
    name: str
    kind: str
    address: str
    port: int


LOADS = (
    Load("new connections, published port", "connections", HOST_V4, PUBLISHED),
    Load("request and answer, published port", "requests", HOST_V4, PUBLISHED),
    Load("new connections, somebody else's guest", "connections", GUEST, SERVER_PORT),
    Load("request and answer, somebody else's guest", "requests", GUEST, SERVER_PORT),
)


class Process:
    """A Python in a place that answers lines; ``call`` is a call of `benchmarks.load`."""

    def __init__(self, place: Place, call: str) -> None:
        argv = [sys.executable, "-S", "-c", f"from benchmarks.load import *; {call}"]
        pipe = subprocess.PIPE
        self._child = place.start(argv, stdin=pipe, stdout=pipe, stderr=None)

    def ask(self, question: str = "") -> str:
        stdin, stdout = self._child.stdin, self._child.stdout
        if stdin is None or stdout is None:
            raise LabError("this process has no pipes")
        stdin.write(question + "\n")
        stdin.flush()
        return stdout.readline()


class Bench:
    """The two ends of the loads of one host."""

    def __init__(self, scene: Scene, *servers: Place) -> None:
        self.scene = scene
        self._client = Process(scene.outside, "load()")
        self._servers = [Process(place, f"serve({SERVER_PORT})") for place in servers]
        for load in LOADS:
            self._wait(scene, load)

    @staticmethod
    def _wait(scene: Scene, load: Load) -> None:
        until(lambda: scene.outside.tcp(load.address, load.port).reached, f"{load} to be answered")

    def cost(self, load: Load, seconds: float) -> float:
        """Processor time for each, in microseconds."""
        order = {"kind": load.kind, "address": load.address, "port": load.port, "seconds": seconds}
        before = self._served()
        done, used = json.loads(self._client.ask(json.dumps(order)))
        return float((used + self._served() - before) / done) * 1e6

    def _served(self) -> float:
        return sum(float(server.ask()) for server in self._servers)


@contextmanager
def host(policy: Policy | None, ports: int = 0, by_hand: str = "") -> Iterator[Bench]:
    """A host with ``policy`` in force, or Docker's rules alone; ``ports`` more are published.

    ``by_hand``: rules of DOCKER-USER, as iptables-restore takes them.
    """
    with Scene() as scene:
        scene.host.bridge(GUEST_BRIDGE, "10.77.0.1/24")
        guest = scene.host.container("guest", {GUEST_BRIDGE: [f"{GUEST}/24"]}, by_docker=False)
        web = scene.places["web"]
        web.quiet()
        nat = f"-p tcp --dport {PUBLISHED} -j DNAT --to-destination {at('web', 4)}:{SERVER_PORT}"
        scene.iptables(4, "-t", "nat", "-A", "DOCKER", *nat.split())
        if by_hand:
            restore = ["iptables-restore", "--noflush"]
            scene.host.run(restore, stdin=f"*filter\n:DOCKER-USER - [0:0]\n{by_hand}COMMIT\n")
        if policy is not None:
            inventory = _with_ports(scene.inventory, ports)
            facts = by_answer(scene.reconciler.kernel.facts(), inventory)
            scene.reconciler.commit(policy, inventory, facts)
        yield Bench(scene, web, guest)


def _with_ports(inventory: Inventory, ports: int) -> Inventory:
    everywhere = IPv4Address("0.0.0.0")
    mine = PublishedPort(everywhere, PUBLISHED, SERVER_PORT, "tcp")
    more = [PublishedPort(everywhere, 20000 + n, 20000 + n, "tcp") for n in range(ports)]
    containers = [
        replace(one, ports=(*one.ports, mine, *more)) if one.name == "web" else one
        for one in inventory.containers
    ]
    return replace(inventory, containers=tuple(containers))


def one_rule() -> Policy:
    return build.policy(build.allow("203.0.113.0/24", to="web", ports=SERVER_PORT))


def many() -> Policy:
    """5,000 ports are in use and one rule's sources are a list of 100,000 networks."""
    lines = [str(ip_network((0x0B000000 + 512 * n, 24))) for n in range(100_000)]
    sources = ("203.0.113.0/24", build.address_list("block.netset", *lines))
    return build.policy(build.allow(*sources, to="web", ports=(SERVER_PORT, "20000-24999")))


def linear() -> str:
    """5,000 networks kept out with a rule each, as people write them by hand."""
    rules = (f"-s {ip_network((0x0B000000 + 512 * n, 24))} -j DROP" for n in range(5000))
    return "".join(f"-A DOCKER-USER {rule}\n" for rule in rules)


HOSTS: dict[str, Callable[[ExitStack], Bench]] = {
    _ALONE: lambda stack: stack.enter_context(host(None)),
    "one rule": lambda stack: stack.enter_context(host(one_rule())),
    "5,000 ports, 100,000 networks": lambda stack: stack.enter_context(host(many(), 5000)),
    "5,000 rules by hand": lambda stack: stack.enter_context(host(None, by_hand=linear())),
}


def measure(rounds: int) -> list[Figure]:
    """Of each load what it takes with Docker alone, and each other host's share of that."""
    costs: dict[tuple[str, str], list[float]] = {}
    with ExitStack() as stack:
        benches = {name: begin(stack) for name, begin in HOSTS.items()}
        for bench in benches.values():
            for load in LOADS:
                bench.cost(load, SLICE)
        names = list(benches)
        for turn in range(rounds):
            for load in LOADS:
                for place in range(len(names)):
                    name = names[(turn + place) % len(names)]
                    costs.setdefault((load.name, name), []).append(benches[name].cost(load, SLICE))
    found = []
    for load in LOADS:
        alone = costs[load.name, _ALONE]
        found.append(Figure(SECTION, load.name, _ALONE, median(alone), "µs"))
        for name in names[1:]:
            ratios = [one / other for one, other in zip(alone, costs[load.name, name], strict=True)]
            found.append(share(SECTION, load.name, name, ratios))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40)
    for figure in measure(parser.parse_args().rounds):
        print(f"{figure.row:42} {figure.column:30} {figure.text}")


if __name__ == "__main__":
    main()
