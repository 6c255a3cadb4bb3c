"""Systems that answer as a test says, and what they answer."""

from __future__ import annotations

import threading
from ipaddress import ip_address

from dockerfw.dns.answer import Answer, answer
from dockerfw.dns.lookup import System
from dockerfw.model.net import Address


def addresses(*texts: str) -> tuple[Address, ...]:
    return tuple(map(ip_address, texts))


class Slow(System):
    """A system that has no answer for slow names until the test lets it."""

    waiting: threading.Event

    @classmethod
    def new(cls) -> Slow:
        """Return one of its own for each test: an event that is set stays so."""
        system = cls()
        object.__setattr__(system, "waiting", threading.Event())
        return system

    def look_up(self, name: str) -> Answer:
        if name.startswith("slow"):
            self.waiting.wait(30)
        return answer(addresses("203.0.113.7"))
