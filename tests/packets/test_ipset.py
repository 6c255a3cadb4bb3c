"""ipset on a real kernel: what is written is what is read, and nothing else moves."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

import pytest

from dockerfw.errors import Failed
from dockerfw.kernel.ipset import driver as ipset
from dockerfw.model.net import Family
from tests.lab.host import Host
from tests.packets.runner import HostRunner, inet

# (type, family, entries as dockerfw writes them)
SETS: list[tuple[str, Family, frozenset[str]]] = [
    ("hash:ip", 4, frozenset({"192.0.2.1"})),
    ("hash:ip", 6, frozenset({"2001:db8::1", "::ffff:1.2.3.4", "64:ff9b::102:304"})),
    ("hash:net", 4, frozenset({"0.0.0.0/1", "128.0.0.0/1", "192.0.2.1"})),
    ("hash:net", 6, frozenset({"::/1", "8000::/1", "2001:db8::/32"})),
    (
        "hash:net,port",
        4,
        frozenset({"10.0.0.0/8,tcp:80", "10.0.0.0/8,icmp:echo-request", "10.0.0.1,udp:53"}),
    ),
    (
        "hash:net,port",
        6,
        frozenset({"2001:db8::/64,ipv6-icmp:echo-request", "::1,sctp:9", "::1,47:0"}),
    ),
    (
        "hash:ip,port,net",
        4,
        frozenset({"10.0.0.1,tcp:80,0.0.0.0/1", "10.0.0.1,icmp:echo-request,10.0.0.2"}),
    ),
    ("hash:ip,port,net", 6, frozenset({"2001:db8::1,udp:53,2001:db8::/32"})),
    ("hash:net,iface", 4, frozenset({"172.18.0.0/16,br-0a1b2c3d4e5f", "172.17.0.0/16,docker0"})),
    ("hash:net,iface", 6, frozenset({"fd00::/64,br-0a1b2c3d4e5f"})),
]


def created(kind: str, family: Family, entries: AbstractSet[str], name: str = "dockerfw-x") -> str:
    lines = [f"create {name} {kind} family {inet(family)} maxelem 70000 counters"]
    return "\n".join([*lines, *(f"add {name} {entry}" for entry in sorted(entries)), ""])


@pytest.mark.parametrize("names_protocols", [True, False])
def test_every_kind_of_entry_reads_as_it_was_written(
    host: Host,
    runner: HostRunner,
    monkeypatch: pytest.MonkeyPatch,
    names_protocols: bool,
) -> None:
    if not names_protocols:
        host.write("/etc/protocols", "")
        monkeypatch.setattr(ipset, "_host_names_protocols", lambda: False)
    text = "".join(
        created(kind, family, entries, f"dockerfw-{n}")
        for n, (kind, family, entries) in enumerate(SETS)
    )
    ipset.commit(runner, text)
    sets = ipset.read(runner)
    assert [
        (s.type, s.family, s.entries) for s in (sets[f"dockerfw-{n}"] for n in range(len(SETS)))
    ] == SETS
    assert {(s.maxelem, s.counters, s.timeout) for s in sets.values()} == {(70000, True, False)}
    # Once more is no error, and what goes out goes.
    gone = [f"del dockerfw-{n} {e}" for n, (_, _, entries) in enumerate(SETS) for e in entries]
    ipset.commit(runner, text + "\n".join([*gone, ""]))
    assert all(not state.entries for state in ipset.read(runner).values())


def test_an_entry_added_again_keeps_its_counters(runner: HostRunner) -> None:
    ipset.commit(runner, created("hash:net", 4, set()))
    ipset.commit(runner, "add dockerfw-x 10.0.0.1 packets 5 bytes 7\n")
    ipset.commit(runner, created("hash:net", 4, {"10.0.0.1"}))
    assert ipset.counters(runner, ["dockerfw-x"]) == {"dockerfw-x": {"10.0.0.1": (5, 7)}}


def test_what_is_not_there_can_be_taken_out(runner: HostRunner) -> None:
    ipset.commit(runner, created("hash:net", 4, set()))
    ipset.commit(runner, "del dockerfw-x 10.0.0.1\ndestroy dockerfw-y\n")
    assert set(ipset.read(runner)) == {"dockerfw-x"}


@pytest.mark.parametrize("wanted", [frozenset({"10.0.0.0/8"}), frozenset[str]()])
def test_an_entry_that_a_hand_turned_off_is_healed(
    host: Host, runner: HostRunner, wanted: frozenset[str]
) -> None:
    ipset.commit(runner, created("hash:net", 4, wanted))
    host.run(["ipset", "-exist", "add", "dockerfw-x", "10.0.0.0/8", "nomatch"])
    live = ipset.read(runner)["dockerfw-x"].entries
    assert live is not None
    assert live != wanted
    more = [f"add dockerfw-x {entry}\n" for entry in wanted - live]
    less = [f"del dockerfw-x {entry}\n" for entry in live - wanted]
    ipset.commit(runner, "".join([*more, *less]))
    assert ipset.read(runner)["dockerfw-x"].entries == wanted


def test_large_sets_are_read_whole_or_by_their_header(host: Host, runner: HostRunner) -> None:
    many = frozenset(f"10.{n >> 8}.{n & 255}.0/24" for n in range(20000))
    ipset.commit(runner, created("hash:net", 4, many))
    host.run(["ipset", "create", "foreign", "hash:net"])
    assert ipset.read(runner)["dockerfw-x"].entries == many
    header = ipset.read(runner, headers_only=lambda _name, _count: True)
    assert set(header) == {"dockerfw-x"}
    assert (header["dockerfw-x"].entries, header["dockerfw-x"].count) == (None, 20000)


def test_a_full_set_and_an_unknown_type_are_told(runner: HostRunner) -> None:
    ipset.commit(runner, "create dockerfw-x hash:ip maxelem 1\nadd dockerfw-x 10.0.0.1\n")
    with pytest.raises(Failed, match="an ipset is full"):
        ipset.commit(runner, "add dockerfw-x 10.0.0.2\n")
    with pytest.raises(Failed, match="typename 'hash:nonsense' is unknown"):
        ipset.commit(runner, "create dockerfw-z hash:nonsense\n")
