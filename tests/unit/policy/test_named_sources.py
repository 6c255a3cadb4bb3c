"""``[sources]``: names, lists that hold each other, sources that a rule cannot use."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from dockerfw.model.policy import AddressSource, AnySource
from tests.policy_text import read, refused, rule


def test_sources_that_hold_each_other_many_times_over_are_still_one_list() -> None:
    nested = "".join(f's{n} = ["s{n - 1}", "s{n - 1}"]\n' for n in range(1, 60))
    policy = read(f'[sources]\ns0 = "192.0.2.1"\n{nested}' + rule('"s59"', published="80"))
    assert policy.allows[0].sources == (AddressSource(ip_network("192.0.2.1")),)


def test_a_long_chain_of_sources_is_followed_to_its_end() -> None:
    chain = "".join(f's{n} = "s{n + 1}"\n' for n in range(3000))
    policy = read(f'[sources]\n{chain}s3000 = "any"\n' + rule('"s0"', published="80"))
    assert policy.allows[0].sources == (AnySource(),)


def test_a_name_in_a_deny_is_refused_where_it_is_named_and_through_a_list() -> None:
    text = (
        '[sources]\nbad = "host:vpn.example.org"\n'
        '[[deny]]\nfrom = [\n"host:vpn.example.org",\n"bad",\n]\n'
    )
    told = (
        "`host:vpn.example.org`: a name may fail or change, and this deny would deny nobody: "
        "write addresses or `file:`"
    )
    assert refused(text) == [f"config.toml:5: {told}", f"config.toml:6: {told}"]


def test_a_source_that_two_files_define_names_both() -> None:
    text = '[sources]\noffice = "192.0.2.1"\n'
    assert refused("\n" + text, {"a.toml": text}) == [
        "conf.d/a.toml:2: source `office` is defined already, at config.toml:3: rename one"
    ]


def test_a_circle_of_sources_is_named_from_end_to_end() -> None:
    text = '[sources]\na = "b"\nb = ["192.0.2.1",\n  "c"]\nc = "a"\n\nself = "self"\n'
    [first, second] = refused(text)
    assert first.partition(": ")[2] in {
        "sources hold each other in a circle: `a` > `b` > `c` > `a`",
        "sources hold each other in a circle: `b` > `c` > `a` > `b`",
        "sources hold each other in a circle: `c` > `a` > `b` > `c`",
    }
    assert second == "config.toml:7: sources hold each other in a circle: `self` > `self`"


@pytest.mark.parametrize(
    "name, problem",
    [
        ("any", "has a meaning of its own"),
        ("Bridge", "has a meaning of its own"),
        ("192.0.2.1", "looks like an address"),
        ("10", "looks like an address"),
        ("fd00::", "looks like an address"),
        ("file:x", "cannot name a source"),
        ("a/b", "cannot name a source"),
        ("web*", "cannot name a source"),
        ("!office", "cannot name a source"),
        ("my office", "cannot name a source"),
        ("", "cannot name a source"),
        ("a\\nb", "cannot name a source"),
    ],
)
def test_the_name_of_a_source_must_not_look_like_something_else(name: str, problem: str) -> None:
    [finding] = refused(f'[sources]\n"{name}" = "192.0.2.1"\n')
    assert finding.startswith("config.toml:2: `")
    assert problem in finding
    assert finding.isprintable()


@pytest.mark.parametrize("name", ["office", "Office-2", "a.b", "cafe", "file", "büro", "_x"])
def test_the_name_of_a_source_may_be(name: str) -> None:
    text = f'[sources]\n"{name}" = "any"\n' + rule(f'"{name}"', published="80")
    assert read(text).allows[0].sources == (AnySource(),)


def test_an_empty_source_is_refused() -> None:
    assert refused("[sources]\nx = []\n") == [
        "config.toml:2: source `x` is empty: write a source, or take it out"
    ]
