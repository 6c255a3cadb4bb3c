"""Exceptions in a list of sources: what is left, and what cannot be taken out."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from dockerfw.model.policy import (
    BridgeSource,
    ExceptingSource,
    Selector,
    SelectorSource,
    Source,
)
from tests.policy_text import read, refused, rule

FILES = {"block.netset": "10.0.0.0/8\n192.168.0.0/16\n2001:db8::/32\n", "none.netset": "# none\n"}


def allowed(source: str, named: str = "") -> tuple[Source, ...]:
    text = f"[sources]\n{named}\n" + rule(source, published="80")
    policy = read(text, files=FILES)
    assert policy.warnings == ()
    return policy.allows[0].sources


def left(source: str, named: str = "") -> list[str]:
    [found] = allowed(source, named)
    assert isinstance(found, ExceptingSource)
    return [str(network) for network in found.networks]


def test_networks_are_really_taken_out() -> None:
    assert left('["file:block.netset", "!192.168.0.0/16"]') == ["10.0.0.0/8", "2001:db8::/32"]
    assert left('["10.0.0.0/30", "192.0.2.1", "!10.0.0.1"]') == [
        "10.0.0.0/32",
        "10.0.0.2/31",
        "192.0.2.1/32",
    ]
    assert left('["10.0.0.0/8", "192.0.2.1", "!file:block.netset"]') == ["192.0.2.1/32"]


def test_networks_of_either_family_are_taken_out() -> None:
    assert left('["2001:db8::/126", "10.0.0.0/31", "!2001:db8::", "!10.0.0.1"]') == [
        "2001:db8::1/128",
        "2001:db8::2/127",
        "10.0.0.0/32",
    ]


def test_everyone_but_some_is_both_families() -> None:
    found = [ip_network(text) for text in left('["any", "!192.168.0.0/16"]')]
    assert ip_network("::/0") in found
    assert sum(n.num_addresses for n in found if n.version == 4) == 2**32 - 2**16


def test_order_means_nothing() -> None:
    assert left('["!10.0.0.1", "10.0.0.0/31"]') == left('["10.0.0.0/31", "!10.0.0.1"]')


def test_a_named_list_keeps_its_own_exceptions_and_no_others() -> None:
    named = 'office = ["10.0.0.0/30", "!10.0.0.1"]\nhome = "10.0.0.1"\n'
    assert left('["office"]', named) == ["10.0.0.0/32", "10.0.0.2/31"]
    excepting, home = allowed('["office", "home"]', named)
    assert isinstance(excepting, ExceptingSource)
    assert [str(n) for n in excepting.networks] == ["10.0.0.0/32", "10.0.0.2/31"]
    assert str(home) == "10.0.0.1"
    assert left('["office", "!10.0.0.2"]', named) == ["10.0.0.0/32", "10.0.0.3/32"]


def test_a_named_list_can_be_taken_out_less_its_own_exceptions() -> None:
    named = 'office = ["10.0.0.0/30", "!10.0.0.1"]\n'
    assert left('["10.0.0.0/29", "!office"]', named) == ["10.0.0.1/32", "10.0.0.4/30"]


def test_bridges_and_containers_are_no_addresses_and_stay() -> None:
    found = allowed('["bridge", "container:web", "192.0.2.0/31", "!192.0.2.0"]')
    assert found[1:] == (BridgeSource(), SelectorSource(Selector("container", "web")))


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ('["bridge", "!10.0.0.0/8"]', "there are no addresses here to take it out of"),
        ('["iface:wg0", "!10.0.0.0/8"]', "goes by the interface, so `!10.0.0.0/8` cannot be taken"),
        ('["any", "!inside"]', "`!inside` holds `bridge`: `!` takes addresses out of addresses"),
        ('["any", "!everyone"]', "`!everyone` holds `any`"),
        ('["any", "!file:none.netset"]', "is empty, so it takes nothing out"),
        ('["any", "!host:a.example.org"]', "may fail or change, and this allow would open more"),
        ('["any", "!named"]', "may fail or change, and this allow would open more"),
        ('["deep9"]', "exceptions are nested over 8 deep"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_sentence(source: str, told: str) -> None:
    named = 'inside = ["bridge", "10.0.0.0/8"]\neveryone = "any"\nnamed = "host:a.example.org"\n'
    deep = "".join(f'deep{n} = ["deep{n - 1}", "!10.0.0.{n}"]\n' for n in range(1, 10))
    deep = deep if "deep" in source else ""
    text = f'[sources]\ndeep0 = "10.0.0.0/8"\n{named}{deep}' + rule(source, published="80")
    [finding] = refused(text, files=FILES)
    assert told in finding


def test_what_may_be_missing_may_be_taken_out_of_a_deny() -> None:
    deny = '[[deny]]\nfrom = ["file:block.netset", "!host:home.example.org", "!file:none.netset"]\n'
    policy = read(deny, files=FILES)
    assert policy.warnings == (
        "config.toml:2: `!file:none.netset` is empty, so it takes nothing out",
    )
    assert set(policy.host_names()) == {"home.example.org"}
    [source] = policy.denies[0].sources
    assert isinstance(source, ExceptingSource)
    assert len(source.networks) == 3
    address = ip_network("10.0.0.0/32").network_address
    [moved] = policy.with_names({"home.example.org": (address,)}).denies[0].sources
    assert isinstance(moved, ExceptingSource)
    assert len(moved.networks) == 2 + 24


def test_of_nothing_left_an_allow_is_warned_of_and_a_deny_refused() -> None:
    text = 'from = ["10.0.0.0/8", "!10.0.0.0/8"]\n'
    [warning] = read(f"[[allow]]\npublished = 80\n{text}").warnings
    assert "nothing is left of `10.0.0.0/8, !10.0.0.0/8`, so it opens nothing" in warning
    [error] = refused(f"[[deny]]\n{text}")
    assert "so this deny would deny nobody" in error


def test_an_exception_that_takes_nothing_out_is_named() -> None:
    [warning] = read(rule('["10.0.0.0/8", "!192.0.2.1"]', published="80")).warnings
    assert warning == (
        "config.toml:3: `!192.0.2.1` takes nothing out: no address of it is in this list"
    )
