"""The networks of an interface are followed as they change, and kept for boot."""

from __future__ import annotations

from ipaddress import ip_network

from dockerfw.model.net import IPNetwork
from dockerfw.model.policy import LanSource
from tests.edges.daemon.bench import WEB, Bench, here, on_front

LAN = '[[allow]]\nto = "web"\nports = [80]\nfrom = ["lan:eth0"]\n'
OLD, NEW = ip_network("192.168.3.0/24"), ip_network("2001:db8:7::/64")


def sources(bench: Bench) -> object:
    policy = bench.daemon.policy.policy
    assert policy is not None
    return policy.allows[0].sources


def move(bench: Bench, **lans: tuple[IPNetwork, ...]) -> None:
    bench.change_lans(**lans)
    bench.pass_time(0.2)
    bench.finish()


def test_networks_that_change_count_at_once_and_at_the_next_boot(bench: Bench) -> None:
    bench.kernel.lans = {"eth0": (OLD,)}
    bench.follow(LAN, here(on_front("web", 2)))
    assert sources(bench) == (LanSource("eth0", (OLD,)),)
    move(bench, eth0=(NEW,), eth1=(OLD,))
    assert sources(bench) == (LanSource("eth0", (NEW,)),)
    assert "lan:eth0 is 2001:db8:7::/64" in bench.log
    kept = bench.store.policy.load()
    assert kept is not None
    assert kept.lans == {"eth0": (NEW,)}


def test_an_interface_that_loses_its_addresses_opens_nothing(bench: Bench) -> None:
    bench.kernel.lans = {"eth0": (OLD,)}
    bench.follow(LAN, here(on_front("web", 2)))
    move(bench)
    assert sources(bench) == (LanSource("eth0"),)
    assert "lan:eth0 is without a network" in bench.log


def test_nobody_is_asked_where_no_rule_names_an_interface(bench: Bench) -> None:
    bench.follow(WEB, here(on_front("web", 2)))
    bench.change_lans(eth0=(OLD,))
    assert "CHECK_LANS" not in {task.name for task in bench.due}
