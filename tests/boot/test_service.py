"""dockerfw.service under systemd: ready, alive, reloaded, stopped, and all of it in its sandbox."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.boot.scene import (
    DATABASE,
    POLICY,
    WEB,
    assert_answered,
    by_port,
    everywhere,
    furnish,
    protect,
    put_in_force,
    restart_docker,
    served,
)
from tests.engine.scene import CONFIG, OFFICE, STRANGER
from tests.lab.boot import Machine
from tests.lab.host import HOST_V4
from tests.lab.wait import becomes_true, until

pytestmark = pytest.mark.engine

UNITS = ("dockerfw-boot.service", "dockerfw.service")
GUEST = "192.0.2.7"
BOOTS = 2 if os.environ.get("DOCKERFW_PROFILE") == "full" else 1
"""With firewalld, whose order beside Docker is a matter of luck."""


@pytest.fixture(scope="module")
def shared() -> Iterator[Machine]:
    """Both units enabled and at work, Docker in its slice, both containers up."""
    with Machine("trixie") as machine:
        furnish(machine)
        protect(machine, *UNITS)
        machine.drop_in("docker.service")
        machine.systemctl("start", "dockerfw-boot")
        restart_docker(machine)
        machine.systemctl("start", *UNITS)
        yield machine


@pytest.fixture
def protected(shared: Machine) -> Machine:
    """The machine that these tests share, as it was at their beginning."""
    shared.systemctl("start", *UNITS)
    put_in_force(shared)
    until(lambda: shared.dockerfw("status", check=False).returncode == 0, "all to be in sync", 30)
    return shared


def reaches(machine: Machine, source: str, port: int = WEB, address: str = HOST_V4) -> bool:
    """Asked once, briefly: for silence, and to be asked again and again."""
    return machine.outside.tcp(address, port, source=source).reached


def address_of(machine: Machine, name: str) -> str:
    found = machine.inspect(name)["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
    return str(found)


def start_docker(machine: Machine) -> None:
    machine.systemctl("reset-failed", "docker.service")
    machine.systemctl("start", "docker.socket", "docker.service")


def main_pid(machine: Machine) -> int:
    return int(machine.show("dockerfw", "MainPID"))


def kill(machine: Machine, number: signal.Signals) -> None:
    machine.run(["kill", f"-{int(number)}", str(main_pid(machine))])


def restarts(machine: Machine) -> int:
    return int(machine.show("dockerfw", "NRestarts"))


def ready_again(machine: Machine, before: int) -> bool:
    state = machine.systemctl("is-active", "dockerfw", check=False)
    return state == "active" and restarts(machine) > before


# --- ready ---------------------------------------------------------------------------------------


def test_it_is_ready_once_kernel_policy_and_docker_agree(protected: Machine) -> None:
    status = protected.dockerfw("status")
    assert status.returncode == 0, status.stdout
    assert "NOT" not in status.stdout
    assert "2 containers" in protected.show("dockerfw", "StatusText")


@pytest.mark.parametrize("flavour", [pytest.param("nft", marks=pytest.mark.slow), "legacy"])
@pytest.mark.parametrize(
    "machine", ["bookworm", pytest.param("trixie", marks=pytest.mark.slow)], indirect=True
)
def test_a_reboot_ends_with_everything_in_force_and_nothing_let_in(
    machine: Machine, flavour: str
) -> None:
    furnish(machine)
    for program in ("iptables", "ip6tables"):
        argv = ["update-alternatives", "--set", program, f"/usr/sbin/{program}-{flavour}"]
        machine.run(argv)
    restart_docker(machine)
    protect(machine, *UNITS)
    machine.off()
    stranger = machine.outside.hammer(*everywhere(STRANGER))
    office = machine.outside.hammer(*by_port(OFFICE))
    machine.boot()
    served(office, by_port(OFFICE))
    status = machine.dockerfw("status")
    assert flavour in status.stdout
    # Straight to the container, at the address that it has since this boot.
    web = address_of(machine, "web")
    until(lambda: reaches(machine, OFFICE[0], 80, web), "the office to reach it directly")
    assert stranger.go_on(3000, seconds=60).accepted == {}


@pytest.mark.parametrize(
    "machine",
    [pytest.param("bookworm"), pytest.param("trixie", marks=pytest.mark.slow)],
    indirect=True,
)
def test_where_firewalld_flushes_at_boot_what_is_allowed_works_all_the_same(
    machine: Machine,
) -> None:
    """The interface to the outside is in its zone ``trusted``: firewalld itself closes nothing."""
    furnish(machine)
    machine.run(["firewall-offline-cmd", "--zone=trusted", "--add-interface=eth0"])
    machine.systemctl("enable", "firewalld")
    protect(machine, *UNITS)
    for _ in range(BOOTS):
        machine.off()
        stranger = machine.outside.hammer(*everywhere(STRANGER))
        office = machine.outside.hammer(*by_port(OFFICE))
        machine.boot()
        assert machine.systemctl("is-active", "firewalld") == "active"
        served(office, by_port(OFFICE))
        until(lambda: machine.dockerfw("status", check=False).returncode == 0, "sync", 30)
        # Once more by hand: Docker builds its rules anew, its jump below its own ACCEPTs.
        machine.run(["firewall-cmd", "--reload"])
        served(office, by_port(OFFICE))
        until(lambda: machine.dockerfw("status", check=False).returncode == 0, "sync", 30)
        assert stranger.go_on(3000, seconds=60).accepted == {}


# --- containers come and go, in the sandbox ------------------------------------------------------


def test_a_container_that_comes_is_open_to_whom_the_policy_says(protected: Machine) -> None:
    put_in_force(protected, POLICY + '[[allow]]\nto = "late"\nports = [80]\nfrom = ["office"]\n')
    protected.container("late", "-p", "9090:80")
    late = address_of(protected, "late")
    until(lambda: reaches(protected, OFFICE[0], 80, late), "the office to reach it directly")
    until(lambda: reaches(protected, OFFICE[0], 9090), "the office to reach it by its host port")
    assert not reaches(protected, STRANGER[0], 80, late)
    assert not reaches(protected, STRANGER[0], 9090)
    assert "late" in protected.journal("dockerfw")
    protected.docker("rm", "--force", "late")


def test_a_list_file_is_followed(protected: Machine) -> None:
    protected.write("/etc/dockerfw/guests.netset", "192.0.2.1\n")
    allow = '[[allow]]\nto = "web"\nports = [80]\nfrom = ["file:guests.netset"]\n'
    put_in_force(protected, POLICY + allow)
    assert not reaches(protected, GUEST)
    protected.write("/etc/dockerfw/guests.netset", f"192.0.2.1\n{GUEST}\n")
    until(lambda: reaches(protected, GUEST), "the list to be read again", 20)


@pytest.mark.parametrize(
    "drift",
    [
        ["nft", "flush", "ruleset"],
        pytest.param(["systemctl", "restart", "nftables"], marks=pytest.mark.slow),
        pytest.param(["nft", "delete", "table", "inet", "dockerfw"], marks=pytest.mark.slow),
        pytest.param(["iptables", "-F"], marks=pytest.mark.slow),
        pytest.param(["iptables", "-t", "mangle", "-F"], marks=pytest.mark.slow),
    ],
    ids=" ".join,
)
def test_what_others_flush_is_put_back_from_within_the_sandbox(
    protected: Machine, drift: list[str]
) -> None:
    protected.run(drift)
    until(lambda: not_drifted(protected), f"`{' '.join(drift)}` to be mended")
    assert not reaches(protected, STRANGER[0])
    # Docker's own rules are Docker's to bring back.
    restart_docker(protected)
    until(lambda: reaches(protected, OFFICE[0]), "the office to be served again", 30)


def not_drifted(machine: Machine) -> bool:
    seal = machine.run(["nft", "list", "table", "inet", "dockerfw"], check=False)
    jumps = [
        machine.run(["iptables", "-t", table, "-S", chain], check=False).stdout
        for table, chain in (("filter", "INPUT"), ("mangle", "PREROUTING"))
    ]
    return seal.returncode == 0 and all("-j DOCKERFW" in text for text in jumps)


def test_it_binds_containers_to_their_ports_from_within_the_sandbox(protected: Machine) -> None:
    address = address_of(protected, "web")
    protected.write(CONFIG, f"[defaults]\nbaseline = []\n{POLICY}", 0o600)
    protected.dockerfw("apply", "--yes", "--allow-unenforced")
    table = ["nft", "list", "set", "bridge", "dockerfw-bound", "holders4"]
    until(lambda: address in protected.run(table, check=False).stdout, "web to be bound", 15)
    put_in_force(protected)
    until(lambda: protected.run(table, check=False).returncode != 0, "nobody to be bound", 15)


# --- reload --------------------------------------------------------------------------------------


def test_reload_is_done_when_it_returns(protected: Machine) -> None:
    assert not reaches(protected, GUEST)
    pid = main_pid(protected)
    protected.write(CONFIG, POLICY.replace("198.51.100.0/24", f"{GUEST}/32"), 0o600)
    assert not reaches(protected, GUEST), "the file is not the policy in force"
    protected.systemctl("reload", "dockerfw")
    # The silence first: with patience for an answer a reload that goes on would not be seen.
    assert not reaches(protected, OFFICE[0])
    assert_answered(protected, GUEST, WEB)
    assert main_pid(protected) == pid
    newest = protected.run(["dockerfw", "history"]).stdout.splitlines()[0]
    assert newest.startswith("* "), "in the unit's sandbox it is kept, too"


def test_reload_of_a_bad_policy_fails_names_the_line_and_changes_nothing(
    protected: Machine,
) -> None:
    pid = main_pid(protected)
    protected.write(
        CONFIG, POLICY + '[[allow]]\nto = "web"\nports = [80]\nfrom = ["ofice"]\n', 0o600
    )
    line = len(POLICY.splitlines()) + 4
    assert protected.run(["systemctl", "reload", "dockerfw"], check=False).returncode == 1
    said = f"{CONFIG}:{line}: "
    assert becomes_true(lambda: said in protected.journal("dockerfw")), protected.journal(
        "dockerfw"
    )
    assert protected.systemctl("is-active", "dockerfw") == "active"
    assert main_pid(protected) == pid
    assert_answered(protected, OFFICE[0], WEB)
    assert not reaches(protected, STRANGER[0])


# --- the end, and other ends ---------------------------------------------------------------------


def test_stopping_it_leaves_every_rule_and_docker_alone(protected: Machine) -> None:
    docker = protected.show("docker.service", "MainPID")
    rules = ["sh", "-c", "iptables-save -t filter; iptables-save -t mangle; nft -s list tables"]
    before = sorted(line for line in protected.run(rules).stdout.splitlines() if "DOCKERFW" in line)
    stranger = protected.outside.hammer(*everywhere(STRANGER))
    for verb in ("restart", "stop"):
        protected.systemctl(verb, "dockerfw")
        assert stranger.go_on(1000, seconds=60).accepted == {}, verb
    after = sorted(line for line in protected.run(rules).stdout.splitlines() if "DOCKERFW" in line)
    assert [line.split("[")[0] for line in after] == [line.split("[")[0] for line in before]
    assert_answered(protected, OFFICE[0], WEB)
    assert_answered(protected, OFFICE[0], DATABASE)
    assert protected.show("docker.service", "MainPID") == docker
    protected.run(["test", "-e", "/run/dockerfw/booted"])


def test_killed_it_is_back_and_nobody_got_in_meanwhile(protected: Machine) -> None:
    stranger = protected.outside.hammer(*everywhere(STRANGER))
    before = restarts(protected)
    kill(protected, signal.SIGKILL)
    until(lambda: ready_again(protected, before), "systemd to start it again", 30)
    assert stranger.go_on(1000, seconds=60).accepted == {}
    assert protected.dockerfw("status").returncode == 0


def test_the_watchdog_hears_of_it_and_ends_it_when_it_hangs(protected: Machine) -> None:
    hasty = "/run/systemd/system/dockerfw.service.d/test.conf"
    text = "[Service]\\nWatchdogSec=2\\n"
    protected.run(["sh", "-c", f"mkdir -p {Path(hasty).parent} && printf '{text}' >{hasty}"])
    protected.systemctl("daemon-reload")
    protected.systemctl("restart", "dockerfw")

    def heard() -> int:
        return int(protected.show("dockerfw", "WatchdogTimestampMonotonic"))

    first = heard()
    until(lambda: heard() > first + 6_000_000, "three periods of the watchdog", 30)
    assert restarts(protected) == 0
    kill(protected, signal.SIGSTOP)
    until(lambda: ready_again(protected, 0), "the watchdog to end it", 60)
    assert "watchdog" in protected.journal("dockerfw").lower()
    protected.run(["rm", hasty])
    protected.systemctl("daemon-reload")
    protected.systemctl("restart", "dockerfw")


@pytest.mark.slow  # others restart Docker beside it, and it starts where Docker is gone
def test_docker_restarted_or_gone_does_not_end_it(protected: Machine) -> None:
    pid = main_pid(protected)
    stranger = protected.outside.hammer(*everywhere(STRANGER))
    restart_docker(protected)
    assert stranger.go_on(3000, seconds=60).accepted == {}
    protected.systemctl("stop", "docker.socket", "docker.service")
    start_docker(protected)
    office = protected.outside.hammer(*by_port(OFFICE))
    served(office, by_port(OFFICE))
    assert stranger.go_on(3000, seconds=60).accepted == {}
    assert main_pid(protected) == pid


def test_it_starts_and_says_so_where_docker_does_not(protected: Machine) -> None:
    protected.systemctl("stop", "docker.socket", "docker.service", "dockerfw")
    protected.systemctl("start", "dockerfw")
    assert protected.systemctl("is-active", "dockerfw") == "active"
    pid = main_pid(protected)
    start_docker(protected)
    until(
        lambda: protected.dockerfw("status", check=False).returncode == 0, "all to be in sync", 30
    )
    assert main_pid(protected) == pid
