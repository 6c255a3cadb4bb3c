"""Commits under traffic, killed at random points: never more open, nothing cut, and mended after.

Two policies take turns. Both let the steady source in, each by other sets and chains; neither
lets the stranger in. ``DOCKERFW_PROFILE=full`` kills fifty times.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Literal, TypeAlias

import pytest

from dockerfw.model.policy import FileSource, Policy
from tests.build import address_list, allow, deny, long_list, policy
from tests.lab import process
from tests.lab.guard import LabError
from tests.lab.place import Probe, disagreements
from tests.lab.wait import Closable, until
from tests.packets.scene import HOST, Scene, at

FULL = os.environ.get("DOCKERFW_PROFILE") == "full"
SEED = os.environ.get("DOCKERFW_SEED") or str(time.time_ns() % 2**32)
KILLS = 50 if FULL else 12
ALTERNATIONS = 30 if FULL else 8

Flavour: TypeAlias = Literal["nft", "legacy"]

ONE = ("203.0.113.2", "2001:db8:1::2")
STEADY = ("198.51.100.7", "2001:db8:10::7")
TWO = ("192.0.2.7", "2001:db8:20::7")
STRANGER = ("203.0.113.9", "2001:db8:1::9")

PORTS = (80, "53/udp")


def _few(*networks: str) -> FileSource:
    return address_list("few.netset", *networks)


def _many(*networks: str) -> FileSource:
    return long_list("many.netset", *networks)


FIRST = policy(
    allow(_few(*ONE, *STEADY), to="web", ports=PORTS),
    deny(_few("10.0.0.0/8"), to="web", ports="icmp"),
)
SECOND = policy(
    allow(_many(*STEADY), to="web", ports="all"),
    allow(_few(*TWO), to="web", ports=PORTS),
    allow("iface:wg0", to="web", ports=PORTS),
    allow(_few(*STEADY), published=("1-10000", "5353/udp")),
    deny(_many(*STRANGER)),
    baseline=(),
)


# --- traffic -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Count:
    """Datagrams sent, and those that nobody answered, for each way and kind of flow."""

    sent: int
    lost: Mapping[str, int]


class Stream(Closable):
    """Datagrams without a pause by four ways, in old flows and new ones (`packets.stream`)."""

    def __init__(self, scene: Scene) -> None:
        self._process = scene.outside.start(
            [sys.executable, "-S", "-c", "from tests.packets.stream import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None,
        )
        # Docker's NAT, docker-proxy, and the container's own address in both families.
        ways = [
            (HOST[4], 5353, STEADY[0]),
            (HOST[6], 5353, STEADY[1]),
            (at("web", 4), 53, STEADY[0]),
            (at("web", 6), 53, STEADY[1]),
        ]
        self._say(json.dumps({"ways": ways}))

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def count(self) -> Count:
        """All that was sent until now, its answers waited for."""
        self._say("")
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise LabError("the stream ended without a count")
        return Count(**json.loads(line))

    def close(self) -> None:
        process.end(self._process)


class Traffic(Closable):
    """What both policies allow goes on all the time; what neither allows is tried all the time."""

    def __init__(self, scene: Scene) -> None:
        self.stream = Stream(scene)
        self.stranger = scene.outside.hammer(
            (HOST[4], 8080, STRANGER[0]),
            (HOST[6], 8080, STRANGER[1]),
            (at("web", 4), 80, STRANGER[0]),
            (at("web", 6), 80, STRANGER[1]),
            (at("db", 4), 5432, STRANGER[0]),
            (HOST[6], 5432, STRANGER[1]),
        )

    def close(self) -> None:
        self.stranger.close()
        self.stream.close()

    def judge(self) -> None:
        count = self.stream.count()
        assert not count.lost, f"cut, of {count.sent} datagrams (DOCKERFW_SEED={SEED})"
        blows = self.stranger.stop()
        assert blows.tries > 1000, "the hammer did not get to work"
        assert not blows.accepted, f"opened, in {blows.tries} tries (DOCKERFW_SEED={SEED})"


@pytest.fixture(params=["nft", "legacy"])
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    flavour: Flavour = request.param
    with Scene(flavour=flavour) as scene:
        scene.commit(FIRST)
        yield scene


@pytest.fixture
def traffic(scene: Scene) -> Iterator[Traffic]:
    """On a machine that loses datagrams by itself, what follows would say nothing."""
    with Traffic(scene) as traffic:
        until(lambda: traffic.stranger.count().tries > 1000, "the hammer to get to work")
        until(lambda: traffic.stream.count().sent > 2000, "the stream to get to work")
        idle = traffic.stream.count()
        if idle.lost:
            raise LabError(f"lost without any commit: {idle}")
        yield traffic


# --- commits in a process ------------------------------------------------------------------------


class Commit:
    """A commit in the host, in a process of its own."""

    def __init__(self, scene: Scene, policy: Policy) -> None:
        order = scene.host.path("/run/order")
        order.write_bytes(pickle.dumps((policy, scene.inventory)))
        self.process = scene.host.start(
            [sys.executable, "-m", "tests.packets.commit_once", "/run/order"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self.process.stdout is not None
        if self.process.stdout.readline() != "begin\n":
            _, said = self.process.communicate()
            msg = f"the commit did not begin: {said}"
            raise LabError(msg)
        self.began = time.monotonic()

    def runs_longer_than(self, seconds: float) -> bool:
        """Wait so long for its end; True: it did not come."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return True
        return False

    def kill(self, *, with_tools: bool) -> None:
        """SIGKILL dockerfw, and the tool that it has started, unless that may finish."""
        family = [int(pid) for pid in _children(self.process.pid)]
        if with_tools:
            family += [int(tool) for pid in family for tool in _children(pid)]
        for pid in family:
            _kill(pid)
        self.process.communicate()

    def finish(self) -> str:
        """What it complained of: nothing, if all went well."""
        _, said = self.process.communicate(timeout=60)
        return said if self.process.returncode else ""


def _children(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except OSError:
        return []


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _whole_commit(scene: Scene, policy: Policy) -> float:
    """How long one takes that is left alone, in seconds."""
    commit = Commit(scene, policy)
    assert commit.finish() == ""
    return time.monotonic() - commit.began


# --- the tests -----------------------------------------------------------------------------------


def test_commits_that_are_killed_open_nothing_and_cut_nothing(
    scene: Scene, traffic: Traffic
) -> None:
    random = Random(SEED)
    policies = (SECOND, FIRST)
    longest = max(_whole_commit(scene, policy) for policy in policies)
    killed = 0
    for n in range(KILLS):
        commit = Commit(scene, policies[n % 2])
        killed += commit.runs_longer_than(random.uniform(0, longest))
        commit.kill(with_tools=random.random() < 0.5)
    assert killed > KILLS / 3, "most commits were over before they were killed"
    traffic.judge()
    _converges(scene)


@pytest.mark.parametrize(
    "scene", ["nft", pytest.param("legacy", marks=pytest.mark.slow)], indirect=True
)
def test_commits_under_traffic_open_nothing_and_cut_nothing(scene: Scene, traffic: Traffic) -> None:
    for n in range(ALTERNATIONS):
        assert Commit(scene, (SECOND, FIRST)[n % 2]).finish() == ""
    traffic.judge()
    _converges(scene)


def _converges(scene: Scene) -> None:
    result = scene.commit(SECOND)
    assert result.last.plan.in_sync
    assert scene.commit(SECOND).steps == 0
    wanted = {ipset.name for ipset in result.last.ruleset.sets}
    assert set(result.last.live.sets) == wanted
    outside = scene.outside
    table = [
        (Probe(outside, "tcp", address, port, start[family == 6]), open_)
        for family, address, port in (
            (4, HOST[4], 8080),
            (6, HOST[6], 8080),
            (4, at("web", 4), 80),
            (6, at("web", 6), 80),
        )
        for start, open_ in ((ONE, False), (STEADY, True), (TWO, True), (STRANGER, False))
    ]
    assert disagreements(table) == []
