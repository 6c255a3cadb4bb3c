"""What a host gave when the policy was applied, and has lost since."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dockerfw.model.host import FirstPacket, HostFacts, Proxy
from dockerfw.report.lost import given, lost
from tests.unit.report.scene import FACTS

CLOSED = replace(FACTS, proxy=Proxy(first_packet="closed"))
WITHOUT: list[tuple[HostFacts, str]] = [
    (replace(CLOSED, labels=False), "cannot be labelled"),
    (replace(CLOSED, frames=False), "NET_RAW"),
    (replace(CLOSED, proxy=Proxy(first_packet="elsewhere")), "docker.service"),
    (replace(CLOSED, nf_tables=False, labels=False, frames=False, proxy=Proxy()), "nothing seals"),
]


@pytest.mark.parametrize("facts, said", WITHOUT)
def test_what_was_there_when_it_was_applied_and_is_not_any_more_is_a_reason(
    facts: HostFacts, said: str
) -> None:
    (reason,) = lost(given(CLOSED), facts)
    assert said in reason
    assert lost(given(facts), facts) == (), "as it was applied"
    assert lost((), facts) == (), "applied by an older dockerfw"
    assert lost(given(CLOSED), CLOSED) == ()


@pytest.mark.parametrize(
    "first_packet, counts",
    [("unseen", False), ("no proxy", False), ("unsupported", True), ("crashed", True)],
)
def test_docker_that_does_not_run_has_lost_nothing(first_packet: FirstPacket, counts: bool) -> None:
    facts = replace(CLOSED, proxy=Proxy(first_packet=first_packet))
    assert bool(lost(given(CLOSED), facts)) == counts
