from __future__ import annotations

from pathlib import Path

from dockerfw.clock import SystemClock
from dockerfw.dns.lookup import System
from dockerfw.dns.resolve_once import resolve
from dockerfw.model.policy import Origin
from tests.dns_server import dns_server
from tests.edges.dns.systems import Slow, addresses


def test_names_that_fail_keep_what_they_had_and_all_are_told_with_their_line(
    no_hosts: Path,
) -> None:
    zone = {
        "good.example.org A": "300 203.0.113.7",
        "both.example.org A": "300 203.0.113.8 127.0.0.1",
    }
    last_good = {"gone.example.org": addresses("192.0.2.9"), "good.example.org": addresses("::9")}
    names = {
        "good.example.org": Origin("config.toml", 3),
        "both.example.org": Origin("config.toml", 5),
        "gone.example.org": Origin("config.toml", 7),
        "never.example.org": None,
    }
    with dns_server(zone) as server:
        found = resolve(names, last_good, SystemClock(), system=System(no_hosts, server.resolver))
    assert found.names == {
        "good.example.org": addresses("203.0.113.7"),
        "both.example.org": addresses("203.0.113.8"),
        "gone.example.org": addresses("192.0.2.9"),
        "never.example.org": (),
    }
    assert set(found.warnings(names)) == {
        ("config.toml:5: host:both.example.org has 127.0.0.1, where nobody can come from: ignored"),
        (
            "config.toml:7: host:gone.example.org cannot be looked up (no such name): what it "
            "stood for last still counts, 192.0.2.9"
        ),
        (
            "host:never.example.org has no address (no such name), so it opens nothing until it "
            "has one"
        ),
    }


def test_a_name_that_hangs_holds_nobody_up() -> None:
    slow = Slow.new()
    names = ["quick.example.org", *(f"slow{n}.example.org" for n in range(3))]
    found = resolve(
        names,
        {"slow1.example.org": addresses("192.0.2.9")},
        SystemClock(),
        timeout=0.3,
        system=slow,
    )
    slow.waiting.set()
    assert found.names["quick.example.org"] == addresses("203.0.113.7")
    assert found.names["slow0.example.org"] == ()
    assert found.names["slow1.example.org"] == addresses("192.0.2.9")
    assert "it does not answer in time" in str(found.remarks["slow0.example.org"])
