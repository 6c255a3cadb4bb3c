"""Which port may send from which address: what is one container's alone is bound, nothing else."""

from __future__ import annotations

from ipaddress import ip_address

from dockerfw.model.host import BridgePort, Interior
from dockerfw.rules.bindings import Bindings, bind
from tests import build

FRONT, BACK = "br-0a1b2c3d4e5f", "br-000000000000"
INVENTORY = build.inventory(
    build.container("web", "front 172.18.0.2 fd00:18::2", "back 172.19.0.2", id="a" * 12),
    build.container("db", "front 172.18.0.3", id="b" * 12),
    build.network("front", "172.18.0.0/16", "fd00:18::/64", bridge=FRONT),
    build.network("back", "172.19.0.0/16", bridge=BACK),
)
WEB1, WEB2, DB = "veth0000001", "veth0000002", "veth0000003"
PORTS = (
    BridgePort(WEB1, FRONT, 1, 10),
    BridgePort(WEB2, BACK, 1, 11),
    BridgePort(DB, FRONT, 2, 10),
)
MAC1, MAC2, MAC3 = "02:42:ac:12:00:02", "02:42:ac:13:00:02", "02:42:ac:12:00:03"


def interior(macs: dict[int, str], *addresses: str) -> Interior:
    return Interior(tuple(macs.items()), frozenset(map(ip_address, addresses)))


INTERIORS = {
    1: interior({1: "00:00:00:00:00:00", 10: MAC1, 11: MAC2}, "172.18.0.2", "172.19.0.2", "::1"),
    2: interior({10: MAC3}, "172.18.0.3", "172.18.0.99"),
}


def bound(ports: tuple[BridgePort, ...] = PORTS, **interiors: Interior) -> Bindings:
    found = {**INTERIORS, **{int(n.removeprefix("n")): i for n, i in interiors.items()}}
    return bind(ports, found, INVENTORY, observe=False)


def holders(bindings: Bindings, address: str) -> set[tuple[str, str]]:
    return {(port, mac) for port, mac, a in bindings.holders if a == ip_address(address)}


def test_a_container_may_answer_from_any_of_its_addresses_through_any_of_its_networks() -> None:
    found = bound()
    both = {(port, mac) for port in (WEB1, WEB2) for mac in (MAC1, MAC2)}
    assert found.ports == {WEB1, WEB2, DB}
    assert holders(found, "172.18.0.2") == holders(found, "172.19.0.2") == both
    assert holders(found, "172.18.0.3") == {(DB, MAC3)}
    assert found.stations == both | {(DB, MAC3)}


def test_an_address_that_docker_did_not_give_belongs_to_nobody() -> None:
    """It may move from one container to another by itself: a virtual address of keepalived."""
    assert not holders(bound(), "172.18.0.99")
    assert not holders(bound(), "fd00:18::2"), "Docker gave it, and nobody has it yet"


def test_what_two_containers_have_belongs_to_neither_and_cuts_neither_off() -> None:
    same = bound(n2=interior({10: MAC1}, "172.18.0.3", "172.18.0.2"))
    assert not holders(same, "172.18.0.2")
    assert MAC1 not in {mac for _, mac in same.stations}
    assert holders(same, "172.18.0.3") == {(DB, MAC1)}, "its own MAC, though another has it too"


def test_a_port_is_held_to_this_once_it_is_known_what_is_behind_it() -> None:
    late = BridgePort("veth0000004", FRONT, 3, 10)
    assert bound((*PORTS, late)) == bound()


def test_a_vm_in_a_docker_bridge_is_no_container_and_other_bridges_are_left_alone() -> None:
    tap, uplink = BridgePort("tap0", FRONT), BridgePort("eth1", FRONT)
    others = (BridgePort("vnet0", "virbr0"), BridgePort("veth0a1b2c3d", "lxdbr0", 7, 2))
    found = bound((*PORTS, tap, uplink, *others))
    assert found.ports - bound().ports == {"tap0", "eth1"}
    assert found.holders == bound().holders


def test_an_interface_whose_name_no_kernel_text_may_hold_is_left_out() -> None:
    assert bound((*PORTS, BridgePort('tap"0', FRONT))) == bound()


def test_no_container_has_an_address_of_this_host() -> None:
    own = frozenset(map(ip_address, ("172.18.0.1", "fd00:18::1", "203.0.113.1", "172.18.0.2")))
    found = bind(PORTS, INTERIORS, INVENTORY, own, observe=False)
    assert found.gateways == {ip_address("172.18.0.1"), ip_address("fd00:18::1")}
    assert holders(found, "172.18.0.2"), "what is a container's stays its own"
    nic = build.network("front", "172.18.0.0/16", bridge=FRONT, foreign_ports=("eth1",))
    beside_a_nic = build.inventory(*INVENTORY.containers, nic)
    assert not bind(PORTS, INTERIORS, beside_a_nic, own, observe=False).gateways
