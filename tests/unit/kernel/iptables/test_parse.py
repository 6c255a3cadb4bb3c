"""What is read of one rule, as ``iptables-save`` prints it."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from dockerfw.kernel.iptables.parse import interfaces, parse, parse_rule
from dockerfw.plan.state import ChainState, LiveRule
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

# --- of anybody's rule ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, target, goto, bare",
    [
        ("", None, False, False),
        ("-j DOCKER-USER", "DOCKER-USER", False, True),
        ("-g DOCKER-USER", "DOCKER-USER", True, True),
        ("-i wg0 -j ACCEPT", "ACCEPT", False, False),
        ("-i wg0 -g only-denies", "only-denies", True, False),
        ("-j REJECT --reject-with tcp-reset", "REJECT", False, False),
        ('-j LOG --log-prefix "-j ACCEPT "', "LOG", False, False),
        ('-m comment --comment "-j ACCEPT" -j DROP', "DROP", False, False),
        ('-m comment --comment "say \\"-j ACCEPT\\"" -j DROP', "DROP", False, False),
        ('-m comment --comment "-j ACCEPT"', None, False, False),
        ('-m comment --comment one"quote -j DROP', "DROP", False, False),
        ('-m comment --comment "" -j DROP', "DROP", False, False),
        ('-m comment --comment "ends in \\\\" -j DROP', "DROP", False, False),
        ('-m comment --comment "a; b" -j two"quotes"', 'two"quotes"', False, False),
        ("-m limit --limit 1/sec", None, False, False),
    ],
)
def test_where_a_packet_goes_is_what_follows_the_option(
    text: str, target: str | None, goto: bool, bare: bool
) -> None:
    expected = LiveRule(text, target, goto=goto, bare=bare)
    assert parse_rule(text, ours=False) == expected
    assert parse_rule(text, ours=True) == expected
    assert expected.is_jump("DOCKER-USER") is (bare and not goto)
    assert not expected.is_jump("DOCKER")


@pytest.mark.parametrize(
    "text, bits",
    [
        ("-j MARK --set-xmark 0x1/0xffffffff", 0xFFFFFFFF),
        ("-j MARK --set-xmark 0x1/0xff", 0xFF),
        ("-j MARK --set-xmark 0x10000000/0x0", 0x10000000),
        ("-j MARK --set-mark 7", 0xFFFFFFFF),
        ("-j MARK --set-xmark 010/0x1", 0xB),
        ("-j MARK", 0xFFFFFFFF),
        ("-j MARK --set-xmark bogus/0xff", 0xFFFFFFFF),
        ("-j CONNMARK --restore-mark --nfmask 0xff --ctmask 0xf00", 0xFFF),
        ("-j CONNMARK --restore-mark --mask 0xf", 0xF),
        ("-j CONNMARK --restore-mark", 0xFFFFFFFF),
        ("-j CONNMARK --save-mark --nfmask 0xffffffff --ctmask 0xffffffff", 0),
        ("-p tcp -j TPROXY --on-port 1 --on-ip 0.0.0.0 --tproxy-mark 0x1/0x2", 3),
        ("-p tcp -j TPROXY --on-port 1 --on-ip 0.0.0.0", 0),
        ("-j HMARK --hmark-tuple src --hmark-mod 10", 0xFFFFFFFF),
        ("-m mark --mark 0x10000000 -j ACCEPT", 0),
        ('-m comment --comment "-j MARK" -j DROP', 0),
    ],
)
def test_the_bits_of_the_mark_that_a_rule_may_change(text: str, bits: int) -> None:
    assert parse_rule(text, ours=False).mark_bits == bits


def test_of_tables_that_nobody_asked_for_no_line_is_read() -> None:
    saved = (
        "*nat\n:K - [0:0]\n-A K -j BROKEN\nno rule at all\n:odd\nCOMMIT\n"
        "*filter\n:INPUT DROP [0:0]\n-A INPUT -j ACCEPT\nCOMMIT\n"
    )
    accept = LiveRule("-j ACCEPT", "ACCEPT", bare=True)
    assert parse(saved) == {"filter": {"INPUT": ChainState("DROP", (accept,))}}


def test_interfaces_are_those_in_and_out() -> None:
    rule = parse_rule("-s 10.0.0.0/8 -i br-a ! -o br-b -j ACCEPT", ours=False)
    assert interfaces(rule) == ["br-a", "br-b"]
    assert interfaces(parse_rule("-j ACCEPT", ours=False)) == []


# --- of a rule of ours ---------------------------------------------------------------------------

NOTE = '-m comment --comment "a rule [0123abcd]"'
STRAY = "-p tcp -m tcp --sport 1:32767 ! --tcp-flags FIN,SYN,RST,ACK SYN -m conntrack --ctstate NEW"


@pytest.mark.parametrize(
    "text, matches, target",
    [
        (f"{NOTE} -j RETURN", (), Return()),
        (f"{NOTE}", (), NoTarget()),
        (f"{NOTE} -g DOCKERFW-OK", (), Goto("DOCKERFW-OK")),
        (f"{NOTE} -j DROP", (), Drop()),
        (f"{NOTE} -j REJECT --reject-with tcp-reset", (), Reject(tcp_reset=True)),
        (f"{NOTE} -j REJECT --reject-with icmp-port-unreachable", (), Reject()),
        (f"{NOTE} -j REJECT --reject-with icmp6-port-unreachable", (), Reject()),
        (f"{NOTE} -j MARK --set-xmark 0x0/0x30000000", (), SetMark(0, 0x30000000)),
        (f"-i br-+ {NOTE}", (InInterface("br-*"),), NoTarget()),
        (f"! -i eth0 {NOTE}", (InInterface("eth0", negated=True),), NoTarget()),
        (f"-p tcp -m tcp --dport 80 {NOTE}", (DestPorts("tcp", 80, 80),), NoTarget()),
        (f"-p udp -m udp --dport 8000:8100 {NOTE}", (DestPorts("udp", 8000, 8100),), NoTarget()),
        (f"-p sctp {NOTE}", (DestPorts("sctp", 0, 65535),), NoTarget()),
        (f"-p icmp {NOTE}", (IcmpTypes(),), NoTarget()),
        (f"-p ipv6-icmp {NOTE}", (IcmpTypes(),), NoTarget()),
        (f"-p icmp -m icmp --icmp-type 8 {NOTE}", (IcmpTypes(8),), NoTarget()),
        (f"-p ipv6-icmp -m icmp6 --icmpv6-type 135 {NOTE}", (IcmpTypes(135),), NoTarget()),
        (f"-m set --match-set dockerfw-a src,dst {NOTE}", (InSet("dockerfw-a", ("src", "dst")),),
         NoTarget()),
        (f"-m set ! --match-set dockerfw-a dst {NOTE}",
         (InSet("dockerfw-a", ("dst",), negated=True),), NoTarget()),
        (f"-m conntrack --ctdir REPLY {NOTE}", (Reply(),), NoTarget()),
        (f"-m conntrack --ctstate RELATED {NOTE}", (ConnState("RELATED"),), NoTarget()),
        (f"-m conntrack ! --ctstate DNAT {NOTE}", (ConnState("DNAT", negated=True),), NoTarget()),
        (
            f"-m conntrack --ctstate DNAT --ctdir ORIGINAL {NOTE}",
            (ConnState("DNAT"), Reply(negated=True)),
            NoTarget(),
        ),
        (f"{STRAY} {NOTE} -j DROP", (Stray(),), Drop()),
        (f"-m physdev ! --physdev-out veth+ --physdev-is-bridged {NOTE}", (BridgedToOthers(),),
         NoTarget()),
        (f"-m set ! --match-set dockerfw-a dst ! --update-counters {NOTE}",
         (InSet("dockerfw-a", ("dst",), negated=True),), NoTarget()),
        (f"-m addrtype --src-type LOCAL {NOTE}", (AddressType("src", "LOCAL"),), NoTarget()),
        (f"-m addrtype ! --dst-type UNICAST {NOTE}",
         (AddressType("dst", "UNICAST", negated=True),), NoTarget()),
        (f"! -d 127.0.0.0/8 {NOTE}",
         (DestNetwork(ip_network("127.0.0.0/8"), negated=True),), NoTarget()),
        (f"-d ff00::/8 {NOTE}", (DestNetwork(ip_network("ff00::/8")),), NoTarget()),
        (f"-m mark --mark 0x20000000/0x20000000 {NOTE}", (Marked(0x20000000, 0x20000000),),
         NoTarget()),
        (f"-m mark --mark 0x1 {NOTE}", (Marked(1, 0xFFFFFFFF),), NoTarget()),
    ],
)  # fmt: skip
def test_a_rule_of_ours_is_read_whole(
    text: str, matches: tuple[Match, ...], target: Target
) -> None:
    found = parse_rule(text, ours=True)
    assert found.meaning == Rule(matches, target, "a rule")
    assert (found.text, found.identity) == (text, "0123abcd")
    elsewhere = parse_rule(text, ours=False)
    assert elsewhere.meaning is None, "in a chain of others"
    assert elsewhere.identity == "0123abcd"


@pytest.mark.parametrize(
    "text",
    [
        "-j RETURN",
        '-m comment --comment "no digest" -j RETURN',
        '-m comment --comment "no digest [0123abc]" -j RETURN',
        '-m comment --comment "no digest [0123ABCD]" -j RETURN',
    ],
)
def test_a_rule_without_a_digest_is_not_one_of_ours(text: str) -> None:
    found = parse_rule(text, ours=True)
    assert (found.identity, found.meaning) == (None, None)


@pytest.mark.parametrize(
    "text",
    [
        f"-o eth0 {NOTE} -j DROP",
        f"! -s 192.0.2.0/24 {NOTE} -j DROP",
        f"-m rpfilter --loose {NOTE} -j DROP",
        f"-m limit --limit 1/sec {NOTE} -j DROP",
        f"-m set --match-set dockerfw-a src,both {NOTE}",
        f"-m conntrack --ctstate ESTABLISHED {NOTE}",
        f"-m conntrack --ctstate NEW {NOTE}",
        f"-m addrtype --dst-type PROHIBIT {NOTE}",
        f"-p tcp -m tcp --sport 22 {NOTE}",
        f"-p icmp -m icmp --icmp-type echo-request {NOTE}",
        f"-d 127.0.0.1/8 {NOTE}",
        f"-m mark --mark bogus {NOTE}",
        f"{NOTE} -j ACCEPT",
        f"{NOTE} -j DOCKERFW-OK",
        f"{NOTE} -j LOG --log-prefix x",
    ],
)
def test_a_rule_that_this_version_never_writes_has_no_meaning(text: str) -> None:
    found = parse_rule(text, ours=True)
    assert (found.text, found.identity, found.meaning) == (text, "0123abcd", None)
