"""What is known of one name: its addresses, for how long, and what people should know of them.

Takes addresses that were found, gives an `Answer`. Pure. A name that fails keeps the addresses
that it had: nobody is locked out because DNS is away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address

from dockerfw.model.net import Address
from dockerfw.model.policy import MOST_ADDRESSES
from dockerfw.text import listed

LEAST_TTL = 30.0
"""Seconds after which a name is looked up again, at the least; also one that has no TTL."""
MOST_TTL = 86_400.0
"""A day: no TTL counts for more."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a name stands for: addresses by family, None where that family had no answer.

    ``ignored`` are addresses that no packet can come from. ``ttl`` is in seconds. ``problem`` is
    why nothing is known, None where something is.
    """

    ipv4: tuple[Address, ...] | None = None
    ipv6: tuple[Address, ...] | None = None
    ignored: tuple[Address, ...] = ()
    ttl: float = LEAST_TTL
    problem: str | None = None

    def effective(self, before: tuple[Address, ...]) -> tuple[Address, ...]:
        """Return the addresses that count now, at most `MOST_ADDRESSES`.

        A family without an answer keeps those that it had ``before``.
        """
        if not self.ipv4 and not self.ipv6:
            return before
        by_family: tuple[tuple[int, tuple[Address, ...] | None], ...]
        by_family = ((4, self.ipv4), (6, self.ipv6))
        found: list[Address] = []
        for version, addresses in by_family:
            found += [a for a in before if a.version == version] if addresses is None else addresses
        return tuple(found[:MOST_ADDRESSES])

    def remarks(self, counts: tuple[Address, ...]) -> Iterator[str]:
        """Yield what people should know of the name, whose addresses now are ``counts``."""
        if self.problem is None:
            yield from self._left_out()
        elif counts:
            yield (
                f"cannot be looked up ({self.problem}): what it stood for last still counts, "
                f"{listed([str(a) for a in counts])}"
            )
        else:
            yield f"has no address ({self.problem}), so it opens nothing until it has one"

    def _left_out(self) -> Iterator[str]:
        known = len(self.ipv4 or ()) + len(self.ipv6 or ())
        if known > MOST_ADDRESSES:
            yield f"has {known} addresses: only the first {MOST_ADDRESSES} count"
        if self.ignored:
            yield (
                f"has {listed([str(a) for a in self.ignored])}, where nobody can come from: ignored"
            )


def answer(
    addresses: Iterable[Address], ttl: float = LEAST_TTL, unanswered: frozenset[int] = frozenset()
) -> Answer:
    """Return the answer that has these addresses.

    ``unanswered`` are the families of which nothing is known: 4, 6.
    """
    found = set(addresses)
    fit = {address for address in found if _can_send(address)}
    ignored = tuple(sorted(found - fit, key=_order))
    if not fit:
        named = listed([str(a) for a in ignored])
        problem = f"it has only {named}, where nobody can come from" if named else "no such name"
        return Answer(ignored=ignored, problem=problem)
    ordered = sorted(fit, key=_order)
    return Answer(
        ipv4=None if 4 in unanswered else tuple(a for a in ordered if a.version == 4),
        ipv6=None if 6 in unanswered else tuple(a for a in ordered if a.version == 6),
        ignored=ignored,
        ttl=min(max(ttl, LEAST_TTL), MOST_TTL),
    )


def _order(address: Address) -> tuple[int, int]:
    return address.version, int(address)


def _can_send(address: Address) -> bool:
    """Return True if a packet from the outside can have this address as its source.

    The rest of ``0.0.0.0/8`` and of ``240.0.0.0/4``, multicast and loopback cannot; IPv4 in IPv6
    is no address on the wire; link-local ones mean nothing without their interface.
    """
    odd = address.is_unspecified or address.is_loopback or address.is_multicast
    if odd or address.is_link_local or address.is_reserved:
        return False
    return isinstance(address, IPv6Address) or int(address) >> 24 != 0
