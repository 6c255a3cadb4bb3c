"""What commands make of ``lan:`` sources: who is asked, and what an interface without one opens."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_network

from dockerfw.model.policy import LanNetworks, LanSource
from dockerfw.operations.lan_networks import with_networks, without_networks
from dockerfw.policy.document import Document
from dockerfw.policy.files import PolicyText
from dockerfw.report.warnings import nameless
from tests.edges.daemon.played_host import PlayedKernel

LAN = ip_network("192.168.3.0/24")


class Asked(PlayedKernel):
    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.lans = {"eth0": (LAN,)}

    def networks(self, interfaces: Iterable[str]) -> LanNetworks:
        interfaces = list(interfaces)
        self.asked += interfaces
        return super().networks(interfaces)


def text(source: str) -> PolicyText:
    rule = f"[[allow]]\npublished = 80\nfrom = {source}\n"
    return PolicyText((Document("config.toml", rule.encode()),))


def test_an_interface_is_asked_for_its_networks() -> None:
    found = with_networks(Asked(), text('["lan:eth0"]'))
    assert found.warnings == ()
    assert found.parse().allows[0].sources == (LanSource("eth0", (LAN,)),)


def test_an_interface_without_a_network_opens_nothing_and_is_named() -> None:
    found = with_networks(Asked(), text('["lan:eth0", "lan:eth9"]'))
    [warning] = found.warnings
    assert warning == (
        "config.toml:1: lan:eth9 has no network here, so it opens nothing until it has one"
    )
    assert nameless(found.parse()) == (
        "lan:eth9 has no network, so it opens nothing until it has one",
    )


def test_a_recorded_inventory_has_no_interfaces() -> None:
    assert "lan:eth0 has no network here" in without_networks(text('["lan:eth0"]')).warnings[0]


def test_a_policy_without_interfaces_asks_nobody() -> None:
    kernel = Asked()
    plain = text('["any"]')
    assert with_networks(kernel, plain) is plain
    assert kernel.asked == []
