"""States that a daemon is brought into, and events that are made to happen to it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from ipaddress import ip_network
from pathlib import Path

from dockerfw.daemon.repairs import MANY_REPAIRS
from dockerfw.daemon.transitions import (
    AGAIN,
    CHECK_PAUSE,
    State,
)
from dockerfw.dns.resolver import Moved
from dockerfw.docker.reports import Changed
from dockerfw.kernel.netlink import Noticed
from dockerfw.model.host import Bridge
from dockerfw.plan.state import ChainState, TablesState
from tests.edges.daemon.bench import (
    CLOSED,
    LABELLED,
    WEB,
    Bench,
    here,
    on_front,
)
from tests.edges.daemon.played_host import FACTS

RUNNING = here(on_front("web", 2, 8080))
FOLLOWING, AWAY = State.FOLLOWING, State.AWAY
WAITING, PAUSED = State.WAITING, State.PAUSED


# --- into a state --------------------------------------------------------------------------------


def enter(bench: Bench, state: State) -> None:
    """Bring a fresh daemon into a state, with no check under way."""
    if state is not WAITING:
        bench.apply(WEB)
    bench.begin()
    if state in (FOLLOWING, AWAY, PAUSED):
        bench.connected(RUNNING)
        bench.settle(RUNNING)
    if state is AWAY:
        bench.kernel.interfaces = frozenset({"veth0000001"})
        bench.lose()
        finish_all(bench)
    if state is PAUSED:
        insist(bench)
    finish_all(bench)
    bench.pass_time(AGAIN[-1] + 1)
    finish_all(bench)
    assert state in bench.daemon.states()
    assert not bench.daemon.snapshots.busy
    assert not bench.awaits_docker


def finish_all(bench: Bench) -> None:
    """All that is due now is done, and Docker answers where it is asked."""
    for _ in range(10):
        bench.finish()
        if bench.awaits_docker:
            bench.answer(RUNNING)


def insist(bench: Bench) -> None:
    """Another tool takes our rules out until repairs are paused."""
    for _ in range(2 * MANY_REPAIRS):
        if PAUSED in bench.daemon.states():
            return
        bench.lose_rules("mangle")
        bench.changed_rules("docker0-fixer")
        finish_all(bench)


def take_jump(bench: Bench) -> None:
    """Our jump in DOCKER-USER is taken out, and nothing else."""
    tables = dict(bench.kernel.live.tables[4].tables)
    tables["filter"] = {**tables["filter"], "DOCKER-USER": ChainState("-", ())}
    bench.kernel.live = replace(bench.kernel.live, tables={4: TablesState(4, tables)})


# --- making events happen ------------------------------------------------------------------------


def feed_watchdog(bench: Bench) -> None:
    bench.systemd.environ["WATCHDOG_USEC"] = "10000000"
    bench.take_files()


def meet_another_process(bench: Bench) -> None:
    bench.daemon.files_changed()
    with bench.store.lock(lambda _: None):
        bench.turn()


def fail(bench: Bench) -> None:
    run, bench.store.run = bench.store.run, Path("/proc/version/no")
    bench.take_files()
    bench.store.run = run


def replace_policy(bench: Bench) -> None:
    bench.apply(CLOSED)
    bench.take_files()


def apply_until(bench: Bench) -> None:
    """A policy with a rule that ends in 100 s."""
    end = datetime.fromtimestamp(bench.clock.time() + 100, timezone.utc)
    bench.apply(f"{WEB}until = {end.isoformat()}\n")
    bench.take_files()


def await_confirmation(bench: Bench) -> None:
    bench.store.confirm.begin(bench.clock.time() + 60)
    replace_policy(bench)


def change_list(bench: Bench) -> None:
    path = bench.store.folder.parent / "friends.netset"
    path.write_text("198.51.100.7\n")
    rule = f'[[allow]]\nto = "web"\nports = [80]\nfrom = ["file:{path}"]\n'
    bench.apply(rule, {str(path): b"198.51.100.7\n"})
    bench.take_files()
    path.write_text("198.51.100.8\n")
    bench.daemon.files_changed()


def check_without_notices(bench: Bench) -> None:
    bench.files.blind = frozenset({Path("/mnt/friends.netset")})
    replace_policy(bench)
    bench.turn()


def move_names(bench: Bench) -> None:
    bench.names.moved = Moved({}, ("host:a.example is 192.0.2.1",))
    bench.daemon.names_moved()


def with_lan(bench: Bench) -> None:
    """A policy that names an interface, whose networks are being asked for."""
    bench.apply('[[allow]]\nto = "web"\nports = [80]\nfrom = ["lan:eth0"]\n')
    bench.take_files()
    bench.turn()


def move_lan(bench: Bench) -> None:
    with_lan(bench)
    bench.finish()
    bench.change_lans(eth0=(ip_network("192.0.2.0/24"),))


def check_lan_twice(bench: Bench) -> None:
    with_lan(bench)
    bench.change_lans()
    bench.pass_time(CHECK_PAUSE)


def find_lan(bench: Bench) -> None:
    with_lan(bench)
    bench.kernel.lans = {"eth0": (ip_network("192.0.2.0/24"),)}
    bench.worker.finish()


def settle_first(bench: Bench) -> None:
    bench.connected(RUNNING)
    bench.turn()
    bench.finish()
    bench.answer(RUNNING)


def another_container(bench: Bench) -> None:
    bench.report(Changed(here(*RUNNING.containers, on_front("web2", 3, 8082))))


def container_gone(bench: Bench) -> None:
    bench.report(Changed(here()))


def need_more_than_elements(bench: Bench) -> None:
    """A network comes while Docker has not told of labels that the policy asks for."""
    bench.apply(LABELLED)
    bench.take_files()
    bench.pass_time(0)
    finish_snapshot(bench)
    bench.names.moved = Moved({"a.example": ()}, ())
    bench.daemon.names_moved()
    bench.turn()


def finish_snapshot(bench: Bench) -> None:
    bench.worker.finish()


def answer_without_labels(bench: Bench) -> None:
    bench.apply(LABELLED)
    bench.take_files()
    bench.turn()
    bench.finish()
    bench.answer(RUNNING)


def rules_notice(bench: Bench) -> None:
    bench.notice(Noticed(rules=True, writers=frozenset({"nft"})))


def rules_notice_at_once(bench: Bench) -> None:
    """The second notice comes right after a snapshot."""
    rules_notice(bench)
    bench.turn()
    bench.finish()
    rules_notice(bench)


def links_notice(bench: Bench) -> None:
    bench.notice(Noticed(links=True))


def another_bridge(bench: Bench) -> None:
    bench.kernel.host = replace(FACTS, bridges=(*FACTS.bridges, Bridge("lan0")))
    links_notice(bench)
    bench.pass_time(CHECK_PAUSE)
    bench.worker.finish()


def interface_gone(bench: Bench) -> None:
    bench.kernel.interfaces = frozenset()
    links_notice(bench)
    bench.pass_time(CHECK_PAUSE)
    bench.worker.finish()


def begin_check(bench: Bench) -> None:
    bench.hang_up()
    bench.turn()


def begin_two_checks(bench: Bench) -> None:
    begin_check(bench)
    begin_check(bench)


def check_while_docker_is_asked(bench: Bench) -> None:
    begin_check(bench)
    bench.finish()
    assert bench.awaits_docker
    begin_check(bench)


def notice_while_busy(bench: Bench) -> None:
    begin_check(bench)
    rules_notice(bench)
    bench.pass_time(CHECK_PAUSE)


def links_while_busy(bench: Bench) -> None:
    links_notice(bench)
    bench.pass_time(CHECK_PAUSE)
    links_notice(bench)
    bench.pass_time(CHECK_PAUSE)


def notice_while_paused(bench: Bench) -> None:
    rules_notice(bench)
    bench.turn()


def overtake_rules(bench: Bench) -> None:
    rules_notice(bench)
    bench.turn()
    bench.worker.finish()
    replace_policy(bench)


def overtake_all(bench: Bench) -> None:
    begin_check(bench)
    bench.finish()
    changed = here(*RUNNING.containers, on_front("web2", 3))
    bench.report(Changed(changed))
    bench.answer(changed)


def overtake_all_without_docker(bench: Bench) -> None:
    begin_check(bench)
    bench.worker.finish()
    replace_policy(bench)


def rules_before_everything(bench: Bench) -> None:
    """The policy is another one, and Docker's answer to the check of everything is awaited."""
    replace_policy(bench)
    bench.turn()
    bench.finish()
    rules_notice(bench)
    bench.pass_time(CHECK_PAUSE)
    bench.finish()


def settle_with_a_bridge(bench: Bench) -> None:
    bench.kernel.host = replace(FACTS, bridges=(*FACTS.bridges, Bridge("lan0")))
    settle_again(bench)


def settle_again(bench: Bench) -> None:
    begin_check(bench)
    bench.finish()
    bench.answer(RUNNING)


def check_alone(bench: Bench) -> None:
    begin_check(bench)
    bench.finish()


def jump_gone(bench: Bench) -> None:
    take_jump(bench)
    rules_notice(bench)
    bench.turn()
    bench.finish()


def seal_gone(bench: Bench) -> None:
    bench.lose_seal()
    rules_notice(bench)
    bench.turn()
    bench.finish()


def seal_gone_unnoticed(bench: Bench) -> None:
    """Only a check of everything finds it."""
    bench.lose_seal()
    settle_again(bench)
