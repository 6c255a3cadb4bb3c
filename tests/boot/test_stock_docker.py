"""docker-proxy under Docker as the distribution starts it: no drop-in, and Docker is not restarted.

``system.slice/docker.service`` is a new cgroup at each start. With the daemon at work nobody gets
in by a port that dockerfw does not know of yet, neither of a new container nor of one that comes
back at another port when Docker is restarted. Each is first seen to be open without dockerfw.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.boot.scene import (
    POLICY,
    assert_answered,
    first_packet,
    furnish,
    put_in_force,
    restart_docker,
    running,
)
from tests.engine.scene import STRANGER
from tests.lab.boot import Machine
from tests.lab.engine import IMAGE
from tests.lab.host import HOST_V4, HOST_V6
from tests.lab.place import Blows, Hammer
from tests.lab.wait import until

pytestmark = pytest.mark.engine

ON_DEBIAN_12_AND_13 = pytest.mark.parametrize(
    "machine", ["bookworm", pytest.param("trixie", marks=pytest.mark.slow)], indirect=True
)
STORM = [f"new{number}" for number in range(10)]
MANY = [f"any{number}" for number in range(30)]
GONE = MANY[:15]
FIRST = 32768
"""Where Docker begins to give out ports that nobody chose."""


def hammer(machine: Machine, ports: list[int]) -> Hammer:
    return machine.outside.hammer(*((HOST_V6, port, STRANGER[1]) for port in ports), seconds=600)


def run(machine: Machine, name: str, *options: str) -> None:
    own = ("--pull", "never", "--stop-timeout", "1", "--restart", "always")
    machine.docker("run", "-d", *own, "--name", name, "--hostname", name, *options, IMAGE)


def stormed(machine: Machine, first: int) -> Blows:
    """Ten containers at once at ports from ``first`` on; and away with them."""
    ports = {name: first + number for number, name in enumerate(STORM)}
    with hammer(machine, list(ports.values())) as stranger:
        until(lambda: stranger.count().tries > 0, "the hammer to begin")
        with ThreadPoolExecutor(5) as pool:
            list(pool.map(lambda name: run(machine, name, "-p", f"{ports[name]}:80"), STORM))
        stranger.go_on(1000, seconds=60)
        blows = stranger.stop()
    machine.docker("rm", "-f", *STORM)
    return blows


def in_sync(machine: Machine) -> None:
    def holds() -> bool:
        return machine.dockerfw("status", check=False).returncode == 0

    until(holds, "all to be in sync", 30)


@pytest.mark.slow  # ports that come back while Docker starts are the harder case
@ON_DEBIAN_12_AND_13
def test_a_new_port_is_closed_from_its_first_packet_also_after_docker_was_restarted(
    machine: Machine,
) -> None:
    furnish(machine)
    assert stormed(machine, 9000).total > 0, "without dockerfw it is open"
    machine.install_dockerfw()
    put_in_force(machine)
    machine.systemctl("start", "dockerfw")
    in_sync(machine)
    assert first_packet(machine) == "closed"
    # Each time at other ports: those of before stay guarded for a while.
    assert stormed(machine, 9100).total == 0, machine.journal("dockerfw")
    for first in (9200, 9300):
        restart_docker(machine)
        assert stormed(machine, first).total == 0, machine.journal("dockerfw")
    machine.systemctl("stop", "docker.socket", "docker.service")
    machine.systemctl("reset-failed", "docker.service")
    machine.systemctl("start", "docker.socket", "docker.service")
    assert stormed(machine, 9400).total == 0, machine.journal("dockerfw")
    in_sync(machine)
    assert first_packet(machine) == "closed"


def give_ports_anew(machine: Machine) -> list[int]:
    """Thirty containers, the first half of them gone again: the others will come back at its ports.

    Returns those ports.
    """
    for name in MANY:
        run(machine, name, "-p", "80")
    machine.docker("rm", "-f", *GONE)
    return list(range(FIRST, FIRST + len(GONE)))


def restarted(machine: Machine, ports: list[int]) -> Blows:
    with hammer(machine, ports) as stranger:
        until(lambda: stranger.count().tries > 0, "the hammer to begin")
        restart_docker(machine)
        left = set(MANY) - set(GONE)
        until(lambda: running(machine) >= left, "the containers to be back", 60)
        given = machine.docker("port", MANY[-1])
        assert any(f":{port}" in given for port in ports), f"they came back elsewhere: {given}"
        stranger.go_on(1000, seconds=60)
        return stranger.stop()


@ON_DEBIAN_12_AND_13
def test_what_comes_back_at_ports_that_nobody_knows_of_is_closed(machine: Machine) -> None:
    furnish(machine)
    ports = give_ports_anew(machine)
    assert restarted(machine, ports).total > 0, "without dockerfw it is open"
    machine.docker("rm", "-f", *(set(MANY) - set(GONE)))
    machine.install_dockerfw()
    put_in_force(machine, POLICY)
    machine.systemctl("start", "dockerfw")
    in_sync(machine)
    restart_docker(machine)
    ports = give_ports_anew(machine)

    def known() -> bool:
        return (
            f"{ports[0]}" in machine.run(["nft", "list", "set", "inet", "dockerfw", "port6"]).stdout
        )

    until(known, "the ports to be guarded by number")
    until(lambda: not known(), "the ports to be let go of", 60)
    assert restarted(machine, ports).total == 0, machine.journal("dockerfw")


# --- a dockerd that is hard to see ---------------------------------------------------------------

API, MANAGERS = 2375, 2377


def reconfigure(machine: Machine, *arguments: str) -> None:
    """Docker's unit with these arguments more; systemd goes on to listen at its socket."""
    started = machine.show("docker.service", "ExecStart")
    argv = started.partition("argv[]=")[2].partition(" ;")[0]
    text = f"[Service]\nExecStart=\nExecStart={' '.join([argv, *arguments])}\n"
    machine.write("/etc/systemd/system/docker.service.d/test.conf", text)
    machine.systemctl("daemon-reload")
    restart_docker(machine)


def answers(machine: Machine, port: int) -> bool:
    """Asked once, briefly: to be asked again and again."""
    return machine.outside.tcp(HOST_V4, port, source=STRANGER[0], patience=1).reached


def test_its_own_ports_are_spared_and_it_is_found_without_its_pidfile_or_not_at_all(
    machine: Machine,
) -> None:
    furnish(machine)
    machine.install_dockerfw()
    put_in_force(machine)
    machine.systemctl("start", "dockerfw")
    in_sync(machine)
    reconfigure(machine, "-p", "/run/elsewhere.pid", "-H", f"tcp://0.0.0.0:{API}", "--tls=false")
    in_sync(machine)
    assert first_packet(machine) == "closed", "it answers where systemd listens"
    assert_answered(machine, STRANGER[0], API)
    assert stormed(machine, 9500).total == 0, machine.journal("dockerfw")

    machine.docker("swarm", "init", "--advertise-addr", HOST_V4)
    until(lambda: answers(machine, MANAGERS), "the new swarm's own port to be spared", 5)

    # Its own /proc shows what it has powers over, as a host's with hidepid and another gid does.
    text = "[Service]\nProtectProc=ptraceable\n"
    machine.write("/etc/systemd/system/dockerfw.service.d/test.conf", text)
    machine.systemctl("daemon-reload")
    machine.systemctl("restart", "dockerfw")

    def closed() -> bool:
        listed = machine.run(["nft", "list", "table", "inet", "dockerfw"]).stdout
        return "socket cgroupv2" in listed

    until(lambda: not closed(), "the daemon to go by no cgroup", 30)
    # Which ports are its own nobody knows.
    assert_answered(machine, STRANGER[0], API)
