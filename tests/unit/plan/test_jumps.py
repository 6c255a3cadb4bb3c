"""Where the jumps into our chains have to stand, and what mends them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pytest

from dockerfw.kernel.iptables.parse import parse_rule
from dockerfw.kernel.iptables.render import render
from dockerfw.plan import jumps
from dockerfw.plan.jumps import MarkWriter
from dockerfw.plan.state import ChainState, LiveRule, TablesState
from dockerfw.plan.steps import (
    AppendJump,
    CreateChain,
    DeleteJump,
    InsertJump,
    RuleWrite,
    WriteRules,
)
from dockerfw.rules.rule import Table

GOOD: dict[str, tuple[str, ...]] = {
    "FORWARD": ("-j DOCKER-USER", "-j DOCKER-FORWARD"),
    "DOCKER-USER": ("-j DOCKERFW", "-j RETURN"),
    "DOCKER-FORWARD": ("-i docker0 -j ACCEPT",),
    "DOCKERFW": (),
    "INPUT": ("-j DOCKERFW-INPUT",),
    "DOCKERFW-INPUT": (),
}
GOOD_MANGLE: dict[str, tuple[str, ...]] = {
    "PREROUTING": ("-j DOCKERFW-PRE",),
    "DOCKERFW-PRE": (),
}
BASE = ("FORWARD", "INPUT", "PREROUTING")


def read(*rules: str) -> tuple[LiveRule, ...]:
    """Rules that iptables-save prints like this."""
    return tuple(parse_rule(rule, ours=False) for rule in rules)


def chain(name: str, rules: Iterable[str]) -> ChainState:
    return ChainState("ACCEPT" if name in BASE else "-", read(*rules))


def tables(
    changes: Mapping[str, Sequence[str] | None] | None = None,
    mangle: Mapping[str, Sequence[str]] | None = None,
) -> TablesState:
    """A host on which all is well, but for these chains (None: not there)."""
    chains = {**GOOD, **(changes or {})}

    def states(of: Mapping[str, Sequence[str] | None]) -> dict[str, ChainState]:
        return {name: chain(name, rules) for name, rules in of.items() if rules is not None}

    return TablesState(
        4, {"filter": states(chains), "mangle": states({**GOOD_MANGLE, **(mangle or {})})}
    )


def faults(state: TablesState, *, docker_user: bool = True) -> list[tuple[str, str]]:
    return [(f.chain, f.reason) for f in jumps.check(state, docker_user=docker_user)]


def fixes(state: TablesState, *, docker_user: bool = True) -> tuple[RuleWrite, ...]:
    return jumps.fixes(state, docker_user=docker_user)


def mended(state: TablesState, *, docker_user: bool = True) -> TablesState:
    """The state after iptables-restore carried out the text of the fixes, as it does."""
    chains = {
        table: {name: [rule.text for rule in found.rules] for name, found in held.items()}
        for table, held in state.tables.items()
    }
    table = ""
    writes = fixes(state, docker_user=docker_user)
    for line in render(WriteRules("the rules", 4, writes)).splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif line != "COMMIT":
            carry_out(chains.setdefault(table, {}), line)
    return TablesState(
        4,
        {
            table: {name: chain(name, rules) for name, rules in held.items()}
            for table, held in chains.items()
        },
    )


def carry_out(chains: dict[str, list[str]], line: str) -> None:
    if line.startswith(":"):
        chains[line[1:].split(maxsplit=1)[0]] = []
        return
    verb, name, rule = line.split(" ", 2)
    held = chains.setdefault(name, [])
    if verb == "-D":
        held.remove(rule)
    elif verb == "-A":
        held.append(rule)
    else:
        assert (verb, rule[:2]) == ("-I", "1 ")
        held.insert(0, rule[2:])


def test_where_all_jumps_hold_there_is_nothing_to_do() -> None:
    assert faults(tables()) == []
    assert fixes(tables()) == ()


HARMLESS = [
    "-s 192.0.2.7/32 -j DROP",
    '-j LOG --log-prefix "-j ACCEPT "',
    '-m comment --comment "say \\"-j ACCEPT\\"" -j DROP',
    "-j NFLOG --nflog-group 2",
    "-p tcp -j TCPMSS --clamp-mss-to-pmtu",
    "-j MARK --set-xmark 0x1/0xff",
    "-m limit --limit 1/sec",
    "-j only-denies",
    "-j ring-a",
    "-j returns",
    "-j goes-on-to-deny",
]
PASSING = [
    "-i wg0 -j ACCEPT",
    "-i wg0 -j RETURN",
    "-i wg0 -g only-denies",
    "-j NFQUEUE --queue-num 0",
    "-j SOMETHING-NEW",
    "-j can-accept",
    '-m comment --comment "-j DROP" -j deep-accept',
]
SIDE_CHAINS: dict[str, tuple[str, ...]] = {
    "only-denies": ("-s 192.0.2.0/24 -j DROP", "-j LOG"),
    "goes-on-to-deny": ("-i eth0 -g only-denies", "-j RETURN"),
    "ring-a": ("-j ring-b",),
    "ring-b": ("-j ring-a", "-j REJECT"),
    "returns": ("-i eth0 -j RETURN", "-j DROP"),
    "can-accept": ("-j DROP", "-i eth0 -j ACCEPT"),
    "deep-accept": ("-g only-denies", "-j can-accept"),
}
# (docker_user, chain, its jump)
PLACES = [
    (True, "FORWARD", "-j DOCKER-USER"),
    (True, "DOCKER-USER", "-j DOCKERFW"),
    (True, "INPUT", "-j DOCKERFW-INPUT"),
    (False, "FORWARD", "-j DOCKERFW"),
]


def written_to(write: RuleWrite) -> str | None:
    return write.chain if isinstance(write, InsertJump | AppendJump | DeleteJump) else None


def moved(chain: str, jump: str, table: Table = "filter") -> set[RuleWrite]:
    """Our jump taken out once, and put on top."""
    target = jump.removeprefix("-j ")
    return {DeleteJump(table, chain, target), InsertJump(table, chain, target)}


@pytest.mark.parametrize("docker_user, chain, jump", PLACES)
@pytest.mark.parametrize("above", HARMLESS)
def test_a_rule_above_that_can_only_deny_may_stay(
    docker_user: bool, chain: str, jump: str, above: str
) -> None:
    state = tables({**SIDE_CHAINS, chain: (above, jump)})
    assert (chain, "bypassed") not in faults(state, docker_user=docker_user)
    assert not moved(chain, jump) & set(fixes(state, docker_user=docker_user))


@pytest.mark.parametrize("docker_user, chain, jump", PLACES)
@pytest.mark.parametrize("above", PASSING)
def test_a_rule_above_that_can_let_a_packet_by_has_our_jump_moved_over_it(
    docker_user: bool, chain: str, jump: str, above: str
) -> None:
    state = tables({**SIDE_CHAINS, chain: (above, jump)})
    fault = next(f for f in jumps.check(state, docker_user=docker_user) if f.reason == "bypassed")
    assert (fault.chain, fault.rules) == (chain, read(above))
    assert above in str(fault)
    assert moved(chain, jump) <= set(fixes(state, docker_user=docker_user))
    after = mended(state, docker_user=docker_user)
    assert after.tables["filter"][chain].rules == read(jump, above)
    assert faults(after, docker_user=docker_user) == []


def test_below_our_jump_anything_may_stand() -> None:
    state = tables(
        {
            **SIDE_CHAINS,
            "FORWARD": ("-j DOCKER-USER", *PASSING),
            "INPUT": ("-j DOCKERFW-INPUT", *PASSING),
        }
    )
    assert faults(state) == []


def test_a_conditional_jump_to_docker_user_is_no_way_past_dockerfw() -> None:
    early = '-m comment --comment "of another tool" -j DOCKER-USER'
    state = tables(
        {
            "FORWARD": (early, "-j DOCKER-USER"),
            "DOCKER-USER": ("-j DOCKERFW", "-i wg0 -j ACCEPT"),
        }
    )
    assert faults(state) == []


@pytest.mark.parametrize("docker_user, chain, jump", PLACES)
def test_a_missing_jump_is_put_first(docker_user: bool, chain: str, jump: str) -> None:
    state = tables({chain: ("-s 192.0.2.7/32 -j DROP",)})
    assert (chain, "missing") in faults(state, docker_user=docker_user)
    writes = [w for w in fixes(state, docker_user=docker_user) if written_to(w) == chain]
    assert InsertJump("filter", chain, jump.removeprefix("-j ")) in writes
    after = mended(state, docker_user=docker_user)
    assert after.tables["filter"][chain].rules[0] == read(jump)[0]
    assert faults(after, docker_user=docker_user) == []


def test_a_jump_with_a_condition_is_not_ours() -> None:
    state = tables({"DOCKER-USER": ("-i eth0 -j DOCKERFW",)})
    assert ("DOCKER-USER", "missing") in faults(state)


def test_our_jump_stands_once_and_dockers_may_stand_twice() -> None:
    state = tables(
        {
            "DOCKER-USER": ("-j DOCKERFW", "-j DOCKERFW", "-j RETURN"),
            "FORWARD": ("-j DOCKER-USER", "-j DOCKER-USER"),
        }
    )
    assert faults(state) == [("DOCKER-USER", "twice")]
    assert fixes(state) == (
        DeleteJump("filter", "DOCKER-USER", "DOCKERFW"),
        DeleteJump("filter", "DOCKER-USER", "DOCKERFW"),
        InsertJump("filter", "DOCKER-USER", "DOCKERFW"),
    )
    assert mended(state).tables["filter"]["DOCKER-USER"].rules == read("-j DOCKERFW", "-j RETURN")


def test_of_two_jumps_of_docker_only_one_is_moved() -> None:
    state = tables({"FORWARD": ("-i wg0 -j ACCEPT", "-j DOCKER-USER", "-j DOCKER-USER")})
    assert fixes(state) == (
        DeleteJump("filter", "FORWARD", "DOCKER-USER"),
        InsertJump("filter", "FORWARD", "DOCKER-USER"),
    )
    assert mended(state).tables["filter"]["FORWARD"].rules == read(
        "-j DOCKER-USER",
        "-i wg0 -j ACCEPT",
        "-j DOCKER-USER",
    )


def test_an_empty_host_gets_all_it_needs() -> None:
    empty = TablesState(4, {})
    assert ("DOCKER-USER", "no chain") in faults(empty)
    assert not jumps.has_forward_jump(empty)
    assert fixes(empty) == (
        CreateChain("filter", "DOCKER-USER"),
        AppendJump("mangle", "PREROUTING", "DOCKERFW-PRE"),
        InsertJump("filter", "FORWARD", "DOCKER-USER"),
        InsertJump("filter", "DOCKER-USER", "DOCKERFW"),
        InsertJump("filter", "INPUT", "DOCKERFW-INPUT"),
    )
    after = mended(empty)
    assert faults(after) == []
    assert jumps.has_forward_jump(after)


def test_the_direct_jump_goes_once_docker_has_its_own_chain() -> None:
    state = tables({"FORWARD": ("-j DOCKERFW", "-j DOCKER-USER")})
    assert faults(state, docker_user=False) == []
    assert faults(state) == [("FORWARD", "not needed")]
    assert fixes(state) == (DeleteJump("filter", "FORWARD", "DOCKERFW"),)
    assert mended(state).tables["filter"]["FORWARD"].rules == read("-j DOCKER-USER")


@pytest.mark.parametrize(
    "rules, reason",
    [
        ((), "missing"),
        (("-j DOCKERFW-PRE", "-j CONNMARK --restore-mark"), "not last"),
        (("-j DOCKERFW-PRE", "-j DOCKERFW-PRE"), "twice"),
    ],
)
def test_in_mangle_our_jump_stands_last_and_once(rules: tuple[str, ...], reason: str) -> None:
    state = tables(mangle={"PREROUTING": rules})
    assert faults(state) == [("PREROUTING", reason)]
    ours = rules.count("-j DOCKERFW-PRE")
    assert fixes(state) == (
        *[DeleteJump("mangle", "PREROUTING", "DOCKERFW-PRE")] * ours,
        AppendJump("mangle", "PREROUTING", "DOCKERFW-PRE"),
    )
    after = mended(state)
    kept = tuple(rule for rule in rules if rule != "-j DOCKERFW-PRE")
    assert after.tables["mangle"]["PREROUTING"].rules == read(*kept, "-j DOCKERFW-PRE")
    assert faults(after) == []


def test_an_accept_above_our_jump_in_mangle_is_only_reported() -> None:
    state = tables(mangle={"PREROUTING": ("-i lo -j ACCEPT", "-j DOCKERFW-PRE")})
    assert faults(state) == [("PREROUTING", "accepted above")]
    assert fixes(state) == ()


@pytest.mark.parametrize(
    "rule, writes",
    [
        ("-j MARK --set-xmark 0x1/0xffffffff", True),
        ("-j MARK --set-xmark 0x1/0xff", False),
        ("-j MARK --set-xmark 0x10000000/0x0", True),
        ("-j MARK --set-xmark 0x20000000/0x20000000", True),
        ("-j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff", True),
        ("-j CONNMARK --restore-mark --nfmask 0xff --ctmask 0xff", False),
        ("-j CONNMARK --restore-mark", True),
        ("-j CONNMARK --save-mark --nfmask 0xffffffff --ctmask 0xffffffff", False),
        ("-p tcp -j TPROXY --on-port 1 --on-ip 0.0.0.0 --tproxy-mark 0x1/0x1", False),
        ("-p tcp -j TPROXY --on-port 1 --on-ip 0.0.0.0 --tproxy-mark 0x1/0xffffffff", True),
        ("-m mark --mark 0x10000000 -j ACCEPT", False),
        ('-m comment --comment "-j MARK" -j DROP', False),
    ],
)
def test_foreign_rules_that_write_our_bits_are_found(rule: str, writes: bool) -> None:
    state = tables(
        mangle={"FORWARD": (rule,), "DOCKERFW-PRE": ("-j MARK --set-xmark 0x0/0x30000000",)}
    )
    expected = (MarkWriter("FORWARD", read(rule)[0]),) if writes else ()
    assert jumps.mark_writers(state, 0x30000000) == expected


def test_what_a_foreign_comment_says_reaches_no_terminal_raw() -> None:
    state = tables({"FORWARD": ('-m comment --comment "\x1b[2J" -j ACCEPT', "-j DOCKER-USER")})
    (fault,) = jumps.check(state, docker_user=True)
    assert "\x1b" not in str(fault)
