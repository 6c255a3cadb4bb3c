"""The lines that ``ipset restore -exist`` gets."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest

from dockerfw.kernel.ipset.render import element_text, render
from dockerfw.kernel.netfilter import Digests
from dockerfw.model.host import HostFacts
from dockerfw.model.net import Family, Port
from dockerfw.plan.planner import plan
from dockerfw.plan.state import KernelState, LiveElement, OddElement, TablesState, wanted_set
from dockerfw.plan.steps import (
    AddElements,
    CreateSet,
    DeleteElements,
    DestroySet,
    FlushSet,
    SetWrite,
    SwapSets,
    WriteSets,
)
from dockerfw.rules.names import keyed_set
from dockerfw.rules.ruleset import (
    LONGEST_TIMEOUT,
    Element,
    IPSet,
    Ruleset,
    Seal,
)

NAME = "dockerfw-allow4"
ENDS = f"{NAME}-u{3_000_000_000:08x}"
ONE: Element = (ip_network("10.0.0.1"), Port("tcp", 80), ip_network("192.0.2.0/24"))
TWO: Element = (ip_network("10.0.0.2"), Port("tcp", 80), ip_network("192.0.2.0/24"))


def lines(*writes: SetWrite, now: float | None = 0, by_number: bool = False) -> list[str]:
    return render(WriteSets("elements", writes), now, by_number=by_number).splitlines()


def test_writes_keep_their_order_and_elements_are_sorted_by_their_text() -> None:
    assert lines(
        DestroySet("dockerfw-swap"),
        CreateSet("dockerfw-own4", "hash:net,iface", 4, 65536, 3, timeout=False),
        AddElements(NAME, frozenset({TWO, ONE})),
        FlushSet("dockerfw-deny4"),
        SwapSets("dockerfw-swap", NAME),
        DeleteElements(NAME, frozenset({TWO, ONE})),
    ) == [
        "destroy dockerfw-swap",
        "create dockerfw-own4 hash:net,iface family inet hashsize 64 maxelem 65536 counters",
        "add dockerfw-allow4 10.0.0.1,tcp:80,192.0.2.0/24",
        "add dockerfw-allow4 10.0.0.2,tcp:80,192.0.2.0/24",
        "flush dockerfw-deny4",
        "swap dockerfw-swap dockerfw-allow4",
        "del dockerfw-allow4 10.0.0.1,tcp:80,192.0.2.0/24",
        "del dockerfw-allow4 10.0.0.2,tcp:80,192.0.2.0/24",
    ]


@pytest.mark.parametrize(
    "count, hashsize",
    [(0, 64), (255, 64), (256, 128), (70000, 32768), (1 << 30, 1 << 20)],
)
def test_a_set_is_made_with_a_size_that_fits(count: int, hashsize: int) -> None:
    write = CreateSet(ENDS, "hash:net", 6, 131072, count, timeout=True)
    assert lines(write) == [
        f"create {ENDS} hash:net family inet6 hashsize {hashsize} maxelem 131072 timeout 1 counters"
    ]


@pytest.mark.parametrize(
    "now, suffix",
    [
        (None, ""),
        (2_999_999_000, " timeout 1000"),
        (2_999_999_998.5, " timeout 1"),
        (0, f" timeout {LONGEST_TIMEOUT}"),
    ],
)
def test_what_ends_is_added_with_the_seconds_left(now: float | None, suffix: str) -> None:
    assert lines(AddElements(ENDS, frozenset({ONE})), now=now) == [
        f"add {ENDS} 10.0.0.1,tcp:80,192.0.2.0/24{suffix}"
    ]
    assert lines(DeleteElements(ENDS, frozenset({ONE})), now=now) == [
        f"del {ENDS} 10.0.0.1,tcp:80,192.0.2.0/24"
    ]


@pytest.mark.parametrize("now", [2_999_999_999.5, 3_000_000_000, 4_000_000_000])
def test_what_has_less_than_a_second_left_is_not_added(now: float) -> None:
    assert lines(AddElements(ENDS, frozenset({ONE})), now=now) == []


def test_an_odd_entry_goes_by_its_plain_one_unless_that_is_added() -> None:
    odd: frozenset[LiveElement] = frozenset(
        {
            OddElement("10.0.0.1,tcp:80,192.0.2.0/24", "nomatch", ONE),
            OddElement("10.0.0.2,tcp:80,192.0.2.0/24", "timeout 0", TWO),
            OddElement("10.0.0.3,icmp:timestamp-request,192.0.2.0/24", "nomatch"),
        }
    )
    assert lines(DeleteElements(NAME, odd)) == [
        "del dockerfw-allow4 10.0.0.1,tcp:80,192.0.2.0/24",
        "del dockerfw-allow4 10.0.0.2,tcp:80,192.0.2.0/24",
        "del dockerfw-allow4 10.0.0.3,icmp:timestamp-request,192.0.2.0/24",
    ]
    # Whichever comes first; in the set of that name alone.
    for writes in (
        (DeleteElements(NAME, odd), AddElements(NAME, frozenset({ONE}))),
        (AddElements(NAME, frozenset({ONE})), DeleteElements(NAME, odd)),
    ):
        assert "del dockerfw-allow4 10.0.0.1,tcp:80,192.0.2.0/24" not in lines(*writes)
    elsewhere = AddElements("dockerfw-deny4", frozenset({ONE}))
    assert "del dockerfw-allow4 10.0.0.1,tcp:80,192.0.2.0/24" in lines(
        elsewhere, DeleteElements(NAME, odd)
    )


@pytest.mark.parametrize(
    "element, text, by_number",
    [
        ((ip_network("10.0.0.1"),), "10.0.0.1", None),
        ((ip_network("0.0.0.0/1"), Port("udp", 53)), "0.0.0.0/1,udp:53", "0.0.0.0/1,17:53"),
        ((ip_network("::/1"), Port("sctp", 9)), "::/1,sctp:9", "::/1,132:9"),
        (
            (ip_network("10.0.0.1"), Port("icmp", 0)),
            "10.0.0.1,icmp:echo-request",
            "10.0.0.1,1:echo-request",
        ),
        (
            (ip_network("::1"), Port("icmp", 0)),
            "::1,ipv6-icmp:echo-request",
            "::1,58:echo-request",
        ),
        ((ip_network("::1"), Port("47", 0)), "::1,47:0", None),
        ((ip_network("172.18.0.0/16"), "br-0a1b"), "172.18.0.0/16,br-0a1b", None),
        ((ip_network("::ffff:1.2.3.4"),), "::ffff:1.2.3.4", None),
        ((ip_network("::1:2"),), "::0.1.0.2", None),
    ],
)  # fmt: skip
def test_an_element_is_written_as_ipset_prints_it(
    element: Element, text: str, by_number: str | None
) -> None:
    assert element_text(element) == text
    assert element_text(element, by_number=True) == (by_number or text)


@pytest.mark.parametrize("word", ["a b", 'a"', "a\nb", "a;b", "a'b", ""])
def test_what_is_not_one_plain_word_is_refused(word: str) -> None:
    net = ip_network("10.0.0.0/8")
    for element in ((net, word), (net, Port(word, 1))):
        with pytest.raises(ValueError, match="not fit"):
            element_text(element)
    for write in (
        CreateSet(word, "hash:net", 4, 65536, 0, timeout=False),
        AddElements(f"{word} 4", frozenset({(net,)})),
        DeleteElements(f"{word} 4", frozenset({(net,)})),
        FlushSet(word),
        SwapSets(word, NAME),
        SwapSets(NAME, word),
        DestroySet(word),
    ):
        with pytest.raises(ValueError, match="not fit"):
            lines(write)


@pytest.mark.parametrize("until", [None, 4_000_000_000])
@pytest.mark.parametrize("family, written", [(4, ",icmp:"), (6, ",ipv6-icmp:")])
def test_a_set_that_has_to_grow_keeps_its_pings(
    family: Family, written: str, until: int | None
) -> None:
    """The larger set that takes its place is of the same family: ipset refuses the other's."""
    name = keyed_set(family, "container", "outside", "allow", until, wildcard=False)
    target = ip_network("172.18.0.2" if family == 4 else "fd00:18::2")
    source = ip_network("192.0.2.0/24" if family == 4 else "2001:db8::/32")
    wanted = IPSet(
        name, "hash:ip,port,net", family, "allow", frozenset({(target, Port("icmp", 0), source)})
    )
    full = replace(wanted_set(wanted), maxelem=0, count=0, elements=frozenset())
    live = KernelState({4: TablesState(4), 6: TablesState(6)}, {name: full}, seal=None)
    ruleset = Ruleset((), (wanted,), Seal(1, observe=False, inside=True), 1, 2)

    steps = plan(live, ruleset, HostFacts(nf_tables=False), Digests()).steps

    text = "".join(render(step, 0) for step in steps if isinstance(step, WriteSets))
    added = [line for line in text.splitlines() if line.startswith("add ")]
    assert len(added) == 1
    assert f"{written}echo-request" in added[0]
    assert "swap " in text
