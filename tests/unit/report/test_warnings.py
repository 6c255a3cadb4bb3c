"""Rules of a valid policy that match nobody, or name a container that is somewhere else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from dockerfw.model.policy import Allow, Deny, Policy
from dockerfw.report.warnings import advise
from tests.build import allow, container, deny, inventory, policy
from tests.unit.report.scene import FACTS, FRONT, HERE, LAN, LINE, closing, only, opening


@pytest.mark.parametrize(
    "rules",
    [
        policy(),
        opening("web", 80),
        opening("web", (80, 8080)),
        opening("web", 9000),
        opening(("web", "shop-*"), "published"),
        opening("worker", 80),
        opening("worker", "icmp"),
        opening(("*", "!admin", "!camera", "!exporter"), "all"),
        opening("exporter", 9100),
        opening(published=8080),
        opening(published="192.0.2.10:8080"),
        opening("web", published="8000-8100"),
        closing(),
        closing("web", "container:worker"),
    ],
)
def test_a_policy_that_does_what_it_says_draws_no_warning(rules: Policy) -> None:
    assert advise(rules, HERE, FACTS) == ()


# --- nobody is matched ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rules, said",
    [
        (opening("wbe", 80), ("wbe matches no", "opens nothing", "you mean web?")),
        (opening("db", 80), ("did you mean shop-db-1?",)),
        (opening("zzz", 80), ("zzz matches no", "docker ps")),
        (closing("wbe"), ("wbe matches no", "closes nothing")),
        (opening("compose:shop/db", 80), ("compose:shop/db matches no",)),
        (opening(("web", "wbe"), 80), ("wbe matches no",)),
        (opening(("web", "!wbe"), 80), ("!wbe takes no container out",)),
        (opening(("web", "!web"), 80), ("no container is left",)),
        (
            opening("web", 80, source="container:wroker"),
            ("from container:wroker matches no", "did you mean worker?"),
        ),
    ],
)
def test_a_selector_that_matches_nothing_is_named(rules: Policy, said: tuple[str, ...]) -> None:
    warning = only(rules)
    assert warning.startswith("config.toml:12: ")
    assert all(words in warning for words in said), warning


@pytest.mark.parametrize(
    "selector, meant",
    [
        ("compose:web", "did you mean compose:shop/web?"),
        ("compose:shop/wbe", "did you mean compose:shop/web?"),
        ("compose:shop/proxy", "did you mean compose:shop/db, compose:shop/web?"),
        ("compose:shpo/web", "did you mean compose:shop/web?"),
        ("compose:shpo", "did you mean compose:shop?"),
    ],
)
def test_a_service_of_compose_is_proposed_as_it_is_written(selector: str, meant: str) -> None:
    shop = (container(f"shop-{s}-1", "front", compose=f"shop/{s}") for s in ("web", "db"))
    assert only(opening(selector, 80), inventory(FRONT, *shop)).endswith(meant)


@pytest.mark.parametrize(
    "source, said",
    [
        ("iface:wgo", "from iface:wgo: this host has no such interface now, so it opens nothing"),
        ("iface:wgo", "did you mean wg0?"),
        ("iface:tun*", "see `ip -br link`"),
    ],
)
def test_an_interface_that_is_not_there_is_named(source: str, said: str) -> None:
    facts = replace(FACTS, interfaces=frozenset({"lo", "eth0", "wg0"}))
    rules = opening("web", 80, source=source)
    [warning] = advise(rules, HERE, facts)
    assert said in warning
    assert advise(rules, HERE, FACTS) == (), "it is not known which there are"
    assert advise(opening("web", 80, source="iface:wg*"), HERE, facts) == ()


def test_warnings_come_in_the_order_of_the_policy() -> None:
    rules = policy(allow("any", to="zzz", ports=80, line=LINE), deny("any", to="nobody", line=3))
    found = advise(rules, HERE, FACTS)
    assert [w.split(" ")[0] for w in found] == ["config.toml:3:", "config.toml:12:"]


# --- places --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rules", [opening("exp*", 9100), opening("exporter", "all"), closing("exporter")]
)
def test_a_host_network_container_wants_its_own_name_and_numbers(rules: Policy) -> None:
    assert 'write to = "exporter" with ports' in only(rules)


def test_a_host_network_container_that_another_rule_names_is_guarded() -> None:
    rules = replace(opening("exporter", 9100), denies=closing("exporter").denies)
    assert advise(rules, HERE, FACTS) == ()
    other = opening("exp*", 9100).allows
    assert advise(replace(rules, allows=rules.allows + other), HERE, FACTS) == ()


def test_a_deny_that_passes_over_a_host_network_container_is_warned_of_all_the_same() -> None:
    """Its ports are open by another rule: it closes none of them."""
    rules = replace(opening("exporter", 9100), denies=closing("*port*").denies)
    assert 'write to = "exporter" with ports' in only(rules)


@pytest.mark.parametrize("ports", ["all", "1024-9999", ("all", 9101), "published", "icmp"])
@pytest.mark.parametrize("statement", [allow, deny])
def test_what_is_void_beside_a_narrow_rule_for_a_host_network_container_is_named(
    statement: Callable[..., Allow | Deny], ports: str | tuple[int | str, ...]
) -> None:
    narrow = opening("exporter", 9100)
    wide = statement("any", to="exporter", ports=ports, line=LINE)
    with_it = (
        replace(narrow, allows=(*narrow.allows, wide))
        if isinstance(wide, Allow)
        else replace(narrow, denies=(wide,))
    )
    warning = only(with_it)
    assert warning.startswith("config.toml:12: exporter is on the host's network, where ")
    assert ("opens nothing" if statement is allow else "closes nothing") in warning
    assert "write the numbers that exporter listens on" in warning


def test_a_container_on_a_macvlan_alone_is_out_of_reach() -> None:
    warning = only(opening("camera", 80))
    assert "camera is only on the macvlan network lan" in warning
    assert "opens nothing" in warning
    assert "closes nothing" in only(closing("camera"))


def test_a_rule_that_names_a_sidecar_alone_says_whose_addresses_it_has() -> None:
    assert "sidecar is at the addresses of web" in only(opening("sidecar", 80))
    assert advise(opening(("sidecar", "web"), 80), HERE, FACTS) == ()
    assert advise(opening("side*", 80), HERE, FACTS) == ()


def test_escape_sequences_in_names_do_not_reach_the_terminal() -> None:
    odd = replace(FRONT, name="front\x1b[2J\n", foreign_ports=("eth1",))
    assert only(policy(), replace(HERE, networks=(odd, LAN))).isprintable()


# --- addresses that no packet of the outside has -------------------------------------------------


@pytest.mark.parametrize("statement", [allow, deny])
def test_addresses_of_a_docker_network_do_nothing(
    statement: Callable[..., Allow | Deny],
) -> None:
    warning = only(policy(statement("172.18.0.0/25", to="web", ports=80, line=LINE)))
    assert "from 172.18.0.0/25 is in the Docker network front" in warning
    assert "write network:front" in warning


def test_a_network_that_is_wider_than_dockers_is_the_outside() -> None:
    assert advise(opening("web", 80, source="172.16.0.0/12"), HERE, FACTS) == ()
