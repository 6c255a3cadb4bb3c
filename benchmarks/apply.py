"""What whole commands cost on a host with many containers and rules, beside what they cannot avoid.

Prints figures and asserts nothing. Run as root from the root of the repository::

    python -m benchmarks.apply [--containers N] [--rules N]

A throwaway host with a played engine: containers with five published ports each, ten to a network
(on 250 networks at most), what Docker writes to iptables for them, and rules with three ports and
three sources of their own each. Processor time of a command and of what it starts (`getrusage`),
and its most memory; beside it ``ipset restore`` of the same elements into a namespace of their own,
and ``ipset save``.
"""

from __future__ import annotations

import argparse
import compileall
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path
from typing import NamedTuple

from tests.fakeengine import FakeEngine
from tests.lab.host import Host

PORTS, A_NETWORK, RULE_PORTS, SOURCES = 5, 10, 3, 3
MOST_NETWORKS = 250
"""dockerfw has room for some 350 Docker networks (`dockerfw.rules.names.BRIDGE_SETS`)."""
NEW, NOTHING = "apply, everything new", "apply, nothing to do"
CHANGED = "apply, one rule changed"
SAVE, RESTORE = "ipset save", "ipset restore of all that"
_MEASURE = """
import json, resource, subprocess, sys
ended = subprocess.run(sys.argv[1:], stdin=sys.stdin, stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, ended.returncode]))
"""


class Cost(NamedTuple):
    """Seconds of processor time, the most memory of a process in MiB, and the exit status."""

    seconds: float
    memory: float
    status: int


def furnish(engine: FakeEngine, host: Host, containers: int) -> None:
    networks = min(-(-containers // A_NETWORK), MOST_NETWORKS)
    for n in range(networks):
        net = f"10.{n // 256}.{n % 256}"
        bridge = f"br-{n:012x}"
        host.bridge(bridge, f"{net}.1/24")
        engine.network(f"net{n}", f"{net}.0/24", bridge=bridge)
        for k, number in enumerate(range(n, containers, networks)):
            ports = {_host_port(number, p): 8000 + p for p in range(PORTS)}
            engine.run(f"app{number}", f"net{n}", f"{net}.{k + 2}", ports=ports, quiet=True)


@contextmanager
def furnished(containers: int) -> Iterator[tuple[Host, FakeEngine]]:
    """A throwaway host and the played engine for it, with so many containers."""
    with (
        tempfile.TemporaryDirectory() as folder,
        FakeEngine(Path(folder) / "s") as engine,
        Host() as host,
    ):
        furnish(engine, host, containers)
        yield host, engine


def docker_rules(engine: FakeEngine) -> str:
    """Return what Docker 26 writes for what runs there, for ``iptables-restore``."""
    bridges = {
        name: network["Options"].get("com.docker.network.bridge.name", "docker0")
        for name, network in ((n["Name"], n) for n in engine.networks.values())
    }
    bound = [
        (bridges[name], place["IPAddress"], port["PrivatePort"], port["PublicPort"])
        for container in engine.containers.values()
        for name, place in container["NetworkSettings"]["Networks"].items()
        for port in container["Ports"]
    ]
    stages = [f"DOCKER-ISOLATION-STAGE-{n}" for n in (1, 2)]
    filter_rules = ["-A FORWARD -j DOCKER-USER", f"-A FORWARD -j {stages[0]}"]
    for bridge in bridges.values():
        filter_rules += [
            f"-A FORWARD -o {bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            f"-A FORWARD -o {bridge} -j DOCKER",
            f"-A FORWARD -i {bridge} ! -o {bridge} -j ACCEPT",
            f"-A FORWARD -i {bridge} -o {bridge} -j ACCEPT",
            f"-A {stages[0]} -i {bridge} ! -o {bridge} -j {stages[1]}",
            f"-A {stages[1]} -o {bridge} -j DROP",
        ]
    nat_rules = ["-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER"]
    for bridge, address, inner, host_port in bound:
        one = f"-d {address}/32 ! -i {bridge} -o {bridge} -p tcp -m tcp --dport {inner}"
        filter_rules.append(f"-A DOCKER {one} -j ACCEPT")
        to = f"--dport {host_port} -j DNAT --to-destination {address}:{inner}"
        nat_rules.append(f"-A DOCKER ! -i {bridge} -p tcp -m tcp {to}")
    ours = [":FORWARD DROP", *(f":{name} -" for name in ("DOCKER", "DOCKER-USER", *stages))]
    lines = ["*filter", *ours, *filter_rules, "COMMIT", "*nat", ":DOCKER -", *nat_rules, "COMMIT"]
    return "\n".join([*lines, ""])


def _host_port(number: int, port: int) -> int:
    """Beyond 65,535 they are given out again: what counts is how many there are."""
    return 1024 + (number * PORTS + port) % 64_000


def policy(rules: int, containers: int, changed: int = 0) -> str:
    """``changed``: how many of the rules have another source."""
    return "\n".join(_rule(n, n % containers, n < changed) for n in range(rules))


def _rule(number: int, container: int, changed: bool) -> str:
    first = 0x0B000000 + 1024 * number + 512 * changed
    sources = [str(IPv4Address(first + k)) for k in range(SOURCES)]
    ports = [8000 + p for p in range(RULE_PORTS)]
    return f'[[allow]]\nto = "app{container}"\nports = {ports}\nfrom = {json.dumps(sources)}\n'


def cost(host: Host, argv: Sequence[str], stdin: str = "") -> Cost:
    measured = [sys.executable, "-S", "-c", _MEASURE, *argv]
    ran = host.run(measured, stdin=stdin, timeout=900)
    return Cost(*json.loads(ran.stdout.splitlines()[-1]))


def sizes() -> tuple[int, int]:
    """How many containers and rules the command line asks for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--containers", type=int, default=1000)
    parser.add_argument("--rules", type=int, default=1000)
    asked = parser.parse_args()
    return asked.containers, asked.rules


def measure(containers: int, rules: int) -> dict[str, Cost]:
    """What each command costs, and what it cannot avoid."""
    # As an install leaves it: no command compiles the package again.
    compileall.compile_dir("dockerfw", quiet=1)
    found = {}
    with furnished(containers) as (host, engine):
        host.run(["iptables-restore", "--noflush"], stdin=docker_rules(engine))
        config = "/etc/dockerfw/config.toml"
        us = [sys.executable, "-m", "dockerfw"]
        host.write(config, policy(rules, containers), 0o600)
        apply, plan = ([*us, what, "-H", engine.url] for what in ("apply", "plan"))
        found[NEW] = cost(host, [*apply, "--yes"])
        saved = host.run(["ipset", "save"]).stdout
        found[NOTHING] = cost(host, [*apply, "--yes"])
        found["plan"] = cost(host, plan)
        found["status"] = cost(host, [*us, "status", "-H", engine.url])
        host.write(config, policy(rules, containers, 1), 0o600)
        found[CHANGED] = cost(host, [*apply, "--yes"])
        found[SAVE] = cost(host, ["ipset", "save"])
    with Host() as other:
        found[RESTORE] = cost(other, ["ipset", "restore"], saved)
    return found


def main() -> None:
    for what, found in measure(*sizes()).items():
        told = f"  (status {found.status})" if found.status else ""
        print(f"{what:32} {found.seconds:7.2f} s {found.memory:6.0f} MiB{told}")


if __name__ == "__main__":
    main()
