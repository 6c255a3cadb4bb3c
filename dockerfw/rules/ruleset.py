"""What should stand in the kernel, as values: chains of rules, sets of elements, the seal.

Pure. ``rules/compiler.py`` makes a `Ruleset`; ``rules/walk.py`` walks a packet through it;
``plan`` finds the steps that lead to it. Never holds kernel text: names, numbers and addresses
only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from dockerfw.model.docker_names import is_docker_bridge
from dockerfw.model.host import Cgroup, Proxy
from dockerfw.model.net import Address, Family, IPNetwork, Port
from dockerfw.model.policy import PortRange
from dockerfw.rules.names import Phase
from dockerfw.rules.rule import Chain

SetType: TypeAlias = Literal[
    "hash:ip", "hash:net", "hash:net,port", "hash:ip,port,net", "hash:net,iface", "list:set"
]
Element: TypeAlias = tuple[IPNetwork | Port | str, ...]
"""One entry of a set: a network (a host is a /32 or /128), a `Port`, an interface name, in the
order of the set's type; of a ``list:set`` the name of another set."""
LONGEST_TIMEOUT = 2_147_483
"""Seconds, some 24 days: the kernel ends no entry of a set later than that."""
RECORDS = 4096
"""So many elements a set holds that packets fill."""
RECORDED_FOR = 86_400
"""Seconds, a day: so long they stand."""
DEFAULT_MAXELEM = 65536
"""So many elements a set holds at the least."""
GuardedPort: TypeAlias = tuple[Address | None, Family, Port]
"""A host port that is closed but to whom a rule lets in: at one address, or (None) at all."""
ServedPorts: TypeAlias = tuple[Address, PortRange | None]
"""Ports of a container's address that others may begin at: published, or opened by a rule. None is
every port and protocol."""


@dataclass(frozen=True, slots=True)
class IPSet:
    """An ipset and all its elements.

    ``phase`` says what the set is for, and so when it may change: the policy's ``deny``,
    ``allow`` and ``inside allow``; topology: what is ``own`` to a bridge and so not spoofed,
    which sources are ``claimed`` by Docker's networks, what is ``inside``, what is a ``guard``.
    A ``frozen`` set never changes under its name; a ``record`` is filled by packets, and
    ``elements`` are what it begins with.
    """

    name: str
    type: SetType
    family: Family
    phase: Phase
    elements: frozenset[Element]


@dataclass(frozen=True, slots=True)
class Frames:
    """The half of the seal in the bridge family: drops frames that reach a container over its
    bridge and that no rule gets to see, where there are rules for them.

    ``others`` are ports of bridges that are not Docker's, and whose names begin as theirs do.
    """

    others: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Seal:
    """The nft table ``inet dockerfw``: drops what reaches a container without our mark.

    ``mark`` is both of our bits: what the chains let pass has both.
    ``guarded`` are host ports of docker-proxy and of named host-network containers. ``inside``
    tells whether a bridge's own subnet may pass without the bit (the policy restricts nothing
    there). ``shut``: not even what has the mark may pass, for the chains that gave it may be those
    of a policy that is in force no more; but for VMs of one mixed bridge among each other.
    ``bridges`` are Docker's, as far as they are known. ``labels``: connections can be labelled.
    What a container sends from ``served`` ports without having been asked begins nothing; neither
    does what this host sends from ``guarded`` ones, where ``host_network``: rules name ports of a
    container by its exact name, which may be on the host's network.
    ``proxies`` is where docker-proxy's
    sockets live, so that a port which nobody knows of yet is closed, too; ``dockerd_ports`` are
    those that dockerd itself listens on there (a container's is closed by ``guarded`` before).
    ``frames`` is the table ``bridge dockerfw``, written with it; None: the kernel has no such
    family.
    """

    mark: int
    observe: bool
    inside: bool
    bridges: frozenset[str] = frozenset()
    foreign_bridges: frozenset[str] = frozenset()
    mixed_bridges: frozenset[str] = frozenset()
    guarded: frozenset[GuardedPort] = frozenset()
    proxies: Cgroup | None = None
    dockerd_ports: frozenset[Port] = frozenset()
    labels: bool = True
    frames: Frames | None = None
    served: frozenset[ServedPorts] = frozenset()
    host_network: bool = False
    shut: bool = False

    def with_proxy(self, proxy: Proxy) -> Seal:
        """Return it for another cgroup of dockerd and other ports of its own."""
        return replace(self, proxies=proxy.cgroup, dockerd_ports=proxy.dockerd_ports)

    def rules_alone(self) -> Seal:
        """Return what its rules and small sets are made of; of the bridges only those that Docker
        did not name.
        """
        named = frozenset(b for b in self.bridges if not is_docker_bridge(b))
        return replace(self, bridges=named, guarded=frozenset(), served=frozenset())


@dataclass(frozen=True, slots=True)
class Ruleset:
    """Everything that should stand in the kernel."""

    chains: tuple[Chain, ...]
    sets: tuple[IPSet, ...]
    seal: Seal
    mark_host: int
    mark_ok: int
    _indexes: dict[str, _SetIndex] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def chain(self, family: Family, name: str) -> Chain | None:
        return next((c for c in self.chains if c.family == family and c.name == name), None)

    def set(self, name: str) -> IPSet | None:
        return next((s for s in self.sets if s.name == name), None)

    def contains(self, name: str, values: tuple[Address | Port | str, ...]) -> bool:
        """Whether a set of this ruleset holds these values."""
        index = self._indexes.get(name)
        if index is None:
            ipset = self.set(name)
            if ipset is None:
                raise KeyError(name)
            index = self._indexes[name] = _SetIndex(ipset.elements)
        return index.contains(values)


class _SetIndex:
    """Looks values up in a set in as many steps as it has combinations of prefix lengths."""

    def __init__(self, elements: Iterable[Element]) -> None:
        self._shapes: dict[tuple[int | None, ...], set[tuple[object, ...]]] = {}
        for element in elements:
            shape = tuple(p if isinstance(p, Port | str) else p.prefixlen for p in element)
            lengths = tuple(s if isinstance(s, int) else None for s in shape)
            key = tuple(p if isinstance(p, Port | str) else int(p.network_address) for p in element)
            self._shapes.setdefault(lengths, set()).add(key)

    def contains(self, values: tuple[Address | Port | str, ...]) -> bool:
        return any(
            tuple(map(_masked, values, shape)) in keys for shape, keys in self._shapes.items()
        )


def _masked(value: Address | Port | str, prefix_length: int | None) -> object:
    if prefix_length is None or isinstance(value, Port | str):
        return value
    shift = value.max_prefixlen - prefix_length
    return int(value) >> shift << shift
