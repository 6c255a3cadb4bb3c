from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given

from dockerfw.model.host import PortForward
from dockerfw.model.inventory import Inventory
from dockerfw.model.net import Port
from dockerfw.model.policy import Policy
from dockerfw.plan.state import SetState
from dockerfw.plan.steps import (
    AddElements,
    CreateSet,
    DeleteElements,
    Plan,
    ReplaceSeal,
    WriteRules,
    WriteSeal,
    WriteSets,
)
from dockerfw.report.diff import Diff, diff, worded
from dockerfw.rules.compiler import compile_ruleset
from dockerfw.rules.ruleset import Ruleset, Seal, SetType
from tests.build import allow, container, deny, facts, inventory, network, policy
from tests.policy_text import read, rule
from tests.questions import facts_for
from tests.standing import element, sets_of, tables_of
from tests.strategies import inventories, policies, profile

SHOP = network("shop", "172.18.0.0/16", "2001:db8:1::/64")
PLAIN = network("bridge", "172.17.0.0/16")
DB = container("db", "shop 172.18.0.4 2001:db8:1::4")
PROXY = container("proxy", "shop 172.18.0.5 2001:db8:1::5", published="8080:80")
SOLO = container("solo", "bridge 172.17.0.2", published="192.0.2.10:443:443")
RUNNING = inventory(DB, PROXY, SOLO, SHOP, PLAIN)

OFFICE = ("198.51.100.0/24", "2001:db8:10::/48")


def opened(
    *sources: str, to: str | tuple[str, ...] = "db", ports: int | str | tuple[int | str, ...] = 5432
) -> Policy:
    """Return a policy of one ``[[allow]]``."""
    return policy(allow(*sources, to=to, ports=ports))


def published(*ports: int | str) -> Policy:
    return policy(allow(*OFFICE, published=ports))


def compiled(rules: Policy, running: Inventory = RUNNING) -> Ruleset:
    return compile_ruleset(rules, running, facts())


def between(
    old: Policy,
    new: Policy,
    running: Inventory = RUNNING,
    *,
    before: Inventory | None = None,
    rules_known: bool = True,
) -> Diff:
    live = compiled(old, before or running)
    return diff(
        sets_of(live),
        compiled(new, running),
        running,
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
        opened(*OFFICE),
        ["+ db 5432/tcp opens to 198.51.100.0/24, 2001:db8:10::/48"],
    ),
    (
        "an allow opens the host port that leads to the port as well",
        NOTHING,
        opened("any", to="proxy", ports=80),
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
        opened("any"),
        opened(*OFFICE),
        ["- db 5432/tcp closes to any, but not to 198.51.100.0/24, 2001:db8:10::/48"],
    ),
    (
        "some widened to any closes nothing",
        opened(*OFFICE),
        opened("any"),
        ["+ db 5432/tcp opens to any"],
    ),
    (
        "half of a network withdrawn is told to the address",
        opened("198.51.100.0/24"),
        opened("198.51.100.0/25"),
        ["- db 5432/tcp closes to 198.51.100.128/25"],
    ),
    (
        "one family alone is named",
        NOTHING,
        opened("0.0.0.0/0"),
        ["+ db 5432/tcp opens to any IPv4"],
    ),
    (
        "any is any for a container that has but one family",
        NOTHING,
        opened("any", to="solo", ports=9000),
        ["+ solo 9000/tcp opens to any"],
    ),
    (
        "ports that were open already, as part of a range, do not open",
        opened(*OFFICE, ports="1-65535"),
        opened(*OFFICE, ports=("1-65535", 5432)),
        [],
    ),
    (
        "neighbouring ports are one range",
        NOTHING,
        published(8080, 9000, 9001, 9002),
        [
            "+ host port 8080/tcp (proxy:80) opens to 198.51.100.0/24, 2001:db8:10::/48",
            (
                "~ host ports 9000-9002/tcp nobody publishes it now; would open to "
                "198.51.100.0/24, 2001:db8:10::/48"
            ),
        ],
    ),
    (
        "a port of one host address says so, with what it leads to",
        NOTHING,
        published("192.0.2.10:443"),
        ["+ host port 192.0.2.10:443/tcp (solo:443) opens to 198.51.100.0/24"],
    ),
    (
        "interfaces and containers are sources too; the bridges had access already",
        policy(baseline=()),
        policy(allow("iface:wg*", "container:solo", to="db", ports="icmp"), baseline=()),
        ["+ db icmp opens to iface:wg*, container:solo"],
    ),
    (
        "a container that the baseline lets pass gains nothing",
        NOTHING,
        opened("container:solo"),
        [],
    ),
    (
        "the baseline of the bridges",
        NOTHING,
        policy(baseline=()),
        ["- every container port closes to the Docker bridges"],
    ),
    (
        "what holds for all containers is said once",
        NOTHING,
        policy(baseline=("bridge", "10.0.0.0/8")),
        [
            "+ every container, all ports opens to 10.0.0.0/8",
            "+ host port 8080/tcp (proxy:80) opens to 10.0.0.0/8",
            "+ host port 192.0.2.10:443/tcp (solo:443) opens to 10.0.0.0/8",
        ],
    ),
    (
        "a deny of everything names four sources and counts the rest",
        NOTHING,
        policy(deny(*LONG_LIST)),
        [
            f"- {what} denies 203.0.0.0/25, 203.0.1.0/25, 203.0.2.0/25, 203.0.3.0/25 and 96 more"
            for what in ("every container, all ports", "every published port")
        ],
    ),
    (
        "a long list with one line changed shows that line",
        opened(*LONG_LIST),
        opened(*LONG_LIST[1:], "192.0.2.7"),
        ["- db 5432/tcp closes to 203.0.0.0/25", "+ db 5432/tcp opens to 192.0.2.7"],
    ),
    (
        "what a deny keeps shut does not open",
        policy(deny("203.0.113.0/24")),
        policy(allow("203.0.113.7", to="db", ports=5432), deny("203.0.113.0/24")),
        [],
    ),
    (
        "a range too wide to be expanded is told by its live rule once it is gone",
        opened("iface:wg0", ports="1-9000"),
        NOTHING,
        ["- db 1-9000/tcp closes to iface:wg0"],
    ),
]


@pytest.mark.parametrize("old, new, lines", [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_a_change_reads(old: Policy, new: Policy, lines: list[str]) -> None:
    assert said(between(old, new)) == lines


def test_without_live_rules_a_set_that_goes_is_shown_by_its_name() -> None:
    old = opened("iface:wg0", ports="1-9000")
    (line,) = said(between(old, NOTHING, rules_known=False))
    assert line.startswith("- db some ports closes to the sources of dockerfw-cia-")


def test_of_chains_that_were_flushed_the_baseline_is_not_known_to_change() -> None:
    live = compiled(NOTHING)
    flushed = {
        family: replace(
            state,
            tables={
                table: {name: replace(chain, rules=()) for name, chain in chains.items()}
                for table, chains in state.tables.items()
            },
        )
        for family, state in tables_of(live).items()
    }
    found = diff(sets_of(live), live, RUNNING, before_installed=True, live_tables=flushed)
    assert found.empty


def test_a_stale_address_without_a_container_is_shown_as_it_is() -> None:
    rules = opened(*OFFICE)
    moved = container("db", "shop 172.18.0.9 2001:db8:1::4")
    after = inventory(moved, PROXY, SOLO, SHOP, PLAIN)
    assert said(between(rules, rules, after, before=RUNNING)) == [
        "- 172.18.0.4 5432/tcp closes to 198.51.100.0/24",
        "+ db 5432/tcp opens to 198.51.100.0/24",
    ]


def test_a_container_that_moved_to_an_open_address_is_named_as_it_closes() -> None:
    rules = opened("198.51.100.0/24")
    before = inventory(DB, SHOP)
    taken = inventory(container("other", "shop 172.18.0.4"), SHOP)
    assert said(between(rules, rules, taken, before=before)) == [
        "- other 5432/tcp closes to 198.51.100.0/24",
    ]


def test_one_of_two_addresses_is_named() -> None:
    both = container("db", "shop 172.18.0.4 2001:db8:1::4", "bridge 172.17.0.9")
    running = inventory(both, SHOP, PLAIN)
    only_plain = opened("any", to="network:bridge")
    assert said(between(NOTHING, only_plain, running)) == [
        "+ db at 172.17.0.9 5432/tcp opens to any"
    ]


def test_containers_that_share_a_network_are_both_named() -> None:
    running = inventory(DB, container("sidecar", network_owner=DB), SHOP)
    assert said(between(NOTHING, opened("any", ports=80), running)) == [
        "+ db + sidecar 80/tcp opens to any"
    ]


def test_a_new_network_and_a_new_published_port_come_under_guard() -> None:
    before = inventory(DB, SHOP)
    assert said(between(NOTHING, NOTHING, RUNNING, before=before)) == [
        "- host port 192.0.2.10:443/tcp (solo:443) closes to all that no rule allows",
        "- host port 8080/tcp (proxy:80) closes to all that no rule allows",
        "- network bridge (172.17.0.0/16) closes to all that no rule allows",
    ]


def test_the_first_apply_says_what_closes_and_then_what_stays_open() -> None:
    found = diff({}, compiled(opened(*OFFICE)), RUNNING, before_installed=False)
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


def test_a_port_that_nobody_publishes_does_not_open() -> None:
    found = between(NOTHING, published(8080, 9001))
    assert said(found)[1] == (
        "~ host port 9001/tcp nobody publishes it now; would open to "
        "198.51.100.0/24, 2001:db8:10::/48"
    )
    assert found.opens == 1
    assert [change["idle"] for change in found.to_json()] == [False, True]


def test_a_port_that_nat_of_others_or_a_swarm_leads_on_is_no_empty_promise() -> None:
    wanted = compiled(published(9001))
    forward = PortForward(4, None, "tcp", 9001, 9001, ip_address("172.18.0.4"), 5432)
    with_nat = diff({}, wanted, RUNNING, before_installed=False, forwards=(forward,))
    swarm = inventory(*RUNNING.containers, *RUNNING.networks, network("docker_gwbridge"))
    for found in (with_nat, diff({}, wanted, swarm, before_installed=False)):
        assert any(line.startswith("  + host port 9001/tcp  stays open") for line in found.lines())


def test_a_list_with_exceptions_is_shown_as_it_is_written() -> None:
    rules = read(rule('["any", "!192.168.0.0/16"]', to='"db"', ports="5432"))
    found = diff(
        {},
        compiled(rules),
        RUNNING,
        before_installed=False,
        worded=worded(source for allow in rules.allows for source in allow.sources),
    )
    assert found.lines()[-2] == "  + db 5432/tcp  stays open to any but 192.168.0.0/16"


def test_the_first_apply_with_no_baseline_closes_to_the_bridges_too() -> None:
    found = diff({}, compiled(policy(baseline=())), RUNNING, before_installed=False)
    assert found.lines()[0] == "every container port closes to all but this host:"
    assert "except:" not in found.lines()


def test_the_summary_takes_its_numbers_from_the_plan() -> None:
    found = between(NOTHING, opened(*OFFICE))
    one, other = (frozenset({(ip_network(text),)}) for text in ("192.0.2.1", "192.0.2.2"))
    steps = (
        WriteSets("new sets", (CreateSet("x", "hash:ip", 4, 65536, 0, timeout=False),)),
        WriteSets("elements", (AddElements("a", one), DeleteElements("b", other))),
    )
    rules = WriteRules("the rules", 4, ())
    seal = WriteSeal("the seal", ReplaceSeal(Seal(mark=1, observe=False, inside=True)))
    assert found.lines(plan=Plan(steps))[-1] == (
        "Plan: 1 to open, 0 to close, kernel: 2 set entries, rules unchanged"
    )
    assert found.summary(Plan((*steps, rules, seal))) == (
        "Plan: 1 to open, 0 to close, kernel: 2 set entries, rules change, seal changes"
    )


def test_lines_keep_to_the_width_that_words_allow() -> None:
    found = between(NOTHING, policy(deny(*LONG_LIST)))
    for width in (60, 80, 120):
        assert max(map(len, found.lines(width=width))) <= width


def test_json_lists_the_sources_up_to_a_limit_and_counts_all() -> None:
    many = [f"203.{n // 256}.{n % 256}.0/25" for n in range(250)]
    (change,) = between(NOTHING, opened(*many)).to_json()
    sources = change.pop("sources")
    assert isinstance(sources, list)
    assert sources == [str(ip_network(n)) for n in many[:100]]
    assert change == {
        "change": "open",
        "target": "db 5432/tcp",
        "place": "container",
        "address": None,
        "containers": ["db"],
        "ports": [{"protocol": "tcp", "first": 5432, "last": 5432, "others": False}],
        "host_ports": [],
        "sources_in_all": 250,
        "excepting": [],
        "excepting_in_all": 0,
        "until": None,
        "idle": False,
    }


def test_entries_by_hand_that_mean_nothing_to_us_are_no_error() -> None:
    live = sets_of(compiled(NOTHING))
    gre = (ip_network("192.0.2.1"), Port("gre", 0), ip_network("10.0.0.0/8"))
    odd = {
        element(text, "hash:ip,port,net") for text in ("nonsense", "172.18.0.4,tcp:x,10.0.0.0/8")
    }
    live["dockerfw-allow4"] = SetState(
        "dockerfw-allow4", "hash:ip,port,net", 4, 65536, 3, frozenset({gre, *odd})
    )
    found = diff(live, compiled(NOTHING), RUNNING, before_installed=True)
    assert said(found) == ["- 192.0.2.1 gre closes to 10.0.0.0/8"]


@pytest.mark.parametrize(
    ("name", "kind", "held"),
    [
        ("dockerfw-allow4", "hash:net,port", "172.18.0.4,tcp:5432"),
        ("dockerfw-allow4", "hash:net", "172.18.0.4"),
        ("dockerfw-port4", "hash:ip,port,net", "172.18.0.4,tcp:5432,10.0.0.0/8"),
        ("dockerfw-port4", "hash:net", "10.0.0.0/8"),
        ("dockerfw-addr4", "hash:net,port", "10.0.0.0/8,tcp:5432"),
    ],
)
def test_elements_that_the_rule_of_a_set_cannot_mean_are_not_put_into_words(
    name: str, kind: SetType, held: str
) -> None:
    live = sets_of(compiled(NOTHING))
    live[name] = SetState(name, kind, 4, 65536, 1, frozenset({element(held, kind)}))
    assert said(diff(live, compiled(NOTHING), RUNNING, before_installed=True)) == []


def test_elements_without_the_ports_that_their_rule_asks_for_are_not_put_into_words() -> None:
    live = compiled(policy(allow("iface:wg0", to="db", ports=5432)))
    sets = sets_of(live)
    (name,) = (n for n in sets if n.startswith("dockerfw-coa-") and n.endswith("-4"))
    held = frozenset({element("172.18.0.4", "hash:net")})
    sets[name] = replace(sets[name], type="hash:net", elements=held)
    wanted = compiled(NOTHING)
    found = diff(sets, wanted, RUNNING, before_installed=True, live_tables=tables_of(live))
    assert not [text for text in said(found) if "some" in text or "all ports" in text]


def test_a_list_that_goes_and_that_nobody_read_is_shown_by_its_name() -> None:
    live = compiled(opened(*LONG_LIST))
    sets = sets_of(live)
    (name,) = (n for n in sets if n.startswith("dockerfw-list-"))
    sets[name] = replace(sets[name], elements=None)
    wanted = compiled(NOTHING)
    found = diff(sets, wanted, RUNNING, before_installed=True, live_tables=tables_of(live))
    assert said(found) == [f"- db 5432/tcp closes to the networks of {name}"]
    by_hand = {element(text, "hash:net") for text in ("192.0.2.0/24", "10.0.0.0/8 nomatch")}
    sets[name] = replace(sets[name], elements=frozenset(by_hand))
    found = diff(sets, wanted, RUNNING, before_installed=True, live_tables=tables_of(live))
    assert said(found) == ["- db 5432/tcp closes to 192.0.2.0/24"]


@profile()
@given(policies, inventories())
def test_nothing_changes_between_a_state_and_itself(rules: Policy, running: Inventory) -> None:
    live = compile_ruleset(rules, running, facts_for(running))
    found = diff(sets_of(live), live, running, before_installed=True, live_tables=tables_of(live))
    assert found.empty


@pytest.mark.parametrize(
    ("binding", "spec", "sources", "to"),
    [
        # Sources are named by the families in which the host port leads to a container.
        ("0.0.0.0:8080:80", "8080", "0.0.0.0/0", "any"),
        ("[::]:8080:80", "8080", "::/0", "any"),
        ("8080:80", "8080", "0.0.0.0/0", "any IPv4"),
        ("8080:80", "192.0.2.10:8080", "0.0.0.0/0", "any"),
        ("8080:80", "9090", "0.0.0.0/0", "any IPv4"),
        ("8080:80", "192.0.2.10:9090", "0.0.0.0/0", "any"),
    ],
)
def test_the_family_of_a_host_port(binding: str, spec: str, sources: str, to: str) -> None:
    running = inventory(container("web", "shop 172.18.0.9", published=binding), SHOP)
    found = between(NOTHING, policy(allow(sources, published=spec)), running)
    assert [change.sources for change in found.changes] == [(to,)]
