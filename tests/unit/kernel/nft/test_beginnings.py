from __future__ import annotations

from ipaddress import ip_address

from dockerfw.kernel.nft.beginnings import answers, first_packets, served_elements
from dockerfw.model.policy import PortRange
from dockerfw.rules.ruleset import Seal

WEB, WEB6 = ip_address("172.18.0.2"), ip_address("fd00:18::2")


def udp(first: int, last: int) -> PortRange:
    return PortRange("udp", first, last)


def test_served_ports_of_one_address_are_joined_so_that_no_two_elements_overlap() -> None:
    served = {(WEB, udp(53, 60)), (WEB, udp(61, 61)), (WEB, udp(55, 58)), (WEB, udp(63, 63))}
    more = {(WEB, PortRange("tcp", 53, 53)), (WEB6, udp(53, 53)), (WEB6, None)}
    assert set(served_elements(served | more)) == {
        ("served4", (WEB, udp(53, 61))),
        ("served4", (WEB, udp(63, 63))),
        ("served4", (WEB, PortRange("tcp", 53, 53))),
        ("served6", (WEB6, udp(53, 53))),
        ("open6", WEB6),
    }


def test_without_labels_nothing_is_labelled_and_no_set_of_served_ports_is_named() -> None:
    seal = Seal(mark=3, observe=False, inside=True, labels=False, host_network=True)
    chains = first_packets(seal, "counter drop", "meta mark 3", [])
    rules = [rule for rules in (*chains.values(), answers(seal)) for rule in rules]
    assert not [rule for rule in rules if "label" in rule or "@" in rule]


def test_while_observing_nothing_is_dropped_or_reset() -> None:
    seal = Seal(mark=3, observe=True, inside=True, host_network=True)
    rules = [
        rule
        for chain in first_packets(seal, "counter", "meta mark 3", []).values()
        for rule in chain
    ]
    assert not [rule for rule in rules if "drop" in rule or "reject" in rule]
