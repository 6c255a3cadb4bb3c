"""What the kernel records of denied packets, with packets, on both flavours of iptables."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import pytest

from dockerfw.kernel.netfilter import Netfilter
from dockerfw.model.denial import Denial
from dockerfw.model.net import FAMILIES, Family, Port
from dockerfw.report.traffic import count_traffic, counted_sets
from dockerfw.rules.ruleset import RECORDS
from tests.build import allow, policy
from tests.lab.packet import Packet
from tests.lab.wait import becomes_true, until
from tests.packets.runner import HostRunner
from tests.packets.scene import HOST, Scene, at

OFFICE: dict[Family, str] = {4: "203.0.113.2", 6: "2001:db8:1::2"}
STRANGER: dict[Family, str] = {4: "203.0.113.9", 6: "2001:db8:1::9"}
POLICY = policy(allow(*OFFICE.values(), to="web", ports=(80, "53/udp")), baseline=())
OBSERVING = replace(POLICY, mode="observe")


@pytest.fixture(params=["nft", "legacy"])
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    flavour: Literal["nft", "legacy"] = request.param
    with Scene(flavour=flavour) as scene:
        yield scene


def kernel(scene: Scene) -> Netfilter:
    return Netfilter(HostRunner(scene.host), time.time)


def denials(scene: Scene) -> tuple[Denial, ...]:
    return kernel(scene).denials()


def recorded(scene: Scene) -> set[tuple[str, str, Port, int]]:
    return {(str(d.source), str(d.destination), d.port, d.packets) for d in denials(scene)}


def udp(scene: Scene, source: str, address: str, port: int) -> bool:
    return scene.outside.udp(address, port, source=source, patience=0.5).reached


def test_who_is_denied_is_recorded_with_container_and_port(scene: Scene) -> None:
    scene.commit(POLICY)
    began = time.time()
    for family in FAMILIES:
        assert udp(scene, OFFICE[family], HOST[family], 5353)
        assert udp(scene, OFFICE[family], at("web", family), 53)
    assert recorded(scene) == set()
    for family in FAMILIES:
        assert not udp(scene, STRANGER[family], at("web", family), 53)
        assert not udp(scene, STRANGER[family], HOST[family], 5353)
        assert not udp(scene, OFFICE[family], at("db", family), 5432)
    dns, db = Port("udp", 53), Port("udp", 5432)
    assert recorded(scene) == {
        # Led on by NAT or sent there directly: it is the container's port.
        ("203.0.113.2/32", at("db", 4), db, 1),
        ("203.0.113.9/32", at("web", 4), dns, 2),
        # In IPv6 docker-proxy answers at the host port. Office and stranger are in one /64.
        ("2001:db8:1::/64", at("web", 6), dns, 1),
        ("2001:db8:1::/64", HOST[6], Port("udp", 5353), 1),
        ("2001:db8:1::/64", at("db", 6), db, 1),
    }
    assert all(began - 2 <= d.first <= d.last <= time.time() + 1 for d in denials(scene))


def test_a_flow_that_is_denied_anew_is_recorded_at_its_last_packet(scene: Scene) -> None:
    scene.commit(POLICY)
    assert not udp(scene, STRANGER[4], HOST[4], 5353)
    (first,) = denials(scene)
    until(lambda: time.time() > first.first + 2, "two seconds of the clock")
    assert not udp(scene, STRANGER[4], HOST[4], 5353)
    (again,) = denials(scene)
    assert again.packets == 2
    assert abs(again.first - first.first) <= 1
    assert again.last >= first.last + 1


def test_spoofed_packets_are_not_recorded(scene: Scene) -> None:
    """What claims to come from a container tells nothing about who sent it."""
    anyone = policy(allow("any", to="web", ports=(80, "53/udp")), baseline=())
    claimed = {4: "172.19.0.99", 6: "fd00:19::99"}
    for rules in (POLICY, anyone, OBSERVING):
        scene.commit(rules)
        for family in FAMILIES:
            for address, port in ((at("web", family), 53), (HOST[family], 5353)):
                scene.outside.forge(Packet("udp", claimed[family], address, port=port))
                if rules != OBSERVING:  # else its own answers are on record
                    web = at("web", family)
                    scene.outside.forge(Packet("udp", web, at("db", family), port=port))
                    scene.outside.forge(Packet("udp", HOST[family], address, port=port))
    # What comes after them tells that they were dealt with.
    assert udp(scene, STRANGER[4], at("db", 4), 5432)
    sources = {source for source, *_ in recorded(scene)}
    assert f"{STRANGER[4]}/32" in sources
    # In observe mode web answers them.
    assert sources <= {f"{STRANGER[4]}/32", f"{at('web', 4)}/32", "fd00:18::/64"}


def test_what_would_be_denied_is_recorded_and_counted_once(scene: Scene) -> None:
    scene.commit(OBSERVING)
    for family in FAMILIES:
        for _ in range(2):
            assert udp(scene, STRANGER[family], at("web", family), 53)
            assert udp(scene, STRANGER[family], HOST[family], 5353)
            # What meets the chains a second time is the same packet.
            scene.iptables(family, "-I", "FORWARD", "-j", "DOCKER-USER")
            scene.iptables(family, "-I", "INPUT", "-j", "DOCKERFW-INPUT")
    assert recorded(scene) == {
        ("203.0.113.9/32", at("web", 4), Port("udp", 53), 4),
        ("2001:db8:1::/64", at("web", 6), Port("udp", 53), 2),
        ("2001:db8:1::/64", HOST[6], Port("udp", 5353), 2),
    }
    ruleset = scene.commit(OBSERVING).last.ruleset
    counters = kernel(scene).set_counters(counted_sets(ruleset))
    denied = count_traffic(counters, ruleset, scene.inventory).denied
    assert sum(row.packets for row in denied) == 8


def test_records_stand_through_applies_and_go_with_remove(scene: Scene) -> None:
    scene.commit(POLICY)
    assert not udp(scene, STRANGER[4], HOST[4], 5353)
    before = recorded(scene)
    assert before
    assert scene.commit(POLICY).steps == 0
    assert recorded(scene) == before
    assert scene.commit(OBSERVING).steps
    assert recorded(scene) == before
    scene.reconciler.remove()
    assert recorded(scene) == set()
    assert "dockerfw" not in scene.host.run(["ipset", "list", "-n"]).stdout


def test_what_is_denied_is_logged_where_the_policy_asks_for_it(scene: Scene) -> None:
    """The kernel prints what a namespace logs for the first one alone, so the rule is asked."""
    scene.commit(replace(POLICY, log=True))
    for _ in range(3):
        assert not udp(scene, STRANGER[4], HOST[4], 5353)
    assert scene.commit(replace(POLICY, log=True)).steps == 0
    rules = scene.host.run(["iptables-save", "-c"]).stdout
    (logged,) = [line for line in rules.splitlines() if "denied, logged" in line]
    assert logged.startswith("[3:")
    assert '-j LOG --log-prefix "dockerfw denied: "' in logged


def flood(scene: Scene, first: str, count: int) -> None:
    """Send a datagram to the database's port from each of so many sources."""
    order = {"address": at("db", 4), "port": 5432, "first": first, "count": count}
    call = [sys.executable, "-S", "-c", "from tests.lab.flood import main; main()"]
    scene.outside.run(call, stdin=json.dumps(order) + "\n")


def in_set(scene: Scene, name: str) -> int:
    return scene.reconciler.kernel.read_set_headers()[name].count


@pytest.mark.slow
def test_a_hundred_thousand_forged_sources_fill_nothing_and_open_nothing(scene: Scene) -> None:
    scene.commit(POLICY)
    blocks = iter(range(1000))

    def full() -> bool:
        flood(scene, f"198.18.{next(blocks) % 256}.0", 250)
        return in_set(scene, "dockerfw-denied4") >= RECORDS

    # As slowly as it is recorded: some 100 a second.
    until(full, "a full set of records", 120)
    flood(scene, "198.18.0.0", 100_000)
    assert in_set(scene, "dockerfw-denied4") == RECORDS
    assert in_set(scene, "dockerfw-again4") <= RECORDS
    assert not scene.outside.tcp(at("db", 4), 5432, source=STRANGER[4], patience=1).reached
    assert udp(scene, OFFICE[4], HOST[4], 5353)

    def seen() -> bool:
        """Somebody new takes the place of one of the flood."""
        assert not udp(scene, STRANGER[4], HOST[4], 5353)
        return any(str(d.source) == f"{STRANGER[4]}/32" for d in denials(scene))

    assert becomes_true(seen, 20)
    assert scene.commit(POLICY).steps == 0
