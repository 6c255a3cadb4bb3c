"""``probe`` sends real packets: it agrees where the policy holds, and names what leaks.

And it leaves nothing behind, whenever it is killed, nor touches anything while it is there.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.engine.audit_rows import wrong_by_probe
from tests.engine.scene import apply
from tests.engine.street import POLICY, Street
from tests.lab.engine import Engine, Version
from tests.lab.host import HOST_V4, Host
from tests.lab.wait import becomes_true

PROBE = [sys.executable, "-m", "dockerfw", "probe"]


@pytest.fixture(scope="module", params=["20.10", pytest.param("28.5", marks=pytest.mark.slow)])
def street(request: pytest.FixtureRequest) -> Iterator[Street]:
    version: Version = request.param
    with Host(rp_filter=1) as host, Engine(host, version) as engine:
        yield Street(host, engine)


@pytest.fixture
def enforcing(street: Street) -> Iterator[Street]:
    """A street on which the policy holds; what a test does to the rules is undone at its end."""
    apply(street.host, *POLICY)
    kept = {f"ip{six}tables": _rules(street.host, f"ip{six}tables") for six in ("", "6")}
    yield street
    for program, text in kept.items():
        street.host.run([f"{program}-restore"], stdin=text)
    apply(street.host, *POLICY)


def _rules(host: Host, program: str) -> str:
    return host.run([f"{program}-save"]).stdout


def probed(street: Street, *arguments: str, status: int = 0) -> dict[str, Any]:
    done = street.host.dockerfw("probe", "--json", *arguments, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def traces(host: Host) -> list[str]:
    """All that a probe may leave on a host."""
    questions = (
        "ip -o link show", "ip -o address show", "ip rule show", "ip -6 rule show", "ip netns list",
        "ip route show table all", "ip -6 route show table all", "ip neigh show nud permanent",
    )  # fmt: skip
    texts = [host.run(question.split()).stdout for question in questions]
    # Times that go by, and the order in which the kernel lists what it has.
    return sorted(re.sub(r" expires \d+sec", "", line) for t in texts for line in t.splitlines())


def test_where_the_policy_holds_it_agrees_and_every_row_of_the_audit_is_so(
    enforcing: Street,
) -> None:
    found = probed(enforcing)
    tried = found["tried"]
    assert {one["outcome"] for one in tried} <= {"agrees", "refused by another"}
    assert {one["from"] for one in tried} == {"anyone", "office"}
    assert {one["protocol"] for one in tried} == {"tcp", "udp"}
    assert {one["family"] for one in tried} == {4, 6}
    paths = {one["path"] for one in tried}
    assert paths >= {"published", "direct", "docker-proxy", "host network"}
    assert wrong_by_probe(enforcing.audit()["ways"], found) == []


def test_what_it_prints_is_read_at_80_columns(enforcing: Street) -> None:
    done = enforcing.host.dockerfw("probe", "web", "--from", "any")
    assert done.stdout.startswith("agrees: ")
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "web:80" in done.stdout


def test_what_leaks_is_named(enforcing: Street) -> None:
    host = enforcing.host
    host.run(["iptables", "-F", "DOCKERFW"])
    host.run(["nft", "delete", "table", "inet", "dockerfw"])

    done = host.dockerfw("probe", "dns", "--from", "any", check=False)

    assert done.returncode == 3
    assert done.stdout.startswith("DISAGREES: ")
    assert "dns:53/udp, published 5353/udp: explain: denied: nothing allows it" in done.stdout
    leaks = [
        one for one in probed(enforcing, "dns", status=3)["tried"] if one["outcome"] == "disagrees"
    ]
    assert {(one["from"], one["expected"]) for one in leaks} >= {("anyone", "closed")}
    assert all(one["let_in"] for one in leaks)


def test_what_another_refuses_is_no_disagreement(enforcing: Street) -> None:
    enforcing.host.run(
        ["iptables", "-I", "DOCKER-USER", "-p", "tcp", "--dport", "80", "-j", "DROP"]
    )
    tried = probed(enforcing, "web:80", "--from", "any")["tried"]
    by = {one["by"] for one in tried if one["path"] in ("published", "direct")}
    assert any("--dport 80 -j DROP` in filter DOCKER-USER" in str(one) for one in by), by


def test_rejected_is_not_taken_for_let_in(enforcing: Street) -> None:
    apply(enforcing.host, '[firewall]\non_deny = "reject"\n', *POLICY)
    tried = probed(enforcing, "bound")["tried"]
    assert {one["let_in"] for one in tried} == {False}
    assert "refused" in {one["answer"] for one in tried}


def test_while_it_observes_all_is_open_and_it_says_so(enforcing: Street) -> None:
    apply(enforcing.host, '[firewall]\nmode = "observe"\n', *POLICY)
    done = enforcing.host.dockerfw("probe", "hidden", "--from", "any", check=False)
    assert done.stdout.startswith("OBSERVING, so nothing is dropped; agrees: "), done.stdout


def test_a_source_that_this_host_talks_to_is_not_played(enforcing: Street) -> None:
    host = enforcing.host
    flow = host.outside.flow("tcp", HOST_V4, 8080, source="198.51.100.7")
    try:
        found = probed(enforcing, "web", "--from", "198.51.100.7")
    finally:
        flow.close()
    assert found["tried"] == []
    assert "198.51.100.7" in found["not_tried"][0]["what"]


def test_a_family_that_new_interfaces_do_not_get_is_not_tried(enforcing: Street) -> None:
    setting = "net.ipv6.conf.default.disable_ipv6"
    enforcing.host.sysctl(setting, "1")
    try:
        found = probed(enforcing, "web")
    finally:
        enforcing.host.sysctl(setting, "0")
    assert {one["family"] for one in found["tried"]} == {4}
    assert "IPv6" in [one["what"] for one in found["not_tried"]]


def denied(street: Street) -> dict[tuple[str, str], int]:
    """How many packets of each source to each port are recorded."""
    rows = json.loads(street.host.dockerfw("denied", "--json").stdout)["denied"]
    return {(row["source"], f"{row['address']}:{row['port']}"): row["packets"] for row in rows}


@pytest.mark.parametrize(
    "firewall",
    [
        "",
        pytest.param('mode = "observe"', marks=pytest.mark.slow),
        pytest.param('on_deny = "reject"', marks=pytest.mark.slow),
    ],
)
def test_what_it_sends_is_nobodys_attempt(enforcing: Street, firewall: str) -> None:
    host, hidden = enforcing.host, enforcing.containers["hidden"].address
    apply(host, f"[firewall]\n{firewall}\n", *POLICY)
    before = denied(enforcing)
    tried = probed(enforcing, "hidden")["tried"]
    assert any(one["reason"].startswith("denied: ") for one in tried)
    if not firewall:
        assert watched(host, host.start([*BY_ID, *PROBE]), kill=True)
    assert denied(enforcing) == before
    host.outside.tcp(hidden, 81, source="192.0.2.7", patience=0.5)
    assert denied(enforcing).keys() - before.keys() <= {("192.0.2.7", f"{hidden}:81/tcp")}
    assert ("192.0.2.7", f"{hidden}:81/tcp") in denied(enforcing)
    assert not {one["source"] for one in tried} & set(host.dockerfw("init").stdout.split())


def test_apply_can_probe_what_it_has_put_in_force(enforcing: Street) -> None:
    done = enforcing.host.dockerfw("apply", "--yes", "--probe")
    assert "agrees: " in done.stdout
    asked = json.loads(enforcing.host.dockerfw("apply", "--yes", "--probe", "--json").stdout)
    assert asked["probe"]["agrees"] is True


def test_two_at_once_come_one_after_the_other(enforcing: Street) -> None:
    two = [enforcing.host.start([*PROBE, "web"]) for _ in range(2)]
    assert [one.wait(60) for one in two] == [0, 0]


ROUTING = [["ip", "route"], ["ip", "-6", "route"], ["ip", "rule"], ["ip", "-6", "rule"]]
BY_ID = ["sh", "-c", 'echo $$ >/run/lab/probe.pid; exec "$@"', "sh"]


def watched(host: Host, one: subprocess.Popen[str], *, kill: bool = False) -> bool:
    """Whether the interface was seen until the end of a probe: what routes packets stays the same
    meanwhile. ``kill``: kill it at that sight.
    """
    tables = [host.run(argv).stdout for argv in ROUTING]
    seen = False
    while one.poll() is None:
        if "dockerfw-probe" in host.run(["ip", "link"]).stdout:
            seen = True
            assert [host.run(argv).stdout for argv in ROUTING] == tables
            if kill:
                host.run(["kill", "-9", host.read("/run/lab/probe.pid").strip()], check=False)
    return seen


def test_what_was_killed_leaves_nothing_and_touches_nothing_meanwhile(enforcing: Street) -> None:
    host = enforcing.host
    before = traces(host)
    for delay in ("0.3", "0.6", "0.9", "1.2", "1.5", "1.8", "2.4", "3.0"):
        watched(host, host.start(["timeout", "-s", "KILL", delay, *PROBE]))
    assert watched(host, host.start([*BY_ID, *PROBE]), kill=True)
    assert becomes_true(lambda: traces(host) == before), set(traces(host)) ^ set(before)
    done = host.start(PROBE)
    assert watched(host, done)
    assert done.returncode == 0
    assert becomes_true(lambda: traces(host) == before), set(traces(host)) ^ set(before)
