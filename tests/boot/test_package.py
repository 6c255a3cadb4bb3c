"""The Debian package by apt: installed, booted, upgraded under fire, removed and purged."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.boot.package import built
from tests.boot.scene import (
    POLICY,
    WEB,
    assert_answered,
    by_port,
    everywhere,
    furnish_man,
    leaks_everywhere,
    put_in_force,
    served,
    start_containers,
)
from tests.documents import commands, links
from tests.engine.scene import CONFIG, OFFICE, STRANGER
from tests.lab import process
from tests.lab.boot import Machine
from tests.lab.wait import until

pytestmark = pytest.mark.engine

DOCS = "/usr/share/doc/dockerfw"
EXAMPLES = f"{DOCS}/examples"
DROP_INS = "/etc/systemd/system/docker.service.d"
LOWER = "0.0.9"
UNITS = ("dockerfw.service", "dockerfw-boot.service")
LIST_TIMER = "dockerfw-list@cdn.timer"
BROUGHT = (
    "/usr/share/bash-completion/completions/dockerfw",
    f"{DOCS}/docs/operations.md",
    "/usr/share/dockerfw/policy.schema.json",
    "/usr/share/fish/vendor_completions.d/dockerfw.fish",
    "/usr/share/man/man1/dockerfw.1.gz",
    "/usr/share/man/man5/dockerfw.toml.5.gz",
    "/usr/share/zsh/vendor-completions/_dockerfw",
)
DOCKER = ("lib/systemd/system/docker.service", "lib/systemd/system/docker.socket", "sbin/dockerd")
# Where the test puts it, and apt what it was given.
NOT_OURS = "/root|/var/cache/apt"


def lower(package: Path, folder: Path) -> Path:
    """The same package with a lower version."""
    tree = folder / "lower"
    process.run(["dpkg-deb", "--raw-extract", str(package), str(tree)])
    for name, line in (
        ("DEBIAN/control", r"^(Version: ).*$"),
        ("usr/lib/python3/dist-packages/dockerfw/__init__.py", r'^(__version__ = ").*(?=")'),
    ):
        text = (tree / name).read_text(encoding="utf-8")
        changed = re.sub(line, rf"\g<1>{LOWER}", text, flags=re.MULTILINE)
        (tree / name).write_text(changed, encoding="utf-8")
    target = folder / "lower.deb"
    process.run(["dpkg-deb", "--root-owner-group", "--build", str(tree), str(target)])
    return target


def apt(machine: Machine, *arguments: str, check: bool = True) -> str:
    """What apt, dpkg and the package say."""
    argv = ["sh", "-c", 'exec apt-get --yes "$@" 2>&1', "sh", *arguments]
    env = {"DEBIAN_FRONTEND": "noninteractive"}
    return machine.run(argv, timeout=180, check=check, env=env).stdout


def install_as_the_pages_say(machine: Machine, package: Path) -> str:
    """Their first line was `built`: that is not done once more in here."""
    pages = ("docs/install.md", "docs/getting-started.md", "docs/operations.md")
    first, *others = (commands(page, "tests/boot/test_package.py")[0].text for page in pages)
    assert others == [first, first]
    script, rest = first.split("\n", 1)
    assert script == "script/build-deb"
    folder = "/usr/local/src/dockerfw"
    inside = machine.path(f"{folder}/dist/dockerfw_{LOWER}_all.deb")
    inside.parent.mkdir(parents=True)
    inside.write_bytes(package.read_bytes())
    argv = ["bash", "-c", f"exec 2>&1\ncd {folder}\n{rest}"]
    said = machine.run(argv, timeout=180, env={"DEBIAN_FRONTEND": "noninteractive"}).stdout
    machine.run(["rm", "-r", folder])
    return said


def install(machine: Machine, package: Path) -> str:
    inside = f"/root/{package.name}"
    machine.path(inside).write_bytes(package.read_bytes())
    return apt(machine, "install", inside)


def verified(machine: Machine) -> str:
    """What systemd has to say against the units, which is nothing."""
    argv = ["systemd-analyze", "verify", *UNITS, LIST_TIMER, "dockerd.slice", "docker.socket"]
    done = machine.run(argv, check=False)
    return "\n".join(line for line in done.stderr.splitlines() if "ockerfw" in line)


def links_into_nothing(machine: Machine) -> list[str]:
    """The links of the pages that the package brings, which lead to no file of it."""
    top = machine.path(DOCS)
    pages = [*top.glob("*.md"), *top.glob("docs/**/*.md")]
    assert {page.relative_to(top).as_posix() for page in pages} >= {"README.md", "docs/README.md"}
    return [
        f"{page.relative_to(top)}: {link}"
        for page in pages
        for link in links(page.read_text(encoding="utf-8"))
        if not (page.parent / link).exists()
    ]


def left(machine: Machine) -> list[str]:
    """Each file, unit and rule that has our name."""
    find = f"find / /run -xdev -iname '*dockerfw*' | grep -Ev '^({NOT_OURS})'"
    kernel = "iptables-save; ip6tables-save; nft list tables; ipset list -n"
    units = "systemctl list-units --all --plain --no-legend"
    commands = f"{find}; {{ {kernel}; {units}; }} | grep -i dockerfw"
    return machine.run(["sh", "-c", commands], check=False).stdout.splitlines()


def in_sync(machine: Machine) -> bool:
    return machine.dockerfw("status", check=False).returncode == 0


def boot_without_docker(machine: Machine) -> None:
    for name in DOCKER:
        path = machine.path(f"/usr/{name}")
        path.rename(path.with_name(f"{path.name}.away"))
    machine.boot()


def docker_comes(machine: Machine) -> None:
    for name in DOCKER:
        path = machine.path(f"/usr/{name}")
        path.with_name(f"{path.name}.away").rename(path)
    machine.systemctl("daemon-reload")
    machine.systemctl("start", "docker.socket", "docker.service")
    start_containers(machine)


def installed_before_docker_it_waits(machine: Machine, package: Path) -> None:
    said = install_as_the_pages_say(machine, package)
    assert "no port is closed yet. Next: dockerfw init -o /etc/dockerfw/config.toml" in said
    for unit in UNITS:
        assert machine.systemctl("is-enabled", unit) == "enabled"
        assert machine.systemctl("is-active", unit) == "active"
    assert "a package brings the units" in machine.dockerfw("install-units", check=False).stderr
    assert [path for path in BROUGHT if not machine.path(path).exists()] == []
    assert links_into_nothing(machine) == []
    furnish_man(machine)
    assert ".TH DOCKERFW 1" in machine.systemctl("help", "dockerfw")
    assert verified(machine) == ""
    machine.run(["systemd-analyze", "security", "--threshold=30", *UNITS])


def installed_it_closes_nothing(machine: Machine) -> None:
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
    machine: Machine, tmp_path: Path, test_run: Path
) -> None:
    package = built(machine.suite, test_run)
    boot_without_docker(machine)
    installed_before_docker_it_waits(machine, lower(package, tmp_path))
    docker_comes(machine)
    installed_it_closes_nothing(machine)
    machine.systemctl("enable", "--now", LIST_TIMER)

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


@pytest.mark.slow
@pytest.mark.parametrize("machine", ["bookworm"], indirect=True)
def test_purged_at_once_with_its_daemon_at_work_nothing_is_left(
    machine: Machine, test_run: Path
) -> None:
    machine.boot()
    start_containers(machine)
    install(machine, built(machine.suite, test_run))
    put_in_force(machine)
    machine.systemctl("enable", "--now", LIST_TIMER)
    assert machine.systemctl("is-active", "dockerfw") == "active"
    assert "its rules are gone" in apt(machine, "purge", "dockerfw")
    assert left(machine) == []
