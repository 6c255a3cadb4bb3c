"""When rules are read again, and when not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dockerfw.kernel.netfilter import Netfilter
from dockerfw.model.host import Cgroup, Flavour, HostFacts, Proxy
from dockerfw.plan.state import KernelState
from tests.unit.kernel.fake_runner import FakeRunner

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
