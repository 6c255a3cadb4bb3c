from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path

import dns.resolver
import pytest

from dockerfw.dns import resolver as resolving
from dockerfw.dns.resolver import (
    LONGEST,
    SHORTEST,
    Answer,
    Moved,
    Resolver,
    System,
    answer,
    resolve,
)
from dockerfw.model.net import Address
from dockerfw.model.policy import Origin
from tests.dns_server import DnsServer, dns_server

NAME = "vpn.example.org"
SOME = 203


def addresses(*texts: str) -> tuple[Address, ...]:
    return tuple(map(ip_address, texts))


@pytest.fixture(autouse=True)
def nothing_else_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the machine's own system would say: nothing, and no packet leaves it."""

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)


@pytest.fixture
def no_hosts(tmp_path: Path) -> Path:
    return tmp_path / "hosts"


def looked_up(zone: Mapping[str, str], hosts: Path) -> Answer:
    with dns_server(zone) as server:
        return System(hosts, server.resolver).look_up(NAME)


# --- one name ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "zone, ipv4, ipv6, ttl",
    [
        pytest.param(
            {f"{NAME} A": "300 203.0.113.9 203.0.113.7", f"{NAME} AAAA": "60 2001:db8::7"},
            ("203.0.113.7", "203.0.113.9"),
            ("2001:db8::7",),
            60,
            id="both families, sorted, the shorter TTL",
        ),
        pytest.param(
            {f"{NAME} A": "1 203.0.113.7", f"{NAME} AAAA": "nodata"},
            ("203.0.113.7",),
            (),
            SHORTEST,
            id="a short TTL is asked for again after 30 s",
        ),
        pytest.param(
            {f"{NAME} A": "9999999 203.0.113.7", f"{NAME} AAAA": "9999999 2001:db8::7"},
            ("203.0.113.7",),
            ("2001:db8::7",),
            LONGEST,
            id="a TTL of months after a day",
        ),
        pytest.param(
            {
                f"{NAME} CNAME": "40 gw.example.net.",
                "gw.example.net CNAME": "900 pool.example.net.",
                "pool.example.net A": "900 203.0.113.7",
                "pool.example.net AAAA": "nodata",
            },
            ("203.0.113.7",),
            (),
            40,
            id="through aliases, with the shortest TTL on the way",
        ),
        pytest.param(
            {f"{NAME} A": "300 203.0.113.7", f"{NAME} AAAA": "servfail"},
            ("203.0.113.7",),
            None,
            300,
            id="a family without an answer is not one without addresses",
        ),
        pytest.param(
            {f"{NAME} A": "300 " + " ".join(f"203.0.113.{n}" for n in range(1, SOME))},
            tuple(f"203.0.113.{n}" for n in range(1, SOME)),
            (),
            300,
            id="a long answer comes over TCP",
        ),
    ],
)
def test_what_dns_says(
    zone: Mapping[str, str],
    ipv4: tuple[str, ...],
    ipv6: tuple[str, ...] | None,
    ttl: float,
    no_hosts: Path,
) -> None:
    found = looked_up(zone, no_hosts)
    assert found.ipv4 == addresses(*ipv4)
    assert found.ipv6 == (None if ipv6 is None else addresses(*ipv6))
    assert (found.ttl, found.problem) == (ttl, None)


@pytest.mark.parametrize(
    "zone, problem",
    [
        ({}, "no such name"),
        ({f"{NAME} A": "nodata", f"{NAME} AAAA": "nodata"}, "no such name"),
        ({f"{NAME} A": "servfail", f"{NAME} AAAA": "servfail"}, "DNS gives no usable answer"),
        ({f"{NAME} A": "silent", f"{NAME} AAAA": "silent"}, "DNS does not answer in time"),
        ({f"{NAME} A": "servfail", f"{NAME} AAAA": "nodata"}, "DNS gives no usable answer"),
        (
            {f"{NAME} CNAME": f"60 b.{NAME}.", f"b.{NAME} CNAME": f"60 {NAME}."},
            "DNS gives no usable answer",
        ),
        (
            {f"{NAME} A": "60 0.0.0.0", f"{NAME} AAAA": "60 ::"},
            "it has only 0.0.0.0, ::, where nobody can come from",
        ),
    ],
)
def test_a_name_that_fails_says_why(
    zone: dict[str, str], problem: str, no_hosts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolving, "_QUERY", 0.2)
    found = looked_up(zone, no_hosts) if "b." + NAME not in str(zone) else circle(no_hosts)
    assert (found.ipv4, found.ipv6, found.problem) == (None, None, problem)
    assert found.ttl == SHORTEST


def circle(hosts: Path) -> Answer:
    """Two aliases for each other; the server says the first one and leaves the rest to us."""

    class Circle(DnsServer):
        def _fill(self, response: dns.message.Message, name: str, _kind: str) -> bool:
            other = f"b.{NAME}." if name == NAME else f"{NAME}."
            for here, there in ((f"{name}.", other), (other, f"{name}.")):
                response.answer.append(dns.rrset.from_text(here, 60, "IN", "CNAME", there))
            return True

    server = Circle({})
    server.start()
    try:
        return System(hosts, server.resolver).look_up(NAME)
    finally:
        server.stop()


ODD = (
    "0.0.0.0", "0.1.2.3", "127.0.0.1", "169.254.1.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::ffff:203.0.113.7", "fe80::1", "ff02::1",
)  # fmt: skip


@pytest.mark.parametrize("odd", ODD)
def test_an_address_that_nobody_can_come_from_is_left_out_and_told(odd: str) -> None:
    found = answer(addresses("203.0.113.7", odd))
    assert found.settled(()) == addresses("203.0.113.7")
    assert list(found.remarks()) == [f"has {ip_address(odd)}, where nobody can come from: ignored"]
    assert answer(addresses(odd)).settled(addresses("203.0.113.9")) == addresses("203.0.113.9")


@pytest.mark.parametrize("plain", ["10.0.0.1", "172.17.0.2", "192.168.1.1", "fd00::1"])
def test_a_private_address_counts(plain: str) -> None:
    assert answer(addresses(plain)).settled(()) == addresses(plain)


def test_of_too_many_addresses_the_first_64_count_and_it_is_told() -> None:
    found = answer(ip_address(f"2001:db8::{n:x}") for n in range(80, 0, -1))
    assert found.settled(()) == addresses(*(f"2001:db8::{n:x}" for n in range(1, 65)))
    assert list(found.remarks()) == ["has 80 addresses: only the first 64 count"]


def test_a_family_without_an_answer_stays_as_it_was() -> None:
    before = addresses("203.0.113.1", "2001:db8::1")
    assert Answer(addresses("203.0.113.7"), None).settled(before) == addresses(
        "203.0.113.7", "2001:db8::1"
    )
    assert Answer(addresses("203.0.113.7"), ()).settled(before) == addresses("203.0.113.7")
    assert Answer(problem="no such name").settled(before) == before


# --- what else the host knows --------------------------------------------------------------------

HOSTS = """\
127.0.0.1 localhost
192.0.2.55  gw VPN.example.org  # the tunnel
2001:db8::55 vpn.example.org.
192.0.2.56 vpn.example.orgs xvpn.example.org
fe80::1%eth0 vpn.example.org
not-an-address vpn.example.org
# 192.0.2.57 vpn.example.org
"""


def test_the_hosts_file_goes_before_dns(no_hosts: Path) -> None:
    no_hosts.write_text(HOSTS)
    with dns_server({f"{NAME} A": "300 203.0.113.7"}) as server:
        found = System(no_hosts, server.resolver).look_up(NAME)
    assert found.settled(()) == addresses("192.0.2.55", "2001:db8::55")
    assert found.ttl == SHORTEST
    assert server.asked == []


def told_by_system(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """A system that knows the name, by mdns say; what it was asked."""
    asked: list[object] = []

    def known(name: object, *_: object, **__: object) -> list[object]:
        asked.append(name)
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.60", 0)),
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::60", 0, 0, 0)),
        ]

    monkeypatch.setattr(socket, "getaddrinfo", known)
    return asked


def test_where_dns_has_no_such_name_the_system_is_asked(
    no_hosts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = told_by_system(monkeypatch)
    found = looked_up({}, no_hosts)
    assert found.settled(()) == addresses("192.0.2.60", "2001:db8::60")
    assert found.ttl == SHORTEST
    assert asked == [f"{NAME}."], "with a dot: search domains are nobody's affair"


def test_without_a_resolv_conf_the_system_is_asked(
    no_hosts: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told_by_system(monkeypatch)
    missing = tmp_path / "resolv.conf"
    system = System(no_hosts, lambda: dns.resolver.Resolver(str(missing)))
    assert system.look_up(NAME).settled(()) == addresses("192.0.2.60", "2001:db8::60")


def test_nothing_that_breaks_gets_out(no_hosts: Path) -> None:
    def broken() -> dns.resolver.Resolver:
        raise RuntimeError("no luck")

    assert System(no_hosts, broken).look_up(NAME).problem == "RuntimeError: no luck"


# --- all names of a policy, once -----------------------------------------------------------------


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
        found = resolve(names, last_good, system=System(no_hosts, server.resolver))
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


class Slow(System):
    """A system that says nothing of one name until it is told to."""

    waiting = threading.Event()

    def look_up(self, name: str) -> Answer:
        if name.startswith("slow"):
            self.waiting.wait(30)
        return answer(addresses("203.0.113.7"))


def test_a_name_that_hangs_holds_nobody_up() -> None:
    slow = Slow()
    names = ["quick.example.org", *(f"slow{n}.example.org" for n in range(3))]
    found = resolve(names, {"slow1.example.org": addresses("192.0.2.9")}, 0.3, slow)
    slow.waiting.set()
    assert found.names["quick.example.org"] == addresses("203.0.113.7")
    assert found.names["slow0.example.org"] == ()
    assert found.names["slow1.example.org"] == addresses("192.0.2.9")
    assert "it does not answer in time" in str(found.remarks["slow0.example.org"])


# --- again and again -----------------------------------------------------------------------------


class Clock:
    """A clock that the test moves; waiting threads are woken by the resolver's own `follow`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Told(System):
    """A system that says what the test wants it to say."""

    answers: dict[str, Answer]
    asked: list[str]

    @classmethod
    def of(cls, **answers: Answer) -> Told:
        told = cls()
        object.__setattr__(told, "answers", {f"{n}.example.org": a for n, a in answers.items()})
        object.__setattr__(told, "asked", [])
        return told

    def look_up(self, name: str) -> Answer:
        self.asked.append(name)
        return self.answers[name]


@pytest.fixture
def following() -> Iterator[Callable[[System, Clock], Resolver]]:
    made: list[Resolver] = []

    def make(system: System, clock: Clock) -> Resolver:
        made.append(Resolver(system, clock))
        return made[-1]

    yield make
    for resolver in made:
        resolver.stop()
        resolver._thread.join(10)
        assert not resolver._thread.is_alive()


def taken(resolver: Resolver) -> Moved:
    """What it says next."""
    while True:
        readable, _, _ = select.select([resolver], [], [], 10)
        assert readable, "the resolver said nothing within 10 s"
        if (moved := resolver.take()) is not None:
            return moved


def test_the_daemon_hears_of_new_addresses_and_of_trouble_once(
    following: Callable[[System, Clock], Resolver],
) -> None:
    told, clock = Told.of(vpn=answer(addresses("203.0.113.7"), 300)), Clock()
    resolver = following(told, clock)
    assert resolver.take() is None

    resolver.follow([NAME], {})
    assert taken(resolver) == Moved(
        {NAME: addresses("203.0.113.7")}, (f"host:{NAME} is 203.0.113.7",)
    )

    told.answers[NAME] = answer(addresses("203.0.113.8"))
    wake(resolver, clock, 300)
    assert taken(resolver) == Moved(
        {NAME: addresses("203.0.113.8")}, (f"host:{NAME} is 203.0.113.8, was 203.0.113.7",)
    )

    told.answers[NAME] = Answer(problem="no such name")
    wake(resolver, clock, SHORTEST)
    moved = taken(resolver)
    assert moved.names == {NAME: addresses("203.0.113.8")}
    (said,) = moved.said
    assert said.startswith(f"host:{NAME} cannot be looked up (no such name): ")
    assert said.endswith("what it stood for last still counts, 203.0.113.8")

    before = len(told.asked)
    wake(resolver, clock, SHORTEST)
    wait_for(lambda: len(told.asked) > before)
    told.answers[NAME] = answer(addresses("203.0.113.8"))
    wake(resolver, clock, SHORTEST)
    assert taken(resolver) == Moved(
        {NAME: addresses("203.0.113.8")}, (f"host:{NAME} can be looked up again",)
    )


def wake(resolver: Resolver, clock: Clock, seconds: float) -> None:
    """Time passes: the thread looks at its clock again, as it would when its wait is over."""
    with resolver._changed:
        clock.now += seconds
        resolver._changed.notify()


def wait_for(condition: Callable[[], bool]) -> None:
    done = threading.Event()
    for _ in range(1000):
        if condition():
            return
        done.wait(0.01)
    raise AssertionError("waited 10 s in vain")


def test_it_asks_again_when_the_ttl_is_over_and_not_before(
    following: Callable[[System, Clock], Resolver],
) -> None:
    told = Told.of(vpn=answer(addresses("203.0.113.7"), 300), gw=answer(addresses("192.0.2.1"), 60))
    clock = Clock()
    resolver = following(told, clock)
    resolver.follow(["vpn.example.org", "gw.example.org"], {})
    wait_for(lambda: len(told.asked) == 2)
    wake(resolver, clock, 60)
    wait_for(lambda: len(told.asked) == 3)
    wake(resolver, clock, 240)
    wait_for(lambda: len(told.asked) == 5)
    assert sorted(told.asked) == ["gw.example.org"] * 3 + ["vpn.example.org"] * 2


def test_last_good_addresses_hold_until_there_are_others(
    following: Callable[[System, Clock], Resolver],
) -> None:
    resolver = following(Told.of(vpn=answer(addresses("203.0.113.7"))), Clock())
    resolver.follow([NAME], {NAME: addresses("203.0.113.6"), "other.example.org": ()})
    assert taken(resolver) == Moved(
        {NAME: addresses("203.0.113.7")}, (f"host:{NAME} is 203.0.113.7, was 203.0.113.6",)
    )


def test_names_that_nobody_follows_any_more_are_not_asked_for(
    following: Callable[[System, Clock], Resolver],
) -> None:
    told = Told.of(vpn=answer(addresses("203.0.113.7")), gw=answer(addresses("192.0.2.1")))
    clock = Clock()
    resolver = following(told, clock)
    resolver.follow(["vpn.example.org"], {})
    taken(resolver)
    resolver.follow(["gw.example.org"], {})
    assert taken(resolver).names == {"gw.example.org": addresses("192.0.2.1")}
    wake(resolver, clock, 100)
    wait_for(lambda: told.asked.count("gw.example.org") == 2)
    assert told.asked.count("vpn.example.org") == 1


def test_nothing_is_left_when_it_is_stopped_not_even_of_a_hanging_question() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    slow = Slow()
    slow.waiting.clear()
    resolver = Resolver(slow)
    resolver.follow(["slow.example.org"], {})
    resolver.stop()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    slow.waiting.set()
    resolver._thread.join(10)
    assert not resolver._thread.is_alive()
