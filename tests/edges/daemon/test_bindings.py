"""Who may send from which address is kept true: before anybody is let in, by no needless write."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from dockerfw.docker.reports import Changed
from dockerfw.kernel.netlink import Noticed
from dockerfw.model.host import BridgePort, Interior
from dockerfw.model.inventory import Inventory
from tests.edges.daemon.bench import CLOSED, Bench, here, on_front

POLICY = CLOSED + '[[allow]]\nto = "db"\nports = [5432]\nfrom = ["container:web"]\n'
DB, WEB = on_front("db", 2), on_front("web", 3)
BRIDGE = "br-0123456789ab"
UP = Noticed(carriers=True)
WEB_ADDRESS = ip_address("172.18.0.3")


def start(bench: Bench, number: int, *addresses: str) -> None:
    """A container is set up at port number so and so, and the kernel announces it."""
    port = BridgePort(f"veth{number:07}", BRIDGE, number, 2)
    bench.kernel.bridge_ports += (port,)
    mac = f"02:00:00:00:00:{number:02x}"
    bench.kernel.interiors[number] = Interior(((2, mac),), frozenset(map(ip_address, addresses)))
    bench.notice(UP)


def end(bench: Bench, number: int) -> None:
    name = f"veth{number:07}"
    bench.kernel.bridge_ports = tuple(p for p in bench.kernel.bridge_ports if p.name != name)
    bench.notice(Noticed(links=True))


def report(bench: Bench, found: Inventory) -> None:
    bench.report(Changed(found))


def addresses(bench: Bench) -> set[tuple[str, str]]:
    """Ports, each with an address that is its own."""
    assert bench.kernel.bound
    return {(port, str(address)) for port, _, address in bench.kernel.bound.holders}


def test_an_address_is_bound_before_it_is_let_in_and_a_port_as_soon_as_it_is_up(
    bench: Bench,
) -> None:
    start(bench, 1, "172.18.0.2")
    bench.follow(POLICY, here(DB))
    assert addresses(bench) == {("veth0000001", "172.18.0.2")}
    bench.kernel.tools.clear()
    bench.kernel.looked_into.clear()

    start(bench, 2, "172.18.0.3")
    assert bench.kernel.bound is not None
    assert "veth0000002" in bench.kernel.bound.ports, "it can be nobody else from here on"
    assert ("veth0000002", "172.18.0.3") not in addresses(bench), "Docker has not told of it"
    report(bench, here(DB, WEB))
    assert ("veth0000002", "172.18.0.3") in addresses(bench)
    assert bench.kernel.tools == ["bindings", "bindings", "ipset"]
    assert bench.kernel.looked_into == [2], "what is known is not read again"


def test_who_comes_back_has_its_address_at_another_port_at_once(bench: Bench) -> None:
    start(bench, 1, "172.18.0.2")
    bench.follow(POLICY, here(DB))
    end(bench, 1)
    assert addresses(bench) == set()
    start(bench, 9, "172.18.0.2")
    assert addresses(bench) == {("veth0000009", "172.18.0.2")}


def test_a_number_that_is_used_again_is_another_namespace(bench: Bench) -> None:
    start(bench, 1, "172.18.0.2")
    bench.follow(POLICY, here(DB, WEB))
    bench.kernel.bridge_ports = (BridgePort("veth0000007", BRIDGE, 1, 2),)
    bench.kernel.interiors[1] = Interior(((2, "02:00:00:00:00:07"),), frozenset({WEB_ADDRESS}))
    bench.notice(Noticed(links=True))
    assert addresses(bench) == {("veth0000007", "172.18.0.3")}


def test_addresses_that_are_set_after_the_port_is_up_are_read_with_dockers_report(
    bench: Bench,
) -> None:
    bench.follow(POLICY, here(DB))
    start(bench, 2)
    bench.kernel.interiors[2] = Interior(((2, "02:00:00:00:00:02"),), frozenset({WEB_ADDRESS}))
    report(bench, here(DB, WEB))
    assert addresses(bench) == {("veth0000002", "172.18.0.3")}


@pytest.mark.parametrize("policy", ["", POLICY.replace("baseline = []", "baseline = ['bridge']")])
def test_where_containers_may_reach_each_other_nothing_is_bound(bench: Bench, policy: str) -> None:
    start(bench, 1, "172.18.0.2")
    bench.follow(policy, here(DB))
    assert not bench.kernel.bindings_written


def test_a_policy_that_parts_containers_no_more_lets_go_of_their_ports(bench: Bench) -> None:
    start(bench, 1, "172.18.0.2")
    bench.follow(POLICY, here(DB))
    bench.apply("")
    bench.take_files()
    bench.settle(here(DB))
    assert bench.kernel.bound is None


def test_what_others_took_out_is_put_back_and_said(bench: Bench) -> None:
    start(bench, 1, "172.18.0.2")
    bench.follow(POLICY, here(DB))
    bench.kernel.bound, wanted = None, bench.kernel.bound
    bench.changed_rules("nft")
    bench.finish()
    assert bench.kernel.bound == wanted
    assert any("put right" in line for line in bench.log.lines)


def test_a_table_that_stands_already_is_not_written_again(bench: Bench) -> None:
    start(bench, 1, "172.18.0.2")
    bench.follow(POLICY, here(DB))
    written = len(bench.kernel.bindings_written)
    bench.changed_rules("nft")
    bench.finish()
    report(bench, here(DB))
    assert len(bench.kernel.bindings_written) == written
