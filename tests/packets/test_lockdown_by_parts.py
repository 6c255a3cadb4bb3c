"""A lockdown where a tool is missing, fails or hangs: what is there closes, and it says so.

Docker is played (`tests.fakeengine`); rules, sets and packets are real.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakeengine import FakeEngine, id_for
from tests.lab.host import Host

STRANGER = "203.0.113.9"
STRANGER_6 = "2001:db8:10::7"
WEB, WEB_6 = "172.17.0.2", "fd00:17::2"
POLICY = '[[allow]]\nto = "web"\nports = [80]\nfrom = ["any"]\n'
TOOL_PATIENCE = 5.0
MACHINE = 12.0
"""Seconds that a busy machine may take beyond the wait for one tool."""

IPTABLES = [f"iptables{f}{v}" for f in ("", "-nft", "-legacy") for v in ("", "-save", "-restore")]
IP6TABLES = [name.replace("iptables", "ip6tables") for name in IPTABLES]


class Scene:
    def __init__(self, host: Host, engine: FakeEngine) -> None:
        self.host = host
        self.engine = engine
        self.web = host.container("web", {"docker0": (f"{WEB}/16", f"{WEB_6}/64")})
        self.web.listen("80/tcp")
        subnets = engine.networks[id_for("bridge")]["IPAM"]["Config"]
        subnets.append({"Subnet": "fd00:17::/64"})
        engine.run("web", "bridge", WEB, ipv6=WEB_6)
        host.write("/etc/dockerfw/config.toml", POLICY, 0o600)
        host.dockerfw("apply", "--yes", "-H", engine.url)
        layer = "/run/lab/upper/sbin"
        host.run(["mkdir", "-p", layer, f"{layer}.work"])
        options = f"lowerdir=/usr/sbin,upperdir={layer},workdir={layer}.work"
        host.run(["mount", "-t", "overlay", "-o", options, "overlay", "/usr/sbin"])

    def lose(self, *programs: str) -> None:
        self.host.run(["rm", "-f", *(f"/usr/sbin/{program}" for program in programs)])

    def break_program(self, program: str, script: str) -> None:
        self.lose(program)
        self.host.write(f"/usr/sbin/{program}", f"#!/bin/sh\n{script}\n", 0o755)

    def is_open(self) -> bool:
        return self.host.outside.tcp(WEB, 80, source=STRANGER, patience=0.5).reached

    def is_open_6(self) -> bool:
        return self.host.outside.tcp(WEB_6, 80, source=STRANGER_6, patience=0.5).reached

    def web_asks_outside(self) -> bool:
        return self.web.tcp("203.0.113.2", 8000, patience=1.0).reached

    def lock_down(self) -> tuple[int, str]:
        done = self.host.dockerfw("lockdown", "-H", self.engine.url, check=False)
        return done.returncode, " ".join((done.stdout + done.stderr).split())


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with FakeEngine(tmp_path / "s") as engine, Host() as host:
        host.bridge("docker0", "172.17.0.1/16", "fd00:17::1/64")
        yield Scene(host, engine)


@pytest.mark.parametrize(
    "missing",
    [["ipset"], IP6TABLES, IPTABLES, [*IPTABLES, *IP6TABLES, "ipset"]],
    ids=["ipset", "ip6tables", "iptables", "all but nft"],
)
def test_a_missing_tool_leaves_nothing_open(scene: Scene, missing: list[str]) -> None:
    assert scene.is_open()
    assert scene.is_open_6()
    scene.lose(*missing)

    status, said = scene.lock_down()

    assert (scene.is_open(), scene.is_open_6()) == (False, False), said
    assert status == 1, said
    assert "NOT WHOLE" in said
    assert f"{missing[0]}" in said
    assert "Traceback" not in said


def test_with_one_family_alone_the_other_one_is_said_to_be_open(scene: Scene) -> None:
    scene.lose("nft", *IP6TABLES)

    status, said = scene.lock_down()

    assert not scene.is_open(), said
    assert scene.is_open_6(), "there is nothing that could close it"
    assert status == 1
    assert "IPv6 is NOT CLOSED" in said


def test_with_nothing_at_all_it_says_that_all_is_as_it_was(scene: Scene) -> None:
    scene.lose("nft", "ipset", *IPTABLES, *IP6TABLES)

    status, said = scene.lock_down()

    assert (status, scene.is_open()) == (1, True)
    assert "NOTHING COULD BE CLOSED" in said
    assert "systemctl stop docker" in said


@pytest.mark.parametrize("program", ["ipset", "iptables-nft-restore", "ip6tables-nft-save"])
@pytest.mark.parametrize("script", ["exit 4", "exec sleep 1000"], ids=["fails", "hangs"])
def test_a_tool_that_fails_or_hangs_keeps_nothing_open(
    scene: Scene, program: str, script: str
) -> None:
    scene.break_program(program, script)
    began = time.monotonic()

    status, said = scene.lock_down()

    assert time.monotonic() - began < TOOL_PATIENCE + MACHINE
    assert (scene.is_open(), scene.is_open_6()) == (False, False), said
    assert status == 1, said
    assert "NOT WHOLE" in said


def test_the_next_apply_brings_all_of_it_back(scene: Scene) -> None:
    scene.break_program("ipset", "exit 4")
    assert scene.lock_down()[0] == 1
    assert not scene.is_open()
    scene.host.run(["umount", "-l", "/usr/sbin"])
    assert scene.lock_down()[0] == 0
    assert not scene.is_open()
    scene.host.dockerfw("apply", "--yes", "-H", scene.engine.url)
    assert scene.is_open()
    assert scene.is_open_6()
