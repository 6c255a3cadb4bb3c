"""The image: built by its Dockerfile, run by its compose files, on real engines, with packets."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial

import pytest

from tests.documents import commands
from tests.engine.containers_page import follow
from tests.engine.scene import (
    CONFIG,
    OFFICE,
    SOURCES,
    STRANGER,
    allow,
    source_for,
    strangers_ways,
)
from tests.fakeengine import FakeEngine
from tests.lab import image
from tests.lab.cgroups import SlicedEngine
from tests.lab.engine import Engine
from tests.lab.host import HOST_V4, HOST_V6, Host
from tests.lab.image import FOLDER, Composed, cgroups_of_its_own
from tests.lab.wait import until

BUILD, UP, UP_WITH_LEGACY, AWAY = (
    block.text for block in commands("docs/containers.md", "tests/engine/test_image.py")
)
FOR_OFFICE = SOURCES + allow('to = "db"\nports = [5432]', "office")
FOR_ALL = FOR_OFFICE.replace('["office"]', '"any"')
ENTRIES = [HOST_V4, HOST_V6]


def reached(host: Host, caller: tuple[str, str]) -> list[bool]:
    """By port 5432 of the host, in both families."""
    return [host.outside.tcp(at, 5432, source=source_for(caller, at)).reached for at in ENTRIES]


class Scene:
    """A host whose engine has a database that everybody may reach so far."""

    def __init__(self, host: Host, engine: Engine) -> None:
        self.host = host
        self.engine = engine
        self.db = engine.container("db", "-p", "5432:5432", env={"PORT": "5432"})

    def write(self, policy: str) -> None:
        self.host.write(CONFIG, policy)


@pytest.fixture(scope="module", params=["20.10", pytest.param("28.5", marks=pytest.mark.slow)])
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    with Host() as host, SlicedEngine(host, request.param, cgroups_of_its_own(host)) as engine:
        image.import_base(engine)
        yield Scene(host, engine)


def test_the_page_leads_from_nothing_to_a_closed_host_and_back(scene: Scene) -> None:
    """Also: the container is restarted, taken away and put back under a hammer."""
    host, engine = scene.host, scene.engine
    assert reached(host, STRANGER) == [True, True], "all is open without it"
    scene.write(FOR_OFFICE)

    follow(host, BUILD)
    assert "PROTECTED: the policy is enforced, in sync" in follow(host, UP)
    assert reached(host, STRANGER) == [False, False]
    assert reached(host, OFFICE) == [True, True]
    name = engine.docker("ps", "--filter", "ancestor=dockerfw", "--format", "{{.Names}}")
    status = ("exec", name, "dockerfw", "status")
    stop, remove, down = AWAY.splitlines()
    with host.outside.hammer(*strangers_ways(scene.db)) as hammer:
        engine.docker("restart", name)
        until(lambda: "daemon   alive" in engine.docker(*status, check=False), "its return", 60)
        follow(host, down.removesuffix(" --volumes"))
        assert hammer.go_on(1000).accepted == {}
        follow(host, UP)
        assert hammer.go_on(1000).accepted == {}

    follow(host, f"{stop}\n{remove}\n{down}")
    assert reached(host, STRANGER) == [True, True]
    left = host.run(["sh", "-c", "iptables-save; ip6tables-save; nft list tables; ipset list -n"])
    assert "dockerfw" not in left.stdout.lower()
    assert "dockerfw" not in engine.docker("volume", "ls")


def test_a_policy_is_followed_and_one_that_is_refused_changes_nothing(scene: Scene) -> None:
    host, engine = scene.host, scene.engine
    scene.write(FOR_OFFICE)

    with Composed(engine) as container:
        until(container.well, "the container to be well", 60)
        status = json.loads(container.dockerfw("status", "--json"))
        assert status["docker_proxy_first_packet"] == "closed", "it sees the host's dockerd"

        scene.write(FOR_OFFICE + "[[allow]]\nto = 5\n")
        until(lambda: f"{CONFIG}:9: " in container.said(), "the mistake to be named", 60)
        until(lambda: not container.well(), "the container to be unwell", 60)
        assert reached(host, OFFICE) == [True, True], "what was in force is in force"
        assert reached(host, STRANGER) == [False, False]
        scene.write(FOR_ALL)
        until(container.well, "the container to be well again", 60)
        assert reached(host, STRANGER) == [True, True]
        assert container.restarts() == 0

        container.dockerfw("lockdown")
        engine.docker("restart", container.name)
        until(lambda: "locked down" in container.said(), "the lockdown to be noticed", 60)
        assert reached(host, OFFICE) == [False, False], "a restart does not end it"
        container.dockerfw("apply", "--yes")
        until(container.well, "the container to be well again", 60)
        container.compose("stop")
        alone = ("run", "--rm", "--entrypoint", "dockerfw", "dockerfw")
        container.compose(*alone, "remove", "--yes")


MOUNTS = (
    "state:/var/lib/dockerfw",
    "/etc/dockerfw:/etc/dockerfw:ro",
    "/var/run/docker.sock:/var/run/docker.sock:ro",
    "/sys/fs/cgroup:/sys/fs/cgroup:ro",
)
LACKING = {
    # what is lacking: how the container is then, and what it says
    "capabilities": (
        "cap_add: !reset []",
        "this container lacks NET_ADMIN and NET_RAW: start it with cap_add",
    ),
    "socket": (
        'volumes: ["/run/nothing.sock:/var/run/docker.sock:ro"]',
        "there is no Docker socket in this container: mount the host's at /var/run/docker.sock",
    ),
    "network": (
        "network_mode: bridge",
        "this container is not in its host's network: start it with network_mode: host",
    ),
    "policy": (
        'volumes: ["/run/nothing:/etc/dockerfw:ro"]',
        f"there is no policy at {CONFIG}",
    ),
    "rootful": (
        'volumes: ["/run/rootless.sock:/var/run/docker.sock:ro"]',
        "Docker at unix:///var/run/docker.sock is rootless",
    ),
    "swarm": (
        f"volumes: !override [{', '.join(MOUNTS)}]",
        "what Docker's swarm listens on is in /var/lib/docker/swarm: mount the host's folder there",
    ),
}


def _says(container: Composed, text: str) -> bool:
    return text in container.said()


def _tried_since(container: Composed, turn: str) -> bool:
    return container.turn() != turn


@pytest.mark.parametrize(
    "lacking",
    [
        ("capabilities", "socket", "rootful"),
        pytest.param(("network", "policy", "swarm"), marks=pytest.mark.slow),
    ],
    ids=min,
)
def test_a_container_that_lacks_something_says_so_once_and_stays(
    scene: Scene, lacking: Sequence[str]
) -> None:
    scene.write(FOR_OFFICE)
    with FakeEngine(scene.host.path("/run/rootless.sock")) as rootless, ExitStack() as all_of_them:
        rootless.info["SecurityOptions"] = ["name=rootless"]
        containers = {
            what: all_of_them.enter_context(
                Composed(scene.engine, override=LACKING[what][0], project=f"no-{what}")
            )
            for what in lacking
        }
        for what, container in containers.items():
            until(partial(_says, container, LACKING[what][1]), f"no {what}", 120)
        turns = {what: container.turn() for what, container in containers.items()}
        for what, container in containers.items():
            until(partial(_tried_since, container, turns[what]), f"{what} to be tried again", 60)
            assert container.said().count(LACKING[what][1]) == 1, what
            assert "Traceback" not in container.said(), what
            assert container.restarts() == 0, what
            assert not container.well(), what
        assert reached(scene.host, STRANGER) == [True, True], "nothing was written"


def test_it_takes_iptables_legacy_where_docker_does_also_without_nf_tables() -> None:
    with (
        Host(flavour="legacy") as host,
        SlicedEngine(host, "20.10", cgroups_of_its_own(host)) as engine,
    ):
        image.build(engine)
        scene = Scene(host, engine)
        scene.write(FOR_OFFICE)
        # As on a kernel without it: nft fails, whatever it is asked.
        no_nf_tables = 'volumes: ["/bin/false:/usr/sbin/nft:ro"]'

        with Composed(engine) as container:
            until(lambda: "/run/xtables.lock" in container.said(), "the lock to be asked for", 60)
            assert container.said().count("iptables-legacy") == 1
        follow(host, UP_WITH_LEGACY)
        assert (reached(host, STRANGER), reached(host, OFFICE)) == ([False] * 2, [True] * 2)
        follow(host, AWAY)
        with Composed(engine, FOLDER / "compose.legacy.yaml", override=no_nf_tables) as container:
            until(container.well, "the container to be well", 60)

            assert reached(host, STRANGER) == [False, False]
            assert reached(host, OFFICE) == [True, True]
            status = json.loads(container.dockerfw("status", "--json"))
            assert (status["flavour"], status["seal"]) == ("legacy", "unavailable")
