"""The windows of DOCKER-USER: Docker and other tools move, bypass and flush the chains.

An outside host that may not reach the database connects as fast as it can on all three paths
while that happens. Without the seal the test must *see* connections get through (where Docker
has that window at all); with it there must be none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from tests.engine.scene import CONFIG, OFFICE, SOURCES, allow, strangers_ways
from tests.lab.engine import Engine, Version
from tests.lab.host import HOST_V4, Host
from tests.lab.place import Blows, Hammer

POLICY = SOURCES + allow('to = "db"\nports = [5432]', "office")


class Scene(NamedTuple):
    host: Host
    engine: Engine
    paths: tuple[tuple[str, int, str], ...]


@pytest.fixture(scope="module", params=["20.10", "26.1", "28.5"])
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    version: Version = request.param
    with Host() as host, Engine(host, version, "--live-restore") as engine:
        database = engine.container("db", "-p", "5432:5432", env={"PORT": "5432"})
        host.write(CONFIG, POLICY)
        yield Scene(host, engine, strangers_ways(database))


def create_networks(scene: Scene, hammer: Hammer) -> None:
    """25 times: engines up to 27 take the jump out and put it back at each."""
    names = [f"late{number}" for number in range(25)]
    for name in names:
        scene.engine.docker("network", "create", name)
    scene.engine.docker("network", "rm", *names)
    hammer.go_on()


def foreign_accept(scene: Scene, hammer: Hammer) -> None:
    """Another tool puts an ACCEPT on top of FORWARD and INPUT."""
    for program in ("iptables", "ip6tables"):
        for chain in ("FORWARD", "INPUT"):
            scene.host.run([program, "-I", chain, "-j", "ACCEPT"])
    hammer.go_on()


def undo_foreign_accept(scene: Scene) -> None:
    for program in ("iptables", "ip6tables"):
        for chain in ("FORWARD", "INPUT"):
            scene.host.run([program, "-D", chain, "-j", "ACCEPT"])


def flush(scene: Scene, hammer: Hammer) -> None:
    """``iptables -F``: Docker's filter rules and ours are gone, its NAT and proxies stay."""
    for program in ("iptables", "ip6tables"):
        scene.host.run([program, "-P", "FORWARD", "ACCEPT"])
        scene.host.run([program, "-F"])
    hammer.go_on()


def restart(scene: Scene, hammer: Hammer) -> None:
    """Dockerd restarts and keeps its containers (live-restore)."""
    scene.engine.restart()
    hammer.go_on()


def nothing(scene: Scene) -> None:
    """Nothing to undo."""


def restarted(scene: Scene) -> None:
    """Docker brings its own rules back."""
    scene.engine.restart()


class Fault(NamedTuple):
    happen: Callable[[Scene, Hammer], None]
    undo: Callable[[Scene], None]
    leaks_on: tuple[str, ...]
    """The engines on which the chains alone let connections through for certain."""


FAULTS = [
    Fault(create_networks, nothing, ("20.10", "26.1")),
    Fault(foreign_accept, undo_foreign_accept, ("20.10", "26.1", "28.5")),
    Fault(restart, nothing, ()),
    Fault(flush, restarted, ("20.10", "26.1", "28.5")),
]


def quick(scene: Version, fault: Fault) -> bool:
    """All on 20.10, which has all windows; on 28.5 those that it certainly has."""
    return scene == "20.10" or (scene == "28.5" and scene in fault.leaks_on)


def hammered(scene: Scene, fault: Fault) -> Blows:
    with scene.host.outside.hammer(*scene.paths) as hammer:
        hammer.go_on()
        fault.happen(scene, hammer)
        return hammer.stop()


@pytest.mark.quick_where(holds=quick)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.happen.__name__)
def test_no_denied_connection_is_accepted_while_the_rules_are_moved(
    scene: Scene, fault: Fault
) -> None:
    scene.host.dockerfw("apply", "--yes")
    if scene.engine.version in fault.leaks_on:
        scene.host.run(["nft", "delete", "table", "inet", "dockerfw"])
        bare = hammered(scene, fault)
        fault.undo(scene)
        assert bare.total > 0, f"without the seal nothing leaked: {bare}"
        scene.host.dockerfw("apply", "--yes")

    sealed = hammered(scene, fault)

    assert sealed.total == 0, sealed
    assert sealed.tries > 1000, sealed
    fault.undo(scene)
    scene.host.dockerfw("apply", "--yes")
    office = scene.host.outside.tcp(HOST_V4, 5432, source=OFFICE[0], patience=5)
    assert office.text == "db", "what is allowed works again after the next apply"
