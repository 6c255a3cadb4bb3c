from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import TypeAlias

import pytest

from dockerfw.exit_status import ExitStatus
from dockerfw.model.denial import Denial
from dockerfw.model.host import Backend, HostFacts
from dockerfw.model.net import Port
from dockerfw.report import host_warnings
from dockerfw.report.status import Counted, Health, Status, build
from dockerfw.report.traffic import Counters, Traffic, counted_sets
from dockerfw.rules.compiler import compile_ruleset
from dockerfw.rules.ruleset import Ruleset
from tests.build import address_list, allow, container, inventory, network, policy
from tests.json_documents import holds
from tests.standing import element

RUNNING = inventory(
    network("shop", "172.18.0.0/16"),
    container("db", "shop 172.18.0.4"),
    container("proxy", "shop 172.18.0.5", published=("8080:80", "192.0.2.10:443:443")),
)
WELL = Health(enforcing=True, observing=False, in_sync=True, daemon_alive=True)
LONG_LIST = address_list("se.netset", *(f"203.0.{n}.0/25" for n in range(100)))
RULES = policy(
    allow("198.51.100.0/24", to="db", ports=5432),
    allow(LONG_LIST, to="db", ports=5432),
    allow("any", to="db", ports="10000-20000"),
    allow("any", to="proxy", ports=("icmp", 80, 443)),
)
RULESET = compile_ruleset(RULES, RUNNING, HostFacts())
SET_TYPES = {s.name: s.type for s in RULESET.sets}

CounterTexts: TypeAlias = Mapping[str, Mapping[str, tuple[int, int]]]
"""Counters by set name and by element, as ``ipset save`` prints it."""


def counters(texts: CounterTexts) -> Counters:
    """Return the same with the elements as values."""
    return {
        name: {element(entry, SET_TYPES[name]): count for entry, count in counts.items()}
        for name, counts in texts.items()
    }


def bucket(ruleset: Ruleset, set_type: str, family: int = 4) -> str:
    """The one set of this type whose name has a digest: of a list, or of a wide range."""
    (name,) = (
        s.name
        for s in ruleset.sets
        if s.name.startswith("dockerfw-coa-") and (s.type, s.family) == (set_type, family)
    )
    return name


CASES: list[tuple[str, CounterTexts, list[Traffic]]] = [
    (
        "entries of one port in several sets are one row",
        {
            "dockerfw-allow4": {"172.18.0.4,tcp:5432,198.51.100.0/24": (3, 180)},
            bucket(RULESET, "hash:net,port"): {"172.18.0.4,tcp:5432": (2, 120)},
        },
        [Traffic("db", "5432/tcp", "", 5, 300)],
    ),
    (
        "a range is one row",
        {bucket(RULESET, "hash:net"): {"172.18.0.4": (7, 70)}},
        [Traffic("db", "10000-20000/tcp", "", 7, 70)],
    ),
    (
        "a host port is told with the container port that it leads to, both families together",
        {
            "dockerfw-port4": {"0.0.0.0/1,tcp:8080": (1, 60), "128.0.0.0/1,tcp:8080": (2, 120)},
            "dockerfw-port6": {"8000::/1,tcp:8080": (4, 240)},
        },
        [Traffic("proxy", "80/tcp", "host port 8080/tcp", 7, 420)],
    ),
    (
        "a host port of one address",
        {"dockerfw-addr4": {"192.0.2.10,tcp:443,0.0.0.0/1": (1, 60)}},
        [Traffic("proxy", "443/tcp", "host port 192.0.2.10:443/tcp", 1, 60)],
    ),
    (
        "a host port that leads to no container",
        {"dockerfw-port4": {"0.0.0.0/1,tcp:9999": (1, 60)}},
        [Traffic("", "", "host port 9999/tcp", 1, 60)],
    ),
    (
        "ping, an open port without a packet, and an address that nobody has now",
        {
            "dockerfw-allow4": {
                "172.18.0.5,icmp:echo-request,0.0.0.0/1": (1, 84),
                "172.18.0.5,tcp:80,0.0.0.0/1": (0, 0),
                "172.18.0.99,tcp:80,0.0.0.0/1": (1, 60),
            }
        },
        [
            Traffic("172.18.0.99", "80/tcp", "", 1, 60),
            Traffic("proxy", "80/tcp", "", 0, 0),
            Traffic("proxy", "icmp", "", 1, 84),
        ],
    ),
    (
        "entries by hand that mean nothing to us do not count",
        {"dockerfw-allow4": {"nonsense": (1, 60), "172.18.0.4,tcp:80,x": (1, 60)}},
        [],
    ),
    ("no counters", {}, []),
]


@pytest.mark.parametrize("counted, rows", [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_allowed_packets_are_told_by_container_port(
    counted: CounterTexts, rows: list[Traffic]
) -> None:
    assert list(build(WELL, Counted(counters(counted)), RULESET, RULES, RUNNING).allowed) == rows


def test_denied_packets_are_told_by_container_and_by_docker_proxys_port() -> None:
    counted = {
        "dockerfw-target4": {"172.18.0.4": (5, 300), "172.18.0.5": (0, 0), "x": (1, 1)},
        "dockerfw-pub4": {"0.0.0.0/1,tcp:8080": (1, 60), "128.0.0.0/1,tcp:8080": (1, 60)},
        "dockerfw-pub6": {"::/1,tcp:8080": (2, 160), "x,tcp:1": (1, 1)},
        "dockerfw-guarded4": {"172.18.0.0/16": (9, 9)},
    }
    assert build(WELL, Counted(counters(counted)), RULESET, RULES, RUNNING).denied == (
        Traffic("db", "", "", 5, 300),
        Traffic("proxy", "80/tcp", "host port 8080/tcp", 4, 280),
    )


def test_the_sets_to_read_are_all_that_allow_and_those_that_count_denials() -> None:
    names = set(counted_sets(RULESET))
    assert {"dockerfw-allow4", "dockerfw-port6", "dockerfw-target4", "dockerfw-pub6"} <= names
    assert bucket(RULESET, "hash:net") in names
    assert not any("list" in name or "guarded" in name or "own" in name for name in names)


@pytest.mark.parametrize(
    "changes, first_line, exit_status",
    [
        ({}, "PROTECTED: the policy is enforced, in sync", 0),
        ({"daemon_alive": False}, "PROTECTED: the policy is enforced, in sync", 0),
        (
            {"in_sync": False, "notes": ("container addresses moved",)},
            "NOT IN SYNC: container addresses moved",
            3,
        ),
        (
            {"in_sync": False},
            "NOT IN SYNC: dockerfw plan shows what differs, the daemon is at it",
            3,
        ),
        (
            {"in_sync": False, "daemon_alive": False},
            "NOT IN SYNC: dockerfw plan shows what differs, dockerfw apply mends it",
            3,
        ),
        (
            {"enforcing": False, "observing": True},
            "OBSERVING: nothing is dropped, in sync",
            3,
        ),
        (
            {"observing": True, "in_sync": False, "notes": ("no seal",)},
            "OBSERVING: nothing is dropped; NOT IN SYNC: no seal",
            3,
        ),
        (
            {"enforcing": False, "in_sync": False, "notes": ("no policy is in force yet",)},
            "NOT PROTECTED: no policy is in force yet",
            3,
        ),
        (
            {"enforcing": False, "in_sync": False},
            "NOT PROTECTED: the policy is not in the kernel: run dockerfw apply",
            3,
        ),
        (
            {"enforcing": False, "in_sync": False, "first_step": "dockerfw plan"},
            "NOT PROTECTED: no policy is in force; next: dockerfw plan",
            3,
        ),
        (
            {"lockdown": True},
            "LOCKDOWN: every container port is closed until the next apply, in sync",
            3,
        ),
    ],
)
def test_the_first_line_says_how_it_is(
    changes: dict[str, object], first_line: str, exit_status: int
) -> None:
    status = Status(replace(WELL, **changes))  # type: ignore[arg-type]
    assert status.lines()[0] == first_line
    assert status.exit_status == exit_status


def test_all_of_it_reads_well() -> None:
    health = replace(
        WELL,
        policy="/etc/dockerfw/config.toml",
        applied_at=1_780_000_000.5,
        policy_differs=True,
        engine="28.5.2",
        notes=("chain DOCKERFW was edited",),
        warnings=("db matches no port 5433\x1b[2J",),
    )
    counted = {
        "dockerfw-allow4": {
            "172.18.0.4,tcp:5432,198.51.100.0/24": (1204, 1536),
            "172.18.0.5,tcp:80,0.0.0.0/1": (0, 0),
        },
        "dockerfw-port4": {"0.0.0.0/1,tcp:8080": (12, 3 * 2**20)},
        "dockerfw-target4": {"172.18.0.4": (5, 300)},
    }
    seen = Counted(counters(counted), since=1_780_000_060)
    status = build(health, seen, RULESET, RULES, RUNNING)
    brief = status.lines(verbose=False)
    assert brief == [
        "PROTECTED: the policy is enforced, in sync",
        "  policy   /etc/dockerfw/config.toml, applied 2026-05-28 20:26:40 UTC; the file",
        "           DIFFERS from what was applied: dockerfw plan shows how",
        "  daemon   alive",
        "  counts   since 2026-05-28 20:27:40 UTC, or later where a port came later",
        "  host     Docker 28.5.2, iptables-nft",
        "  note     chain DOCKERFW was edited",
        "  warning  db matches no port 5433?[2J",
        "  container  port             host port       open to             passed  denied",
        "  db         5432/tcp                         198.51.100.0/24,     1,204",
        "                                              file:se.netset",
        "  db         10000-20000/tcp                  any",
        "  db         any port                                                          5",
        "  proxy      80/tcp           8080            any                     12",
        "  proxy      443/tcp          192.0.2.10:443  any",
        "  proxy      ping                             any",
    ]
    lines = status.lines(verbose=True)
    assert [line for line in brief if line not in lines] == []
    assert lines[4:6] == ["  seal     stands", "  proxy    closed from its first packet"]
    assert lines[-8:] == [
        "allowed:",
        "  packets    bytes  to",
        "       12  3.0 MiB  proxy 80/tcp by host port 8080/tcp",
        "    1,204  1.5 KiB  db 5432/tcp",
        "  1 more open port without a packet",
        "denied:",
        "  packets  bytes  to",
        "        5  300 B  db",
    ]


def test_before_any_policy_the_first_line_counts_what_is_open_and_names_the_next_step() -> None:
    health = replace(
        WELL, enforcing=False, in_sync=False, seal="missing", daemon_alive=False,
        engine="28.5.2", first_step="dockerfw plan",
    )  # fmt: skip
    assert build(health, Counted(), RULESET, RULES, RUNNING).lines() == [
        "NOT PROTECTED: 2 ports open to anyone; next: dockerfw plan",
        "  host  Docker 28.5.2, iptables-nft",
        "  container  port     host port       open to",
        "  proxy      80/tcp   8080            anyone",
        "  proxy      443/tcp  192.0.2.10:443  anyone",
    ]


def test_what_was_denied_last_is_told_with_its_time() -> None:
    denial = Denial(
        ip_network("203.0.113.9/32"), ip_address("172.18.0.4"), Port("tcp", 22), 1, 60, 500, 1000
    )
    found = build(WELL, Counted(denials=(denial,), now=1200.0), RULESET, RULES, RUNNING)
    told = "last 3 min ago: 203.0.113.9 → db:22/tcp; see dockerfw denied"
    assert f"  denied  {told}" in found.lines()
    assert found.to_json()["denied_last"] == "1970-01-01T00:16:40Z"
    observing = replace(found, health=replace(WELL, observing=True)).lines(200)
    assert f"  denied  would be, {told}" in observing


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_it_fits_the_terminal(width: int) -> None:
    health = replace(WELL, notes=("chain DOCKERFW was edited " * 9,), unenforced=("so " * 90,))
    for verbose in (False, True):
        lines = build(health, Counted(), RULESET, RULES, RUNNING).lines(width, verbose=verbose)
        assert max(map(len, lines)) <= width


def test_while_observing_nothing_is_said_to_be_open_or_closed() -> None:
    denial = Denial(
        ip_network("203.0.113.9/32"), ip_address("172.18.0.5"), Port("tcp", 80), 1, 60, 500, 1000
    )
    seen = Counted(
        counters({"dockerfw-pub4": {"0.0.0.0/1,tcp:8080": (7, 60)}}), (denial,), now=1080
    )
    health = replace(WELL, observing=True, enforcing=False, seal="missing")
    status = build(replace(health, first_packet="open"), seen, RULESET, RULES, RUNNING)
    text = "\n".join([*status.lines(100), *status.lines(60), *status.lines(verbose=True)])
    assert re.search("would let in +allowed  would deny  last", text)
    assert "closed from its first packet" not in text
    assert "would let in any; deny 7, last 1 min ago" in text
    assert "open to" not in text
    assert "denied packets pass" not in text
    assert "MISSING: while others rewrite iptables nothing is counted" in text


def test_every_port_says_when_somebody_was_denied_there_last() -> None:
    denial = Denial(
        ip_network("203.0.113.9/32"), ip_address("172.18.0.5"), Port("tcp", 80), 1, 60, 500, 1000
    )
    found = build(WELL, Counted(denials=(denial,), now=1200.0), RULESET, RULES, RUNNING)
    row = next(line for line in found.lines() if line.startswith("  proxy      80/tcp"))
    assert row.endswith("  3 min ago")
    (told,) = (port for port in found.to_json()["ports"] if port["denied_last"])  # type: ignore[attr-defined]
    assert (told["port"], told["denied_last"]) == ("80/tcp", "1970-01-01T00:16:40Z")
    assert told["host_ports"] == [
        {"address": None, "protocol": "tcp", "first": 8080, "last": 8080, "others": False}
    ]


def test_what_was_denied_before_a_container_was_started_is_not_told_as_its_own() -> None:
    to = ip_address("172.18.0.5")
    denial = Denial(ip_network("203.0.113.9/32"), to, Port("tcp", 80), 1, 60, 500, 1000)
    (container,) = (c.id for c in RUNNING.containers if to in c.endpoints[0].addresses)
    for started, told in ((1001.0, "172.18.0.5:80/tcp"), (1000.0, "proxy:80/tcp")):
        seen = Counted(denials=(denial,), now=1200.0, started={container: started})
        found = build(WELL, seen, RULESET, RULES, RUNNING)
        line = f"  denied  last 3 min ago: 203.0.113.9 → {told}; see dockerfw denied"
        assert line in found.lines()
        assert any(port.denied_last for port in found.ports) == (started == 1000.0)


def test_what_was_denied_at_an_address_that_is_gone_is_no_port_of_this_host() -> None:
    denial = Denial(
        ip_network("203.0.113.9/32"), ip_address("172.30.0.9"), Port("tcp", 8080), 1, 60, 500, 1000
    )
    facts = HostFacts(addresses=frozenset({ip_address("203.0.113.1")}))
    seen = Counted(denials=(denial,), now=1200.0)
    found = build(WELL, seen, RULESET, RULES, RUNNING, facts)
    assert any("203.0.113.9 → 172.30.0.9:8080/tcp;" in line for line in found.lines())
    assert not any(port.denied_last for port in found.ports)


def test_where_docker_proxy_is_open_at_first_the_next_step_is_told() -> None:
    step = host_warnings.proxy_next_step(HostFacts())
    status = Status(replace(WELL, first_packet="open", first_packet_step=step))
    assert [line for line in status.lines() if "proxy" in line or "-v" in line] == [
        "  proxy   NOT closed from its first packet, but once dockerfw knows of a port:",
        "          see dockerfw status -v",
    ]
    lines = status.lines(verbose=True)
    assert lines[4:8] == [
        "  proxy   NOT closed from its first packet, but once dockerfw knows of a port:",
        "          dockerd shares its cgroup with other programs, which would be closed",
        "          with it: start it as a service of its own (docker.service); or set",
        '          "userland-proxy": false in daemon.json, or publish at 0.0.0.0 (-p',
    ]
    assert max(map(len, lines)) <= 80


def test_what_observing_counts_was_not_denied() -> None:
    status = Status(replace(WELL, observing=True))
    assert status.lines(verbose=True)[-2:] == [
        "would be allowed: no packet yet",
        "would be denied: no packet yet",
    ]


def test_the_json_document_holds_everything() -> None:
    health = replace(WELL, applied_at=1_780_000_000.5, policy="/etc/dockerfw/config.toml")
    counted = counters({"dockerfw-target4": {"172.18.0.4": (5, 300)}})
    status = build(health, Counted(counted, since=1_780_000_060.0), RULESET, RULES, RUNNING)
    assert json.loads(json.dumps(status.to_json())) == {
        "enforcing": True,
        "observing": False,
        "in_sync": True,
        "lockdown": False,
        "unenforced": [],
        "notes": [],
        "daemon_alive": True,
        "daemon_reconciled_at": None,
        "daemon_healed": 0,
        "policy": "/etc/dockerfw/config.toml",
        "policy_differs": False,
        "applied_at": "2026-05-28T20:26:40Z",
        "seal": "stands",
        "docker_proxy_first_packet": "closed",
        "docker_proxy_next_step": None,
        "flavour": "nft",
        "engine": "",
        "firewall_backend": None,
        "warnings": [],
        "denied_last": None,
        "allowed": [],
        "counted_since": "2026-05-28T20:27:40Z",
        "denied": [
            {
                "container": "db",
                "port": "",
                "ports": [],
                "host_ports": [],
                "packets": 5,
                "bytes": 300,
            }
        ],
        "ports": [row.to_json() for row in status.ports],
    }
    assert status.ports
    holds("status", {"schema": 1, **status.to_json()})


@pytest.mark.parametrize(
    "engine, backend, reported, said",
    [
        ("29.0.4", "nftables", "nftables", "Docker 29.0.4, on nftables"),
        ("28.5.2", "iptables", "nftables", "Docker 28.5.2, on iptables (it reports nftables)"),
        ("20.10.24", "iptables", None, "Docker 20.10.24, on iptables"),
        ("", "nftables", "nftables", "on nftables"),
        ("20.10.24", None, None, "Docker 20.10.24"),
    ],
)
def test_what_docker_writes_its_rules_with_is_named(
    engine: str, backend: Backend | None, reported: Backend | None, said: str
) -> None:
    health = replace(WELL, engine=engine, backend=backend, backend_reported=reported)
    assert f"  host    {said}, iptables-nft" in Status(health).lines()
    assert Status(health).to_json()["firewall_backend"] == backend


def test_what_does_not_hold_on_every_path_is_no_success() -> None:
    status = Status(replace(WELL, unenforced=("br_netfilter is off; run this", "and that")))
    assert status.exit_status == ExitStatus.NO
    lines = status.lines()
    assert " ".join(lines[:2]) == (
        "PROTECTED: the policy is enforced, but NOT ON EVERY PATH: br_netfilter is off;   run this"
    )
    assert "  note    and that" in lines
    assert sum("br_netfilter" in line for line in lines) == 1, "once"
    locked = Status(replace(status.health, lockdown=True))
    assert "NOT ON EVERY PATH" in locked.headline()
