"""Sources by the interface that they came in on: link-local, routed by a container, and those whose
network a Docker network contains. The kernel's own source checks are off (``rp_filter`` 0).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from dockerfw.model.inventory import Inventory
from dockerfw.model.net import FAMILIES, Family
from dockerfw.model.policy import Policy
from tests.build import allow, deny, network, policy
from tests.lab.packet import Packet
from tests.lab.place import Place, Probe, disagreements
from tests.lab.wait import becomes_true
from tests.packets.scene import CLIENT, HOST, TUNNEL, Scene, at

WIDE: dict[Family, str] = {4: "10.9.0.0/16", 6: "fd00:9::/48"}
"""A Docker network that contains the tunnel's."""
NEIGHBOURS: dict[Family, str] = {4: "10.9.0.0/24", 6: "fd00:9::/64"}
IN_WIDE: dict[Family, str] = {4: "10.9.200.2", 6: "fd00:9:0:200::2"}
CLIENTS: dict[Family, str] = {4: "10.66.0.0/24", 6: "fd00:66::/64"}


def link_local(place: Place, interface: str) -> str:
    """The address that the kernel made for an interface."""
    text = place.run(["ip", "-6", "-o", "addr", "show", "dev", interface, "scope", "link"]).stdout
    return text.split()[3].partition("/")[0]


# --- link-local ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with Scene(bridge_calls=True) as one:
        yield one


@pytest.mark.parametrize(
    "rules, open_",
    [
        (policy(allow("any", to="web", ports="all"), baseline=()), False),
        (policy(), True),
        (policy(allow("iface:br-a", to="web", ports="all"), baseline=()), True),
        (policy(deny("container:db", to="web")), False),
        (policy(deny("container:cache", to="web")), False),  # on whatever bridge
    ],
    ids=["any", "bridge", "its bridge", "a deny of a neighbour", "a deny of another bridge's"],
)
def test_a_link_local_source_is_a_container_without_a_name(
    scene: Scene, rules: Policy, open_: bool
) -> None:
    db, own = scene.places["db"], link_local(scene.places["db"], "eth0")
    targets = (
        (scene.host, link_local(scene.host, "br-a"), scene.host.mac("br-a"), 5353),
        (scene.places["web"], at("web", 6), scene.places["web"].mac("eth0"), 53),
    )

    def heard(patience: float) -> list[bool]:
        """By docker-proxy at the bridge's link-local address, and by the neighbour itself."""
        found = []
        for place, address, mac, port in targets:
            place.received()
            db.forge(Packet("udp", own, address, 7777, port, payload=b"nameless"), mac=mac)
            texts: list[str] = []

            def arrived(place: Place = place, texts: list[str] = texts) -> bool:
                texts += [one.text for one in place.received()]
                return "nameless" in texts

            found.append(becomes_true(arrived, patience))
        return found

    scene.commit(policy())
    assert heard(3) == [True, True]
    scene.commit(rules)
    assert heard(3 if open_ else 0.3) == [open_, open_]


# --- a network of Docker's that contains others --------------------------------------------------


def with_wide(scene: Scene) -> Inventory:
    """As after ``docker network create``: the bridge, and what Docker tells of it."""
    scene.host.bridge("br-w", "10.9.200.1/16", "fd00:9:0:200::1/48")
    name = scene.host.container("wide", {"br-w": [f"{IN_WIDE[4]}/16", f"{IN_WIDE[6]}/48"]})
    scene.places["wide"] = name
    more = network("w", *WIDE.values())
    return replace(scene.inventory, networks=(*scene.inventory.networks, more))


def test_a_docker_network_that_contains_a_vpn_cuts_nobody_off() -> None:
    """Not from this host's own services, not from what is allowed, and not the other way."""
    with Scene() as scene:
        scene.outside.listen("7/tcp", "7/udp")
        scene.commit(policy())
        flows = [scene.outside.flow("tcp", HOST[f], 22, source=TUNNEL[f == 6]) for f in FAMILIES]
        scene.inventory = with_wide(scene)
        scene.commit(policy(allow(*NEIGHBOURS.values(), to="web", ports="all"), baseline=()))
        assert [flow.ask() for flow in flows] == [True, True]
        outside, web = scene.outside, scene.places["web"]
        table = []
        for family in FAMILIES:
            source = TUNNEL[family == 6]
            table += [
                (Probe(outside, "tcp", HOST[family], 22, source), True),
                (Probe(outside, "tcp", HOST[family], 8080, source), True),
                (Probe(outside, "tcp", at("web", family), 80, source), True),
                (Probe(outside, "tcp", HOST[family], 5432, source), False),
                (Probe(outside, "tcp", at("db", family), 5432, source), False),
                (Probe(web, "tcp", source, 7), True),
                (Probe(web, "udp", source, 7), True),
            ]
        assert disagreements(table) == []


def test_what_the_outside_claims_of_such_a_network_is_spoofed() -> None:
    """Its containers' addresses, and those of the VPN that do not come in by the VPN."""
    with Scene() as scene:
        scene.inventory = with_wide(scene)
        db = scene.places["db"]

        def heard(family: Family, source: str, via: str) -> bool:
            datagram = Packet("udp", source, at("db", family), 7777, 5432, payload=b"claimed")
            scene.outside.forge(datagram, mac=scene.host.mac(via), via=via)
            return becomes_true(lambda: "claimed" in [one.text for one in db.received()], 0.5)

        shots = [(f, a[f], "eth0") for f in FAMILIES for a in (IN_WIDE, TUNNEL_OF)]
        assert all(heard(*shot) for shot in shots)
        scene.commit(policy(allow("any", to="db", ports="all")))
        assert heard(4, TUNNEL_OF[4], "wg0")
        assert heard(6, TUNNEL_OF[6], "wg0")
        assert not any(heard(*shot) for shot in shots)


TUNNEL_OF: dict[Family, str] = {4: TUNNEL[0], 6: TUNNEL[1]}


def test_no_packet_to_the_hosts_own_ports_is_dropped_whatever_source_it_claims() -> None:
    with Scene() as scene:
        scene.host.listen("7070/udp")
        scene.commit(policy(deny("any", "bridge"), baseline=()))
        places = {"outside": "eth0", "cache": "br-b", "vm": "br-m"}
        for name, interface in places.items():
            for family in FAMILIES:
                for source in (at("web", family), IN_WIDE[family], CLIENT[family]):
                    datagram = Packet("udp", source, HOST[family], 7777, 7070, payload=b"own")
                    mac = scene.host.mac(interface)
                    scene.host.received()
                    scene.places[name].forge(datagram, mac=mac)
                    assert becomes_true(
                        lambda: "own" in [one.text for one in scene.host.received()], 3
                    ), (name, source)


# --- a container that routes for others ----------------------------------------------------------


def test_a_container_that_routes_for_others_goes_on_working() -> None:
    """Its clients are outside addresses that come in on its bridge, while the way back is there."""
    with Scene() as scene:
        cache = scene.places["cache"]

        def probes(web: bool, db: bool) -> list[tuple[Probe, bool]]:
            return [
                (Probe(cache, "tcp", address, port, CLIENT[family]), open_)
                for family in FAMILIES
                for address, port, open_ in (
                    (at("web", family), 80, web),
                    (HOST[family], 8080, web),
                    (at("db", family), 5432, db),
                    (HOST[family], 5432, db),
                )
            ]

        scene.commit(policy(allow(*CLIENTS.values(), to="web", ports="all")))
        assert disagreements(probes(web=True, db=False)) == []
        scene.commit(policy(allow("iface:br-b", to="db", ports="all")))
        assert disagreements(probes(web=False, db=True)) == []
        scene.commit(policy(allow("any", to="*", ports="all"), baseline=()))
        assert disagreements(probes(web=True, db=True)) == []
        scene.host.ip(*(f"route del {CLIENT[f]} via {at('cache', f)} dev br-b" for f in FAMILIES))
        web = scene.places["web"]
        web.received()
        for family in FAMILIES:
            datagram = Packet(
                "udp", CLIENT[family], at("web", family), 7777, 53, payload=b"claimed"
            )
            cache.forge(datagram, mac=scene.host.mac("br-b"))
        assert not becomes_true(lambda: "claimed" in [o.text for o in web.received()], 0.5)


def test_the_networks_of_this_file_contain_each_other() -> None:
    """A slip in the tables above would test nothing."""
    for family in FAMILIES:
        wide = ip_network(WIDE[family])
        assert ip_network(NEIGHBOURS[family]).network_address in wide
        assert ip_address(TUNNEL_OF[family]) in ip_network(NEIGHBOURS[family])
        assert ip_address(IN_WIDE[family]) in wide
