from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from random import Random

import pytest
from hypothesis import given, strategies as st

from dockerfw.kernel.render import chain_texts, set_state
from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Container, Endpoint, Inventory, Network, PublishedPort
from dockerfw.model.net import Address, Family
from dockerfw.model.policy import (
    AddressSource,
    Allow,
    AnySource,
    BridgeSource,
    Deny,
    InterfaceSource,
    Origin,
    Policy,
    PortKeyword,
    PortRange,
    PortSpec,
    PublishedSpec,
    Selector,
    SelectorSource,
    Source,
)
from dockerfw.plan.planner import Plan, Step
from dockerfw.plan.state import ChainState, SetState, TablesState
from dockerfw.report.diff import Diff, compare, diff
from dockerfw.report.reach import Difference, Side, Sources
from dockerfw.rules.buckets import Inside, Interface
from dockerfw.rules.compiler import compile_ruleset
from dockerfw.rules.ruleset import Ruleset
from tests.oracle import Question, allowed_sources
from tests.questions import as_address, facts_for, questions
from tests.strategies import inventories, policies, profile

SHOP = Network(
    "n1",
    "shop",
    "bridge",
    "br-shop",
    (ip_network("172.18.0.0/16"), ip_network("2001:db8:1::/64")),
)
PLAIN = Network("n0", "bridge", "bridge", "docker0", (ip_network("172.17.0.0/16"),))


def container(name: str, *addresses: str, network: Network = SHOP, ports: str = "") -> Container:
    """``ports`` are bindings, ``0.0.0.0 8080 80``, with commas between them."""
    by_version = {ip_address(a).version: ip_address(a) for a in addresses}
    endpoint = Endpoint(
        network.name,
        network.id,
        by_version.get(4),  # type: ignore[arg-type]
        by_version.get(6),  # type: ignore[arg-type]
    )
    bindings = (one.split() for one in ports.split(",") if one)
    published = tuple(
        PublishedPort(ip_address(host), int(host_port), int(port), "tcp")
        for host, host_port, port in bindings
    )
    return Container(name, name, endpoints=(endpoint,), ports=published)


DB = container("db", "172.18.0.4", "2001:db8:1::4")
PROXY = container("proxy", "172.18.0.5", "2001:db8:1::5", ports="0.0.0.0 8080 80,:: 8080 80")
SOLO = container("solo", "172.17.0.2", network=PLAIN, ports="192.0.2.10 443 443")
RUNNING = Inventory((DB, PROXY, SOLO), (SHOP, PLAIN))

HERE = Origin("config.toml", 1)
ANY = (AnySource(),)


def nets(*texts: str) -> tuple[Source, ...]:
    return tuple(AddressSource(ip_network(text)) for text in texts)


OFFICE = nets("198.51.100.0/24", "2001:db8:10::/48")


def to(name: str) -> tuple[Selector, ...]:
    return (Selector("container", name),)


def tcp(first: int, last: int | None = None) -> tuple[PortSpec, ...]:
    return (PortRange("tcp", first, last or first),)


def allow(name: str, sources: tuple[Source, ...], *ports: PortSpec) -> Policy:
    return Policy(allows=(Allow(HERE, sources, to(name), ports),))


def published(*ports: int, address: str | None = None) -> Policy:
    where = ip_address(address) if address else None
    specs = tuple(PublishedSpec(PortRange("tcp", p, p), where) for p in ports)
    return Policy(allows=(Allow(HERE, OFFICE, published=specs),))


def deny(*sources: Source) -> Policy:
    return Policy(denies=(Deny(HERE, sources),))


def compiled(policy: Policy, inventory: Inventory = RUNNING) -> Ruleset:
    return compile_ruleset(policy, inventory, HostFacts())


def sets_of(ruleset: Ruleset) -> dict[str, SetState]:
    return {s.name: set_state(s) for s in ruleset.sets}


def tables_of(ruleset: Ruleset) -> Mapping[Family, TablesState]:
    found: dict[Family, TablesState] = {}
    for family in sorted({c.family for c in ruleset.chains}):
        chains = [c for c in ruleset.chains if c.family == family]
        found[family] = TablesState(
            family,
            {
                table: {c.name: ChainState("-", chain_texts(c)) for c in chains if c.table == table}
                for table in ("mangle", "filter")
            },
        )
    return found


def between(
    old: Policy,
    new: Policy,
    inventory: Inventory = RUNNING,
    *,
    before: Inventory | None = None,
    rules_known: bool = True,
) -> Diff:
    live = compiled(old, before or inventory)
    return diff(
        sets_of(live),
        compiled(new, inventory),
        inventory,
        before_installed=True,
        live_tables=tables_of(live) if rules_known else None,
    )


def said(found: Diff) -> list[str]:
    """The changes, one text each, without the layout."""
    lines = found.lines(width=1000)[:-1]
    return [" ".join(line.split()) for line in lines]


NOTHING = Policy()
LONG_LIST = [f"203.0.{n}.0/25" for n in range(100)]

CASES: list[tuple[str, Policy, Policy, list[str]]] = [
    (
        "an allow opens the container's port by its own addresses, both families in one line",
        NOTHING,
        allow("db", OFFICE, *tcp(5432)),
        ["+ db 5432/tcp opens to 198.51.100.0/24, 2001:db8:10::/48"],
    ),
    (
        "an allow opens the host port that leads to the port as well",
        NOTHING,
        allow("proxy", ANY, *tcp(80)),
        ["+ proxy 80/tcp opens to any", "+ host port 8080/tcp (proxy:80) opens to any"],
    ),
    (
        "an allow withdrawn closes",
        published(8080),
        NOTHING,
        ["- host port 8080/tcp (proxy:80) closes to 198.51.100.0/24, 2001:db8:10::/48"],
    ),
    (
        "any narrowed to some says for whom nothing changes, and opens nothing",
        allow("db", ANY, *tcp(5432)),
        allow("db", OFFICE, *tcp(5432)),
        ["- db 5432/tcp closes to any, but not to 198.51.100.0/24, 2001:db8:10::/48"],
    ),
    (
        "some widened to any closes nothing",
        allow("db", OFFICE, *tcp(5432)),
        allow("db", ANY, *tcp(5432)),
        ["+ db 5432/tcp opens to any"],
    ),
    (
        "half of a network withdrawn is told to the address",
        allow("db", nets("198.51.100.0/24"), *tcp(5432)),
        allow("db", nets("198.51.100.0/25"), *tcp(5432)),
        ["- db 5432/tcp closes to 198.51.100.128/25"],
    ),
    (
        "one family alone is named",
        NOTHING,
        allow("db", nets("0.0.0.0/0"), *tcp(5432)),
        ["+ db 5432/tcp opens to any IPv4"],
    ),
    (
        "any is any for a container that has but one family",
        NOTHING,
        allow("solo", ANY, *tcp(9000)),
        ["+ solo 9000/tcp opens to any"],
    ),
    (
        "ports that were open already, as part of a range, do not open",
        allow("db", OFFICE, *tcp(1, 65535)),
        allow("db", OFFICE, *tcp(1, 65535), *tcp(5432)),
        [],
    ),
    (
        "neighbouring ports are one range",
        NOTHING,
        published(8080, 9000, 9001, 9002),
        [
            "+ host port 8080/tcp (proxy:80) opens to 198.51.100.0/24, 2001:db8:10::/48",
            "+ host ports 9000-9002/tcp opens to 198.51.100.0/24, 2001:db8:10::/48",
        ],
    ),
    (
        "a port of one host address says so, with what it leads to",
        NOTHING,
        published(443, address="192.0.2.10"),
        ["+ host port 192.0.2.10:443/tcp (solo:443) opens to 198.51.100.0/24"],
    ),
    (
        "interfaces and containers are sources too; the bridges had access already",
        Policy(baseline=()),
        Policy(
            baseline=(),
            allows=(
                Allow(
                    HERE,
                    (InterfaceSource("wg*"), SelectorSource(Selector("container", "solo"))),
                    to("db"),
                    (PortKeyword.ICMP,),
                ),
            ),
        ),
        ["+ db icmp opens to iface:wg*, container:solo"],
    ),
    (
        "a container that the baseline lets pass gains nothing",
        NOTHING,
        allow("db", (SelectorSource(Selector("container", "solo")),), *tcp(5432)),
        [],
    ),
    (
        "the baseline of the bridges",
        NOTHING,
        Policy(baseline=()),
        ["- every container port closes to the Docker bridges"],
    ),
    (
        "what holds for all containers is said once",
        NOTHING,
        Policy(baseline=(BridgeSource(), *nets("10.0.0.0/8"))),
        [
            "+ every container, all ports opens to 10.0.0.0/8",
            "+ host port 8080/tcp (proxy:80) opens to 10.0.0.0/8",
            "+ host port 192.0.2.10:443/tcp (solo:443) opens to 10.0.0.0/8",
        ],
    ),
    (
        "a deny of everything names four sources and counts the rest",
        NOTHING,
        deny(*nets(*LONG_LIST)),
        [
            f"- {what} denies 203.0.0.0/25, 203.0.1.0/25, 203.0.2.0/25, 203.0.3.0/25 and 96 more"
            for what in ("every container, all ports", "every published port")
        ],
    ),
    (
        "a long list with one line changed shows that line",
        allow("db", nets(*LONG_LIST), *tcp(5432)),
        allow("db", nets(*LONG_LIST[1:], "192.0.2.7"), *tcp(5432)),
        ["- db 5432/tcp closes to 203.0.0.0/25", "+ db 5432/tcp opens to 192.0.2.7"],
    ),
    (
        "what a deny keeps shut does not open",
        deny(*nets("203.0.113.0/24")),
        Policy(
            allows=(Allow(HERE, nets("203.0.113.7"), to("db"), tcp(5432)),),
            denies=deny(*nets("203.0.113.0/24")).denies,
        ),
        [],
    ),
    (
        "a range too wide to be expanded is told by its live rule once it is gone",
        allow("db", (InterfaceSource("wg0"),), *tcp(1, 9000)),
        NOTHING,
        ["- db 1-9000/tcp closes to iface:wg0"],
    ),
]


@pytest.mark.parametrize("old, new, lines", [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_a_change_reads(old: Policy, new: Policy, lines: list[str]) -> None:
    assert said(between(old, new)) == lines


def test_without_live_rules_a_set_that_goes_is_shown_by_its_name() -> None:
    old = allow("db", (InterfaceSource("wg0"),), *tcp(1, 9000))
    (line,) = said(between(old, NOTHING, rules_known=False))
    assert line.startswith("- db some ports closes to the sources of dockerfw-cia-")


def test_a_stale_address_without_a_container_is_shown_as_it_is() -> None:
    policy = allow("db", OFFICE, *tcp(5432))
    moved = container("db", "172.18.0.9", "2001:db8:1::4")
    after = Inventory((moved, PROXY, SOLO), (SHOP, PLAIN))
    assert said(between(policy, policy, after, before=RUNNING)) == [
        "- 172.18.0.4 5432/tcp closes to 198.51.100.0/24",
        "+ db 5432/tcp opens to 198.51.100.0/24",
    ]


def test_a_container_that_moved_to_an_open_address_is_named_as_it_closes() -> None:
    policy = allow("db", nets("198.51.100.0/24"), *tcp(5432))
    before = Inventory((DB,), (SHOP,))
    taken = Inventory((container("other", "172.18.0.4"),), (SHOP,))
    assert said(between(policy, policy, taken, before=before)) == [
        "- other 5432/tcp closes to 198.51.100.0/24",
    ]


def test_one_of_two_addresses_is_named() -> None:
    both = Container(
        "db",
        "db",
        endpoints=(*DB.endpoints, *container("db", "172.17.0.9", network=PLAIN).endpoints),
    )
    inventory = Inventory((both,), (SHOP, PLAIN))
    only_plain = Allow(HERE, ANY, (Selector("network", "bridge"),), tcp(5432))
    assert said(between(NOTHING, Policy(allows=(only_plain,)), inventory)) == [
        "+ db at 172.17.0.9 5432/tcp opens to any"
    ]


def test_containers_that_share_a_network_are_both_named() -> None:
    sidecar = Container("sidecar", "sidecar", network_owner="db")
    inventory = Inventory((DB, sidecar), (SHOP,))
    assert said(between(NOTHING, allow("db", ANY, *tcp(80)), inventory)) == [
        "+ db + sidecar 80/tcp opens to any"
    ]


def test_a_new_network_and_a_new_published_port_come_under_guard() -> None:
    before = Inventory((DB,), (SHOP,))
    assert said(between(NOTHING, NOTHING, RUNNING, before=before)) == [
        "- host port 192.0.2.10:443/tcp (solo:443) closes to all that no rule allows",
        "- host port 8080/tcp (proxy:80) closes to all that no rule allows",
        "- network bridge (172.17.0.0/16) closes to all that no rule allows",
    ]


def test_the_first_apply_says_what_closes_and_then_what_stays_open() -> None:
    policy = allow("db", OFFICE, *tcp(5432))
    found = diff({}, compiled(policy), RUNNING, before_installed=False)
    assert found.lines() == [
        "every container port closes to all but this host and the Docker bridges:",
        "  - host port 192.0.2.10:443/tcp (solo:443)  closes",
        "  - host port 8080/tcp (proxy:80)            closes",
        "  - db (172.18.0.4, 2001:db8:1::4)           closes",
        "  - proxy (172.18.0.5, 2001:db8:1::5)        closes",
        "  - solo (172.17.0.2)                        closes",
        "except:",
        "  + db 5432/tcp  stays open to 198.51.100.0/24, 2001:db8:10::/48",
        "Plan: 1 to stay open, 5 to close",
    ]


def test_the_first_apply_with_no_baseline_closes_to_the_bridges_too() -> None:
    found = diff({}, compiled(Policy(baseline=())), RUNNING, before_installed=False)
    assert found.lines()[0] == "every container port closes to all but this host:"
    assert "except:" not in found.lines()


def test_the_summary_takes_its_numbers_from_the_plan() -> None:
    found = between(NOTHING, allow("db", OFFICE, *tcp(5432)))
    steps = (
        Step("ipset", "create x hash:ip\n", "new sets"),
        Step("ipset", "add a 192.0.2.1\ndel b 192.0.2.2\n", "elements"),
    )
    rules = Step("iptables", "*filter\n", "the rules", 4)
    seal = Step("nft", "table\n", "the seal")
    assert found.lines(plan=Plan(steps))[-1] == (
        "Plan: 1 to open, 0 to close, kernel: 2 set entries, rules unchanged"
    )
    assert found.summary(Plan((*steps, rules, seal))) == (
        "Plan: 1 to open, 0 to close, kernel: 2 set entries, rules change, seal changes"
    )


def test_lines_keep_to_the_width_that_words_allow() -> None:
    found = between(NOTHING, deny(*nets(*LONG_LIST)))
    for width in (60, 80, 120):
        assert max(map(len, found.lines(width=width))) <= width


def test_json_lists_the_sources_up_to_a_limit_and_counts_all() -> None:
    many = [f"203.{n // 256}.{n % 256}.0/25" for n in range(250)]
    (change,) = between(NOTHING, allow("db", nets(*many), *tcp(5432))).to_json()
    sources = change.pop("sources")
    assert isinstance(sources, list)
    assert sources == [str(ip_network(n)) for n in many[:100]]
    assert change == {
        "change": "open",
        "target": "db 5432/tcp",
        "ports": "5432/tcp",
        "sources_in_all": 250,
        "excepting": [],
        "excepting_in_all": 0,
    }


def test_entries_by_hand_that_mean_nothing_to_us_are_no_error() -> None:
    live = sets_of(compiled(NOTHING))
    odd = frozenset({"nonsense", "192.0.2.1,gre:0,10.0.0.0/8", "172.18.0.4,tcp:x,10.0.0.0/8"})
    live["dockerfw-allow4"] = SetState(
        "dockerfw-allow4", "hash:ip,port,net", 4, 65536, len(odd), odd
    )
    found = diff(live, compiled(NOTHING), RUNNING, before_installed=True)
    assert said(found) == ["- 192.0.2.1 gre closes to 10.0.0.0/8"]


def test_a_list_that_goes_and_that_nobody_read_is_shown_by_its_name() -> None:
    live = compiled(allow("db", nets(*LONG_LIST), *tcp(5432)))
    sets = sets_of(live)
    (name,) = (n for n in sets if n.startswith("dockerfw-list-"))
    sets[name] = replace(sets[name], entries=None)
    wanted = compiled(NOTHING)
    found = diff(sets, wanted, RUNNING, before_installed=True, live_tables=tables_of(live))
    assert said(found) == [f"- db 5432/tcp closes to the networks of {name}"]
    sets[name] = replace(sets[name], entries=frozenset({"192.0.2.0/24", "10.0.0.0/8 nomatch"}))
    found = diff(sets, wanted, RUNNING, before_installed=True, live_tables=tables_of(live))
    assert said(found) == ["- db 5432/tcp closes to 192.0.2.0/24"]


@profile()
@given(policies, inventories())
def test_nothing_changes_between_a_state_and_itself(policy: Policy, inventory: Inventory) -> None:
    live = compile_ruleset(policy, inventory, facts_for(inventory))
    found = diff(sets_of(live), live, inventory, before_installed=True, live_tables=tables_of(live))
    assert found.empty


@profile()
@given(policies, policies, inventories(), st.randoms(use_true_random=False))
def test_no_opening_and_no_closing_is_passed_over_in_silence(
    old: Policy, new: Policy, inventory: Inventory, random: Random
) -> None:
    facts = facts_for(inventory)
    live, wanted = (compile_ruleset(policy, inventory, facts) for policy in (old, new))
    before, after, found = compare(sets_of(live), wanted, tables_of(live))
    for question in (
        q for policy in (old, new) for q in questions(policy, inventory, facts, random, 20)
    ):
        could, can = (allowed_sources(p, inventory, facts, question) for p in (old, new))
        if before.baseline != after.baseline or _guard(before, after, question):
            continue
        for first, _ in (can - could).intervals:
            source = as_address(first, question.family)
            told = [d for d in found if d.kind in ("open", "lift") and _about(d, question)]
            assert any(_names(d.sources, source, question) for d in told), (question, source)
        for first, _ in (could - can).intervals:
            source = as_address(first, question.family)
            told = [d for d in found if d.kind in ("close", "deny") and _about(d, question)]
            naming = [d for d in told if _names(d.sources, source, question)]
            assert naming, (question, source)
            assert not all(_names(d.excepting, source, question) for d in naming)


def _guard(before: Side, after: Side, question: Question) -> bool:
    """Whether docker-proxy's ports or those of host-network containers are others now."""
    names = (f"dockerfw-{kind}{question.family}" for kind in ("pub", "hostnet"))
    return any(before.entries(name) != after.entries(name) for name in names)


def _about(difference: Difference, question: Question) -> bool:
    target = difference.target
    place = "host" if question.path == "host" else "container"
    if (target.place, target.family) != (place, question.family):
        return False
    if target.where is not None and question.address not in target.where:
        return False
    if target.protocol is None:
        return True
    return target.protocol == question.protocol and target.first <= question.port <= target.last


def _names(sources: Sources, source: Address, question: Question) -> bool:
    for one in sources:
        match one:
            case IPv4Network() | IPv6Network():
                if source in one:
                    return True
            case Inside(network=network):
                if network is None or source in network:
                    return True
            case Interface(name=name):
                if InterfaceSource(name).matches(question.interface):
                    return True
    return False
