"""Ports of docker-proxy stay closed while containers and dockerd come and go, without any slice.

dockerd lives where Docker's own unit puts it, so the kernel cannot tell docker-proxy's sockets by
their cgroup: what closes a port published over IPv6 is that the daemon knows of it. A container
that comes back listens before anybody tells of it. Its ports therefore stay guarded for a while
after its end, and for as long as Docker is away.

Each test is first played with a daemon that lets go of a port at once, and must see it leak.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from tests.engine.scene import OFFICE, STRANGER, allow, apply
from tests.lab.daemon import Daemon
from tests.lab.engine import IMAGE, Engine
from tests.lab.host import HOST_V6, Host
from tests.lab.place import Blows, Hammer
from tests.lab.wait import becomes_true, until

WEB, CRASHING, GONE = 8080, 8090, 9090
POLICY = allow('to = ["web", "crash"]\nports = [80]', "office")
PATIENCE = 60.0
FULL = os.environ.get("DOCKERFW_PROFILE") == "full"
TIMES = 3 if FULL else 2
CRASHES = 10 if FULL else 6
"""Docker doubles its pause at each, from 0.1 s on: after the eighth guards alone would be over."""

_HASTY = """
import sys
from dockerfw.rules import ledger as increment
from dockerfw.cli.app import main
increment.LINGER = 0.0
sys.argv[0] = "dockerfw"
main()
"""


class HastyDaemon(Daemon):
    """Lets go of a port as soon as its container is gone."""

    def argv(self) -> list[str]:
        return [sys.executable, "-c", _HASTY, "daemon", *self.options]


class Scene(NamedTuple):
    host: Host
    engine: Engine

    def hammer(self, *ports: int) -> Hammer:
        targets = [(HOST_V6, port, STRANGER[1]) for port in ports]
        return self.host.outside.hammer(*targets, seconds=3600)

    def answers(self, port: int, source: str) -> str:
        return self.host.outside.tcp(HOST_V6, port, source=source, patience=0.5).text

    def proxied(self, source: str | None) -> bool:
        """Whether docker-proxy takes a connection, from the host itself or from outside.

        Its container may not answer: 20.10 forgets an interface of the old one when it was
        killed, with the address that the new one gets.
        """
        place, address = (self.host.outside, HOST_V6) if source else (self.host, "::1")
        return place.tcp(address, WEB, source=source, patience=0.5).reached

    def exit_status(self, command: str) -> int:
        return self.host.dockerfw(command, check=False).returncode


@pytest.fixture(scope="module", params=["20.10", pytest.param("28.5", marks=pytest.mark.slow)])
def stage(request: pytest.FixtureRequest) -> Iterator[Scene]:
    with Host() as host, Engine(host, request.param) as engine:
        yield Scene(host, engine)


@pytest.fixture
def scene(stage: Scene) -> Iterator[Scene]:
    """The policy in force, no daemon, and ``web`` alone."""
    stage.engine.container("web", "--restart", "always", "-p", f"{WEB}:80")
    apply(stage.host, POLICY)
    yield stage
    stage.engine.docker("rm", "-f", *stage.engine.docker("ps", "-aq").split())


# --- dockerd comes and goes ----------------------------------------------------------------------


def restart(scene: Scene, daemon: Daemon) -> None:
    scene.engine.stop()
    daemon.until_said("Docker does not answer", patience=PATIENCE)
    scene.engine.start()


def kill(scene: Scene, _: Daemon) -> None:
    """The containers stay behind; the next dockerd ends them and starts them again."""
    scene.engine.kill()
    scene.engine.start()


def restart_container(scene: Scene, _: Daemon) -> None:
    scene.engine.docker("restart", "-t", "1", "web")


class Fault(NamedTuple):
    """``leaks``: it is seen to, where guards do not stay."""

    happen: Callable[[Scene, Daemon], None]
    leaks: bool = True


FAULTS = [
    Fault(restart),
    # Nobody tells of an end: what is guarded stays as it is while Docker is away.
    Fault(kill, leaks=False),
    Fault(restart_container),
]


def hammered(scene: Scene, daemon: Daemon, fault: Fault) -> Blows:
    with scene.hammer(WEB) as hammer:
        hammer.go_on(seconds=PATIENCE)
        for _ in range(TIMES):
            fault.happen(scene, daemon)
            told = f"{scene.engine.docker('ps', '-a')}\n{daemon.log()}"
            up = becomes_true(lambda: scene.proxied(None), PATIENCE)
            assert up, f"nobody listens: {hammer.count()}\n{told}"
            hammer.go_on(seconds=PATIENCE)
        return hammer.stop()


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(
            fault, id=fault.happen.__name__, marks=() if fault.leaks else (pytest.mark.slow,)
        )
        for fault in FAULTS
    ],
)
def test_a_known_port_is_closed_when_docker_proxy_listens_again(scene: Scene, fault: Fault) -> None:
    with HastyDaemon(scene.host) as daemon:
        # A newer dockerd is gone before the guards of its containers are.
        old = scene.engine.version == "20.10"
        # It is not always told of the end of a container before dockerd is gone.
        rounds = 5 if fault.leaks and old else 1
        leaks = any(hammered(scene, daemon, fault).total for _ in range(rounds))
        if old:
            assert leaks == fault.leaks, f"guards do not stay\n{daemon.log()}"

    with Daemon(scene.host) as daemon:
        blows = hammered(scene, daemon, fault)
        assert blows.total == 0, f"{blows}\n{daemon.log()}"
        assert becomes_true(lambda: scene.proxied(OFFICE[1]), 10), daemon.log()
        assert becomes_true(lambda: scene.exit_status("status") == 0, PATIENCE), daemon.log()
        assert daemon.alive


# --- a container that crashes again and again ----------------------------------------------------


def start_crashing(scene: Scene) -> None:
    own = ("--pull", "never", "--name", "crash", "--cgroup-parent", f"/{scene.engine._cgroup}")
    command = ("sh", "-c", "sleep 0.3; exit 1")
    options = ("--restart", "always", "-p", f"{CRASHING}:80")
    scene.engine.docker("run", "-d", *own, *options, IMAGE, *command)


def crashed(scene: Scene, times: int) -> bool:
    return int(scene.engine.inspect("crash")["RestartCount"]) >= times


def test_a_container_that_crashes_again_and_again_is_closed_each_time(scene: Scene) -> None:
    """Also where the daemon begins while it waits for its next start."""
    with HastyDaemon(scene.host) as daemon, scene.hammer(CRASHING) as hammer:
        start_crashing(scene)
        until(lambda: crashed(scene, 4), "some crashes", PATIENCE)
        assert hammer.count().total > 0, f"guards do not stay: {hammer.count()}\n{daemon.log()}"
    with Daemon(scene.host) as daemon, scene.hammer(CRASHING) as hammer:
        until(lambda: crashed(scene, CRASHES), f"{CRASHES} crashes", 3 * PATIENCE)
        hammer.go_on(seconds=PATIENCE)
        assert hammer.count().total == 0, f"{hammer.count()}\n{daemon.log()}"


# --- the port goes to somebody else --------------------------------------------------------------


@pytest.mark.slow  # tests/boot/test_stock_docker.py sees ports let go of
def test_a_service_of_the_host_gets_a_port_that_no_container_has_any_more(scene: Scene) -> None:
    gone = scene.engine.container("gone", "-p", f"{GONE}:80")
    with Daemon(scene.host) as daemon:
        assert scene.answers(GONE, STRANGER[1]) == ""
        scene.engine.docker("rm", "-f", gone.name)
        scene.host.listen(f"{GONE}/tcp")
        assert scene.host.tcp("::1", GONE).text == "host"
        # Still guarded, which is nothing that anybody should see to.
        assert scene.exit_status("plan") == 0
        assert scene.exit_status("status") == 0
        assert scene.answers(GONE, STRANGER[1]) == "", "it may come back"

        reached = becomes_true(lambda: scene.answers(GONE, STRANGER[1]) == "host", PATIENCE)
        assert reached, daemon.log()
        assert scene.exit_status("plan") == 0
        assert scene.exit_status("status") == 0
    scene.host.quiet()
