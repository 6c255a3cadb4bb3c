"""Destinations that name no container: link-local, multicast and broadcast addresses of a bridge.

A neighbour is reached by them as well as by its own address, without any capability.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pytest

from dockerfw.model.policy import Policy
from tests.build import allow, deny, policy
from tests.lab.packet import Packet
from tests.lab.wait import becomes_true, until
from tests.packets.scene import Scene, at

Flavour = Literal["nft", "legacy"]
PARTING = {
    "a deny of one": policy(deny("container:db", to="web")),
    "a deny of one, for a port": policy(deny("container:db", to="web", ports="53/udp")),
    "a deny of one, for all": policy(deny("container:db")),
    "a deny of all": policy(deny("bridge", to="web")),
    "a deny of an interface": policy(deny("iface:br-a", to="web")),
    "no baseline": policy(baseline=()),
    "no baseline, others allowed": policy(allow("container:cache", to="web"), baseline=()),
}


@pytest.fixture(scope="module", params=["nft", "legacy"])
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    flavour: Flavour = request.param
    with Scene(bridge_calls=True, flavour=flavour) as one:
        until(lambda: link_local(one, "web") != "", "a link-local address")
        yield one


def link_local(scene: Scene, name: str) -> str:
    """The address that the kernel made for an interface, once it is nobody else's."""
    show = ["ip", "-6", "-o", "addr", "show", "dev", "eth0", "scope", "link", "-tentative"]
    text = scene.places[name].run(show).stdout
    return text.split()[3].partition("/")[0] if text else ""


def reached(scene: Scene, patience: float) -> set[str]:
    """The destinations by which a datagram of ``db``, under its own address, is heard by web."""
    db, web = scene.places["db"], scene.places["web"]
    web.received()
    for destination in (
        *(at("web", 4), "172.18.255.255", "255.255.255.255"),
        *(at("web", 6), link_local(scene, "web"), "ff02::1"),
    ):
        source = at("db", 6 if ":" in destination else 4)
        text = destination.encode()
        packet = Packet("udp", source, destination, 7000, 53, payload=text)
        # To its MAC address, whatever the destination: a bridge does not compare the two.
        db.forge(packet, mac=web.mac("eth0"))
    heard: set[str] = set()

    def all_of_them() -> bool:
        heard.update(one.text for one in web.received())
        return len(heard) == 6

    becomes_true(all_of_them, patience)
    return heard


@pytest.mark.parametrize("rules", PARTING.values(), ids=PARTING.keys())
def test_who_may_not_reach_a_neighbour_does_not_by_an_address_that_names_nobody(
    scene: Scene, rules: Policy
) -> None:
    scene.commit(policy())
    assert len(reached(scene, 3)) == 6, "all of them lead there"
    scene.commit(rules)
    assert reached(scene, 0.3) == set()
    # The chains hold it by themselves, as where there is no seal.
    scene.host.run(["nft", "delete", "table", "inet", "dockerfw"])
    assert reached(scene, 0.3) == set()
