"""NAT of others in the text of iptables-save."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from dockerfw.kernel.iptables.nat import START, nat_rules
from dockerfw.kernel.iptables.parse import parse
from dockerfw.kernel.nat import forwards, unread
from dockerfw.model.host import PortForward
from dockerfw.model.net import Family

HOST = ip_address("203.0.113.1")
WEB = ip_address("172.18.0.2")


def read(
    *rules: str, family: Family = 4, how: Callable[..., tuple[PortForward, ...]] = forwards
) -> tuple[PortForward, ...]:
    chains = {rule.split()[1] for rule in rules} - {START}
    heads = [f":{START} ACCEPT [0:0]", *(f":{chain} - [0:0]" for chain in sorted(chains))]
    text = "\n".join(["*nat", *heads, *rules, "COMMIT\n"])
    local = frozenset({HOST, ip_address("203.0.113.50"), ip_address("2001:db8::1")})
    bridged = (ip_network("172.18.0.0/16"), ip_network("fd00:18::/64"))
    return how(family, nat_rules(parse(text, ("nat",))["nat"]), (START,), local, bridged)


def led(first: int, last: int | None = None, to_port: int | None = 80) -> PortForward:
    return PortForward(4, None, "tcp", first, last or first, WEB, to_port)


TO_WEB = "-j DNAT --to-destination 172.18.0.2:80"


@pytest.mark.parametrize(
    ("rules", "found"),
    [
        ((f"-A PREROUTING -p tcp -m tcp --dport 9999 {TO_WEB}",), (led(9999),)),
        (
            (f"-A PREROUTING -p tcp -m addrtype --dst-type LOCAL -m tcp --dport 9 {TO_WEB}",),
            (led(9),),
        ),
        (
            (f"-A PREROUTING -p tcp -m multiport --dports 1,5:7 {TO_WEB}",),
            (led(1), led(5, 7)),
        ),
        (
            ("-A PREROUTING -p tcp --dport 9 -j DNAT --to-destination 172.18.0.2",),
            (led(9, to_port=None),),
        ),
        (
            ("-A PREROUTING -p tcp --dport 9 -j MINE", f"-A MINE -p tcp {TO_WEB}"),
            (led(9),),
        ),
        (
            ("-A PREROUTING -d 203.0.113.50/32 -j DNAT --to-destination 172.18.0.2",),
            (PortForward(4, ip_address("203.0.113.50"), None, 0, 0, WEB),),
        ),
        # Docker's own, somebody else's address, nobody's bridge, every packet there is.
        (("-A PREROUTING -j DOCKER", f"-A DOCKER -p tcp --dport 9 {TO_WEB}"), ()),
        ((f"-A PREROUTING -d 198.51.100.1/32 -p tcp --dport 9 {TO_WEB}",), ()),
        (("-A PREROUTING -p tcp --dport 9 -j DNAT --to-destination 10.0.0.1:80",), ()),
        (("-A PREROUTING -j DNAT --to-destination 172.18.0.2",), ()),
        # What is not read opens nothing; and chains that lead round and round end.
        (("-A PREROUTING -p tcp --dport 9 -j DNAT --to-destination 172.18.0.2-172.18.0.9",), ()),
        (("-A PREROUTING -j A", "-A A -j B", "-A B -j A"), ()),
    ],
)
def test_a_rule_is_read_as_the_host_ports_that_it_leads_on(
    rules: tuple[str, ...], found: tuple[PortForward, ...]
) -> None:
    assert read(*rules) == found


@pytest.mark.parametrize(
    "rules",
    [
        ("-A PREROUTING -i eth0 -p tcp --dport 9 TO",),
        ("-A PREROUTING -s 203.0.113.9/32 -p tcp -m multiport --dports 9 TO",),
        ("-A PREROUTING ! -s 203.0.113.9/32 -p tcp --dport 9 TO",),
        ("-A PREROUTING ! -d 203.0.113.9/32 -p tcp --dport 9 TO",),
        ("-A PREROUTING -p tcp --dport 9 -m limit --limit 1/sec TO",),
        ("-A PREROUTING -p tcp -m addrtype --dst-type BROADCAST --dport 9 TO",),
        ("-A PREROUTING -i eth0 -j MINE", "-A MINE -p tcp --dport 9 TO"),
        ("-A PREROUTING -p tcp --dport 1:9 -j MINE", "-A MINE -p tcp --dport 9 TO"),
        ("-A PREROUTING -s 10.0.0.0/8 -j RETURN", "-A PREROUTING -p tcp --dport 9 TO"),
        ("-A PREROUTING -j MINE", "-A MINE -s 10.0.0.0/8 -j ACCEPT",
         "-A PREROUTING -p tcp --dport 9 TO"),
    ],
)  # fmt: skip
def test_a_forward_with_conditions_that_are_not_known_here_is_conditional(
    rules: tuple[str, ...],
) -> None:
    found = read(*(rule.replace("TO", TO_WEB) for rule in rules))
    assert found == (replace(led(9), conditional=True),)


def test_a_rule_that_ends_other_packets_makes_no_forward_conditional() -> None:
    end = "-A PREROUTING -s 10.0.0.0/8 -p tcp --dport 22 -j ACCEPT"
    assert read(end, f"-A PREROUTING -p tcp --dport 9 {TO_WEB}") == (led(9),)


def test_a_forward_that_stands_twice_is_conditional_if_both_are() -> None:
    rule = f"-p tcp --dport 9 {TO_WEB}"
    narrow, other = f"-A PREROUTING -i eth0 {rule}", f"-A PREROUTING -i eth1 {rule}"
    assert read(narrow, other) == (replace(led(9), conditional=True),)
    assert read(narrow, f"-A PREROUTING {rule}") == (led(9),)


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        ("-p tcp --dport 9 -j DNAT --to-destination 172.18.0.2-172.18.0.9", ("tcp", 9, 9)),
        ("-p tcp --dport 9 -j REDIRECT --to-ports 80-90", ("tcp", 9, 9)),
        (f"-p tcp -m set --match-set web dst,dst {TO_WEB}", ("tcp", 0, 65535)),
        (f"-p tcp -m multiport --ports 9 {TO_WEB}", ("tcp", 0, 65535)),
        ("-j DNAT --to-destination 172.18.0.2", (None, 0, 0)),
        (f"-p tcp --dport 9 {TO_WEB}", None),
        ("-m set --match-set web dst,dst -j DNAT --to-destination 10.0.0.1", None),
    ],
)
def test_nat_whose_ports_or_destination_are_not_known_may_lead_on(
    rule: str, found: tuple[str | None, int, int] | None
) -> None:
    may = () if found is None else (PortForward(4, None, *found, None, conditional=True),)
    assert read(f"-A PREROUTING {rule}", how=unread) == may


def test_ipv6_has_brackets() -> None:
    to_web = "-j DNAT --to-destination [fd00:18::2]:5353"
    rule = f"-A PREROUTING -d 2001:db8::1/128 -p udp --dport 53 {to_web}"
    local, web = ip_address("2001:db8::1"), ip_address("fd00:18::2")
    assert read(rule, family=6) == (PortForward(6, local, "udp", 53, 53, web, 5353),)
