"""What ``audit`` calls reachable is reached by packets, and what it calls closed is not.

Each row of an audit is asked by packets from an office and from a stranger, on real engines, with
no policy, observing and enforcing, and with rules of others beside Docker's. ``probe`` with its own
packets, and ``explain``, have to agree with each row, too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.engine.audit_rows import (
    wrong_by_explain,
    wrong_by_packets,
    wrong_by_probe,
)
from tests.engine.scene import apply
from tests.engine.street import POLICY, Street
from tests.lab.engine import Engine, Version
from tests.lab.firewalld import Firewalld
from tests.lab.host import Host
from tests.lab.sets import saved_sets
from tests.paths import FIXTURES

_AUDIT_OF_ALL = (
    *("web", "dns", "range", "bound", "local", "hidden", "six", "multi", "far", "sixth"),
    *("hostnet", "camera"),
)


# --- what runs -----------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["20.10", "28.5"])
def street(request: pytest.FixtureRequest) -> Iterator[Street]:
    version: Version = request.param
    with Host() as host, Engine(host, version) as engine:
        yield Street(host, engine)


@pytest.fixture
def rules_kept(street: Street) -> Iterator[None]:
    """What a test does to the rules of the host is undone at its end."""
    host = street.host
    kept = {f"ip{six}tables": host.run([f"ip{six}tables-save"]).stdout for six in ("", "6")}
    yield
    host.dockerfw("remove", "--yes")
    host.run(["nft", "delete", "table", "inet", "mine"], check=False)
    for program, text in kept.items():
        host.run([program, "-P", "INPUT", "ACCEPT"])
        host.run([f"{program}-restore"], stdin=text)


@pytest.mark.quick_where(holds=lambda street: street == "20.10")
def test_it_writes_nothing_and_tells_a_script_what_is_open(street: Street) -> None:
    host = street.host

    def standing() -> list[str]:
        tools = (
            ["iptables-save"],
            ["ip6tables-save"],
            ["nft", "list", "tables"],
        )
        text = "\n".join([*(host.run(argv).stdout for argv in tools), saved_sets(host)])
        folders = ("/var/lib/dockerfw", "/run/dockerfw")
        # But for the names that TAB completes, which whoever asks Docker keeps in /run.
        files = host.run(["find", *folders, "-type", "f", "!", "-name", "completion"], check=False)
        return [*(line for line in text.splitlines() if line[:1] not in "#:"), files.stdout]

    before = standing()
    done = host.dockerfw("audit", "--fail-on", "open", check=False)

    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout.startswith("NOT PROTECTED by dockerfw: ")
    assert max(map(len, done.stdout.splitlines())) <= 80
    done = host.dockerfw("audit", "--html", "/run/lab/audit.html", "--json")
    assert done.stderr == "Wrote /run/lab/audit.html\n"
    assert json.loads(done.stdout)["in_force"] == "no"
    assert standing() == before
    page = host.path("/run/lab/audit.html")
    assert page.stat().st_mode & 0o777 == 0o600
    assert "<svg" in page.read_text()
    refused = host.dockerfw("audit", "--html", "/run/lab/none/audit.html", check=False)
    assert (refused.returncode, refused.stderr) == (
        1,
        "dockerfw: cannot write /run/lab/none/audit.html: No such file or directory\n",
    )


# --- the scenes ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Situation:
    """Something done to a host, and what an audit has to find then at least.

    ``unknown`` are paths of which it may say that it does not know. ``asks_nothing``: no rule but
    Docker's asks for connections. ``by_interface``: its rules are for eth0, by which a probe does
    not come: that it has to say, and its packets say nothing of these rows.
    """

    name: str
    begin: Callable[[Street], None]
    in_force: str = "no"
    unknown: frozenset[str] = frozenset()
    asks_nothing: bool = False
    by_interface: bool = False

    def __str__(self) -> str:
        return self.name


def nothing(_: Street) -> None:
    """Docker's own rules alone."""


def enforcing(street: Street) -> None:
    apply(street.host, *POLICY)


def observing(street: Street) -> None:
    apply(street.host, '[firewall]\nmode = "observe"\n', *POLICY)


def locked_down(street: Street) -> None:
    street.host.dockerfw("lockdown")


def ufw(street: Street) -> None:
    """Ufw's rules behind Docker's own, as after ``ufw enable`` on a host where Docker runs."""
    for program in ("iptables", "ip6tables"):
        text = (FIXTURES / "ufw-0.36" / f"{program}.rules").read_text(encoding="ascii")
        street.host.run([f"{program}-restore", "--noflush"], stdin=text)


def both(
    one: Callable[[Street], None], other: Callable[[Street], None]
) -> Callable[[Street], None]:
    def begin(street: Street) -> None:
        one(street)
        other(street)

    return begin


def drop_in_docker_user(street: Street) -> None:
    """The recipe of Docker's own manual: one network may, by the interface to the world."""
    rule = "-I DOCKER-USER -i eth0 ! -s 198.51.100.0/24 -j DROP"
    street.host.run(["iptables", *rule.split()])


def by_original_port(street: Street) -> None:
    rule = "-I DOCKER-USER -p tcp -m conntrack --ctorigdstport 8080 --ctdir ORIGINAL -j DROP"
    street.host.run(["iptables", *rule.split()])


def policy_of_forward(street: Street) -> None:
    for program in ("iptables", "ip6tables"):
        street.host.run([program, "-P", "FORWARD", "DROP"])


def nft_of_others(street: Street) -> None:
    rules = """table inet mine {
 chain input { type filter hook input priority 10; policy drop;
  ct state established,related accept
  iifname "lo" accept
  meta l4proto { icmp, ipv6-icmp } accept
  ip saddr 198.51.100.0/24 accept
  ip6 saddr 2001:db8:10::/48 accept
 }
 chain forward { type filter hook forward priority 10; policy accept;
  tcp dport 80 ip saddr != 198.51.100.0/24 ct state new drop
 }
}"""
    street.host.run(["nft", "-f", "-"], stdin=rules)


def unreadable(street: Street) -> None:
    """Who passes depends on a mark, which nobody knows of here."""
    rule = "-I DOCKER-USER -i eth0 -m mark ! --mark 0x7 -j DROP"
    street.host.run(["iptables", *rule.split()])


def nat_of_others(street: Street) -> None:
    to = street.containers["hidden"].address
    rule = f"-t nat -A PREROUTING -p tcp --dport 9443 -j DNAT --to-destination {to}:80"
    street.host.run(["iptables", *rule.split()])


MODES = (
    Situation("no policy", nothing, asks_nothing=True),
    Situation("observing", observing, "observing"),
    Situation("enforcing", enforcing, "enforcing"),
)


def untold(street: Street, situation: Situation) -> frozenset[int]:
    """The families in which no rule asks for connections: there the kernel keeps no account, and an
    answer alone tells a probe that it got in. Engine 20.10 writes no rules of IPv6.
    """
    if not situation.asks_nothing:
        return frozenset()
    if "--iptables=false" in street.engine.options:
        return frozenset({4, 6})
    return frozenset({6} if street.engine.version == "20.10" else ())


QUICK = ("20.10", "ufw")
"""Besides the modes, in the quick ring."""
SITUATIONS = [
    *MODES,
    Situation("ufw", ufw),
    Situation("lockdown", locked_down, "enforcing"),
    Situation("DROP in DOCKER-USER", drop_in_docker_user, by_interface=True),
    Situation("by the original port", by_original_port, asks_nothing=True),
    Situation("FORWARD drops", policy_of_forward, asks_nothing=True),
    Situation("nft of others", nft_of_others),
    Situation(
        "a rule that nobody can read",
        unreadable,
        unknown=frozenset({"published", "direct", "loopback", "routed"}),
        by_interface=True,
    ),
    Situation("NAT of others", nat_of_others, asks_nothing=True),
    Situation("ufw and observing", both(ufw, observing), "observing"),
    Situation("ufw and enforcing", both(ufw, enforcing), "enforcing"),
    Situation("a DROP, and observing", both(by_original_port, observing), "observing"),
    Situation("a DROP, and enforcing", both(by_original_port, enforcing), "enforcing"),
]


@pytest.mark.usefixtures("rules_kept")
@pytest.mark.quick_where(
    holds=lambda street, situation: situation in MODES or (street, situation.name) == QUICK
)
@pytest.mark.parametrize("situation", SITUATIONS, ids=str)
def test_each_row_is_what_becomes_of_its_packets(street: Street, situation: Situation) -> None:
    situation.begin(street)

    found = street.audit()

    rows = found["ways"]
    assert found["in_force"] == situation.in_force
    assert {row["container"] for row in rows} >= set(_AUDIT_OF_ALL), found
    unknown = {row["path"] for row in rows if row["reach"] == "unknown"}
    assert unknown <= situation.unknown, found
    assert unknown or not situation.unknown
    assert wrong_by_packets(street, rows) == []
    probed = street.probe()
    if situation.by_interface:
        assert "rules of others for eth0" in {one["what"] for one in probed["not_tried"]}
    else:
        assert wrong_by_probe(rows, probed, untold(street, situation)) == []
    assert wrong_by_explain(street, rows) == []


def without_docker_proxy(stack: ExitStack) -> tuple[Host, Engine]:
    host = stack.enter_context(Host())
    return host, stack.enter_context(Engine(host, "20.10", "--userland-proxy=false"))


def without_docker_proxy_on_28(stack: ExitStack) -> tuple[Host, Engine]:
    host = stack.enter_context(Host())
    return host, stack.enter_context(Engine(host, "28.5", "--userland-proxy=false"))


def without_rules_of_docker(stack: ExitStack) -> tuple[Host, Engine]:
    host = stack.enter_context(Host())
    return host, stack.enter_context(Engine(host, "20.10", "--iptables=false"))


def on_legacy(stack: ExitStack) -> tuple[Host, Engine]:
    host = stack.enter_context(Host(flavour="legacy"))
    return host, stack.enter_context(Engine(host, "20.10"))


def behind_firewalld(stack: ExitStack) -> tuple[Host, Engine]:
    """Whose zone for the world opens ssh alone, and the office's addresses are trusted."""
    host = stack.enter_context(Host())
    firewalld = stack.enter_context(Firewalld(host, "1.3"))
    for source in ("198.51.100.0/24", "2001:db8:10::/48"):
        firewalld.cmd("--permanent", "--zone=trusted", f"--add-source={source}")
    firewalld.reload()
    return host, stack.enter_context(Engine(host, "20.10"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [
        without_docker_proxy,
        without_docker_proxy_on_28,
        without_rules_of_docker,
        on_legacy,
        behind_firewalld,
    ],
)
def test_on_a_host_that_is_set_up_otherwise_the_same_holds(
    make: Callable[[ExitStack], tuple[Host, Engine]],
) -> None:
    with ExitStack() as stack:
        street = Street(*make(stack))
        for mode in MODES:
            mode.begin(street)
            found = street.audit()
            assert found["in_force"] == mode.in_force
            rows = found["ways"]
            assert not [row for row in rows if row["reach"] == "unknown"], found
            assert wrong_by_packets(street, rows) == []
            assert wrong_by_probe(rows, street.probe(), untold(street, mode)) == []
            assert wrong_by_explain(street, rows) == []
