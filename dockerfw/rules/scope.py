"""A scope: a part of the inventory that is compiled by itself, and what it adds to which sets.

Takes a `Compiler` for that part; gives items, and what is counted by the port or by the selector.
Pure. There are as many scopes as containers and networks, and all of one is only gone through:
what it keeps are tuples, since sets of a few items take five times the room, and its compiler only
where that is needed again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from dockerfw.model.net import Address, Family, IPNetwork, Port
from dockerfw.model.policy import Selector
from dockerfw.rules.compiler import Compiler
from dockerfw.rules.host_ports import Item
from dockerfw.rules.names import topology_set
from dockerfw.rules.ruleset import GuardedPort, ServedPorts


@dataclass(slots=True)
class Scope:
    """``following`` has what each statement adds whose sources are containers: these move without
    the scope. The others, ``statements``, add to ``own`` alone, with the topology.

    The other fields are about this scope's containers: where each selector finds sources among
    them, where they publish ports, which host-network ports rules name of them, which ports they
    serve.
    """

    compiler: Compiler | None
    statements: tuple[int, ...]
    following: dict[int, tuple[Item, ...]]
    sources: tuple[tuple[Selector, Address], ...]
    taken: tuple[tuple[IPNetwork, Port], ...] = field(init=False, default=())
    named: tuple[Port, ...] = field(init=False, default=())
    served: tuple[ServedPorts, ...] = field(init=False, default=())
    guarded: tuple[GuardedPort, ...] = field(init=False, default=())
    own: tuple[Item, ...] = field(init=False, default=())

    def __post_init__(self) -> None:
        if self.compiler is not None:
            self.taken = tuple(frozenset(self.compiler.taken_ports()))
            self.named = tuple(self.compiler.named_host_ports())
            self.served = tuple(self.compiler.served_ports((*self.statements, *self.following)))
            self.guarded = tuple(self.compiler.guarded_ports())

    def items(self) -> Iterator[Item]:
        """Give all that it adds; twice what two of ``following`` add."""
        yield from self.own
        for part in self.following.values():
            yield from part

    def fill(self, families: tuple[Family, ...]) -> None:
        """Compile it, now that all sources are known."""
        if self.compiler is None:
            return
        topology = {
            (ipset.name, element)
            for family in families
            for ipset in self.compiler.topology(family)
            if ipset.phase != "frozen" and ipset.name != topology_set("hostnet", family)
            for element in ipset.elements
        }
        self.own = (*topology, *_added(self.compiler, families, self.statements))
        for index in self.following:
            self.following[index] = _added(self.compiler, families, (index,))
        if not self.following:
            self.compiler = None

    def follow(self, families: tuple[Family, ...], index: int) -> None:
        """Compile one of ``following`` anew."""
        if self.compiler is not None:
            self.following[index] = _added(self.compiler, families, (index,))


def _added(
    compiler: Compiler, families: Iterable[Family], statements: tuple[int, ...]
) -> tuple[Item, ...]:
    """Return what these statements add, each item once."""
    return tuple(
        (name, element)
        for family in families
        for name, elements in compiler.added(family, statements).items()
        for element in elements
    )
