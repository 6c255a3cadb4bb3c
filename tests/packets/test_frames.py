"""Frames that reach a container past the rules for packets: tags before the packet hide it.

Docker is played (`tests.fakeengine`); bridges, rules and frames are real.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product

import pytest

from tests.fakeengine import FakeEngine
from tests.lab.host import Host
from tests.lab.packet import Packet
from tests.lab.place import Place

CONFIG = "/etc/dockerfw/config.toml"
CLOSED = "[defaults]\nbaseline = []\n"
OPEN = ""
PORT = 5432
BROADCAST = b"\xff" * 6

Q0, AD0, PRIORITY = map(bytes.fromhex, ("81000000", "88a80000", "8100e000"))
HIDDEN = {
    "802.1Q with id 0": Q0,
    "802.1Q with a priority": PRIORITY,
    "802.1ad with id 0": AD0,
    "802.1ad, then 802.1Q": AD0 + Q0,
    "802.1Q twice": Q0 + Q0,
    "three tags": Q0 + AD0 + Q0,
}
"""What a container's kernel takes off by itself: of PPPoE, MPLS, SNAP, PBB and MACsec none."""


class Scene:
    """Two containers on docker0, and two guests that are not Docker's."""

    def __init__(self, host: Host, engine: FakeEngine) -> None:
        self.host = host
        self.engine = engine
        host.bridge("docker0", "172.17.0.1/16", "fd00:17::1/64")
        self.lone, self.evil = self.container("lone", 2), self.container("evil", 3)
        self.vm = self.others("vm", "docker0", "172.17.0.100/16", "tap0")
        self.pod = self.others("pod", "docker0", "172.17.0.101/16", "veth99999999")

    def container(self, name: str, last: int) -> Place:
        addresses = (f"172.17.0.{last}/16", f"fd00:17::{last}/64")
        self.engine.run(name, "bridge", addresses[0].partition("/")[0])
        place = self.host.container(name, {"docker0": addresses})
        place.listen(f"{PORT}/udp")
        return place

    def others(self, name: str, bridge: str, address: str, port: str) -> Place:
        """A guest that Docker did not make; ``port`` is its interface in the bridge."""
        place = self.host.container(name, {bridge: (address,)}, by_docker=False)
        links = self.host.run(["ip", "-brief", "link", "show", "master", bridge]).stdout
        (made,) = [link for link in links.split() if link.startswith("tap") and "x" in link]
        made = made.partition("@")[0]
        self.host.ip(f"link set {made} down name {port}", f"link set {port} up")
        place.listen(f"{PORT}/udp")
        return place

    def apply(self, policy: str) -> None:
        self.host.write(CONFIG, policy, 0o600)
        self.host.dockerfw("apply", "--yes", "-H", self.engine.url)

    def heard(
        self, sender: Place, to: Place, *ends: tuple[str, str], tags: Mapping[str, bytes] = HIDDEN
    ) -> set[str]:
        """The frames that arrive, to its own MAC and to all, between these ends."""
        to.received()
        sent = set()
        for (source, destination), name, mac in product(ends, tags, (to.mac("eth0"), BROADCAST)):
            text = f"{name}, {'to all' if mac == BROADCAST else 'to it'}, {destination}"
            packet = Packet("udp", source, destination, 40000, PORT, "", text.encode())
            sender.forge(packet, mac=mac, tags=tags[name])
            sent.add(text)
        # This host's own always pass: those before it were dealt with.
        assert self.host.udp(ends[0][1], PORT, patience=5).reached
        return {one.text for one in to.received()} & sent


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with (
        FakeEngine(tmp_path_factory.mktemp("engine") / "s") as engine,
        Host(bridge_calls=True) as host,
    ):
        yield Scene(host, engine)


NEIGHBOURS = (("172.17.0.3", "172.17.0.2"), ("fd00:17::3", "fd00:17::2"))
PLAIN = {"no tag": b""}
ALL = len(HIDDEN) * len((BROADCAST, "own MAC"))


def test_what_tags_hide_from_the_rules_does_not_reach_a_neighbour(scene: Scene) -> None:
    def hidden() -> set[str]:
        return scene.heard(scene.evil, scene.lone, *NEIGHBOURS)

    assert len(hidden()) == 2 * ALL, "without dockerfw all of it does"
    scene.apply(CLOSED)
    assert not scene.heard(scene.evil, scene.lone, *NEIGHBOURS, tags=PLAIN), "the rules hold"
    assert not hidden()
    plan = scene.host.dockerfw("plan", "-H", scene.engine.url, check=False)
    assert plan.returncode == 0, f"nothing is left to do: {plan.stdout}"

    scene.host.run(["nft", "delete", "table", "bridge", "dockerfw"])
    assert hidden(), "it is the seal's other half that holds it"
    status = scene.host.dockerfw("status", "-H", scene.engine.url, check=False)
    assert status.returncode == 3
    scene.host.dockerfw("boot")
    assert not hidden(), "from boot on"
    scene.host.run(["nft", "flush", "ruleset"])
    scene.host.dockerfw("lockdown", "-H", scene.engine.url)
    assert not hidden()
    scene.host.dockerfw("remove", "--yes")
    assert scene.host.run(["nft", "list", "tables", "bridge"]).stdout == ""
    assert hidden()


def test_whoever_is_behind_a_foreign_port_does_not_get_past_the_rules(scene: Scene) -> None:
    """Where containers may reach each other, too: a VM is none, whatever its port is called."""
    for guest, address in ((scene.vm, "172.17.0.100"), (scene.pod, "172.17.0.101")):
        ends = (address, "172.17.0.2")
        scene.host.dockerfw("remove", "--yes")
        assert len(scene.heard(guest, scene.lone, ends)) == ALL
        scene.apply(OPEN)
        assert not scene.heard(guest, scene.lone, ends, tags=PLAIN)
        assert not scene.heard(guest, scene.lone, ends)


def test_frames_are_only_counted_while_observing(scene: Scene) -> None:
    scene.apply(f"{CLOSED}[firewall]\nmode = 'observe'\n")
    assert len(scene.heard(scene.evil, scene.lone, *NEIGHBOURS)) == 2 * ALL
    listing = scene.host.run(["nft", "list", "table", "bridge", "dockerfw"]).stdout
    assert f"counter packets {2 * ALL} " in listing


def test_tags_are_left_alone_where_no_rule_is_hidden_from(scene: Scene) -> None:
    scene.apply(OPEN)
    assert len(scene.heard(scene.evil, scene.lone, *NEIGHBOURS)) == 2 * ALL, "nothing is denied"
    scene.host.bridge("lxdbr0", "10.9.8.1/24")
    guest = scene.others("guest", "lxdbr0", "10.9.8.2/24", "veth0a1b2c3d")
    other = scene.others("other", "lxdbr0", "10.9.8.3/24", "vethA1B2C3")
    for policy in (OPEN, CLOSED):
        scene.apply(policy)
        ends = ("10.9.8.2", "10.9.8.3")
        assert len(scene.heard(guest, other, ends)) == ALL, "not Docker's at all"
        guests = ("172.17.0.101", "172.17.0.100")
        assert len(scene.heard(scene.pod, scene.vm, guests)) == ALL, "nor these"
        leaving = ("172.17.0.3", "172.17.0.100")
        assert len(scene.heard(scene.evil, scene.vm, leaving)) == ALL, "from a container"
