"""The daemon's main loop, turn by turn, with a kernel, a Docker and a worker that are played.

Nothing runs beside the test: it says when a look begins and ends, when Docker answers, what
fails. What is written is what the daemon hands to ``carry_out`` or ``ipset restore``.
"""

from __future__ import annotations

import selectors
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timezone
from ipaddress import IPv4Address, ip_network
from pathlib import Path
from typing import Any

import pytest

from dockerfw.clock import SystemClock
from dockerfw.daemon import systemd
from dockerfw.daemon.enforcer import MANY_REPAIRS
from dockerfw.daemon.log_lines import Line
from dockerfw.daemon.loop import TRIES, Daemon
from dockerfw.dns.resolver import Moved
from dockerfw.docker.engine import EngineInfo
from dockerfw.docker.reports import Changed, Connected, Lost, Report
from dockerfw.errors import Failed
from dockerfw.kernel import facts as kernel_facts, notices
from dockerfw.kernel.ipset import driver as ipset
from dockerfw.kernel.nft import driver as seal
from dockerfw.kernel.notices import KernelNotices, Noticed
from dockerfw.kernel.render import chain_texts, set_state
from dockerfw.kernel.runner import Completed
from dockerfw.model.host import Bridge, Cgroup, HostFacts
from dockerfw.model.inventory import Container, Endpoint, Inventory, Network, PublishedPort
from dockerfw.model.policy import Needs
from dockerfw.operations import policy_in_force
from dockerfw.operations.boot import install_before_docker
from dockerfw.operations.reconcile import Observation, Reconciler
from dockerfw.operations.session import Session
from dockerfw.plan.state import ChainState, KernelState, SetState, TablesState
from dockerfw.policy.document import Document
from dockerfw.policy.files import PolicyText
from dockerfw.rules.compiler import compile_ruleset
from dockerfw.rules.ruleset import Ruleset
from dockerfw.state.kernel_record import KernelRecord
from dockerfw.state.last_seen import LastSeen
from dockerfw.state.store import Store
from dockerfw.state.stored_policy import Applied, StoredPolicy

FRONT = Network("id-front", "front", "bridge", "br-0123456789ab", (ip_network("172.18.0.0/24"),))
OWN = Network("id-own", "own", "bridge", "lan0", (ip_network("172.20.0.0/24"),))
FACTS = HostFacts(ipv6=False, bridges=(Bridge("br-0123456789ab"),))
WEB = """
[[allow]]
to = "web*"
ports = [80]
from = ["198.51.100.7"]
"""
CLOSED = "[defaults]\nbaseline = []\n"


def container(name: str, last: int, *ports: int, **labels: str) -> Container:
    return Container(
        f"id-{name}",
        name,
        endpoints=(Endpoint("front", FRONT.id, IPv4Address(f"172.18.0.{last}")),),
        ports=tuple(PublishedPort(IPv4Address("0.0.0.0"), p, 80, "tcp") for p in ports),
        labels=tuple(labels.items()),
    )


def here(*containers: Container, networks: tuple[Network, ...] = (FRONT,)) -> Inventory:
    return Inventory(containers, networks)


class Kernel:
    """What stands. ``broken``: why nothing can be written."""

    def __init__(self) -> None:
        self.live = nothing()
        self.facts = FACTS
        self.lines: list[str] = []
        self.broken = ""
        self.written: list[Observation] = []
        self.documents: list[str] = []

    def stand(self, ruleset: Ruleset) -> None:
        """Somebody has written this."""
        self.live = standing(ruleset)

    def restore(self, _: object, text: str) -> None:
        if self.broken:
            raise Failed(self.broken)
        self.lines += text.splitlines()

    def nft(self, _: object, document: str) -> None:
        if self.broken:
            raise Failed(self.broken)
        self.documents.append(document)

    def carry_out(self, seen: Observation) -> None:
        if self.broken:
            raise Failed(self.broken)
        self.written.append(seen)
        if not seen.ruleset.sets:  # chains and seal alone
            made = standing(seen.ruleset)
            self.live = replace(made, sets=self.live.sets)
        else:
            self.stand(seen.ruleset)


def nothing() -> KernelState:
    empty = {
        "mangle": {"PREROUTING": ChainState("ACCEPT", ())},
        "filter": {
            "INPUT": ChainState("ACCEPT", ()),
            "FORWARD": ChainState("ACCEPT", ("-j DOCKER-USER",)),
            "DOCKER-USER": ChainState("-", ()),
        },
    }
    return KernelState({4: TablesState(4, empty)}, {}, None)


def standing(ruleset: Ruleset) -> KernelState:
    tables: dict[str, dict[str, ChainState]] = {
        "mangle": {"PREROUTING": ChainState("ACCEPT", ("-j DOCKERFW-PRE",))},
        "filter": {
            "INPUT": ChainState("ACCEPT", ("-j DOCKERFW-INPUT",)),
            "FORWARD": ChainState("ACCEPT", ("-j DOCKER-USER",)),
            "DOCKER-USER": ChainState("-", ("-j DOCKERFW",)),
        },
    }
    for chain in ruleset.chains:
        tables[chain.table][chain.name] = ChainState("-", chain_texts(chain))
    sets: dict[str, SetState] = {s.name: set_state(s) for s in ruleset.sets}
    return KernelState({4: TablesState(4, tables)}, sets, seal.wanted(ruleset.seal))


class Programs:
    """No program does anything."""

    def run(self, *_: object, **__: object) -> Completed:
        return Completed("", "", 0)

    def read_file(self, _: str) -> str | None:
        return None


class Worker:
    """Does what it was given when the test says so."""

    def __init__(self) -> None:
        self.todo: list[tuple[Callable[[], Any], Callable[[Any], None]]] = []

    def submit(self, work: Callable[[], Any], then: Callable[[Any], None] = lambda _: None) -> None:
        self.todo.append((work, then))

    def finish(self) -> None:
        while self.todo:
            work, then = self.todo.pop(0)
            try:
                result = work()
            except Exception as error:  # noqa: BLE001 - as the real one
                result = error
            then(result)


class Docker:
    """The watcher: says what the test wants it to."""

    def __init__(self) -> None:
        self.asked = 0
        self.needs = Needs()
        self.reports: list[Report] = []

    def need(self, needs: Needs) -> None:
        self.needs = needs

    def resync(self) -> None:
        self.asked += 1

    def take(self) -> list[Report]:
        reports, self.reports = self.reports, []
        return reports

    def start(self) -> None: ...
    def stop(self) -> None: ...


class Notices:
    def __init__(self) -> None:
        self.noticed = Noticed()

    def read(self) -> Noticed:
        return self.noticed


class Sayings:
    """A log."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: Line) -> None:
        self.lines.append(f"{line.level}: {line.message}")

    def warning(self, text: str) -> None:
        self.lines.append(f"warning: {text}")

    def error(self, text: str) -> None:
        self.lines.append(f"error: {text}")

    def __contains__(self, text: str) -> bool:
        return any(text in line for line in self.lines)


class Bench:
    """A daemon that is stepped by hand; `pass_time` moves its timers."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.state = Store(folder / "lib", folder / "run")
        self.kernel, self.docker, self.notices, self.log = Kernel(), Docker(), Notices(), Sayings()
        self.worker = Worker()
        self.ready = 0
        self.now = time.monotonic()
        kernel = self.kernel
        monkeypatch.setattr("dockerfw.daemon.loop.Worker", lambda: self.worker)
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(kernel_facts, "read", lambda *_, **__: kernel.facts)
        monkeypatch.setattr(kernel_facts, "docker_ports", lambda *_: frozenset())
        monkeypatch.setattr(ipset, "commit", kernel.restore)
        monkeypatch.setattr(ipset, "read", lambda *_, **__: dict(kernel.live.sets))
        monkeypatch.setattr(seal, "commit", kernel.nft)
        monkeypatch.setattr(Reconciler, "read", lambda *_: kernel.live)
        monkeypatch.setattr(Reconciler, "read_rules", lambda *_: replace(kernel.live, sets={}))
        monkeypatch.setattr(Reconciler, "carry_out", lambda _, seen, __: kernel.carry_out(seen))
        monkeypatch.setattr(systemd, "ready", self._ready)
        session = Session(Programs(), self.state, SystemClock(), None, lambda _: None)
        self.daemon = Daemon(session, self.docker, self.notices, self.log)  # type: ignore[arg-type]

    def _ready(self) -> bool:
        self.ready += 1
        return True

    def apply(self, text: str, files: dict[str, bytes] | None = None) -> None:
        document = Document("/etc/dockerfw/config.toml", text.encode())
        self.state.policy.replace(
            PolicyText((document,), files or {}), Applied("/etc/dockerfw/config.toml", 1.0, "nft")
        )

    def begin(self) -> None:
        self.daemon._begin()
        self.daemon._turn()

    def turn(self, *reports: Report) -> None:
        self.daemon.reports.extend(reports)
        self.daemon._turn()

    def look(self) -> None:
        """Whatever is being looked at has been seen."""
        self.worker.finish()
        self.daemon._turn()

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.daemon._turn()

    def connected(self, inventory: Inventory, *, labels: bool = False) -> None:
        engine = EngineInfo("26.1.5", "1.45", None, live_restore=False, swarm=None)
        self.turn(Connected(inventory, engine, knows=Needs(labels=labels)))

    def answer(self, inventory: Inventory, *, labels: bool = False) -> None:
        """Docker's answer to a whole look."""
        self.turn(Changed(inventory, whole=True, knows=Needs(labels=labels)))

    def follow(self, policy: str, inventory: Inventory, *, labels: bool = False) -> None:
        """Up and in sync."""
        self.apply(policy)
        self.begin()
        self.connected(inventory, labels=labels)
        self.settle(inventory, labels=labels)
        assert self.daemon.enforcer.followed, self.log.lines
        self.kernel.written.clear()
        self.kernel.lines.clear()
        self.log.lines.clear()

    def settle(self, inventory: Inventory, *, labels: bool = False) -> None:
        """Whole looks until nothing of that kind is due any more."""
        self.pass_time(0.2)
        for _ in range(10):
            self.look()
            if self.daemon.awaited is not None:
                self.answer(inventory, labels=labels)
            elif not self.daemon.looking:
                return
        pytest.fail(f"it looks for ever: {self.log.lines}")

    def keeps_out(self, address: str) -> bool:
        """Whether a deny names this address (sets of denies have a d before their list)."""
        denies = (s for name, s in self.kernel.live.sets.items() if "-cod" in name)
        return any(address in entry for s in denies for entry in s.entries or ())

    def lose(self) -> None:
        self.turn(Lost("gone"))

    def changed_rules(self, *writers: str) -> None:
        self.notices.noticed = Noticed(rules=True, writers=frozenset(writers))
        self.daemon._noticed()
        self.pass_time(0.2)

    def changed_links(self) -> None:
        self.notices.noticed = Noticed(links=True)
        self.daemon._noticed()
        self.pass_time(0.2)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    found = Bench(tmp_path, monkeypatch)
    yield found
    monkeypatch.undo()
    found.daemon.inforce.close()


# --- it goes on after what fails -----------------------------------------------------------------


def test_a_write_that_fails_as_docker_answers_does_not_end_the_looking(bench: Bench) -> None:
    web = container("web", 2)
    bench.follow(WEB, here(web))
    bench.pass_time(31)
    bench.look()
    assert bench.daemon.awaited is not None
    bench.kernel.broken = "The set with the given name does not exist"
    bench.answer(here(web, container("web2", 3)))
    assert "does not exist" in bench.log
    bench.kernel.broken = ""
    asked = bench.docker.asked
    bench.pass_time(31)
    bench.look()
    assert bench.docker.asked > asked
    bench.answer(here(web, container("web2", 3)))
    assert any("172.18.0.3" in step.text for w in bench.kernel.written for step in w.plan.steps)


def test_ports_that_could_not_be_written_to_the_seal_are_written_later(bench: Bench) -> None:
    bench.follow(WEB, here())
    bench.turn(Changed(here(container("web", 2, 8080))))
    bench.kernel.broken = "nft crashed"
    bench.pass_time(0.5)
    bench.kernel.broken = ""
    assert not bench.kernel.documents
    bench.pass_time(3)
    assert "8080" in "".join(bench.kernel.documents)


def test_what_is_wrong_with_one_thing_keeps_no_other_from_being_done(bench: Bench) -> None:
    bench.follow(WEB, here(container("web", 2)))
    bench.kernel.broken = "it is broken"
    bench.daemon.reports.append(Changed(here()))
    bench.daemon.todo.add("names")
    bench.daemon.inforce._moved = Moved({}, ("host:a.example is 192.0.2.1",))
    bench.turn()
    assert "it is broken" in bench.log
    assert "host:a.example is 192.0.2.1" in bench.log


def test_a_list_that_cannot_be_kept_on_the_disk_counts_all_the_same(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    friends = tmp_path / "friends.netset"
    friends.write_text("198.51.100.7\n")
    friends.chmod(0o600)
    rule = f'[[allow]]\nto = "web"\nports = [80]\nfrom = ["file:{friends}"]\n'
    bench.apply(rule, {str(friends): b"198.51.100.7\n"})
    bench.begin()
    bench.connected(here(container("web", 2)))
    bench.settle(here(container("web", 2)))
    friends.write_text("192.0.2.9\n")

    def full(*_: object) -> None:
        raise Failed("cannot write: No space left on device")

    monkeypatch.setattr(StoredPolicy, "remember_lists", full)
    bench.daemon.todo.add("lists")
    bench.turn()
    sets = bench.kernel.live.sets.values()
    entries = {entry for s in sets for entry in s.entries or ()}
    assert any("192.0.2.9" in entry for entry in entries), entries
    assert not any("198.51.100.7" in entry for entry in entries), entries
    assert "No space left" in bench.log


def test_a_full_disk_keeps_nothing_from_being_put_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    reconciler = Reconciler(Programs(), Store(tmp_path / "lib", tmp_path / "run"))

    def full(*_: object) -> None:
        raise Failed("cannot write: No space left on device")

    monkeypatch.setattr(KernelRecord, "remember_created", full)
    monkeypatch.setattr(Reconciler, "write", lambda _, step, *__: written.append(step.tool))
    judged = policy_in_force.CLOSED
    ruleset = compile_ruleset(judged, here(), FACTS)
    seen = reconciler.compare(ruleset, FACTS, nothing())
    with pytest.raises(Failed, match="No space"):
        reconciler.carry_out(seen, "iptables-restore")
    assert {"ipset", "iptables", "nft"} <= set(written)


def test_the_end_says_so_with_a_full_disk_as_well(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.follow(WEB, here())
    monkeypatch.setattr(bench.daemon.inforce, "close", lambda: None)

    def full(*_: object) -> None:
        raise Failed("cannot write: No space left on device")

    monkeypatch.setattr(LastSeen, "remember", full)
    bench.daemon._end()
    assert "stopped; the rules stay" in bench.log


def test_a_lock_that_cannot_be_opened_is_tried_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.follow(WEB, here())
    with monkeypatch.context() as patch:
        run = bench.state.run
        patch.setattr(bench.state, "run", Path("/proc/version/no"))
        bench.turn(Changed(here(container("web", 2))))
        assert "cannot write" in bench.log
        patch.setattr(bench.state, "run", run)
    bench.pass_time(3)
    assert any("172.18.0.2" in line for line in bench.kernel.lines)


# --- never more open -----------------------------------------------------------------------------


def test_a_look_that_began_before_an_apply_is_no_news_after_it(bench: Bench) -> None:
    web = here(container("web", 2))
    bench.follow(WEB, web)
    bench.pass_time(31)
    bench.worker.finish()  # it was seen as it stood before ...
    bench.apply(CLOSED)  # ... who has written the kernel by then
    bench.daemon._turn()
    bench.answer(web)
    assert not bench.kernel.written, "what is written goes by a look at the rules of before"
    bench.settle(web)
    assert bench.kernel.written


@pytest.mark.parametrize("locked", [False, True])
def test_without_docker_rules_are_put_right_though_it_never_answered(
    bench: Bench, *, locked: bool
) -> None:
    bench.apply(WEB)
    bench.state.last_seen.remember(here())
    if locked:
        bench.state.policy.set_lockdown(True)
    bench.kernel.stand(_ruleset(bench))
    bench.begin()
    bench.lose()
    bench.look()
    bench.look()
    assert not bench.kernel.written, "what stands is as it should be"
    flushed = dict(bench.kernel.live.tables[4].tables)
    flushed["filter"] = {
        name: ChainState(chain.policy, ()) for name, chain in flushed["filter"].items()
    }
    bench.kernel.live = replace(bench.kernel.live, tables={4: TablesState(4, flushed)}, seal=None)
    bench.changed_rules("nft")
    for _ in range(4):
        bench.look()
        bench.pass_time(0.2)
    assert bench.kernel.live.seal is not None, bench.log.lines
    assert bench.kernel.live.tables[4].tables["filter"]["DOCKERFW"].rules


def _ruleset(bench: Bench) -> Ruleset:
    policy, _, _ = policy_in_force.read_policy_in_force(bench.daemon.session.store)
    return compile_ruleset(policy, here(), FACTS)


def test_a_lockdown_without_docker_is_not_undone_at_the_next_flush(bench: Bench) -> None:
    web = here(container("web", 2))
    bench.follow(WEB, web)
    assert bench.daemon.enforcer.sealed is not None
    assert bench.daemon.enforcer.sealed.inside, "the baseline lets bridges in"
    bench.lose()
    bench.state.policy.set_lockdown(True)
    bench.kernel.stand(compile_ruleset(policy_in_force.CLOSED, web, FACTS))
    bench.turn()
    bench.kernel.live = replace(bench.kernel.live, seal=None)
    bench.changed_rules("nft")
    for _ in range(4):
        bench.look()
        bench.pass_time(0.2)
    assert bench.kernel.live.seal == seal.wanted(
        compile_ruleset(policy_in_force.CLOSED, web, FACTS).seal
    )


def test_a_seal_whose_cgroup_has_gone_with_docker_comes_back_without_it(bench: Bench) -> None:
    proxy = replace(FACTS.proxy, cgroup=Cgroup("dockerd.slice", 1, 77))
    bench.kernel.facts = replace(FACTS, proxy=proxy)
    bench.follow(WEB, here())
    assert bench.daemon.enforcer.sealed is not None
    assert bench.daemon.enforcer.sealed.proxies is not None
    bench.lose()
    bench.look()
    bench.kernel.facts = FACTS
    bench.kernel.live = replace(bench.kernel.live, seal=None)
    bench.pass_time(31)
    bench.look()
    assert bench.kernel.written[-1].ruleset.seal.proxies is None


def test_the_bridge_of_a_network_that_has_gone_is_nobody_elses(bench: Bench) -> None:
    """It comes back under that name before the host was looked at: closed from the first packet."""
    bench.kernel.facts = replace(FACTS, bridges=(*FACTS.bridges, Bridge("lan0")))
    both = here(networks=(FRONT, OWN))
    bench.follow(WEB, both)
    bench.turn(Changed(here(networks=(FRONT,))))
    assert bench.daemon.enforcer.sealed is not None
    assert "lan0" not in bench.daemon.enforcer.sealed.foreign_bridges


LABELLED = """
[[allow]]
to = "*"
ports = [80]
from = ["any"]
[[deny]]
to = "label:tier=secret"
from = ["any"]
"""


def test_until_labels_are_known_nobody_is_let_in_whom_they_would_keep_out(bench: Bench) -> None:
    bench.follow(WEB, here(container("web", 2)))
    bench.apply(LABELLED)
    secret = container("secret", 3)
    bench.turn(Changed(here(container("web", 2), secret)))
    assert bench.docker.needs == Needs(labels=True)
    assert not any("172.18.0.3" in line for line in bench.kernel.lines), bench.kernel.lines
    labelled = here(container("web", 2), container("secret", 3, tier="secret"))
    bench.turn(Changed(labelled, knows=Needs(labels=True)))
    bench.settle(labelled, labels=True)
    assert bench.keeps_out("172.18.0.3")


def test_until_labels_are_known_nothing_whole_is_written(bench: Bench) -> None:
    secret = here(container("secret", 3))
    bench.follow(WEB, secret)
    bench.apply(LABELLED)
    bench.turn()
    bench.daemon._sources_moved("names stand for other addresses")
    bench.turn(Changed(here(container("secret", 3), networks=(FRONT, OWN))))
    assert not bench.kernel.written


def test_a_policy_whose_record_is_broken_still_holds(bench: Bench) -> None:
    bench.apply(WEB)
    (bench.state.folder / "applied.json").write_text("{")
    bench.begin()
    assert bench.daemon.inforce.policy is not None
    assert bench.kernel.live.seal is None
    install_before_docker(bench.daemon.session)
    assert bench.kernel.live.seal is not None


def test_a_rule_ends_though_the_clock_was_set_forward(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = time.time() + 3600
    until = datetime.fromtimestamp(end, timezone.utc).isoformat(timespec="seconds")
    web = here(container("web", 2))
    bench.follow(f"{WEB}until = {until}\n", web)
    assert any(s.count for name, s in bench.kernel.live.sets.items() if "-u" in name)
    monkeypatch.setattr(time, "time", lambda: end + 1)
    bench.pass_time(31)
    bench.settle(web)
    assert not any(s.count for name, s in bench.kernel.live.sets.items() if "-u" in name)


def test_a_seal_that_is_taken_away_again_and_again_comes_back_each_time(bench: Bench) -> None:
    bench.follow(WEB, here())
    for _ in range(MANY_REPAIRS + 5):
        bench.kernel.live = replace(bench.kernel.live, seal=None)
        bench.changed_rules("nft")
        for _ in range(2):
            bench.look()
            bench.pass_time(0.2)
        assert bench.kernel.live.seal is not None


def test_an_interface_that_goes_as_docker_does_counts_as_gone(bench: Bench) -> None:
    """It is not among those that are counted once Docker is lost."""
    bench.follow(WEB, here(container("web", 2)))
    bench.lose()
    bench.changed_links()
    assert any(line.startswith("del") and "172.18.0.2" in line for line in bench.kernel.lines)


# --- neither idle nor for ever busy --------------------------------------------------------------


def test_rules_are_put_right_while_docker_takes_its_time_to_answer(bench: Bench) -> None:
    bench.follow(WEB, here())
    bench.pass_time(31)
    bench.look()
    assert bench.daemon.awaited is not None
    bench.kernel.live = replace(bench.kernel.live, seal=None)
    bench.changed_rules("nft")
    bench.look()
    assert bench.kernel.live.seal is not None


def test_rules_are_put_right_while_containers_come_and_go_all_the_time(bench: Bench) -> None:
    bench.follow(WEB, here())
    bench.kernel.live = replace(bench.kernel.live, seal=None)
    bench.changed_rules("nft")
    bench.worker.finish()
    bench.turn(Changed(here(container("web", 2))))  # elements are written before it is judged
    assert bench.kernel.live.seal is not None


def test_looks_that_are_always_overtaken_find_no_drift(bench: Bench) -> None:
    bench.follow(WEB, here())
    containers: list[Container] = []
    bench.pass_time(31)
    for number in range(TRIES + 2):
        bench.worker.finish()
        bench.daemon._turn()
        containers.append(container(f"web{number}", 10 + number))
        bench.turn(Changed(here(*containers)))
        bench.kernel.stand(bench.daemon.enforcer._ledger.ruleset())  # type: ignore[union-attr]
        if bench.daemon.awaited is not None:
            bench.answer(here(*containers))
        bench.pass_time(0.2)
    assert not bench.kernel.written
    assert "put right" not in bench.log


def test_links_that_change_all_the_time_make_no_queue(bench: Bench) -> None:
    bench.follow(WEB, here())
    for _ in range(20):
        bench.changed_links()
    assert len(bench.worker.todo) <= 3, "looks would wait behind it"


def test_names_that_moved_do_not_keep_the_loop_awake_while_another_has_the_lock(
    bench: Bench,
) -> None:
    bench.follow(WEB, here())
    resolver = bench.daemon.inforce.resolver
    with resolver._changed:
        resolver._said.append("host:a.example is 192.0.2.1")
        resolver._wakeup.wake()
    with bench.state.lock(lambda _: None):
        bench.daemon._names_moved()
        bench.daemon._turn()
        assert resolver._wakeup.clear() == b""
    bench.pass_time(0.1)
    assert "host:a.example is 192.0.2.1" in bench.log


def test_it_waits_for_a_rule_that_ends_in_years(bench: Bench) -> None:
    bench.apply(f"{WEB}until = 2099-01-01T00:00:00Z\n")
    bench.begin()
    wait = bench.daemon.timers.wait(bench.now)
    assert wait is not None
    with selectors.DefaultSelector() as selector, socket.socket(socket.AF_UNIX) as one:
        selector.register(one, selectors.EVENT_READ)  # a socket that hung up is ready at once
        assert selector.select(wait)


# --- what a kill has left ------------------------------------------------------------------------


def test_an_apply_that_was_killed_before_its_record_can_be_applied_over(bench: Bench) -> None:
    bench.apply(WEB)
    (bench.state.folder / "applied.json").unlink()
    bench.state.confirm.begin(time.time() + 60)
    bench.apply(CLOSED)
    assert bench.state.confirm.restore_previous()
    text = bench.state.policy.load()
    assert text is not None
    assert text.documents[0].text == WEB.encode()


def test_notices_that_were_lost_may_have_been_anybodys(monkeypatch: pytest.MonkeyPatch) -> None:
    """The seal is passed over only where each writer is known to be a program of iptables."""
    name = b"iptables-restor\0"
    body = bytes(4) + (4 + len(name)).to_bytes(2, sys.byteorder) + b"\3\0" + name
    for lost, writers in ((False, frozenset({"iptables-restor"})), (True, frozenset())):
        told = ([(notices._NEWGEN, body)], lost)
        monkeypatch.setattr(notices, "_drain", lambda _, told=told: told)
        heard = object.__new__(KernelNotices)
        heard._rules = object()  # type: ignore[assignment]
        assert heard._read_rules() == (True, writers)


# --- when it is ready ----------------------------------------------------------------------------


def test_it_is_not_ready_before_docker_had_the_time_to_answer(bench: Bench) -> None:
    bench.apply(WEB)
    bench.begin()
    bench.look()
    assert bench.ready == 0
    bench.connected(here())
    bench.settle(here())
    assert bench.ready > 0


def test_it_is_ready_without_docker_once_what_stands_was_looked_at(bench: Bench) -> None:
    bench.apply(WEB)
    bench.begin()
    bench.lose()
    assert bench.ready == 0
    for _ in range(3):
        bench.look()
        bench.pass_time(0.2)
    assert bench.ready > 0
    assert bench.kernel.live.seal is not None
