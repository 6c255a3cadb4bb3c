"""Whole boots under fire: no denied connection is accepted, from power-on to the daemon.

Each test first boots a machine that nobody protects, and must see connections get through.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.boot.scene import (
    boot_under_fire,
    by_port,
    everywhere,
    first_packet,
    furnish,
    leaks,
    leaks_everywhere,
    protect,
    restart_docker,
    running,
    served,
)
from tests.documents import commands
from tests.engine.scene import OFFICE, STRANGER
from tests.lab.boot import Machine
from tests.lab.host import HOST_V6
from tests.lab.wait import becomes_true, until

pytestmark = pytest.mark.engine

ON_DEBIAN_12_AND_13 = pytest.mark.parametrize(
    "machine", ["bookworm", pytest.param("trixie", marks=pytest.mark.slow)], indirect=True
)


# --- neighbours: who else writes rules while the machine boots -----------------------------------


def nobody(machine: Machine) -> None:
    """Docker alone."""


def nftables(machine: Machine) -> None:
    """Debian's own /etc/nftables.conf: it begins with ``flush ruleset`` and accepts everything."""
    assert "flush ruleset" in machine.path("/etc/nftables.conf").read_text()
    machine.systemctl("enable", "nftables")


def legacy(machine: Machine) -> None:
    """Docker writes its rules with iptables-legacy."""
    for program in ("iptables", "ip6tables"):
        argv = ["update-alternatives", "--set", program, f"/usr/sbin/{program}-legacy"]
        machine.run(argv)
    restart_docker(machine)


def ufw(machine: Machine) -> None:
    machine.write("/etc/ufw/ufw.conf", "ENABLED=yes\nLOGLEVEL=off\n")
    defaults = machine.path("/etc/default/ufw")
    defaults.write_text(
        defaults.read_text().replace('INPUT_POLICY="DROP"', 'INPUT_POLICY="ACCEPT"')
    )
    machine.systemctl("enable", "ufw")


def netfilter_persistent(machine: Machine) -> None:
    """Restores the rules of an earlier day, Docker's included."""
    restore = "/usr/sbin/iptables-restore /root/rules.v4"
    machine.run(["sh", "-c", "iptables-save >/root/rules.v4"])
    machine.write(
        "/usr/lib/systemd/system/netfilter-persistent.service",
        "[Unit]\nDefaultDependencies=no\nWants=network-pre.target\nBefore=network-pre.target\n"
        "After=local-fs.target\nConflicts=shutdown.target\nBefore=shutdown.target\n"
        f"[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart={restore}\n"
        "[Install]\nWantedBy=multi-user.target\n",
    )
    machine.systemctl("daemon-reload")
    machine.systemctl("enable", "netfilter-persistent")


@pytest.mark.parametrize(
    "neighbour",
    [
        pytest.param(nobody, marks=pytest.mark.slow),
        nftables,
        pytest.param(legacy, marks=pytest.mark.slow),
        pytest.param(ufw, marks=pytest.mark.slow),
        pytest.param(netfilter_persistent, marks=pytest.mark.slow),
    ],
)
@ON_DEBIAN_12_AND_13
def test_a_machine_that_boots_and_reboots_never_is_open(
    machine: Machine, neighbour: Callable[[Machine], None]
) -> None:
    furnish(machine)
    neighbour(machine)
    machine.off()
    stranger, _ = boot_under_fire(machine)
    leaks_everywhere(stranger)

    protect(machine)
    for switch in (machine.off, machine.cut):
        switch()
        stranger, office = boot_under_fire(machine)
        assert machine.systemctl("is-active", "dockerfw.service", check=False) == "inactive"
        served(office, by_port(OFFICE))
        assert stranger.go_on(3000, seconds=60).accepted == {}
    assert machine.run(["sh", "-c", "journalctl -b | grep -i cycle"], check=False).stdout == ""


@pytest.mark.slow
@ON_DEBIAN_12_AND_13
def test_firewalld_flushes_the_chains_at_boot_and_the_seal_stays(machine: Machine) -> None:
    furnish(machine)
    machine.systemctl("enable", "firewalld")
    machine.off()
    stranger, _ = boot_under_fire(machine)
    until(lambda: "IPv4" in leaks(stranger.count()), "the published ports to be open", 30)

    protect(machine)
    machine.off()
    stranger, _ = boot_under_fire(machine)
    assert stranger.go_on(3000, seconds=60).accepted == {}


# --- docker-proxy, of a port that nobody has told us of ------------------------------------------


@ON_DEBIAN_12_AND_13
def test_in_its_slice_docker_proxy_is_closed_from_the_first_packet_with_no_daemon(
    machine: Machine,
) -> None:
    late = (HOST_V6, 9090, STRANGER[1])
    furnish(machine)
    protect(machine)
    machine.systemctl("start", "dockerfw-boot")
    assert first_packet(machine) == "until restart"
    restart_docker(machine)
    assert first_packet(machine) == "open"
    assert machine.dockerfw("status", check=False).returncode == 3
    stranger = machine.outside.hammer(late)
    machine.container("late", "-p", "9090:80")
    until(lambda: stranger.count().total > 0, "the port to be open where Docker has no slice", 30)
    machine.docker("rm", "--force", "late")

    machine.drop_in("docker.service")
    machine.off()
    machine.boot()
    stranger = machine.outside.hammer(late)
    machine.container("late", "-p", "9090:80")
    inside = ["busybox", "wget", "-q", "-O", "-", "http://[::1]:9090/"]
    until(lambda: machine.run(inside, check=False).returncode == 0, "the host itself to reach it")
    assert stranger.go_on(3000, seconds=60).accepted == {}
    machine.dockerfw("apply", "--yes")
    assert first_packet(machine) == "closed"
    restart_docker(machine)
    until(lambda: running(machine) == {"web", "db", "late"}, "all containers to be back")
    assert stranger.go_on(3000, seconds=60).accepted == {}


# --- nftables, restarted later -------------------------------------------------------------------


def sealed(machine: Machine) -> bool:
    return machine.run(["nft", "list", "table", "inet", "dockerfw"], check=False).returncode == 0


def settled(machine: Machine) -> bool:
    """Chains and seal stand, and the boot unit is done with putting them there."""
    chains = machine.run(["iptables", "-S", "DOCKERFW"], check=False)
    state = machine.systemctl("is-active", "dockerfw-boot", check=False)
    return chains.returncode == 0 and sealed(machine) and state == "active"


def test_nftables_restarted_closes_again_by_itself_and_with_the_drop_in_never_opens(
    machine: Machine,
) -> None:
    furnish(machine)
    nftables(machine)
    protect(machine)
    machine.off()
    stranger = machine.outside.hammer(*everywhere(STRANGER))
    machine.boot()
    assert stranger.go_on(3000, seconds=60).accepted == {}

    # Without the drop-in there is a window, and the boot unit closes it.
    machine.systemctl("reload", "nftables")
    assert becomes_true(lambda: stranger.count().total > 0, 10), "reload did not open anything"
    until(lambda: settled(machine), "the boot unit to put everything back", 30)
    stranger.go_on(3000, seconds=60)
    before = stranger.count().accepted
    assert stranger.go_on(3000, seconds=60).accepted == before
    restart_docker(machine)

    machine.drop_in("nftables.service")
    before = stranger.count().accepted
    for verbs in (["reload"], ["restart"], ["stop", "start"]):
        for verb in verbs:
            machine.systemctl(verb, "nftables")
            stranger.go_on(1000, seconds=60)
        until(lambda: settled(machine), "the boot unit to put the chains back", 30)
        assert stranger.count().accepted == before, verbs
    office = machine.outside.hammer(*by_port(OFFICE))
    served(office, by_port(OFFICE))
    restart_docker(machine)
    until(lambda: running(machine) == {"web", "db"}, "both containers to be back")
    served(office, by_port(OFFICE))
    assert stranger.go_on(3000, seconds=60).accepted == before

    # At boot nftables comes before anything that the seal could know of Docker by.
    machine.drop_in("docker.service")
    machine.off()
    machine.boot()
    assert "Error" not in machine.journal("nftables")


def test_with_the_drop_in_a_broken_seal_on_disk_keeps_no_rule_of_the_host_away(
    machine: Machine,
) -> None:
    machine.boot()
    machine.drop_in("nftables.service")
    machine.write("/var/lib/dockerfw/seal.nft", "this is not nft\n")
    machine.systemctl("start", "nftables")
    assert "table inet filter" in machine.run(["nft", "list", "ruleset"]).stdout


# --- failing closed ------------------------------------------------------------------------------

WAY_OUT = commands("docs/operations.md", "tests/boot/test_boot.py")[0].text


def test_with_the_drop_in_docker_does_not_start_where_the_boot_unit_failed(
    machine: Machine,
) -> None:
    furnish(machine)
    protect(machine)
    ipset = machine.path("/usr/sbin/ipset")
    whole = ipset.read_bytes()
    ipset.write_text("#!/bin/sh\nexit 1\n")

    machine.off()
    stranger, _ = boot_under_fire(machine)
    assert machine.show("dockerfw-boot", "Result") == "exit-code"
    leaks_everywhere(stranger)

    machine.drop_in("docker.service")
    machine.off()
    stranger = machine.outside.hammer(*everywhere(STRANGER))
    machine.boot()
    assert stranger.go_on(3000, seconds=60).accepted == {}
    assert machine.show("docker.service", "AssertResult") == "no"
    assert machine.show("docker.service", "MainPID") == "0"
    # The comment in the drop-in, which is what an admin finds, tells the way out.
    told = machine.run(["systemctl", "cat", "docker.service"]).stdout
    for command in re.findall(r"^systemctl .*\n", WAY_OUT, re.MULTILINE):
        assert command in told

    ipset.write_bytes(whole)
    machine.run(["bash", "-ec", WAY_OUT])
    office = machine.outside.hammer(*by_port(OFFICE))
    served(office, by_port(OFFICE))
    assert stranger.go_on(3000, seconds=60).accepted == {}


@pytest.mark.parametrize("machine", ["bookworm"], indirect=True)
def test_the_boot_unit_loads_br_netfilter_where_the_policy_in_force_needs_it(
    machine: Machine,
) -> None:
    """The lab's kernel has it built in: what counts is who is called, and with which powers."""
    furnish(machine)
    protect(machine)
    called = 'for word in "$@" $(grep CapEff /proc/self/status); do echo "$word"; done >/run/called'
    machine.write("/usr/local/sbin/modprobe", f"#!/bin/sh\n{called}\n", 0o755)
    machine.systemctl("restart", "dockerfw-boot")
    assert not machine.path("/run/called").exists(), "this policy is about the outside alone"

    machine.write("/var/lib/dockerfw/needs-br_netfilter", "as an apply leaves it\n")
    machine.systemctl("restart", "dockerfw-boot")

    module, _, powers = machine.run(["cat", "/run/called"]).stdout.split()
    own = int(re.findall(r"CapEff:\s+(\w+)", machine.run(["cat", "/proc/1/status"]).stdout)[0], 16)
    assert module == "br_netfilter"
    assert int(powers, 16) == own, "not those of the sandbox"


def test_a_boot_unit_that_fails_later_takes_its_word_back(machine: Machine) -> None:
    machine.boot()
    machine.install_dockerfw()
    booted = "/run/dockerfw/booted"
    machine.systemctl("start", "dockerfw-boot")
    machine.run(["test", "-e", booted])
    machine.write("/usr/bin/dockerfw", "#!/bin/sh\nexit 1\n", 0o755)
    machine.run(["systemctl", "restart", "dockerfw-boot"], check=False)
    assert machine.run(["test", "-e", booted], check=False).returncode == 1


# --- our units and Docker ------------------------------------------------------------------------


def lives(machine: Machine) -> tuple[str, ...]:
    """What would change if Docker or a container were restarted."""
    return (
        machine.show("docker.service", "MainPID"),
        machine.show("containerd.service", "MainPID"),
        *(str(machine.inspect(name)["State"]["StartedAt"]) for name in ("web", "db")),
    )


def test_restarting_and_stopping_the_boot_unit_leaves_docker_and_the_rules_alone(
    machine: Machine,
) -> None:
    furnish(machine)
    protect(machine, "dockerfw-boot.service")
    machine.drop_in("docker.service")
    machine.off()
    machine.boot()
    before = lives(machine)
    stranger = machine.outside.hammer(*everywhere(STRANGER))
    for verb in ("restart", "reload", "stop", "start", "restart"):
        machine.systemctl(verb, "dockerfw-boot")
        assert stranger.go_on(500, seconds=60).accepted == {}, verb
        machine.run(["test", "-e", "/run/dockerfw/booted"])
    assert lives(machine) == before
    restart_docker(machine)
    assert machine.systemctl("is-active", "docker") == "active"


@pytest.mark.slow  # that docker-proxy is closed in it after a restart holds this as well
def test_docker_lives_in_its_slice_with_the_drop_in(machine: Machine) -> None:
    furnish(machine)
    machine.install_dockerfw()
    machine.drop_in("docker.service")
    machine.systemctl("enable", "dockerfw-boot.service")
    machine.off()
    machine.boot()
    inode = ["stat", "-c", "%i", "/sys/fs/cgroup/dockerd.slice"]
    before = machine.run(inode).stdout
    assert machine.show("docker.service", "ControlGroup") == "/dockerd.slice/docker.service"
    for verb in ("restart", "stop", "start"):
        machine.systemctl(verb, "docker.service")
    assert machine.run(inode).stdout == before


# --- the units by themselves ---------------------------------------------------------------------


@ON_DEBIAN_12_AND_13
def test_both_units_are_well_hardened_and_close_no_circle(machine: Machine) -> None:
    machine.boot()
    machine.install_dockerfw()
    for unit in ("docker.service", "nftables.service"):
        machine.drop_in(unit)
    machine.systemctl("enable", "dockerfw-boot", "dockerfw", "nftables", "ufw", "firewalld")
    for unit in ("dockerfw-boot.service", "dockerfw.service"):
        path = f"/usr/lib/systemd/system/{unit}"
        machine.run(["systemd-analyze", "security", "--offline=true", "--threshold=25", path])
    # Circles are found where the whole of a boot is looked at; exit statuses tell nothing.
    for unit in (
        *("dockerfw-boot.service", "dockerfw.service", "dockerd.slice"),
        *("docker.service", "docker.socket", "nftables.service", "default.target"),
    ):
        checked = machine.run(["systemd-analyze", "verify", "--man=no", unit], check=False)
        assert checked.stdout + checked.stderr == "", unit
