"""Which rules of a chain of others may be about a packet, without asking each.

Takes the rules of one chain; gives those that name the packet's destination or one of its
interfaces, and those that name none, in their order. Pure. Docker has a rule for each port that it
publishes and some for each bridge: each packet walks past a few of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from dockerfw.model.docker_names import is_docker_bridge
from dockerfw.model.foreign import Asked, ForeignRule, NameAsked
from dockerfw.model.net import Address


def is_elsewhere(name: str) -> bool:
    """Return True for an interface that is none of those which are not known."""
    return name == "lo" or is_docker_bridge(name)


class RuleIndex:
    """The rules of one chain by the most telling thing that each asks for."""

    def __init__(self, rules: Sequence[ForeignRule]) -> None:
        self._rules = rules
        self._any: list[int] = []
        self._to: dict[Address, list[int]] = defaultdict(list)
        self._out = _Interfaces()
        self._in = _Interfaces()
        for place, rule in enumerate(rules):
            self._add(place, rule.asked)

    def _add(self, place: int, asked: Asked) -> None:
        if (address := _one_address(asked)) is not None:
            self._to[address].append(place)
        elif (name := _one_name(asked.out_interface)) is not None:
            self._out.add(name, place)
        elif (name := _one_name(asked.in_interface)) is not None:
            self._in.add(name, place)
        else:
            self._any.append(place)

    def about(
        self, destination: Address, in_interface: str | None, out_interface: str | None
    ) -> Iterator[ForeignRule]:
        """Yield the rules that may be about such a packet; an interface None is not known."""
        places = [
            *self._any,
            *self._to.get(destination, ()),
            *self._out.called(out_interface),
            *self._in.called(in_interface),
        ]
        return (self._rules[place] for place in sorted(places))


class _Interfaces:
    """Places of rules by the interface that they ask for."""

    def __init__(self) -> None:
        self._by_name: dict[str, list[int]] = defaultdict(list)
        self._perhaps: list[int] = []

    def add(self, name: str, place: int) -> None:
        self._by_name[name].append(place)
        if not is_elsewhere(name):
            self._perhaps.append(place)

    def called(self, name: str | None) -> Sequence[int]:
        return self._perhaps if name is None else self._by_name.get(name, ())


def _one_address(asked: Asked) -> Address | None:
    """Return the one destination that is asked for."""
    networks = asked.destination
    if networks is None or networks.negated or len(networks.networks) != 1:
        return None
    (network,) = networks.networks
    return network.network_address if network.prefixlen == network.max_prefixlen else None


def _one_name(asked: NameAsked | None) -> str | None:
    """Return the one interface that is asked for."""
    if asked is None or asked.negated or asked.name.endswith("*"):
        return None
    return asked.name
