"""Containers that no rule can close here are named, once."""

from __future__ import annotations

from dockerfw.model.policy import Policy
from dockerfw.report.unfiltered import not_filtered
from tests.build import allow, container, inventory, network, policy

FRONT = network("front", "172.18.0.0/24")
LAN = network("lan", "192.0.2.0/24", driver="macvlan")
VLAN = network("vlan", "198.51.100.0/24", driver="ipvlan")
MESH = network("ingress", "10.0.0.0/24", driver="overlay")
CAMERA = container("camera", "lan 192.0.2.7")
RUNNING = inventory(
    container("web", "front 172.18.0.2", "ingress 10.0.0.2", published="8080:80"),
    container("exporter", host_network=True),
    container("agent", host_network=True),
    CAMERA,
    container("sidecar", network_owner=CAMERA),
    container("both", "front 172.18.0.3", "lan 192.0.2.8"),
    container("phone", "vlan 198.51.100.7"),
    *(FRONT, LAN, VLAN, MESH),
)


def test_they_are_one_sentence_with_where_they_are_and_the_next_step() -> None:
    (sentence,) = not_filtered(policy(), RUNNING)
    assert sentence == (
        "not filtered here: agent, exporter on the host's network; both, camera on the macvlan "
        "network lan; phone on the ipvlan network vlan (on the host's network a rule with "
        'to = "agent" guards the ports that it names; the other networks are filtered '
        "where they end)"
    )


def on_host_network(rules: Policy) -> str:
    (sentence,) = not_filtered(rules, RUNNING)
    return sentence.partition(" on the host's network")[0]


def test_a_host_network_container_is_not_named_where_a_rule_guards_its_ports() -> None:
    guarding = policy(allow("192.0.2.0/24", to="exporter", ports=9100))
    assert on_host_network(guarding) == "not filtered here: agent"
    void = policy(allow("192.0.2.0/24", to="exporter", ports="1-65535"))
    assert on_host_network(void) == "not filtered here: agent, exporter"


def test_where_all_is_filtered_nothing_is_said() -> None:
    assert not_filtered(policy(), inventory(container("web", "front 172.18.0.2"), FRONT)) == ()
