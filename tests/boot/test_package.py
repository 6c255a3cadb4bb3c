"""The Debian package by apt: installed, booted, upgraded under fire, removed and purged."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.boot.scene import (
    POLICY,
    WEB,
    assert_answered,
    by_port,
    everywhere,
    furnish,
    leaks_everywhere,
    put_in_force,
    served,
)
from tests.engine.scene import CONFIG, OFFICE, STRANGER
from tests.lab import process
from tests.lab.boot import Machine
from tests.lab.roots import root
from tests.lab.wait import until
from tests.paths import REPOSITORY

pytestmark = pytest.mark.engine

EXAMPLES = "/usr/share/doc/dockerfw/examples"
DROP_INS = "/etc/systemd/system/docker.service.d"
LOWER = "0.0.9"
UNITS = ("dockerfw.service", "dockerfw-boot.service")
# Where the test puts it, and apt what it was given.
NOT_OURS = "/root|/var/cache/apt"


def built(suite: str, folder: Path) -> Path:
    """The package, out of a clean root; that fails where lintian finds anything."""
    root(f"{suite}-build")
    argv = [str(REPOSITORY / "script" / "build-deb"), suite, str(folder)]
    process.run(argv, timeout=900)
    return next(folder.glob("dockerfw_*.deb"))


def lower(package: Path) -> Path:
    """The same package with a lower version."""
    tree = package.parent / "lower"
    process.run(["dpkg-deb", "--raw-extract", str(package), str(tree)])
    for name, line in (
        ("DEBIAN/control", r"^(Version: ).*$"),
        ("usr/lib/python3/dist-packages/dockerfw/__init__.py", r'^(__version__ = ").*(?=")'),
    ):
        text = (tree / name).read_text(encoding="utf-8")
        changed = re.sub(line, rf"\g<1>{LOWER}", text, flags=re.MULTILINE)
        (tree / name).write_text(changed, encoding="utf-8")
    target = package.with_name("lower.deb")
    process.run(["dpkg-deb", "--root-owner-group", "--build", str(tree), str(target)])
    return target


def apt(machine: Machine, *arguments: str, check: bool = True) -> str:
    """What apt, dpkg and the package say."""
    argv = ["sh", "-c", 'exec apt-get --yes "$@" 2>&1', "sh", *arguments]
    env = {"DEBIAN_FRONTEND": "noninteractive"}
    return machine.run(argv, timeout=180, check=check, env=env).stdout


def install(machine: Machine, package: Path) -> str:
    inside = f"/root/{package.name}"
    machine.path(inside).write_bytes(package.read_bytes())
    return apt(machine, "install", inside)


def verified(machine: Machine) -> str:
    """What systemd has to say against the units, which is nothing."""
    argv = ["systemd-analyze", "verify", *UNITS, "dockerd.slice", "docker.socket"]
    done = machine.run(argv, check=False)
    return "\n".join(line for line in done.stderr.splitlines() if "ockerfw" in line)


def left(machine: Machine) -> list[str]:
    """Each file, unit and rule that has our name."""
    find = f"find / /run -xdev -iname '*dockerfw*' | grep -Ev '^({NOT_OURS})'"
    kernel = "iptables-save; ip6tables-save; nft list tables; ipset list -n"
    units = "systemctl list-units --all --plain --no-legend"
    commands = f"{find}; {{ {kernel}; {units}; }} | grep -i dockerfw"
    return machine.run(["sh", "-c", commands], check=False).stdout.splitlines()


def in_sync(machine: Machine) -> bool:
    return machine.dockerfw("status", check=False).returncode == 0


def installed_it_closes_nothing(machine: Machine, package: Path) -> None:
    said = install(machine, package)
    assert "no port is closed yet. Next: dockerfw init -o /etc/dockerfw/config.toml" in said
    for unit in UNITS:
        assert machine.systemctl("is-enabled", unit) == "enabled"
        assert machine.systemctl("is-active", unit) == "active"
    assert verified(machine) == ""
    machine.run(["systemd-analyze", "security", "--threshold=30", *UNITS])
    with machine.outside.hammer(*everywhere(STRANGER)) as stranger:
        leaks_everywhere(stranger)
    example = f"{EXAMPLES}/config.toml"
    machine.dockerfw("check", "-c", example)
    assert '\nmode = "observe"\n' in machine.read(example)
    machine.dockerfw("init", "-o", CONFIG)


def upgraded_under_fire_the_rules_stand(machine: Machine, package: Path) -> None:
    """Over a policy with a mistake, which is not the one in force."""
    machine.write(CONFIG, POLICY + "[[allow]]\n", 0o600)
    docker = machine.show("docker.service", "MainPID")
    daemon = machine.show("dockerfw", "MainPID")
    boot = machine.show("dockerfw-boot", "ActiveEnterTimestampMonotonic")
    assert LOWER in machine.dockerfw("--version").stdout
    stranger = machine.outside.hammer(*everywhere(STRANGER))
    office = machine.outside.hammer(*by_port(OFFICE))
    said = install(machine, package)
    served(office, by_port(OFFICE))
    assert stranger.go_on(3000, seconds=60).accepted == {}
    assert f"{CONFIG} has mistakes" in said
    assert LOWER not in machine.dockerfw("--version").stdout
    assert machine.show("dockerfw", "MainPID") != daemon
    assert machine.show("dockerfw-boot", "ActiveEnterTimestampMonotonic") == boot
    assert machine.show("docker.service", "MainPID") == docker
    put_in_force(machine)
    until(lambda: in_sync(machine), "all to be in sync", 30)


def booted_it_never_is_open(machine: Machine) -> None:
    machine.off()
    stranger = machine.outside.hammer(*everywhere(STRANGER))
    machine.boot()
    served(machine.outside.hammer(*by_port(OFFICE)), by_port(OFFICE))
    until(lambda: in_sync(machine), "all to be in sync", 30)
    assert stranger.go_on(3000, seconds=60).accepted == {}


def kept_from_taking_its_rules_out_it_stays(machine: Machine) -> None:
    """By a daemon that is not systemd's to stop."""
    machine.systemctl("stop", "dockerfw")
    machine.run(["systemd-run", "--unit=by-hand", "--service-type=notify", "dockerfw", "daemon"])
    stranger = machine.outside.hammer(*everywhere(STRANGER))
    said = apt(machine, "remove", "dockerfw", check=False)
    assert "its rules are still there, so the package stays too" in said
    assert stranger.go_on(1000, seconds=60).accepted == {}
    machine.systemctl("stop", "by-hand")
    until(lambda: in_sync(machine), "its own daemon to be back", 30)


def removed_it_opens_and_says_so(machine: Machine) -> None:
    """With the daemon at work, and Docker made to wait for the boot unit twice."""
    machine.write(f"{DROP_INS}/own.conf", "[Unit]\nAssertPathExists=/run/dockerfw/booted\n")
    said = apt(machine, "remove", "dockerfw")
    assert f"port {WEB}/tcp (IPv4): web:80" in said
    assert "its rules are gone" in said
    assert machine.read(CONFIG) == POLICY
    machine.systemctl("restart", "docker.service")
    leaks_everywhere(machine.outside.hammer(*everywhere(STRANGER)))


@pytest.mark.parametrize(
    "machine", ["bookworm", pytest.param("trixie", marks=pytest.mark.slow)], indirect=True
)
def test_the_package_keeps_closed_what_it_closed_until_it_goes_and_leaves_nothing(
    machine: Machine, tmp_path: Path
) -> None:
    package = built(machine.suite, tmp_path)
    furnish(machine)
    installed_it_closes_nothing(machine, lower(package))

    put_in_force(machine)
    assert_answered(machine, OFFICE[0], WEB)
    drop_in = f"{EXAMPLES}/docker.service.d/dockerfw.conf"
    machine.run(["install", "-D", "-m", "644", "-t", DROP_INS, drop_in])
    machine.systemctl("daemon-reload")
    upgraded_under_fire_the_rules_stand(machine, package)
    booted_it_never_is_open(machine)

    kept_from_taking_its_rules_out_it_stays(machine)
    assert left(machine) != []
    removed_it_opens_and_says_so(machine)
    apt(machine, "purge", "dockerfw")
    assert left(machine) == []
    assert machine.systemctl("is-failed", "dockerfw*", check=False) in ("", "inactive")
