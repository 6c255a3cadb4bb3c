"""br_netfilter goes after the apply, and is back again: what is void meanwhile, and who says so.

Docker is played (`tests.fakeengine`); bridges, rules and packets are real.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakeengine import FakeEngine
from tests.lab.daemon import Daemon
from tests.lab.host import Host
from tests.lab.place import Place

CONFIG = "/etc/dockerfw/config.toml"
WEB, EVIL, LODGER = "172.17.0.2", "172.17.0.3", "172.17.0.100"
SOON = 10.0
"""Seconds; everything is checked every 30."""
FAMILIES = ("iptables", "ip6tables")


class Scene:
    """Two containers on docker0, and whatever else moves in."""

    def __init__(self, host: Host, engine: FakeEngine) -> None:
        self.host = host
        self.engine = engine
        host.bridge("docker0", "172.17.0.1/16")
        self.web, self.evil = self.container("web", WEB), self.container("evil", EVIL)
        self.web.listen("80/tcp")

    def container(self, name: str, address: str) -> Place:
        self.engine.run(name, "bridge", address)
        return self.host.container(name, {"docker0": (f"{address}/16",)})

    def lodger(self) -> Place:
        """A host behind an interface of docker0 that is not Docker's."""
        return self.host.container("lodger", {"docker0": (f"{LODGER}/16",)}, by_docker=False)

    def bridge_calls(self, *, on: bool) -> None:
        for family in FAMILIES:
            self.host.sysctl(f"net.bridge.bridge-nf-call-{family}", int(on))

    def apply(self, policy: str, *options: str) -> tuple[int, str]:
        """Return its exit status and what it says."""
        self.host.write(CONFIG, policy, 0o600)
        asked = ("apply", "--yes", "-H", self.engine.url, *options)
        done = self.host.dockerfw(*asked, check=False)
        return done.returncode, " ".join((done.stdout + done.stderr).split())

    def status(self) -> tuple[int, dict[str, Any]]:
        done = self.host.dockerfw("status", "--json", "-H", self.engine.url, check=False)
        return done.returncode, json.loads(done.stdout)

    def open_to(self, place: Place) -> bool:
        return place.tcp(WEB, 80, patience=0.5).reached


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with FakeEngine(tmp_path / "s") as engine, Host(bridge_calls=True) as host:
        yield Scene(host, engine)


def test_br_netfilter_that_goes_after_the_apply_is_no_secret(scene: Scene) -> None:
    assert scene.apply("[defaults]\nbaseline = []\n")[0] == 0
    assert not scene.open_to(scene.evil)
    assert scene.status()[0] == 0
    assert scene.host.path("/var/lib/dockerfw/needs-br_netfilter").exists(), "for the next boot"
    with Daemon(scene.host, "-H", scene.engine.url) as daemon:
        scene.bridge_calls(on=False)
        assert scene.open_to(scene.evil), "it is void, whatever anybody says"

        status, document = scene.status()
        assert (status, document["in_sync"]) == (3, True)
        (reason,) = document["unenforced"]
        assert "baseline is without bridge" in reason
        assert "modprobe br_netfilter" in reason
        daemon.until_said("does NOT hold on every path", patience=SOON)
        daemon.send(signal.SIGHUP)

        scene.bridge_calls(on=True)
        daemon.until_said("holds on every path again", patience=SOON)
        assert daemon.log().count("does NOT hold") == 1, "once"
        assert scene.status()[0] == 0
        assert not scene.open_to(scene.evil)


def test_after_a_reboot_without_br_netfilter_nobody_claims_to_enforce(scene: Scene) -> None:
    scene.apply("[defaults]\nbaseline = []\n")
    scene.bridge_calls(on=False)
    assert "NOT ON EVERY PATH" in scene.host.dockerfw("boot").stdout
    with Daemon(scene.host, "-H", scene.engine.url) as daemon:
        assert "ready, enforcing (NOT ON EVERY PATH)" in daemon.log()
    said = " ".join(scene.host.dockerfw("lockdown", "-H", scene.engine.url).stdout.split())
    assert "only this host reaches its containers" not in said
    assert "br_netfilter is off" in said
    assert scene.open_to(scene.evil)


def test_whoever_is_behind_a_nic_in_a_docker_bridge_is_closed_or_named(scene: Scene) -> None:
    """With br_netfilter off no rule sees that host's packets."""
    lodger = scene.lodger()
    policy = '[[allow]]\nto = "web"\nports = [81]\nfrom = ["203.0.113.9"]\n'
    scene.bridge_calls(on=False)

    status, said = scene.apply(policy)
    assert status == 1
    assert "reaches every port of web, evil there" in said or "of evil, web there" in said
    assert scene.apply(policy, "--allow-unenforced")[0] == 0
    assert scene.open_to(lodger)
    status, document = scene.status()
    assert status == 3
    assert "docker0" in document["unenforced"][0]

    scene.bridge_calls(on=True)
    status, said = scene.apply(policy)
    assert status == 0
    assert "at 172.17.0.0/16 are CUT OFF from other networks (they" in said
    assert not scene.open_to(lodger)
    assert scene.status()[0] == 0


def test_who_lodges_in_a_docker_bridge_is_cut_off_as_the_warning_has_it(scene: Scene) -> None:
    lodger = scene.lodger()
    lodger.listen("80/tcp")
    scene.host.outside.listen("80/tcp")
    scene.apply('[[allow]]\nto = "web"\nports = [81]\nfrom = ["203.0.113.9"]\n')
    begins = {
        name: place.tcp(LODGER, 80, patience=0.5).reached
        for name, place in (
            ("outside", scene.host.outside),
            ("this host", scene.host),
            ("a container", scene.evil),
        )
    }
    assert begins == {"outside": False, "this host": True, "a container": True}
    assert lodger.tcp("203.0.113.2", 80, patience=3).reached, "it can begin connections elsewhere"
