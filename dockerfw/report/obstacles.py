"""Which rules of others may drop a packet that dockerfw lets pass.

Takes what was read of them and one packet; gives the rules in words. Pure. A condition that cannot
be decided here may hold or not, so it is *may*, always: no claim that they do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Literal, TypeAlias

from dockerfw.model.docker_names import NFTABLES_TABLE, is_docker_bridge, is_docker_chain
from dockerfw.model.foreign import Asked, ForeignChain, ForeignRule, ForeignTable, Hook, NameAsked
from dockerfw.model.inventory import Container, Inventory, PublishedPort
from dockerfw.model.net import Address, Family
from dockerfw.text import listed, short_port

_End: TypeAlias = Literal["accept", "drop", "on"]
_DEPTH = 16
STRANGERS: Mapping[Family, Address] = {4: IPv4Address("192.0.0.8"), 6: IPv6Address("100::1")}
"""Addresses that nobody has (RFC 7600 dummy, RFC 6666 discard)."""


@dataclass(frozen=True, slots=True)
class Traveller:
    """One new packet at one hook. An interface that is None is not known, and no Docker bridge."""

    hook: Hook
    in_interface: str | None
    out_interface: str | None
    source: Address
    destination: Address
    protocol: str
    port: int
    dnat: bool = False


def obstacles(tables: Iterable[ForeignTable], packet: Traveller) -> tuple[str, ...]:
    """Return the rules that may drop this packet at this hook, each with where it stands."""
    found: dict[str, None] = {}
    for table in tables:
        if table.family not in (None, packet.source.version):
            continue
        for chain in table.chains.values():
            if chain.hook == packet.hook:
                found |= dict.fromkeys(_Walk(table.chains, packet).base(chain))
    return tuple(found)


def docker_writes(tables: Iterable[ForeignTable], family: int) -> bool:
    """Return True if Docker has rules in this family; without them there is no NAT of its, and
    docker-proxy answers.
    """
    return any(
        is_docker_chain(name) or NFTABLES_TABLE in chain.place
        for table in tables
        if table.family == family
        for name, chain in table.chains.items()
    )


def published_obstacles(tables: Iterable[ForeignTable], inventory: Inventory) -> tuple[str, ...]:
    """Return a sentence for each rule that may drop what comes from outside to published ports."""
    tables = tuple(tables)
    ports: dict[str, dict[str, None]] = {}
    for container in inventory.containers:
        for binding in container.ports:
            if binding.host_address.is_loopback:
                continue
            name = f"{container.name}:{short_port(binding.container_port, binding.protocol)}"
            by_nat = docker_writes(tables, binding.host_address.version)
            home = container if by_nat else None
            for rule in obstacles(tables, _to_binding(inventory, home, binding)):
                ports.setdefault(rule, {})[name] = None
    return tuple(
        f"{rule} may drop what dockerfw lets pass to {listed(list(names))}"
        for rule, names in ports.items()
    )


def _to_binding(
    inventory: Inventory, container: Container | None, binding: PublishedPort
) -> Traveller:
    """Return a packet of a stranger to a published port: by DNAT where the container has an address
    of that family, else (``container`` None: in any case) to docker-proxy.
    """
    stranger = STRANGERS[4 if binding.host_address.version == 4 else 6]
    for endpoint in inventory.endpoints(container) if container else ():
        network = inventory.network(endpoint.network_id)
        for address in endpoint.addresses:
            if network is not None and address.version == stranger.version:
                return Traveller(
                    "forward",
                    None,
                    network.bridge,
                    stranger,
                    address,
                    binding.protocol,
                    binding.container_port,
                    dnat=True,
                )
    host = stranger if binding.wildcard else binding.host_address
    return Traveller("input", None, None, stranger, host, binding.protocol, binding.host_port)


@dataclass(frozen=True, slots=True)
class _Walk:
    chains: Mapping[str, ForeignChain]
    packet: Traveller

    def base(self, chain: ForeignChain) -> Iterator[str]:
        found: list[str] = []
        if self._run(chain, found, _DEPTH) == "on" and chain.drops:
            found.append(f"the policy (drop) of {chain.place}")
        yield from found

    def _run(self, chain: ForeignChain, found: list[str], depth: int) -> _End:
        for rule in chain.rules if depth else ():
            holds = self._holds(rule.asked)
            if holds is False:
                continue
            end = self._end(rule, chain, found, depth)
            if holds and end != "none":
                return end
        return "on"

    def _end(
        self, rule: ForeignRule, chain: ForeignChain, found: list[str], depth: int
    ) -> _End | Literal["none"]:
        """Return how the walk ends if the rule's conditions hold; "none": it goes on behind it."""
        match rule.verdict:
            case "accept":
                return "accept"
            case "drop":
                found.append(f"`{rule.text}` in {chain.place}")
                return "drop"
            case "return":
                return "on"
            case "jump" | "goto" if rule.chain in self.chains:
                end = self._run(self.chains[rule.chain], found, depth - 1)
                return "none" if end == "on" and rule.verdict == "jump" else end
        return "none"

    def _holds(self, asked: Asked) -> bool | None:
        """Return None where that is not known."""
        answers = [
            _named(asked.in_interface, self.packet.in_interface),
            _named(asked.out_interface, self.packet.out_interface),
            None if asked.unread else True,
            *self._plain(asked),
        ]
        if False in answers:
            return False
        return None if None in answers else True

    def _plain(self, asked: Asked) -> Iterator[bool]:
        packet = self.packet
        yield asked.family in (None, packet.source.version)
        for networks, address in (
            (asked.source, packet.source),
            (asked.destination, packet.destination),
        ):
            if networks is not None:
                inside = any(
                    n.version == address.version and address in n for n in networks.networks
                )
                yield inside != networks.negated
        yield asked.protocol in (None, "all", packet.protocol)
        if asked.ports is not None:
            yield any(first <= packet.port <= last for first, last in asked.ports)
        if asked.states is not None:
            yield bool(asked.states & ({"NEW", "DNAT"} if packet.dnat else {"NEW"}))


def _named(asked: NameAsked | None, interface: str | None) -> bool | None:
    if asked is None:
        return True
    if interface is None:
        known_elsewhere = asked.name == "lo" or is_docker_bridge(asked.name)
        return asked.negated if known_elsewhere else None
    if asked.name.endswith("*"):
        return interface.startswith(asked.name[:-1]) != asked.negated
    return (interface == asked.name) != asked.negated
