"""How ipsets are read and written; no kernel is touched here."""

from __future__ import annotations

import socket
from ipaddress import ip_network

import pytest

from dockerfw.errors import Failed
from dockerfw.kernel.ipset import driver as ipset
from dockerfw.model.net import Port
from dockerfw.plan.state import LiveElement, OddElement
from dockerfw.plan.steps import AddElements, DeleteElements, SetWrite, WriteSets
from dockerfw.rules.ruleset import Element
from tests.unit.kernel.fake_runner import FakeRunner

HEADERS = """\
Name: dockerfw-allow4
Type: hash:net,port
Revision: 8
Header: family inet hashsize 64 maxelem 65536 counters bucketsize 12 initval 0x4a11f824
Size in memory: 776
References: 1
Number of entries: 3

Name: dockerfw-frozen6
Type: hash:net
Revision: 7
Header: family inet6 hashsize 1024 maxelem 131072 timeout 0 counters
Size in memory: 776
References: 1
Number of entries: 70000

Name: dockerfw-empty4
Type: hash:net,iface
Header: family inet hashsize 64 maxelem 65536
Number of entries: 0

Name: blocklist
Type: hash:ip
Header: family inet hashsize 1024 maxelem 65536
Number of entries: 2
"""
ALLOW4 = """\
create dockerfw-allow4 hash:net,port family inet hashsize 64 maxelem 65536 counters
add dockerfw-allow4 10.0.0.0/8,tcp:80 packets 5 bytes 300
add dockerfw-allow4 10.0.0.1,icmp:echo-request packets 0 bytes 0
add dockerfw-allow4 10.0.0.2,gre:0 packets 0 bytes 0
"""
TEN = ip_network("10.0.0.0/8")
ONE, TWO = ip_network("10.0.0.1"), ip_network("10.0.0.2")
ALLOW4_ELEMENTS: frozenset[Element] = frozenset(
    {(TEN, Port("tcp", 80)), (ONE, Port("icmp", 0)), (TWO, Port("47", 0))}
)


def nomatch(element: Element, text: str) -> LiveElement:
    return OddElement(text, "nomatch", element)


def test_sets_of_ours_are_read_and_big_frozen_ones_only_by_their_header() -> None:
    runner = FakeRunner({"ipset list -t": HEADERS, "ipset save dockerfw-allow4": ALLOW4})
    sets = ipset.read(runner, headers_only=lambda _name, count: count == 70000)
    assert set(sets) == {"dockerfw-allow4", "dockerfw-frozen6", "dockerfw-empty4"}
    allow, frozen, empty = (sets[f"dockerfw-{name}"] for name in ("allow4", "frozen6", "empty4"))
    assert allow.elements == ALLOW4_ELEMENTS
    assert (allow.type, allow.family, allow.maxelem, allow.count) == ("hash:net,port", 4, 65536, 3)
    assert (allow.counters, allow.timeout) == (True, False)
    assert (frozen.elements, frozen.count, frozen.family, frozen.timeout) == (None, 70000, 6, True)
    assert (empty.elements, empty.counters) == (frozenset(), False)


def test_counters_go_by_element() -> None:
    runner = FakeRunner({"ipset list -t": HEADERS, "ipset save dockerfw-allow4": ALLOW4})
    counted = ipset.counters(runner, ["dockerfw-allow4", "dockerfw-gone"])
    assert counted == {
        "dockerfw-allow4": {
            (TEN, Port("tcp", 80)): (5, 300),
            (ONE, Port("icmp", 0)): (0, 0),
            (TWO, Port("47", 0)): (0, 0),
        }
    }


def test_a_host_without_protocol_names_reads_the_same() -> None:
    numbers = ALLOW4.replace("tcp:", "6:").replace("icmp:", "1:").replace("gre:", "47:")
    runner = FakeRunner({"ipset list -t": HEADERS, "ipset save dockerfw-allow4": numbers})
    sets = ipset.read(runner, headers_only=lambda _name, count: count == 70000)
    assert sets["dockerfw-allow4"].elements == ALLOW4_ELEMENTS


def header(name: str, count: int, kind: str = "hash:net") -> str:
    return (
        f"Name: {name}\nType: {kind}\nHeader: family inet maxelem 9\nNumber of entries: {count}\n"
    )


@pytest.mark.parametrize(
    "foreign, commands",
    [
        (10, ["ipset save"]),
        (50000, ["ipset save dockerfw-a", "ipset save dockerfw-b"]),
    ],
)
def test_a_large_foreign_set_is_not_dumped_for_our_sake(foreign: int, commands: list[str]) -> None:
    both = "add dockerfw-a 10.0.0.1\nadd dockerfw-b 10.0.0.2\nadd other 10.0.0.3\n"
    runner = FakeRunner(
        {
            "ipset list -t": "\n".join(
                [header("dockerfw-a", 1), header("dockerfw-b", 1), header("other", foreign)]
            ),
            "ipset save": both,
            "ipset save dockerfw-a": "add dockerfw-a 10.0.0.1\n",
            "ipset save dockerfw-b": "add dockerfw-b 10.0.0.2\n",
        }
    )
    sets = ipset.read(runner)
    assert [command for command, _ in runner.ran[1:]] == commands
    assert {name: state.elements for name, state in sets.items()} == {
        "dockerfw-a": frozenset({(ONE,)}),
        "dockerfw-b": frozenset({(TWO,)}),
    }


def test_an_entry_that_a_hand_turned_off_is_another_element() -> None:
    saved = "add dockerfw-a 10.0.0.1 nomatch packets 0 bytes 0\n"
    runner = FakeRunner({"ipset list -t": header("dockerfw-a", 1), "ipset save dockerfw-a": saved})
    odd = OddElement("10.0.0.1", "nomatch", (ONE,))
    assert ipset.read(runner)["dockerfw-a"].elements == frozenset({odd})


def committed(*writes: SetWrite, now: float = 0) -> str:
    """What one ``ipset restore`` got."""
    runner = FakeRunner({"ipset restore -exist": ""})
    ipset.commit(runner, WriteSets("elements", writes), now)
    ((command, text),) = runner.ran
    assert command == "ipset restore -exist"
    assert text is not None
    return text


def test_a_turned_off_entry_is_put_right_or_taken_out() -> None:
    odd = frozenset({nomatch((ONE,), "10.0.0.1"), nomatch((TWO,), "10.0.0.2")})
    text = committed(
        AddElements("dockerfw-own4", frozenset({(ONE,)})), DeleteElements("dockerfw-own4", odd)
    )
    assert text == "add dockerfw-own4 10.0.0.1\ndel dockerfw-own4 10.0.0.2\n"


def test_a_turned_off_entry_that_we_never_write_is_taken_out_without_its_option() -> None:
    """``del`` knows no options: with one the whole restore would fail, each time."""
    saved = "add dockerfw-allow4 10.0.0.0/8,icmp:timestamp-request nomatch packets 0 bytes 0\n"
    runner = FakeRunner(
        {
            "ipset list -t": header("dockerfw-allow4", 1, "hash:net,port"),
            "ipset save dockerfw-allow4": saved,
        }
    )
    live = ipset.read(runner)["dockerfw-allow4"].elements
    odd = frozenset[LiveElement]({OddElement("10.0.0.0/8,icmp:timestamp-request", "nomatch")})
    assert live == odd
    text = committed(DeleteElements("dockerfw-allow4", odd))
    assert text == "del dockerfw-allow4 10.0.0.0/8,icmp:timestamp-request\n"


def test_what_ends_is_written_with_the_seconds_left_now() -> None:
    name = f"dockerfw-allow4-u{1000:08x}"
    assert (
        committed(AddElements(name, ALLOW4_ELEMENTS), now=940.5)
        == f"""\
add {name} 10.0.0.0/8,tcp:80 timeout 59
add {name} 10.0.0.1,icmp:echo-request timeout 59
add {name} 10.0.0.2,47:0 timeout 59
"""
    )


def test_a_host_without_protocol_names_gets_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless(name: str) -> int:
        raise OSError(name)

    monkeypatch.setattr(socket, "getprotobyname", nameless)
    assert committed(AddElements("dockerfw-allow4", ALLOW4_ELEMENTS)).splitlines() == [
        "add dockerfw-allow4 10.0.0.0/8,6:80",
        "add dockerfw-allow4 10.0.0.1,1:echo-request",
        "add dockerfw-allow4 10.0.0.2,47:0",
    ]


def test_a_missing_program_is_reported_with_its_package() -> None:
    with pytest.raises(Failed, match="ipset is not installed: apt install ipset"):
        ipset.read(FakeRunner())
