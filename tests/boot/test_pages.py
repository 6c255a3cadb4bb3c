"""The pages for users, followed from top to bottom on a machine that boots.

Images come from no registry here: `nginx` and `postgres` are the lab's own image under these
names. The package is installed by ``test_package.py``; this machine has what it brings.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.boot.scene import furnish_images, running
from tests.documents import Block, commands
from tests.engine.scene import CONFIG, OFFICE, STRANGER
from tests.lab.boot import Machine
from tests.lab.host import HOST_V4, HOST_V6
from tests.lab.place import Probe, disagreements
from tests.lab.wait import until

pytestmark = pytest.mark.engine

HERE = "tests/boot/test_pages.py"
WEB, DATABASE = 8080, 5432
CONFIRMED = "dockerfw apply --confirm 60\n"
# 3 is an answer of these, and no failure: something would change, or is denied.
PRELUDE = """set -e
dockerfw() {
    local status=0
    command dockerfw "$@" || status=$?
    case "$1 $status" in "plan 3" | "explain 3" | "status 3" | "probe 3") return 0 ;; esac
    return $status
}
"""
POLICY = """
[sources]
office = ["198.51.100.0/24", "2001:db8:10::/48"]

[[allow]]
to = "web"
ports = [80]
from = "any"

[[allow]]
to = "db"
ports = [5432]
from = "office"
"""


@pytest.fixture(scope="module")
def installed() -> Iterator[Machine]:
    """Debian 12 with Docker and two images, and dockerfw as its package leaves it."""
    with Machine("bookworm") as machine:
        machine.boot()
        furnish_images(machine)
        machine.install_dockerfw()
        machine.run(["install", "-d", "-m", "700", "/etc/dockerfw"])
        machine.systemctl("enable", "--now", "dockerfw-boot.service", "dockerfw.service")
        # The lab's kernel has br_netfilter built in, and Debian's root no kmod.
        machine.write("/usr/local/sbin/modprobe", "#!/bin/sh\n", 0o755)
        yield machine


def follow(machine: Machine, block: Block | str, folder: str = "/root") -> str:
    """What these commands print, in the order of a terminal."""
    text = block if isinstance(block, str) else block.text
    script = f"exec 2>&1\ncd {folder}\n{PRELUDE}{text}"
    return machine.run(["bash", "-c", script], timeout=120).stdout


def ways(machine: Machine, who: tuple[str, str], port: int) -> list[Probe]:
    """To a published port by IPv4 (Docker's NAT) and by IPv6 (docker-proxy)."""
    outside = machine.outside
    return [
        Probe(outside, "tcp", HOST_V4, port, who[0]),
        Probe(outside, "tcp", HOST_V6, port, who[1]),
    ]


def assert_open(machine: Machine, *expected: tuple[tuple[str, str], int, bool]) -> None:
    asked = [(one, is_open) for who, port, is_open in expected for one in ways(machine, who, port)]
    assert disagreements(asked) == []


ALL_OPEN = [(who, port, True) for who in (OFFICE, STRANGER) for port in (WEB, DATABASE)]
AS_SAID = [
    (OFFICE, WEB, True),
    (STRANGER, WEB, True),
    (OFFICE, DATABASE, True),
    (STRANGER, DATABASE, False),
]


def test_five_minutes_from_the_installed_package_to_a_proof_by_packets(installed: Machine) -> None:
    machine = installed
    step = {b.heading.partition(".")[0]: "" for b in commands("docs/getting-started.md", HERE)}
    for block in commands("docs/getting-started.md", HERE):
        number = block.heading.partition(".")[0]
        if number == "5" and "denied" in block.text:
            assert_open(machine, *ALL_OPEN)
        if CONFIRMED in block.text:
            before, _, _ = block.text.partition(CONFIRMED)
            follow(machine, before)
            unit = ["systemd-run", "--quiet", "--collect", "--unit=terminal"]
            machine.run([*unit, "dockerfw", *CONFIRMED.split()[1:]])
            until(lambda: confirmed(machine), "the apply to wait for its confirmation", 45)
            continue
        if block.text == "dockerfw confirm\n":
            continue  # by the step before: it has to wait for the other terminal
        step[number] += follow(machine, block)
        if number == "2" and "audit" not in block.text:
            assert_open(machine, *ALL_OPEN)
        if number == "7":
            assert_open(machine, *AS_SAID)

    assert "OPEN to anyone" in step["2"]
    assert "would close" in step["4"]
    assert "db:5432" in step["5"]
    assert "[[allow]]" in step["5"]
    assert "agrees" in step["7"]
    assert "PROTECTED: the policy is enforced, in sync" in step["7"]
    assert "denied on all paths" in step["7"]
    assert "OBSERVING" in step["8"], "the policy before"


def confirmed(machine: Machine) -> bool:
    return machine.dockerfw("confirm", check=False).returncode == 0


@pytest.fixture
def enforcing(installed: Machine) -> Machine:
    """The machine with web and db, and this policy in force."""
    machine = installed
    if not running(machine):
        first = commands("docs/getting-started.md", HERE)[0]
        assert "docker run" in first.text
        follow(machine, first)
    machine.write(CONFIG, POLICY, 0o600)
    machine.dockerfw("apply", "--yes")
    return machine


def test_what_the_page_for_trouble_advises_can_be_done(enforcing: Machine) -> None:
    for block in commands("docs/troubleshooting.md", HERE):
        enforcing.systemctl("reset-failed", "docker.service", check=False)
        follow(enforcing, block)


def test_what_the_page_about_security_shows_can_be_asked(enforcing: Machine) -> None:
    said = [follow(enforcing, block) for block in commands("docs/security.md", HERE)]

    assert "/web privileged=false [] default" in said[1]
    assert "OK" in said[2]
    raw = "docker exec {} ping -c 1 127.0.0.1 || true"
    assert "1 packets received" in follow(enforcing, raw.format("web"))
    assert "permission denied" in follow(enforcing, raw.format("app"))


def test_the_commands_of_other_pages_can_be_run(enforcing: Machine) -> None:
    machine = enforcing
    machine.write("/root/config.toml", POLICY, 0o600)
    for page in ("docs/commands.md", "docs/operations.md"):
        for block in commands(page, HERE):
            follow(machine, block)
    assert machine.dockerfw("status").returncode == 0


# What ufw-docker is about, in our own words: forwarded packets are for ufw's route rules to decide.
AFTER = """
# BEGIN UFW AND DOCKER
*filter
:ufw{six}-user-forward - [0:0]
:DOCKER-USER - [0:0]
-A DOCKER-USER -j ufw{six}-user-forward
-A DOCKER-USER -s {private} -j RETURN
-A DOCKER-USER -m conntrack --ctstate NEW -d {private} -j DROP
COMMIT
# END UFW AND DOCKER
"""


def test_ufws_rules_for_docker_go_and_the_policy_stays(enforcing: Machine) -> None:
    machine = enforcing
    for number, private in (("", "172.16.0.0/12"), ("6", "fd00::/8")):
        path = f"/etc/ufw/after{number}.rules"
        rules = AFTER.format(six=number, private=private)
        machine.write(path, machine.read(path) + rules, 0o640)
    for arguments in ("allow 8080/tcp", "allow 5432/tcp", "--force enable"):
        machine.run(["ufw", *arguments.split()])
    by_nat = Probe(machine.outside, "tcp", HOST_V4, WEB, STRANGER[0])
    assert disagreements([(by_nat, False)]) == [], "a packet has to pass both"

    (block,) = commands("docs/recipes.md", HERE)
    assert "PROTECTED" in follow(machine, block)

    assert_open(machine, *AS_SAID)
    left = machine.run(["iptables", "-S", "DOCKER-USER"]).stdout
    assert left == "-N DOCKER-USER\n-A DOCKER-USER -j DOCKERFW\n"
    machine.run(["ufw", "--force", "disable"])
