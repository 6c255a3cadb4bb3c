"""Random policies, one after the other on one host, judged by packets and by the oracle.

``DOCKERFW_SEED`` plays a failure again; ``DOCKERFW_PROFILE=full`` tries every kind of host and
thousands of packets.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from ipaddress import ip_address, ip_network
from itertools import product
from random import Random
from typing import Any

import pytest

from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Inventory
from dockerfw.model.policy import (
    Allow,
    AnySource,
    BridgeSource,
    Deny,
    InterfaceSource,
    Policy,
    Selector,
    SelectorSource,
    Source,
)
from dockerfw.operations.reconcile import with_foreign_ports
from tests.build import (
    address_list,
    allow,
    deny,
    host_name,
    host_port,
    long_list,
    policy,
    port_spec,
    selector,
    source,
)
from tests.lab.place import Probe, Question as Asked, disagreements
from tests.oracle import Question, allowed_sources
from tests.packets.scene import (
    ADDRESSES,
    BROADCAST,
    CLIENT,
    CONTAINER_PORTS,
    GATEWAYS,
    HOST,
    HOST_PORTS,
    PUBLISHED,
    SUBNETS,
    TUNNEL,
    VM,
    Scene,
)

FULL = os.environ.get("DOCKERFW_PROFILE") == "full"
SEED = os.environ.get("DOCKERFW_SEED") or str(time.time_ns() % 2**32)
POLICIES = 10 if FULL else 3
PACKETS = 40

# --- kinds of hosts ------------------------------------------------------------------------------

_KINDS = ("bridge_calls", "rp_filter", "forward_policy", "flavour", "nat6", "proxied_bridges")
_EVERY_KIND = [
    dict(zip(_KINDS, chosen, strict=True))
    for chosen in product(
        (False, True), (0, 2), ("ACCEPT", "DROP"), ("nft", "legacy"), (False, True), (True, False)
    )
]
# Every pair of values of the first four stands in one of these; so does every value of the rest.
_COVERING = [
    dict(zip(_KINDS, chosen, strict=True))
    for chosen in (
        (False, 0, "ACCEPT", "nft", False, True),
        (True, 2, "ACCEPT", "nft", True, False),
        (True, 0, "DROP", "nft", False, True),
        (False, 2, "DROP", "nft", True, False),
        (True, 0, "ACCEPT", "legacy", True, True),
        (False, 2, "DROP", "legacy", False, False),
    )
]


def _kind_id(kind: dict[str, Any]) -> str:
    return " ".join(
        (
            "bridged seen" if kind["bridge_calls"] else "bridged unseen",
            f"rp_filter {kind['rp_filter']}",
            f"FORWARD {kind['forward_policy']}",
            kind["flavour"],
            "nat6" if kind["nat6"] else "proxy6",
            "proxied" if kind["proxied_bridges"] else "hairpin",
        )
    )


# --- policies ------------------------------------------------------------------------------------

_ADDRESSES = [
    source(text)
    for text in (
        "198.51.100.0/24", "198.51.100.7/32", "203.0.113.2/31", "203.0.113.9/32", "192.0.2.0/24",
        "10.0.0.0/8", "10.66.0.0/24", "172.16.0.0/12", "172.18.0.2/32", "172.20.0.100/32",
        "0.0.0.0/0", "128.0.0.0/1", "2001:db8:10::/48", "2001:db8:1::/64", "2001:db8:1::9/128",
        "fd00::/8", "::/0",
    )
]  # fmt: skip
_LONG = long_list("long.netset", "198.51.100.0/24", "203.0.113.9", "2001:db8:20::/48")
_SHORT = address_list("short.netset", "192.0.2.7", "2001:db8:1::9")
_NAMED = host_name("vpn.example.org", "192.0.2.7", "2001:db8:1::9")
_ENDS = [None, None, *(datetime(year, 1, 1, tzinfo=timezone.utc) for year in (2001, 2090))]
_SELECTORS = [
    selector(text)
    for text in (
        "web", "db", "cache", "api", "mix", "agent", "*b*", "*", "compose:shop", "compose:sh*/db",
        "label:tier", "label:tier=store", "image:nginx:*", "network:a", "network:b",
    )
]  # fmt: skip
_INTERFACES = [InterfaceSource(name) for name in ("wg0", "wg*", "eth0", "br-b", "br-*")]
_PORTS = [
    port_spec(text)
    for text in (
        80, 443, 5432, 6379, 8050, 9100, "53/udp", "50-70/udp", "8000-8100", "1-65535", "443-6000",
        "1-5000/udp", "9100/udp", "icmp", "published", "all",
    )
]  # fmt: skip
_HOST_SPECS = [
    host_port(text)
    for text in (
        8080, 8443, 5432, 7000, 7001, "5353/udp", "7000-7100", "1000-9999",
        f"{HOST[4]}:8443", f"{HOST[4]}:8080", f"[{HOST[6]}]:8080", f"[{HOST[6]}]:1-65535/udp",
    )
]  # fmt: skip


def random_policy(random: Random) -> Policy:
    baselines: list[tuple[Source, ...]] = [
        (BridgeSource(),),
        (BridgeSource(),),
        (),
        (),
        (random.choice(_ADDRESSES),),
        (BridgeSource(), _SHORT),
        (SelectorSource(random.choice(_SELECTORS)),),
    ]
    return Policy(
        baseline=random.choice(baselines),
        on_deny=random.choice(("drop", "reject")),
        allows=tuple(_allow(random) for _ in range(random.randint(0, 4))),
        denies=tuple(_deny(random) for _ in range(random.choice((0, 0, 1, 2)))),
    )


def _sources(random: Random) -> tuple[Source, ...]:
    pools: list[list[Source]] = [
        [*_ADDRESSES],
        [*_ADDRESSES],
        [AnySource()],
        [_SHORT, _LONG, _NAMED],
        [*_INTERFACES],
        [BridgeSource()],
        [SelectorSource(selector) for selector in _SELECTORS],
    ]
    return tuple(random.choice(random.choice(pools)) for _ in range(random.randint(1, 3)))


def _to(random: Random) -> tuple[Selector, ...]:
    chosen = random.sample(_SELECTORS, random.randint(1, 2))
    if random.random() < 0.2:
        chosen.append(replace(random.choice(_SELECTORS), negated=True))
    return tuple(chosen)


def _allow(random: Random) -> Allow:
    if random.random() < 0.35:
        specs = tuple(random.sample(_HOST_SPECS, random.randint(1, 3)))
        to = _to(random) if random.random() < 0.3 else ()
        return allow(*_sources(random), to=to, published=specs, until=random.choice(_ENDS))
    ports = tuple(random.sample(_PORTS, random.randint(1, 3)))
    until = random.choice(_ENDS)
    return allow(*_sources(random), to=_to(random), ports=ports, until=until)


def _deny(random: Random) -> Deny:
    kind = random.choice(("ports", "published", "to", "everything"))
    sources = _sources(random)
    match kind:
        case "ports":
            ports = tuple(random.sample(_PORTS, random.randint(1, 2)))
            return deny(*sources, to=_to(random), ports=ports)
        case "published":
            return deny(*sources, published=tuple(random.sample(_HOST_SPECS, 2)))
        case "to":
            return deny(*sources, to=_to(random))
    return deny(*sources)


def random_inventory(random: Random, inventory: Inventory) -> Inventory:
    """Other labels, and now and then a container that Docker has not told of yet."""
    labels = [c.labels for c in inventory.containers]
    random.shuffle(labels)
    containers = [
        replace(container, labels=given)
        for container, given in zip(inventory.containers, labels, strict=True)
    ]
    if random.random() < 0.2:
        containers.remove(random.choice(containers))
    return replace(inventory, containers=tuple(containers))


# --- packets -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Start:
    """Who sends: from which address, and how it comes in."""

    place: str
    address: str
    interface: str


@dataclass(frozen=True, slots=True)
class Target:
    """``path`` and the rest as in `Question`."""

    path: str
    address: str
    protocol: str
    port: int


def _starts() -> Iterator[Start]:
    for address in ("203.0.113.2", "203.0.113.9", "198.51.100.7", "192.0.2.7", "2001:db8:1::2",
                    "2001:db8:1::9", "2001:db8:10::7", "2001:db8:20::7"):  # fmt: skip
        yield Start("outside", address, "eth0")
    for address in TUNNEL:
        yield Start("outside", address, "wg0")
    for name, homes in {**ADDRESSES, "vm": VM}.items():
        for bridge, own in homes.items():
            for address in own:
                yield Start(name, address, bridge)
    for address in CLIENT.values():
        yield Start("cache", address, "br-b")


def _targets() -> Iterator[Target]:
    for homes in ADDRESSES.values():
        for address in (a for own in homes.values() for a in own):
            yield Target("direct", address, "icmp", 0)
            for number, protocol in _split(CONTAINER_PORTS):
                yield Target("direct", address, protocol, number)
    for address in (*HOST.values(), *GATEWAYS["br-a"], *GATEWAYS["br-b"]):
        for number, protocol in _split(HOST_PORTS):
            yield Target("host", address, protocol, number)
    yield Target("host", BROADCAST, "udp", 5353)


def _split(ports: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    for text in ports:
        number, _, protocol = text.partition("/")
        yield int(number), protocol


STARTS, TARGETS = tuple(_starts()), tuple(_targets())
_HOME = {
    address: bridge
    for homes in {**ADDRESSES, "vm": VM}.values()
    for bridge, own in homes.items()
    for address in own
}


def packets(random: Random, scene: Scene, inventory: Inventory) -> Iterator[tuple[Start, Target]]:
    """Without end: those that this host carries as they were meant.

    Not to the host ports of a container that Docker has not told of: as yet nobody's, they pass
    where docker-proxy carries them and are closed where NAT does.
    """
    told = {container.name for container in inventory.containers}
    nobodys = {(p.host_port, p.protocol) for p in PUBLISHED if p.container not in told}
    while True:
        start, target = random.choice(STARTS), random.choice(TARGETS)
        if (":" in start.address) != (":" in target.address):
            continue
        if target.path == "host" and (target.port, target.protocol) in nobodys:
            continue
        if _carried(scene, start, target):
            yield start, target


def _carried(scene: Scene, start: Start, target: Target) -> bool:
    if target.address == BROADCAST:
        return start.interface == "eth0"
    if start.place == "outside":
        return True
    if start.interface != _way_out(start.place, target.address):
        return False
    if start.address in CLIENT.values():
        # The answer of a neighbour would take another way.
        near = target.path == "direct" and _HOME[target.address] == start.interface
        return not near and not _hairpin(start, target)
    if target.path == "direct":
        return _HOME[target.address] != start.interface or start.address != target.address
    return scene.proxied_bridges or not _hairpin(start, target)


def _way_out(place: str, address: str) -> str:
    """By which of its networks a container sends: the one that it shares, else its first."""
    homes = list({**ADDRESSES, "vm": VM}[place])
    shared = (b for b in homes if ip_address(address) in ip_network(SUBNETS[b][":" in address]))
    return next(shared, homes[0])


def _hairpin(start: Start, target: Target) -> bool:
    """NAT back into the network that it came from: the answer would take a shorter way."""
    return any(
        start.interface in ADDRESSES[one.container]
        for one in PUBLISHED
        if (one.host_port, one.protocol) == (target.port, target.protocol)
    )


def expected(
    scene: Scene, policy: Policy, inventory: Inventory, facts: HostFacts, start: Start,
    target: Target,
) -> bool:  # fmt: skip
    """Whether the policy lets it pass; the kernel shows us no bridged packet unless told to."""
    if (
        target.path == "direct"
        and not scene.bridge_calls
        and _HOME[target.address] == start.interface
    ):
        return True
    question = Question(
        "host" if target.path == "host" else "direct",
        start.interface,
        ip_address(target.address),
        target.protocol,
        target.port,
    )
    return ip_address(start.address) in allowed_sources(policy, inventory, facts, question)


def _probe(scene: Scene, start: Start, target: Target) -> Probe:
    protocols: dict[str, Asked] = {"tcp": "tcp", "udp": "udp", "icmp": "icmp"}
    return Probe(
        scene.places[start.place],
        protocols[target.protocol],
        target.address,
        target.port,
        start.address,
        broadcast=target.address == BROADCAST,
    )


# --- the test ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", _EVERY_KIND if FULL else _COVERING, ids=_kind_id)
def test_packets_of_random_policies_fare_as_the_oracle_says(kind: dict[str, Any]) -> None:
    print(f"DOCKERFW_SEED={SEED}")  # noqa: T201 - pytest shows it with a failure
    with Scene(**kind) as scene:
        for n in range(POLICIES):
            random = Random(f"{SEED} {_kind_id(kind)} {n}")
            policy, inventory = random_policy(random), random_inventory(random, scene.inventory)
            result = scene.reconciler.commit(policy, inventory)
            facts = result.last.facts
            seen = with_foreign_ports(inventory, facts)
            asked = packets(random, scene, inventory)
            table = [
                (
                    _probe(scene, start, target),
                    expected(scene, policy, seen, facts, start, target),
                )
                for start, target in (next(asked) for _ in range(PACKETS))
            ]
            wrong = disagreements(table, brief=0.15)
            assert not wrong, f"DOCKERFW_SEED={SEED}, policy {n} ({policy}):\n" + "\n".join(wrong)


def test_no_policy_stands_between_this_host_and_its_containers() -> None:
    table = []
    with Scene() as scene:
        scene.commit(policy(deny("any", "bridge"), baseline=()))
        for target in TARGETS:
            if target.address != BROADCAST and target.protocol != "icmp":
                probe = Probe(
                    scene.host,
                    "udp" if target.protocol == "udp" else "tcp",
                    target.address,
                    target.port,
                )
                table.append((probe, True))
        assert disagreements(table) == []


def test_no_policy_stands_between_containers_and_the_outside() -> None:
    with Scene() as scene:
        scene.commit(policy(deny("any", "bridge"), baseline=()))
        scene.outside.listen("7/tcp", "7/udp")
        table = [
            (Probe(scene.places[name], protocol, address, 7), True)
            for name in ADDRESSES
            for protocol in ("tcp", "udp")
            for address in ("203.0.113.2", "2001:db8:1::2", "198.51.100.7")
        ]
        assert disagreements(table) == []


def test_every_subnet_and_address_of_the_scene_fits() -> None:
    """A slip in the tables above would make packets vanish for no reason of the policy."""
    for homes in ADDRESSES.values():
        for bridge, own in homes.items():
            for address, subnet in zip(own, SUBNETS[bridge], strict=True):
                assert ip_address(address) in ip_network(subnet)
