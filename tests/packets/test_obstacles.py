"""Packets that dockerfw lets pass and that a rule of somebody else drops: ``explain`` names it."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address

import pytest

from dockerfw.kernel.netfilter import Netfilter
from dockerfw.report.bypasses import bypasses
from dockerfw.report.explain import explain
from dockerfw.report.foreign_walk import Traveller, ends
from dockerfw.report.obstacles import published_obstacles
from tests.build import allow, policy
from tests.lab.host import Host
from tests.lab.place import Probe, disagreements
from tests.packets.runner import HostRunner
from tests.packets.scene import HOST, Scene, at
from tests.paths import FIXTURES

OPEN = policy(allow("any", to="web", ports=(80,)))
SOURCE = "203.0.113.9"


def nft_policy(scene: Scene) -> None:
    rules = 'ct state established,related accept\n iifname "br-*" accept'
    scene.host.run(["nft", "-f", "-"], stdin=_nft("forward", f"policy drop;\n {rules}"))


def nft_rule(scene: Scene) -> None:
    rules = "policy accept;\n ip daddr 172.18.0.0/16 tcp dport 80 drop"
    scene.host.run(["nft", "-f", "-"], stdin=_nft("forward", rules))


def nft_input(scene: Scene) -> None:
    rules = 'policy drop;\n iifname "lo" accept\n tcp dport 22 accept'
    scene.host.run(["nft", "-f", "-"], stdin=_nft("input", rules))


def _nft(hook: str, rules: str) -> str:
    base = f"type filter hook {hook} priority 20; {rules}"
    return f"table inet mine {{\n chain mine {{\n {base}\n }}\n}}\n"


def legacy_policy(scene: Scene) -> None:
    scene.host.run(["iptables-legacy", "-P", "FORWARD", "DROP"])


def rule_of_iptables(scene: Scene) -> None:
    scene.iptables(4, "-I", "FORWARD", "2", "-p", "tcp", "-d", at("web", 4), "-j", "DROP")


def raw_rule(scene: Scene) -> None:
    rule = f"-A PREROUTING -d {at('web', 4)} ! -i br-a -j DROP"
    scene.iptables(4, "-t", "raw", *rule.split())


@pytest.mark.parametrize(
    ("add", "target", "named"),
    [
        (nft_policy, HOST[4], "the policy (drop) of chain mine of nft's table inet mine"),
        (nft_rule, HOST[4], "`ip daddr 172.18.0.0/16 tcp dport 80 drop` in chain mine"),
        (nft_input, HOST[6], "the policy (drop) of chain mine of nft's table inet mine"),
        (legacy_policy, HOST[4], "the policy (drop) of filter FORWARD of iptables-legacy"),
        (rule_of_iptables, HOST[4], "-j DROP` in filter FORWARD of iptables-nft"),
        (raw_rule, at("web", 4), "! -i br-a -j DROP` in raw PREROUTING of iptables-nft"),
    ],
)
def test_who_drops_what_dockerfw_lets_pass_is_named(
    add: Callable[[Scene], None], target: str, named: str
) -> None:
    with Scene() as scene:
        port = 80 if target == at("web", 4) else 8080
        source = "2001:db8:1::9" if ":" in target else SOURCE
        one = Probe(scene.outside, "tcp", target, port, source)
        scene.commit(OPEN)
        assert disagreements([(one, True)]) == []
        assert others(scene, one) == ()

        add(scene)

        assert disagreements([(one, False)]) == []
        found = others(scene, one)
        assert any(named in text for text in found), found
        kernel = Netfilter(HostRunner(scene.host), lambda: 0.0)
        tables = kernel.foreign_tables(kernel.facts())
        by_port = [text for text in published_obstacles(tables, scene.inventory) if named in text]
        assert bool(by_port) == (add is not raw_rule), by_port


def test_what_gives_packets_no_connection_is_named() -> None:
    with Scene() as scene:
        kernel = Netfilter(HostRunner(scene.host), lambda: 0.0)
        assert bypasses(kernel.foreign_tables(kernel.facts())) == ()

        for rule in ("-p udp -j NOTRACK", "-j CT --notrack"):
            scene.iptables(4, "-t", "raw", "-A", "PREROUTING", *rule.split())
        early = "type filter hook prerouting priority -300; udp dport 53 notrack"
        script = f"table inet mine {{\n chain early {{ {early}; }}\n}}\n"
        scene.host.run(["nft", "-f", "-"], stdin=script)

        found = bypasses(kernel.foreign_tables(kernel.facts()))
        rules = [text.partition(":")[0] for text in found]
        assert rules == [
            "`-p udp -j NOTRACK` in raw PREROUTING of iptables-nft",
            "`-j CT --notrack` in raw PREROUTING of iptables-nft",
            "`udp dport 53 notrack` in chain early of nft's table inet mine",
        ]


SETS = """table inet mine {
 set ports { type inet_service; elements = { 22, 80 } }
 set banned { type ipv4_addr; flags interval; elements = { 203.0.113.9 } }
 map verdicts { type inet_service : verdict; elements = { 443 : drop, 53 : accept } }
 chain mine {
  type filter hook input priority 20; policy accept
  tcp dport @ports drop
  tcp dport vmap @verdicts
  tcp dport 25 ip saddr @banned drop
 }
}
"""


@pytest.mark.parametrize(
    "port, drops, passes", [(80, 1, False), (443, 1, False), (53, 0, True), (25, 1, True)]
)
def test_what_sets_hold_is_known_where_they_are_small(
    host: Host, port: int, drops: int, passes: bool
) -> None:
    """A list of addresses may be long, and is not read: it may hold the packet, or not."""
    host.run(["nft", "-f", "-"], stdin=SETS)
    kernel = Netfilter(HostRunner(host), lambda: 0.0)
    source, here = ip_address(SOURCE), ip_address(HOST[4])
    packet = Traveller("input", "eth0", None, source, here, "tcp", port)
    found = ends(kernel.foreign_tables(kernel.facts()), packet)
    assert (len(found.drops), not found.closing) == (drops, passes)


@pytest.mark.parametrize("port, passes", [(80, True), (9999, False)])
def test_maps_of_docker_on_nftables_are_followed(host: Host, port: int, passes: bool) -> None:
    text = (FIXTURES / "engine-29-nftables" / "ruleset.nft").read_text()
    # The nft of Debian 12 knows this priority by its number alone.
    text = text.replace("output priority dstnat", "output priority -100")
    host.run(["nft", "-f", "-"], stdin=text)
    kernel = Netfilter(HostRunner(host), lambda: 0.0)
    source, web = ip_address(SOURCE), ip_address("172.30.0.2")
    packet = Traveller("forward", "eth0", "br-c48d0d732142", source, web, "tcp", port)
    found = ends(kernel.foreign_tables(kernel.facts()), packet)
    assert (not found.closing, bool(found.accepts)) == (passes, passes)


def others(scene: Scene, one: Probe) -> tuple[str, ...]:
    """What ``explain`` says of others on the way of this packet, which it calls allowed."""
    kernel = Netfilter(HostRunner(scene.host), lambda: 0.0)
    facts = kernel.facts()
    where = f"[{one.address}]" if ":" in one.address else one.address
    foreign = kernel.foreign_tables(facts)
    asked = (f"{one.source}@eth0", f"{where}:{one.port}")
    found = explain(OPEN, scene.inventory, facts, *asked, facts.addresses, foreign)
    assert found.verdict == "allowed"
    return tuple(text for row in found.rows for text in row.others)
