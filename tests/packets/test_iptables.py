"""iptables on a real kernel: what is written is what is read, and nothing else moves."""

from __future__ import annotations

import importlib.util
from ipaddress import ip_network

import pytest

from dockerfw.errors import Failed
from dockerfw.kernel import facts
from dockerfw.kernel.ipset import driver as ipset
from dockerfw.kernel.iptables import driver as iptables
from dockerfw.kernel.render import rule_text
from dockerfw.model.host import Flavour
from dockerfw.model.net import FAMILIES, Family
from dockerfw.plan import jumps
from dockerfw.rules.ruleset import (
    AddressType,
    ConnState,
    Count,
    Destination,
    DestPorts,
    Drop,
    Goto,
    IcmpTypes,
    InInterface,
    InSet,
    Marked,
    Match,
    Reject,
    Reply,
    Return,
    Rule,
    SetMark,
    Table,
    Target,
)
from tests.lab.host import Host
from tests.packets.runner import FLAVOURS, HostRunner, inet, program

OK_BIT = 0x20000000
both = pytest.mark.parametrize(
    ("flavour", "family"), [(flavour, family) for flavour in FLAVOURS for family in FAMILIES]
)


def test_reading_an_empty_host_creates_no_table(host: Host, runner: HostRunner) -> None:
    for flavour in FLAVOURS:
        for family in FAMILIES:
            assert iptables.read(runner, flavour, family).tables == {}
            assert iptables.counters(runner, flavour, family) == {}
    assert facts.read(runner).flavour == "nft"
    assert host.run(["nft", "list", "ruleset"]).stdout == ""
    assert runner.read_file("/proc/thread-self/net/ip_tables_names") == ""
    assert runner.read_file("/proc/thread-self/net/ip6_tables_names") == ""


def install(runner: HostRunner, flavour: Flavour, family: Family) -> None:
    """Our chains, empty, and every jump into them."""
    chains: dict[Table, tuple[str, ...]] = {
        "mangle": ("DOCKERFW-PRE",),
        "filter": ("DOCKERFW", "DOCKERFW-INPUT"),
    }
    state = iptables.read(runner, flavour, family)
    lines = jumps.fix_lines(state, docker_user=True)
    text = ""
    for table, names in chains.items():
        declared = [f":{name} - [0:0]" for name in names]
        text += "\n".join([f"*{table}", *declared, *lines.get(table, []), "COMMIT\n"])
    iptables.commit(runner, flavour, family, text)


@both
def test_jumps_are_put_over_foreign_accepts_and_foreign_rules_stay(
    host: Host, runner: HostRunner, flavour: Flavour, family: Family
) -> None:
    tool = program(flavour, family)
    install(runner, flavour, family)
    assert jumps.check(iptables.read(runner, flavour, family), docker_user=True) == ()
    for words in (
        "-I FORWARD -i wg0 -j ACCEPT",
        "-I INPUT -p tcp -m comment --comment a\"b'c -j ACCEPT",
        "-A FORWARD -o br0 -j DROP",
        "-t mangle -A PREROUTING -j MARK --set-mark 7",
    ):
        host.run([tool, *words.split(" ")])
    state = iptables.read(runner, flavour, family)
    assert {(f.chain, f.reason) for f in jumps.check(state, docker_user=True)} == {
        ("FORWARD", "bypassed"),
        ("INPUT", "bypassed"),
        ("PREROUTING", "not last"),
    }
    assert [w.chain for w in jumps.mark_writers(state, OK_BIT)] == ["PREROUTING"]
    install(runner, flavour, family)
    after = iptables.read(runner, flavour, family)
    assert jumps.check(after, docker_user=True) == ()
    assert after.tables["filter"]["FORWARD"].rules == (
        "-j DOCKER-USER",
        "-i wg0 -j ACCEPT",
        "-o br0 -j DROP",
    )
    assert len(after.tables["filter"]["INPUT"].rules) == 2


@both
def test_a_bad_line_changes_nothing_and_is_named(
    host: Host, runner: HostRunner, flavour: Flavour, family: Family
) -> None:
    install(runner, flavour, family)
    before = iptables.read(runner, flavour, family)
    text = "*filter\n:DOCKERFW - [0:0]\n-A DOCKERFW -j RETURN\n-A DOCKERFW -m bogus\nCOMMIT\n"
    with pytest.raises(Failed, match="bogus") as failed:
        iptables.commit(runner, flavour, family, text)
    assert "  > 4: -A DOCKERFW -m bogus" in str(failed.value)
    assert iptables.read(runner, flavour, family) == before
    assert host.run([program(flavour, family), "-S", "DOCKERFW"]).stdout == "-N DOCKERFW\n"


@both
def test_counters_are_those_of_the_rules_in_order(
    host: Host, runner: HostRunner, flavour: Flavour, family: Family
) -> None:
    loopback = "127.0.0.1" if family == 4 else "::1"
    iptables.commit(
        runner,
        flavour,
        family,
        "*filter\n:DOCKERFW-INPUT - [0:0]\n-A DOCKERFW-INPUT -i eth7\n-A DOCKERFW-INPUT -i lo\n"
        "-I INPUT 1 -j DOCKERFW-INPUT\nCOMMIT\n",
    )
    assert host.ping(loopback).reached
    (unmet, met) = iptables.counters(runner, flavour, family)["filter", "DOCKERFW-INPUT"]
    assert unmet == (0, 0)
    assert met[0] > 0


def test_rules_that_only_nft_can_show_are_refused(host: Host, runner: HostRunner) -> None:
    native = "table ip filter {\n chain theirs {\n  fib saddr . iif oif exists accept\n }\n}\n"
    host.run(["nft", "-f", "-"], stdin=native)
    with pytest.raises(Failed, match="nft list table ip filter"):
        iptables.read(runner, "nft", 4)
    assert iptables.read(runner, "nft", 6).tables == {}


# --- python-iptables -----------------------------------------------------------------------------

RULES: list[tuple[tuple[Match, ...], Target]] = [
    ((Reply(),), Goto("DOCKERFW-OK")),
    ((IcmpTypes(), ConnState("RELATED")), Goto("DOCKERFW-OK")),
    ((IcmpTypes(135),), Goto("DOCKERFW-OK")),
    (
        (InSet("dockerfw-a", ("src", "dst")), AddressType("dst", "UNICAST", negated=True)),
        SetMark(OK_BIT, OK_BIT),
    ),
    ((InSet("dockerfw-b", ("dst", "dst", "src"), negated=True),), Count()),
    ((Marked(OK_BIT, OK_BIT), ConnState("DNAT")), Return()),
    ((ConnState("DNAT", negated=True), InInterface("eth*")), Return()),
    ((InInterface("eth0", negated=True), DestPorts("tcp", 80, 80)), Drop()),
    ((DestPorts("udp", 8000, 8100),), Drop()),
    ((DestPorts("sctp", 9, 9),), Drop()),
    ((DestPorts("tcp", 0, 65535),), Reject(tcp_reset=True)),
    ((), Reject()),
]


def every_kind_of_rule(family: Family) -> str:
    """All that dockerfw writes, as iptables-restore takes it."""
    net = ip_network("127.0.0.0/8") if family == 4 else ip_network("ff00::/8")
    rules = [*RULES, ((Destination(net, negated=True),), Drop())]
    lines = [f"-A DOCKERFW {rule_text(Rule(m, t, 'a rule'), family)}" for m, t in rules]
    names = ("DOCKER-USER", "DOCKERFW", "DOCKERFW-OK")
    chains = [f":{name} - [0:0]" for name in names]
    jump_lines = ["-I FORWARD 1 -j DOCKER-USER", "-A DOCKER-USER -j DOCKERFW"]
    moved = ["-D FORWARD -j DOCKER-USER", "-I FORWARD 1 -j DOCKER-USER"]
    return "\n".join(["*filter", *chains, *lines, *jump_lines, *moved, "COMMIT\n"])


@pytest.mark.skipif(
    importlib.util.find_spec("iptc") is None, reason="needs the python-iptables package"
)
@pytest.mark.parametrize("family", FAMILIES)
def test_python_iptables_writes_the_same_rules(
    host: Host, runner: HostRunner, family: Family
) -> None:
    ipset.commit(
        runner,
        f"create dockerfw-a hash:net,port family {inet(family)} counters\n"
        f"create dockerfw-b hash:ip,port,net family {inet(family)} counters\n",
    )
    text = every_kind_of_rule(family)
    iptables.commit(runner, "legacy", family, text)
    wanted = iptables.read(runner, "legacy", family)
    host.run([program("legacy", family), "-F"])
    host.run([program("legacy", family), "-X"])
    iptables.commit_by_python_iptables(runner, "legacy", family, text)
    assert iptables.read(runner, "legacy", family) == wanted
    names = "ip_tables_names" if family == 4 else "ip6_tables_names"
    assert runner.read_file(f"/proc/thread-self/net/{names}") == "filter\n"
    bad = text.replace("COMMIT", "-A DOCKERFW -m bogus\nCOMMIT")
    with pytest.raises(Failed, match=r"python-iptables failed.*bogus"):
        iptables.commit_by_python_iptables(runner, "legacy", family, bad)
    assert iptables.read(runner, "legacy", family) == wanted
