"""NAT that Docker did not make: packets to a port of this host that somebody leads to a container.

Each row gets through while dockerfw is off; with it, whoever may reach the container's port does.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dockerfw.model.net import Family
from dockerfw.model.policy import Deny
from tests.build import allow, deny, host_port, policy, port_spec, selector
from tests.lab.place import Probe, Question, disagreements
from tests.packets.scene import HOST, Scene, at, gateway

OFFICE: dict[Family, str] = {4: "203.0.113.2", 6: "2001:db8:1::2"}
STRANGER: dict[Family, str] = {4: "203.0.113.9", 6: "2001:db8:1::9"}
WHOLE: dict[Family, str] = {4: "203.0.113.50", 6: "2001:db8:1::50"}
"""An address of the host that is led on with all its ports."""
FAMILIES: tuple[Family, Family] = (4, 6)

TO_DB = allow("203.0.113.2", "2001:db8:1::2", to="db", ports=(5432, 6379))
FROM_CACHE = allow("container:cache", to="db", ports=(5432,))


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with Scene(nat6=True, proxied_bridges=False) as scene:
        for family in FAMILIES:
            db = at("db", family)
            there = f"[{db}]:5432" if family == 6 else f"{db}:5432"
            scene.host.ip(f"addr add {WHOLE[family]}/{64 if family == 6 else 24} dev eth0")
            for rule in (
                f"-i eth0 -p tcp --dport 9999 -j DNAT --to-destination {there}",
                f"-p udp --dport 9998 -j DNAT --to-destination {there}",
                f"-p tcp -m multiport --dports 9990,9992:9994 -j DNAT --to-destination {there}",
                "-p tcp --dport 9991 -j MINE",
                f"-d {WHOLE[family]} -j DNAT --to-destination {db}",
                # Somebody publishes this one, and it still leads elsewhere.
                f"-p tcp --dport 8080 -j DNAT --to-destination {there}",
            ):
                if "MINE" in rule:
                    scene.iptables(family, "-t", "nat", "-N", "MINE")
                    to_db = f"-A MINE -p tcp -j DNAT --to-destination {there}"
                    scene.iptables(family, "-t", "nat", *to_db.split())
                scene.iptables(family, "-t", "nat", "-I", "PREROUTING", *rule.split())
            # As Docker would for a container that nobody has told of yet.
            new = f"-A DOCKER -p tcp --dport 9980 -j DNAT --to-destination {there}"
            scene.iptables(family, "-t", "nat", *new.split())
            # docker-proxy of web's port; and the host's own.
            for port, to in ((9970, 8080), (9971, 22)):
                led = f"-d {HOST[family]} -p tcp --dport {port} -j REDIRECT --to-ports {to}"
                scene.iptables(family, "-t", "nat", "-I", "PREROUTING", *led.split())
        script = (
            "table inet mine {\n chain in {\n type nat hook prerouting priority -110\n"
            f" tcp dport 9996 dnat ip to {at('db', 4)}:5432\n"
            f" tcp dport 9996 dnat ip6 to [{at('db', 6)}]:5432\n"
            f" dnat ip addr . port to tcp dport map {{ 9995 : {at('db', 4)} . 5432 }}\n"
            f" ip daddr . tcp dport {{ {HOST[4]} . 9989 }} dnat ip to {at('db', 4)}:5432\n"
            f" dnat ip addr . port to ip daddr . tcp dport map "
            f"{{ {HOST[4]} . 9988 : {at('db', 4)} . 5432 }}\n }}\n}}\n"
        )
        scene.host.run(["nft", "-f", "-"], stdin=script)
        yield scene


def probe(
    scene: Scene, family: Family, port: int, source: str, protocol: Question = "tcp"
) -> Probe:
    address = WHOLE[family] if port == 6379 else HOST[family]
    return Probe(scene.outside, protocol, address, port, source)


LED_ON = (9999, 9990, 9993, 9991, 9996, 6379)


def ports(family: Family) -> tuple[int, ...]:
    return (*LED_ON, 9995, 9989, 9988) if family == 4 else LED_ON


def test_whoever_may_reach_the_container_does_and_nobody_else(scene: Scene) -> None:
    office = [probe(scene, f, port, OFFICE[f]) for f in FAMILIES for port in ports(f)]
    strangers = [probe(scene, f, port, STRANGER[f]) for f in FAMILIES for port in ports(f)]
    closed = [probe(scene, f, 9998, OFFICE[f], "udp") for f in FAMILIES]
    closed += [probe(scene, f, port, OFFICE[f]) for f in FAMILIES for port in (8080, 9980)]
    inside = [
        (Probe(scene.places[name], "tcp", HOST[f], 9990), name == "cache")
        for f in FAMILIES
        for name in ("cache", "mix")
    ]
    rows = [(one, True) for one in (*office, *strangers, *closed)]
    assert disagreements([*rows, *((one, True) for one, _ in inside)]) == [], "without dockerfw"

    scene.commit(policy(TO_DB, FROM_CACHE, baseline=()))

    judged = [(one, True) for one in office] + [(one, False) for one in (*strangers, *closed)]
    assert disagreements([*judged, *inside]) == []


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "denied",
    [
        deny("any", published=(host_port(9999),)),
        deny("any", to=(selector("db"),), ports=(port_spec(5432),)),
        deny("any"),
    ],
    ids=["the host port", "the container", "everything"],
)
def test_a_deny_of_the_host_port_or_of_what_is_behind_it_holds(
    scene: Scene, family: Family, denied: Deny
) -> None:
    one = probe(scene, family, 9999, OFFICE[family])
    scene.commit(policy(TO_DB, baseline=()))
    assert disagreements([(one, True)]) == []
    scene.commit(policy(TO_DB, denied, baseline=()))
    assert disagreements([(one, False)]) == []


@pytest.mark.parametrize("family", FAMILIES)
def test_a_host_port_that_published_names_opens_by_itself(scene: Scene, family: Family) -> None:
    scene.commit(policy(allow(OFFICE[family], published=(host_port(9999),)), baseline=()))
    open_, shut = (probe(scene, family, port, OFFICE[family]) for port in (9999, 9990))
    assert disagreements([(open_, True), (shut, False)]) == []


def test_the_hosts_own_ports_are_not_touched_by_it(scene: Scene) -> None:
    scene.commit(policy(baseline=()))
    rows = [(probe(scene, f, 22, STRANGER[f]), True) for f in FAMILIES]
    rows += [(Probe(scene.places["cache"], "tcp", gateway("br-b", f), 22), True) for f in FAMILIES]
    assert disagreements(rows) == []


def test_a_redirect_to_a_published_port_is_judged_by_the_container_and_by_its_own_port(
    scene: Scene,
) -> None:
    def rows(office: bool) -> list[tuple[Probe, bool]]:
        return [
            *((probe(scene, f, 9970, OFFICE[f]), office) for f in FAMILIES),
            *((probe(scene, f, 9970, STRANGER[f]), False) for f in FAMILIES),
            *((probe(scene, f, 9971, STRANGER[f]), True) for f in FAMILIES),
        ]

    to_web = allow("203.0.113.2", "2001:db8:1::2", to="web", ports=(80,))
    scene.commit(policy(to_web, baseline=()))
    assert disagreements(rows(office=True)) == []
    for published in (9970, 8080):
        scene.commit(policy(to_web, deny("any", published=(host_port(published),)), baseline=()))
        assert disagreements(rows(office=False)) == []
    by_its_number = allow("203.0.113.2", "2001:db8:1::2", published=(host_port(9970),))
    scene.commit(policy(by_its_number, baseline=()))
    assert disagreements(rows(office=True)) == []
    another = allow("203.0.113.2", "2001:db8:1::2", published=(host_port(8080),))
    scene.commit(policy(another, baseline=()))
    assert disagreements(rows(office=False)) == []
