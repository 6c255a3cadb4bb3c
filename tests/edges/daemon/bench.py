"""A daemon that is stepped by hand, on a host that is played.

Nothing runs beside the test, and no clock but the bench's is read: the test says when a snapshot
is finished, when Docker answers, what fails, and how much time passes. What is written is what the
daemon hands to the reconciler (`PlayedKernel.written`), or straight to the kernel (``lines`` of
``ipset restore``, ``documents`` of ``nft``).
"""

from __future__ import annotations

import io
import signal
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from dockerfw.daemon.edges import Edges, NameNotices
from dockerfw.daemon.log import Log
from dockerfw.daemon.loop import Daemon
from dockerfw.daemon.systemd import Systemd
from dockerfw.daemon.timers import Task
from dockerfw.daemon.transitions import CHECK_PAUSE, SETTINGS_PAUSE, Event
from dockerfw.dns.resolver import Moved
from dockerfw.docker.engine import EngineInfo
from dockerfw.docker.reports import Changed, Connected, Lost, Report
from dockerfw.kernel.inotify import FileNotices
from dockerfw.kernel.netlink import Noticed
from dockerfw.model.host import Cgroup
from dockerfw.model.inventory import Container, Inventory, Network
from dockerfw.model.net import IPNetwork
from dockerfw.model.policy import HostAddresses, Needs
from dockerfw.plan.state import ChainState, LiveElement, OddElement, TablesState
from dockerfw.policy.document import Document
from dockerfw.policy.files import PolicyText
from dockerfw.rules.ruleset import Seal
from dockerfw.state.stored_policy import Applied
from tests.build import container, inventory, network
from tests.edges.daemon.played_host import HostClock, PlayedKernel, PlayedReconciler, PlayedStore

FRONT = network("front", "172.18.0.0/24", bridge="br-0123456789ab")
OWN = network("own", "172.20.0.0/24", bridge="lan0")
"""Its bridge has a name that does not show that it is Docker's."""
WEB = """
[[allow]]
to = "web*"
ports = [80]
from = ["198.51.100.7"]
"""
CLOSED = "[defaults]\nbaseline = []\n"
LABELLED = """
[[allow]]
to = "*"
ports = [80]
from = ["any"]
[[deny]]
to = "label:tier=secret"
from = ["any"]
"""
RESYNC = 30.0
"""Seconds from one check of everything to the next, where nothing else asks for one."""


def on_front(name: str, last: int, *ports: int, **labels: str) -> Container:
    """A container at 172.18.0.LAST that publishes its port 80 as these."""
    published = tuple(f"0.0.0.0:{port}:80" for port in ports)
    return container(name, f"front 172.18.0.{last}", published=published, labels=labels)


def here(*containers: Container, networks: tuple[Network, ...] = (FRONT,)) -> Inventory:
    return inventory(*containers, *networks)


# --- what runs beside the loop -------------------------------------------------------------------


class PlayedWorker:
    """Does what it was given when the test says so."""

    def __init__(self) -> None:
        self.todo: list[tuple[Callable[[], Any], Callable[[Any], None]]] = []

    def fileno(self) -> int:
        raise AssertionError("the bench steps by hand")

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


class PlayedDocker:
    """The watcher: reports what the test wants it to."""

    def __init__(self) -> None:
        self.asked = 0
        self.hurried = 0
        self.needs = Needs()
        self.reports: list[Report] = []

    def fileno(self) -> int:
        raise AssertionError("the bench steps by hand")

    def need(self, needs: Needs) -> None:
        self.needs = needs

    def resync(self) -> None:
        self.asked += 1

    def connect_now(self) -> None:
        self.hurried += 1

    def take(self) -> list[Report]:
        reports, self.reports = self.reports, []
        return reports

    def start(self) -> None: ...
    def stop(self) -> None: ...


class PlayedNotices:
    def __init__(self) -> None:
        self.noticed = Noticed()

    def filenos(self) -> tuple[int, ...]:
        raise AssertionError("the bench steps by hand")

    def read(self) -> Noticed:
        return self.noticed


class PlayedAddresses:
    """The kernel's notices of addresses: there always is one."""

    def fileno(self) -> int:
        raise AssertionError("the bench steps by hand")

    def read(self) -> bool:
        return True


class PlayedNames:
    """The resolver: ``moved`` is what it has found."""

    def __init__(self) -> None:
        self.moved: Moved | None = None

    def fileno(self) -> int:
        raise AssertionError("the bench steps by hand")

    def follow(self, names: Iterable[str], last_good: HostAddresses) -> None: ...

    def take(self) -> Moved | None:
        moved, self.moved = self.moved, None
        return moved

    def stop(self) -> None: ...


class PlayedFiles(FileNotices):
    """inotify itself, but that it cannot watch ``blind``."""

    blind: frozenset[Path] = frozenset()

    def watch(self, paths: Collection[Path]) -> frozenset[Path]:
        return super().watch(paths) | self.blind


class PlayedSystemd(Systemd):
    """A unit with this environment; counts how often it was told that the daemon is ready."""

    def __init__(self) -> None:
        self.environ: dict[str, str] = {}
        super().__init__(self.environ)
        self.times_ready = 0

    def ready(self) -> bool:
        self.times_ready += 1
        return super().ready()


class Lines(io.StringIO):
    """A log that can be asked for parts of its lines."""

    def __contains__(self, text: object) -> bool:
        return any(str(text) in line for line in self.lines)

    @property
    def lines(self) -> list[str]:
        return self.getvalue().splitlines()

    def clear(self) -> None:
        self.seek(0)
        self.truncate()


def _parts(element: LiveElement) -> tuple[object, ...]:
    return () if isinstance(element, OddElement) else element


# --- the bench -----------------------------------------------------------------------------------


class Bench:
    """A daemon, its host, and the moves that a test makes."""

    def __init__(self, folder: Path, names: NameNotices | None = None) -> None:
        self.folder = folder
        self.store = PlayedStore(folder)
        self.clock, self.kernel, self.worker = HostClock(), PlayedKernel(), PlayedWorker()
        self.docker, self.notices, self.systemd = PlayedDocker(), PlayedNotices(), PlayedSystemd()
        self.log = Lines()
        self.names = PlayedNames()
        self.reconciler = PlayedReconciler(self.kernel, self.store, self.clock)
        self.files = PlayedFiles()
        self.docker_socket = FileNotices()
        self.dockerd_files = FileNotices()
        self._names = names or self.names
        self._ended = False
        self.daemon = Daemon(
            Edges(
                store=self.store,
                reconciler=self.reconciler,
                kernel=self.kernel,
                clock=self.clock,
                log=Log(self.log, self.clock),
                systemd=self.systemd,
                worker=self.worker,
                docker=self.docker,
                notices=self.notices,
                addresses=PlayedAddresses(),
                files=self.files,
                docker_socket=self.docker_socket,
                dockerd=self.dockerd_files,
                names=self._names,
            )
        )

    def close(self) -> None:
        if not self._ended:
            self.files.close()
            self.docker_socket.close()
            self.dockerd_files.close()
            self._names.stop()

    @property
    def due(self) -> dict[Task, float]:
        """What is to come, in seconds from now."""
        pending = self.daemon.schedule.pending()
        return {task: round(moment - self.clock.now, 6) for task, moment in pending.items()}

    # what others do

    def apply(self, text: str, files: dict[str, bytes] | None = None) -> None:
        """A policy is put in force by ``dockerfw apply``."""
        document = Document("/etc/dockerfw/config.toml", text.encode())
        self.store.policy.replace(
            PolicyText((document,), files or {}), Applied("/etc/dockerfw/config.toml", 1.0, "nft")
        )

    def changed_rules(self, *writers: str) -> None:
        self.notice(Noticed(rules=True, writers=frozenset(writers)))
        self.pass_time(0.2)

    def changed_links(self) -> None:
        self.notice_links()
        self.pass_time(0.2)

    def notice_links(self) -> None:
        self.notice(Noticed(links=True))

    def notice(self, noticed: Noticed) -> None:
        """The kernel announces this."""
        self.notices.noticed = noticed
        self.daemon.kernel_noticed()

    def change_lans(self, **lans: tuple[IPNetwork, ...]) -> None:
        """Interfaces have these networks from now on, and the kernel announces it."""
        self.kernel.lans = lans
        self.daemon.addresses_noticed()

    def lose_seal(self) -> None:
        self.kernel.live = replace(self.kernel.live, seal=None)

    def lose_rules(self, *tables: str) -> None:
        """Every rule of these tables is flushed."""
        held = dict(self.kernel.live.tables[4].tables)
        for table in tables:
            held[table] = {n: ChainState(c.policy, ()) for n, c in held[table].items()}
        self.kernel.live = replace(self.kernel.live, tables={4: TablesState(4, held)})

    def lose_entries(self, name: str) -> None:
        """A set is flushed."""
        flushed = replace(self.kernel.live.sets[name], elements=frozenset(), count=0)
        self.kernel.live = replace(self.kernel.live, sets={**self.kernel.live.sets, name: flushed})

    # Docker

    def report(self, *reports: Report) -> None:
        self.docker.reports += reports
        self.daemon.docker_reported()
        self.daemon.turn()

    def connected(self, found: Inventory, *, labels: bool = False) -> None:
        engine = EngineInfo("26.1.5", "1.45", None, live_restore=False, swarm=None)
        self.report(Connected(found, engine, knows=Needs(labels=labels)))

    def answer(self, found: Inventory, *, labels: bool = False) -> None:
        """Docker's answer to a check of everything."""
        self.report(Changed(found, whole=True, knows=Needs(labels=labels)))

    def lose(self) -> None:
        self.report(Lost("gone"))

    # steps of the daemon

    def begin(self) -> None:
        self.daemon.begin()
        self.daemon.turn()

    def end(self) -> None:
        self._ended = True
        self.daemon.end()

    def turn(self) -> None:
        self.daemon.turn()

    def take_files(self) -> None:
        """The kernel has told of files, and they are read."""
        self.daemon.files_changed()
        self.daemon.turn()

    def watch_dockerd(self) -> Path:
        """The file in which dockerd tells what it listens on, from here on followed."""
        told_in = self.folder / "docker-state.json"
        proxy = replace(self.kernel.host.proxy, told_in=str(told_in))
        self.kernel.host = replace(self.kernel.host, proxy=proxy)
        enforcer = self.daemon.enforcer
        enforcer.facts = replace(enforcer.facts, proxy=proxy)
        self.daemon.dockerd.watch()
        self.daemon.turn()
        return told_in

    def look_at_settings(self) -> None:
        """A check of everything began some seconds ago."""
        self.daemon.schedule.happened(Event.SETTINGS_SEEN)
        self.pass_time(SETTINGS_PAUSE)

    def switch_br_netfilter(self) -> None:
        self.look_at_settings()
        on = not self.kernel.host.br_netfilter[0]
        self.kernel.host = replace(self.kernel.host, br_netfilter=(on, on))
        self.pass_time(SETTINGS_PAUSE)

    def hang_up(self) -> None:
        self.daemon.signalled(signal.SIGHUP)

    def stop_dockerd(self) -> None:
        """It was in its unit, whose cgroup goes with it."""
        told_in = self.watch_dockerd()
        enforcer = self.daemon.enforcer
        unit = Cgroup("system.slice/docker.service", 2, 70, unit=True)
        enforcer.facts = replace(enforcer.facts, proxy=replace(enforcer.facts.proxy, cgroup=unit))
        told_in.write_text("{}")
        self.daemon.dockerd.noticed()
        self.turn()

    def join_a_swarm(self) -> None:
        """Dockerd listens on more from now on, and the kernel tells that it has written so."""
        self.watch_dockerd().write_text("{}")
        self.daemon.dockerd.noticed()

    def finish(self) -> None:
        """Whatever is read beside the loop has been read."""
        self.worker.finish()
        self.daemon.turn()

    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds
        self.daemon.turn()

    def follow(self, policy: str, found: Inventory, *, labels: bool = False) -> None:
        """Up, and in sync."""
        self.apply(policy)
        self.begin()
        self.connected(found, labels=labels)
        self.settle(found, labels=labels)
        assert self.daemon.enforcer.followed, self.log.lines
        self.kernel.written.clear()
        self.kernel.lines.clear()
        self.log.clear()

    def settle(self, found: Inventory, *, labels: bool = False) -> None:
        """Checks of everything until none is due any more."""
        self.pass_time(0.2)
        for _ in range(10):
            self.finish()
            if self.awaits_docker:
                self.answer(found, labels=labels)
            elif self.due.get(Task.CHECK_ALL, RESYNC) <= CHECK_PAUSE:
                self.pass_time(CHECK_PAUSE)
            elif not self.daemon.snapshots.busy:
                return
        raise AssertionError(f"it checks for ever: {self.log.lines}")

    @property
    def awaits_docker(self) -> bool:
        return self.daemon.full_check.awaits_docker

    # what it has come to

    def keeps_out(self, address: str) -> bool:
        """Whether a deny names this address (sets of denies have a d before their list)."""
        denies = (s for name, s in self.kernel.live.sets.items() if "-cod" in name)
        parts = {str(part) for s in denies for e in s.elements or () for part in _parts(e)}
        return f"{address}/32" in parts

    @property
    def sealed(self) -> Seal:
        """The seal as it was written last."""
        assert self.daemon.enforcer.sealed is not None
        return self.daemon.enforcer.sealed
