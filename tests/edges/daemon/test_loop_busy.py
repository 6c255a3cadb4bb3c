"""The loop is neither idle while there is something to do, nor busy for ever."""

from __future__ import annotations

import select
import selectors
import socket
from pathlib import Path

from dockerfw.daemon.full_check import TRIES
from dockerfw.daemon.lifecycle_lines import HELD_UP
from dockerfw.dns.lookup import System
from dockerfw.dns.resolver import Resolver
from dockerfw.docker.reports import Changed
from dockerfw.model.inventory import Container
from tests.clock import FakeClock
from tests.edges.daemon.bench import WEB, Bench, here, on_front


def test_rules_are_put_right_while_docker_takes_its_time_to_answer(bench: Bench) -> None:
    bench.follow(WEB, here())
    bench.pass_time(31)
    bench.finish()
    assert bench.awaits_docker
    bench.lose_seal()
    bench.changed_rules("nft")
    bench.finish()
    assert bench.kernel.live.seal is not None


def test_rules_are_put_right_while_containers_come_and_go_all_the_time(bench: Bench) -> None:
    bench.follow(WEB, here())
    bench.lose_seal()
    bench.changed_rules("nft")
    bench.worker.finish()
    bench.report(Changed(here(on_front("web", 2))))  # elements are written before it is judged
    assert bench.kernel.live.seal is not None


def test_looks_that_are_always_overtaken_find_no_drift(bench: Bench) -> None:
    bench.follow(WEB, here())
    containers: list[Container] = []
    bench.pass_time(31)
    for number in range(TRIES + 2):
        bench.worker.finish()
        bench.turn()
        containers.append(on_front(f"other{number}", 10 + number))
        bench.report(Changed(here(*containers)))
        bench.kernel.stand(bench.daemon.enforcer._ledger.ruleset())  # type: ignore[union-attr]
        if bench.awaits_docker:
            bench.answer(here(*containers))
        bench.pass_time(0.2)
    assert not bench.kernel.written
    assert "put right" not in bench.log


def test_drift_is_found_though_every_snapshot_is_overtaken(bench: Bench) -> None:
    bench.follow(WEB, here(on_front("web", 2, 8080)))
    containers = [on_front("web", 2, 8080)]
    bench.pass_time(31)
    for number in range(TRIES + 1):
        assert "put right" not in bench.log
        bench.finish()
        containers.append(on_front(f"web{number}", 10 + number))
        bench.report(Changed(here(*containers)))
        bench.kernel.stand(bench.daemon.enforcer._ledger.ruleset())  # type: ignore[union-attr]
        bench.lose_entries("dockerfw-pub4")
        bench.answer(here(*containers))
        bench.turn()
    assert "put right" in bench.log
    assert bench.kernel.live.sets["dockerfw-pub4"].elements


def test_a_check_that_waits_for_docker_does_not_keep_others_from_beginning(bench: Bench) -> None:
    """Docker is lost before it answers."""
    bench.follow(WEB, here())
    bench.pass_time(31)
    bench.finish()
    assert bench.awaits_docker
    bench.lose()
    bench.lose_seal()
    bench.pass_time(1)
    bench.finish()
    assert bench.kernel.live.seal is not None


def test_links_that_change_all_the_time_make_no_queue(bench: Bench) -> None:
    bench.follow(WEB, here())
    for _ in range(20):
        bench.changed_links()
    assert len(bench.worker.todo) <= 3, "looks would wait behind it"


def readable(resolver: Resolver) -> bool:
    return bool(select.select([resolver], [], [], 0)[0])


def test_a_process_that_keeps_the_lock_is_told_of_until_it_lets_go(bench: Bench) -> None:
    bench.follow(WEB, here(on_front("web", 2)))
    with bench.store.lock(lambda _: None):
        bench.report(Changed(here(on_front("web", 3))))
        bench.pass_time(4)
        assert HELD_UP not in bench.log
        bench.pass_time(2)
        bench.pass_time(2)
        assert bench.log.getvalue().count(HELD_UP) == 1
        told = bench.store.daemon.read()
        assert told is not None
        assert HELD_UP in told.notes
    bench.pass_time(1)
    told = bench.store.daemon.read()
    assert told is not None
    assert HELD_UP not in told.notes


def test_names_that_moved_do_not_keep_the_loop_awake_while_another_has_the_lock(
    tmp_path: Path,
) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("192.0.2.1 a.example\n")
    resolver = Resolver(FakeClock(), System(hosts))
    bench = Bench(tmp_path, resolver)
    bench.follow('[[allow]]\nto = "web"\nports = [80]\nfrom = ["host:a.example"]\n', here())
    assert select.select([resolver], [], [], 30)[0], "the name is not looked up"
    with bench.store.lock(lambda _: None):
        bench.daemon.names_moved()
        bench.turn()
        assert not readable(resolver)
    bench.pass_time(0.1)
    assert "host:a.example is 192.0.2.1" in bench.log
    bench.close()


def test_it_waits_for_a_rule_that_ends_in_years(bench: Bench) -> None:
    bench.apply(f"{WEB}until = 2099-01-01T00:00:00Z\n")
    bench.begin()
    wait = bench.daemon.schedule.wait()
    assert wait is not None
    with selectors.DefaultSelector() as selector, socket.socket(socket.AF_UNIX) as one:
        selector.register(one, selectors.EVENT_READ)  # a socket that hung up is ready at once
        assert selector.select(wait)
