"""The seal's rule on dockerd's unit, on a real kernel: whom it closes, and a unit that has gone."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from dockerfw.kernel.nft import driver as nft
from dockerfw.kernel.nft.render import expected
from dockerfw.model.host import Cgroup
from dockerfw.model.net import Port
from dockerfw.plan.seal import WHY
from dockerfw.plan.steps import ReplaceSeal, ReplaceSealRules, WriteSeal
from dockerfw.rules.ruleset import Seal
from tests.lab.cgroups import Tree, at_home_in
from tests.lab.host import HOST_V6, Host
from tests.lab.wait import until
from tests.packets.runner import HostRunner
from tests.packets.test_seal import ONE_OF_EACH, SEAL

LISTEN = """
import signal, socket, sys
s = socket.create_server(("::", int(sys.argv[1])), family=socket.AF_INET6)
signal.pause()
"""


@pytest.fixture
def unit(host: Host) -> Path:
    """An empty cgroup as of a service."""
    made = Tree(host).top / "docker.service"
    made.mkdir()
    return made


def seal_on(folder: Path, seal: Seal = SEAL) -> Seal:
    path = folder.relative_to("/sys/fs/cgroup").as_posix()
    level = len(path.removeprefix("unified/").split("/"))
    return replace(seal, proxies=Cgroup(path, level, folder.stat().st_ino, unit=True))


def listen(host: Host, port: int, home: Path) -> None:
    with at_home_in(home):
        host.start([sys.executable, "-c", LISTEN, str(port)])
    until(lambda: host.tcp("::1", port).reached, "somebody to listen")


def reached(host: Host, port: int) -> bool:
    return host.outside.tcp(HOST_V6, port, patience=0.5).reached


def test_a_unit_is_closed_and_nobody_below_or_beside_it(
    host: Host, runner: HostRunner, unit: Path
) -> None:
    below = unit / "below"
    below.mkdir()
    homes = {81: unit, 82: below, 83: unit.parent, 84: unit}
    for port, home in homes.items():
        listen(host, port, home)
    assert [port for port in homes if reached(host, port)] == [81, 82, 83, 84], "without a seal"
    seal = seal_on(unit, replace(SEAL, dockerd_ports=frozenset({Port("tcp", 84)})))
    nft.commit(runner, WriteSeal(WHY, ReplaceSeal(seal)))
    assert nft.read(runner, frames=True) == expected(seal)
    assert [port for port in homes if reached(host, port)] == [82, 83, 84]


def test_rules_alone_are_written_for_another_cgroup_and_elements_stay(
    runner: HostRunner, unit: Path
) -> None:
    for seal in ONE_OF_EACH:
        bare, closed = replace(seal, proxies=None), seal_on(unit, seal)
        spared = replace(closed, dockerd_ports=frozenset({Port("tcp", 2377)}))
        for before, wanted in ((bare, closed), (closed, spared), (spared, bare)):
            nft.commit(runner, WriteSeal(WHY, ReplaceSeal(before)))
            nft.commit(runner, WriteSeal(WHY, ReplaceSealRules(wanted)))
            assert nft.read(runner, frames=True) == expected(wanted)


@pytest.mark.parametrize("write", [ReplaceSeal, ReplaceSealRules])
def test_a_unit_that_has_gone_since_it_was_seen_costs_its_own_rule_and_no_other(
    runner: HostRunner, unit: Path, write: type[ReplaceSeal | ReplaceSealRules]
) -> None:
    wanted = seal_on(unit)
    unit.rmdir()
    nft.commit(runner, WriteSeal(WHY, ReplaceSeal(SEAL)))
    nft.commit(runner, WriteSeal(WHY, write(replace(wanted, observe=True))))
    assert nft.read(runner, frames=True) == expected(replace(SEAL, observe=True))


def test_what_stands_for_a_unit_that_was_made_anew_is_no_longer_called_closed(
    runner: HostRunner, unit: Path
) -> None:
    nft.commit(runner, WriteSeal(WHY, ReplaceSeal(seal_on(unit))))
    unit.rmdir()
    unit.mkdir()
    now = seal_on(unit)
    assert nft.read(runner, frames=True) != expected(now)
    nft.commit(runner, WriteSeal(WHY, ReplaceSealRules(now)))
    assert nft.read(runner, frames=True) == expected(now)
