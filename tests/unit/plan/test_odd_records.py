"""A record set that others made in another form is put right, and no packet fares otherwise."""

from __future__ import annotations

from itertools import islice
from random import Random

import pytest

from dockerfw.rules.ruleset import RECORDED_FOR, RECORDS
from tests import build
from tests.questions import facts_for
from tests.replay import Replay
from tests.situations import (
    Situation,
    commit,
    docker_tables,
    interesting_probes,
    passes,
    planned,
)

SHOP = build.inventory(
    build.network("front", "172.18.0.0/24", "fd00:18::/64"),
    build.container("web", "front 172.18.0.2 fd00:18::2", published=("8080:80",)),
)
POLICY = build.policy(build.allow("198.51.100.7", to="web", ports=80))
ODD: dict[str, dict[str, object]] = {
    "one element": {"maxelem": 1},
    "another time": {"lasts": 5},
    "for ever": {"lasts": 0, "timeout": False},
    "another type": {"type": "hash:ip"},
}


@pytest.mark.parametrize("name", ["dockerfw-denied4", "dockerfw-again4", "dockerfw-denied6"])
@pytest.mark.parametrize("what", ODD)
@pytest.mark.parametrize("killed_after", [0, 1, 3])
def test_a_record_of_another_form_is_made_anew_and_every_packet_fares_as_before(
    what: str, name: str, killed_after: int
) -> None:
    host = Situation(POLICY, SHOP, facts_for(SHOP))
    ruleset = host.ruleset()
    kernel = Replay({4: docker_tables(), 6: docker_tables()}, [ruleset], host.facts.addresses)
    commit(kernel, host, ruleset)
    for attribute, value in ODD[what].items():
        setattr(kernel.sets[name], attribute, value)
    first = planned(kernel, host, ruleset)
    assert [note.text for note in first.notes] == [f"set {name} was not of our making: made anew"]
    probes = interesting_probes(host, host, ruleset, ruleset, Random(1))

    def check(done: str) -> None:
        now = kernel.ruleset()
        for probe in probes:
            fate = passes(now, probe.way, probe.source, host.facts, SHOP)[0]
            assert fate == probe.before, f"after {done}\n{probe}"

    for done in islice(kernel.run(first.steps, ruleset.seal), killed_after):
        check(done)
    for done in kernel.run(planned(kernel, host, ruleset).steps, ruleset.seal):
        check(done)
    assert planned(kernel, host, ruleset).steps == ()
    right = kernel.sets[name]
    assert (right.type, right.maxelem, right.lasts) == (
        "hash:ip,port,net",
        RECORDS,
        RECORDED_FOR,
    )
    assert not [one for one in kernel.sets if one.endswith("-swap")]
