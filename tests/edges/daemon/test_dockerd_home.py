"""dockerd starts in another cgroup, or listens on more: the seal's rules follow at once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dockerfw.daemon.transitions import DOCKERD_PAUSE
from dockerfw.model.host import Cgroup, Proxy
from dockerfw.model.net import Port
from tests.edges.daemon.bench import WEB, Bench, here
from tests.edges.daemon.played_host import FACTS

UNIT = "system.slice/docker.service"
MANAGERS = frozenset({Port("tcp", 2377)})


def unit(inode: int) -> Cgroup:
    return Cgroup(UNIT, 2, inode, unit=True)


def moves(bench: Bench, proxy: Proxy) -> str:
    """Dockerd has moved, and the kernel tells of it; what nft is given."""
    told_in = bench.watch_dockerd()
    bench.kernel.host = replace(bench.kernel.host, proxy=replace(proxy, told_in=str(told_in)))
    before = len(bench.kernel.documents)
    told_in.write_text("{}")
    bench.daemon.dockerd.noticed()
    bench.turn()
    return "".join(bench.kernel.documents[before:])


@pytest.fixture(params=["followed", "not followed yet", "away"])
def host(request: pytest.FixtureRequest, bench: Bench) -> Bench:
    """A daemon, and dockerd in its unit."""
    bench.kernel.host = replace(FACTS, proxy=Proxy(unit(70), first_packet="closed"))
    if request.param == "not followed yet":
        bench.apply(WEB)
        bench.begin()
        bench.turn()
    else:
        bench.follow(WEB, here())
    if request.param == "away":
        bench.lose()
    return bench


def test_a_new_cgroup_is_closed_before_docker_answers_and_elements_stay(host: Bench) -> None:
    document = moves(host, Proxy(unit(71)))
    assert f'level 2 "{UNIT}"' in document
    assert "delete table" not in document
    assert "add element" not in document
    assert host.sealed.proxies == unit(71)
    assert f"cgroup {UNIT} is a new one" in host.log
    assert moves(host, Proxy(unit(71))) == "", "nothing has moved"


def test_a_cgroup_that_has_gone_is_let_go_of(host: Bench) -> None:
    """Nft could not load what it would print of that rule."""
    assert moves(host, Proxy()) == "", "another one may come in a moment"
    before = len(host.kernel.documents)
    host.pass_time(DOCKERD_PAUSE)
    document = "".join(host.kernel.documents[before:])
    assert "socket cgroupv2" not in document
    assert "delete chain inet dockerfw proxies" in document
    assert host.sealed.proxies is None


def test_a_restart_is_one_write(host: Bench) -> None:
    before = len(host.kernel.documents)
    moves(host, Proxy())
    moves(host, Proxy(unit(71)))
    host.pass_time(DOCKERD_PAUSE)
    assert sum("socket cgroupv2" in text for text in host.kernel.documents[before:]) == 1


def test_what_dockerd_itself_listens_on_from_now_on_is_spared(host: Bench) -> None:
    document = moves(host, Proxy(unit(70), MANAGERS))
    assert "add element inet dockerfw dockerd { 6 . 2377 }" in document
