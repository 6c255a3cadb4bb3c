"""Golden screens: what ``plan``, ``status``, ``explain`` and ``probe`` show of the shop of
``tests/golden/example``, as wide as 60, 80 and 120 columns.

``script/golden`` writes them anew, ``tests/unit/test_golden.py`` compares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TypeAlias

from dockerfw.model.denial import Denial
from dockerfw.model.host import HostFacts
from dockerfw.model.knock import Heard
from dockerfw.model.net import Port
from dockerfw.model.policy import Policy
from dockerfw.model.surroundings import Surroundings
from dockerfw.report import audit, explain, probe
from dockerfw.report.access import access_by_policy, access_without_policy
from dockerfw.report.denied import Sort, since
from dockerfw.report.denied_text import Denied
from dockerfw.report.diff import Diff, diff
from dockerfw.report.last_denied import with_last_denied
from dockerfw.report.let_in import Reader as DenialReader
from dockerfw.report.status import Health, LastDenied, Status
from dockerfw.report.traffic import Traffic
from dockerfw.rules.compiler import compile_ruleset
from dockerfw.rules.ruleset import Ruleset
from tests.golden_text import GOLDEN, case_inventory, case_policy
from tests.standing import sets_of, tables_of

Screen: TypeAlias = Callable[[int], Iterable[str]]
WIDTHS = (60, 80, 120)
LONG = "production-eu-west-frontend-cluster"
SHOP = GOLDEN / "example"
FOLDER = SHOP / "screens"

_POLICY = case_policy(SHOP)
_INVENTORY = case_inventory(SHOP)
_FACTS = HostFacts(br_netfilter=(True, True))
_WELL = Health(
    enforcing=True,
    observing=False,
    in_sync=True,
    daemon_alive=True,
    policy="/etc/dockerfw/config.toml",
    applied_at=1_780_000_000,
    engine="28.5.2",
    backend="iptables",
)
_ALLOWED = (
    Traffic("shop-proxy-1", "80/tcp", "host port 8080/tcp", 48_211, 9_100_000),
    Traffic("shop-db-1", "5432/tcp", "", 1_204, 88_000),
)
_DENIED = (Traffic("shop-db-1", "5432/tcp", "host port 5432/tcp", 17, 1_020),)


def texts() -> dict[Path, str]:
    """Return the text of every screen, by the file in which it is recorded."""
    return {
        FOLDER / f"{name}.{width}.txt": "".join(f"{line}\n" for line in screen(width))
        for name, screen in _screens().items()
        for width in WIDTHS
    }


def _screens() -> Mapping[str, Screen]:
    observing = replace(_WELL, observing=True, enforcing=False)
    unprotected = replace(
        _WELL, enforcing=False, in_sync=False, seal="missing", daemon_alive=False, policy=None,
        applied_at=None, first_step="dockerfw plan",
    )  # fmt: skip
    drifted = replace(
        _WELL,
        in_sync=False,
        policy_differs=True,
        first_packet="open",
        notes=("bridge virbr0 is cut off: the seal drops what is sent to it",),
    )
    return {
        "plan-first": _plan(None, _POLICY).lines,
        "plan-change": _plan(replace(_POLICY, allows=_POLICY.allows[:-1]), _POLICY).lines,
        "plan-enforce": _plan(replace(_POLICY, mode="observe"), _POLICY).lines,
        "plan-observe": _plan(_POLICY, replace(_POLICY, mode="observe")).lines,
        "status": replace(_status(_WELL), last=_last()).lines,
        "status-observing": replace(_status(observing), last=_last()).lines,
        "status-drifted": _status(drifted).lines,
        "status-verbose": lambda width: _status(_WELL).lines(width, verbose=True),
        "status-unprotected": Status(unprotected, ports=access_without_policy(_INVENTORY)).lines,
        "explain-allowed": _asked("office", "shop-db-1:5432"),
        "explain-denied": _asked("203.0.113.7", "shop-db-1:5432"),
        "explain-ports": _asked("203.0.113.7", "shop-proxy-1"),
        "denied": _denied().lines,
        "denied-noisiest": _denied(sort="noisiest", more=312).lines,
        "denied-observing": _denied(observing=True).lines,
        "denied-nothing": replace(_denied(), denials=(), rows=()).lines,
        "probe-agrees": _probed(leaks=False),
        "probe-disagrees": _probed(leaks=True),
        "explain-open": explain.open_to_all(_INVENTORY, _FACTS, "203.0.113.7", "shop-db-1").lines,
    }


def crowded() -> Mapping[str, Screen]:
    """Return screens of the shop where names are long: they are to fit, and are not recorded."""
    running = replace(
        _INVENTORY,
        containers=tuple(replace(c, name=f"{LONG}-{c.name}") for c in _INVENTORY.containers),
    )
    rows = access_by_policy(_POLICY, running, (), ())
    now = 1_780_000_000.0
    observing = replace(_WELL, observing=True, enforcing=False)
    ports = with_last_denied(rows, _denied().denials, running)
    reader = DenialReader(_POLICY, running, _FACTS)
    denied = replace(_denied(), rows=tuple(map(reader.row, _denied().denials)))
    audited = audit.audit(audit.Host(running, _FACTS, Surroundings(listeners=None)))
    target = f"{LONG}-shop-db-1:5432"
    ruleset = _compiled(_POLICY)
    planned = diff({}, ruleset, running, before_installed=False)
    return {
        "status": Status(_WELL, ports=ports, now=now).lines,
        "status-observing": Status(observing, ports=ports, now=now).lines,
        "status-verbose": lambda width: Status(_WELL, ports=ports).lines(width, verbose=True),
        "status-unprotected": Status(_WELL, ports=access_without_policy(running)).lines,
        "plan": planned.lines,
        "explain": explain.answer(_POLICY, running, _FACTS, "office", target).lines,
        "denied": denied.lines,
        "audit": lambda width: audit.lines(audited, width),
    }


def _denied(*, sort: Sort = "newest", observing: bool = False, more: int = 0) -> Denied:
    """A stranger, somebody of the office, a container and a /64 were turned away."""
    now = 1_780_000_000.0
    found = [
        _denial("203.0.113.9/32", "172.20.0.4", "tcp", 5432, packets=17, first=320, last=130),
        _denial("198.51.100.7/32", "172.20.0.4", "udp", 5432, packets=2, first=3_601, last=3_600),
        _denial("2001:db8:1::/64", "2001:db8::1", "tcp", 8000, packets=1_205, first=90, last=3),
        _denial("192.0.2.66/32", "172.20.0.2", "tcp", 80, packets=3, first=50_000, last=20_000),
    ]
    denials = since(found, now - 86_400, sort)
    reader = DenialReader(_POLICY, _INVENTORY, _FACTS)
    rows = tuple(map(reader.row, denials))
    return Denied((*denials, *denials[:1] * more), rows, now, 86_400, sort, observing)


def _last() -> LastDenied:
    found = _denied()
    return LastDenied(found.rows[1], found.now - found.rows[1].denial.last)


def _denial(
    source: str, to: str, protocol: str, port: int, *, packets: int, first: int, last: int
) -> Denial:
    """``first`` and ``last`` are seconds ago."""
    now = 1_780_000_000.0
    where = Port(protocol, port)
    return Denial(
        ip_network(source), ip_address(to), where, packets, 60 * packets, now - first, now - last
    )


def _plan(before: Policy | None, after: Policy) -> Diff:
    live = _compiled(before or after)
    return diff(
        sets_of(live),
        _compiled(after),
        _INVENTORY,
        before_installed=before is not None,
        live_tables=tables_of(live),
        observing=after.mode == "observe",
        observed=before is not None and before.mode == "observe",
    )


def _compiled(policy: Policy) -> Ruleset:
    return compile_ruleset(policy, _INVENTORY, _FACTS)


def _status(health: Health) -> Status:
    rows = access_by_policy(_POLICY, _INVENTORY, _ALLOWED, _DENIED)
    now = 1_780_000_000.0
    ports = with_last_denied(rows, _denied().denials, _INVENTORY)
    return Status(health, _ALLOWED, _DENIED, ports, since=now - 86_400, now=now)


def _probed(*, leaks: bool) -> Screen:
    """Of a host on which docker-proxy answers; ``leaks``: it does so for everybody."""
    host = audit.Host(
        _INVENTORY,
        replace(_FACTS, addresses=frozenset({ip_address("203.0.113.1")})),
        Surroundings(listeners=None),
        policy=_POLICY,
    )
    callers = [
        probe.Caller(whom, ip_address(address))
        for whom, address in (("anyone", "192.0.2.77"), ("office", "198.51.100.130"))
    ]
    plan = probe.plan(_POLICY, host, callers)
    heard = [
        Heard("answered", passed=True)
        if one.allowed or (leaks and one.way.path == "docker-proxy")
        else Heard("silent", passed=False)
        for one in plan.tries
    ]
    found = probe.judged(plan.tries, heard, plan.not_tried, ())
    return lambda width: probe.lines(found, width)


def _asked(source: str, target: str) -> Screen:
    return explain.answer(_POLICY, _INVENTORY, _FACTS, source, target).lines
