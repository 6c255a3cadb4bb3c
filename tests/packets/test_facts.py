"""What is read of a host: Docker's flavour of iptables, its bridges with their ports, addresses."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from dockerfw.kernel import facts
from dockerfw.model.host import Bridge, Flavour
from tests.lab.host import Host
from tests.packets.runner import FLAVOURS, HostRunner, program

DOCKER = """\
*nat
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A DOCKER -i docker0 -j RETURN
COMMIT
*filter
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -o docker0 -j DOCKER
COMMIT
"""


def restore(host: Host, flavour: Flavour, text: str) -> None:
    host.run([f"{program(flavour, 4)}-restore", "--noflush"], stdin=text)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_facts_tell_dockers_flavour_its_stale_twin_and_the_bridges(
    host: Host, runner: HostRunner, flavour: Flavour
) -> None:
    host.bridge("docker0", "172.17.0.1/16")
    host.ip("link add veth0a1b2c3 type veth peer name p0", "link set veth0a1b2c3 master docker0")
    host.bridge("br-lan")
    host.ip("link add lan0 type veth peer name p1", "link set lan0 master br-lan")
    restore(host, flavour, DOCKER)
    found = facts.read(runner)
    assert (found.flavour, found.stale_flavour) == (flavour, None)
    assert (found.ipv6, found.nf_tables, found.docker_user) == (True, True, True)
    assert [replace(bridge, index=0) for bridge in found.bridges] == [
        Bridge("br-lan", ("lan0",)),
        Bridge("docker0"),
    ]
    assert {ip_address("172.17.0.1"), ip_address("2001:db8:1::1")} <= found.addresses
    other: Flavour = "legacy" if flavour == "nft" else "nft"
    restore(host, other, DOCKER.replace("docker0", "br-gone"))
    found = facts.read(runner)
    assert (found.flavour, found.stale_flavour) == (flavour, other)


def test_docker_on_nftables_is_told_by_its_tables(host: Host, runner: HostRunner) -> None:
    host.run(["nft", "add", "table", "ip", "docker-bridges"])
    assert not facts.read(runner).docker_user
    restore(host, "nft", DOCKER)
    assert facts.read(runner).docker_user
