"""A bridge that is Docker's and somebody's else: a VM's tap and the uplink in it beside containers.

What goes from one port that is not Docker's to another one is nobody's business here; what goes to
a container is judged, whoever sends it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.build import allow, deny, policy
from tests.lab.packet import Packet
from tests.lab.place import Place, Probe, disagreements
from tests.lab.wait import becomes_true
from tests.packets.scene import VM, Scene, at

UPLINK = ("172.20.0.101", "fd00:20::101")
"""Of Docker's subnet, as a LAN is that a Docker network was put on."""
ELSEWHERE = ("192.0.2.50", "2001:db8:50::50")
OTHERS = ("192.0.2.51", "2001:db8:50::51")
"""Networks that the bridge carries and that this host knows no way to."""
CLOSED = policy(deny("any", "bridge"), baseline=())


@pytest.fixture(scope="module", params=["nft", "legacy"])
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    with Scene(bridge_calls=True, flavour=request.param) as scene:
        uplink = scene.host.container(
            "uplink", {"br-m": [f"{UPLINK[0]}/16", f"{UPLINK[1]}/64"]}, by_docker=False
        )
        scene.places["uplink"] = uplink
        uplink.listen("80/tcp", "53/udp", "67/udp")
        for name, own in (("vm", OTHERS), ("uplink", ELSEWHERE)):
            interface = interface_of(scene.places[name])
            scene.places[name].ip(
                f"addr add {own[0]}/24 brd + dev {interface}",
                f"addr add {own[1]}/64 dev {interface} nodad",
            )
        yield scene


def interface_of(place: Place) -> str:
    """The one that leads to the bridge."""
    listed = place.run(["ip", "-o", "-4", "addr", "show", "scope", "global"]).stdout
    return listed.split()[1].partition("@")[0]


def vm_to_uplink(scene: Scene) -> list[Probe]:
    vm, uplink = scene.places["vm"], scene.places["uplink"]
    found = []
    for target in (*UPLINK, *ELSEWHERE):
        port = {"tcp": 80, "udp": 53}
        for protocol in ("tcp", "udp"):
            source = VM["br-m"][":" in target] if target in UPLINK else OTHERS[":" in target]
            found.append(Probe(vm, protocol, target, port[protocol], source))
        found.append(Probe(vm, "icmp", target))
    found += [Probe(uplink, "tcp", VM["br-m"][n], 80, UPLINK[n]) for n in (0, 1)]
    return found


def to_container(scene: Scene) -> list[Probe]:
    return [
        Probe(scene.places[name], "tcp", at("mix", family), 80)
        for name in ("vm", "uplink")
        for family in (4, 6)
    ]


def test_ports_that_are_not_dockers_talk_to_each_other_whatever_the_policy(scene: Scene) -> None:
    bridged = [(probe, True) for probe in vm_to_uplink(scene)]
    assert disagreements(bridged) == [], "without dockerfw"
    scene.commit(CLOSED)
    assert disagreements(bridged) == []
    assert disagreements([(probe, False) for probe in to_container(scene)]) == []
    scene.commit(policy(allow("any", to="mix", ports=(80,)), baseline=()))
    assert disagreements([(probe, True) for probe in to_container(scene)]) == []


def test_a_broadcast_of_a_vm_reaches_the_uplink_and_no_container(scene: Scene) -> None:
    """As a VM asks for an address."""
    scene.commit(CLOSED)
    vm, uplink, mix = (scene.places[name] for name in ("vm", "uplink", "mix"))
    mix.listen("67/udp")
    for place in (uplink, mix):
        place.received()
    ask = Packet("udp", "0.0.0.0", "255.255.255.255", 68, 67, payload=b"discover")
    with uplink.sniff(interface_of(uplink)) as there, mix.sniff(interface_of(mix)) as here:
        vm.forge(ask, mac=b"\xff" * 6, via=interface_of(vm))
        assert becomes_true(lambda: any(p.port == 67 for p in there.seen()), 3)
        assert not any(p.port == 67 for p in here.seen())


def crosses(sender: Place, receiver: Place, packet: Packet) -> bool:
    """Whether this packet, over the bridge, comes to the other one."""
    interface = interface_of(receiver)
    with receiver.sniff(interface) as sniffer:
        sender.forge(packet, mac=receiver.mac(interface), via=interface_of(sender))
        return becomes_true(lambda: any(p.port == packet.port for p in sniffer.seen()), 0.7)


@pytest.mark.parametrize("column", [0, 1])
def test_connections_of_others_outlive_their_entries(scene: Scene, column: int) -> None:
    """As when br_netfilter is switched on, entries are flushed or a VM has moved here: whichever
    end speaks first.
    """
    scene.commit(CLOSED)
    vm, uplink = scene.places["vm"], scene.places["uplink"]
    server, client = VM["br-m"][column], UPLINK[column]
    for port in (2222, 3333):
        push = Packet("tcp", server, client, port, 40000 + port, flags="PA")
        answer = Packet("tcp", client, server, 40000 + port, port, flags="A")
        ways = [(vm, uplink, push), (uplink, vm, answer)]
        for sender, receiver, packet in ways if port == 2222 else ways[::-1]:
            assert crosses(sender, receiver, packet), packet


@pytest.mark.parametrize("column", [0, 1])
def test_what_a_container_sends_without_an_entry_begins_nothing(scene: Scene, column: int) -> None:
    scene.commit(CLOSED)
    mix, uplink = scene.places["mix"], scene.places["uplink"]
    own, other = at("mix", 6 if column else 4), UPLINK[column]
    # 80 is published, 2222 is not.
    for port in (80, 2222):
        crosses(mix, uplink, Packet("tcp", own, other, port, 40000 + port, flags="PA"))
        answer = Packet("tcp", other, own, 40000 + port, port, flags="A")
        assert not crosses(uplink, mix, answer), port
