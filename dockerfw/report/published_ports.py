"""Published ports of what runs, found by host port or container port without a look at the rest."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from dockerfw.model.inventory import Container, Inventory, PublishedPort
from dockerfw.model.policy import PortRange

Found: TypeAlias = tuple[Container, PublishedPort]
_ByPort: TypeAlias = Mapping[str, tuple[list[int], list[int]]]
"""By protocol: ports in their order, and beside each the place of its binding."""


class PublishedPorts:
    """All bindings of an inventory; a port of a shared network is each container's there."""

    def __init__(self, inventory: Inventory) -> None:
        self._all = [(c, b) for c in inventory.containers for b in inventory.published(c)]
        self._host = self._by(lambda binding: binding.host_port)
        self._container = self._by(lambda binding: binding.container_port)

    def of_host(self, ports: PortRange) -> list[Found]:
        """Return the bindings to these host ports, in the order of the inventory."""
        return [self._all[place] for place in sorted(_within(self._host, ports))]

    def of_either(self, ports: PortRange) -> list[Found]:
        """Return those with such a host port, or such a container port."""
        places = {*_within(self._host, ports), *_within(self._container, ports)}
        return [self._all[place] for place in sorted(places)]

    def _by(self, port: Callable[[PublishedPort], int]) -> _ByPort:
        pairs: dict[str, list[tuple[int, int]]] = {}
        for place, (_, binding) in enumerate(self._all):
            pairs.setdefault(binding.protocol, []).append((port(binding), place))
        return {
            protocol: ([p for p, _ in found], [place for _, place in found])
            for protocol, found in ((protocol, sorted(one)) for protocol, one in pairs.items())
        }


def _within(by_port: _ByPort, ports: PortRange) -> Iterable[int]:
    numbers, places = by_port.get(ports.protocol, ([], []))
    return places[bisect_left(numbers, ports.first) : bisect_right(numbers, ports.last)]
