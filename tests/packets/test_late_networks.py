"""A network that nobody has told dockerfw of, and a connection that lost its entry."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from dockerfw.kernel.netfilter import Netfilter
from dockerfw.model.inventory import Inventory
from dockerfw.model.policy import Policy
from dockerfw.operations.reconcile import Reconciler
from dockerfw.state.store import Store
from tests.build import inventory, network
from tests.lab.host import Host
from tests.lab.packet import Packet
from tests.lab.place import Place
from tests.lab.wait import becomes_true
from tests.packets.runner import HostRunner

LATE = "br-0123456789ab"
STRANGER = {4: "203.0.113.2", 6: "2001:db8:1::2"}


OWN_NAME = "backoffice"


def late_container(host: Host, bridge: str) -> Place:
    host.bridge(bridge, "172.28.0.1/16", "fd00:28::1/64")
    container = host.container("late", {bridge: ("172.28.0.2/16", "fd00:28::2/64")})
    container.listen("5432/udp")
    return container


@pytest.fixture
def late(host: Host) -> Place:
    """A container on a bridge as Docker names them, which no inventory knows."""
    return late_container(host, LATE)


def commit(host: Host, tmp_path: Path, running: Inventory) -> None:
    state = Store(tmp_path / "state", tmp_path / "run")
    kernel = Netfilter(HostRunner(host), time.time)
    Reconciler(kernel, state, time.time).commit(Policy(), running)


def plant(host: Host, address: str, port: int) -> None:
    """The outside claims to be the container, so that its own packets would be replies."""
    family = 6 if ":" in address else 4
    host.outside.forge(Packet("udp", address, STRANGER[family], 5432, port, payload=b"plant"))


def drop_the_rules_on_first_packets(host: Host) -> None:
    for chain in ("forward", "input"):
        listing = host.run(["nft", "-a", "list", "chain", "inet", "dockerfw", chain]).stdout
        found = re.search(r"ct state .* # handle (\d+)$", listing, re.MULTILINE)
        assert found, listing
        host.run(["nft", "delete", "rule", "inet", "dockerfw", chain, "handle", found[1]])


@pytest.mark.parametrize("address", ["172.28.0.2", "fd00:28::2"])
@pytest.mark.parametrize("bridge", [LATE, OWN_NAME])
def test_a_spoofer_plants_no_entry_for_a_network_made_after_the_apply(
    host: Host, tmp_path: Path, address: str, bridge: str
) -> None:
    late = late_container(host, bridge)

    def knocks(port: int) -> bool:
        late.received()
        plant(host, address, port)
        source = STRANGER[6 if ":" in address else 4]
        host.outside.udp(address, 5432, source=source, source_port=port)
        return bool(late.received())

    # In IPv6 a new address may not be answered for at once.
    found = becomes_true(lambda: host.outside.udp(address, 5432).reached, 10)
    assert found, "open without dockerfw"
    commit(host, tmp_path, inventory())
    assert not host.outside.udp(address, 5432).reached, "the seal"
    assert not knocks(40001)
    drop_the_rules_on_first_packets(host)
    assert knocks(40002), "without them the spoofer gets in"


@pytest.mark.parametrize("address", ["172.28.0.2", "fd00:28::2"])
def test_a_spoofer_plants_no_entry_for_a_network_that_is_yet_to_be_made(
    host: Host, tmp_path: Path, address: str
) -> None:
    """While nobody lives there the way back is the one that the packet came by."""
    stranger = STRANGER[6 if ":" in address else 4]
    prefix = f"-{6 if ':' in address else 4}"
    host.run(["ip", prefix, "route", "replace", "default", "via", stranger, "dev", "eth0"])
    commit(host, tmp_path, inventory())
    plant(host, address, 40001)
    drop_the_rules_on_first_packets(host)
    plant(host, address, 40002)
    late = late_container(host, OWN_NAME)
    for port in (40001, 40002):
        host.outside.udp(address, 5432, source=stranger, source_port=port)
    heard = [one.source_port for one in late.received()]
    assert heard == [40002], "without the rules on first packets the spoofer gets in"


@pytest.mark.parametrize("family", [4, 6])
def test_a_server_takes_up_no_connection_that_has_lost_its_entry(
    host: Host, late: Place, tmp_path: Path, family: int
) -> None:
    address = "172.28.0.2" if family == 4 else "fd00:28::2"
    known = inventory(network("late", "172.28.0.0/16", "fd00:28::/64", bridge=LATE))

    def heard(port: int) -> bool:
        gateway = host.mac(LATE)
        with host.outside.sniff() as sniffer:
            late.forge(Packet("tcp", address, STRANGER[family], 5432, port, flags="A"), mac=gateway)
            return becomes_true(
                lambda: any(p.source_port == 5432 and p.port == port for p in sniffer.seen()), 1
            )

    assert heard(40001), "without dockerfw conntrack takes it up"
    commit(host, tmp_path, known)
    assert not heard(40002)
