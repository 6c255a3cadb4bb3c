"""What a host outside sends to see whether it gets in, and what became of it. Pure values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from dockerfw.model.net import Address

Answer: TypeAlias = Literal["answered", "refused", "unreachable", "silent"]
"""answered     TCP: connected; UDP: a datagram came back
refused      TCP: a reset, or port unreachable; UDP: port unreachable
unreachable  any other ICMP error
silent       nothing came back in time
"""


@dataclass(frozen=True, slots=True)
class Knock:
    """A SYN or a datagram without content. ``patience``: seconds in which something should come of
    it before it counts as silent.
    """

    source: Address
    protocol: Literal["tcp", "udp"]
    address: Address
    port: int
    patience: float = 1.0


@dataclass(frozen=True, slots=True)
class Heard:
    """What became of a knock. ``passed``: whether every rule of this host let it pass, by the
    kernel's own account; None: that is not known.
    """

    answer: Answer
    passed: bool | None

    @property
    def let_in(self) -> bool | None:
        """Return whether it got in; None: that is not known."""
        return True if self.answer == "answered" else self.passed
