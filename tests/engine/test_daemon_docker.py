"""The daemon beside an engine that restarts, is killed, stays away, hangs, reuses addresses.

dockerd lives in a slice of its own, so that docker-proxy is closed from its first packet. An
outside host that may not get in connects as fast as it can all the while.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from random import Random
from typing import NamedTuple, TypeAlias

import pytest

from tests.engine.scene import OFFICE, STRANGER, allow, apply
from tests.lab.cgroups import SlicedEngine
from tests.lab.daemon import Daemon
from tests.lab.engine import IMAGE, Version
from tests.lab.host import HOST_V4, HOST_V6, Host
from tests.lab.place import Blows, Hammer
from tests.lab.sets import saved_sets
from tests.lab.wait import becomes_true, until

FULL = os.environ.get("DOCKERFW_PROFILE") == "full"
SEED = os.environ.get("DOCKERFW_SEED") or str(time.time_ns() % 2**32)
KILLS = 50 if FULL else 5
AWAY = 60.0 if FULL else 10.0
HUNG = 15.0
ROUNDS = 40 if FULL else 5
PATIENCE = 60.0

RESYNC = "[daemon]\nresync = 5"
POLICY = (
    RESYNC,
    allow('to = "web"\nports = [80, 7000]', "office"),
    allow("published = [9090]", "office"),
)
FIRST, OTHER = "172.30.0.5", "172.30.0.9"
REUSE = (
    RESYNC,
    allow('to = "web"\nports = [81]', "any"),
    allow("published = [8083]", "office"),
)


class Scene(NamedTuple):
    host: Host
    engine: SlicedEngine
    live_restore: bool

    @property
    def direct(self) -> bool:
        """Whether the engine lets a neighbour straight to a container's address."""
        return self.engine.version != "28.5"

    def run_line(self, name: str, *options: str) -> str:
        """``docker run -d`` as a line for a shell."""
        own = ("--pull", "never", "--stop-timeout", "1", "--name", name, "--hostname", name)
        cgroup = ("--cgroup-parent", f"/{self.engine._cgroup}")
        return " ".join(("docker", "run", "-d", *own, *cgroup, *options, IMAGE))

    def shell(self, *lines: str) -> None:
        """One after the other, with nothing in between."""
        self.engine.run(["sh", "-ec", "\n".join(lines)])

    def remove_all(self) -> None:
        names = self.engine.docker("ps", "-aq").split()
        if names:
            self.engine.docker("rm", "-f", *names)

    def agrees(self) -> None:
        """Kernel, policy and Docker agree, as ``status`` sees it."""
        said = ""

        def agreed() -> bool:
            nonlocal said
            done = self.host.dockerfw("status", check=False)
            said = done.stdout + done.stderr
            return done.returncode == 0

        assert becomes_true(agreed, PATIENCE), said

    def serves(self, name: str, address: str, port: int, source: str = OFFICE[0]) -> bool:
        answer = self.host.outside.tcp(address, port, source=source, patience=1)
        return answer.text == name

    def closed(self, address: str, port: int, source: str = STRANGER[0]) -> bool:
        return self.host.outside.tcp(address, port, source=source, patience=0.3).outcome == "silent"


# --- dockerd comes and goes ----------------------------------------------------------------------


class Home(NamedTuple):
    version: Version
    live_restore: bool

    def __str__(self) -> str:
        return f"{self.version}-{'live-restore' if self.live_restore else 'plain'}"


OLDEST, NEWEST = Home("20.10", live_restore=True), Home("28.5", live_restore=False)
VERSIONS: tuple[Version, ...] = ("28.5", "20.10", "26.1")
HOMES = [Home(version, live_restore=on) for version in VERSIONS for on in (False, True)]


@pytest.fixture(scope="module", params=HOMES, ids=str)
def stage(request: pytest.FixtureRequest) -> Iterator[Scene]:
    version, live_restore = request.param
    options = ["--live-restore"] if live_restore else []
    with Host() as host, SlicedEngine(host, version, *options) as engine:
        scene = Scene(host, engine, live_restore)
        always = ("--restart", "always")
        web = engine.container("web", *always, "-p", "8080:80", "-p", "7000:7000")
        engine.container("db", *always, "-p", "5432:80")
        engine.container("api", *always, "-p", "9090:80")
        web.listen("7000/tcp")
        with host.outside.hammer(*denied()) as hammer:
            hammer.go_on(seconds=PATIENCE)
            assert hammer.stop().total > 0, "without dockerfw the hammer gets in"
        apply(host, *POLICY)
        yield scene


@pytest.fixture
def scene(stage: Scene) -> Iterator[Scene]:
    """Everything up, nothing of an earlier test."""
    web = stage.engine.refresh("web")
    web.quiet()
    web.listen("7000/tcp")
    yield stage
    if not stage.engine.alive:
        stage.engine.start()


def denied() -> list[tuple[str, int, str]]:
    """What the stranger may not, and where the office may not go either."""
    ports = (8080, 7000, 5432, 9090)
    found = [(HOST_V4, port, STRANGER[0]) for port in ports]
    found += [(HOST_V6, port, STRANGER[1]) for port in ports]
    found += [(HOST_V4, 5432, OFFICE[0]), (HOST_V6, 5432, OFFICE[1])]
    return found + [(f"172.17.0.{last}", 80, STRANGER[0]) for last in range(2, 6)]


def restart(scene: Scene, _: Daemon, hammer: Hammer) -> None:
    scene.engine.stop()
    hammer.go_on(seconds=PATIENCE)
    scene.engine.start()


def kill(scene: Scene, _: Daemon, hammer: Hammer) -> None:
    scene.engine.kill()
    hammer.go_on(seconds=PATIENCE)
    scene.engine.start()


def stay_away(scene: Scene, daemon: Daemon, hammer: Hammer) -> None:
    scene.engine.stop()
    _without_docker(scene, daemon, hammer, AWAY)
    scene.engine.start()


def _without_docker(scene: Scene, daemon: Daemon, hammer: Hammer, seconds: float) -> None:
    """For so long, and until the daemon has said so and has done its other work."""
    end = time.monotonic() + seconds
    daemon.until_said("Docker does not answer", patience=PATIENCE)
    hammer.go_on(seconds=PATIENCE)
    scene.host.run(["iptables", "-F", "DOCKERFW"])
    daemon.until_said("put right", patience=PATIENCE)
    while time.monotonic() < end:
        hammer.go_on(seconds=PATIENCE)
    assert daemon.alive


def hang(scene: Scene, daemon: Daemon, hammer: Hammer) -> None:
    """Dockerd answers nobody, for as long as it takes to be sure."""
    pid = scene.host.read("/run/docker.pid").strip()
    scene.host.run(["kill", "-STOP", pid])
    try:
        _without_docker(scene, daemon, hammer, HUNG)
    finally:
        scene.host.run(["kill", "-CONT", pid])


def _sweep(scene: Scene, daemon: Daemon) -> None:
    """After SIGKILL engines before 28 may leave the interfaces of containers that have ended in
    the bridge, and who gets such an address next is not to be reached.
    """
    before = daemon.log().count("Docker answers again")
    scene.engine.stop()
    stale = "ip -o link show master docker0 | sed 's/^[0-9]*: \\([^@:]*\\).*/\\1/'"
    scene.host.run(["sh", "-ec", f"for port in $({stale}); do ip link delete $port; done"])
    scene.engine.start()
    daemon.until_said("Docker answers again", before + 1, patience=PATIENCE)


Fault: TypeAlias = Callable[[Scene, Daemon, Hammer], None]
FAULTS: tuple[Fault, ...] = (restart, kill, stay_away, hang)
QUICK = {(OLDEST, fault) for fault in FAULTS} | {(NEWEST, kill)}
"""Each fault where containers stay, and the one that leaves most behind where they do not."""


def containers_stay(scene: Scene, fault: Fault) -> bool:
    return scene.live_restore or fault is hang


@pytest.mark.quick_where(holds=lambda stage, fault: (stage, fault) in QUICK)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_whatever_dockerd_does_nobody_gets_in_and_what_is_allowed_goes_on(
    scene: Scene, fault: Fault
) -> None:
    flow = scene.host.outside.flow("tcp", HOST_V4, 7000, source=OFFICE[0])
    assert flow.ask()
    with Daemon(scene.host) as daemon:
        with scene.host.outside.hammer(*denied()) as hammer:
            fault(scene, daemon, hammer)
            daemon.until_said("Docker answers again", patience=PATIENCE)
            if containers_stay(scene, fault):
                assert flow.ask(patience=5), f"an allowed flow was cut\n{daemon.log()}"
            hammer.go_on(seconds=PATIENCE)
            blows = hammer.stop()
        assert blows.total == 0, f"{blows}\n{daemon.log()}"
        if fault is kill and not scene.live_restore:
            _sweep(scene, daemon)
        for port, name in ((8080, "web"), (9090, "api")):
            works = becomes_true(partial(scene.serves, name, HOST_V4, port), 10)
            assert works, f"{name} on {port}\n{daemon.log()}"
        assert daemon.alive
        scene.agrees()
        assert daemon.stop() == 0
    flow.close()


# --- the daemon is killed while containers start -------------------------------------------------


class Storm:
    """Containers that come and go without a pause, in a thread."""

    NAMES = tuple(f"storm{number}" for number in range(4))

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._rage)
        self.rounds = 0
        self.wrong: Exception | None = None
        self._thread.start()

    def _rage(self) -> None:
        try:
            while not self._over.is_set():
                self._round()
        except Exception as error:  # noqa: BLE001 - raised again by `end`
            self.wrong = error

    def _round(self) -> None:
        lines = [
            self._scene.run_line(name, "-p", f"{8101 + n}:80") for n, name in enumerate(self.NAMES)
        ]
        with ThreadPoolExecutor(len(lines)) as pool:
            list(pool.map(self._scene.shell, lines))
        self._scene.engine.docker("rm", "-f", *self.NAMES)
        self.rounds += 1

    def end(self) -> None:
        self._over.set()
        self._thread.join()
        if self.wrong is not None:
            raise self.wrong


def _storm_targets() -> list[tuple[str, int, str]]:
    ports = [8101 + n for n in range(len(Storm.NAMES))]
    found = [(HOST_V4, port, STRANGER[0]) for port in ports]
    found += [(HOST_V6, port, STRANGER[1]) for port in ports]
    return found + [(f"172.17.0.{last}", 80, STRANGER[0]) for last in range(2, 14)]


@pytest.mark.quick_where(holds=lambda stage: stage == OLDEST)
def test_killed_at_any_moment_of_a_storm_it_lets_nobody_in_and_cuts_nothing(scene: Scene) -> None:
    print(f"DOCKERFW_SEED={SEED}")  # noqa: T201 - shown when it fails
    random = Random(SEED)
    apply(scene.host, *POLICY, allow('to = "storm*"\nports = [80]', "office"))
    flow = scene.host.outside.flow("tcp", HOST_V4, 7000, source=OFFICE[0])
    daemon = Daemon(scene.host)
    with scene.host.outside.hammer(*_storm_targets(), seconds=3600) as hammer:
        storm = Storm(scene)
        try:
            for number in range(KILLS):
                time.sleep(random.uniform(0, 3))  # any moment: nothing is waited for
                assert daemon.alive, daemon.log()
                daemon.stop(signal.SIGKILL)
                assert flow.ask(patience=5), f"kill {number}\n{daemon.log()}"
                daemon.wait = number % 2 == 0
                daemon.start()
        finally:
            storm.end()
        hammer.go_on(seconds=PATIENCE)
        blows = hammer.stop()
    assert blows.total == 0, f"{blows}\n{daemon.log()}"
    assert storm.rounds > 0
    assert flow.ask(patience=5), "an allowed flow was cut"
    flow.close()
    scene.agrees()
    assert daemon.stop() == 0
    apply(scene.host, *POLICY)


# --- addresses are used again --------------------------------------------------------------------


@pytest.fixture(
    scope="module",
    params=[
        "20.10",  # by which more ways leak than by newer ones
        *(pytest.param(newer, marks=pytest.mark.slow) for newer in ("26.1", "28.5")),
    ],
)
def street(request: pytest.FixtureRequest) -> Iterator[Scene]:
    """A network on which containers get the address that they ask for."""
    with Host() as host, SlicedEngine(host, request.param) as engine:
        engine.docker("network", "create", "--subnet", "172.30.0.0/24", "shop")
        yield Scene(host, engine, live_restore=False)


@pytest.fixture
def houses(street: Scene) -> Iterator[Scene]:
    """The same with nobody in it, and the policy in force."""
    apply(street.host, *REUSE)
    yield street
    street.remove_all()


def run_web(scene: Scene, address: str = FIRST, *, serves: bool = False) -> str:
    """Port 81 is open to all; nobody listens there unless it ``serves``, so that whoever gets an
    answer from 81 got it from another container.
    """
    port = 81 if serves else 80
    where = ("--network", "shop", "--ip", address, "-p", f"{HOST_V4}:8081:81", "-e", f"PORT={port}")
    return scene.run_line("web", *where)


def run_db(scene: Scene, *published: str) -> str:
    """Listens on 81, which nobody may, at web's old address."""
    ports = [word for port in published for word in ("-p", port)]
    return scene.run_line("db", "--network", "shop", "--ip", FIRST, "-e", "PORT=81", *ports)


def web_is_open(scene: Scene) -> bool:
    """Nobody listens: a refusal is web's own, and says that the packet came through."""
    ways = [(HOST_V4, 8081)] + ([(FIRST, 81)] if scene.direct else [])
    source = STRANGER[0]
    answers = [scene.host.outside.tcp(a, p, source=source, patience=0.3) for a, p in ways]
    return all(answer.outcome == "refused" for answer in answers)


def db_is_up(scene: Scene) -> None:
    until(lambda: scene.host.tcp(FIRST, 81).text == "db", "db to listen", seconds=PATIENCE)


BY_ADDRESS = (FIRST, 81, STRANGER[0])
BY_OLD_PORT = (HOST_V4, 8081, STRANGER[0])
BY_NEW_PORT = ((HOST_V4, 8082, STRANGER[0]), (HOST_V6, 8082, STRANGER[1]))


def accepted(blows: Blows, target: tuple[str, int, str]) -> int:
    return blows.accepted.get(f"{target[0]} {target[1]}", 0)


def test_without_dockerfw_the_new_container_is_open_at_the_old_address(houses: Scene) -> None:
    houses.host.dockerfw("remove", "--yes")
    with houses.host.outside.hammer(BY_ADDRESS, BY_OLD_PORT, *BY_NEW_PORT) as hammer:
        houses.shell(
            run_web(houses), "docker rm -f web", run_db(houses, f"{HOST_V4}:8081:81", "8082:81")
        )
        db_is_up(houses)
        hammer.go_on(seconds=PATIENCE)
        blows = hammer.stop()
    for target in (BY_OLD_PORT, *BY_NEW_PORT, *([BY_ADDRESS] if houses.direct else [])):
        assert accepted(blows, target), f"{target}: {blows}"


def test_entries_are_gone_before_their_address_or_host_port_is_used_again(houses: Scene) -> None:
    """A container with an open port goes; a closed one takes its address and port at once."""
    with (
        Daemon(houses.host) as daemon,
        houses.host.outside.hammer(BY_ADDRESS, BY_OLD_PORT, *BY_NEW_PORT, seconds=3600) as hammer,
    ):
        for number in range(ROUNDS):
            houses.shell(run_web(houses))
            assert becomes_true(lambda: web_is_open(houses), 20), daemon.log()
            houses.shell("docker rm -f web", run_db(houses, f"{HOST_V4}:8081:81", "8082:81"))
            db_is_up(houses)
            hammer.go_on(seconds=PATIENCE)
            count = hammer.count()
            assert count.total == 0, f"round {number}: {count}\n{daemon.log()}"
            houses.shell("docker rm -f db")
        houses.agrees()


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGSTOP, id="slow"),
        pytest.param(signal.SIGKILL, id="dead", marks=pytest.mark.slow),
    ],
)
def test_while_it_is_slow_or_dead_an_address_alone_may_be_stale(
    houses: Scene, number: signal.Signals
) -> None:
    with Daemon(houses.host) as daemon:
        houses.shell(run_web(houses))
        assert becomes_true(lambda: web_is_open(houses), 20), daemon.log()
        daemon.send(number)
        with houses.host.outside.hammer(BY_ADDRESS, *BY_NEW_PORT) as hammer:
            houses.shell("docker rm -f web", run_db(houses, "8082:81"))
            db_is_up(houses)
            hammer.go_on(seconds=PATIENCE)
            blows = hammer.stop()
        assert bool(accepted(blows, BY_ADDRESS)) is houses.direct, f"nobody told the sets: {blows}"
        assert blows.total == accepted(blows, BY_ADDRESS), f"more is stale: {blows}"
        assert houses.host.dockerfw("status", check=False).returncode == 3

        if number == signal.SIGSTOP:
            daemon.send(signal.SIGCONT)
        else:
            daemon.start()

        houses.agrees()
        with houses.host.outside.hammer(BY_ADDRESS, *BY_NEW_PORT) as hammer:
            hammer.go_on(seconds=PATIENCE)
            after = hammer.stop()
        assert after.total == 0, f"{after}\n{daemon.log()}"


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(None, id="up"),
        pytest.param(signal.SIGSTOP, id="slow", marks=pytest.mark.slow),
        pytest.param(signal.SIGKILL, id="dead"),
    ],
)
def test_a_container_at_another_address_keeps_its_host_ports_whatever_the_daemon_does(
    houses: Scene, number: signal.Signals | None
) -> None:
    """Rules by host port hold with no dockerfw at work; its new address opens with the daemon."""
    api = ("--network", "shop", "-p", "8083:80")
    by_port = (("web", 8081), ("api", 8083))
    with Daemon(houses.host) as daemon:
        houses.shell(
            run_web(houses, serves=True), houses.run_line("api", *api, "--ip", "172.30.0.6")
        )
        for name, port in by_port:
            assert becomes_true(partial(houses.serves, name, HOST_V4, port), 20), daemon.log()
        if number is not None:
            daemon.send(number)

        houses.shell(
            "docker rm -f web api",
            run_web(houses, OTHER, serves=True),
            houses.run_line("api", *api, "--ip", "172.30.0.7"),
        )

        for name, port in by_port:
            works = becomes_true(partial(houses.serves, name, HOST_V4, port), 20)
            assert works, f"{name} on {port}\n{daemon.log()}"
        assert houses.closed(HOST_V4, 8083)
        assert houses.closed("172.30.0.7", 80)
        if number is not None:
            assert houses.closed(OTHER, 81), "nobody has told the sets of that address"
            assert houses.host.dockerfw("status", check=False).returncode == 3
        if number == signal.SIGSTOP:
            daemon.send(signal.SIGCONT)
        if number == signal.SIGKILL:
            daemon.start()
        houses.agrees()
        if houses.direct:
            assert becomes_true(lambda: houses.serves("web", OTHER, 81), 10), daemon.log()
        listed = saved_sets(houses.host)
        assert FIRST not in listed, f"the old address is forgotten\n{listed}"
