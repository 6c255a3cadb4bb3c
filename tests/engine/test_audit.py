"""What ``audit`` calls reachable is reached by packets, and what it calls closed is not.

Each row of an audit is asked by packets from an office and from a stranger, on real engines, with
no policy, observing and enforcing, and with rules of others beside Docker's. Where dockerfw is in
force ``explain`` has to agree.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import pytest

from tests.engine.scene import OFFICE, STRANGER, apply, source_for
from tests.engine.street import POLICY, UNPUBLISHED, Street
from tests.json_documents import ports_text
from tests.lab.engine import Engine, Version
from tests.lab.firewalld import Firewalld
from tests.lab.host import HOST_V4, HOST_V6, Host
from tests.lab.place import Probe, patient
from tests.lab.sets import saved_sets
from tests.lab.wait import becomes_true
from tests.paths import FIXTURES

_AUDIT_OF_ALL = ("web", "dns", "range", "bound", "local", "hidden", "six", "multi", "hostnet")


# --- what runs -----------------------------------------------------------------------------------


@pytest.fixture(
    scope="module",
    params=["20.10", pytest.param("28.5", marks=pytest.mark.slow)],
)
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


# --- what is asked -------------------------------------------------------------------------------


class Question(NamedTuple):
    """One packet that a row is about: to this address and port."""

    row: Mapping[str, Any]
    protocol: Literal["tcp", "udp"]
    address: str
    port: int

    @property
    def answer_may_be_lost(self) -> bool:
        """Older engines answer by docker-proxy from another address than was asked. A container on
        two networks answers through one of them, and a filter of the way back may drop that.
        """
        if self.row["path"] == "docker-proxy":
            return self.protocol == "udp"
        return (self.row["path"], self.row["container"]) == ("direct", "multi")

    @property
    def target(self) -> str:
        """As ``explain`` takes it."""
        if self.row["path"] == "macvlan":
            return f"{self.row['container']}:{self.port}/{self.protocol}"
        where = f"[{self.address}]" if ":" in self.address else self.address
        return f"{where}:{self.port}/{self.protocol}"


def questions(row: Mapping[str, Any], rows: list[Mapping[str, Any]]) -> Iterator[Question]:
    """Yield the packets of a row: each port at which somebody listens, and that no other of these
    rows lists for that address.
    """
    host = {4: HOST_V4, 6: HOST_V6}
    listed = {
        one
        for other in rows
        if row["port"].startswith("all") and other is not row and other["at"] == row["at"]
        for one in _ports(other)
    }
    for family in row["families"]:
        address = row["at"] or host[family]
        for protocol, port in _ports(row):
            if (protocol, port) not in listed:
                yield Question(row, protocol, address, port)


def _ports(row: Mapping[str, Any]) -> Iterator[tuple[Literal["tcp", "udp"], int]]:
    text = ports_text(row)
    if text.startswith("all"):
        if row["path"] != "macvlan":
            if "udp ports" not in text:
                yield "tcp", UNPUBLISHED
            if "tcp ports" not in text:
                yield "udp", UNPUBLISHED
        if text == "all ports" and row["container"] not in ("dns", "range"):
            yield "tcp", 80
        return
    for part in text.split(", "):
        found = re.fullmatch(r"(\d+)(?:-(\d+))?/(tcp|udp)", part)
        assert found, row
        for number in filter(None, found.groups()[:2]):
            yield ("tcp" if found[3] == "tcp" else "udp"), int(number)


EXPECTED = {
    # reach: (is the office let in, is the stranger)
    "anyone": (True, True),
    "neighbours": (True, True),
    "some": (True, False),
    "nobody": (False, False),
}


def wrong_rows(street: Street, found: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each packet with which a row does not agree."""
    table: list[tuple[Probe, bool]] = []
    by_hand: list[str] = []
    for row in found["ways"]:
        for asked in questions(row, found["ways"]) if row["reach"] != "unknown" else ():
            for caller, open_ in zip((OFFICE, STRANGER), EXPECTED[row["reach"]], strict=True):
                source = source_for(caller, asked.address)
                if row["path"] == "loopback":
                    by_hand += _by_syn(street, asked, source, open_)
                elif asked.answer_may_be_lost:
                    if asked.protocol == "udp":
                        by_hand += _by_datagram(street, asked, source, open_)
                elif caller is STRANGER or row["path"] != "macvlan":
                    outside, protocol = street.host.outside, asked.protocol
                    one = Probe(outside, protocol, asked.address, asked.port, source)
                    table.append((one, open_))
    answers = zip(table, patient(table), strict=True)
    # Without docker-proxy older engines hold its ports themselves, and let nobody in.
    wrong = [
        f"{one}: {answer}, but should be {open_}"
        for (one, open_), answer in answers
        if (answer.outcome == "answered") != open_
    ]
    return [*wrong, *by_hand]


def _by_syn(street: Street, asked: Question, source: str, open_: bool) -> Iterator[str]:
    """To 127.0.0.1 of the host, as only a neighbour can send it."""
    patience = 3.0 if open_ else 0.3
    outside = street.host.outside
    if outside.syn(asked.address, asked.port, source=source, patience=patience) != open_:
        yield f"{source} to {asked.target} should be {open_}"


def _by_datagram(street: Street, asked: Question, source: str, open_: bool) -> Iterator[str]:
    """Whether it is heard, whatever becomes of the answer."""
    listening = street.containers[asked.row["container"]]
    listening.received()
    street.host.outside.udp(asked.address, asked.port, source=source, patience=0.2)
    came = becomes_true(lambda: bool(listening.received()), 3.0 if open_ else 0.3)
    if came != open_:
        yield f"{source} to {asked.target} should be {open_}"


def disagreeing_with_explain(street: Street, found: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each row of which ``explain`` gives another answer for a stranger."""
    wrong = []
    for row in found["ways"]:
        asked = next(questions(row, found["ways"]), None)
        if asked is None or row["path"] == "macvlan":
            continue
        source = f"{source_for(STRANGER, asked.address)}@eth0"
        answer = street.host.dockerfw("explain", "--json", source, asked.target, check=False)
        explained = json.loads(answer.stdout)
        verdict = explained["verdict"]
        if row["enforced"] is not None:
            open_ = row["enforced"] in ("open to anyone", "open to neighbours")
        else:
            open_ = row["reach"] in ("anyone", "neighbours")
        others = any(path["others"] for path in explained["paths"])
        if (verdict == "allowed") != open_ and not (others and not open_):
            wrong.append(f"{asked.target}: {row}: {explained}")
    return wrong


def test_it_writes_nothing_and_tells_a_script_what_is_open(street: Street) -> None:
    host = street.host

    def standing() -> list[str]:
        tools = (
            ["iptables-save"],
            ["ip6tables-save"],
            ["nft", "list", "tables"],
        )
        text = "\n".join([*(host.run(argv).stdout for argv in tools), saved_sets(host)])
        files = host.run(["find", "/var/lib/dockerfw", "/run/dockerfw", "-type", "f"], check=False)
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

    ``unknown`` are paths of which it may say that it does not know.
    """

    name: str
    begin: Callable[[Street], None]
    in_force: str = "no"
    unknown: frozenset[str] = frozenset()

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


def ufw_and_enforcing(street: Street) -> None:
    ufw(street)
    enforcing(street)


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


SITUATIONS = [
    Situation("no policy", nothing),
    Situation("enforcing", enforcing, "enforcing"),
    Situation("ufw", ufw),
    *(
        pytest.param(situation, marks=pytest.mark.slow)
        for situation in (
            Situation("observing", observing, "observing"),
            Situation("lockdown", locked_down, "enforcing"),
            Situation("DROP in DOCKER-USER", drop_in_docker_user),
            Situation("by the original port", by_original_port),
            Situation("FORWARD drops", policy_of_forward),
            Situation("nft of others", nft_of_others),
            Situation(
                "a rule that nobody can read",
                unreadable,
                unknown=frozenset({"published", "direct", "loopback", "routed"}),
            ),
            Situation("NAT of others", nat_of_others),
            Situation("ufw and enforcing", ufw_and_enforcing, "enforcing"),
        )
    ),
]


@pytest.mark.usefixtures("rules_kept")
@pytest.mark.parametrize("situation", SITUATIONS, ids=str)
def test_each_row_is_what_becomes_of_its_packets(street: Street, situation: Situation) -> None:
    situation.begin(street)

    found = street.audit()

    assert found["in_force"] == situation.in_force
    named = {row["container"] for row in found["ways"]}
    assert named >= set(_AUDIT_OF_ALL), found
    unknown = {row["path"] for row in found["ways"] if row["reach"] == "unknown"}
    assert unknown <= situation.unknown, found
    assert unknown or not situation.unknown
    assert wrong_rows(street, found) == []


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
        found = street.audit()
        assert not [row for row in found["ways"] if row["reach"] == "unknown"], found
        assert wrong_rows(street, found) == []


@pytest.mark.usefixtures("rules_kept")
@pytest.mark.parametrize(
    "begin",
    [
        pytest.param(enforcing, marks=pytest.mark.slow),
        pytest.param(observing, marks=pytest.mark.slow),
    ],
)
def test_explain_agrees(street: Street, begin: Callable[[Street], None]) -> None:
    begin(street)
    assert disagreeing_with_explain(street, street.audit()) == []
