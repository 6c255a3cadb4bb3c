"""The text of ``ipset save`` of our records -> `Denial`s."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from dockerfw.kernel.ipset.records import denials, read
from dockerfw.model.denial import Denial
from dockerfw.model.net import Port
from tests.unit.kernel.fake_runner import FakeRunner

NOW = 1_800_000_000.0
DAY = 86_400


def line(name: str, entry: str, left: int, packets: int = 1) -> str:
    return f"add {name} {entry} timeout {left} packets {packets} bytes {60 * packets}"


def test_an_element_is_a_denial_that_began_a_day_before_its_end() -> None:
    entry = "172.18.0.2,tcp:5432,203.0.113.9"
    found = denials([line("dockerfw-denied4", entry, DAY - 50, 17)], [], 4, NOW)
    assert found == (
        Denial(
            ip_network("203.0.113.9/32"), ip_address("172.18.0.2"), Port("tcp", 5432),
            17, 1020, first=NOW - 50, last=NOW - 50,
        ),
    )  # fmt: skip


def test_what_came_again_has_its_last_time_from_the_other_set() -> None:
    entry = "172.18.0.2,udp:53,203.0.113.9"
    begun = [line("dockerfw-denied4", entry, DAY - 500, 3)]
    again = [line("dockerfw-again4", entry, DAY - 20)]
    (one,) = denials(begun, again, 4, NOW)
    assert (one.first, one.last) == (NOW - 500, NOW - 20)


def test_whole_addresses_of_ipv6_are_one_source_with_their_network() -> None:
    lines = [
        "create dockerfw-denied6 hash:ip,port,net family inet6",
        "add dockerfw-denied6 ::,tcp:0,100::/64 timeout 0 packets 0 bytes 0",
        line("dockerfw-denied6", "fd00:18::2,tcp:80,2001:db8:1::/64", DAY - 9, 2),
        line("dockerfw-denied6", "fd00:18::2,tcp:80,2001:db8:1::7", DAY - 5, 3),
    ]
    (one,) = denials(lines, [], 6, NOW)
    assert (str(one.source), one.packets) == ("2001:db8:1::/64", 5)
    assert (one.first, one.last) == (NOW - 9, NOW - 5)


def test_ping_is_told_from_other_icmp_and_what_has_no_name_has_a_number() -> None:
    lines = [
        line("dockerfw-denied4", "172.18.0.2,icmp:echo-request,203.0.113.9", DAY, 2),
        line("dockerfw-denied4", "172.18.0.2,icmp:timestamp-request,203.0.113.9", DAY, 1),
        line("dockerfw-denied4", "172.18.0.2,47:0,203.0.113.9", DAY, 1),
        line("dockerfw-denied4", "172.18.0.2,icmp:40/3,203.0.113.9", DAY, 1),
        line("dockerfw-denied4", "172.18.0.2,icmp:\x1b,203.0.113.9", DAY, 1),
        line("dockerfw-denied4", "not an entry", DAY),
    ]
    found = {(d.port, d.packets) for d in denials(lines, [], 4, NOW)}
    assert found == {
        (Port("icmp", 0), 2),
        (Port("icmp-timestamp-request", 0), 1),
        (Port("icmp-40/3", 0), 1),
        (Port("47", 0), 1),
    }


def test_sets_that_do_not_stand_are_not_asked_for() -> None:
    entry = line("dockerfw-denied4", "172.18.0.2,tcp:80,203.0.113.9", DAY)
    runner = FakeRunner(
        {
            "ipset list -n": "dockerfw-denied4\nsomebody-elses\n",
            "ipset save dockerfw-denied4": entry,
        }
    )
    assert [str(d.source) for d in read(runner, NOW)] == ["203.0.113.9/32"]
