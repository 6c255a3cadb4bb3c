"""firewalld reloads, restarts and stops beside Docker.

Most of them flush all of iptables as they do so. Docker rebuilds its own rules where it hears of
that, and leaves the jump to DOCKER-USER below its own ACCEPTs. A stranger connects as fast as it
can on all paths meanwhile. With the chains alone the test must *see* connections get through; with
the seal there must be none. With the daemon all of it is put right again, and what is allowed
works as soon as Docker's own rules do.

The interface to the outside is in firewalld's zone ``trusted``: firewalld itself closes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import takewhile
from typing import NamedTuple, TypeAlias

import pytest

from tests.engine.scene import OFFICE, allow, apply, strangers_ways
from tests.lab import engine as engines, firewalld as firewallds
from tests.lab.daemon import Daemon
from tests.lab.engine import Engine
from tests.lab.firewalld import Firewalld
from tests.lab.host import HOST_V4, Host
from tests.lab.place import Blows
from tests.lab.wait import becomes_true, until

ISOLATION = "-A FORWARD -j DOCKER-ISOLATION-STAGE-1"
POLICY = allow('to = "db"\nports = [5432]', "office")


class Setup(NamedTuple):
    firewalld: firewallds.Version
    backend: firewallds.Backend
    engine: engines.Version

    def __str__(self) -> str:
        return f"firewalld {self.firewalld} {self.backend}, docker {self.engine}"

    @property
    def flushes(self) -> bool:
        """Whether it flushes what others wrote; 2.3 leaves that alone on nftables."""
        return (self.firewalld, self.backend) != ("2.3", "nftables")


class Scene(NamedTuple):
    setup: Setup
    host: Host
    firewalld: Firewalld
    engine: Engine
    paths: tuple[tuple[str, int, str], ...]


SETUPS = [
    Setup("1.3", "nftables", "20.10"),
    pytest.param(Setup("1.3", "iptables", "20.10"), marks=pytest.mark.slow),
    pytest.param(Setup("2.3", "nftables", "28.5"), marks=pytest.mark.slow),
    pytest.param(Setup("2.3", "iptables", "28.5"), marks=pytest.mark.slow),
]


@pytest.fixture(scope="module", params=SETUPS, ids=str)
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    setup: Setup = request.param
    with ExitStack() as opened:
        host = opened.enter_context(Host())
        firewalld = opened.enter_context(Firewalld(host, setup.firewalld, setup.backend))
        firewalld.cmd("--permanent", "--zone=trusted", "--change-interface=eth0")
        firewalld.reload()
        engine = opened.enter_context(Engine(host, setup.engine, "--live-restore"))
        assert firewalld.knows("docker0"), "Docker has found firewalld"
        database = engine.container("db", "-p", "5432:5432", env={"PORT": "5432"})
        apply(host, POLICY)
        yield Scene(setup, host, firewalld, engine, strangers_ways(database))


# --- what firewalld does -------------------------------------------------------------------------


def reload(scene: Scene) -> None:
    scene.firewalld.reload()


def complete_reload(scene: Scene) -> None:
    scene.firewalld.complete_reload()


def restart(scene: Scene) -> None:
    scene.firewalld.restart()


def stop(scene: Scene) -> None:
    """Docker is not told to build its rules anew: docker-proxy alone keeps the port open."""
    scene.firewalld.stop()


Fault: TypeAlias = Callable[[Scene], None]
FAULTS = (
    reload,
    complete_reload,
    pytest.param(restart, marks=pytest.mark.slow),  # it is a stop and a start
    stop,
)


def docker_is_back(scene: Scene) -> bool:
    """Docker's own rules stand: the published port is translated, and FORWARD asks DOCKER-USER."""
    saved = scene.host.run(["iptables-save"]).stdout
    return "--to-destination" in saved and "-A FORWARD -j DOCKER-USER" in saved


def undo(scene: Scene) -> None:
    """As before ``stop``; Docker builds its rules anew when it hears that firewalld has started."""
    if scene.firewalld.stopped:
        scene.firewalld.start()
    until(lambda: docker_is_back(scene), "Docker's own rules")


def hammered(scene: Scene, fault: Fault) -> Blows:
    with scene.host.outside.hammer(*scene.paths) as hammer:
        hammer.go_on()
        fault(scene)
        hammer.go_on()
        if not scene.firewalld.stopped:
            until(lambda: docker_is_back(scene), "Docker's own rules")
            hammer.go_on()
        return hammer.stop()


def office_gets_in(scene: Scene) -> bool:
    answer = scene.host.outside.tcp(HOST_V4, 5432, source=OFFICE[0], patience=0.3)
    return answer.text == "db"


def rules(scene: Scene, chain: str) -> list[str]:
    listed = scene.host.run(["iptables", "-S", chain], check=False).stdout
    return [line for line in listed.splitlines() if line.startswith("-A")]


def nothing_accepts_above_us(scene: Scene) -> bool:
    """The jump to DOCKER-USER comes first (Docker's isolation only drops), and in there ours."""
    above = list(takewhile(lambda rule: "DOCKER-USER" not in rule, rules(scene, "FORWARD")))
    ours = rules(scene, "DOCKER-USER")[:1]
    return above in ([], [ISOLATION]) and ours == ["-A DOCKER-USER -j DOCKERFW"]


def in_sync(scene: Scene) -> bool:
    return scene.host.dockerfw("status", check=False).returncode == 0


def see_it_leak(scene: Scene, fault: Fault) -> None:
    """With the chains alone. Where nothing is flushed the jump is elsewhere for some milliseconds
    only, which is tried several times; nothing at all happens when such a firewalld stops.
    """
    for _ in range(5):
        scene.host.run(["nft", "delete", "table", "inet", "dockerfw"])
        bare = hammered(scene, fault)
        undo(scene)
        scene.host.dockerfw("apply", "--yes")
        if bare.total or (fault is stop and not scene.setup.flushes):
            return
    pytest.fail(f"with the chains alone nothing leaked: {bare}")


# --- with and without the daemon -----------------------------------------------------------------


@pytest.mark.parametrize("fault", FAULTS)
def test_no_denied_connection_is_accepted_while_firewalld_flushes(
    scene: Scene, fault: Fault
) -> None:
    see_it_leak(scene, fault)

    sealed = hammered(scene, fault)

    assert sealed.total == 0, sealed
    assert sealed.tries > 1000, sealed
    undo(scene)
    scene.host.dockerfw("apply", "--yes")
    until(lambda: office_gets_in(scene), "the office to get in after the next apply")


@pytest.mark.parametrize("fault", FAULTS)
def test_the_daemon_lets_in_who_may_as_soon_as_docker_has_its_rules_back(
    scene: Scene, fault: Fault
) -> None:
    with Daemon(scene.host) as daemon, scene.host.outside.hammer(*scene.paths) as hammer:
        said = len(daemon.log())
        hammer.go_on()
        fault(scene)
        if scene.firewalld.stopped and scene.setup.flushes:
            told = scene.host.dockerfw("status", check=False).stdout
            assert "Docker's own rules are gone" in told
        undo(scene)
        assert becomes_true(lambda: office_gets_in(scene)), daemon.log()
        assert becomes_true(lambda: nothing_accepts_above_us(scene)), daemon.log()
        hammer.go_on()
        blows = hammer.stop()

        assert blows.total == 0, f"{blows}\n{daemon.log()}"
        assert becomes_true(lambda: in_sync(scene)), scene.host.dockerfw("plan").stdout
        assert nothing_accepts_above_us(scene), daemon.log()
        assert "warning: put right: " in daemon.log()[said:]
        assert daemon.alive
