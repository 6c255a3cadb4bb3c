"""What is asked of the kernel and of Docker for ``dockerfw denied``, and in what case not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from dockerfw.errors import Failed
from dockerfw.model.denial import Denial
from dockerfw.model.history import Entry
from dockerfw.model.host import HostFacts
from dockerfw.model.net import Port
from dockerfw.operations.denied import SHOWN, Question, follow, read_denied
from dockerfw.operations.session import Session
from dockerfw.plan.state import SetState
from dockerfw.policy.document import Document
from dockerfw.policy.files import PolicyText
from dockerfw.state.stored_policy import Applied
from tests import build

SHOP = build.inventory(
    build.network("front", "172.18.0.0/16"), build.container("web", "front 172.18.0.2")
)


def denial(number: int, packets: int = 1, last: float = 0) -> Denial:
    source = ip_network(f"203.0.113.{number}/32")
    return Denial(source, ip_address("172.18.0.2"), Port("tcp", 80), packets, 60, last, last)


class Recording:
    """A kernel that has records, one reading after the other."""

    def __init__(self, *readings: tuple[Denial, ...]) -> None:
        self.readings = list(readings)

    def read_set_headers(self) -> Mapping[str, SetState]:
        if not self.readings:
            return {}
        name = "dockerfw-denied4"
        return {name: SetState(name, "hash:ip,port,net", 4, 4096, 0, None, timeout=True)}

    def denials(self) -> tuple[Denial, ...]:
        return self.readings.pop(0) if len(self.readings) > 1 else self.readings[0]

    def facts(self) -> HostFacts:
        return HostFacts()


def host(session: Session, *readings: tuple[Denial, ...]) -> Session:
    """Where Docker does not answer, and this was last seen of it."""
    session.store.last_seen.remember(SHOP)
    kernel: Any = Recording(*readings)
    return replace(session, kernel=kernel, docker_host=None)


@pytest.fixture(autouse=True)
def no_docker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")


def test_the_first_rows_are_for_people_and_all_for_who_asks(session: Session) -> None:
    now = session.clock.time()
    many = tuple(denial(n, last=now - n) for n in range(SHOWN + 5))
    found = read_denied(host(session, many), Question())
    assert [row.denial for row in found.rows] == list(many[:SHOWN])
    assert found.lines()[-2] == "and 5 more: dockerfw denied -v"
    assert len(read_denied(host(session, many), Question(all=True)).rows) == SHOWN + 5
    assert len(read_denied(host(session, many), Question(seconds=3)).denials) == 4


def put_in_force(session: Session, number: int, at: float, body: str) -> None:
    config = "/etc/dockerfw/config.toml"
    text = PolicyText((Document(config, body.encode()),), {})
    session.store.policy.replace(text, Applied(config, at, "nft", number=number))
    session.store.history.keep(Entry(number, at, "ann", "apply", "", 0, 0, config, number - 1))


def test_what_came_while_the_policy_before_observed_was_let_in(session: Session) -> None:
    now = session.clock.time()
    seen = host(session, (denial(9, last=now - 200),))
    for number, (ago, mode) in enumerate(((300, "observe"), (120, "enforce"), (60, "enforce")), 1):
        put_in_force(seen, number, now - ago, f'[firewall]\nmode = "{mode}"\n# {number}\n')
    found = read_denied(seen, Question())
    assert found.dropped_since == now - 120
    assert found.lines()[1] == "Until 2 min ago the policy observed: what came before was let in"


def test_what_a_policy_of_no_history_dropped_is_told_as_it_is(session: Session) -> None:
    now = session.clock.time()
    seen = host(session, (denial(9, last=now - 200),))
    put_in_force(seen, 7, now - 100, "")
    assert read_denied(seen, Question()).dropped_since == 0


def test_where_docker_is_silent_names_are_those_last_seen(
    session: Session, notices: list[str]
) -> None:
    found = read_denied(host(session, (denial(9, last=session.clock.time()),)), Question())
    assert found.rows[0].text == "203.0.113.9 → web:80/tcp"
    assert any("names are those that were last seen" in notice for notice in notices)


def test_a_socket_that_was_named_and_is_not_there_is_no_matter_of_names(session: Session) -> None:
    asked = host(session, (denial(9, last=session.clock.time()),))
    with pytest.raises(Failed, match="there is no socket at"):
        read_denied(replace(asked, docker_host=session.docker_host), Question())


def test_an_engine_that_is_refused_is_no_matter_of_names(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "ssh://root@203.0.113.7")
    with pytest.raises(Failed, match="is a remote engine"):
        read_denied(host(session, (denial(9, last=session.clock.time()),)), Question())


def test_with_nothing_in_force_the_next_step_is_told(session: Session) -> None:
    with pytest.raises(Failed, match="no policy is in force yet, so nobody is denied: `dockerfw i"):
        read_denied(host(session), Question())
    session.store.policy.set_lockdown(True)
    with pytest.raises(Failed, match="no record of denials is in the kernel: run `dockerfw apply`"):
        read_denied(host(session), Question())


def test_it_is_for_root(session: Session) -> None:
    anybody = replace(host(session, ()), user=lambda: 1000)
    with pytest.raises(Failed, match="only root may read"):
        read_denied(anybody, Question())


def test_who_follows_gets_what_is_new(session: Session) -> None:
    before, more = (denial(1, 2),), (denial(1, 5), denial(2, 1, last=3))
    rows = follow(host(session, before, before, more))
    assert [(next(rows).denial.source, n) for n in (1, 2)] == [
        (ip_network("203.0.113.1/32"), 1),
        (ip_network("203.0.113.2/32"), 2),
    ]
