"""Three hundred ports are one row where the same came of all, and two where it did not."""

from __future__ import annotations

from dataclasses import replace

from dockerfw.model.knock import Heard
from dockerfw.report.probe import judged, lines, plan
from tests import build
from tests.build import allow, policy
from tests.unit.report.audit.hosts import docker, shop
from tests.unit.report.probe.test_lines import CALLERS

PORTS = range(20000, 20300)


def test_neighbouring_ports_with_the_same_answer_are_one_row() -> None:
    many = build.container("many", "front 172.18.0.2", published=tuple(f"{n}:{n}" for n in PORTS))
    rules = policy(allow("198.51.100.0/24", to="many", ports=("20000-20149",)), baseline=())
    host = replace(shop(many, tables=docker(forward="ACCEPT")), policy=rules)
    tries = plan(rules, host, CALLERS).tries
    heard = [Heard("answered" if one.allowed else "silent", one.allowed) for one in tries]
    screen = lines(judged(tries, heard, (), host.tables), 120)
    assert len(tries) > 600
    assert len(screen) < 20
    text = "\n".join(screen)
    assert "many:20000-20149/tcp  published 20000-20149/tcp v4  open      answered" in text
    assert "anyone, office  many:20150-20299/tcp  published 20150-20299/tcp v4  closed" in text
