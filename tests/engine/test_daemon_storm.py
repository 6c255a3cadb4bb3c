"""Thirty containers start at once under a hammer: nobody gets in who may not, everybody who may.

An outside host that the policy does not name connects as fast as it can to every host port and
to every address that a container could get, from before the first of them exists. With dockerd
in its unit, or in a slice of its own, docker-proxy is closed from its first packet too; elsewhere
IPv6 connections that came before the daemon knew of the port are counted and printed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest

from tests.engine.scene import OFFICE, STRANGER, allow, apply
from tests.lab.cgroups import SlicedEngine, UnitEngine
from tests.lab.daemon import Daemon
from tests.lab.engine import IMAGE, Engine, Version
from tests.lab.host import HOST_V4, HOST_V6, Host
from tests.lab.place import Blows, Probe, probe
from tests.lab.wait import becomes_true, until

MANY, FEW = 30, 5
NAMES = [f"web{number}" for number in range(MANY)]
PORTS = {name: 8001 + number for number, name in enumerate(NAMES)}
ADDRESSES = [f"172.17.0.{2 + number}" for number in range(MANY)]
POLICY = allow('to = "web*"\nports = [80]', "office")
ITSELF = "the host itself"
SOON = 1.0
"""Seconds from the end of ``docker run`` until what is allowed works."""


class Scene(NamedTuple):
    host: Host
    engine: Engine
    at_home: bool

    @property
    def direct(self) -> bool:
        """Whether the engine lets a neighbour straight to a container's address."""
        return self.engine.version != "28.5"

    def run(self, name: str) -> None:
        """``docker run``, with a name that the container answers with."""
        own = ["--pull", "never", "--stop-timeout", "1"]
        own += ["--cgroup-parent", f"/{self.engine._cgroup}", "--name", name, "--hostname", name]
        self.engine.docker("run", "-d", *own, "-p", f"{PORTS[name]}:80", IMAGE)

    def forget(self, names: list[str]) -> None:
        self.engine.docker("rm", "-f", *names)


HOMES = {"unit": UnitEngine, "slice": SlicedEngine, "shared": Engine}


@pytest.fixture(
    params=[
        ("20.10", "unit"),
        pytest.param(("20.10", "slice"), marks=pytest.mark.slow),
        pytest.param(("20.10", "shared"), marks=pytest.mark.slow),
        pytest.param(("26.1", "unit"), marks=pytest.mark.slow),
        pytest.param(("28.5", "unit"), marks=pytest.mark.slow),
        pytest.param(("26.1", "slice"), marks=pytest.mark.slow),
        pytest.param(("28.5", "slice"), marks=pytest.mark.slow),
        pytest.param(("28.5", "shared"), marks=pytest.mark.slow),
    ],
    ids="-".join,
)
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    version: Version
    version, home = request.param
    with Host() as host, HOMES[home](host, version) as engine:
        yield Scene(host, engine, home != "shared")


class Onlooker:
    """Asks over and over, as the office and as the host itself, who answers where.

    ``ways`` maps each question to how it goes. By question: ``name`` of the container that
    answered, ``since`` when (monotonic), and ``silent``, when the last look in vain began.
    """

    def __init__(self, scene: Scene) -> None:
        self.names: dict[Probe, str] = {}
        self.since: dict[Probe, float] = {}
        self.silent: dict[Probe, float] = {}
        self._over = threading.Event()
        outside, host = scene.host.outside, scene.host
        self.ways = {Probe(host, "tcp", HOST_V4, port): ITSELF for port in PORTS.values()}
        for way, address, source in (("IPv4", HOST_V4, OFFICE[0]), ("IPv6", HOST_V6, OFFICE[1])):
            for port in PORTS.values():
                self.ways[Probe(outside, "tcp", address, port, source)] = way
        for address in ADDRESSES if scene.direct else ():
            self.ways[Probe(outside, "tcp", address, 80, OFFICE[0])] = "its address"
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.is_set():
            left = [one for one in self.ways if one not in self.names]
            begun = time.monotonic()
            answers = probe(left, 0.3)
            now = time.monotonic()
            for one, answer in zip(left, answers, strict=True):
                if answer.text:
                    self.names[one], self.since[one] = answer.text, now
                else:
                    self.silent[one] = begun

    @property
    def waits_for(self) -> list[str]:
        return [f"{one}" for one in self.ways if one not in self.names]

    def close(self) -> None:
        self._over.set()
        self._thread.join()

    def late(self, returned: dict[str, float]) -> list[str]:
        """What was looked at in vain later than `SOON` after ``docker run``.

        Nobody can get in before the container itself listens: that is seen from the host.
        """
        up = dict(returned)
        for one, name in self.names.items():
            if self.ways[one] == ITSELF:
                up[name] = max(up[name], self.since[one])
        vain = {one: self.silent.get(one, 0.0) - up[name] for one, name in self.names.items()}
        return [
            f"{one}: not yet after {after:.2f} s" for one, after in vain.items() if after > SOON
        ]


def storm(scene: Scene, names: list[str]) -> dict[str, float]:
    """Start all at once; when each ``docker run`` was over."""

    def start(name: str) -> float:
        scene.run(name)
        return time.monotonic()

    with ThreadPoolExecutor(len(names)) as pool:
        return dict(zip(names, pool.map(start, names), strict=True))


def targets() -> list[tuple[str, int, str]]:
    by_port = [
        (address, port, source)
        for address, source in zip((HOST_V4, HOST_V6), STRANGER, strict=True)
        for port in PORTS.values()
    ]
    return by_port + [(address, 80, STRANGER[0]) for address in ADDRESSES]


def accepted_at(blows: Blows, address: str) -> int:
    """How many the hammer got in at addresses that begin so."""
    return sum(count for target, count in blows.accepted.items() if target.startswith(address))


def hammered_without_dockerfw(scene: Scene) -> Blows:
    few = NAMES[:FEW]
    with scene.host.outside.hammer(*targets()) as hammer:
        until(lambda: hammer.count().tries > 0, "the hammer to begin")
        storm(scene, few)
        # docker-proxy accepts before the container listens; on the other ways there is nobody.
        own = [Probe(scene.host, "tcp", HOST_V4, PORTS[name]) for name in few]
        until(lambda: all(a.text for a in probe(own)), "all to answer the host", seconds=30)
        begun = hammer.count().tries
        until(lambda: hammer.count().tries > begun + 600, "the hammer to go on", seconds=30)
        blows = hammer.stop()
    scene.forget(few)
    return blows


def test_nobody_gets_in_who_may_not_and_everybody_who_may_while_thirty_containers_start(
    scene: Scene,
) -> None:
    bare = hammered_without_dockerfw(scene)
    assert accepted_at(bare, HOST_V4), f"without dockerfw IPv4 is open: {bare}"
    assert accepted_at(bare, HOST_V6), f"without dockerfw IPv6 is open: {bare}"
    assert accepted_at(bare, "172.17.") or not scene.direct, f"addresses are open: {bare}"
    apply(scene.host, POLICY)

    with Daemon(scene.host, "--log-format", "json") as daemon:  # it tells how long each took
        with scene.host.outside.hammer(*targets()) as hammer:
            until(lambda: hammer.count().tries > 0, "the hammer to begin")
            onlooker = Onlooker(scene)
            try:
                returned = storm(scene, NAMES)
                works = becomes_true(lambda: not onlooker.waits_for, 30)
            finally:
                onlooker.close()
            begun = hammer.count().tries
            until(lambda: hammer.count().tries > begun + 600, "the hammer to go on", seconds=30)
            blows = hammer.stop()

        assert works, f"{onlooker.waits_for}\n{daemon.log()}"
        assert accepted_at(blows, HOST_V4) == 0, blows
        assert accepted_at(blows, "172.17.") == 0, blows
        through_proxy = accepted_at(blows, HOST_V6)
        if scene.at_home:
            assert through_proxy == 0, blows
        else:
            print(f"docker-proxy in a shared cgroup: {through_proxy} of {blows.tries} accepted")  # noqa: T201
        assert blows.tries > 5000, "the hammer was at work"
        assert onlooker.late(returned) == [], daemon.log()
        assert scene.host.dockerfw("status", check=False).returncode == 0
