"""The daemon and lockdown while Docker is away, hangs, or never was there, on a real kernel.

Docker is played (`tests.fakeengine`); rules, sets and packets are real.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fakeengine import FakeEngine
from tests.lab.daemon import Daemon
from tests.lab.host import Host
from tests.lab.packet import Packet
from tests.lab.place import Place
from tests.lab.wait import becomes_true

FRIEND, STRANGER = "198.51.100.7", "203.0.113.9"
WEB = "172.17.0.2"
CONFIG = "/etc/dockerfw/config.toml"
PATIENCE = 20.0
MACHINE = 4.0
"""Seconds that a busy machine may take for what takes half a second."""
POLICY = f'[[allow]]\nto = "web"\nports = [80]\nfrom = ["{FRIEND}"]\n'


class Scene:
    def __init__(self, host: Host, engine: FakeEngine) -> None:
        self.host = host
        self.engine = engine
        web = host.container("web", {"docker0": (f"{WEB}/16",)})
        web.listen("80/tcp")
        engine.run("web", "bridge", WEB)
        host.write(CONFIG, POLICY, 0o600)
        host.dockerfw("apply", "--yes", "-H", engine.url)

    def lets_in(self, source: str) -> bool:
        return self.host.outside.tcp(WEB, 80, source=source, patience=0.5).reached

    def start_vm(self, bridge: str, network: str) -> Place:
        """A bridge that is not Docker's comes up, with a machine on it that serves port 80."""
        self.host.bridge(bridge, f"{network}.1/24")
        machine = self.host.container(
            f"vm-{bridge}", {bridge: (f"{network}.2/24",)}, by_docker=False
        )
        machine.listen("80/tcp")
        return machine

    def reaches_vm(self, network: str) -> bool:
        """Whether somebody outside may ask it, whom this host routes to it."""
        return self.host.outside.tcp(f"{network}.2", 80, patience=0.5).reached

    def take_rules_away(self) -> None:
        """All of our chains are empty, and the seal is gone: everybody is let in."""
        for program in ("iptables", "ip6tables"):
            for chain in ("DOCKERFW", "DOCKERFW-INPUT"):
                self.host.run([program, "-F", chain])
        self.host.run(["nft", "delete", "table", "inet", "dockerfw"])

    def take_everything_away(self) -> None:
        """As after a boot."""
        self.host.run(["nft", "flush", "ruleset"])
        self.host.run(["ipset", "flush"])  # a set that another one lists cannot be destroyed
        self.host.run(["ipset", "destroy"])

    def status(self) -> tuple[int, str]:
        # A socket that -H names has to answer; by this variable what was last seen will do.
        env = {"DOCKER_HOST": self.engine.url}
        done = self.host.dockerfw("status", env=env, check=False)
        return done.returncode, " ".join((done.stdout + done.stderr).split())


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with FakeEngine(tmp_path / "s") as engine, Host() as host:
        host.bridge("docker0", "172.17.0.1/16")
        yield Scene(host, engine)


def test_what_the_next_one_puts_right_is_open_before(scene: Scene) -> None:
    scene.take_rules_away()
    assert scene.lets_in(STRANGER)


def test_what_a_vm_sends_that_has_moved_here_is_not_reset(scene: Scene) -> None:
    """Its bridge is nobody's as yet; its connections are older than it."""
    machine = scene.start_vm("virbr7", "192.168.122")
    gateway = scene.host.mac("virbr7")
    push = Packet("tcp", "192.168.122.2", STRANGER, 50000, 443, flags="PA")
    with scene.host.outside.sniff() as there, machine.sniff() as here:
        machine.forge(push, mac=gateway)
        assert becomes_true(lambda: any(p.port == 443 for p in there.seen()), MACHINE)
        assert not any("R" in p.flags for p in here.seen() if p.protocol == "tcp")


@pytest.mark.parametrize("locked", [False, True])
def test_a_daemon_that_never_met_docker_puts_rules_right(scene: Scene, *, locked: bool) -> None:
    scene.engine.kill()
    if locked:
        scene.host.dockerfw("lockdown")
    with Daemon(scene.host, "-H", scene.engine.url, wait=False) as daemon:
        daemon.until_said("Docker does not answer")
        scene.take_rules_away()
        assert becomes_true(lambda: not scene.lets_in(STRANGER), PATIENCE), daemon.log()
        daemon.until_said("put right")
        assert scene.lets_in(FRIEND) is not locked, "sets stay as they were"
        scene.engine.revive()
        daemon.until_said("ready, ")
        assert scene.lets_in(FRIEND) is not locked
        assert not scene.lets_in(STRANGER)
        assert daemon.stop(signal.SIGTERM) == 0, daemon.log()


def test_the_bridge_of_a_vm_is_cut_off_for_3_s_at_the_most_and_named_while_it_is(
    scene: Scene,
) -> None:
    """By the daemon's own timer, however rarely it compares everything."""
    scene.start_vm("virbr8", "192.168.121")
    assert not scene.reaches_vm("192.168.121")

    found, text = scene.status()

    assert found == 3
    assert "bridge virbr8 is cut off" in text
    scene.host.write(CONFIG, f"{POLICY}[daemon]\nresync = 3600\n", 0o600)
    scene.host.dockerfw("apply", "--yes", "-H", scene.engine.url)
    assert scene.reaches_vm("192.168.121"), "an apply asks Docker"
    with Daemon(scene.host, "-H", scene.engine.url) as daemon:
        began = time.monotonic()
        scene.start_vm("virbr9", "192.168.122")
        daemon.until_said("bridge virbr9 is cut off")
        assert becomes_true(lambda: scene.reaches_vm("192.168.122"), PATIENCE), daemon.log()
        assert time.monotonic() - began < 3 + MACHINE
        daemon.until_said("bridge virbr9 is not Docker's: left alone")
    assert scene.status()[0] == 0


def test_a_rule_that_ends_in_years_does_not_end_the_daemon(scene: Scene) -> None:
    scene.host.write(CONFIG, f"{POLICY}until = 2099-01-01T00:00:00Z\n", 0o600)
    scene.host.dockerfw("apply", "--yes", "-H", scene.engine.url)
    with Daemon(scene.host, "-H", scene.engine.url) as daemon:
        assert scene.lets_in(FRIEND)
        assert daemon.alive


def test_a_lockdown_does_not_wait_for_a_docker_that_hangs(scene: Scene) -> None:
    assert scene.lets_in(FRIEND)
    scene.engine.hang()
    lockdown = scene.host.start(
        [sys.executable, "-m", "dockerfw", "lockdown", "-H", scene.engine.url]
    )
    try:
        assert becomes_true(lambda: not scene.lets_in(FRIEND), 15)
    finally:
        scene.engine.go_on()
    assert lockdown.wait(60) == 0


@contextmanager
def an_apply_that_waits_for_docker(scene: Scene) -> Iterator[subprocess.Popen[str]]:
    """Its process; Docker answers again afterwards."""
    asked = len(scene.engine.calls)
    scene.engine.hang()
    waits = scene.host.start(
        [sys.executable, "-m", "dockerfw", "apply", "--yes", "-H", scene.engine.url]
    )
    try:
        assert becomes_true(lambda: len(scene.engine.calls) > asked, PATIENCE)
        yield waits
    finally:
        scene.engine.go_on()


def test_a_lockdown_does_not_wait_for_an_apply_that_waits_for_docker(scene: Scene) -> None:
    scene.host.write(CONFIG, POLICY.replace("[80]", "[80, 81]"), 0o600)
    with an_apply_that_waits_for_docker(scene) as waits:
        lockdown = scene.host.start([sys.executable, "-m", "dockerfw", "lockdown"])
        assert becomes_true(lambda: not scene.lets_in(FRIEND), 15)
    assert waits.wait(60) == 1, "it is told that all was locked down"
    assert lockdown.wait(60) == 0
    assert not scene.lets_in(FRIEND)
    assert "LOCKDOWN" in scene.status()[1]


def test_an_apply_that_waits_for_docker_keeps_nobody_from_writing(scene: Scene) -> None:
    with an_apply_that_waits_for_docker(scene) as waits:
        assert not lock_is_taken(scene)
    assert waits.wait(60) == 0


def lock_is_taken(scene: Scene) -> bool:
    free = scene.host.run(["flock", "-n", "/run/dockerfw/lock", "true"], check=False)
    return free.returncode != 0


def test_a_lockdown_does_not_wait_for_a_process_that_was_stopped(scene: Scene) -> None:
    scene.host.start(["flock", "/run/dockerfw/lock", "sleep", "60"])
    assert becomes_true(lambda: lock_is_taken(scene), PATIENCE)
    done = scene.host.dockerfw("lockdown", "-H", scene.engine.url, timeout=30)
    assert done.returncode == 0
    assert not scene.lets_in(FRIEND)


# --- status while Docker is away -----------------------------------------------------------------


def remove_container(scene: Scene, daemon: Daemon) -> None:
    """Right before Docker goes: what is kept on disk of containers lags behind by 5 s."""
    scene.engine.die("web")
    daemon.until_said("web gone")
    scene.engine.kill()


def remove_interface(scene: Scene, daemon: Daemon) -> None:
    """After Docker went: no address is trusted any more."""
    veth = "veth0a1b2c3"
    scene.host.ip(f"link add {veth} type veth peer name p0", f"link set {veth} master docker0 up")
    scene.engine.kill()
    daemon.until_said("Docker does not answer")
    scene.host.ip(f"link del {veth}")
    assert becomes_true(lambda: not scene.lets_in(FRIEND), PATIENCE), daemon.log()


@pytest.mark.parametrize("remove", [remove_container, remove_interface])
def test_what_went_right_before_or_after_docker_is_not_wanted_back(
    scene: Scene, remove: Callable[[Scene, Daemon], None]
) -> None:
    with Daemon(scene.host, "-H", scene.engine.url) as daemon:
        assert scene.lets_in(FRIEND)
        remove(scene, daemon)
        daemon.until_said("Docker does not answer")
        assert not scene.lets_in(FRIEND)
        found, text = scene.status()
        assert found == 0, text
        assert "Docker does not answer" in text


def test_after_a_boot_without_docker_no_address_of_a_container_is_wanted(scene: Scene) -> None:
    scene.engine.kill()
    scene.take_everything_away()
    scene.host.dockerfw("boot")
    assert not scene.lets_in(FRIEND)
    found, text = scene.status()
    assert found == 0, text
    assert "Docker's own rules are gone" not in text, "it was not started yet"
    scene.host.run(["ipset", "flush", "dockerfw-guarded4"])
    assert scene.status()[0] == 3, "what has to be closed is wanted all the same"
