"""Rules that end by themselves: what they mean, what the kernel is told, what people are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone
from ipaddress import ip_address, ip_network

import pytest

from dockerfw.kernel.ipset.render import render
from dockerfw.kernel.netfilter import Digests
from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Container, Endpoint, Inventory, Network, PublishedPort
from dockerfw.model.net import Family, Port
from dockerfw.model.policy import (
    AddressSource,
    Allow,
    AnySource,
    InterfaceSource,
    Origin,
    Policy,
    PortKeyword,
    PortRange,
    PublishedSpec,
    Selector,
    Source,
)
from dockerfw.plan.order import element_writes
from dockerfw.plan.planner import plan, renewals
from dockerfw.plan.state import KernelState, TablesState, wanted_set
from dockerfw.plan.steps import AddElements, DeleteElements, Plan, WriteSets
from dockerfw.report import warnings as advice
from dockerfw.report.diff import diff
from dockerfw.report.endings import ended
from dockerfw.report.status import Counted, Health, Status, build
from dockerfw.rules.compiler import compile_ruleset
from dockerfw.rules.ledger import Ledger
from dockerfw.rules.names import end_of, ending
from dockerfw.rules.ruleset import LONGEST_TIMEOUT, Element, IPSet, Ruleset
from dockerfw.rules.walk import Packet, walk

SHOP = Network("n1", "shop", "bridge", "br-shop", (ip_network("172.18.0.0/16"),))
WEB = Container(
    "c1",
    "web",
    endpoints=(Endpoint("shop", "n1", ip_address("172.18.0.2")),),  # type: ignore[arg-type]
    ports=(PublishedPort(ip_address("0.0.0.0"), 8080, 80, "tcp"),),
)
AGENT = Container("c2", "agent", host_network=True)
RUNNING = Inventory((WEB, AGENT), (SHOP,))
FACTS = HostFacts()

SOON = datetime(2027, 1, 31, tzinfo=timezone.utc)
LATER = datetime(2027, 2, 1, 0, 0, 5, tzinfo=timezone.utc)
BEFORE = SOON.timestamp() - 3600
OFFICE: tuple[Source, ...] = (AddressSource(ip_network("198.51.100.0/24")),)


def allow(
    until: datetime | None,
    sources: tuple[Source, ...] = OFFICE,
    *,
    to: str = "web",
    port: int = 80,
    line: int = 3,
) -> Allow:
    ports = (PortRange("tcp", port, port),)
    return Allow(
        Origin("config.toml", line), sources, (Selector("container", to),), ports, (), until
    )


def compiled(*allows: Allow) -> Ruleset:
    return compile_ruleset(Policy(allows=allows), RUNNING, FACTS)


# --- when ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "left, ended",
    [(3600, False), (1.5, False), (1, False), (0.999, True), (0, True), (-1, True)],
)
def test_a_rule_is_over_with_its_last_second(left: float, ended: bool) -> None:
    rule = allow(SOON)
    assert rule.ended(SOON.timestamp() - left) == ended
    policy = Policy(allows=(rule, allow(None)))
    (now, ever) = policy.without_ended(SOON.timestamp() - left).allows
    assert now.sources == (() if ended else OFFICE)
    assert ever.sources == OFFICE


def test_part_of_a_second_is_not_waited_for() -> None:
    rule = allow(SOON.replace(microsecond=900_000))
    assert rule.end == SOON.timestamp()
    assert rule.ended(SOON.timestamp() - 0.5)


def test_the_next_end_is_the_first_that_is_still_to_come() -> None:
    policy = Policy(allows=(allow(LATER), allow(None), allow(SOON)))
    assert policy.next_end(BEFORE) == SOON
    assert policy.next_end(SOON.timestamp()) == LATER
    assert policy.next_end(LATER.timestamp()) is None
    assert Policy(allows=(allow(None),)).next_end(BEFORE) is None


def test_a_port_of_the_host_stays_closed_when_the_rule_that_guards_it_has_ended() -> None:
    """Only rules that name a host-network container guard its ports: without any it were open."""
    policy = Policy(allows=(allow(SOON, to="agent", port=9100),))
    host = ip_address("192.0.2.10")
    packet = Packet("eth0", ip_address("198.51.100.7"), host, "tcp", 9100, host_port=(host, 9100))

    def passes(policy: Policy) -> bool:
        ruleset = compile_ruleset(policy, RUNNING, FACTS)
        return walk(ruleset, "input", packet, frozenset({host})).passed

    assert passes(policy)
    assert passes(Policy()), "nobody guards it: it is the host's own"
    assert not passes(policy.without_ended(SOON.timestamp()))


# --- in the kernel -------------------------------------------------------------------------------


def endings(ruleset: Ruleset) -> dict[int | None, set[str]]:
    """The filled sets that allow, by when they end."""
    found: dict[int | None, set[str]] = {}
    for one in ruleset.sets:
        if one.phase in ("allow", "inside allow") and one.elements:
            found.setdefault(end_of(one.name), set()).add(one.name)
    return found


def test_rules_that_end_at_one_moment_share_sets_and_others_have_their_own() -> None:
    forms: tuple[tuple[Source, ...], ...] = (OFFICE, (InterfaceSource("wg0"),), (AnySource(),))
    ruleset = compiled(*(allow(end, form) for form in forms for end in (SOON, LATER, None)))
    found = endings(ruleset)
    assert found.keys() == {int(SOON.timestamp()), int(LATER.timestamp()), None}
    for end, names in found.items():
        plain = {name.removesuffix(f"-u{end:08x}") if end else name for name in names}
        assert {"dockerfw-allow4", "dockerfw-port4"} <= plain
    ends = {s.name for s in ruleset.sets if end_of(s.name) is not None or s.phase == "record"}
    assert {s.name for s in ruleset.sets if wanted_set(s).timeout} == ends


@pytest.mark.parametrize(
    "sources", [OFFICE, (InterfaceSource("wg0"),), (AnySource(),), (InterfaceSource("br-shop"),)]
)
@pytest.mark.parametrize("year", [1969, 2027, 2106, 9999])
def test_a_name_fits_whatever_the_end(sources: tuple[Source, ...], year: int) -> None:
    """IPSET_MAXNAMELEN is 32, with the closing NUL."""
    until = datetime(year, 12, 31, 23, 59, 59, tzinfo=timezone.utc)
    rule = replace(allow(until, sources), ports=(PortKeyword.ALL, PortRange("tcp", 1, 65535)))
    names = [s.name for s in compiled(rule).sets]
    assert max(map(len, names)) <= 31
    assert any(end_of(name) is not None for name in names)


def test_no_name_of_a_set_that_does_not_end_says_an_end() -> None:
    assert end_of("dockerfw-allow4") is None
    assert end_of("dockerfw-coa-0123456789-4") is None
    assert ending("dockerfw-allow4", None) == "dockerfw-allow4"
    assert end_of(ending("dockerfw-allow4", 1)) == 1


def lines_of(ruleset: Ruleset, live: Mapping[str, IPSet] | None = None) -> list[str]:
    """What a plan writes with ``ipset``, for a host where these sets stand."""
    tables: dict[Family, TablesState] = {4: TablesState(4), 6: TablesState(6)}
    sets = {name: wanted_set(one) for name, one in (live or {}).items()}
    return text_of(plan(KernelState(tables, sets, None), ruleset, FACTS, Digests())).splitlines()


def text_of(found: Plan, now: float | None = None) -> str:
    """What a plan hands to ``ipset restore``."""
    return "".join(render(step, now) for step in found.steps if isinstance(step, WriteSets))


def test_a_set_is_made_so_that_an_entry_of_which_nothing_is_said_does_not_stay() -> None:
    lines = lines_of(compiled(allow(SOON), allow(None)))
    made = {line.split()[1]: line for line in lines if line.startswith("create ")}
    assert " timeout 1 counters" in made[ending("dockerfw-allow4", int(SOON.timestamp()))]
    assert "timeout" not in made["dockerfw-allow4"]


def test_a_set_that_outgrows_its_size_keeps_its_end_on_the_way() -> None:
    ruleset = compiled(allow(SOON))
    live = {s.name: s for s in ruleset.sets}
    name = ending("dockerfw-allow4", int(SOON.timestamp()))
    state = replace(wanted_set(live[name]), maxelem=0, elements=frozenset(), count=0)
    states = {n: wanted_set(s) for n, s in live.items()} | {name: state}
    tables: dict[Family, TablesState] = {4: TablesState(4), 6: TablesState(6)}
    found = plan(KernelState(tables, states, None), ruleset, FACTS, Digests())
    timed = text_of(found, BEFORE)
    added = [line for line in timed.splitlines() if line.startswith("add dockerfw-swap-u")]
    assert added
    assert all(line.endswith(" timeout 3600") for line in added)


NAME = ending("dockerfw-allow4", int(SOON.timestamp()))
ENTRY = "172.18.0.2,tcp:80,198.51.100.0/24"
ELEMENT: Element = (
    ip_network("172.18.0.2/32"),
    Port("tcp", 80),
    ip_network("198.51.100.0/24"),
)


@pytest.mark.parametrize(
    "left, timeout",
    [
        (3600, 3600),
        (1.9, 1),
        (1, 1),
        (0.9, None),
        (0, None),
        (-5, None),
        (LONGEST_TIMEOUT, LONGEST_TIMEOUT),
        (LONGEST_TIMEOUT + 9, LONGEST_TIMEOUT),
    ],
)
def test_an_entry_gets_the_seconds_that_are_left(left: float, timeout: int | None) -> None:
    elements = frozenset({ELEMENT})
    writes = (
        AddElements(NAME, elements),
        AddElements("dockerfw-allow4", elements),
        DeleteElements(NAME, elements),
    )
    written = render(WriteSets("elements", writes), SOON.timestamp() - left)
    first = "" if timeout is None else f"add {NAME} {ENTRY} timeout {timeout}\n"
    assert written == f"{first}add dockerfw-allow4 {ENTRY}\ndel {NAME} {ENTRY}\n"


def test_what_the_kernel_cannot_keep_so_long_is_renewed_day_by_day() -> None:
    """Each day until a renewal has told the kernel the true end, and not after that."""
    ruleset = compiled(allow(SOON), allow(None))
    end, day = SOON.timestamp(), 86_400
    for days in range(1, 40):
        now = end - days * day
        lines = render(WriteSets("renewals", renewals(ruleset, now)), now).splitlines()
        assert bool(lines) == (days > 22), days
        assert {line.split()[1] for line in lines} <= {
            ending(name, int(end)) for name in ("dockerfw-allow4", "dockerfw-port4")
        }


def test_a_container_that_comes_is_told_to_the_kernel_in_the_words_of_its_family() -> None:
    """The name of a set ends in its end, which may well look like a family."""
    network = replace(SHOP, subnets=(*SHOP.subnets, ip_network("fd00:18::/64")))
    end6 = ip_address("fd00:18::2")
    web = replace(WEB, endpoints=(replace(WEB.endpoints[0], ipv6=end6),))  # type: ignore[arg-type]
    for second in range(16):
        ping = replace(
            allow(SOON.replace(second=second), (AnySource(),)), ports=(PortKeyword.ICMP,)
        )
        ledger = Ledger(Policy(allows=(ping,)), Inventory((), (network,)), FACTS)
        update = ledger.update(Inventory((web,), (network,)), 1.0)
        writes = element_writes(update.added, update.removed)
        lines = render(WriteSets("elements", writes), now=None)
        assert "172.18.0.2,icmp:echo-request,0.0.0.0/1" in lines
        assert "fd00:18::2,ipv6-icmp:echo-request,::/1" in lines


# --- what people are told ------------------------------------------------------------------------


def changes(before: tuple[Allow, ...], after: tuple[Allow, ...]) -> list[str]:
    live, wanted = compiled(*before), compiled(*after)
    states = {s.name: wanted_set(s) for s in live.sets}
    found = diff(states, wanted, RUNNING, before_installed=True)
    return [" ".join(line.split()) for line in found.lines(width=1000)[:-1]]


PUBLISHED = Allow(
    Origin("config.toml", 9), OFFICE, published=(PublishedSpec(PortRange("tcp", 8080, 8080)),)
)


@pytest.mark.parametrize(
    "before, after, said",
    [
        ((None,), (SOON,), "~ {} stays open to 198.51.100.0/24 until 2027-01-31 00:00 UTC"),
        ((SOON,), (LATER,), "~ {} stays open to 198.51.100.0/24 until 2027-02-01 00:00:05 UTC"),
        ((SOON,), (None,), "~ {} stays open to 198.51.100.0/24 without an end"),
        ((), (SOON,), "+ {} opens to 198.51.100.0/24 until 2027-01-31 00:00 UTC"),
        ((SOON,), (), "- {} closes to 198.51.100.0/24"),
        ((SOON, None), (None,), None),
        ((SOON, LATER), (LATER,), None),
    ],
)
def test_a_plan_says_until_when(
    before: tuple[datetime | None, ...], after: tuple[datetime | None, ...], said: str | None
) -> None:
    old = tuple(replace(PUBLISHED, until=until) for until in before)
    new = tuple(replace(PUBLISHED, until=until) for until in after)
    wanted = [] if said is None else [said.format("host port 8080/tcp (web:80)")]
    assert changes(old, new) == wanted


def test_what_opens_for_different_times_is_told_apart() -> None:
    other: tuple[Source, ...] = (AddressSource(ip_network("203.0.113.0/24")),)
    found = changes((), (PUBLISHED, replace(PUBLISHED, sources=other, until=SOON)))
    assert found == [
        "+ host port 8080/tcp (web:80) opens to 198.51.100.0/24",
        "+ host port 8080/tcp (web:80) opens to 203.0.113.0/24 until 2027-01-31 00:00 UTC",
    ]


def status_of(*ends: datetime | None) -> Status:
    """With a packet to each entry of the sets that allow by address and port."""
    allows = tuple(map(allow, ends))
    ruleset = compiled(*allows)
    names = [s.name for s in ruleset.sets if s.name.startswith("dockerfw-allow4")]
    health = Health(enforcing=True, observing=False, in_sync=True)
    return build(
        health,
        Counted({name: {ELEMENT: (1, 60)} for name in names}),
        ruleset,
        Policy(allows=allows),
        RUNNING,
    )


@pytest.mark.parametrize(
    "ends, until", [((SOON,), SOON), ((SOON, LATER), LATER), ((SOON, None), None), ((None,), None)]
)
def test_status_says_until_when_where_all_that_opens_a_port_ends(
    ends: tuple[datetime | None, ...], until: datetime | None
) -> None:
    (row,) = status_of(*ends).allowed
    assert row.until == (None if until is None else int(until.timestamp()))


def test_status_reads_well_where_a_port_closes_by_itself() -> None:
    status = status_of(SOON)
    verbose = status.lines(verbose=True)
    assert any("web 80/tcp until 2027-01-31 00:00 UTC" in line for line in verbose)
    assert any("198.51.100.0/24 until 2027-01-31 00:00 UTC" in line for line in status.lines(200))
    assert status.allowed[0].to_json()["until"] == "2027-01-31T00:00:00Z"


def test_a_rule_that_has_ended_and_one_that_the_kernel_ends_early_are_told() -> None:
    far = datetime(2090, 1, 1, tzinfo=timezone.utc)
    policy = Policy(allows=(allow(SOON, line=3), allow(far, line=7), allow(None, line=9)))
    now = SOON.timestamp()
    assert ended(policy, now - 60) == ()
    assert ended(policy, now) == (
        "config.toml:3: this rule ended on 2027-01-31 00:00 UTC: take it out",
    )
    (early,) = advice.ended_early(policy, now)
    assert early.startswith("config.toml:7: this rule lasts until 2090-01-01 00:00 UTC, ")
    assert "the kernel counts no further than 2027-02-24 20:31:23 UTC" in early
