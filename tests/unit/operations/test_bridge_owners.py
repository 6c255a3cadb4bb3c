"""A bridge is somebody else's by an answer of Docker alone: what is unknown is closed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dockerfw.model.host import Bridge, HostFacts, Proxy
from dockerfw.model.net import Port
from dockerfw.model.policy import Policy
from dockerfw.operations.bridge_owners import await_claims, by_answer, by_record
from dockerfw.operations.session import Session
from dockerfw.rules.compiler import compile_ruleset
from tests import build
from tests.clock import FakeClock

VIRT, LATE = Bridge("virbr0", index=5), Bridge("backoffice", index=9)
DOCKERS = ("br-0123456789ab", "docker0", "docker_gwbridge")
HOST = HostFacts(bridges=(VIRT, LATE, *map(Bridge, DOCKERS)))
NOTHING = build.inventory()
OFFICE = build.inventory(build.network("office", "172.30.0.0/16", bridge="backoffice"))


def test_facts_alone_know_no_foreign_bridge() -> None:
    assert compile_ruleset(Policy(), NOTHING, HOST).seal.foreign_bridges == frozenset()


def test_by_an_answer_it_is_what_docker_does_not_have() -> None:
    assert by_answer(HOST, OFFICE).foreign_bridges == {"virbr0"}
    assert by_answer(HOST, NOTHING, among={"virbr0"}).foreign_bridges == {"virbr0"}


@pytest.mark.parametrize(
    "about",
    [
        replace(HOST, bridges=(VIRT, replace(LATE, has_containers=True))),
        replace(HOST, named_by_docker=frozenset({"backoffice", "eth0"})),
    ],
    ids=["a container in it", "a rule of Docker"],
)
def test_what_shows_something_of_dockers_is_nobody_elses(
    session: Session, about: HostFacts
) -> None:
    assert by_answer(about, NOTHING).foreign_bridges == {"virbr0"}
    session.store.last_seen.remember_host(by_answer(HOST, NOTHING))
    assert by_record(about, session.store.last_seen).foreign_bridges == {"virbr0"}


def test_by_the_record_there_is_never_a_new_one(session: Session) -> None:
    last_seen = session.store.last_seen
    assert by_record(HOST, last_seen).foreign_bridges == frozenset()
    last_seen.remember_host(by_answer(HOST, OFFICE))
    assert by_record(HOST, last_seen).foreign_bridges == {"virbr0"}
    assert by_record(HostFacts(), last_seen).foreign_bridges == {"virbr0"}, "made later in a boot"
    last_seen.remember(build.inventory(build.network("given", "10.5.0.0/24", bridge="virbr0")))
    assert by_record(HOST, last_seen).foreign_bridges == frozenset()


def test_a_dockerd_that_does_not_run_yet_starts_where_it_did_and_keeps_its_own_ports(
    session: Session,
) -> None:
    api, more = frozenset({Port("tcp", 2375)}), frozenset({Port("tcp", 1)})
    last = Proxy(first_packet="closed", homes=("a.service",), dockerd_ports=api)
    session.store.last_seen.remember_host(HostFacts(proxy=last))

    def recorded(proxy: Proxy) -> tuple[tuple[str, ...], frozenset[Port]]:
        found = by_record(HostFacts(proxy=proxy), session.store.last_seen).proxy
        return found.homes, found.dockerd_ports

    waits = Proxy(first_packet="unseen", homes=("b", "a.service"), dockerd_ports=more)
    assert recorded(waits) == (("a.service", "b"), api | more)
    assert recorded(replace(waits, homes=())) == ((), api | more), "it may run, and is not seen"
    runs = replace(waits, first_packet="elsewhere", homes=())
    assert recorded(runs) == ((), more), "what is seen counts"


def test_those_of_the_record_have_had_their_grace(session: Session, clock: FakeClock) -> None:
    session.store.last_seen.remember_host(by_answer(HOST, OFFICE))
    found, _ = await_claims(session, Policy(), HOST, OFFICE)
    assert found.foreign_bridges == {"virbr0"}
    assert clock.slept == []


def test_a_bridge_whose_name_cannot_be_written_is_not_waited_for(
    session: Session, clock: FakeClock
) -> None:
    """It is sealed whatever Docker answers."""
    odd = replace(HOST, bridges=(*HOST.bridges, Bridge("a*b", index=11)))
    session.store.last_seen.remember_host(by_answer(HOST, OFFICE))
    found, _ = await_claims(session, Policy(), odd, OFFICE)
    assert found.foreign_bridges == {"virbr0"}
    assert clock.slept == []
