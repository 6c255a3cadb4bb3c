"""iptables on a real kernel: what is written is what is read, and nothing else moves."""

from __future__ import annotations

import importlib.util
from ipaddress import ip_network

import pytest

from dockerfw.errors import Failed
from dockerfw.kernel import facts
from dockerfw.kernel.ipset import driver as ipset
from dockerfw.kernel.iptables import driver as iptables
from dockerfw.kernel.iptables.render import rule_identity
from dockerfw.model.host import Flavour
from dockerfw.model.net import FAMILIES, Family
from dockerfw.plan import jumps
from dockerfw.plan.state import LiveRule
from dockerfw.plan.steps import (
    AppendJump,
    CreateChain,
    CreateSet,
    DeleteJump,
    InsertJump,
    ReplaceChain,
    RuleWrite,
    WriteRules,
    WriteSets,
)
from dockerfw.rules.rule import (
    AddressType,
    BridgedToOthers,
    ConnState,
    DestNetwork,
    DestPorts,
    Drop,
    Goto,
    IcmpTypes,
    InInterface,
    InSet,
    Marked,
    Match,
    NoTarget,
    Reject,
    Reply,
    Return,
    Rule,
    SetMark,
    Stray,
    Target,
)
from tests.lab.host import Host
from tests.packets.runner import FLAVOURS, HostRunner, program

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


def commit(runner: HostRunner, flavour: Flavour, family: Family, *writes: RuleWrite) -> None:
    iptables.commit(runner, flavour, WriteRules("the rules", family, writes))


def install(runner: HostRunner, flavour: Flavour, family: Family) -> None:
    """Our chains, empty, and every jump into them."""
    state = iptables.read(runner, flavour, family)
    commit(
        runner,
        flavour,
        family,
        ReplaceChain("mangle", "DOCKERFW-PRE"),
        ReplaceChain("filter", "DOCKERFW"),
        ReplaceChain("filter", "DOCKERFW-INPUT"),
        *jumps.fixes(state, docker_user=True),
    )


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
    assert after.rules("filter", "FORWARD") == (
        LiveRule("-j DOCKER-USER", "DOCKER-USER", bare=True),
        LiveRule("-i wg0 -j ACCEPT", "ACCEPT"),
        LiveRule("-o br0 -j DROP", "DROP"),
    )
    ours, theirs = after.rules("filter", "INPUT")
    assert ours == LiveRule("-j DOCKERFW-INPUT", "DOCKERFW-INPUT", bare=True)
    assert (theirs.target, theirs.bare, theirs.identity) == ("ACCEPT", False, None)


@both
def test_a_bad_line_changes_nothing_and_is_named(
    host: Host, runner: HostRunner, flavour: Flavour, family: Family
) -> None:
    install(runner, flavour, family)
    before = iptables.read(runner, flavour, family)
    rules = (Rule((), Return()), LiveRule("-m bogus"))
    with pytest.raises(Failed, match="bogus") as failed:
        commit(runner, flavour, family, ReplaceChain("filter", "DOCKERFW", rules))
    assert "  > 4: -A DOCKERFW -m bogus" in str(failed.value)
    assert iptables.read(runner, flavour, family) == before
    assert host.run([program(flavour, family), "-S", "DOCKERFW"]).stdout == "-N DOCKERFW\n"


@both
def test_counters_are_those_of_the_rules_in_order(
    host: Host, runner: HostRunner, flavour: Flavour, family: Family
) -> None:
    loopback = "127.0.0.1" if family == 4 else "::1"
    rules = tuple(Rule((InInterface(name),), NoTarget()) for name in ("eth7", "lo"))
    commit(
        runner,
        flavour,
        family,
        ReplaceChain("filter", "DOCKERFW-INPUT", rules),
        InsertJump("filter", "INPUT", "DOCKERFW-INPUT"),
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


# --- every kind of rule ---------------------------------------------------------------------------

RULES: list[tuple[tuple[Match, ...], Target]] = [
    ((Reply(),), Goto("DOCKERFW-OK")),
    ((IcmpTypes(), ConnState("RELATED")), Goto("DOCKERFW-OK")),
    ((IcmpTypes(135),), Goto("DOCKERFW-OK")),
    (
        (InSet("dockerfw-a", ("src", "dst")), AddressType("dst", "UNICAST", negated=True)),
        SetMark(OK_BIT, OK_BIT),
    ),
    ((AddressType("src", "LOCAL"), Stray()), Drop()),
    ((Reply(), BridgedToOthers()), Goto("DOCKERFW-OK")),
    ((InSet("dockerfw-b", ("dst", "dst", "src"), negated=True),), NoTarget()),
    ((Marked(OK_BIT, OK_BIT), ConnState("DNAT"), Reply(negated=True)), Return()),
    ((ConnState("DNAT", negated=True), InInterface("eth*")), Return()),
    ((InInterface("eth0", negated=True), DestPorts("tcp", 80, 80)), Drop()),
    ((DestPorts("udp", 8000, 8100),), Drop()),
    ((DestPorts("sctp", 9, 9),), Drop()),
    ((DestPorts("tcp", 0, 65535),), Reject(tcp_reset=True)),
    ((), Reject()),
]


def every_kind_of_rule(family: Family) -> tuple[Rule, ...]:
    """All that dockerfw writes."""
    net = ip_network("127.0.0.0/8") if family == 4 else ip_network("ff00::/8")
    rules = [*RULES, ((DestNetwork(net, negated=True),), Drop())]
    return tuple(Rule(matches, target, "a rule") for matches, target in rules)


def with_every_kind_of_rule(family: Family, *more: LiveRule) -> WriteRules:
    """Our chains with them, and jumps that are put, and moved; ``more`` is written last."""
    writes = (
        CreateChain("filter", "DOCKER-USER"),
        ReplaceChain("filter", "DOCKERFW-OK"),
        InsertJump("filter", "FORWARD", "DOCKER-USER"),
        AppendJump("filter", "DOCKER-USER", "DOCKERFW"),
        DeleteJump("filter", "FORWARD", "DOCKER-USER"),
        InsertJump("filter", "FORWARD", "DOCKER-USER"),
        ReplaceChain("filter", "DOCKERFW", (*every_kind_of_rule(family), *more)),
    )
    return WriteRules("the rules", family, writes)


def make_sets(runner: HostRunner, family: Family) -> None:
    kinds = {"dockerfw-a": "hash:net,port", "dockerfw-b": "hash:ip,port,net"}
    writes = (CreateSet(name, kind, family, 9, 0, timeout=False) for name, kind in kinds.items())
    ipset.commit(runner, WriteSets("new sets", tuple(writes)), now=0)


@both
def test_every_kind_of_rule_reads_as_it_was_written(
    runner: HostRunner, flavour: Flavour, family: Family
) -> None:
    make_sets(runner, family)
    iptables.commit(runner, flavour, with_every_kind_of_rule(family))
    state = iptables.read(runner, flavour, family)
    live, written = state.rules("filter", "DOCKERFW"), every_kind_of_rule(family)
    assert [r.identity for r in live] == [rule_identity(r, family) for r in written]
    for found, rule in zip(live, written, strict=True):
        meaning = found.meaning
        assert meaning is not None, found.text
        assert sorted(meaning.matches, key=repr) == sorted(rule.matches, key=repr)
        assert (meaning.target, meaning.comment) == (rule.target, rule.comment)
    assert [r.target for r in live if r.goto] == ["DOCKERFW-OK"] * 4
    assert [r.mark_bits for r in live if r.mark_bits] == [OK_BIT]
    (jump,) = state.rules("filter", "FORWARD")
    assert jump.is_jump("DOCKER-USER")


# --- python-iptables -----------------------------------------------------------------------------


@pytest.mark.skipif(
    importlib.util.find_spec("iptc") is None, reason="needs the python-iptables package"
)
@pytest.mark.parametrize("family", FAMILIES)
def test_python_iptables_writes_the_same_rules(
    host: Host, runner: HostRunner, family: Family
) -> None:
    make_sets(runner, family)
    step = with_every_kind_of_rule(family)
    iptables.commit(runner, "legacy", step)
    wanted = iptables.read(runner, "legacy", family)
    host.run([program("legacy", family), "-F"])
    host.run([program("legacy", family), "-X"])
    iptables.commit_by_python_iptables(runner, "legacy", step)
    assert iptables.read(runner, "legacy", family) == wanted
    names = "ip_tables_names" if family == 4 else "ip6_tables_names"
    assert runner.read_file(f"/proc/thread-self/net/{names}") == "filter\n"
    bad = with_every_kind_of_rule(family, LiveRule("-m bogus"))
    with pytest.raises(Failed, match=r"python-iptables failed.*bogus"):
        iptables.commit_by_python_iptables(runner, "legacy", bad)
    assert iptables.read(runner, "legacy", family) == wanted
