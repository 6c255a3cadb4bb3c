"""ipset on a real kernel: what is written is what is read, and nothing else moves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set as AbstractSet
from functools import partial
from ipaddress import IPv4Network, ip_network

import pytest

from dockerfw.errors import Failed
from dockerfw.kernel.ipset import driver as ipset
from dockerfw.kernel.ipset.ask import ask
from dockerfw.kernel.ipset.render import element_text
from dockerfw.model.net import Family, Port
from dockerfw.plan.state import LiveElement, SetState
from dockerfw.plan.steps import (
    AddElements,
    CreateSet,
    DeleteElements,
    DestroySet,
    SetWrite,
    WriteSets,
)
from dockerfw.rules.ruleset import Element
from tests.lab.host import Host
from tests.packets.runner import HostRunner, in_network
from tests.unit.kernel.fake_runner import FakeRunner

PING = Port("icmp", 0)

# (type, family, elements by their text)
SETS: list[tuple[str, Family, Mapping[str, Element]]] = [
    ("hash:ip", 4, {"192.0.2.1": (ip_network("192.0.2.1"),)}),
    (
        "hash:ip",
        6,
        {
            "2001:db8::1": (ip_network("2001:db8::1"),),
            "::ffff:1.2.3.4": (ip_network("::ffff:1.2.3.4"),),
            "64:ff9b::102:304": (ip_network("64:ff9b::102:304"),),
        },
    ),
    (
        "hash:net",
        4,
        {
            "0.0.0.0/1": (ip_network("0.0.0.0/1"),),
            "128.0.0.0/1": (ip_network("128.0.0.0/1"),),
            "192.0.2.1": (ip_network("192.0.2.1"),),
        },
    ),
    (
        "hash:net",
        6,
        {
            "::/1": (ip_network("::/1"),),
            "8000::/1": (ip_network("8000::/1"),),
            "2001:db8::/32": (ip_network("2001:db8::/32"),),
        },
    ),
    (
        "hash:net,port",
        4,
        {
            "10.0.0.0/8,tcp:80": (ip_network("10.0.0.0/8"), Port("tcp", 80)),
            "10.0.0.0/8,icmp:echo-request": (ip_network("10.0.0.0/8"), PING),
            "10.0.0.1,udp:53": (ip_network("10.0.0.1"), Port("udp", 53)),
        },
    ),
    (
        "hash:net,port",
        6,
        {
            "2001:db8::/64,ipv6-icmp:echo-request": (ip_network("2001:db8::/64"), PING),
            "::1,sctp:9": (ip_network("::1"), Port("sctp", 9)),
            "::1,47:0": (ip_network("::1"), Port("47", 0)),
        },
    ),
    (
        "hash:ip,port,net",
        4,
        {
            "10.0.0.1,tcp:80,0.0.0.0/1": (
                ip_network("10.0.0.1"),
                Port("tcp", 80),
                ip_network("0.0.0.0/1"),
            ),
            "10.0.0.1,icmp:echo-request,10.0.0.2": (
                ip_network("10.0.0.1"),
                PING,
                ip_network("10.0.0.2"),
            ),
        },
    ),
    (
        "hash:ip,port,net",
        6,
        {
            "2001:db8::1,udp:53,2001:db8::/32": (
                ip_network("2001:db8::1"),
                Port("udp", 53),
                ip_network("2001:db8::/32"),
            ),
        },
    ),
    (
        "hash:net,iface",
        4,
        {
            "172.18.0.0/16,br-0a1b2c3d4e5f": (ip_network("172.18.0.0/16"), "br-0a1b2c3d4e5f"),
            "172.17.0.0/16,docker0": (ip_network("172.17.0.0/16"), "docker0"),
        },
    ),
    (
        "hash:net,iface",
        6,
        {"fd00::/64,br-0a1b2c3d4e5f": (ip_network("fd00::/64"), "br-0a1b2c3d4e5f")},
    ),
]
NAME = "dockerfw-own4"
TEN: Element = (ip_network("10.0.0.0/8"),)
ONE: Element = (ip_network("10.0.0.1"),)


class Reading:
    """Reads the sets of a host: ``ask`` asks its kernel, None: tools alone are asked."""

    def __init__(self, runner: HostRunner, ask: ipset.Ask | None) -> None:
        self.counters = partial(ipset.counters, runner, ask=ask)
        self._read = partial(ipset.read, runner, ask=ask)

    def __call__(
        self, headers_only: Callable[[str, int], bool] | None = None
    ) -> dict[str, SetState]:
        return self._read(headers_only)


@pytest.fixture(params=["kernel", "ipset"])
def read(request: pytest.FixtureRequest, host: Host, runner: HostRunner) -> Reading:
    def asked(name: str | None) -> list[bytes]:
        return in_network(host, lambda: ask(name))

    return Reading(runner, asked if request.param == "kernel" else None)


def created(
    kind: str, family: Family, elements: AbstractSet[LiveElement], name: str = NAME
) -> tuple[SetWrite, ...]:
    return (
        CreateSet(name, kind, family, 70000, len(elements), timeout=False),
        AddElements(name, frozenset(elements)),
    )


def commit(runner: HostRunner, *writes: SetWrite) -> None:
    ipset.commit(runner, WriteSets("elements", writes), now=0)


@pytest.mark.parametrize("names_protocols", [True, False])
def test_every_kind_of_element_reads_as_it_was_written(
    host: Host,
    runner: HostRunner,
    read: Reading,
    monkeypatch: pytest.MonkeyPatch,
    names_protocols: bool,
) -> None:
    if not names_protocols:
        host.write("/etc/protocols", "")
        monkeypatch.setattr(ipset, "_host_names_protocols", lambda: False)
    names = {f"dockerfw-{n}-{family}": family for n, (_, family, _) in enumerate(SETS)}
    writes = [
        write
        for name, (kind, family, elements) in zip(names, SETS, strict=True)
        for write in created(kind, family, frozenset(elements.values()), name)
    ]
    commit(runner, *writes)
    sets = read()
    assert [(s.type, s.family, s.elements) for s in map(sets.__getitem__, names)] == [
        (kind, family, frozenset(elements.values())) for kind, family, elements in SETS
    ]
    assert {(s.maxelem, s.counters, s.timeout) for s in sets.values()} == {(70000, True, False)}
    for _, _, elements in SETS:
        assert {element_text(e): e for e in elements.values()} == elements
    # Once more is no error, and what goes out goes.
    gone = [DeleteElements(s.name, s.elements or frozenset()) for s in sets.values()]
    commit(runner, *writes, *gone)
    assert all(state.elements == frozenset() for state in read().values())


def test_plain_sets_are_read_without_starting_a_program(host: Host, runner: HostRunner) -> None:
    for number, (kind, family, elements) in enumerate(SETS):
        name = f"dockerfw-{number}-{family}"
        commit(runner, *created(kind, family, frozenset(elements.values()), name))
    ending = "dockerfw-allow4-u7fffffff"
    host.run(["ipset", "create", ending, "hash:net", "timeout", "1", "counters"])
    host.run(["ipset", "add", ending, "10.0.0.0/8", "timeout", "600"])
    host.run(["ipset", "create", "dockerfw-bridges4", "list:set", "size", "8", "counters"])
    host.run(["ipset", "add", "dockerfw-bridges4", ending])

    def asked(name: str | None) -> list[bytes]:
        return in_network(host, lambda: ask(name))

    assert ipset.read(FakeRunner(), ask=asked) == ipset.read(runner)


def test_an_element_added_again_keeps_its_counters(
    host: Host, runner: HostRunner, read: Reading
) -> None:
    commit(runner, *created("hash:net", 4, set()))
    host.run(["ipset", "add", NAME, "10.0.0.1", "packets", "5", "bytes", "7"])
    commit(runner, *created("hash:net", 4, {ONE}))
    assert read.counters([NAME]) == {NAME: {ONE: (5, 7)}}


def test_what_is_not_there_can_be_taken_out(runner: HostRunner, read: Reading) -> None:
    commit(runner, *created("hash:net", 4, set()))
    commit(runner, DeleteElements(NAME, frozenset({ONE})), DestroySet("dockerfw-deny4"))
    assert set(read()) == {NAME}


def repair(runner: HostRunner, read: Reading, wanted: frozenset[LiveElement]) -> None:
    live = read()[NAME].elements
    assert live is not None
    assert live != wanted
    commit(runner, AddElements(NAME, wanted - live), DeleteElements(NAME, live - wanted))
    assert read()[NAME].elements == wanted


@pytest.mark.parametrize("wanted", [frozenset[LiveElement]({TEN}), frozenset[LiveElement]()])
def test_an_element_that_a_hand_turned_off_is_repaired(
    host: Host, runner: HostRunner, read: Reading, wanted: frozenset[LiveElement]
) -> None:
    commit(runner, *created("hash:net", 4, wanted))
    host.run(["ipset", "-exist", "add", NAME, "10.0.0.0/8", "nomatch"])
    repair(runner, read, wanted)


@pytest.mark.parametrize("options", [[], ["nomatch"]])
def test_an_element_that_we_never_write_is_taken_out(
    host: Host, runner: HostRunner, read: Reading, options: list[str]
) -> None:
    commit(runner, *created("hash:net,port", 4, set()))
    host.run(["ipset", "add", NAME, "10.0.0.0/8,icmp:timestamp-request", *options])
    repair(runner, read, frozenset())


def test_large_sets_are_read_whole_or_by_their_header(
    host: Host, runner: HostRunner, read: Reading
) -> None:
    first = int(ip_network("10.0.0.0/8").network_address)
    many = frozenset[LiveElement]((IPv4Network((first + 256 * n, 24)),) for n in range(20000))
    commit(runner, *created("hash:net", 4, many))
    host.run(["ipset", "create", "foreign", "hash:net"])
    assert read()[NAME].elements == many
    header = read(headers_only=lambda _name, _count: True)
    assert set(header) == {NAME}
    assert (header[NAME].elements, header[NAME].count) == (None, 20000)


def test_a_full_set_and_an_unknown_type_are_reported(runner: HostRunner) -> None:
    full = CreateSet(NAME, "hash:ip", 4, 1, 1, timeout=False)
    commit(runner, full, AddElements(NAME, frozenset({ONE})))
    with pytest.raises(Failed, match="an ipset is full"):
        commit(runner, AddElements(NAME, frozenset({(ip_network("10.0.0.2"),)})))
    with pytest.raises(Failed, match="typename 'hash:nonsense' is unknown"):
        commit(runner, CreateSet("dockerfw-deny4", "hash:nonsense", 4, 1, 1, timeout=False))
