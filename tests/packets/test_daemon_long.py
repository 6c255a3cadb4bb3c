"""The daemon over thousands of starts and stops, and beside the other commands.

Docker is played (`tests.fakeengine`), the kernel and the packets are real: some of the played
containers are namespaces on docker0 that answer on port 80.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import NamedTuple

import pytest

from dockerfw.rules.ledger import LINGER
from tests.fakeengine import FakeEngine
from tests.lab.daemon import Daemon
from tests.lab.host import Host
from tests.lab.place import Place, Probe, probe
from tests.lab.sets import saved_sets
from tests.lab.wait import becomes_true, until

FRIEND, OTHER, STRANGER = "198.51.100.7", "203.0.113.2", "203.0.113.9"
WEB, LATE = "172.17.0.2", "172.17.0.3"
CONFIG = "/etc/dockerfw/config.toml"
COPY = "/var/lib/dockerfw/policy/manifest.json"
PATIENCE = 30.0
QUICK = "[daemon]\nresync = 1\n"

FULL = os.environ.get("DOCKERFW_PROFILE") == "full"
STARTS = 20_000 if FULL else 2_000
AT_ONCE = 10
RUNNING = 20
PORTS = 200
"""Host ports that they share: each stays guarded for a while when its container is gone."""
GROWTH = 6 * 1024
"""KiB by which the daemon's memory may grow in the second half of the starts: what an allocator
does, whatever their number. The full ring would see 600 bytes that stay of each."""


def allowed(*sources: str, to: str = "web*", until_: datetime | None = None) -> str:
    listed = ", ".join(f'"{source}"' for source in sources)
    end = f"until = {until_.isoformat(timespec='seconds')}\n" if until_ else ""
    return f'{QUICK}[[allow]]\nto = "{to}"\nports = [80]\nfrom = [{listed}]\n{end}'


class Scene(NamedTuple):
    host: Host
    engine: FakeEngine
    web: Place

    def dockerfw(self, *words: str) -> tuple[int, str]:
        """Exit status, and all that it said."""
        known = ("-H", self.engine.url) if words[0] not in ("lockdown", "remove") else ()
        done = self.host.dockerfw(*words, *known, check=False)
        return done.returncode, done.stdout + done.stderr

    def apply(self, policy: str) -> None:
        self.host.write(CONFIG, policy, 0o600)
        status, said = self.dockerfw("apply", "--yes")
        assert status == 0, said

    def daemon(self, *, wait: bool = True) -> Daemon:
        return Daemon(self.host, "-H", self.engine.url, wait=wait)

    def start(self, name: str, address: str) -> Place:
        """A container that answers: Docker tells of it, and it is there."""
        place = self.host.container(name, {"docker0": (f"{address}/16",)})
        place.listen("80/tcp")
        self.engine.run(name, "bridge", address)
        return place

    def let_in(self, address: str = WEB) -> set[str]:
        """Who of `FRIEND`, `OTHER` and `STRANGER` gets an answer now."""
        sources = (FRIEND, OTHER, STRANGER)
        answers = probe([Probe(self.host.outside, "tcp", address, 80, s) for s in sources], 0.5)
        return {s for s, answer in zip(sources, answers, strict=True) if answer.reached}

    def becomes_open_to(self, *sources: str, address: str = WEB) -> bool:
        return becomes_true(lambda: self.let_in(address) == set(sources), PATIENCE)

    def agrees(self) -> None:
        """Whatever was to be written is written."""
        said = ""

        def agreed() -> bool:
            nonlocal said
            status, said = self.dockerfw("status")
            return status == 0

        assert becomes_true(agreed, PATIENCE), said

    def written(self) -> dict[str, list[str]]:
        """All that stands in the kernel of ours, without counters, sizes and order."""
        sets = saved_sets(self.host)
        sets = re.sub(r" (hashsize|bucketsize|initval|packets|bytes) \S+", "", sets)
        found = {"ipset": sorted(sets.splitlines())}
        for program in ("iptables-save", "ip6tables-save"):
            rules = re.sub(r"\[\d+:\d+\]", "", self.host.run([program]).stdout)
            found[program] = [line for line in rules.splitlines() if not line.startswith("#")]
        table = self.host.run(["nft", "list", "table", "inet", "dockerfw"]).stdout
        table = re.sub(r"packets \d+ bytes \d+", "", table)
        found["nft"] = sorted(re.sub(r"[\s,]+", "\n", table).splitlines())
        return found


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with FakeEngine(tmp_path / "s") as engine, Host() as host:
        host.bridge("docker0", "172.17.0.1/16")
        web = host.container("web", {"docker0": (f"{WEB}/16",)})
        web.listen("80/tcp")
        engine.run("web", "bridge", WEB)
        yield Scene(host, engine, web)


# --- thousands of starts and stops ---------------------------------------------------------------


class Size(NamedTuple):
    """What the daemon uses: KiB of memory, threads, descriptors."""

    memory: int
    threads: int
    descriptors: int


def size(daemon: Daemon) -> Size:
    process = daemon.host.path(f"/proc/{daemon.pid}")
    found = re.search(r"^VmRSS:\s+(\d+) kB", (process / "status").read_text(), re.MULTILINE)
    assert found
    threads, descriptors = (sum(1 for _ in (process / name).iterdir()) for name in ("task", "fd"))
    return Size(int(found[1]), threads, descriptors)


def no_larger(now: Size, early: Size) -> bool:
    return (
        now.threads <= early.threads
        and now.descriptors <= early.descriptors
        and now.memory <= early.memory + GROWTH
    )


def wave(scene: Scene, daemon: Daemon, first: int) -> None:
    """Start some, and stop them once the daemon has them in its sets."""
    names = [f"web-{number}" for number in range(first, first + AT_ONCE)]
    for number, name in enumerate(names, first):
        address = f"172.17.{1 + number // 200 % 200}.{1 + number % 200}"
        scene.engine.run(name, "bridge", address, ports={20000 + number % PORTS: 80})
    daemon.until_said(f"{names[-1]} up ")
    for number, name in enumerate(names, first):
        if number < STARTS - RUNNING:
            scene.engine.die(name)
    if first + AT_ONCE <= STARTS - RUNNING:
        daemon.until_said(f"{names[-1]} gone")


def guarded(scene: Scene) -> int:
    """How many host ports are guarded on every address: two halves of IPv4 stand for that."""
    saved = scene.host.run(["ipset", "save", "dockerfw-pub4"]).stdout
    return saved.count("add dockerfw-pub4 0.0.0.0/1,")


@pytest.mark.slow  # tests/edges/docker/test_watcher.py sees to descriptors and threads
def test_after_thousands_of_starts_it_is_as_small_as_before_and_right(scene: Scene) -> None:
    scene.apply(allowed(FRIEND))
    with scene.daemon() as daemon:
        early = None
        for first in range(0, STARTS, AT_ONCE):
            wave(scene, daemon, first)
            if early is None and first >= STARTS // 2:
                early = size(daemon)
        assert early is not None
        until(lambda: guarded(scene) == RUNNING, "nothing to linger", LINGER + PATIENCE)
        scene.agrees()
        assert becomes_true(lambda: no_larger(size(daemon), early), 10), (early, size(daemon))
        assert scene.let_in() == {FRIEND}
        assert daemon.stop() == 0, daemon.log()
    assert f"web-{STARTS - 1}" in daemon.log()
    by_the_daemon = scene.written()
    assert scene.dockerfw("remove", "--yes")[0] == 0
    scene.apply(allowed(FRIEND))
    afresh = scene.written()
    for where, lines in by_the_daemon.items():
        assert Counter(lines) - Counter(afresh[where]) == Counter(), f"{where}: too much stands"
        assert Counter(afresh[where]) - Counter(lines) == Counter(), (
            f"{where}: something is missing"
        )


# --- beside the other commands -------------------------------------------------------------------


def test_a_second_daemon_refuses_in_one_sentence(scene: Scene) -> None:
    scene.apply(allowed(FRIEND))
    with scene.daemon() as daemon:
        done = scene.host.dockerfw("daemon", "-H", scene.engine.url, check=False)
        assert done.returncode == 1
        assert re.fullmatch(r"[^\n]*already[^\n]*\n", done.stderr), done.stderr
        assert daemon.alive
        scene.agrees()


def test_without_a_policy_it_waits_and_the_first_apply_begins_its_work(scene: Scene) -> None:
    with scene.daemon(wait=False) as daemon:
        daemon.until_said("no policy")
        assert scene.let_in() == {FRIEND, OTHER, STRANGER}, (
            "nothing is closed that nobody asked for"
        )
        scene.apply(allowed(FRIEND))
        daemon.until_said("ready, ")
        assert scene.let_in() == {FRIEND}
        scene.start("web2", LATE)
        assert scene.becomes_open_to(FRIEND, address=LATE), daemon.log()
        scene.agrees()


def test_a_policy_that_is_applied_meanwhile_holds_from_then_on(scene: Scene) -> None:
    scene.apply(allowed(FRIEND))
    with scene.daemon() as daemon:
        for now in (OTHER, FRIEND) * 2:
            scene.apply(allowed(now))
            assert scene.let_in() == {now}
        daemon.until_said("policy replaced", 4)
        _after_a_resync(scene)
        assert scene.let_in() == {FRIEND}, daemon.log()
        scene.start("web2", LATE)
        assert scene.becomes_open_to(FRIEND, address=LATE), "events go by the new policy"
        assert "put right" not in daemon.log(), "what apply wrote is no drift"


def _after_a_resync(scene: Scene) -> None:
    """Wait until the daemon has looked at everything, twice."""

    def asked() -> int:
        """Whole readings of Docker; ``status`` is nobody's here."""
        return sum(call.startswith("/networks") for call in scene.engine.calls)

    begun = asked()
    until(lambda: asked() >= begun + 2, "the daemon to look at everything", PATIENCE)
    scene.agrees()


def test_a_broken_copy_of_the_policy_closes_and_is_told(scene: Scene) -> None:
    scene.apply(allowed(FRIEND))
    whole = scene.host.read(COPY)
    with scene.daemon() as daemon:
        assert scene.let_in() == {FRIEND}
        scene.host.write(COPY, whole[: len(whole) // 2], 0o600)
        assert scene.becomes_open_to(), daemon.log()
        assert daemon.alive
        status, said = scene.dockerfw("status")
        assert status == 3, said
        assert "closed" in daemon.log(), daemon.log()

        daemon.stop(signal.SIGKILL)
        daemon.start()
        assert scene.let_in() == set(), "as it starts, too"
        scene.apply(allowed(FRIEND))
        assert scene.let_in() == {FRIEND}
        scene.agrees()


def test_lockdown_stays_until_the_next_apply(scene: Scene) -> None:
    scene.apply(allowed(FRIEND))
    with scene.daemon() as daemon:
        flow = scene.host.outside.flow("tcp", WEB, 80, source=FRIEND)
        status, said = scene.dockerfw("lockdown")
        assert status == 0, said
        assert scene.let_in() == set()
        assert not flow.ask(patience=0.5)
        scene.start("web2", LATE)
        daemon.until_said("web2 up")
        for address in (WEB, LATE):
            assert scene.let_in(address) == set(), daemon.log()
        scene.apply(allowed(FRIEND))
        for address in (WEB, LATE):
            assert scene.becomes_open_to(FRIEND, address=address), daemon.log()
        scene.agrees()


def test_a_rule_with_an_end_ends_to_the_second(scene: Scene) -> None:
    with scene.daemon(wait=False) as daemon:
        end = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(seconds=8)
        scene.apply(allowed(FRIEND, until_=end))
        flow = scene.host.outside.flow("tcp", WEB, 80, source=FRIEND)
        last = 0.0
        while scene.let_in() == {FRIEND}:
            last = time.time()
            assert last < end.timestamp() + 1, f"it goes on\n{daemon.log()}"
        assert last > end.timestamp() - 2, f"it ended early, at {last}\n{daemon.log()}"
        assert not flow.ask(patience=0.5)
        scene.agrees()


def test_a_list_that_is_replaced_is_followed_and_a_broken_one_keeps_its_last_contents(
    scene: Scene,
) -> None:
    path = "/etc/dockerfw/friends.netset"
    scene.host.write(path, f"{FRIEND}\n", 0o600)
    scene.apply(allowed("file:friends.netset"))
    with scene.daemon() as daemon:
        assert scene.let_in() == {FRIEND}
        scene.host.write(f"{path}.new", f"{OTHER}\n", 0o600)
        scene.host.path(f"{path}.new").rename(scene.host.path(path))
        assert scene.becomes_open_to(OTHER), daemon.log()
        before = daemon.log().count("friends.netset")
        scene.host.write(path, "no address\n", 0o600)
        daemon.until_said("friends.netset", before + 1)
        assert scene.let_in() == {OTHER}, daemon.log()
        scene.host.write(path, f"{FRIEND}\n{OTHER}\n", 0o600)
        assert scene.becomes_open_to(FRIEND, OTHER), daemon.log()
        scene.agrees()


def test_an_event_stream_that_is_silently_dead_is_noticed(scene: Scene) -> None:
    scene.apply(allowed(FRIEND))
    with scene.daemon() as daemon:
        scene.engine.mute()
        scene.start("web2", LATE)
        assert scene.becomes_open_to(FRIEND, address=LATE), daemon.log()
        daemon.until_said("silent")
        daemon.until_said("answers again")
        scene.agrees()


def test_what_makes_no_sense_is_told_and_the_others_are_served(scene: Scene) -> None:
    scene.apply(allowed(FRIEND))
    with scene.daemon() as daemon:
        scene.engine.send(b"{no json\n")
        scene.engine.send(b'{"Type": "container", "Action": "start", "Actor": 7}\n')
        scene.engine.send(b'{"Type": "comet", "Action": "seen", "Actor": {"ID": "x"}}\n')
        scene.start("web2", LATE)
        assert scene.becomes_open_to(FRIEND, address=LATE), daemon.log()
        assert daemon.alive
        scene.agrees()
