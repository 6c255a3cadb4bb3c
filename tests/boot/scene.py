"""What the boot tests share: a machine with two containers, and who knocks while it boots."""

from __future__ import annotations

import json

from tests.engine.scene import CONFIG, OFFICE, SOURCES, STRANGER, allow
from tests.lab.boot import Machine
from tests.lab.engine import IMAGE
from tests.lab.guard import LabError
from tests.lab.host import HOST_V4, HOST_V6
from tests.lab.place import Blows, Hammer, Probe, patient
from tests.lab.wait import becomes_true, until

WEB, DATABASE = 8080, 5432
GUESSED = ("172.17.0.2", "172.17.0.3")
"""Docker gives these out again at every boot; which container gets which is a matter of luck."""

POLICY = (
    SOURCES
    + allow('to = "web"\nports = [80]', "office")
    + allow(f"published = [{DATABASE}]", "office")
)


def by_port(who: tuple[str, str]) -> list[tuple[str, int, str]]:
    """Both published ports, by IPv4 (through Docker's NAT) and IPv6 (through docker-proxy)."""
    v4, v6 = who
    return [
        *((HOST_V4, port, v4) for port in (WEB, DATABASE)),
        *((HOST_V6, port, v6) for port in (WEB, DATABASE)),
    ]


def everywhere(who: tuple[str, str]) -> list[tuple[str, int, str]]:
    """Those, and straight to what will be the containers' addresses."""
    return [*by_port(who), *((a, port, who[0]) for a in GUESSED for port in (80, DATABASE))]


def furnish(machine: Machine) -> None:
    """Boot it and start two containers that come back with every boot."""
    machine.boot()
    start_containers(machine)


def start_containers(machine: Machine) -> None:
    machine.import_image()
    machine.container("web", "-p", f"{WEB}:80")
    machine.container("db", "-p", f"{DATABASE}:{DATABASE}", env={"PORT": str(DATABASE)})


def furnish_images(machine: Machine) -> None:
    """The lab's image under the names that the pages for users have; `postgres` serves 5432."""
    machine.import_image()
    for name, port in (("nginx", 80), ("postgres", DATABASE)):
        # Its shell, as process 1, would let Docker wait for ten seconds.
        options = ["--env", f"PORT={port}", "--stop-signal", "SIGKILL"]
        made = machine.docker("create", *options, IMAGE)
        machine.docker("commit", made, name)
        machine.docker("rm", made)


# What man would print, where no man is: a page by its path, or by section and name.
_MAN = """#!/bin/sh
case $1 in /*) exec cat "$1" ;; esac
exec zcat "/usr/share/man/man$1/$2.$1.gz"
"""


def furnish_man(machine: Machine) -> None:
    machine.write("/usr/local/bin/man", _MAN, 0o755)


def put_in_force(machine: Machine, policy: str = POLICY) -> None:
    machine.write(CONFIG, policy, 0o600)
    machine.dockerfw("apply", "--yes")


def protect(machine: Machine, *units: str) -> None:
    """Install dockerfw, put `POLICY` in force, and enable these units."""
    machine.install_dockerfw()
    put_in_force(machine)
    machine.systemctl("enable", *(units or ("dockerfw-boot.service",)))


def served(hammer: Hammer, targets: list[tuple[str, int, str]]) -> None:
    """Wait until every one of these has been answered once more than it is now."""
    before = hammer.count().accepted

    def missing() -> list[str]:
        names = [f"{address} {port}" for address, port, _ in targets]
        now = hammer.count().accepted
        return [name for name in names if now.get(name, 0) <= before.get(name, 0)]

    until(lambda: not missing(), "every allowed way to be open", 30)


def assert_answered(machine: Machine, source: str, port: int, address: str = HOST_V4) -> None:
    """Fail if this is closed, and show why. A slow machine is asked once more, with patience."""
    answer = patient([(Probe(machine.outside, "tcp", address, port, source), True)])[0]
    if not answer.reached:
        shown = (
            "docker ps -a",
            "for name in web db; do docker exec $name sh -c 'netstat -lnt; ip a; ip neigh'; done",
            "ip -s neigh; bridge fdb show br docker0; conntrack -L",
            "iptables-save -c; nft list ruleset; ipset list",
            "journalctl -u docker -u dockerfw --no-pager -n 60",
        )
        told = [machine.run(["sh", "-c", what], check=False).stdout for what in shown]
        msg = "\n".join([f"{source} to {address} {port}: {answer}", *told])
        raise AssertionError(msg)


def boot_under_fire(machine: Machine) -> tuple[Hammer, Hammer]:
    """Power on while the stranger and the office knock from before the first moment.

    Gives their hammers, both still at work, once both containers are back.
    """
    stranger = machine.outside.hammer(*everywhere(STRANGER))
    office = machine.outside.hammer(*by_port(OFFICE))
    machine.boot()
    until(lambda: running(machine) == {"web", "db"}, "both containers to be back")
    return stranger, office


def leaks(blows: Blows) -> set[str]:
    """By which ways something got through: IPv4, IPv6, straight to a container."""
    ways = {HOST_V4: "IPv4", HOST_V6: "IPv6"}
    return {ways.get(target.rpartition(" ")[0], "directly") for target in blows.accepted}


def leaks_everywhere(hammer: Hammer) -> None:
    """Wait until the hammer got through by all three."""
    ways = {"IPv4", "IPv6", "directly"}
    if not becomes_true(lambda: leaks(hammer.count()) == ways, 30):
        msg = f"nothing is closed here, but not all ways are seen to be open: {hammer.count()}"
        raise LabError(msg)


def running(machine: Machine) -> set[str]:
    return set(machine.docker("ps", "--format", "{{.Names}}").split())


def first_packet(machine: Machine) -> str:
    """What ``status`` says of ports of docker-proxy that nobody knows of."""
    answer = json.loads(machine.dockerfw("status", "--json", check=False).stdout)
    return str(answer["docker_proxy_first_packet"])


def restart_docker(machine: Machine) -> None:
    """As an admin would; systemd lets nobody do that more than three times a minute."""
    machine.systemctl("reset-failed", "docker.service")
    machine.systemctl("restart", "docker.service")
