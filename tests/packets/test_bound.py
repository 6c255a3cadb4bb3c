"""Containers that send in the name of a neighbour on their bridge: address, MAC address, or both.

Docker is played (`tests.fakeengine`); bridges, the daemon, rules and frames are real.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from dockerfw.model.net import Family
from tests.fakeengine import FakeEngine, id_for
from tests.lab.daemon import Daemon
from tests.lab.host import Host
from tests.lab.packet import Packet
from tests.lab.place import Place
from tests.lab.wait import becomes_true, until

CONFIG = "/etc/dockerfw/config.toml"
POLICY = """
[defaults]
baseline = []
[[allow]]
to = "lone"
ports = ["5432/udp", "5432/tcp"]
from = ["container:app"]
[[allow]]
to = "agent"
ports = ["9100/udp"]
from = ["container:app"]
"""
PORT, AGENT = 5432, 9100
TAGS = (bytes.fromhex("81000000"), bytes.fromhex("88a8000081000000"))
FAMILIES: tuple[Family, Family] = (4, 6)
TABLE = ["nft", "list", "table", "bridge", "dockerfw-bound"]


class Scene:
    """``lone`` is open to ``app`` alone; ``evil`` is neither."""

    def __init__(self, host: Host, engine: FakeEngine) -> None:
        self.host, self.engine = host, engine
        engine.networks[id_for("bridge")]["IPAM"]["Config"].append({"Subnet": "fd00:17::/64"})
        host.bridge("docker0", "172.17.0.1/16", "fd00:17::1/64")
        self.lone, self.app, self.evil = (
            self.container(name, last) for last, name in enumerate(("lone", "app", "evil"), 2)
        )
        self.lone.listen(f"{PORT}/udp", f"{PORT}/tcp")
        engine.run("agent", mode="host")
        host.listen(f"{AGENT}/udp")
        host.write(CONFIG, POLICY, 0o600)
        host.dockerfw("apply", "--yes", "-H", engine.url)

    def container(self, name: str, last: int) -> Place:
        """Set up, then reported, as Docker does."""
        place = self.host.container(
            name, {"docker0": tuple(f"{at(last, f)}/{16 if f == 4 else 64}" for f in FAMILIES)}
        )
        self.engine.run(name, "bridge", at(last, 4), ipv6=at(last, 6))
        return place

    def claims(
        self, sender: Place, family: Family, mac: Place | None = None, last: int = 3
    ) -> bool:
        """Whether a datagram in the name of ``app``, or of another address, is heard by lone."""
        self.lone.received()
        packet = Packet("udp", at(last, family), at(2, family), 40000, PORT, "", b"claimed")
        own = mac.mac("eth0") if mac else None
        sender.forge(packet, mac=self.lone.mac("eth0"), own_mac=own)
        # This host's own always pass: what came before it was dealt with.
        assert self.host.udp(at(2, family), PORT, patience=5).reached
        return "claimed" in {one.text for one in self.lone.received()}

    def claims_to_host(self, sender: Place, family: Family, tags: bytes = b"") -> bool:
        """Whether one in the name of ``app`` reaches the container on the host's network."""
        self.host.received()
        packet = Packet("udp", at(3, family), at(1, family), 40000, AGENT, "", b"claimed")
        sender.forge(packet, mac=self.host.mac("docker0"), tags=tags)
        assert self.host.udp(at(1, family), AGENT, patience=5).reached
        return "claimed" in {one.text for one in self.host.received()}

    def bound(self, place: Place) -> None:
        """Wait until what this container has is its own."""
        mac = place.mac("eth0").hex(":")
        until(lambda: mac in self.host.run(TABLE, check=False).stdout, "a binding", 5)

    def daemon(self) -> Daemon:
        return Daemon(self.host, "-H", self.engine.url)


def at(last: int, family: Family) -> str:
    return f"172.17.0.{last}" if family == 4 else f"fd00:17::{last}"


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with FakeEngine(tmp_path / "s") as engine, Host(bridge_calls=True) as host:
        yield Scene(host, engine)


def test_a_container_cannot_be_its_neighbour(scene: Scene) -> None:
    app, evil = scene.app, scene.evil
    for family in FAMILIES:
        assert not scene.claims(evil, family, last=4), "in its own name it is kept out"
        assert scene.claims(evil, family), "nobody keeps the bindings"
        assert scene.claims(evil, family, mac=app), "nor with the MAC address as well"
        assert scene.claims_to_host(evil, family)
    with scene.daemon() as daemon:
        scene.bound(app)
        for family in FAMILIES:
            assert not scene.claims(evil, family)
            assert not scene.claims(evil, family, mac=app)
            assert not scene.claims(evil, family, last=4, mac=app)
            assert not scene.claims(evil, family, last=9, mac=app), "nor an address of nobody's"
            assert not scene.claims_to_host(evil, family)
            for tags in TAGS:
                assert not scene.claims_to_host(evil, family, tags), "which tags do not hide"
            assert scene.claims_to_host(app, family)
            assert scene.claims(app, family)
            assert app.udp(at(2, family), PORT, patience=3).reached
            assert app.tcp(at(2, family), PORT, patience=3).reached
        assert "put right" not in daemon.log(), "it is read back as it was written"
        scene.host.run(["nft", "delete", *TABLE[2:]])
        daemon.until_said("put right")
        assert not scene.claims(evil, 4)
    for family in FAMILIES:
        assert not scene.claims(evil, family), "what is known of ports stays true"


def test_a_container_cannot_be_the_gateway_of_its_neighbours(scene: Scene) -> None:
    """What a neighbour asks of the world would come to it, and it could answer."""
    lone, evil = scene.lone, scene.evil

    def drawn() -> bool:
        """Whether lone sends to evil what is for this host, once it was told to."""
        lone.ip("neigh flush dev eth0")
        assert lone.udp(at(1, 4), AGENT, patience=0.2).outcome != "answered"
        answer = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 2)
        answer += evil.mac("eth0") + ip_address(at(1, 4)).packed
        answer += lone.mac("eth0") + ip_address(at(2, 4)).packed
        evil.forge_frame(lone.mac("eth0") + evil.mac("eth0") + b"\x08\x06" + answer)
        show = ["ip", "neigh", "show", at(1, 4), "dev", "eth0"]
        return becomes_true(lambda: evil.mac("eth0").hex(":") in lone.run(show).stdout, 1)

    # A neighbour that has just been confirmed is believed for a second.
    lone.sysctl("net/ipv4/neigh/eth0/locktime", 0)
    assert drawn(), "nobody keeps the bindings"
    with scene.daemon():
        scene.bound(evil)
        assert not drawn()
        assert lone.ping(at(1, 4), patience=3).reached
