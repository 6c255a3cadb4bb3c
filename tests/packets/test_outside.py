"""A host outside that is there for a second: what it hears, and what it leaves behind."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.host import Host
from tests.lab.place import Place

SOURCES = {4: "198.18.0.77", 6: "2001:db8:ffff::77"}
INVALID = "-A FORWARD -m conntrack --ctstate INVALID -j DROP"
WEB = {4: "172.18.0.2", 6: "fd00:18::2"}
SCRIPT = """
import json, sys, time
from ipaddress import ip_address
from dockerfw.kernel.outside import Outside
from dockerfw.kernel.runner import SystemRunner
from dockerfw.model.knock import Knock
outside = Outside(SystemRunner(), time.monotonic)
asked = json.loads(sys.argv[1])
if isinstance(asked, dict):
    in_use = outside.in_use([ip_address(a) for a in asked["in_use"]])
    print(json.dumps(sorted(map(str, in_use))))
else:
    heard = outside.knock([
        Knock(ip_address(source), protocol, ip_address(address), port, 1.0)
        for source, protocol, address, port in asked
    ])
    print(json.dumps([[one.answer, one.passed] for one in heard]))
"""


@pytest.fixture
def host() -> Iterator[Host]:
    with Host(rp_filter=1) as host:
        host.bridge("br-shop", "172.18.0.1/16", "fd00:18::1/64")
        for program in ("iptables", "ip6tables"):
            # As any firewall has it: the kernel keeps track of connections then.
            host.run(
                [
                    program,
                    *["-A", "FORWARD", "-m", "conntrack", "--ctstate", "INVALID", "-j", "DROP"],
                ]
            )
        yield host


@pytest.fixture
def web(host: Host) -> Place:
    web = host.container("web", {"br-shop": ("172.18.0.2/16", "fd00:18::2/64")})
    web.listen("80/tcp", "53/udp")
    return web


def asked(host: Host, question: object) -> list[Any]:
    found: list[Any] = json.loads(
        host.run([sys.executable, "-c", SCRIPT, json.dumps(question)]).stdout
    )
    return found


@pytest.mark.usefixtures("web")
@pytest.mark.parametrize("family", [4, 6])
def test_what_gets_in_is_told_from_what_a_rule_turns_away(host: Host, family: int) -> None:
    six = "6" if family == 6 else ""
    rules = (
        "-p tcp --dport 81 -j DROP",
        "-p tcp --dport 82 -j REJECT --reject-with tcp-reset",
        "-p tcp --dport 83 -j REJECT",
        "-p udp --dport 84 -j DROP",
        "-p udp --dport 85 -j REJECT",
    )
    for rule in rules:
        host.run([f"ip{six}tables", "-A", "FORWARD", *rule.split()])
    tcp, udp = ([SOURCES[family], protocol, WEB[family]] for protocol in ("tcp", "udp"))
    heard = asked(
        host,
        [
            *([*tcp, port] for port in (80, 81, 82, 83, 90)),
            *([*udp, port] for port in (53, 84, 85, 91)),
        ],
    )
    assert [passed for _, passed in heard] == [
        *(True, False, False, False, True),
        *(True, False, False, True),
    ]
    # Not at 83, 85 and 91: how many ICMP errors a host sends within a second is limited.
    assert [heard[at][0] for at in (0, 1, 2, 4, 5, 6)] == [
        *("answered", "silent", "refused", "refused"),
        *("answered", "silent"),
    ]


@pytest.mark.usefixtures("web")
def test_where_the_kernel_keeps_no_account_silence_says_nothing(host: Host) -> None:
    host.run(["iptables", "-F", "FORWARD"])
    host.run(["iptables", "-A", "FORWARD", "-p", "tcp", "--dport", "81", "-j", "DROP"])
    heard = asked(host, [[SOURCES[4], "tcp", WEB[4], port] for port in (80, 81)])
    assert heard == [["answered", None], ["silent", None]]


@pytest.mark.usefixtures("web")
def test_where_connections_are_not_announced_it_is_the_same(host: Host) -> None:
    host.sysctl("net.netfilter.nf_conntrack_events", "0")
    assert asked(host, [[SOURCES[4], "tcp", WEB[4], 80]]) == [["answered", None]]


@pytest.mark.usefixtures("web")
def test_more_than_one_round_of_knocks_is_heard(host: Host) -> None:
    heard = asked(host, [[SOURCES[4], "tcp", WEB[4], 80]] * 250)
    assert heard == [["answered", True]] * 250


def test_who_has_a_connection_with_this_host_or_is_a_neighbour_is_in_use(
    host: Host, web: Place
) -> None:
    del web
    far, far6 = host.outside, "2001:db8:10::7"
    flows = [
        far.flow("tcp", WEB[4], 80, source="198.51.100.7"),
        far.flow("tcp", WEB[6], 80, source=far6),
    ]
    question = {"in_use": ["198.51.100.7", "198.51.100.8", far6, "2001:db8:10::8", "203.0.113.2"]}
    found = asked(host, question)
    for flow in flows:
        flow.close()
    assert found == sorted(["198.51.100.7", far6, "203.0.113.2"])
