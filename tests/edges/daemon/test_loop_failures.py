"""What fails is tried again, and keeps nothing else from being done."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from dockerfw.dns.resolver import Moved
from dockerfw.docker.reports import Changed
from dockerfw.errors import Failed
from dockerfw.kernel.ipset.render import render
from dockerfw.operations import policy_in_force
from dockerfw.operations.reconcile import Reconciler
from dockerfw.plan.steps import WriteSets
from dockerfw.rules.compiler import compile_ruleset
from tests.clock import FakeClock
from tests.edges.daemon.bench import WEB, Bench, here, on_front
from tests.edges.daemon.played_host import FACTS, PlayedKernel, PlayedStore, nothing


def test_a_write_that_fails_as_docker_answers_does_not_end_the_looking(bench: Bench) -> None:
    web = on_front("web", 2)
    bench.follow(WEB, here(web))
    bench.pass_time(31)
    bench.finish()
    assert bench.awaits_docker
    bench.kernel.broken = "The set with the given name does not exist"
    bench.answer(here(web, on_front("web2", 3)))
    assert "does not exist" in bench.log
    bench.kernel.broken = ""
    asked = bench.docker.asked
    bench.pass_time(31)
    bench.finish()
    assert bench.docker.asked > asked
    bench.answer(here(web, on_front("web2", 3)))
    steps = [step for seen in bench.kernel.written for step in seen.plan.steps]
    assert any("172.18.0.3" in render(s, now=None) for s in steps if isinstance(s, WriteSets))


def test_ports_that_could_not_be_written_to_the_seal_are_written_later(bench: Bench) -> None:
    bench.follow(WEB, here())
    bench.report(Changed(here(on_front("web", 2, 8080))))
    bench.kernel.broken = "nft crashed"
    bench.pass_time(0.5)
    bench.kernel.broken = ""
    assert not bench.kernel.documents
    bench.pass_time(3)
    assert "8080" in "".join(bench.kernel.documents)


def test_what_is_wrong_with_one_thing_keeps_no_other_from_being_done(bench: Bench) -> None:
    bench.follow(WEB, here(on_front("web", 2)))
    bench.kernel.broken = "it is broken"
    bench.names.moved = Moved({}, ("host:a.example is 192.0.2.1",))
    bench.daemon.names_moved()
    bench.report(Changed(here()))
    assert "it is broken" in bench.log
    assert "host:a.example is 192.0.2.1" in bench.log


def test_a_list_that_cannot_be_kept_on_the_disk_counts_all_the_same(
    bench: Bench, tmp_path: Path
) -> None:
    friends = tmp_path / "friends.netset"
    friends.write_text("198.51.100.7\n")
    friends.chmod(0o600)
    rule = f'[[allow]]\nto = "web"\nports = [80]\nfrom = ["file:{friends}"]\n'
    bench.apply(rule, {str(friends): b"198.51.100.7\n"})
    bench.begin()
    bench.connected(here(on_front("web", 2)))
    bench.settle(here(on_front("web", 2)))
    friends.write_text("192.0.2.9\n")
    bench.store.disk.full = True
    bench.daemon.files_changed()
    bench.turn()
    sets = bench.kernel.live.sets.values()
    entries = {str(element) for s in sets for element in s.elements or ()}
    assert any("192.0.2.9" in entry for entry in entries), entries
    assert not any("198.51.100.7" in entry for entry in entries), entries
    assert "No space left" in bench.log


def test_a_full_disk_keeps_nothing_from_being_put_right(tmp_path: Path) -> None:
    store = PlayedStore(tmp_path)
    kernel = PlayedKernel()
    reconciler = Reconciler(kernel, store, FakeClock().time)
    ruleset = compile_ruleset(policy_in_force.CLOSED, here(), FACTS)
    seen = reconciler.compare(ruleset, FACTS, nothing())
    store.disk.full = True
    with pytest.raises(Failed, match="No space"):
        reconciler.execute(seen, "iptables-restore")
    assert {"ipset", "iptables", "nft"} <= {*kernel.tools}


def test_the_end_says_so_with_a_full_disk_as_well(bench: Bench) -> None:
    bench.follow(WEB, here())
    bench.store.disk.full = True
    bench.end()
    assert "No space left" in bench.log
    assert "stopped; the rules stay" in bench.log


def test_a_lock_that_cannot_be_opened_is_tried_again(bench: Bench) -> None:
    bench.follow(WEB, here())
    run, bench.store.run = bench.store.run, Path("/proc/version/no")
    bench.report(Changed(here(on_front("web", 2))))
    assert "cannot write" in bench.log
    bench.store.run = run
    bench.pass_time(3)
    assert any("172.18.0.2" in line for line in bench.kernel.lines)


def test_when_dockers_socket_is_made_it_is_connected_to_at_once(
    bench: Bench, tmp_path: Path
) -> None:
    path = tmp_path / "s"
    bench.docker_socket.watch([path])
    bench.follow(WEB, here())
    bench.lose()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        bench.daemon.docker_socket_changed()
    assert bench.docker.hurried == 1
    bench.daemon.docker_socket_changed()
    assert bench.docker.hurried == 1
