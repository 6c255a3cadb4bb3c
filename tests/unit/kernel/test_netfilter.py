"""When rules, sets and the host are read again, and when not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from dockerfw.kernel.netfilter import Netfilter
from dockerfw.kernel.runner import Completed
from dockerfw.model.host import Cgroup, Flavour, HostFacts, Proxy
from dockerfw.plan.state import KernelState
from dockerfw.plan.steps import AddElements, WriteSets
from tests.paths import FIXTURES
from tests.unit.kernel.fake_runner import FakeRunner

RECORDED: dict[str, Any] = json.loads((FIXTURES / "ipsets.json").read_text())
SET = "dockerfw-addr4"
FACTS = HostFacts(flavour="nft", nf_tables=False)


class Host:
    """Its rules have a generation, and somebody may change them ``while_reading``."""

    def __init__(self, flavour: Flavour = "nft") -> None:
        rules = "*mangle\n:INPUT ACCEPT [0:0]\nCOMMIT\n*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n"
        programs = (f"{name}-{flavour}-save" for name in ("iptables", "ip6tables"))
        names = (f"/proc/thread-self/net/{name}_tables_names" for name in ("ip", "ip6"))
        self.runner = FakeRunner(
            dict.fromkeys(programs, rules), dict.fromkeys(names, "mangle\nfilter\n")
        )
        self.now: bytes | None = b"1"
        self.kernel = Netfilter(self.runner, lambda: 0.0, generation=lambda: self.now)

    def read(self, facts: HostFacts = FACTS) -> tuple[KernelState, int]:
        """Return what stands, and how many programs were started for it."""
        before = len(self.runner.ran)
        found = self.kernel.read_rules(facts)
        return found, len(self.runner.ran) - before


def test_rules_of_the_same_generation_are_read_once() -> None:
    host = Host()
    first, asked = host.read()
    assert asked
    assert host.read() == (first, 0)
    host.now = b"2"
    assert host.read() == (first, asked)


@pytest.mark.parametrize("flavour", ["nft", "legacy"])
def test_where_no_generation_is_known_rules_are_read_each_time(flavour: Flavour) -> None:
    host = Host(flavour)
    if flavour == "nft":
        host.now = None
    facts = replace(FACTS, flavour=flavour)
    assert host.read(facts) == host.read(facts)
    assert host.read(facts)[1]


def test_rules_that_changed_while_they_were_read_are_read_again() -> None:
    host = Host()
    generations = iter([b"1", b"2", b"2", b"2", b"2"])
    host.kernel = Netfilter(host.runner, lambda: 0.0, generation=lambda: next(generations))
    assert host.read()[1]
    assert host.read()[1]
    assert host.read()[1] == 0


def test_another_cgroup_of_dockerd_is_printed_in_another_way() -> None:
    host = Host()
    host.read()
    proxy = Proxy(cgroup=Cgroup("dockerd.slice", level=1, inode=7))
    assert host.read(replace(FACTS, proxy=proxy))[1]


# --- the host ------------------------------------------------------------------------------------


class Silent(FakeRunner):
    """Every program succeeds, and prints nothing."""

    def run(self, argv: Sequence[str], stdin: str | None = None, timeout: float = 60) -> Completed:
        assert timeout >= 1
        self.ran.append((" ".join(argv), stdin))
        return Completed("", "", 0)


class Announcing:
    """A host whose facts are read by programs: interfaces, rules, routes."""

    def __init__(self) -> None:
        self.files = {
            "/proc/thread-self/net/route": "eth0\n",
            "/proc/1/comm": "systemd\n",
        }
        self.runner = Silent(files=self.files)
        self.now: bytes | None = b"1"
        self.kernel = Netfilter(
            self.runner, lambda: 0.0, generation=lambda: self.now, user=lambda: 0
        )

    def programs(self, noticed: int | None) -> int:
        """Return how many programs are started to know the host."""
        before = len(self.runner.ran)
        self.kernel.facts(noticed=noticed)
        return len(self.runner.ran) - before


def test_a_host_of_which_nothing_was_announced_is_read_once() -> None:
    host = Announcing()
    assert host.programs(noticed=1) > 5
    assert host.programs(noticed=1) == 0
    host.now = b"2"
    assert host.programs(noticed=1)
    assert host.programs(noticed=1) == 0
    assert host.programs(noticed=2)
    assert host.programs(noticed=None), "who counts no notices has it read"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/proc/thread-self/net/route", "eth1\n"),
        ("/proc/thread-self/net/if_inet6", ""),
        ("/proc/sys/net/bridge/bridge-nf-call-iptables", "1\n"),
        ("/etc/docker/daemon.json", '{"iptables": false}'),
    ],
)
def test_what_nobody_announces_is_looked_at_each_time(path: str, text: str) -> None:
    host = Announcing()
    host.programs(noticed=1)
    host.files[path] = text
    assert host.programs(noticed=1)
    assert host.programs(noticed=1) == 0


def test_a_host_with_tables_of_iptables_legacy_is_read_each_time() -> None:
    host = Announcing()
    host.files["/proc/thread-self/net/ip_tables_names"] = "nat\n"
    assert host.programs(noticed=1)
    assert host.programs(noticed=1)


# --- sets ----------------------------------------------------------------------------------------


class Sets:
    """A kernel with one set; what it is ``asked``. Somebody may write ``while_reading``."""

    def __init__(self) -> None:
        self.asked: list[str | None] = []
        self.while_reading = False
        self.kernel = Netfilter(Silent(), lambda: 0.0, ask=self.ask, generation=lambda: b"1")

    def ask(self, name: str | None) -> list[bytes]:
        self.asked.append(name)
        recorded = RECORDED["headers"] if name is None else RECORDED["sets"][name]["messages"]
        if name is not None and self.while_reading:
            self.write()
        return [one for one in map(bytes.fromhex, recorded) if name or SET.encode() in one]

    def write(self) -> None:
        step = WriteSets("a test", (AddElements(SET, frozenset()),))
        self.kernel.commit([step], FACTS, "iptables-restore")

    def read(self) -> list[str | None]:
        """Return which sets are asked for their elements at rest."""
        self.asked.clear()
        self.kernel.read(FACTS, headers_suffice=True)
        return self.asked[1:]


def test_after_a_write_of_ours_elements_are_read_again() -> None:
    """The same number of other elements has the same header."""
    sets = Sets()
    assert sets.read() == [SET]
    assert sets.read() == []
    sets.write()
    assert sets.read() == [SET]
    assert sets.read() == []


def test_after_a_write_of_ours_while_they_are_read_so_they_are() -> None:
    sets = Sets()
    sets.while_reading = True
    assert sets.read() == [SET]
    sets.while_reading = False
    assert sets.read() == [SET]
    assert sets.read() == []
