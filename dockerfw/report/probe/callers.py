"""Whom a probe plays: somebody of whom no rule speaks, and one of each source that rules name.

Takes a policy, an inventory and facts of the host; gives `Candidate`s, and with what is known of
the addresses that are in use, `Caller`s. Pure. Nobody is played whom this host has to do with.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from itertools import islice

from dockerfw.errors import UsageError
from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Inventory
from dockerfw.model.net import Address, Family, IPNetwork, family_of
from dockerfw.model.policy import (
    AnySource,
    BridgeSource,
    InterfaceSource,
    Policy,
    SelectorSource,
    Source,
    outside_networks,
    parts,
)
from dockerfw.report.probe.result import NotTried
from dockerfw.text import listed, printable

ANYONE = "anyone"
MOST_SOURCES = 6
"""Sources that a policy names, besides anyone."""
_STRANGERS: dict[Family, tuple[Address, ...]] = {
    4: tuple(map(ip_address, ("192.0.2.77", "198.51.100.77", "203.0.113.77", "198.18.0.77"))),
    6: tuple(map(ip_address, ("2001:db8:ffff::77", "2001:db8::77", "100::77"))),
}
"""Of blocks for documentation, for benchmarks and for nothing: nobody has these addresses, nor
those behind them."""
_NARROW: dict[Family, int] = {4: 8, 6: 16}
"""From this length of a prefix on a network is not the whole world."""
_NETWORKS_ASKED, _ADDRESSES_ASKED = 8, 16


@dataclass(frozen=True, slots=True)
class Candidate:
    """Someone to be played; any of the addresses would do, the first ones are the better ones.

    ``whom`` is what the policy calls them.
    """

    whom: str
    family: Family
    addresses: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class Caller:
    """Someone who is played."""

    whom: str
    address: Address

    @property
    def family(self) -> Family:
        return family_of(self.address)


def candidates(
    policy: Policy, inventory: Inventory, facts: HostFacts, words: Sequence[str] = ()
) -> tuple[tuple[Candidate, ...], tuple[NotTried, ...]]:
    """Return whom to play, and who cannot be; with ``words`` those that they name alone.

    A word is ``any``, the name of a list of ``[sources]``, or an address; raises `UsageError`.
    """
    named, without = _asked(policy, words) if words else _of_policy(policy)
    own = (*map(ip_network, facts.addresses), *(s for n in inventory.bridges() for s in n.subnets))
    far = [r.network for r in facts.routes if r.network.prefixlen]
    spoken_of = [n for s in _sources(policy) for n in outside_networks(s)]
    found: list[Candidate] = []
    for family in facts.families:
        for whom, networks in named.items():
            if whom == ANYONE:
                addresses = _strangers(family, spoken_of, far)
            else:
                addresses = _some(n for n in networks if n.version == family)
            left = tuple(a for a in addresses if not _holds(own, a))
            if left:
                found.append(Candidate(whom, family, left))
    played = {one.whom for one in found}
    for word in words:
        if (ANYONE if word == "any" else word) not in played:
            raise UsageError(
                f'--from "{word}" is nobody who can be played from outside: this host has, or its '
                "Docker networks have, every address of it, or it has none"
            )
    return tuple(found), without


def _of_policy(policy: Policy) -> tuple[dict[str, list[IPNetwork]], tuple[NotTried, ...]]:
    named: dict[str, list[IPNetwork]] = {ANYONE: []}
    interfaces: dict[str, None] = {}
    inside: dict[str, None] = {}
    for source in _sources(policy):
        match source:
            case AnySource():
                pass
            case InterfaceSource():
                interfaces[str(source)] = None
            case BridgeSource() | SelectorSource():
                inside[str(source)] = None
            case _:
                named.setdefault(_label(policy, source), []).extend(outside_networks(source))
    left_out = [whom for whom in list(named)[MOST_SOURCES + 1 :] if named.pop(whom) is not None]
    without = []
    if left_out:
        why = f"a probe plays {MOST_SOURCES} sources at most: name some with --from"
        without.append(NotTried(f"from {listed(left_out)}", why))
    if interfaces:
        why = "a probe comes in by an interface of its own"
        without.append(NotTried(f"from {listed(list(interfaces))}", why))
    if inside:
        why = "a probe comes from outside: ask dockerfw explain"
        without.append(NotTried(f"from {listed(list(inside))}", why))
    return named, tuple(without)


def _asked(
    policy: Policy, words: Iterable[str]
) -> tuple[dict[str, list[IPNetwork]], tuple[NotTried, ...]]:
    lists = dict(policy.named)
    named: dict[str, list[IPNetwork]] = {}
    for word in words:
        if word in lists:
            named[word] = [n for source in lists[word] for n in outside_networks(source)]
        elif word in ("any", ANYONE):
            named[ANYONE] = []
        else:
            named[word] = [_one(word, lists)]
    return named, ()


def _one(word: str, lists: Collection[str]) -> IPNetwork:
    try:
        return ip_network(ip_address(word))
    except ValueError:
        known = f" (there is {listed([printable(name) for name in lists])})" if lists else ""
        raise UsageError(
            f'--from "{word}": write a list of [sources]{known}, an IP address, or any'
        ) from None


def _sources(policy: Policy) -> Iterator[Source]:
    """Yield every source that a rule of the policy names, each as often as it is named."""
    for statement in policy.statements:
        yield from parts(statement.sources)
    yield from parts(policy.baseline)


def _label(policy: Policy, source: Source) -> str:
    return next((name for name, held in policy.named if source in parts(held)), str(source))


def _strangers(
    family: Family, spoken_of: Iterable[IPNetwork], far: Sequence[IPNetwork]
) -> list[Address]:
    """Return addresses of nobody of whom a rule speaks; those first that no route is for."""
    narrow = [n for n in spoken_of if n.version == family and n.prefixlen >= _NARROW[family]]
    nobody = (first + more for more in range(_ADDRESSES_ASKED) for first in _STRANGERS[family])
    free = [address for address in nobody if not _holds(narrow, address)]
    return sorted(free, key=lambda address: _holds(far, address))


def _some(networks: Iterable[IPNetwork]) -> list[Address]:
    """Return some addresses of each of the first networks: those in the middle, where no router
    is, and the first of each before the second of any.
    """
    found = []
    for network in islice(networks, _NETWORKS_ASKED):
        size = network.num_addresses
        if size <= _ADDRESSES_ASKED:
            hosts = range(size) if size <= 2 else range(1, size - 1)
        else:
            hosts = range(size // 2, size // 2 + _ADDRESSES_ASKED // 2)
        found += [(at, network[host]) for at, host in enumerate(hosts)]
    return [address for _, address in sorted(found, key=lambda one: one[0])]


def _holds(networks: Iterable[IPNetwork], address: Address) -> bool:
    return any(n.version == address.version and address in n for n in networks)


def chosen(
    found: Iterable[Candidate], in_use: Collection[Address]
) -> tuple[tuple[Caller, ...], tuple[NotTried, ...]]:
    """Return one address for each, that is not in use, and those of whom every one is."""
    callers: list[Caller] = []
    without: list[NotTried] = []
    taken = set(in_use)
    for one in found:
        address = next((a for a in one.addresses if a not in taken), None)
        if address is None:
            why = "they are neighbours of this host, or it has, or just had, connections with them"
            without.append(NotTried(f"from {one.whom}, IPv{one.family}", why))
        else:
            taken.add(address)
            callers.append(Caller(one.whom, address))
    return tuple(callers), tuple(without)
