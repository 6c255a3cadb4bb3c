"""Networks that hold another one, found by prefix and without a look at the rest. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

from dockerfw.model.net import IPNetwork

_T = TypeVar("_T")


class Supernets(Generic[_T]):
    """Values by networks; asked by a network, it costs as much as there are lengths of prefixes."""

    def __init__(self, values: Iterable[tuple[IPNetwork, _T]]) -> None:
        self._found: dict[tuple[int, int, int], list[_T]] = {}
        for network, value in values:
            self._found.setdefault(_key(network, network.prefixlen), []).append(value)
        self._lengths = sorted({(version, length) for version, length, _ in self._found})

    def of(self, network: IPNetwork) -> list[_T]:
        """Return the values of all networks that hold this one, the widest networks first."""
        version, most = network.version, network.prefixlen
        return [
            value
            for family, length in self._lengths
            if family == version and length <= most
            for value in self._found.get(_key(network, length), ())
        ]


def _key(network: IPNetwork, length: int) -> tuple[int, int, int]:
    return network.version, length, int(network.network_address) >> network.max_prefixlen - length
