"""Which rules of others may drop a packet that dockerfw lets pass.

Takes what was read of them and one packet; gives the rules in words. Pure. A condition that cannot
be decided may hold or not, so it is *may*, always: no claim that they do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address

from dockerfw.model.docker_names import NFTABLES_TABLE, is_docker_chain
from dockerfw.model.foreign import ForeignTable
from dockerfw.model.inventory import Container, Inventory, PublishedPort
from dockerfw.model.net import FAMILIES, Address, Family, family_of
from dockerfw.report.docker_nat import DockerNat
from dockerfw.report.foreign_walk import ForeignRules, Traveller
from dockerfw.text import listed, short_port

STRANGERS: Mapping[Family, Address] = {4: IPv4Address("192.0.0.8"), 6: IPv6Address("100::1")}
"""Addresses that nobody has (RFC 7600 dummy, RFC 6666 discard)."""


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
    rules = ForeignRules(tables)
    by_nat = {family: docker_writes(tables, family) for family in FAMILIES}
    nat = DockerNat(tables, inventory)
    ports: dict[str, dict[str, None]] = {}
    for container in inventory.containers:
        for binding in container.ports:
            if binding.host_address.is_loopback:
                continue
            name = f"{container.name}:{short_port(binding.container_port, binding.protocol)}"
            home = container if by_nat[family_of(binding.host_address)] else None
            for rule in rules.ends(_to_binding(nat, home, binding)).drops:
                ports.setdefault(rule, {})[name] = None
    return tuple(
        f"{rule} may drop what dockerfw lets pass to {listed(list(names))}"
        for rule, names in ports.items()
    )


def _to_binding(nat: DockerNat, container: Container | None, binding: PublishedPort) -> Traveller:
    """Return a packet of a stranger to a published port: by DNAT where the container has an address
    of that family, else (``container`` None: in any case) to docker-proxy.
    """
    stranger = STRANGERS[family_of(binding.host_address)]
    sent_to = stranger if binding.wildcard else binding.host_address
    family, port = family_of(stranger), binding.container_port
    led_to = nat.leads_to(container, family, binding.protocol, port) if container else ()
    for address, network in led_to:
        if network is not None:
            return Traveller(
                "forward",
                None,
                network.bridge,
                stranger,
                address,
                binding.protocol,
                port,
                dnat=True,
                sent_to=(sent_to, binding.host_port),
            )
    return Traveller(
        "input", None, None, stranger, sent_to, binding.protocol, binding.host_port, local=True
    )
