"""Bridges of others and bridges of Docker that dockerfw was not told of, on a real engine."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.engine.scene import apply
from tests.lab.engine import Engine, EngineContainer, Version
from tests.lab.host import HOST_V4, HOST_V6, Host
from tests.lab.place import Place
from tests.lab.wait import until

MACHINE = "10.5.0.2"
UNKNOWN_PROXY = {HOST_V6}
"""A port of docker-proxy that nobody knows of is closed in the slice alone, see `first_packet`."""
VERSIONS = [pytest.param("20.10"), pytest.param("28.5", marks=pytest.mark.slow)]


@pytest.fixture(params=VERSIONS)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    version: Version = request.param
    with Host() as host, Engine(host, version) as engine:
        yield engine


def machine_on(host: Host, bridge: str) -> None:
    """A VM of the host's own, on a bridge that is not Docker's."""
    host.bridge(bridge, "10.5.0.1/24")
    host.container("machine", {bridge: (f"{MACHINE}/24",)}, by_docker=False).listen("22/tcp")


def backoffice(engine: Engine) -> EngineContainer:
    """A container on a network whose bridge has a name of its own."""
    name = ("-o", "com.docker.network.bridge.name=backoffice")
    engine.docker("network", "create", *name, "backoffice")
    return engine.container("office", "--network", "backoffice", "-p", "9001:80")


def reached(outside: Place, office: EngineContainer) -> list[str]:
    """Which ways to it are open from outside."""
    ways = ((HOST_V4, 9001), (HOST_V6, 9001), (office.address, 80))
    return [address for address, port in ways if outside.tcp(address, port, patience=0.5).reached]


def flush(host: Host) -> None:
    """Somebody flushes: our chains and the seal are gone, Docker's rules too."""
    for program in ("iptables", "ip6tables"):
        for table in ("filter", "mangle", "raw"):
            host.run([program, "-t", table, "-F"])
            host.run([program, "-t", table, "-X"])
        host.run([program, "-P", "FORWARD", "ACCEPT"])
    host.run(["nft", "delete", "table", "inet", "dockerfw"])


def test_boot_and_lockdown_take_no_late_network_for_somebody_elses(engine: Engine) -> None:
    host, outside = engine.host, engine.host.outside
    machine_on(host, "virbr0")
    apply(host)
    assert outside.tcp(MACHINE, 22).reached, "a VM is not cut off by an apply"
    office = backoffice(engine)

    flush(host)
    assert HOST_V6 in reached(outside, office), "open without dockerfw"
    host.dockerfw("boot")
    assert set(reached(outside, office)) <= UNKNOWN_PROXY
    assert outside.tcp(MACHINE, 22).reached, "nor by a boot after it"

    flush(host)
    host.run(["kill", "-STOP", host.read("/run/docker.pid").strip()])
    assert office.address in reached(outside, office)
    host.dockerfw("lockdown")
    assert set(reached(outside, office)) <= UNKNOWN_PROXY
    assert outside.tcp(MACHINE, 22).reached
    host.run(["kill", "-CONT", host.read("/run/docker.pid").strip()])
    until(lambda: engine.alive, "Docker to answer")

    host.dockerfw("lockdown")
    assert reached(outside, office) == []
    assert outside.tcp(MACHINE, 22).reached


def test_a_bridge_that_docker_was_given_later_is_nobody_elses(engine: Engine) -> None:
    host, outside = engine.host, engine.host.outside
    host.bridge("backoffice", "172.30.0.1/16")
    apply(host)
    subnet = ("--subnet", "172.30.0.0/16", "--gateway", "172.30.0.1")
    name = ("-o", "com.docker.network.bridge.name=backoffice")
    engine.docker("network", "create", *subnet, *name, "backoffice")
    office = engine.container("office", "--network", "backoffice", "-p", "9001:80")
    status = host.dockerfw("status", "--json", check=False)
    assert status.returncode == 3
    flush(host)
    assert office.address in reached(outside, office), "open without dockerfw"
    host.dockerfw("boot")
    assert office.address not in reached(outside, office), "there is a container of Docker in it"


@pytest.mark.parametrize("first", ["apply", pytest.param("lockdown", marks=pytest.mark.slow)])
def test_while_docker_makes_a_network_its_bridge_is_nobody_elses(first: str) -> None:
    with Host() as host, Engine(host, "20.10") as engine:
        apply(host)
        # A host under load: Docker is through with its rules seconds after it made the bridge.
        host.run(["rm", "/etc/alternatives/iptables"])
        slow = '#!/bin/sh\nsleep 0.15\nexec /usr/sbin/iptables-nft "$@"\n'
        host.write("/etc/alternatives/iptables", slow, 0o755)
        making = threading.Thread(target=backoffice, args=(engine,))
        making.start()
        until(lambda: "backoffice" in host.run(["ip", "link"]).stdout, "the bridge")
        host.dockerfw(first, *(["--yes"] if first == "apply" else []))
        making.join()
        office = engine.refresh("office")
        assert office.address not in reached(host.outside, office)
