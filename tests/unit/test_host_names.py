"""What is made of ``host:`` sources: sets, changes, explanations, expectations, warnings."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from dockerfw.model.host import HostFacts
from dockerfw.model.net import Address
from dockerfw.model.policy import MOST_ADDRESSES, AddressSource, Expect, Origin, Policy, Source
from dockerfw.report import warnings as advice
from dockerfw.report.diff import diff
from dockerfw.report.explain import broken_expectations, explain
from dockerfw.rules.compiler import compile_ruleset
from dockerfw.rules.sources import LIST_OVER
from tests.build import allow, container, host_name, inventory, network
from tests.standing import sets_of

VPN, GW = "vpn.example.org", "gw.example.org"
RUNNING = inventory(network("shop", "172.18.0.0/16"), container("db", "shop 172.18.0.2"))
FACTS = HostFacts()


def addresses(*texts: str) -> tuple[Address, ...]:
    return tuple(map(ip_address, texts))


def test_as_many_addresses_as_a_name_may_have_need_no_set_of_their_own() -> None:
    assert MOST_ADDRESSES <= LIST_OVER
    many = host_name(VPN, *(f"203.0.113.{n}" for n in range(MOST_ADDRESSES)), "2001:db8::7")
    sets = {s.name: s.elements for s in compile_ruleset(_of(many), RUNNING, FACTS).sets}
    assert len(sets["dockerfw-allow4"]) == MOST_ADDRESSES
    assert not any(name.startswith("dockerfw-list") for name in sets)


def _of(*sources: Source) -> Policy:
    rule = allow(*sources, to="db", ports=5432, line=3, written_from="partners")
    return Policy(allows=(rule,))


def test_a_name_without_an_address_opens_nothing() -> None:
    sets = compile_ruleset(_of(host_name(VPN)), RUNNING, FACTS).sets
    assert not any(s.elements for s in sets if s.phase == "allow")
    assert advice.nameless(_of(host_name(VPN), host_name(GW, "192.0.2.1"))) == (
        f"host:{VPN} has no address, so it opens nothing until it has one",
    )


def test_a_change_of_addresses_is_told_by_name() -> None:
    live = compile_ruleset(_of(host_name(VPN, "203.0.113.7")), RUNNING, FACTS)
    wanted = compile_ruleset(_of(host_name(VPN, "203.0.113.8")), RUNNING, FACTS)
    found = diff(
        sets_of(live),
        wanted,
        RUNNING,
        before_installed=True,
        host_names={VPN: addresses("203.0.113.8")},
    )
    assert [" ".join(line.split()) for line in found.lines(width=1000)[:-1]] == [
        "- db 5432/tcp closes to 203.0.113.7",
        f"+ db 5432/tcp opens to host:{VPN} (203.0.113.8)",
    ]


def test_explain_names_the_name() -> None:
    rule = replace(
        allow("192.0.2.1", host_name(VPN, "203.0.113.7"), to="db", ports=5432, line=3),
        written_from=("192.0.2.1", f"host:{VPN}"),
    )
    found = explain(Policy(allows=(rule,)), RUNNING, FACTS, "203.0.113.7", "db:5432")
    assert {row.reason for row in found.rows if row.allowed} == {
        f"allowed by config.toml:3 (from host:{VPN})"
    }


# --- expectations --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sources, allowed, told",
    [
        ((host_name(VPN, "203.0.113.7"),), True, ""),
        ((host_name(VPN, "203.0.113.8"),), True, "expected allowed, but"),
        ((host_name(VPN),), True, "not checked: it depends on a host: name"),
        ((host_name(VPN),), False, ""),
        ((AddressSource(ip_network("192.0.2.1/32")),), True, "expected allowed, but"),
    ],
)
def test_an_expectation_that_depends_on_an_unknown_name_is_not_checked(
    sources: tuple[Source, ...], allowed: bool, told: str
) -> None:
    expect = Expect(Origin("config.toml", 9), "203.0.113.7", "172.18.0.2:5432", allowed)
    policy = replace(_of(*sources), expects=(expect,))
    found = broken_expectations(policy, RUNNING, FACTS)
    if not told:
        assert (found.errors, found.warnings) == ((), ())
    elif told.startswith("not checked"):
        assert found.errors == ()
        assert f"config.toml:9: {told}" in found.warnings[0]
    else:
        assert f"config.toml:9: {told}" in found.errors[0]


def test_an_expectation_that_no_name_could_mend_is_broken_whatever_the_name() -> None:
    expect = Expect(Origin("config.toml", 9), "203.0.113.7", "172.18.0.2:22", allowed=True)
    policy = replace(_of(host_name(VPN)), expects=(expect,))
    assert broken_expectations(policy, RUNNING, FACTS).errors
