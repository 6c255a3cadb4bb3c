from __future__ import annotations

import select
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dockerfw.clock import SystemClock
from dockerfw.dns.answer import LEAST_TTL, Answer, answer
from dockerfw.dns.lookup import System
from dockerfw.dns.resolver import Moved, Resolver
from tests.edges.dns.systems import Slow, addresses

NAME = "vpn.example.org"


class Clock(SystemClock):
    """A clock that the test moves; waiting threads are woken by the resolver's own `follow`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Scripted(System):
    """A system with the answers that the test gives it."""

    answers: dict[str, Answer]
    asked: list[str]

    @classmethod
    def of(cls, **answers: Answer) -> Scripted:
        system = cls()
        object.__setattr__(system, "answers", {f"{n}.example.org": a for n, a in answers.items()})
        object.__setattr__(system, "asked", [])
        return system

    def look_up(self, name: str) -> Answer:
        self.asked.append(name)
        return self.answers[name]


@pytest.fixture
def following() -> Iterator[Callable[[System, Clock], Resolver]]:
    made: list[Resolver] = []

    def make(system: System, clock: Clock) -> Resolver:
        made.append(Resolver(clock, system))
        return made[-1]

    yield make
    for resolver in made:
        resolver.stop()
        resolver._thread.join(10)
        assert not resolver._thread.is_alive()


def taken(resolver: Resolver) -> Moved:
    """Return what it reports next."""
    while True:
        readable, _, _ = select.select([resolver], [], [], 10)
        assert readable, "the resolver reported nothing within 10 s"
        if (moved := resolver.take()) is not None:
            return moved


def test_the_daemon_hears_of_new_addresses_and_of_trouble_once(
    following: Callable[[System, Clock], Resolver],
) -> None:
    system, clock = Scripted.of(vpn=answer(addresses("203.0.113.7"), 300)), Clock()
    resolver = following(system, clock)
    assert resolver.take() is None

    resolver.follow([NAME], {})
    assert taken(resolver) == Moved(
        {NAME: addresses("203.0.113.7")}, (f"host:{NAME} is 203.0.113.7",)
    )

    system.answers[NAME] = answer(addresses("203.0.113.8"))
    wake(resolver, clock, 300)
    assert taken(resolver) == Moved(
        {NAME: addresses("203.0.113.8")}, (f"host:{NAME} is 203.0.113.8, was 203.0.113.7",)
    )

    system.answers[NAME] = Answer(problem="no such name")
    wake(resolver, clock, LEAST_TTL)
    moved = taken(resolver)
    assert moved.names == {NAME: addresses("203.0.113.8")}
    (said,) = moved.said
    assert said.startswith(f"host:{NAME} cannot be looked up (no such name): ")
    assert said.endswith("what it stood for last still counts, 203.0.113.8")
    assert moved.wrong == (said,)

    before = len(system.asked)
    wake(resolver, clock, LEAST_TTL)
    wait_for(lambda: len(system.asked) > before)
    system.answers[NAME] = answer(addresses("203.0.113.8"))
    wake(resolver, clock, LEAST_TTL)
    assert taken(resolver) == Moved(
        {NAME: addresses("203.0.113.8")}, (f"host:{NAME} can be looked up again",)
    )


def wake(resolver: Resolver, clock: Clock, seconds: float) -> None:
    """Let time pass: the thread reads its clock again, as it would when its wait is over."""
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
    system = Scripted.of(
        vpn=answer(addresses("203.0.113.7"), 300), gw=answer(addresses("192.0.2.1"), 60)
    )
    clock = Clock()
    resolver = following(system, clock)
    resolver.follow(["vpn.example.org", "gw.example.org"], {})
    wait_for(lambda: len(system.asked) == 2)
    wake(resolver, clock, 60)
    wait_for(lambda: len(system.asked) == 3)
    wake(resolver, clock, 240)
    wait_for(lambda: len(system.asked) == 5)
    assert sorted(system.asked) == ["gw.example.org"] * 3 + ["vpn.example.org"] * 2


def test_last_good_addresses_hold_until_there_are_others(
    following: Callable[[System, Clock], Resolver],
) -> None:
    resolver = following(Scripted.of(vpn=answer(addresses("203.0.113.7"))), Clock())
    resolver.follow([NAME], {NAME: addresses("203.0.113.6"), "other.example.org": ()})
    assert taken(resolver) == Moved(
        {NAME: addresses("203.0.113.7")}, (f"host:{NAME} is 203.0.113.7, was 203.0.113.6",)
    )


def test_names_that_nobody_follows_any_more_are_not_asked_for(
    following: Callable[[System, Clock], Resolver],
) -> None:
    system = Scripted.of(vpn=answer(addresses("203.0.113.7")), gw=answer(addresses("192.0.2.1")))
    clock = Clock()
    resolver = following(system, clock)
    resolver.follow(["vpn.example.org"], {})
    taken(resolver)
    resolver.follow(["gw.example.org"], {})
    assert taken(resolver).names == {"gw.example.org": addresses("192.0.2.1")}
    wake(resolver, clock, 100)
    wait_for(lambda: system.asked.count("gw.example.org") == 2)
    assert system.asked.count("vpn.example.org") == 1


def test_nothing_is_left_when_it_is_stopped_not_even_of_a_hanging_question() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    slow = Slow.new()
    resolver = Resolver(SystemClock(), slow)
    resolver.follow(["slow.example.org"], {})
    resolver.stop()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    slow.waiting.set()
    resolver._thread.join(10)
    assert not resolver._thread.is_alive()
