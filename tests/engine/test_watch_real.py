"""The watcher beside a real engine: after whatever happens there, it equals a fresh reading."""

from __future__ import annotations

import gc
import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from dockerfw.clock import SystemClock
from dockerfw.docker.client import Docker
from dockerfw.docker.reports import Changed, Connected, Lost, Report
from dockerfw.docker.watcher import Watcher
from dockerfw.model.inventory import Inventory
from dockerfw.model.policy import Needs
from tests.lab.engine import IMAGE, Engine
from tests.lab.host import Host

PATIENCE = 30.0
ENGINES = ("20.10", pytest.param("28.5", marks=pytest.mark.slow))


class Beside:
    """A watcher beside an engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.docker = engine.docker
        self.inventory = Inventory()
        self.reports: list[Report] = []
        self.watcher = Watcher(self.connect, Needs(images=True, labels=True), SystemClock())
        self.watcher.start()
        self.until(lambda: self.has(Connected), "a connection")

    def connect(self) -> Docker:
        return Docker.connect(f"unix://{self.engine.socket}", timeout=10)

    def take(self, seconds: float) -> list[Report]:
        readable, _, _ = select.select([self.watcher.fileno()], [], [], seconds)
        reports = self.watcher.take() if readable else []
        for report in reports:
            if isinstance(report, (Connected, Changed)):
                self.inventory = report.inventory
        self.reports += reports
        return reports

    def has(self, kind: type[Report]) -> bool:
        return any(isinstance(report, kind) for report in self.reports)

    def until(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"in vain: {what}; {self.inventory}"
            self.take(0.05)

    def fresh(self) -> Inventory:
        with closing(self.connect()) as docker:
            inventory = docker.read_inventory({}, Needs(images=True, labels=True))
            assert docker.warnings == ()
            return inventory

    def equals_a_fresh_reading(self, after: str) -> None:
        self.until(lambda: self.inventory == self.fresh(), f"after {after}: {self.fresh()}")

    def run(self, name: str, *rest: str) -> None:
        """``docker run -d``, for what serves nothing."""
        own = ("--pull", "never", "--cgroup-parent", f"/{self.engine._cgroup}")
        self.docker("run", "-d", *own, "--name", name, *rest)

    def names(self) -> set[str]:
        return {c.name for c in self.inventory.containers}


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    with Host() as host, Engine(host, request.param) as engine:
        engine.docker("network", "create", "--subnet", "172.30.0.0/24", "front")
        engine.docker("network", "create", "--subnet", "172.31.0.0/24", "back")
        yield engine


@pytest.fixture
def beside(engine: Engine) -> Iterator[Beside]:
    beside = Beside(engine)
    yield beside
    beside.watcher.stop()
    names = engine.docker("ps", "-aq").split()
    if names:
        engine.docker("rm", "-f", *names)


STEPS = """
pause web
unpause web
network connect front web
network connect back web
network disconnect bridge web
network connect --ip 172.30.0.77 front db
rename web www
restart -t 0 www
kill www
start www
network disconnect front www
stop -t 0 www
network connect front www
network disconnect back www
start www
network create --subnet 172.29.0.0/24 late
network connect late www
network disconnect late www
network rm late
restart -t 0 db
stop -t 0 db
start db
rm -f www
rm -f side
rm -f db
"""


def test_after_each_step_it_equals_a_fresh_reading(beside: Beside) -> None:
    run = beside.engine.container
    run("web", "-p", "8080:80", "--label", "tier=front")
    run("db", "--network", "back", "-p", "127.0.0.1:5432:5432")
    beside.run("side", "--network", "container:db", IMAGE, "sleep", "1000")
    run("hostnet", "--network", "host", env={"PORT": "9191"})
    beside.equals_a_fresh_reading("all had started")
    assert beside.names() == {"web", "db", "side", "hostnet"}
    for step in STEPS.strip().splitlines():
        beside.docker(*step.split())
        beside.equals_a_fresh_reading(step)
    assert beside.names() == {"hostnet"}
    beside.watcher.resync()
    beside.until(lambda: any(isinstance(r, Changed) and r.whole for r in beside.reports), "answer")
    assert not any(isinstance(r, Changed) and r.missed for r in beside.reports)
    assert not beside.has(Lost)


def test_one_that_docker_restarts_by_itself_comes_and_goes(beside: Beside) -> None:
    crash = ("sh", "-c", "sleep 0.2; no-such-command")
    beside.run("crash", "--restart", "on-failure:3", IMAGE, *crash)
    starts = 0

    def ended() -> bool:
        nonlocal starts
        starts = sum(
            event.action == "start" and event.name == "crash"
            for report in beside.reports
            if isinstance(report, Changed)
            for event in report.events
        )
        return bool(beside.engine.inspect("crash")["State"]["Status"] == "exited")

    beside.until(ended, "the last attempt")
    beside.equals_a_fresh_reading("it gave up")
    assert starts >= 1
    assert beside.names() == set()


def test_while_it_waits_for_its_next_start_it_has_no_address(beside: Beside) -> None:
    beside.run("loop", "--restart", "always", IMAGE, "hostname")
    beside.until(
        lambda: (
            beside.engine.inspect("loop")["State"]["Restarting"]
            and beside.inventory == beside.fresh()
            and all(not e.addresses for c in beside.inventory.containers for e in c.endpoints)
        ),
        "the same as a fresh reading while it waits",
    )
    beside.docker("rm", "-f", "loop")
    beside.equals_a_fresh_reading("it was removed")


def test_a_storm_of_starts_and_kills(beside: Beside) -> None:
    ends = (("rm", "-f"), ("kill",), ("restart", "-t", "0"))

    def storm(number: int) -> None:
        for turn, end in enumerate(ends):
            name = f"s{number}-{turn}"
            beside.run(name, "--network", "front", IMAGE)
            beside.docker(*end, name)
            beside.run(f"{name}-left", IMAGE)

    threads = [threading.Thread(target=storm, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    beside.until(lambda: not any(t.is_alive() for t in threads), "the storm to end")
    beside.equals_a_fresh_reading("the storm")
    assert len(beside.names()) == 3 * 4


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_docker_restarted_is_lost_once_and_read_anew(beside: Beside) -> None:
    beside.engine.container("web", "-p", "8080:80")
    beside.until(lambda: beside.names() == {"web"}, "web")
    beside.reports.clear()
    beside.engine.restart()
    beside.until(lambda: beside.has(Connected), "a new connection")
    assert sum(isinstance(r, Lost) for r in beside.reports) == 1
    beside.equals_a_fresh_reading("dockerd was restarted")
    beside.engine.container("more")
    beside.until(lambda: "more" in beside.names(), "more")
    gc.collect()  # the docker package leaves the socket open that nobody answered


@pytest.fixture
def empty() -> Iterator[Beside]:
    with Host() as host, Engine(host, "28.5") as engine:
        beside = Beside(engine)
        yield beside
        beside.watcher.stop()


def test_routed_ports_are_known_as_soon_as_the_container_runs(empty: Beside) -> None:
    routed = "com.docker.network.bridge.gateway_mode_ipv4=routed"
    empty.docker("network", "create", "--subnet", "172.30.0.0/24", "-o", routed, "routed")
    empty.engine.container("plain", "--network", "routed", "-p", "80", "-p", "53:53/udp")
    empty.equals_a_fresh_reading("it started")
    (plain,) = empty.inventory.containers
    assert plain.routed == (("tcp", 80), ("udp", 53))


def test_a_swarm_that_begins_and_its_services_are_followed(empty: Beside) -> None:
    empty.docker("swarm", "init", "--advertise-addr", "203.0.113.1")
    create = ("service", "create", "-d", "--no-resolve-image")
    empty.docker(*create, "--name", "api", "-p", "8080:80", IMAGE)
    empty.until(lambda: len(empty.inventory.containers) == 1, "the task of api")
    empty.watcher.resync()  # no event tells of a swarm's own endpoints and ports
    empty.equals_a_fresh_reading("a service was created")
    (task,) = empty.inventory.containers
    assert {(p.host_port, p.container_port) for p in task.ports} == {(8080, 80)}
    assert "docker_gwbridge" in {e.network for e in task.endpoints}
    empty.docker("service", "rm", "api")
    empty.until(lambda: not empty.inventory.containers, "the end of api")
    assert not any(isinstance(r, Changed) and r.missed for r in empty.reports)
    assert not empty.has(Lost)
