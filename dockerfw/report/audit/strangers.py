"""Who could come in from outside: one packet's source for all whom the rules treat alike.

Takes rules of others, networks and interfaces of the host; gives `Stranger`s, and words for some of
them. Pure. This host itself and its Docker networks are no strangers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_network

from dockerfw.model.foreign import ForeignTable, NameAsked, rules_of
from dockerfw.model.intervals import WHOLE, Intervals, interval_of
from dockerfw.model.inventory import Inventory
from dockerfw.model.net import Address, Family, IPNetwork
from dockerfw.report.obstacles import STRANGERS
from dockerfw.text import listed, network_text

MOST_NETWORKS = 64
"""Networks in rules that are looked at each by itself; of more, the widest ones."""
ANYONE = "anyone"
NEIGHBOURS = "neighbours"
_NOBODY: dict[Family, tuple[IPNetwork, ...]] = {
    4: tuple(map(ip_network, ("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3"))),
    6: tuple(map(ip_network, ("::/127", "fe80::/10", "ff00::/8"))),
}
"""What no packet from elsewhere has as its source, or none that is forwarded."""


@dataclass(frozen=True, slots=True)
class Stranger:
    """Stands for all with a source in ``network``, but for narrower networks of others; None: for
    all that no rule names. ``interfaces`` are those by which such packets may come, which no rule
    tells apart; none where they are not known.
    """

    interfaces: tuple[str, ...]
    address: Address
    network: IPNetwork | None = None

    @property
    def interface(self) -> str | None:
        return self.interfaces[0] if self.interfaces else None


class Strangers:
    """``local`` are this host's own addresses, ``interfaces`` all that packets may come in by."""

    def __init__(
        self,
        tables: Iterable[ForeignTable],
        inventory: Inventory,
        local: Iterable[Address],
        interfaces: Iterable[str],
    ) -> None:
        self._tables = tuple(tables)
        self._own = (*map(ip_network, local), *(s for n in inventory.bridges() for s in n.subnets))
        bridges = {network.bridge for network in inventory.bridges()}
        self._groups = self._alike([name for name in interfaces if name not in bridges])
        self.unlisted: dict[Family, int] = {}
        """How many networks in rules are not looked at each by itself."""
        self._of: dict[Family, tuple[Stranger, ...]] = {4: self._find(4), 6: self._find(6)}

    def of(self, family: Family) -> tuple[Stranger, ...]:
        return self._of[family]

    def _alike(self, names: Sequence[str]) -> list[tuple[str, ...]]:
        """Return the interfaces in groups that no rule tells apart."""
        asked = {
            rule.asked.in_interface
            for rule in rules_of(self._tables)
            if rule.asked.in_interface is not None
        }
        groups: dict[frozenset[NameAsked], list[str]] = {}
        for name in names:
            groups.setdefault(frozenset(a for a in asked if _holds(a, name)), []).append(name)
        return [tuple(group) for group in groups.values()] or [()]

    def _find(self, family: Family) -> tuple[Stranger, ...]:
        found = [(network, address) for network, address in self._networks(family)]
        return tuple(
            Stranger(group, address, network)
            for group in self._groups
            for network, address in found
        )

    def _networks(self, family: Family) -> Iterator[tuple[IPNetwork | None, Address]]:
        """Yield those in rules, and (None) all the rest, each with an address that is in it alone.

        Without an address that is left there is nobody to speak of.
        """
        named = sorted(
            {
                network
                for rule in rules_of(self._tables)
                if rule.asked.source is not None
                for network in rule.asked.source.networks
                if network.version == family and network.prefixlen > 0
            },
            key=lambda n: (n.prefixlen, int(n.network_address)),
        )
        self.unlisted[family] = max(0, len(named) - MOST_NETWORKS)
        named = named[:MOST_NETWORKS]
        nobody = [n for n in (*self._own, *_NOBODY[family]) if n.version == family]
        for at, network in enumerate([None, *named]):
            whole = WHOLE[family] if network is None else interval_of(network)
            taken = Intervals(map(interval_of, (*named[at:], *nobody)))
            left = Intervals([whole]).without(taken)
            if left.all:
                yield network, _one_of(left, family)


def _one_of(left: Intervals, family: Family) -> Address:
    usual = int(STRANGERS[family])
    number = usual if left.holds((usual, usual)) else left.all[0][0]
    return IPv4Address(number) if family == 4 else IPv6Address(number)


def _holds(asked: NameAsked, name: str) -> bool:
    if asked.name.endswith("*"):
        return name.startswith(asked.name[:-1])
    return name == asked.name


def in_words(chosen: Sequence[Stranger], everybody: Sequence[Stranger], rest: str = ANYONE) -> str:
    """Return what these of all strangers are called; ``rest`` are those whom no rule names."""
    groups = dict.fromkeys(stranger.interfaces for stranger in everybody)
    by_group = {
        group: _of_group(
            [s for s in chosen if s.interfaces == group],
            [s for s in everybody if s.interfaces == group and s not in chosen],
            rest,
        )
        for group in groups
    }
    if len(set(by_group.values())) == 1:
        return next(iter(by_group.values()))
    return "; ".join(f"{text} by {listed(group)}" for group, text in by_group.items() if text)


def _of_group(chosen: Sequence[Stranger], others: Sequence[Stranger], rest: str) -> str:
    if not chosen:
        return ""
    within: Callable[[Stranger], bool]
    if any(stranger.network is None for stranger in chosen):
        words, within = [rest], lambda _: True
    else:
        words = [network_text(s.network) for s in chosen if s.network is not None]
        within = lambda other: any(_inside(other.network, s.network) for s in chosen)  # noqa: E731
    but = [network_text(s.network) for s in others if s.network is not None and within(s)]
    return listed(words) + (f" but not {listed(but)}" if but else "")


def _inside(one: IPNetwork | None, other: IPNetwork | None) -> bool:
    if one is None or other is None or one.version != other.version:
        return False
    return interval_of(other)[0] <= interval_of(one)[0] and (
        interval_of(one)[1] <= interval_of(other)[1]
    )
