"""Spoofed packets, as the one that wants in and as the one that plants a conntrack entry.

Each case first has to get in where no more than addresses and connection states are looked at,
as hand-written rules do; then it has to stay out under dockerfw. The kernel's own source checks
are off (``rp_filter`` 0, ``accept_local`` 1): nothing may depend on them.

A planted entry turns the spoofer's next packets into replies: *from* ``db:5432`` *to* the outside,
sent by the outside itself, and the outside may talk to ``db:5432``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Literal, TypeAlias

import pytest

from dockerfw.model.net import FAMILIES, Family
from tests.build import allow, policy
from tests.lab.packet import Packet
from tests.lab.place import Place, Probe, disagreements
from tests.lab.wait import becomes_true, until
from tests.packets.scene import (
    BRIDGES,
    BROADCAST,
    HOST,
    PUBLISHED,
    SUBNETS,
    Scene,
    at,
    gateway,
)

Transport: TypeAlias = Literal["udp", "tcp"]
TRANSPORTS: tuple[Transport, Transport] = ("udp", "tcp")

OUTSIDE: dict[Family, str] = {4: "203.0.113.77", 6: "2001:db8:1::77"}
"""Nobody's: the outside sends from it, and no kernel there spoils the play by an answer."""
BEHIND: dict[Family, str] = {4: "198.51.100.77", 6: "2001:db8:20::77"}
FRIEND: dict[Family, str] = {4: "192.0.2.66", 6: "2001:db8:10::66"}
"""Allowed everywhere: its datagram tells that those before it were dealt with."""
ANYCAST = "2001:db8:1::"
AGENT_PORT = 9100
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Shot:
    """A packet that ``place`` puts on the wire of its interface ``via``."""

    place: str
    source: str
    source_port: int
    destination: str
    port: int
    via: str = "eth0"


@dataclass(frozen=True, slots=True)
class Spoofing:
    """``knock`` must not reach ``victim``; ``plant`` is what may have paved its way.

    A victim called host stands for docker-proxy, and for a host-network container.
    """

    title: str
    family: Family
    transport: Transport
    victim: str
    knock: Shot
    plant: Shot | None = None

    def __str__(self) -> str:
        return f"{self.title}, IPv{self.family} {self.transport}"


def _spoofings() -> Iterator[Spoofing]:
    for family in FAMILIES:
        for transport in TRANSPORTS:
            yield from _to_containers(family, transport)
            yield from _to_docker_proxy(family, transport)
    yield from _heard_by_many()


def _to_containers(family: Family, transport: Transport) -> Iterator[Spoofing]:
    db, web, cache = at("db", family), at("web", family), at("cache", family)
    host, outside = HOST[family], OUTSIDE[family]

    def knock(title: str, place: str, source: str, via: str = "eth0") -> Spoofing:
        shot = Shot(place, source, 7777, db, 5432, via)
        return Spoofing(title, family, transport, "db", shot)

    yield knock("outside as a neighbour", "outside", web)
    yield knock("tunnel as a neighbour", "outside", web, "wg0")
    yield knock("outside as a container elsewhere", "outside", cache)
    yield knock("outside as the gateway", "outside", gateway("br-a", family))
    yield knock("outside as this host", "outside", host)
    yield knock("container as another one's neighbour", "cache", web)
    yield knock("container as this host", "cache", host)
    yield knock("container as a gateway elsewhere", "cache", gateway("br-a", family))
    yield knock("vm as a neighbour", "vm", web)
    yield knock("container as who is allowed from outside", "cache", FRIEND[family])
    yield knock("vm as who is allowed from outside", "vm", FRIEND[family])

    def planted(title: str, plant: Shot, shot: Shot) -> Spoofing:
        return Spoofing(f"planted: {title}", family, transport, "db", shot, plant)

    ask = Shot("outside", outside, 7777, db, 5432)
    yield planted("outside to itself", Shot("outside", db, 5432, outside, 7777), ask)
    yield planted("tunnel to the outside", Shot("outside", db, 5432, outside, 7777, "wg0"), ask)
    yield planted("container to the outside", Shot("cache", db, 5432, outside, 7777), ask)
    yield planted("vm to the outside", Shot("vm", db, 5432, outside, 7777), ask)
    # Its address is not spoofed there, or cannot be told from one that is.
    yield planted("neighbour to the outside", Shot("web", db, 5432, outside, 7777), ask)
    yield planted("the container itself", Shot("db", db, 5432, outside, 7777), ask)
    yield planted(
        "container to itself",
        Shot("cache", db, 5432, cache, 7777),
        Shot("cache", cache, 7777, db, 5432),
    )
    yield planted(
        "outside to this host",
        Shot("outside", db, 5432, host, 7777),
        Shot("outside", host, 7777, db, 5432),
    )


def _to_docker_proxy(family: Family, transport: Transport) -> Iterator[Spoofing]:
    db, host, outside = at("db", family), HOST[family], OUTSIDE[family]
    port = 5353 if transport == "udp" else 8080
    own, other = gateway("br-b", family), gateway("br-a", family)

    def knock(title: str, place: str, source: str) -> Spoofing:
        shot = Shot(place, source, 7777, host, port)
        return Spoofing(f"docker-proxy: {title}", family, transport, "host", shot)

    yield knock("outside as a container", "outside", db)
    yield knock("container as another", "cache", db)
    yield knock("container as who is allowed from outside", "cache", FRIEND[family])
    if transport == "udp":
        # What this host says to itself, it says on lo: there is no wire to see an answer on.
        yield knock("outside as this host", "outside", host)
        yield knock("outside as a gateway", "outside", own)
        yield knock("container as this host", "cache", host)

    def planted(title: str, plant: Shot, shot: Shot) -> Spoofing:
        return Spoofing(f"docker-proxy, planted: {title}", family, transport, "host", shot, plant)

    ask = Shot("outside", outside, 7777, host, port)
    yield planted("outside to itself", Shot("outside", host, port, outside, 7777), ask)
    yield planted("tunnel to the outside", Shot("outside", host, port, outside, 7777, "wg0"), ask)
    yield planted("container to the outside", Shot("cache", host, port, outside, 7777), ask)
    yield planted(
        "container as its gateway to the outside",
        Shot("cache", own, port, outside, 7777),
        Shot("outside", outside, 7777, own, port),
    )
    if transport == "udp":
        yield planted(
            "outside to this host",
            Shot("outside", host, port, other, 7777),
            Shot("outside", other, 7777, host, port),
        )
        yield Spoofing(
            "host network, planted: outside to itself",
            family,
            transport,
            "host",
            Shot("outside", outside, 7777, host, AGENT_PORT),
            Shot("outside", host, AGENT_PORT, outside, 7777),
        )
        yield Spoofing(
            "host network, planted: outside to this host",
            family,
            transport,
            "host",
            Shot("outside", other, 7777, host, AGENT_PORT),
            Shot("outside", host, AGENT_PORT, other, 7777),
        )


def _heard_by_many() -> Iterator[Spoofing]:
    """Addresses that this host hears, and that are not its own: broadcast and anycast."""
    host4, host6 = HOST[4], HOST[6]
    bridge_broadcast, tunnel_broadcast = "172.18.255.255", "10.9.0.255"

    def udp(title: str, family: Family, plant: Shot, shot: Shot) -> Iterator[Spoofing]:
        for port, whose in ((5353, "docker-proxy"), (AGENT_PORT, "host network")):
            yield Spoofing(
                f"{whose}, planted: {title}",
                family,
                "udp",
                "host",
                Shot(shot.place, shot.source, 7777, shot.destination, port, shot.via),
                Shot(plant.place, plant.source, port, plant.destination, 7777, plant.via),
            )

    def shot(place: str, source: str, destination: str, via: str = "eth0") -> Shot:
        return Shot(place, source, 0, destination, 0, via)

    yield from udp(
        "from a broadcast address, by the tunnel",
        4,
        shot("outside", BROADCAST, BEHIND[4], "wg0"),
        shot("outside", BEHIND[4], BROADCAST),
    )
    yield from udp(
        "from a container's own broadcast address",
        4,
        shot("web", bridge_broadcast, OUTSIDE[4]),
        shot("outside", OUTSIDE[4], bridge_broadcast),
    )
    yield from udp(
        "from this host to a broadcast address",
        4,
        shot("outside", host4, BROADCAST),
        shot("outside", BROADCAST, host4),
    )
    yield from udp(
        "from broadcast to broadcast",
        4,
        shot("outside", BROADCAST, tunnel_broadcast, "wg0"),
        shot("outside", tunnel_broadcast, BROADCAST),
    )
    yield from udp(
        "from this host to an anycast address",
        6,
        shot("outside", host6, ANYCAST),
        shot("outside", ANYCAST, host6),
    )
    yield from udp(
        "from an anycast address",
        6,
        shot("outside", ANYCAST, OUTSIDE[6]),
        shot("outside", OUTSIDE[6], ANYCAST),
    )
    yield from udp(
        "from a container's own anycast address",
        6,
        shot("web", "fd00:18::", OUTSIDE[6]),
        shot("outside", OUTSIDE[6], "fd00:18::"),
    )
    yield from udp(
        "from the anycast address of the link",
        6,
        shot("outside", host6, "fe80::"),
        shot("outside", "fe80::", host6),
    )


SPOOFINGS = tuple(_spoofings())


# --- the hosts -----------------------------------------------------------------------------------


def _scene() -> Scene:
    """No help from the kernel, and all of docker-proxy: no NAT in either family."""
    scene = Scene(rp_filter=0)
    host = scene.host
    for chain in ("DOCKER", "POSTROUTING"):
        scene.iptables(4, "-t", "nat", "-F", chain)
    for interface in ("all", "eth0", "wg0", *BRIDGES):
        host.sysctl(f"net/ipv4/conf/{interface}/accept_local", 1)
    neighbour = ":".join(f"{byte:02x}" for byte in scene.outside.mac("eth0"))
    known = (OUTSIDE[4], OUTSIDE[6])
    host.ip(*(f"neigh replace {a} lladdr {neighbour} dev eth0 nud permanent" for a in known))
    return scene


def naive_rules(family: Family) -> str:
    """Answers pass; so do Docker's networks and this host, by address; the rest is dropped."""
    column = 0 if family == 4 else 1
    trusted = [SUBNETS[bridge][column] for bridge in BRIDGES] + [HOST[family], FRIEND[family]]
    ports = [(p.protocol, p.host_port) for p in PUBLISHED]
    ports += [("udp", AGENT_PORT), ("tcp", AGENT_PORT)]
    lines = ["*filter", ":DOCKER-USER - [0:0]", ":NAIVE - [0:0]"]
    for chain, passed in (("DOCKER-USER", "RETURN"), ("NAIVE", "ACCEPT")):
        lines.append(f"-A {chain} -m conntrack --ctstate ESTABLISHED -j {passed}")
        lines += [f"-A {chain} -s {one} -j {passed}" for one in trusted]
    lines += [f"-A DOCKER-USER -d {SUBNETS[bridge][column]} -j DROP" for bridge in BRIDGES]
    lines += [f"-A NAIVE -p {protocol} --dport {port} -j DROP" for protocol, port in ports]
    if family == 6:
        lines.append("-A FORWARD -j DOCKER-USER")
    return "\n".join([*lines, "-A INPUT -j NAIVE", "COMMIT\n"])


@pytest.fixture(scope="module")
def naive() -> Iterator[Scene]:
    with _scene() as scene:
        scene.restore(4, naive_rules(4))
        scene.restore(6, naive_rules(6))
        yield scene


@pytest.fixture(scope="module")
def guarded() -> Iterator[Scene]:
    friends = FRIEND.values()
    with _scene() as scene:
        scene.commit(
            policy(
                allow(*friends, to="*", ports="all"),
                allow(*friends, to="agent", ports=(f"{AGENT_PORT}/udp", "9200/udp")),
                baseline=(),
            )
        )
        yield scene


# --- shooting ------------------------------------------------------------------------------------


def _shoot(scene: Scene, shot: Shot, transport: Transport, payload: bytes = b"spoofed") -> None:
    place = scene.places[shot.place]
    bridge = {"web": "br-a", "db": "br-a", "cache": "br-b", "vm": "br-m"}.get(shot.place, shot.via)
    packet = Packet(
        transport,
        shot.source,
        shot.destination,
        shot.source_port,
        shot.port,
        payload=payload if transport == "udp" else b"",
    )
    place.forge(packet, mac=scene.host.mac(bridge), via=shot.via)


class _Trial:
    """One spoofing on one host; what arrived at the victim since the trial began."""

    def __init__(self, scene: Scene, spoofing: Spoofing) -> None:
        self.scene, self.spoofing = scene, spoofing
        self.victim = scene.places[spoofing.victim]
        self.texts: list[str] = []
        self.arrived = False
        # An entry of an earlier case could do for this one.
        scene.host.run(["conntrack", "-F"])
        self.victim.received()

    def fire(self) -> None:
        spoofing = self.spoofing
        if spoofing.plant is not None:
            _shoot(self.scene, spoofing.plant, spoofing.transport)
            self._settle()
        if spoofing.transport == "udp":
            _shoot(self.scene, spoofing.knock, "udp")
            self._settle()
            self.arrived |= "spoofed" in self.texts
            return
        with self._witness().sniff() as sniffer:
            _shoot(self.scene, spoofing.knock, "tcp")
            self._settle()
            ends = (spoofing.knock.source_port, spoofing.knock.port)
            for packet in sniffer.seen():
                wanted = (packet.source_port, packet.port)
                if packet.flags == "S":
                    self.arrived |= spoofing.victim != "host" and wanted == ends
                elif packet.flags == "SA":
                    self.arrived |= spoofing.victim == "host" and wanted == ends[::-1]

    def _witness(self) -> Place:
        """Who sees a SYN that got through: its receiver, or the one that a SYN-ACK goes to."""
        if self.spoofing.victim != "host":
            return self.victim
        as_db = self.spoofing.knock.source == at("db", self.spoofing.family)
        return self.scene.places["db" if as_db else "outside"]

    def _settle(self) -> None:
        """Wait for a friend's datagram to the same victim: what was sent before it is through."""
        text = f"friend {next(_numbers)}"
        family = self.spoofing.family
        to_host = self.spoofing.victim == "host"
        where = (HOST[family], 5353) if to_host else (at("db", family), 5432)
        shot = Shot("outside", FRIEND[family], 9999, *where)
        _shoot(self.scene, shot, "udp", text.encode())

        def through() -> bool:
            self.texts += [one.text for one in self.victim.received()]
            return text in self.texts

        until(through, f"the friend to be heard by {self.spoofing.victim}")


# --- the tests -----------------------------------------------------------------------------------


@pytest.mark.parametrize("spoofing", SPOOFINGS, ids=str)
def test_a_spoofer_gets_past_naive_rules_but_not_past_dockerfw(
    naive: Scene, guarded: Scene, spoofing: Spoofing
) -> None:
    leak = _Trial(naive, spoofing)

    def leaks() -> bool:
        leak.fire()
        return leak.arrived

    assert becomes_true(leaks, 3), "this case gets in nowhere: it tests nothing"
    trial = _Trial(guarded, spoofing)
    trial.fire()
    assert not trial.arrived


def test_a_spoofer_does_not_get_in_by_nat_either() -> None:
    """From the outside and from a container, as a container: to a published port."""
    with Scene(rp_filter=0, nat6=True) as scene:
        spoofed = [
            (
                place,
                Packet("udp", at("cache", family), HOST[family], 7777, 5353, payload=b"spoofed"),
            )
            for place in ("outside", "vm")
            for family in FAMILIES
        ]
        web, host = scene.places["web"], scene.host

        def shoot() -> list[str]:
            for place, packet in spoofed:
                mac = host.mac("br-m" if place == "vm" else "eth0")
                scene.places[place].forge(packet, mac=mac)
            return [one.text for one in web.received()]

        heard: list[str] = []

        def leaks() -> bool:
            heard.extend(shoot())
            return len(heard) >= len(spoofed)

        assert becomes_true(leaks, 3)
        scene.commit(policy(allow("any", to="web", ports="all")))
        web.received()
        shoot()
        assert (
            disagreements(
                [(Probe(scene.outside, "udp", HOST[family], 5353), True) for family in FAMILIES]
            )
            == []
        )
        assert "spoofed" not in [one.text for one in web.received()]


# --- what has to live on -------------------------------------------------------------------------


def test_answers_pass_where_spoofed_packets_do_not(guarded: Scene) -> None:
    """To containers and to this host; not to what a host-network container sends from a port that
    a rule opens.
    """
    outside = guarded.outside
    outside.listen("7/tcp", "7/udp")
    there: dict[Family, str] = {4: "203.0.113.2", 6: "2001:db8:1::2"}
    table = [
        (Probe(guarded.places[name], protocol, address, 7), True)
        for name in ("web", "api", "cache", "host")
        for protocol in TRANSPORTS
        for address in there.values()
    ]
    table += [
        (Probe(guarded.host, "udp", address, 7, HOST[family], port), port == 9201)
        for family, address in there.items()
        for port in (9200, 9201)
    ]
    assert disagreements(table) == []


def test_a_container_on_two_networks_answers_through_the_other_one(guarded: Scene) -> None:
    """Asked at its address on br-b, it answers by its default route, through br-a."""
    outside = guarded.outside
    outside.add("192.0.2.66/32", "2001:db8:10::66/128")
    there: dict[Family, str] = {4: "172.19.0.4", 6: "fd00:19::4"}
    table = [
        (Probe(outside, protocol, address, 80 if protocol == "tcp" else 53, FRIEND[family]), True)
        for family, address in there.items()
        for protocol in TRANSPORTS
    ]
    assert disagreements(table) == []
